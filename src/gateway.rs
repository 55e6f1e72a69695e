//! The gateway: pingora's callbacks, each handing over to the file that does the work.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::header::EXPECT;
use http::{Method, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use tokio::time::timeout;

pub mod context;
pub mod decide;
pub mod endpoint;
pub mod exchange;
pub mod forward;
mod frames;
mod head;
mod keep;
mod open_answer;
pub mod portal;
mod refresh;
pub mod request;
mod resend;
pub mod reserved;
pub mod respond;
pub mod site;
mod step_up;

pub use head::HeadRefusals;
pub use site::{Host, Realm, RequestKey, RequestSigning, Route, Services, Site};

use decide::{Decision, Endpoint, Forward, Visit, format};
use exchange::Exchange;
use request::Request;
use resend::Click;
use respond::Reply;

use crate::page::Message;
use crate::upstream::Hold;

/// How long a client may go on sending a body that nobody wants, so that it gets to see the answer.
const DRAIN: Duration = Duration::from_secs(5);

/// How much of such a body is read.
const MOST_DRAINED: usize = 16 * 1024 * 1024;

/// How long a form of ours may take to arrive.
const FORM_DEADLINE: Duration = Duration::from_secs(10);

/// How long a client may take to read a piece of an answer of ours.
const READER_PATIENCE: Duration = Duration::from_secs(30);

/// The reverse proxy. Its site can be swapped while it serves.
pub struct Gateway {
    site: Arc<ArcSwap<Site>>,
}

impl Gateway {
    /// A gateway that serves whatever site is in force.
    #[must_use]
    pub const fn new(site: Arc<ArcSwap<Site>>) -> Self {
        Self { site }
    }
}

/// Lets a request go on to its application.
fn admit(session: &mut Session, exchange: &mut Exchange, forward: Forward) -> Result<()> {
    let (silence, max_body) = (forward.route.upstream.silence_timeout(), forward.route.max_body);
    let resent = exchange.resent.as_ref().map(|resent| resent.body().len() as u64);
    exchange.forward = Some(forward);
    session.set_read_timeout(Some(silence));
    // A reader that stopped would hold its connection, and one to the application, for ever.
    session.set_write_timeout(Some(silence));
    // RFC 9110 section 15.2: HTTP/1.0 knows no 1xx.
    let knows_no_informational = is_http_1_0(session);
    session.set_ignore_info_resp(knows_no_informational);
    if forward::is_too_long(session.req_header(), max_body) || resent.zip(max_body).is_some_and(|(l, most)| l > most) {
        return Error::e_explain(ErrorType::HTTPStatus(413), "the declared body is too long");
    }
    Ok(())
}

fn is_http_1_0(session: &Session) -> bool {
    session.req_header().version == Version::HTTP_10
}

/// Answers a visit to one of our endpoints.
async fn visited(session: &mut Session, exchange: &Exchange, endpoint: Endpoint, visit: &Visit) -> Result<Reply> {
    let (site, request_id) = (&exchange.site, exchange.request_id.as_str());
    let form = if visit.method == Method::POST { short_body(session).await? } else { Some(Bytes::new()) };
    Ok(match form {
        Some(form) => endpoint::answer(site, endpoint, visit, &form, request_id).await,
        None if endpoint == Endpoint::BackChannelLogout => endpoint::too_long_logout_token(),
        None => Reply::page(site, &Message::PayloadTooLarge, (format(visit.kind), visit.language), None, request_id),
    })
}

/// A form of ours; none where it is longer than any form of ours.
async fn short_body(session: &mut Session) -> Result<Option<Bytes>> {
    let Ok(form) = timeout(FORM_DEADLINE, body_up_to(session, endpoint::MAX_FORM)).await else {
        return Error::e_explain(ErrorType::ReadTimedout, "a form of ours took too long").map_err(Error::into_down);
    };
    form
}

async fn body_up_to(session: &mut Session, most: usize) -> Result<Option<Bytes>> {
    let mut body = BytesMut::new();
    while let Some(chunk) = next_piece(session).await? {
        body.extend_from_slice(&chunk);
        if body.len() > most {
            return Ok(None);
        }
    }
    Ok(Some(body.freeze()))
}

/// The next piece of a request's body. That it does not come is the client's doing, which pingora does not say.
async fn next_piece(session: &mut Session) -> Result<Option<Bytes>> {
    session.read_request_body().await.map_err(Error::into_down)
}

/// Writes an answer of our own, for a client that may still be sending.
async fn send(session: &mut Session, exchange: &mut Exchange, reply: Reply) -> Result<()> {
    // Whether a client that waits for `100 Continue` still sends its body is its own choice (RFC 9110 section 10.1.1):
    // what comes next could be that, or another request.
    if exchange.is_draining() || session.req_header().headers.contains_key(EXPECT) {
        session.set_keepalive(None);
    }
    session.set_close_on_response_before_downstream_finish(false);
    session.set_write_timeout(Some(READER_PATIENCE));
    reply.write(session, &exchange.request_id).await?;
    // The exchange ends here: what the client still sends is not its duration.
    exchange.finish(session);
    // A client that is still sending may not look at the answer before it has finished.
    if (session.is_http2() || session.get_keepalive().is_some()) && !is_drained(session).await {
        session.set_keepalive(None);
    }
    Ok(())
}

/// Reads what is left of a body and forgets it; whether that was its end.
async fn is_drained(session: &mut Session) -> bool {
    let reading = async {
        let mut left = MOST_DRAINED;
        while let Some(chunk) = next_piece(session).await? {
            let Some(rest) = left.checked_sub(chunk.len()) else { return Ok(false) };
            left = rest;
        }
        Ok::<_, Box<Error>>(true)
    };
    matches!(timeout(DRAIN, reading).await, Ok(Ok(true)))
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        Exchange::new(self.site.load_full())
    }

    async fn request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> Result<bool> {
        let Some(request) = Request::read(session.req_header()) else {
            return Error::e_explain(ErrorType::HTTPStatus(400), "the request target is no UTF-8");
        };
        exchange.ask(&request);
        if let Some(overdue) = refresh::begin(&exchange.site, &request) {
            overdue.over().await;
        }
        let decision = decide::decide(&exchange.site, &request, exchange.origin(), &exchange.request_id);
        exchange.decide(&decision);
        let reply = match decision {
            Decision::Endpoint(endpoint, visit) => visited(session, exchange, endpoint, &visit).await?,
            Decision::Forward(forward) => match resend::click(session, exchange, &forward).await? {
                Click::No => return admit(session, exchange, *forward).map(|()| false),
                Click::Form(resent) => {
                    exchange.resend(*resent);
                    return admit(session, exchange, *forward).map(|()| false);
                }
                Click::Refused(reply) => *reply,
            },
            Decision::Keep(keep) => keep::keep(session, &exchange.site, *keep, &exchange.request_id).await?,
            Decision::Leave(visit) => endpoint::leave(&exchange.site, &visit, &exchange.request_id).await,
            Decision::Login(visit) => endpoint::begin_login(&exchange.site, &visit, &exchange.request_id).await,
            Decision::Reply(reply) => *reply,
            Decision::StepUp(step_up) => endpoint::begin_step_up(&exchange.site, *step_up, &exchange.request_id).await,
        };
        exchange.because(reply.reason);
        send(session, exchange, reply).await?;
        Ok(true)
    }

    async fn upstream_peer(&self, session: &mut Session, exchange: &mut Exchange) -> Result<Box<HttpPeer>> {
        let turn = exchange.begin_try()?;
        let forward = exchange.forwarded()?;
        let isolation = forward::isolation(session.req_header(), forward);
        let mut peer = forward.route.upstream.peer(turn, isolation).await.map_err(|error| {
            let context = "the upstream's name does not resolve";
            let mut error = Error::because(ErrorType::ConnectError, context, error).into_up();
            error.set_retry(exchange.may_try_again());
            error
        })?;
        // What binds an identity to its connection (NTLM) must stay on it.
        exchange.hold = (forward.upgrade && isolation == 0).then(|| Hold::on(&mut peer));
        Ok(Box::new(peer))
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if let Some(hold) = exchange.hold.as_ref().filter(|_| end_of_stream) {
            hold.end_of_request();
        }
        exchange.body_arrived(body.as_ref().map_or(0, Bytes::len), end_of_stream);
        if let Some(resent) = &exchange.resent {
            *body = Some(resent.body().clone()).filter(|body| !body.is_empty());
        }
        if end_of_stream && body.as_ref().is_some_and(Bytes::is_empty) {
            // HTTP/2 may end a body with an empty piece. As a chunk that would be the last one, which pingora writes too:
            // the application would take the second for its next request, whoever's that is.
            *body = None;
        }
        exchange.body_received += body.as_ref().map_or(0, |chunk| chunk.len() as u64);
        let limit = exchange.forward.as_ref().and_then(|forward| forward.route.max_body);
        if limit.is_some_and(|limit| exchange.body_received > limit && !exchange.upgraded) {
            return Error::e_explain(ErrorType::HTTPStatus(413), "the body is too long");
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        head: &mut RequestHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        resend::adapt(head, exchange).await?;
        forward::adapt(head, exchange.forwarded()?, &exchange.site, &exchange.request_id)?;
        if let Some(hold) = &exchange.hold {
            hold.begin();
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
            return respond::drop_own_cookies(head);
        }
        if exchange.is_draining() || (is_http_1_0(session) && respond::unchunk(head)) {
            session.set_keepalive(None);
        }
        exchange.upstream_answered();
        exchange.renew_session();
        let Exchange { forward: Some(forward), request_id, .. } = exchange else { return Ok(()) };
        respond::adapt(head, forward, request_id)?;
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            // An idle WebSocket is the application's to end: its own silence limit holds on the other side.
            session.set_read_timeout(None);
            exchange.open_tunnel();
        } else {
            exchange.end_session(head).await?;
        }
        exchange.answer_begins(head);
        Ok(())
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        exchange: &mut Exchange,
    ) -> Result<Option<Duration>> {
        exchange.answer_goes_on(body).map(|()| None)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        exchange: &mut Exchange,
        mut error: Box<Error>,
    ) -> Box<Error> {
        error.set_retry(exchange.may_try_again());
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, exchange: &mut Exchange) -> FailToProxy {
        if exchange.ends_early(session).await {
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        }
        let reply = exchange.failed(session, error).await;
        let status = reply.as_ref().map_or(0, |reply| reply.answer.status.as_u16());
        if let Some(reply) = reply {
            // This connection is not used again, and says so.
            session.set_keepalive(None);
            if let Err(gone) = send(session, exchange, reply).await {
                tracing::debug!(request_id = exchange.request_id, error = %gone, "the agent is gone");
            }
        }
        FailToProxy { error_code: status, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, exchange: &mut Exchange) {
        exchange.finish(session);
    }

    /// pingora's own lines about a failed request repeat what the access line says.
    fn suppress_error_log(&self, _session: &Session, _exchange: &Exchange, _error: &Error) -> bool {
        true
    }
}
