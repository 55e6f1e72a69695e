//! A browser as far as a login needs one: a cookie jar, redirects, and the `Sec-Fetch-*` of Fetch Metadata.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use portillon::clock::Clock;
use url::Url;

use super::client::{Connection, Request, Response};
use super::cookies::Jar;

/// The path of the callback at every host.
pub const CALLBACK: &str = "/.portillon/callback";

/// More redirects than any login needs, and as many as a browser follows.
const MOST_REDIRECTS: usize = 20;

/// Where the gateway is; a restarted gateway is elsewhere.
pub type Door = Arc<Mutex<SocketAddr>>;

/// A browser.
#[derive(Clone)]
pub struct Browser {
    /// Its cookies.
    pub jar: Jar,
    /// `Accept-Language`.
    pub language: &'static str,
    door: Door,
}

/// Where a navigation ended.
#[derive(Clone, Debug)]
pub struct Page {
    /// The address shown.
    pub url: Url,
    /// The answer.
    pub response: Response,
    /// The addresses on the way, the first one first.
    pub hops: Vec<Url>,
}

impl Page {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.response.status
    }

    /// What it says to who reads it.
    pub fn said(&self) -> String {
        self.response.said()
    }

    /// How often the navigation passed the provider's authorization endpoint.
    pub fn logins(&self) -> usize {
        self.hops.iter().filter(|url| url.path().ends_with("/authorize")).count()
    }
}

/// A form of a page.
#[derive(Clone, Debug)]
pub struct Form {
    /// Where it goes.
    pub action: String,
    /// Its hidden fields.
    pub fields: Vec<(String, String)>,
}

impl Form {
    /// The first form of `html` that goes to a path ending in `path`.
    pub fn find(html: &str, path: &str) -> Option<Self> {
        html.split("<form").skip(1).find_map(|rest| {
            let form = rest.split("</form").next()?;
            let (opening, content) = form.split_once('>')?;
            let action = attribute(opening, "action")?;
            let inputs = content.split("<input").skip(1).map(|input| input.split('>').next().unwrap_or_default());
            let fields = inputs.filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?)));
            action.ends_with(path).then(|| Self { action: action.clone(), fields: fields.collect() })
        })
    }

    /// As it is submitted.
    pub fn body(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.fields).finish()
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let rest = tag.split_once(&format!("{name}=\""))?.1;
    Some(rest.split('"').next()?.replace("&#x2f;", "/").replace("&#x3D;", "=").replace("&amp;", "&"))
}

impl Browser {
    /// A browser without cookies, which finds the gateway at `door`.
    pub fn new(door: Door, clock: Clock) -> Self {
        Self { jar: Jar::new(clock), language: "fr", door }
    }

    /// Types an address and follows where it leads.
    pub async fn open(&mut self, url: &str) -> Page {
        let url = parse(url);
        let response = self.send(&url, navigation(&url, "none")).await;
        self.follow(url, response).await
    }

    /// Follows a link of another site to an address, and on from there.
    pub async fn arrive(&mut self, url: &str) -> Page {
        let url = parse(url);
        let response = self.send(&url, navigation(&url, "cross-site")).await;
        self.follow(url, response).await
    }

    /// Types an address, and stays where it leads first.
    pub async fn step(&mut self, url: &str) -> Response {
        let url = parse(url);
        self.send(&url, navigation(&url, "none")).await
    }

    /// Submits a form of the same site.
    pub async fn post(&mut self, url: &str, form: &str) -> Page {
        let url = parse(url);
        let request = form_post(&url, form);
        let response = self.send(&url, request).await;
        self.follow(url, response).await
    }

    /// What a script of the same site asks for.
    pub async fn fetch(&mut self, url: &str) -> Response {
        let url = parse(url);
        let request = Request::get(&authority(&url), &target(&url))
            .with("Accept", "*/*")
            .with("Sec-Fetch-Mode", "cors")
            .with("Sec-Fetch-Dest", "empty")
            .with("Sec-Fetch-Site", "same-origin");
        self.send(&url, request).await
    }

