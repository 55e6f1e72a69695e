//! `/.portillon/`: the applications that the agent may open; for a script of the host, the same list in JSON.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::super::decide::{agent_view, full_name};
use super::super::portal::Viewer;
use super::super::request::Kind;
use super::super::respond::Reply;
use super::Desk;
use crate::login::rounds;
use crate::page::{AgentView, Answer, ApplicationView, Message, PortalView};
use crate::session::Session;

impl Desk<'_> {
    pub(super) async fn portal(&self) -> Reply {
        if !self.visit.target.starts_with(&self.site.prefix) {
            return Reply::see_other(&self.site.prefix, "portal_slash");
        }
        if !self.site.services.revocations.is_trusted(self.site.store) {
            // None of the applications would let anybody in.
            return self.page(&Message::StoreUnavailable { retry_url: &self.site.prefix });
        }
        match self.visit.opened.valid() {
            Some(session) => self.list(session),
            None => self.log_in_to_see(&self.site.prefix).await,
        }
    }

    fn list(&self, session: &Arc<Session>) -> Reply {
        let claims = session.claims();
        let viewer = Viewer {
            session,
            host: &self.visit.host,
            client: self.visit.client.address,
            now: self.site.services.clock.now(),
        };
        let applications: Vec<ApplicationView<'_>> = self.site.portal.open_to(viewer, &self.site.routes).collect();
        let reply = if self.visit.kind == Kind::Script {
            in_json(&applications)
        } else {
            let (name, me_url) = (full_name(claims), self.site.endpoint("me"));
            let logout_url = self.site.endpoint("logout");
            let logout_token = session.logout_token();
            let view = PortalView {
                agent: AgentView { siret: None, idp_id: None, ..agent_view(claims, &name) },
                applications: &applications,
                me_url: &me_url,
                logout: self.visit.host.logout_form(&logout_url, &logout_token),
            };
            self.told(&Message::Portal(view), None)
        };
        reply.with_cookies(rounds::forget(&self.visit.cookies))
    }

    /// One of the icons of the list. Whoever knows its name knows what is in it.
    pub(super) fn icon(&self) -> Reply {
        let path = self.visit.target.split('?').next().unwrap_or_default();
        match self.site.icon_at(path) {
            Some(icon) => Reply::new(icon.answer(), "portal_icon"),
            None => self.page(&Message::NoRoute),
        }
    }
}

fn in_json(applications: &[ApplicationView<'_>]) -> Reply {
    let headers = vec![
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    let body = json!({ "applications": applications }).to_string();
    Reply::new(Answer { status: StatusCode::OK, headers, body: body.into() }, "portal")
}
