//! A request, read once: the only reader of raw request heads.
//!
//! Nothing here decides. Scheme and authority that agents see are configuration; of the request only its `Host` picks
//! among the configured ones.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_LANGUAGE, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, FORWARDED, HOST,
    ORIGIN, REFERER, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, Method, Version};
use pingora::http::RequestHeader;

use super::context::Peer;
use crate::http_ext::TrustedProxy;
use crate::page::Language;
use crate::route::{Authority, RequestPath, Scheme};
use crate::session::cookie::OwnCookies;
use crate::stash::Form;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who asks, as far as a browser tells (Fetch metadata; `Accept` where a browser does not send that).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A navigation that carries a form: its body would be lost in a redirect.
    Form,
    /// A navigation of a frame: a login page would refuse to be framed.
    Frame,
    /// A top-level navigation: the only thing that starts a login.
    Navigation,
    /// A script, or a program that is no browser.
    Script,
    /// An image, a style, a favicon, a preflight, a prefetch, a WebSocket handshake: nobody reads the answer.
    Subresource,
}

/// What is read from a request's head.
#[derive(Debug)]
pub struct Request<'r> {
    head: &'r RequestHeader,
    /// The path, as rules look at it and as it came.
    pub path: RequestPath<'r>,
    /// The query, where there is a `?`.
    pub query: Option<&'r str>,
    /// The cookies of ours.
    pub cookies: OwnCookies,
}

impl<'r> Request<'r> {
    /// Reads a head; none where its target is no UTF-8 (the connection layer refuses that first).
    #[must_use]
    pub fn read(head: &'r RequestHeader) -> Option<Self> {
        let target = std::str::from_utf8(head.raw_path()).ok()?;
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let cookies = OwnCookies::read(head.headers.get_all(COOKIE).iter());
        Some(Self { head, path: RequestPath::new(path), query, cookies })
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &'r Method {
        &self.head.method
    }

