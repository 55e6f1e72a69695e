//! One request and its answer: what pingora carries from callback to callback, and the one line that is logged of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::context::{self, BadBody, Peer};
use super::decide::{Decision, Forward, Origin, format};
use super::endpoint;
use super::open_answer::OpenAnswer;
use super::request::Request;
use super::resend::Resent;
use super::respond::{self, Reply};
use super::site::{Route, Site};
use crate::crypto::random_token;
use crate::logout::Ending;
use crate::page::{Format, Language};
use crate::session::Session as AgentSession;
use crate::telemetry::Decision as Decided;
use crate::telemetry::audit::{Action, Event};
use crate::telemetry::log::Access;
use crate::telemetry::metrics::Open;
use crate::telemetry::recent::Remembered;
use crate::upstream::Hold;

/// What is counted where the agent left before any answer.
const CLIENT_GONE: StatusCode = StatusCode::BAD_REQUEST;

/// One request and its answer.
pub struct Exchange {
    /// The site that was in force when it began.
    pub site: Arc<Site>,
    /// Who is at the other end of the connection.
    pub peer: Peer,
    /// What names it on pages, in logs and to the application: 16 characters of base64url.
    pub request_id: String,
    /// Where it goes, once that is decided.
    pub forward: Option<Forward>,
    /// The form that is sent in place of the request's own body.
    pub(super) resent: Option<Resent>,
    /// Bytes of the request's body that this try sent so far.
    pub body_received: u64,
    /// Keeps back the application's answer, where that may be a change of protocol.
    pub hold: Option<Hold>,
    /// Whether it became a tunnel.
    pub upgraded: bool,
    /// Whether the application's answer became a redirect to the provider.
    pub logged_out: bool,
    connection: Option<context::Connection>,
    asked: Option<Asked>,
    /// The route and the session of what is not forwarded.
    kept_from: Option<Arc<Route>>,
    kept_out: Option<Arc<AgentSession>>,
    tunnel: Option<Open>,
    /// The answer, where it ends with its session.
    open: Option<OpenAnswer>,
    /// Status and length of the answer, as far as it went: for the line about one that is killed.
    answered: (u16, usize),
    first_turn: Option<usize>,
    tries: usize,
    decision: Decided,
    reason: &'static str,
    started: Instant,
    upstream_asked: Option<Instant>,
    upstream_time: Option<Duration>,
    finished: bool,
}

/// What was asked: a copy, for the line about a request that is killed, whose head is gone by then.
struct Asked {
    method: Method,
    host: String,
    path: String,
    client: Option<IpAddr>,
}

impl Exchange {
    /// A request of the connection that this task serves.
    #[must_use]
    pub fn new(site: Arc<Site>) -> Self {
        let connection = context::current();
        Self {
            site,
            peer: connection.as_ref().map_or(Peer::Unix, |connection| connection.peer),
            request_id: random_token::<12>(),
            forward: None,
            resent: None,
            body_received: 0,
            hold: None,
            upgraded: false,
            logged_out: false,
            connection,
            asked: None,
            kept_from: None,
            kept_out: None,
            tunnel: None,
            open: None,
            answered: (0, 0),
            first_turn: None,
            tries: 0,
            decision: Decided::Refuse,
            reason: "unread",
            started: Instant::now(),
            upstream_asked: None,
            upstream_time: None,
            finished: false,
        }
    }

    /// Notes what was asked.
    pub fn ask(&mut self, request: &Request<'_>) {
        self.asked = Some(Asked {
            method: request.method().clone(),
            host: request.host().to_owned(),
            path: request.path.raw().to_owned(),
            client: request.client(&self.peer, &self.site.trusted_proxies),
        });
    }

