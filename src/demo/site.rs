//! A small HTTP/1.1 server (RFC 9112) for the demonstration's own sites: loopback only, whole bodies, no TLS.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY};
use http::header::{HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What answers the requests of one site.
pub trait Site: Send + Sync + 'static {
    /// The answer to `request`, whose body is there as a whole.
    fn answer(&self, request: Request<Bytes>) -> impl Future<Output = Response<Body>> + Send;
}

/// A site that is being served; it stops when this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    accepting: AbortHandle,
}

impl Server {
    /// Serves `site` on `listener`. Needs a tokio runtime around it.
    ///
    /// # Errors
    ///
    /// Where the listener does not know its own address.
    pub fn start(listener: TcpListener, site: Arc<impl Site>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, site)).abort_handle();
        Ok(Self { address, accepting })
    }

    /// Where the site is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    /// Ends the accept loop, and with it every connection, which are its children.
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// An HTML page. `form_action` names the origins, besides the site's own, that its forms may end at.
#[must_use]
pub fn html(status: StatusCode, body: String, form_action: &str) -> Response<Body> {
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
         form-action 'self' {form_action}; frame-ancestors 'none'; base-uri 'none'"
    );
    let mut response = reply(status, "text/html; charset=utf-8", body);
    // An origin that is no header value cannot have come from a parsed URL; the page then goes nowhere else.
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// A JSON document.
#[must_use]
pub fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    reply(status, "application/json; charset=utf-8", value.to_string())
}

/// Any answer with a body; nothing of these sites may be cached.
#[must_use]
pub fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// 303 See Other (RFC 9110 section 15.4.4), the redirect that AgentConnect uses everywhere.
#[must_use]
pub fn see_other(location: &str) -> Response<Body> {
    let mut response = reply(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", "");
    with_header(&mut response, LOCATION, location);
    response
}

/// Adds a header field whose value this program composed; a value that is none is left out.
pub fn with_header(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().append(name, value);
    }
}

/// The cookie called `name` (RFC 6265 section 5.4).
#[must_use]
pub fn cookie<'a>(request: &'a Request<Bytes>, name: &str) -> Option<&'a str> {
    let fields = request.headers().get_all(http::header::COOKIE).iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(';')).find_map(|pair| {
        let (found, value) = pair.trim().split_once('=')?;
        (found == name).then_some(value)
    })
}

async fn accept(listener: TcpListener, site: Arc<impl Site>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(converse(stream, Arc::clone(&site))); }
                // Out of descriptors: accepting again at once would only spin.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, site: Arc<impl Site>) {
    let service = service_fn(|request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(answer(&*site, request).await) }
    });
    let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    // A peer that goes away in the middle is its own affair.
    let _ = connection.await;
}

async fn answer(site: &impl Site, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => site.answer(Request::from_parts(head, body.to_bytes())).await,
        Err(error) if error.is::<LengthLimitError>() => {
            reply(StatusCode::PAYLOAD_TOO_LARGE, "text/plain; charset=utf-8", "")
        }
        Err(_) => reply(StatusCode::BAD_REQUEST, "text/plain; charset=utf-8", ""),
    }
}

const MAX_BODY: usize = 1024 * 1024;
