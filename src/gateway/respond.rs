//! Answers: our own, written out; and the upstream's, on their way to the agent.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, ETAG, LOCATION,
    REFERRER_POLICY, SET_COOKIE, STRICT_TRANSPORT_SECURITY, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::context::BadBody;
use super::decide::Forward;
use super::site::{Route, Site};
use crate::page::{Answer, Format, Language, Message, PROCONNECT, View};
use crate::route::{Authority, Scheme};
use crate::session::{Session as AgentSession, cookie};
use crate::upstream::{Origin, Upstream};

/// An answer of our own.
#[derive(Debug)]
pub struct Reply {
    /// What is answered.
    pub answer: Answer,
    /// `Set-Cookie` values.
    pub cookies: Vec<HeaderValue>,
    /// Why, for the access line: stable.
    pub reason: &'static str,
    /// The route that was asked for, where one is known.
    pub route: Option<Arc<Route>>,
    /// The session that came, where it is valid.
    pub session: Option<Arc<AgentSession>>,
}

impl Reply {
    /// `answer`, because of `reason`.
    #[must_use]
    pub const fn new(answer: Answer, reason: &'static str) -> Self {
        Self { answer, cookies: Vec::new(), reason, route: None, session: None }
    }

    /// A page, or what stands for it where no person reads it.
    #[must_use]
    pub fn page(
        site: &Site,
        message: &Message<'_>,
        (format, language): (Format, Language),
        contact: Option<&str>,
        request_id: &str,
    ) -> Self {
        // No message told here speaks of a provider.
        let provider = PROCONNECT;
        let (prefix, has_portal) = (site.prefix.as_str(), !site.portal.is_empty());
        Self::told(site, message, &View { language, format, request_id, contact, provider, prefix, has_portal })
    }