    /// Where the request comes from.
    #[must_use]
    pub fn origin(&self) -> Origin<'_> {
        Origin {
            client: self.asked.as_ref().and_then(|asked| asked.client),
            server_name: self.connection.as_ref().and_then(|connection| connection.server_name.as_deref()),
        }
    }

    /// Notes what was decided.
    pub fn decide(&mut self, decision: &Decision) {
        (self.decision, self.reason) = match decision {
            Decision::Endpoint(..) => (Decided::Own, "endpoint"),
            Decision::Forward(forward) if forward.permit.session().is_some() => (Decided::PermitAgent, "session"),
            Decision::Forward(_) => (Decided::PermitPublic, "public_rule"),
            Decision::Leave(_) => (Decided::Refuse, "no_session"),
            Decision::Login(_) => (Decided::Login, "no_session"),
            Decision::StepUp(_) => (Decided::Login, "step_up"),
            Decision::Keep(keep) => (Decided::Refuse, keep.otherwise.reason),
            Decision::Reply(reply) => (Decided::Refuse, reply.reason),
        };
        (self.kept_from, self.kept_out) = match decision {
            Decision::Endpoint(_, visit) | Decision::Leave(visit) | Decision::Login(visit) => {
                (visit.route.clone(), visit.opened.valid().cloned())
            }
            Decision::StepUp(step_up) => (step_up.visit.route.clone(), step_up.visit.opened.valid().cloned()),
            Decision::Forward(_) => (None, None),
            Decision::Keep(keep) => (keep.visit.route.clone(), Some(Arc::clone(&keep.session))),
            Decision::Reply(reply) => (reply.route.clone(), reply.session.clone()),
        };
    }

    /// Notes why we answered as we did.
    pub const fn because(&mut self, reason: &'static str) {
        self.reason = reason;
    }

    /// Sends a kept form in place of the request's own body.
    pub(super) fn resend(&mut self, resent: Resent) {
        self.resent = Some(resent);
        self.reason = "form_sent";
    }

    /// Notes that the upstream is being asked, perhaps again; whose turn it is (see [`Upstream::next_turn`]).
    ///
    /// # Errors
    ///
    /// As [`Exchange::forwarded`].
    ///
    /// [`Upstream::next_turn`]: crate::upstream::Upstream::next_turn
    pub fn begin_try(&mut self) -> Result<usize> {
        let first = match self.first_turn {
            Some(first) => first,
            None => self.forwarded()?.route.upstream.next_turn(),
        };
        let turn = first.wrapping_add(self.tries);
        self.first_turn = Some(first);
        self.tries += 1;
        self.upstream_asked = Some(Instant::now());
        // pingora sends what it has of the body again, through the same filter.
        self.body_received = 0;
        Ok(turn)
    }

    /// Whether another peer is worth a try after one that could not be reached.
    #[must_use]
    pub fn may_try_again(&self) -> bool {
        self.route().is_some_and(|route| self.tries < route.upstream.tries())
    }

    /// Notes that the head of the upstream's answer is here.
    pub fn upstream_answered(&mut self) {
        self.upstream_time = self.upstream_asked.map(|asked| asked.elapsed());
    }

    /// Where the request goes.
    ///
    /// # Errors
    ///
    /// Nowhere: nothing was decided, and nothing is forwarded.
    pub fn forwarded(&self) -> Result<&Forward> {
        self.forward.as_ref().ok_or_else(|| Error::explain(ErrorType::InternalError, "forwarded without a permit"))
    }

    /// Whether the gateway is about to end, so that this connection should too.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.connection.as_ref().is_some_and(context::Connection::is_draining)
    }

    /// Seals the session's cookie again where that is due: with the answer, so that one that comes late does not undo a
    /// logout, or a login, that came before it.
    pub fn renew_session(&mut self) {
        let Some(forward) = self.forward.as_mut() else { return };
        let Some((cookies, client)) = forward.renewal.take() else { return };
        let Some(renewed) = self.site.sessions.renew(&cookies, &forward.route.host.context) else { return };
        forward.cookies.extend(renewed);
        if let Some(session) = forward.permit.session() {
            self.site.note_use(session, &forward.route.host, &client);
        }
    }

    /// Where this was the application's own logout: ends the session, and sends the agent to the provider.
    ///
    /// # Errors
    ///
    /// None in practice (see [`respond::turn_into_logout`]).
    pub async fn end_session(&mut self, head: &mut ResponseHeader) -> Result<()> {
        let Some(ending) = self.logged_out_by_application() else { return Ok(()) };
        let ended = ending.settled(&self.request_id).await;
        self.logged_out = true;
        respond::turn_into_logout(head, ended)
    }

    fn logged_out_by_application(&mut self) -> Option<Ending> {
        let forward = self.forward.as_mut()?;
        let (cookies, session) = (forward.logout.take()?, forward.permit.session()?);
        let ending = endpoint::end_session(&self.site, &forward.route.host, session, &cookies);
        self.site.audit.note(Event {
            agent: Some(session.claims()),
            session: Some(session.pseudonym()),
            client: forward.client,
            host: Some(forward.route.host.authority.as_str()),
            route: Some(&forward.route.name),
            request_id: Some(&self.request_id),
            ..Event::new(Action::Logout, true, "application_logout")
        });
        let (request_id, session) = (&self.request_id, session.pseudonym());
        tracing::info!(request_id, session, "logged out by the application's own page");
        self.reason = "logout_path";
        Some(ending)
    }

    /// The page for a request that could not be proxied; none where the agent is gone or has part of an answer already.
    pub async fn failed(&mut self, session: &Session, error: &Error) -> Option<Reply> {
        let route = self.route().map(Arc::clone);
        let (name, shown) = route.as_ref().map_or(("", ""), |route| (&route.name, &route.shown));
        let message = respond::failure(error, shown)?;
        self.reason = message.reason_code();
        // The error's own text quotes what the other side sent, cookies and tokens included.
        let (error, side) = (error.etype().as_str(), error.esource().as_str());
        let (request_id, reason) = (&self.request_id, self.reason);
        tracing::warn!(request_id, route = name, reason, error, side, "a request could not be proxied");
        if session.response_written().is_some() {
            return None;
        }
        if let Some(ending) = self.logged_out_by_application() {
            let ended = ending.settled(&self.request_id).await;
            // The agent asked to leave: that the application failed must not keep them in.
            return Some(Reply::see_other(&ended.location, "logout_path").with_cookies(ended.cookies));
        }
        let manner = Request::read(session.req_header())
            .map_or((Format::Problem, Language::French), |request| (format(request.kind()), request.language()));
        let contact = route.as_ref().and_then(|route| route.contact.as_deref());
        Some(Reply::page(&self.site, &message, manner, contact, &self.request_id))
    }

    /// Logs and counts the exchange, once.
    pub fn finish(&mut self, session: &Session) {
        let status = session.response_written().map_or(0, |head| head.status.as_u16());
        self.record(status, session.body_bytes_sent());
    }

    /// Notes that so much of the request's body has come.
    pub fn body_arrived(&self, bytes: usize, is_whole: bool) {
        if let Some(connection) = &self.connection {
            connection.arrival.note(bytes, is_whole);
        }
    }

    /// Notes that the exchange became a tunnel.
    pub fn open_tunnel(&mut self) {
        self.upgraded = true;
        self.tunnel = Some(self.site.services.metrics.websocket_opened());
    }

    /// Notes that the application's answer is passed on from now on, and has it end with its session.
    pub fn answer_begins(&mut self, head: &ResponseHeader) {
        self.answered.0 = head.status.as_u16();
        if self.logged_out {
            // The answer to a logout is not cut by it.
            return;
        }
        let session = self.forward.as_ref().and_then(|forward| forward.permit.session());
        let (Some(session), Some(connection)) = (session, &self.connection) else { return };
        let thought = self.upstream_time.unwrap_or_default();
        self.open = OpenAnswer::new(head, thought, &connection.kill, (&self.site.sessions, session));
    }

    /// Lets a piece of the application's answer pass, or what may pass of it.
    ///
    /// # Errors
    ///
    /// The answer ends here, with its session.
    pub fn answer_goes_on(&mut self, piece: &mut Option<Bytes>) -> Result<()> {
        if self.logged_out {
            *piece = None;
        }
        if let Some(open) = &mut self.open {
            open.pass(piece)?;
        }
        self.answered.1 += piece.as_ref().map_or(0, Bytes::len);
        Ok(())
    }

    /// Whether the answer ends because its session has; the client is told then.
    pub async fn ends_early(&mut self, session: &mut Session) -> bool {
        let Some(open) = self.open.as_ref().filter(|open| open.ending().is_some()) else { return false };
        if let Err(gone) = open.last_words(session).await {
            tracing::debug!(request_id = self.request_id, error = %gone, "the agent is gone");
        }
        true
    }

    fn route(&self) -> Option<&Arc<Route>> {
        self.forward.as_ref().map(|forward| &forward.route).or(self.kept_from.as_ref())
    }

    fn session(&self) -> Option<&Arc<AgentSession>> {
        self.forward.as_ref().and_then(|forward| forward.permit.session()).or(self.kept_out.as_ref())
    }

    fn record(&mut self, status: u16, bytes: usize) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        if let Some(ending) = self.open.take().and_then(|open| open.ending()) {
            self.reason = ending.reason_code();
            self.site.services.metrics.stream_ended(self.reason);
        }
        let duration = self.started.elapsed();
        let route = self.route();
        let metrics = route.map_or(&self.site.unrouted, |route| &route.metrics);
        metrics.request(self.decision, StatusCode::from_u16(status).unwrap_or(CLIENT_GONE), duration);
        if let Some(waited) = self.upstream_time {
            metrics.upstream(waited);
        }
        let asked = self.asked.as_ref();
        Access {
            request_id: &self.request_id,
            client: &asked
                .and_then(|asked| asked.client)
                .map_or_else(|| self.peer.to_string(), |client| client.to_string()),
            method: asked.map_or("", |asked| asked.method.as_str()),
            host: asked.map_or("", |asked| &asked.host),
            path: asked.map_or("", |asked| &asked.path),
            route: route.map(|route| route.name.as_str()),
            decision: self.decision,
            reason: Some(self.reason),
            status,
            session: self.session().map(|session| session.pseudonym()),
            bytes: bytes as u64,
            duration,
            upstream: self.upstream_time,
        }
        .emit();
        self.remember(status);
    }

    /// Keeps the decision for operators who ask for it. Nobody needs what was asked after that.
    fn remember(&mut self, status: u16) {
        let Some(Asked { method, host, path, client }) = self.asked.take() else { return };
        self.site.services.recent.remember(Remembered {
            request_id: self.request_id.clone(),
            at: self.site.services.clock.now(),
            method,
            host,
            path,
            client,
            route: self.route().map(|route| route.name.clone()),
            session: self.session().cloned(),
            decision: self.decision,
            reason: self.reason,
            status,
        });
    }
}

impl Drop for Exchange {
    /// A request that was killed never reaches pingora's `logging`.
    fn drop(&mut self) {
        if self.asked.is_some() && !self.finished {
            let is_slow = self.connection.as_ref().is_some_and(|connection| connection.arrival.is_given_up());
            self.reason = if is_slow { BadBody::Slow.reason_code() } else { "killed" };
            let (status, bytes) = self.answered;
            self.record(status, bytes);
        }
    }
}
