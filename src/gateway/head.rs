//! Answers to heads that were refused before pingora saw them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};

use super::context::{BadHead, Peer, RefuseHead};
use super::respond::Reply;
use super::site::Site;
use crate::crypto::random_token;
use crate::page::{Format, Language, Message};
use crate::telemetry::Decision;
use crate::telemetry::log::Access;

/// Refuses heads in the words of the site in force.
pub struct HeadRefusals {
    site: Arc<ArcSwap<Site>>,
}

impl HeadRefusals {
    /// Refusals in the words of whatever site is in force.
    #[must_use]
    pub const fn new(site: Arc<ArcSwap<Site>>) -> Self {
        Self { site }
    }
}

impl RefuseHead for HeadRefusals {
    fn refuse_head(&self, bad: &BadHead, peer: &Peer, head: &[u8]) -> Response<Bytes> {
        let site = self.site.load_full();
        let request_id = random_token::<12>();
        let (code, status) = (bad.reason_code(), bad.status());
        site.services.metrics.head_refused(code);
        log(code, status, peer, head, &request_id);
        let manner = (Format::Html, Language::negotiate(accept_language(head)));
        let reply = Reply::page(&site, &Message::BadRequest { code, status }, manner, None, &request_id);
        response(reply, &request_id)
    }

    fn relies_on(&self, name: &str) -> bool {
        self.site.load().reserved.contains(name)
    }
}

/// The request line may be anything: it is logged as it came, escaped and cut.
fn log(code: &'static str, status: StatusCode, peer: &Peer, head: &[u8], request_id: &str) {
    let line = head.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
    let line = line.get(..128).unwrap_or(line).escape_ascii().to_string();
    Access {
        request_id,
        client: &peer.to_string(),
        method: "",
        host: "",
        path: &line,
        route: None,
        decision: Decision::Refuse,
        reason: Some(code),
        status: status.as_u16(),
        session: None,
        bytes: 0,
        duration: std::time::Duration::ZERO,
        upstream: None,
    }
    .emit();
}

/// The field of a head that was refused, and is therefore read with no trust in its form.
fn accept_language(head: &[u8]) -> Option<&str> {
    let line = head.split(|byte| *byte == b'\n').find(|line| {
        line.get(..ACCEPT_LANGUAGE.len()).is_some_and(|name| name.eq_ignore_ascii_case(ACCEPT_LANGUAGE))
    })?;
    std::str::from_utf8(&line[ACCEPT_LANGUAGE.len()..]).ok().map(str::trim)
}

const ACCEPT_LANGUAGE: &[u8] = b"accept-language:";

fn response(reply: Reply, request_id: &str) -> Response<Bytes> {
    let mut response = Response::new(reply.answer.body);
    *response.status_mut() = reply.answer.status;
    response.headers_mut().extend(reply.answer.headers);
    if let Ok(request_id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-request-id", request_id);
    }
    response
}
