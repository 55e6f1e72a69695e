//! The request on its way to its application: whatever claims an identity is dropped, what the gateway knows is added,
//! and the signature comes last, over what is really sent.
//!
//! pingora has removed hop-by-hop fields, and those that `Connection` names, before this runs: nothing that is added
//! here can be taken away by the client (RFC 9110 section 7.6.1).

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, COOKIE, FORWARDED, HOST, UPGRADE};
use http::{HeaderName, HeaderValue, Version};
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, Result};

use super::decide::Forward;
use super::site::{RequestKey, RequestSigning, Route, Site};
use crate::clock::Timestamp;
use crate::crypto::{base64url, random};
use crate::identity::Assertion;
use crate::session::{Session, cookie};
use crate::signature::{CoveredFields, Target};
use crate::upstream::Upstream;

/// The identity of one session for one route, made at its first request and used for every other.
pub struct Prepared {
    headers: Vec<(Bytes, HeaderValue)>,
    covered: CoveredFields,
    assertion: Option<(Bytes, ArcSwap<Assertion>)>,
}

impl Prepared {
    fn new(site: &Site, route: &Route, session: &Session, now: Timestamp) -> Self {
        let identity = route.plan.headers(session.claims(), session.pseudonym());
        let covered = CoveredFields::new(identity.iter());
        let headers =
            identity.iter().map(|(name, value)| (Bytes::copy_from_slice(name.as_bytes()), value.clone())).collect();
        let name = Bytes::copy_from_slice(route.plan.assertion_name().as_bytes());
        let assertion = assert(site, route, session, now).map(|assertion| (name, ArcSwap::from_pointee(assertion)));
        Self { headers, covered, assertion }
    }

    /// The assertion and its header, made anew once half of its life is over.
    fn assertion(&self, site: &Site, route: &Route, session: &Session, now: Timestamp) -> Option<(Bytes, HeaderValue)> {
        let (name, kept) = self.assertion.as_ref()?;
        if now >= kept.load().renew_at {
            kept.store(Arc::new(assert(site, route, session, now)?));
        }
        Some((name.clone(), kept.load().token.clone()))
    }
}

/// What a request needs of chance, drawn at once: each draw has a price of its own.
struct Chance([u8; 40]);

impl Chance {
    fn draw() -> Self {
        Self(random())
    }

    fn trace_id(&self) -> String {
        hex(&self.0[..16])
    }

    fn parent_id(&self) -> String {
        hex(&self.0[16..24])
    }

    fn nonce(&self) -> String {
        base64url(&self.0[24..])
    }
}

fn assert(site: &Site, route: &Route, session: &Session, now: Timestamp) -> Option<Assertion> {
    let issuer = route.assertion.as_ref()?;
    let keys = site.services.keys.load();
    Some(issuer.issue(keys.assertion_key(now), session.claims(), session.pseudonym(), now))
}

/// Makes the agent's request the application's.
///
/// # Errors
///
/// None in practice: every value is made of visible ASCII.
pub fn adapt(head: &mut RequestHeader, forward: &Forward, site: &Site, request_id: &str) -> Result<()> {
    let chance = Chance::draw();
    drop_reserved(head, site);
    if !forward.upgrade {
        head.remove_header(&UPGRADE);
        head.remove_header(&CONNECTION);
    }
    own_cookies(head)?;
    to_origin(head, forward)?;
    forwarding(head, forward)?;
    trace(head, &chance)?;
    head.insert_header("X-Request-Id", request_id)?;
    identify(head, forward, site, &chance)
}

/// What parts this request's connections from everybody else's: nothing, unless the application binds identity to the
/// connection (NTLM). Such a connection is one agent's alone, or, where there is no agent, this one request's.
pub fn isolation(head: &RequestHeader, forward: &Forward) -> u64 {
    if !is_connection_bound(head) {
        return 0;
    }
    let stranger = || u64::from_ne_bytes(random()).max(1);
    forward.permit.session().map_or_else(stranger, |agent| Upstream::isolated(agent.pseudonym()))
}

fn is_connection_bound(head: &RequestHeader) -> bool {
    head.headers.get_all(AUTHORIZATION).iter().any(|value| {
        let scheme = value.as_bytes().split(u8::is_ascii_whitespace).next().unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"negotiate") || scheme.eq_ignore_ascii_case(b"ntlm")
    })
}

fn drop_reserved(head: &mut RequestHeader, site: &Site) {
    let reserved: Vec<HeaderName> =
        head.headers.keys().filter(|name| site.reserved.contains(name.as_str())).cloned().collect();
    for name in reserved {
        head.remove_header(&name);
    }
}

fn own_cookies(head: &mut RequestHeader) -> Result<()> {
    if !head.headers.contains_key(COOKIE) {
        return Ok(());
    }
    let others = cookie::without_own(head.headers.get_all(COOKIE).iter());
    head.remove_header(&COOKIE);
    match others {
        Some(others) => head.insert_header(COOKIE, others),
        None => Ok(()),
    }
}

/// The application sees the authority that agents see.
fn to_origin(head: &mut RequestHeader, forward: &Forward) -> Result<()> {
    head.set_version(Version::HTTP_11);
    head.insert_header(HOST, forward.route.host.told.authority.clone())
}

fn forwarding(head: &mut RequestHeader, forward: &Forward) -> Result<()> {
    let told = &forward.route.host.told;
    head.insert_header("X-Forwarded-Proto", told.scheme.clone())?;
    head.insert_header("X-Forwarded-Host", told.authority.clone())?;
    let client = forward.client.as_ref().map(IpAddr::to_string);
    head.insert_header(FORWARDED, ["for=", &forwarded_node(client.as_deref()), &told.forwarded].concat())?;
    client.map_or(Ok(()), |client| head.insert_header("X-Forwarded-For", client))
}

