//! A browser of few talents: top-level navigations over plain HTTP on loopback, with cookies (RFC 6265) and without
//! following redirects, so that each step can be shown.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use cookie::Cookie;
use http::header::{self, HeaderMap, LOCATION, SET_COOKIE};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::{Url, form_urlencoded};

/// The browser and its cookies.
#[derive(Debug, Default)]
pub struct Browser(Vec<Kept>);

/// A cookie and the host that set it: cookies know no ports.
#[derive(Debug)]
struct Kept {
    host: String,
    path: String,
    name: String,
    value: String,
}

/// An answer, and the address that gave it.
#[derive(Debug)]
pub struct Page {
    /// The address.
    pub url: Url,
    /// The status code.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The content.
    pub body: Bytes,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// The address is not one that this browser can go to.
    #[error("not an address of the form http://host:port/…: {0}")]
    Address(String),
    /// The answer is not HTTP, too large, or never ended.
    #[error("{0}: no usable answer")]
    Answer(String),
    /// Nobody listens there.
    #[error("{url}: {source}")]
    Connect {
        /// The address.
        url: String,
        /// What the system says.
        source: io::Error,
    },
}

impl Page {
    /// The target of a redirect.
    #[must_use]
    pub fn location(&self) -> Option<Url> {
        let location = self.headers.get(LOCATION)?.to_str().ok()?;
        self.url.join(location).ok()
    }

    /// The content as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Browser {
    /// Goes to `url`, as a click on a link does.
    ///
    /// # Errors
    ///
    /// [`BrowserError`] where there is no answer; any status is one.
    pub async fn get(&mut self, url: &str) -> Result<Page, BrowserError> {
        self.send(navigation(Request::get(url)).body(String::new()), url).await
    }