    /// The same, told as `view` says.
    #[must_use]
    pub fn told(site: &Site, message: &Message<'_>, view: &View<'_>) -> Self {
        let mut answer = site.pages.render(message, view);
        if site.scheme == Scheme::Https {
            answer.headers.push((STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000")));
        }
        Self::new(answer, message.reason_code())
    }

    /// A redirect that a browser follows with `GET`, whatever it sent; nothing is cached and nothing is told to where it
    /// leads.
    #[must_use]
    pub fn see_other(location: &str, reason: &'static str) -> Self {
        let location = HeaderValue::from_str(location).unwrap_or_else(|_| HeaderValue::from_static("/"));
        let headers = vec![
            (LOCATION, location),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        Self::new(Answer { status: StatusCode::SEE_OTHER, headers, body: Bytes::new() }, reason)
    }

    /// The same answer, which also sets these cookies.
    #[must_use]
    pub fn with_cookies(mut self, cookies: impl IntoIterator<Item = HeaderValue>) -> Self {
        self.cookies.extend(cookies);
        self
    }

    /// The same answer for a more precise reason.
    #[must_use]
    pub const fn because(mut self, reason: &'static str) -> Self {
        self.reason = reason;
        self
    }

    /// Writes the answer.
    ///
    /// # Errors
    ///
    /// The agent is gone.
    pub async fn write(self, session: &mut Session, request_id: &str) -> Result<()> {
        let mut head = ResponseHeader::build(self.answer.status, Some(self.answer.headers.len() + 4))?;
        for (name, value) in self.answer.headers {
            head.append_header(name, value)?;
        }
        for cookie in self.cookies {
            head.append_header(SET_COOKIE, cookie)?;
        }
        head.insert_header(CONTENT_LENGTH, self.answer.body.len())?;
        head.insert_header("X-Request-Id", request_id)?;
        let silent = session.req_header().method == Method::HEAD || self.answer.body.is_empty();
        session.write_response_header(Box::new(head), silent).await?;
        // The end of the answer is written in any case: without it, HTTP/2 resets a stream that had its head alone.
        session.write_response_body((!silent).then_some(self.answer.body), true).await
    }
}

/// Makes an upstream's answer the agent's.
///
/// # Errors
///
/// The upstream answered what no proxy may pass on.
pub fn adapt(head: &mut ResponseHeader, forward: &mut Forward, request_id: &str) -> Result<()> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS && !forward.upgrade {
        return Error::e_explain(ErrorType::InvalidHTTPHeader, "101 that nobody asked for").map_err(Error::into_up);
    }
    // Whatever the application speaks: the version is that of who sends the message (RFC 9110 section 2.5).
    head.set_version(Version::HTTP_11);
    drop_hop_by_hop(head);
    drop_own_cookies(head)?;
    relocate(head, &forward.route)?;
    if forward.permit.session().is_some() && !head.headers.contains_key(CACHE_CONTROL) {
        // Without a word from the application, nothing that one agent saw is for a shared cache.
        head.insert_header(CACHE_CONTROL, "private")?;
    }
    if !forward.cookies.is_empty() && !is_shared(head) {
        set_cookies(head, &mut forward.cookies)?;
    }
    head.insert_header("X-Request-Id", request_id)
}

/// Makes an answer with chunks one that ends with its connection; whether it had any. HTTP/1.0 knows no chunks (RFC 9112
/// section 6.1).
pub fn unchunk(head: &mut ResponseHeader) -> bool {
    head.remove_header(&TRANSFER_ENCODING).is_some()
}

/// Turns the answer of the application's own logout page into the redirect to the provider; its cookies stay.
///
/// # Errors
///
/// None in practice: the location is a URL of ours.
pub fn turn_into_logout(head: &mut ResponseHeader, ended: crate::logout::Ended) -> Result<()> {
    head.set_status(StatusCode::SEE_OTHER)?;
    for name in [TRANSFER_ENCODING, CONTENT_TYPE, CONTENT_ENCODING, ETAG] {
        head.remove_header(&name);
    }
    head.insert_header(CONTENT_LENGTH, 0)?;
    head.insert_header(LOCATION, ended.location)?;
    head.insert_header(CACHE_CONTROL, "no-store")?;
    head.insert_header(REFERRER_POLICY, "no-referrer")?;
    for cookie in ended.cookies {
        head.append_header(SET_COOKIE, cookie)?;
    }
    Ok(())
}

/// Status and page for a request that could not be proxied; none where the agent is gone.
pub fn failure<'a>(error: &Error, application: &'a str) -> Option<Message<'a>> {
    if let Some(bad) = BadBody::behind(error) {
        return Some(Message::BadRequest { code: bad.reason_code(), status: bad.status() });
    }
    match (error.etype(), error.esource()) {
        (ErrorType::HTTPStatus(413), _) => Some(Message::PayloadTooLarge),
        (ErrorType::HTTPStatus(status), _) => Some(Message::BadRequest {
            code: "request_refused",
            status: StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST),
        }),
        (_, ErrorSource::Downstream) => match error.etype() {
            // Of a stream, HTTP/2 says no more than that it is over.
            ErrorType::ConnectionClosed
            | ErrorType::H2Error
            | ErrorType::ReadError
            | ErrorType::WriteError
            | ErrorType::WriteTimedout => None,
            ErrorType::ReadTimedout => {
                Some(Message::BadRequest { code: "request_body_timeout", status: StatusCode::REQUEST_TIMEOUT })
            }
            _ => Some(Message::BadRequest { code: "request_invalid", status: StatusCode::BAD_REQUEST }),
        },
        (
            ErrorType::ConnectTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout
            | ErrorType::TLSHandshakeTimedout,
            _,
        ) => Some(Message::UpstreamTimeout { application }),
        (_, ErrorSource::Internal) => Some(Message::Internal),
        _ => Some(Message::UpstreamUnavailable { application }),
    }
}