    /// Path and query, as they came.
    #[must_use]
    pub fn target(&self) -> &'r str {
        std::str::from_utf8(self.head.raw_path()).unwrap_or("/")
    }

    /// The authority that the request names.
    #[must_use]
    pub fn host(&self) -> &'r str {
        self.text(&HOST).unwrap_or_default()
    }

    /// The language that the agent reads.
    #[must_use]
    pub fn language(&self) -> Language {
        Language::negotiate(self.text(&ACCEPT_LANGUAGE))
    }

    /// Who asks.
    #[must_use]
    pub fn kind(&self) -> Kind {
        let method = self.method();
        if self.is_upgrade() || self.is_prefetch() || method == Method::OPTIONS {
            return Kind::Subresource;
        }
        match (self.named("sec-fetch-mode"), self.named("sec-fetch-dest")) {
            (Some("navigate"), Some("frame" | "iframe" | "embed" | "object")) => Kind::Frame,
            (Some("navigate"), _) => Self::navigation(method),
            (Some(_), Some("empty") | None) => Kind::Script,
            (Some(_), Some(_)) => Kind::Subresource,
            (None, _) => self.kind_by_accept(),
        }
    }

    /// Whether a browser says that another site made it send this.
    #[must_use]
    pub fn is_cross_site(&self) -> bool {
        self.named("sec-fetch-site") == Some("cross-site")
    }

    /// Whether a browser says that another origin made it send this. Our own pages send no referrer, which makes their
    /// forms' `Origin` read `null` (Fetch section 3.2): that alone says nothing.
    #[must_use]
    pub fn is_from_elsewhere(&self, own_origin: &str) -> bool {
        match self.named("sec-fetch-site") {
            Some(site) => !matches!(site, "same-origin" | "none"),
            None => self.text(&ORIGIN).is_some_and(|origin| origin != own_origin && origin != "null"),
        }
    }

    /// Whether a page of the host's own, or the browser by itself, sent this form (Fetch Metadata; RFC 6454 section 7
    /// where a browser does not send that). A browser that says nothing may be anybody's tool.
    #[must_use]
    pub fn is_own_form(&self, own_origin: &str) -> bool {
        let origin = self.text(&ORIGIN);
        match self.named("sec-fetch-site") {
            // `none`: no page made the browser send it. It restores a tab, or reloads one at the agent's word.
            Some("same-origin" | "none") => origin.is_none_or(|origin| origin == own_origin || origin == "null"),
            Some(_) => false,
            None => origin == Some(own_origin),
        }
    }

    /// What it takes to send this form again, but for its body; none where it is not one that can be.
    #[must_use]
    pub fn form(&self, own_origin: &str) -> Option<Form> {
        let headers = &self.head.headers;
        let field = |name: HeaderName| headers.get(name).cloned();
        let is_plain = !headers.contains_key(CONTENT_ENCODING);
        (is_plain && self.method() == Method::POST && self.kind() == Kind::Form && self.is_own_form(own_origin)).then(
            || Form {
                target: self.target().to_owned(),
                content_type: field(CONTENT_TYPE),
                origin: field(ORIGIN),
                referer: field(REFERER),
                same_origin: self.named("sec-fetch-site").is_none_or(|site| site == "same-origin"),
                body: Bytes::new(),
            },
        )
    }

    /// Whether the body is what forms are made of: `application/x-www-form-urlencoded`.
    #[must_use]
    pub fn is_urlencoded(&self) -> bool {
        let media_type = self.text(&CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }

    /// The length that the request declares for its body, where it does.
    #[must_use]
    pub fn declared_length(&self) -> Option<u64> {
        self.text(&CONTENT_LENGTH).and_then(|length| length.parse().ok())
    }

    /// The origin that the request names, where it does.
    #[must_use]
    pub fn origin(&self) -> Option<&'r str> {
        self.text(&ORIGIN)
    }

    /// Whether the request opens a WebSocket (RFC 6455 section 4.1). No other protocol passes: behind HTTP/2 in clear, an
    /// agent would talk to the application unheard.
    #[must_use]
    pub fn asks_for_upgrade(&self) -> bool {
        let options = self.head.headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
        let mut options = options.flat_map(|value| value.split(',')).map(str::trim);
        self.method() == Method::GET
            && self.head.version == Version::HTTP_11
            && self.text(&UPGRADE).is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
            && options.any(|option| option.eq_ignore_ascii_case("upgrade"))
            && self.named("sec-websocket-version") == Some("13")
    }

    /// Whether the request names another protocol.
    #[must_use]
    pub fn is_upgrade(&self) -> bool {
        self.head.headers.contains_key(UPGRADE)
    }

    /// The address of whoever is behind the trusted proxies; the peer's own where that is none of them.
    #[must_use]
    pub fn client(&self, peer: &Peer, trusted: &[TrustedProxy]) -> Option<IpAddr> {
        client(&self.head.headers, peer, trusted)
    }

    fn navigation(method: &Method) -> Kind {
        match *method {
            Method::GET => Kind::Navigation,
            Method::HEAD => Kind::Subresource,
            _ => Kind::Form,
        }
    }

    /// For browsers that do not send Fetch metadata, or not over this connection.
    fn kind_by_accept(&self) -> Kind {
        let accept = self.text(&ACCEPT).unwrap_or_default();
        if self.head.headers.contains_key("x-requested-with") {
            Kind::Script
        } else if accept.contains("text/html") {
            Self::navigation(self.method())
        } else if accept.starts_with("image/") || accept.starts_with("text/css") || self.path.raw() == "/favicon.ico" {
            Kind::Subresource
        } else {
            Kind::Script
        }
    }

    fn is_prefetch(&self) -> bool {
        ["sec-purpose", "purpose"].iter().any(|name| self.named(name).is_some_and(|value| value.contains("prefetch")))
    }

    fn text(&self, name: &HeaderName) -> Option<&'r str> {
        self.head.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The request's `User-Agent` (RFC 9110 section 10.1.5).
    #[must_use]
    pub fn user_agent(&self) -> Option<&'r str> {
        self.text(&USER_AGENT)
    }

    fn named(&self, name: &str) -> Option<&'r str> {
        self.head.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The configured authority that `host` names, in any spelling of it.