    /// Sends a form to `url`.
    ///
    /// # Errors
    ///
    /// [`BrowserError`] where there is no answer; any status is one.
    pub async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Result<Page, BrowserError> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request =
            navigation(Request::post(url)).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        self.send(request, url).await
    }

    /// Sends any request, with the cookies of its host.
    ///
    /// # Errors
    ///
    /// [`BrowserError`] where the request was none or there is no answer; any status is one.
    pub async fn send(&mut self, request: http::Result<Request<String>>, url: &str) -> Result<Page, BrowserError> {
        let unusable = || BrowserError::Address(url.to_owned());
        let mut request = request.map_err(|_| unusable())?;
        let url = Url::parse(url).ok().filter(|url| url.scheme() == "http" && url.has_host()).ok_or_else(unusable)?;
        if let Some(cookies) = self.cookies(&url) {
            request.headers_mut().insert(header::COOKIE, cookies.parse().map_err(|_| unusable())?);
        }
        let response = exchange(request, &url).await?;
        let (head, body) = response.into_parts();
        self.keep(&url, &head.headers);
        Ok(Page { url, status: head.status, headers: head.headers, body })
    }

    /// The names of the cookies that `url` would be sent.
    #[must_use]
    pub fn cookie_names(&self, url: &Url) -> Vec<&str> {
        self.sent(url).map(|kept| kept.name.as_str()).collect()
    }

    fn cookies(&self, url: &Url) -> Option<String> {
        let pairs: Vec<_> = self.sent(url).map(|kept| format!("{}={}", kept.name, kept.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn sent(&self, url: &Url) -> impl Iterator<Item = &Kept> {
        let (host, path) = (url.host_str().unwrap_or_default().to_owned(), url.path().to_owned());
        self.0.iter().filter(move |kept| kept.host == host && path_matches(&path, &kept.path))
    }

    fn keep(&mut self, url: &Url, headers: &HeaderMap) {
        let fields = headers.get_all(SET_COOKIE).iter().filter_map(|field| field.to_str().ok());
        for cookie in fields.filter_map(|field| Cookie::parse(field.to_owned()).ok()) {
            let host = url.host_str().unwrap_or_default().to_owned();
            let path = cookie.path().unwrap_or("/").to_owned();
            self.0.retain(|kept| (&kept.host, kept.name.as_str()) != (&host, cookie.name()) || kept.path != path);
            // A cookie of age zero is how a site takes one away.
            if cookie.max_age().is_none_or(|age| age.is_positive()) {
                self.0.push(Kept { host, path, name: cookie.name().to_owned(), value: cookie.value().to_owned() });
            }
        }
    }
}

/// The header fields by which a browser says that the agent is looking (Fetch Metadata).
fn navigation(request: http::request::Builder) -> http::request::Builder {
    request
        .header(header::ACCEPT, "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
        .header(header::ACCEPT_LANGUAGE, "fr,en;q=0.5")
        .header("Sec-Fetch-Dest", "document")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Site", "none")
        .header("Sec-Fetch-User", "?1")
        .header(header::USER_AGENT, "portillon-demo")
}

fn path_matches(path: &str, cookie_path: &str) -> bool {
    let rest = path.strip_prefix(cookie_path);
    rest.is_some_and(|rest| rest.is_empty() || cookie_path.ends_with('/') || rest.starts_with('/'))
}

async fn exchange(mut request: Request<String>, url: &Url) -> Result<Response<Bytes>, BrowserError> {
    let named = || url.as_str().to_owned();
    let host = url.host_str().zip(url.port_or_known_default());
    let (host, port) = host.ok_or_else(|| BrowserError::Address(named()))?;
    let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    *request.uri_mut() = target.parse::<Uri>().map_err(|_| BrowserError::Address(named()))?;
    if !request.headers().contains_key(header::HOST) {
        let authority = authority.parse().map_err(|_| BrowserError::Address(named()))?;
        request.headers_mut().insert(header::HOST, authority);
    }
    let connected = match host {
        // Whatever the machine thinks of the name: everything here listens on IPv4 loopback.
        "localhost" => TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await,
        _ => TcpStream::connect((host, port)).await,
    };
    let stream = connected.map_err(|source| BrowserError::Connect { url: named(), source })?;
    let answered = tokio::time::timeout(PATIENCE, converse(stream, request)).await;
    answered.ok().flatten().ok_or_else(|| BrowserError::Answer(named()))
}

async fn converse(stream: TcpStream, request: Request<String>) -> Option<Response<Bytes>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let answered = async {
        let response = sender.send_request(request.map(|body| Full::new(Bytes::from(body)))).await.ok()?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await.ok()?.to_bytes();
        Some(Response::from_parts(head, body))
    };
    tokio::pin!(connection);
    tokio::pin!(answered);
    tokio::select! {
        answered = &mut answered => answered,
        // The connection may end before its last answer was read.
        _ = &mut connection => answered.await,
    }
}

/// For one answer, from connection to last byte.
const PATIENCE: Duration = Duration::from_secs(20);
const MAX_BODY: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn set(browser: &mut Browser, url: &str, field: &str) {
        let mut headers = HeaderMap::new();
        headers.insert(SET_COOKIE, field.parse().unwrap());
        browser.keep(&Url::parse(url).unwrap(), &headers);
    }

    #[test]
    fn a_cookie_goes_back_to_its_host_and_path_until_it_is_taken_away() {
        let mut browser = Browser::default();
        set(&mut browser, "http://127.0.0.1:1/", "a=1; Path=/api");
        set(&mut browser, "http://localhost:1/", "__Host-b=2; Path=/; Secure; HttpOnly");
        let names = |browser: &Browser, url: &str| browser.cookies(&Url::parse(url).unwrap());
        assert_eq!(names(&browser, "http://127.0.0.1:2/api/x").as_deref(), Some("a=1"));
        assert_eq!(names(&browser, "http://127.0.0.1:2/apix"), None);
        assert_eq!(names(&browser, "http://localhost:9/").as_deref(), Some("__Host-b=2"));
        set(&mut browser, "http://localhost:1/", "__Host-b=; Path=/; Max-Age=0");
        assert_eq!(names(&browser, "http://localhost:9/"), None);
    }

    #[tokio::test]
    async fn an_address_that_it_cannot_go_to_is_an_error() {
        for url in ["https://localhost/", "mailto:a@example.gouv.fr", "nowhere"] {
            assert!(matches!(Browser::default().get(url).await, Err(BrowserError::Address(_))), "{url}");
        }
    }
}
