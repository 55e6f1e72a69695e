//! Step-ups: what an agent who is logged in goes back to the provider for, and what becomes of it where they come back
//! without.
//!
//! Their session stays what it is until a better one takes its place. Nothing here leads back to the page by itself: it
//! would only begin again.

use std::sync::Arc;

use http::Method;

use super::Desk;
use crate::gateway::decide::{agent_view, full_name};
use crate::gateway::respond::Reply;
use crate::gateway::site::Route;
use crate::login::{Aim, ReturnTo};
use crate::oidc::Wishes;
use crate::page::{Message, StepUpFailure, StepUpView, Wanted};
use crate::policy::{Circumstances, Permit, Refusal};
use crate::route::{Lookup, RequestPath};
use crate::session::{Login, Session};
use crate::telemetry::audit::{Action, Event};
use crate::telemetry::metrics::LoginResult;

impl Desk<'_> {
    /// What the agent of `session` must bring for a request on this host; none where no login is needed, or would help.
    pub(super) fn lacking(&self, session: &Arc<Session>, method: &Method, path: &str) -> Option<Wishes> {
        let (route, path) = (self.route_of(path)?, RequestPath::new(path));
        let request = self.circumstances(method, &path);
        let refusal = refused(route, session, request)?;
        route.step_up(refusal, session, request)
    }

    fn circumstances<'c>(&self, method: &'c Method, path: &'c RequestPath<'c>) -> Circumstances<'c> {
        Circumstances { client: self.visit.client.address, method, path, now: self.site.services.clock.now() }
    }

    /// The same for the request that the `step_up` of the query names: its method and its path. A script that was told
    /// that another login is needed knows better than we do which page is to come after it.
    pub(super) fn asked_for(&self, session: &Arc<Session>) -> Option<Wishes> {
        let (_, request) =
            url::form_urlencoded::parse(self.visit.query.as_bytes()).find(|(name, _)| name == "step_up")?;
        let (method, path) = request.split_once(' ')?;
        self.lacking(session, &method.parse().ok()?, path)
    }

    /// The route of a page of this host.
    pub(super) fn route_of(&self, target: &str) -> Option<&Arc<Route>> {
        let path = RequestPath::new(target.split('?').next().unwrap_or_default());
        match self.site.routes.lookup(self.visit.host.authority.as_str(), &path) {
            Lookup::Route(_, route) => Some(route),
            _ => None,
        }
    }

    /// A login that has not what was asked for. The session of the same agent stays; another agent gets one, as after any
    /// login, and so does who had none.
    pub(super) async fn fell_short(&self, login: Login, aim: &Aim) -> Reply {
        let reached = aim.wishes.levels.are_held_by(&login.claims);
        let cause = if reached { StepUpFailure::NotRecent } else { StepUpFailure::NotReached };
        let same = self.visit.opened.valid().filter(|session| session.claims().sub() == login.claims.sub());
        if let Some(session) = same {
            return self.not_stepped_up(cause, session, aim);
        }
        match self.begin_session(login).await {
            Ok((session, cookies)) => {
                self.note(Action::Login, true, "logged_in", Some(&session));
                self.not_stepped_up(cause, &Arc::new(session), aim).with_cookies(cookies)
            }
            Err(reply) => reply,
        }
    }

    /// The agent of `session` stays logged in as they are, and is told what is missing.
    pub(super) fn not_stepped_up(&self, cause: StepUpFailure, session: &Arc<Session>, aim: &Aim) -> Reply {
        let (reason, wanted) = (cause.reason_code(), Wanted::from(&aim.wishes));
        let asking_host = self.asking_host(&aim.return_to);
        let route = self.route_of(aim.return_to.as_str()).filter(|_| asking_host.is_none());
        tracing::info!(
            request_id = self.request_id,
            session = session.pseudonym(),
            reason,
            wanted = %aim.wishes.levels,
            "a step-up came to nothing"
        );
        self.count(true, LoginResult::Failed(reason));
        self.site.audit.note(Event {
            route: route.map(|route| route.name.as_str()),
            ..self.event(Action::StepUp, false, reason, Some(session))
        });
        let path = RequestPath::new(aim.return_to.as_str().split('?').next().unwrap_or_default());
        let method = Method::GET;
        let refusal = route.and_then(|route| refused(route, session, self.circumstances(&method, &path)));
        let name = full_name(session.claims());
        let host = &self.visit.host;
        let (logout_url, logout_token) = (self.site.endpoint("logout"), session.logout_token());
        let message = Message::StepUpFailed(StepUpView {
            cause,
            agent: agent_view(session.claims(), &name),
            application: route.map_or_else(|| asking_host.unwrap_or(host).authority.as_str(), |route| &route.shown),
            wanted,
            reasons: &refusal.map(Refusal::reasons).unwrap_or_default(),
            retry_url: aim.return_to.as_str(),
            logout: host.logout_form(&logout_url, &logout_token),
        });
        self.told(&message, route.and_then(|route| route.contact.as_deref()).or_else(|| self.contact()))
    }

    /// Where the login of a page of this host begins, whatever a link to that page would have it ask for.
    pub(super) fn login_url(&self, return_to: &ReturnTo) -> String {
        let page: String = url::form_urlencoded::byte_serialize(return_to.as_str().as_bytes()).collect();
        format!("{}?return_to={page}", self.site.endpoint("login"))
    }
}

/// Why the rules of a route do not admit a request of the agent of `session`; none where they do.
fn refused<'r>(route: &'r Route, session: &Arc<Session>, request: Circumstances<'_>) -> Option<Refusal<'r>> {
    let is_public = Permit::public(&route.public, request.method, request.path).is_some();
    if is_public { None } else { Permit::agent(&route.rules, session, request).err() }
}