/// What concerns the connection to the upstream alone (RFC 9110 section 7.6.1); pingora writes its own `Connection` and
/// framing, and needs `Upgrade` to switch protocols.
fn drop_hop_by_hop(head: &mut ResponseHeader) {
    const NAMES: [&str; 5] = ["keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer"];
    let nominated: Vec<HeaderName> = head
        .headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| {
            !matches!(
                name.as_str(),
                "close" | "keep-alive" | "upgrade" | "set-cookie" | "content-length" | "transfer-encoding"
            )
        })
        .collect();
    for name in nominated {
        head.remove_header(&name);
    }
    for name in NAMES {
        head.remove_header(name);
    }
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        head.remove_header(&UPGRADE);
    }
}

/// An application cannot set, or remove, a cookie of ours.
///
/// # Errors
///
/// None in practice: what stays was a legal field before.
pub fn drop_own_cookies(head: &mut ResponseHeader) -> Result<()> {
    if !head.headers.get_all(SET_COOKIE).iter().any(|value| cookie::is_own(value.as_bytes())) {
        return Ok(());
    }
    let kept: Vec<HeaderValue> =
        head.headers.get_all(SET_COOKIE).iter().filter(|value| !cookie::is_own(value.as_bytes())).cloned().collect();
    head.remove_header(&SET_COOKIE);
    for value in kept {
        head.append_header(SET_COOKIE, value)?;
    }
    Ok(())
}

/// A `Location` that names the upstream, or our authority under another scheme, becomes the origin that agents see.
fn relocate(head: &mut ResponseHeader, route: &Route) -> Result<()> {
    for name in [LOCATION, CONTENT_LOCATION] {
        let given = head.headers.get(&name);
        if let Some(external) = given
            .and_then(|value| external_location(value, (&route.host.authority, &route.host.origin), &route.upstream))
        {
            head.insert_header(name, external)?;
        }
    }
    Ok(())
}

/// Bytes, not text: what follows the authority may be raw UTF-8 or Latin-1, and is none of our business.
fn external_location(
    value: &HeaderValue,
    (authority, external): (&Authority, &str),
    upstream: &Upstream,
) -> Option<HeaderValue> {
    let location = value.as_bytes();
    let authority_at = location.windows(2).position(|pair| pair == b"//")? + 2;
    let length = location[authority_at..].iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let (origin, rest) = location.split_at(length.map_or(location.len(), |length| authority_at + length));
    let origin = std::str::from_utf8(origin).ok()?;
    let is_internal = |origin: Origin| origin.authority() == authority || upstream.is_at(&origin);
    let named = if origin.starts_with("//") {
        // RFC 3986 section 4.2: the scheme is that of the request, which the application may know or not.
        [Scheme::Http, Scheme::Https].iter().any(|scheme| format!("{scheme}:{origin}").parse().is_ok_and(is_internal))
    } else {
        origin.parse().is_ok_and(is_internal)
    };
    named.then(|| HeaderValue::from_bytes(&[external.as_bytes(), rest].concat()).ok()).flatten()
}

/// What an application says of caching, without arguments (RFC 9111 section 5.2).
fn cache_directives(head: &ResponseHeader) -> impl Iterator<Item = &str> {
    let fields = head.headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    fields.flat_map(|field| field.split(',')).filter_map(|directive| directive.split('=').next()).map(str::trim)
}

/// Whether the application wants shared caches to keep the answer: then it must not carry anybody's cookie.
fn is_shared(head: &ResponseHeader) -> bool {
    cache_directives(head)
        .any(|directive| directive.eq_ignore_ascii_case("public") || directive.eq_ignore_ascii_case("s-maxage"))
}

fn is_kept_private(head: &ResponseHeader) -> bool {
    cache_directives(head)
        .any(|directive| directive.eq_ignore_ascii_case("private") || directive.eq_ignore_ascii_case("no-store"))
}