pub fn known_authority<'t>(
    host: &str,
    scheme: Scheme,
    known: impl Fn(&str) -> Option<&'t Authority>,
) -> Option<&'t Authority> {
    known(host).or_else(|| known(host.parse::<Authority>().ok()?.normalized(scheme).as_str()))
}

/// Read from the right: each trusted proxy vouches for the address that it added, and the first that is none of them is
/// the client. What stands to the left of that is hearsay; and where `Forwarded` and `X-Forwarded-For` disagree, one of
/// them is the client's own invention, which the proxy let pass: then neither is believed.
fn client(headers: &HeaderMap, peer: &Peer, trusted: &[TrustedProxy]) -> Option<IpAddr> {
    let own = match peer {
        Peer::Tcp(address) => Some(address.ip().to_canonical()),
        Peer::Unix => None,
    };
    if !trusted.iter().any(|proxy| proxy.holds(own)) {
        return own;
    }
    let told = [forwarded(headers), x_forwarded_for(headers)];
    let mut clients = told.iter().filter(|chain| !chain.is_empty()).map(|chain| behind(chain, own, trusted));
    match (clients.next(), clients.next()) {
        (Some(one), Some(other)) if one != other => own,
        (Some(client), _) => client,
        (None, _) => own,
    }
}

/// The first address from the right of `chain` that is no trusted proxy, or the last one known before what is none.
fn behind(chain: &[Option<IpAddr>], own: Option<IpAddr>, trusted: &[TrustedProxy]) -> Option<IpAddr> {
    let mut client = own;
    for address in chain.iter().rev() {
        if address.is_none() {
            return client;
        }
        client = *address;
        if !trusted.iter().any(|proxy| proxy.holds(client)) {
            return client;
        }
    }
    client
}

/// The addresses of `Forwarded` (RFC 7239 section 5.2), in order; none for what is no address.
fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    elements(headers, &FORWARDED).map(|element| element.split(';').find_map(for_parameter).and_then(address)).collect()
}

/// The addresses of `X-Forwarded-For`, in order; none for what is no address.
fn x_forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    elements(headers, &X_FORWARDED_FOR).map(address).collect()
}

fn elements<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let fields = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    fields.flat_map(|field| field.split(',')).map(str::trim)
}

fn for_parameter(pair: &str) -> Option<&str> {
    let (name, value) = pair.split_once('=')?;
    name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
}