/// RFC 7239 section 6: an IPv6 address, which its colons tell, is bracketed and quoted.
fn forwarded_node(client: Option<&str>) -> Cow<'_, str> {
    match client {
        Some(address) if address.contains(':') => format!("\"[{address}]\"").into(),
        Some(address) => address.into(),
        None => "unknown".into(),
    }
}

/// Continues the trace that the request belongs to, or begins one (W3C Trace Context section 3).
fn trace(head: &mut RequestHeader, chance: &Chance) -> Result<()> {
    let given = head.headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(trace_id_and_flags);
    let parent_id = chance.parent_id();
    let continued = given.map(|(trace_id, flags)| ["00", trace_id, &parent_id, flags].join("-"));
    if continued.is_none() {
        head.remove_header("tracestate");
    }
    let begun = || ["00", &chance.trace_id(), &parent_id, "00"].join("-");
    head.insert_header("traceparent", continued.unwrap_or_else(begun))
}

fn trace_id_and_flags(traceparent: &str) -> Option<(&str, &str)> {
    let is_hex =
        |text: &str, length| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    let mut fields = traceparent.split('-');
    let (version, trace_id, parent_id, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let known = version == "00" && fields.next().is_none();
    let valid =
        is_hex(trace_id, 32) && !is_zero(trace_id) && is_hex(parent_id, 16) && !is_zero(parent_id) && is_hex(flags, 2);
    (known && valid).then_some((trace_id, flags))
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 0xF));
    }
    text
}

fn identify(head: &mut RequestHeader, forward: &Forward, site: &Site, chance: &Chance) -> Result<()> {
    let nonce = chance.nonce();
    let now = site.services.clock.now();
    let route = &forward.route;
    let Some(session) = forward.permit.session() else {
        return sign(head, route, &CoveredFields::none(), site, (now, &nonce));
    };
    let key = (session.id(), session.identified_at(), route.index);
    let prepared = site.prepared.get_with(key, || Arc::new(Prepared::new(site, route, session, now)));
    for (name, value) in &prepared.headers {
        head.insert_header(name.clone(), value.clone())?;
    }
    if let Some((name, token)) = prepared.assertion(site, route, session, now) {
        head.insert_header(name, token)?;
    }
    sign(head, route, &prepared.covered, site, (now, &nonce))
}

fn sign(
    head: &mut RequestHeader,
    route: &Route,
    covered: &CoveredFields,
    site: &Site,
    (now, nonce): (Timestamp, &str),
) -> Result<()> {
    let Some(RequestSigning { signer, key }) = &route.signing else { return Ok(()) };
    let keys = site.services.keys.load();
    let key = match key {
        RequestKey::Published(algorithm) => keys.request_key(*algorithm, now),
        RequestKey::Shared(key) => Some(key),
    };
    // An application that was promised signatures gets no request without one.
    let key = key.ok_or_else(|| Error::explain(ErrorType::InternalError, "no key signs for this route").into_in())?;
    let fields = {
        let target = std::str::from_utf8(head.raw_path()).unwrap_or("/");
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let target = Target { method: head.method.as_str(), authority: route.host.authority.as_str(), path, query };
        signer.sign(key, &target, covered, now, nonce)
    };
    head.insert_header("Signature-Input", fields.signature_input)?;
    head.insert_header("Signature", fields.signature)
}

/// Whether a body of this declared length is too long for its route.
pub fn is_too_long(head: &RequestHeader, limit: Option<u64>) -> bool {
    let declared = head.headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    limit.zip(declared.and_then(|length| length.parse::<u64>().ok())).is_some_and(|(limit, length)| length > limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_continued_only_where_it_is_well_formed() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let good = format!("00-{trace}-b7ad6b7169203331-01");
        assert_eq!(trace_id_and_flags(&good), Some((trace, "01")));
        for bad in [
            String::new(),
            format!("ff-{trace}-b7ad6b7169203331-01"),
            format!("00-{trace}-b7ad6b7169203331-01-x"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()),
        ] {
            assert_eq!(trace_id_and_flags(&bad), None, "{bad}");
        }
    }

    #[test]
    fn hexadecimal_is_lower_case_with_leading_zeros() {
        assert_eq!(hex(&[0x00, 0x0f, 0xa9, 0xff]), "000fa9ff");
    }

    #[test]
    fn a_declared_length_is_held_against_the_limit() {
        let mut head = RequestHeader::build("POST", b"/", None).unwrap();
        assert!(!is_too_long(&head, Some(0)), "a body without a declared length is counted as it comes");
        head.insert_header("Content-Length", "10").unwrap();
        assert!(is_too_long(&head, Some(9)) && !is_too_long(&head, Some(10)) && !is_too_long(&head, None));
    }

    #[test]
    fn an_ipv6_client_is_bracketed_and_quoted() {
        assert_eq!(forwarded_node(Some("2001:db8::1")), "\"[2001:db8::1]\"");
        assert_eq!(forwarded_node(Some("10.0.0.1")), "10.0.0.1");
        assert_eq!(forwarded_node(None), "unknown");
    }

    #[test]
    fn connections_that_carry_an_identity_are_recognised() {
        let head = |value: &str| {
            let mut head = RequestHeader::build("GET", b"/", None).unwrap();
            head.insert_header(AUTHORIZATION, value).unwrap();
            head
        };
        assert!(is_connection_bound(&head("NTLM TlRM")) && is_connection_bound(&head("Negotiate x")));
        assert!(!is_connection_bound(&head("Basic eDp5")) && !is_connection_bound(&head("Bearer ntlm")));
    }
}
