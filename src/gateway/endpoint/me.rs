//! `/.portillon/me`: who the agent is, what the application receives of them, and the way out.

use std::sync::Arc;

use super::super::decide::{agent_view, full_name};
use super::super::request::Kind;
use super::super::respond::Reply;
use super::super::site::Route;
use super::Desk;
use crate::login::{ReturnTo, rounds};
use crate::page::{AgentView, MeView, Message, ReceivedClaim};
use crate::session::Session;

impl Desk<'_> {
    pub(super) async fn me(&self) -> Reply {
        match self.visit.opened.valid() {
            Some(session) => self.about(session).with_cookies(rounds::forget(&self.visit.cookies)),
            None => self.log_in_to_see(&self.site.endpoint("me")).await,
        }
    }

    /// A login for a page of ours.
    pub(super) async fn log_in_to_see(&self, page: &str) -> Reply {
        if self.visit.kind == Kind::Navigation && rounds::count(&self.visit.cookies) >= rounds::MOST {
            return self.looped();
        }
        self.begin_for_navigation(ReturnTo::or_root(page)).await
    }

    fn about(&self, session: &Session) -> Reply {
        let claims = session.claims();
        let name = full_name(claims);
        let now = self.site.services.clock.now();
        let left = session.remaining(self.site.sessions.lifetime(), now);
        let route = self.shown_route();
        let fields = route.map(|route| route.plan.fields(claims)).unwrap_or_default();
        let values: Vec<String> = fields.iter().map(|field| field.value.to_string()).collect();
        let received: Vec<ReceivedClaim<'_>> = fields
            .iter()
            .zip(&values)
            .map(|(field, value)| ReceivedClaim { claim: field.claim, header: &field.header, value })
            .collect();
        let (logout_url, logout_token) = (self.site.endpoint("logout"), session.logout_token());
        let view = MeView {
            agent: AgentView { siret: None, ..agent_view(claims, &name) },
            application: route.map_or(self.visit.host.authority.as_str(), |route| &route.shown),
            application_url: route.map_or("/", |route| route.path.as_str()),
            claims: &received,
            session_age: now.since(session.logged_in_at()),
            idle_left: left.idle,
            absolute_left: left.absolute,
            logout: self.visit.host.logout_form(&logout_url, &logout_token),
        };
        self.page(&Message::Me(view))
    }

    /// The application that the page tells about: the one named in the query, else the first of the host.
    fn shown_route(&self) -> Option<&Arc<Route>> {
        let routes = self.site.routes_of(&self.visit.host);
        let named = url::form_urlencoded::parse(self.visit.query.as_bytes()).find(|(name, _)| name == "route");
        let named = named.and_then(|(_, name)| routes.iter().copied().find(|route| route.name == name));
        named.or_else(|| routes.first().copied())
    }
}