/// A `Set-Cookie` keeps no shared cache from keeping an answer (RFC 9111 section 7.3): only `private` does.
fn set_cookies(head: &mut ResponseHeader, cookies: &mut Vec<HeaderValue>) -> Result<()> {
    if !is_kept_private(head) {
        head.append_header(CACHE_CONTROL, "private")?;
    }
    for cookie in cookies.drain(..) {
        head.append_header(SET_COOKIE, cookie)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::upstream::Reach;

    fn head(status: u16, fields: &[(&str, &str)]) -> ResponseHeader {
        let mut head = ResponseHeader::build(status, None).unwrap();
        for (name, value) in fields {
            head.append_header((*name).to_owned(), HeaderValue::from_bytes(value.as_bytes()).unwrap()).unwrap();
        }
        head
    }

    fn names(head: &ResponseHeader) -> Vec<&str> {
        head.headers.keys().map(HeaderName::as_str).collect()
    }

    fn relocated(location: &[u8]) -> Option<Vec<u8>> {
        let host = ("paie.example".parse().unwrap(), "https://paie.example");
        let reach = Reach {
            origins: vec!["http://10.0.0.11:8080".parse().unwrap(), "https://app.internal".parse().unwrap()],
            ca: None,
            server_name: None,
            connect_timeout: Duration::from_secs(1),
            silence_timeout: Duration::from_secs(1),
        };
        let upstream = Upstream::new(&reach).unwrap();
        let external = external_location(&HeaderValue::from_bytes(location).unwrap(), (&host.0, host.1), &upstream);
        external.map(|value| value.as_bytes().to_vec())
    }

    #[test]
    fn a_location_that_names_the_upstream_names_the_external_origin_instead() {
        for (internal, external) in [
            ("http://10.0.0.11:8080/a?b#c", "https://paie.example/a?b#c"),
            ("http://10.0.0.11:8080", "https://paie.example"),
            ("http://10.0.0.11:8080?b", "https://paie.example?b"),
            ("HTTPS://App.Internal:443/a//b", "https://paie.example/a//b"),
            ("//app.internal/a", "https://paie.example/a"),
            ("//10.0.0.11:8080/a", "https://paie.example/a"),
            ("http://paie.example/a", "https://paie.example/a"),
            ("http://paie.example:80/a", "https://paie.example/a"),
            ("http://10.0.0.11:8080/dépôt", "https://paie.example/dépôt"),
        ] {
            assert_eq!(relocated(internal.as_bytes()), Some(external.as_bytes().to_vec()), "{internal}");
        }
        assert_eq!(relocated(b"http://app.internal:80/"), None, "another port is another origin");
        assert_eq!(relocated(b"https://app.internal/d\xe9p\xf4t").unwrap(), b"https://paie.example/d\xe9p\xf4t");
    }

    #[test]
    fn every_other_location_stays() {
        for location in [
            "",
            "/",
            "/a//b",
            "a/b",
            "?x",
            "//",
            "//evil.test/",
            "http:///a",
            "https://elsewhere.example/",
            "http://10.0.0.11/",
            "http://user@10.0.0.11:8080/",
            "http://10.0.0.11:8080.evil.test/",
            "/login?next=http://10.0.0.11:8080/",
            "mailto:a@paie.example",
        ] {
            assert_eq!(relocated(location.as_bytes()), None, "{location}");
        }
    }

    #[test]
    fn what_concerns_the_upstream_connection_alone_stays_there() {
        let mut answer = head(
            200,
            &[
                ("Connection", "close, X-Hop , content-length,\u{e9}, , Upgrade"),
                ("Connection", "x-other"),
                ("X-Hop", "1"),
                ("X-Other", "1"),
                ("Content-Length", "3"),
                ("Keep-Alive", "timeout=5"),
                ("Proxy-Authenticate", "Basic"),
                ("Trailer", "X"),
                ("Upgrade", "h2c"),
                ("Set-Cookie", "a=b"),
            ],
        );
        drop_hop_by_hop(&mut answer);
        assert!(
            !names(&answer).iter().any(|name| {
                matches!(*name, "x-other" | "keep-alive" | "proxy-authenticate" | "trailer" | "upgrade")
            })
        );
        assert!(["content-length", "set-cookie"].iter().all(|name| names(&answer).contains(name)));
        let mut switched = head(101, &[("Connection", "Upgrade"), ("Upgrade", "websocket")]);
        drop_hop_by_hop(&mut switched);
        assert!(names(&switched).contains(&"upgrade"));
    }

    #[test]
    fn an_application_sets_its_own_cookies_only() {
        let mut answer = head(
            200,
            &[
                ("Set-Cookie", "a=1"),
                ("Set-Cookie", " __host-Portillon=x; Path=/"),
                ("Set-Cookie", "=__Host-portillon=x"),
                ("Set-Cookie", "b=__Host-portillon"),
            ],
        );
        drop_own_cookies(&mut answer).unwrap();
        assert_eq!(answer.headers.get_all(SET_COOKIE).iter().collect::<Vec<_>>(), ["a=1", "b=__Host-portillon"]);
    }

    #[test]
    fn a_cookie_of_ours_makes_an_answer_private_and_spares_shared_ones() {
        for (control, shared, private) in [
            ("public, max-age=60", true, false),
            ("max-age=60, S-MaxAge=600", true, false),
            ("max-age=60", false, false),
            ("no-cache", false, false),
            ("Private", false, true),
            ("no-cache, no-store", false, true),
            ("x-public, private=\"x\"", false, true),
        ] {
            let answer = head(200, &[("Cache-Control", control)]);
            assert_eq!((is_shared(&answer), is_kept_private(&answer)), (shared, private), "{control}");
        }
        let mut answer = head(200, &[("Cache-Control", "max-age=60")]);
        set_cookies(&mut answer, &mut vec![HeaderValue::from_static("c=1")]).unwrap();
        assert_eq!(answer.headers.get_all(CACHE_CONTROL).iter().collect::<Vec<_>>(), ["max-age=60", "private"]);
        assert_eq!(answer.headers[SET_COOKIE], "c=1");
    }

    #[test]
    fn a_logout_page_becomes_a_redirect_that_keeps_its_cookies() {
        let mut answer = head(
            200,
            &[
                ("Set-Cookie", "app=; Max-Age=0"),
                ("Transfer-Encoding", "chunked"),
                ("Content-Type", "text/html"),
                ("Content-Encoding", "gzip"),
                ("Cache-Control", "public"),
                ("Location", "/login"),
            ],
        );
        let cookies = vec![HeaderValue::from_static("ours=; Max-Age=0")];
        let ended = crate::logout::Ended { cookies, location: "https://fi.example/end?state=s".to_owned() };
        turn_into_logout(&mut answer, ended).unwrap();
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert_eq!(answer.headers[LOCATION], "https://fi.example/end?state=s");
        assert_eq!(
            (&answer.headers[CONTENT_LENGTH], &answer.headers[CACHE_CONTROL]),
            (&"0".parse().unwrap(), &"no-store".parse().unwrap())
        );
        assert_eq!(answer.headers.get_all(SET_COOKIE).iter().count(), 2);
        assert!(!names(&answer).iter().any(|name| name.starts_with("content-type") || *name == "transfer-encoding"));
    }

    #[test]
    fn a_failure_is_told_by_who_failed() {
        let code = |error: Box<Error>| failure(&error, "paie").map(|message| message.reason_code());
        let timed_out = |kind| Error::new(kind);
        assert_eq!(code(timed_out(ErrorType::WriteTimedout).into_down()), None, "a reader that stopped reads no page");
        assert_eq!(code(Error::new(ErrorType::ConnectionClosed).into_down()), None);
        assert_ne!(
            code(timed_out(ErrorType::ReadTimedout).into_down()),
            code(timed_out(ErrorType::ReadTimedout).into_up())
        );
        assert_eq!(
            code(timed_out(ErrorType::ConnectTimedout).into_up()),
            code(timed_out(ErrorType::ReadTimedout).into_up())
        );
        assert_ne!(
            code(Error::new(ErrorType::InternalError).into_in()),
            code(Error::new(ErrorType::ConnectRefused).into_up())
        );
    }
}