    /// What the page's `<img>` asks for.
    pub async fn load_image(&mut self, url: &str) -> Response {
        let url = parse(url);
        let request = Request::get(&authority(&url), &target(&url))
            .with("Accept", "image/avif,image/webp,*/*;q=0.8")
            .with("Sec-Fetch-Mode", "no-cors")
            .with("Sec-Fetch-Dest", "image")
            .with("Sec-Fetch-Site", "same-origin");
        self.send(&url, request).await
    }

    /// Types an address and follows where it leads, up to the callback: its address, not yet visited.
    pub async fn up_to_callback(&mut self, url: &str) -> Url {
        let mut url = parse(url);
        for _ in 0..MOST_REDIRECTS {
            if url.path() == CALLBACK {
                return url;
            }
            let response = self.send(&url, navigation(&url, "none")).await;
            url = url.join(&response.location()).expect("an address to go to");
        }
        panic!("no callback within {MOST_REDIRECTS} redirects");
    }

    /// Sends a request with the cookies of the jar, and keeps the cookies of the answer.
    pub async fn send(&mut self, url: &Url, request: Request) -> Response {
        let request = self.with_cookies(url, request).with("Accept-Language", self.language);
        let mut connection = Connection::open(self.address(url)).await;
        let response = connection.exchange(&request).await;
        self.keep_cookies(url, &response);
        response
    }

    /// The request with the cookies of the jar.
    pub fn with_cookies(&mut self, url: &Url, request: Request) -> Request {
        match self.jar.header(url) {
            Some(cookies) => request.with("Cookie", cookies),
            None => request,
        }
    }

    /// Keeps the cookies of an answer.
    pub fn keep_cookies(&mut self, url: &Url, response: &Response) {
        for line in response.head.values("set-cookie") {
            self.jar.store(url, &line);
        }
    }

    /// Whether a session cookie of `host` is in the jar.
    pub fn has_session(&self, host: &str) -> bool {
        !self.jar.session(host).is_empty()
    }

    async fn follow(&mut self, mut url: Url, mut response: Response) -> Page {
        let mut hops = vec![url.clone()];
        while response.is_redirect() {
            assert!(hops.len() <= MOST_REDIRECTS, "too many redirects: {hops:#?}");
            url = url.join(&response.location()).expect("an address to go to");
            hops.push(url.clone());
            response = self.send(&url, navigation(&url, "cross-site")).await;
        }
        Page { url, response, hops }
    }

    fn address(&self, url: &Url) -> SocketAddr {
        // The provider's address is its own; every other host is at the gateway.
        let own = format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or_default()).parse();
        own.unwrap_or_else(|_| *self.door.lock().expect("no test panics while it moves the gateway"))
    }
}

/// An address of a test.
pub fn parse(url: &str) -> Url {
    Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// The `Host` of a request for `url`.
pub fn authority(url: &Url) -> String {
    let host = url.host_str().expect("an address with a host");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The target, in origin-form, of a request for `url`.
pub fn target(url: &Url) -> String {
    url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
}

/// The GET that opens `url` in a tab.
pub fn navigation(url: &Url, site: &str) -> Request {
    Request::get(&authority(url), &target(url))
        .with("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
        .with("Sec-Fetch-Mode", "navigate")
        .with("Sec-Fetch-Dest", "document")
        .with("Sec-Fetch-Site", site)
        .with("Sec-Fetch-User", "?1")
}

/// The POST of a form of the same site.
pub fn form_post(url: &Url, form: &str) -> Request {
    Request::new("POST", &authority(url), &target(url))
        .with("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
        .with("Content-Type", "application/x-www-form-urlencoded")
        .with("Origin", url.origin().ascii_serialization())
        .with("Sec-Fetch-Mode", "navigate")
        .with("Sec-Fetch-Dest", "document")
        .with("Sec-Fetch-Site", "same-origin")
        .body(form)
}