/// An address with or without a port and brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    // An IPv4 address is the same when it comes mapped into IPv6.
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, fields: &[(&str, &str)]) -> RequestHeader {
        let mut head = RequestHeader::build(method, b"/page?x", None).unwrap();
        for (name, value) in fields {
            head.append_header((*name).to_owned(), *value).unwrap();
        }
        head
    }

    fn kind(method: &str, fields: &[(&str, &str)]) -> Kind {
        Request::read(&head(method, fields)).unwrap().kind()
    }

    #[test]
    fn fetch_metadata_tells_who_asks() {
        let navigate = ("sec-fetch-mode", "navigate");
        assert_eq!(kind("GET", &[navigate, ("sec-fetch-dest", "document")]), Kind::Navigation);
        assert_eq!(kind("POST", &[navigate, ("sec-fetch-dest", "document")]), Kind::Form);
        assert_eq!(kind("HEAD", &[navigate, ("sec-fetch-dest", "document")]), Kind::Subresource);
        assert_eq!(kind("GET", &[navigate, ("sec-fetch-dest", "iframe")]), Kind::Frame);
        assert_eq!(kind("GET", &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")]), Kind::Script);
        assert_eq!(kind("GET", &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")]), Kind::Subresource);
        assert_eq!(kind("GET", &[navigate, ("sec-purpose", "prefetch;prerender")]), Kind::Subresource);
        assert_eq!(kind("GET", &[navigate, ("upgrade", "websocket")]), Kind::Subresource);
        assert_eq!(kind("OPTIONS", &[("origin", "https://x")]), Kind::Subresource);
    }

    #[test]
    fn accept_tells_it_where_a_browser_sends_no_metadata() {
        assert_eq!(kind("GET", &[("accept", "text/html,*/*;q=0.8")]), Kind::Navigation);
        assert_eq!(kind("POST", &[("accept", "text/html")]), Kind::Form);
        assert_eq!(kind("GET", &[("accept", "text/html"), ("x-requested-with", "XMLHttpRequest")]), Kind::Script);
        assert_eq!(kind("GET", &[("accept", "image/avif,*/*")]), Kind::Subresource);
        assert_eq!(kind("GET", &[("accept", "*/*")]), Kind::Script);
        assert_eq!(kind("GET", &[]), Kind::Script);
    }

    #[test]
    fn a_form_of_our_own_is_told_from_another_sites() {
        let own =
            |fields: &[(&str, &str)]| !Request::read(&head("POST", fields)).unwrap().is_from_elsewhere("https://a.fr");
        assert!(own(&[("origin", "https://a.fr")]) && own(&[]));
        assert!(own(&[("origin", "null"), ("sec-fetch-site", "same-origin")]));
        assert!(!own(&[("origin", "https://b.fr")]) && !own(&[("sec-fetch-site", "same-site")]));
        assert!(!own(&[("origin", "null"), ("sec-fetch-site", "cross-site")]));
    }

    fn client_of(peer: &str, fields: &[(&str, &str)], trusted: &[&str]) -> String {
        let trusted: Vec<_> = trusted.iter().map(|network| TrustedProxy::Network(network.parse().unwrap())).collect();
        let peer = Peer::Tcp(SocketAddr::new(peer.parse().unwrap(), 1));
        Request::read(&head("GET", fields)).unwrap().client(&peer, &trusted).unwrap().to_string()
    }

    #[test]
    fn nobody_is_believed_unless_configured() {
        assert_eq!(client_of("10.0.0.1", &[("x-forwarded-for", "6.6.6.6")], &[]), "10.0.0.1");
        assert_eq!(client_of("10.0.0.1", &[("forwarded", "for=6.6.6.6")], &["192.168.0.0/16"]), "10.0.0.1");
    }

    #[test]
    fn trusted_proxies_are_read_from_the_right() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(client_of("10.0.0.1", &[("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.9")], &trusted), "1.2.3.4");
        assert_eq!(client_of("::ffff:10.0.0.1", &[("x-forwarded-for", "::ffff:1.2.3.4")], &trusted), "1.2.3.4");
        assert_eq!(
            client_of("10.0.0.1", &[("forwarded", "for=\"[2001:db8::1]:80\";proto=https")], &trusted),
            "2001:db8::1"
        );
        assert_eq!(client_of("10.0.0.1", &[("forwarded", "for=unknown, for=10.0.0.2")], &trusted), "10.0.0.2");
        assert_eq!(client_of("10.0.0.1", &[], &trusted), "10.0.0.1");
    }

    #[test]
    fn a_header_that_the_proxy_let_pass_is_not_believed() {
        let both = |forwarded| {
            client_of("10.0.0.1", &[("x-forwarded-for", "1.2.3.4"), ("forwarded", forwarded)], &["10.0.0.0/8"])
        };
        assert_eq!(both("for=1.2.3.4"), "1.2.3.4");
        assert_eq!(both("for=6.6.6.6"), "10.0.0.1");
    }
}
