//! Answers: our own, written out; and the upstream's, on their way to the agent.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, LOCATION, REFERRER_POLICY, SET_COOKIE, STRICT_TRANSPORT_SECURITY,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::decide::Forward;
use super::site::Site;
use crate::page::{Answer, Format, Language, Message, View};
use crate::route::Scheme;
use crate::session::cookie;
use crate::upstream::Origin;

/// An answer of our own.
#[derive(Debug)]
pub struct Reply {
    /// What is answered.
    pub answer: Answer,
    /// `Set-Cookie` values.
    pub cookies: Vec<HeaderValue>,
    /// Why, for the access line: stable.
    pub reason: &'static str,
}

impl Reply {
    /// `answer`, because of `reason`.
    #[must_use]
    pub const fn new(answer: Answer, reason: &'static str) -> Self {
        Self { answer, cookies: Vec::new(), reason }
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
        let view = View { language, format, request_id, contact, prefix: &site.prefix };
        let mut answer = site.pages.render(message, &view);
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
        if !silent {
            session.write_response_body(Some(self.answer.body), true).await?;
        }
        Ok(())
    }
}

/// Makes an upstream's answer the agent's.
///
/// # Errors
///
/// The upstream answered what no proxy may pass on.
pub fn adapt(
    head: &mut ResponseHeader,
    forward: &mut Forward,
    request_id: &str,
    asked_for_upgrade: bool,
) -> Result<()> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS && !asked_for_upgrade {
        return Error::e_explain(ErrorType::InvalidHTTPHeader, "101 that nobody asked for").map_err(Error::into_up);
    }
    drop_hop_by_hop(head);
    drop_own_cookies(head)?;
    relocate(head, forward)?;
    if forward.permit.session().is_some() && !head.headers.contains_key(CACHE_CONTROL) {
        // Without a word from the application, nothing that one agent saw is for a shared cache.
        head.insert_header(CACHE_CONTROL, "private")?;
    }
    if !is_shared(head) {
        for cookie in forward.cookies.drain(..) {
            head.append_header(SET_COOKIE, cookie)?;
        }
    }
    head.insert_header("X-Request-Id", request_id)
}

/// Turns the answer of the application's own logout page into the redirect to the provider; its cookies stay.
///
/// # Errors
///
/// None in practice: the location is a URL of ours.
pub fn turn_into_logout(head: &mut ResponseHeader, ended: crate::logout::Ended) -> Result<()> {
    head.set_status(StatusCode::SEE_OTHER)?;
    for name in [TRANSFER_ENCODING, http::header::CONTENT_TYPE, http::header::CONTENT_ENCODING, http::header::ETAG] {
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
    match (error.etype(), error.esource()) {
        (ErrorType::HTTPStatus(413), _) => Some(Message::PayloadTooLarge),
        (ErrorType::HTTPStatus(status), _) => Some(Message::BadRequest {
            code: "request_refused",
            status: StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST),
        }),
        (_, ErrorSource::Downstream) => match error.etype() {
            ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed => None,
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
fn drop_own_cookies(head: &mut ResponseHeader) -> Result<()> {
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
fn relocate(head: &mut ResponseHeader, forward: &Forward) -> Result<()> {
    for name in [LOCATION, http::header::CONTENT_LOCATION] {
        if let Some(external) = head.headers.get(&name).and_then(|value| external_location(value, forward)) {
            head.insert_header(name, external)?;
        }
    }
    Ok(())
}

fn external_location(value: &HeaderValue, forward: &Forward) -> Option<String> {
    let text = value.to_str().ok()?;
    let authority_at = text.find("://")? + 3;
    let authority_ends = text[authority_at..].find(['/', '?', '#']).map_or(text.len(), |length| authority_at + length);
    let named: Origin = text[..authority_ends].parse().ok()?;
    let host = &forward.route.host;
    let is_ours = *named.authority() == host.authority;
    (is_ours || forward.route.upstream.is_at(&named)).then(|| format!("{}{}", host.origin, &text[authority_ends..]))
}

/// Whether a shared cache may keep the answer: then it must not carry anybody's cookie.
fn is_shared(head: &ResponseHeader) -> bool {
    head.headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("public") || value.contains("s-maxage")
    })
}
