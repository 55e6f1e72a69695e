//! Agents whom the rules do not admit: those who are refused, and those whom another login would let in.

use std::sync::Arc;

use super::{Decision, Desk, StepUp, agent_view, full_name};
use crate::gateway::request::Kind;
use crate::gateway::respond::Reply;
use crate::gateway::site::Route;
use crate::login::rounds;
use crate::oidc::Wishes;
use crate::page::{Message, RefusedView, Wanted};
use crate::policy::Refusal;
use crate::session::{Opened, Session};
use crate::telemetry::audit::{Action, Event};

impl Desk<'_, '_> {
    /// What the rules do not admit: another login may be all that it takes.
    pub(super) fn turned_away(
        &self,
        route: &Arc<Route>,
        opened: Opened,
        session: &Arc<Session>,
        refusal: Refusal<'_>,
    ) -> Decision {
        let is_logout = self.is_logout(route);
        if is_logout && matches!(refusal, Refusal::Outdated) {
            // A login for the sake of a logout would be absurd.
            return Decision::Leave(self.visit(&route.host, Some(route), opened));
        }
        let wishes = route.step_up(refusal, session, self.circumstances()).filter(|_| !is_logout);
        let Some(wishes) = wishes else { return self.refused(route, session, refusal) };
        match self.request.kind() {
            Kind::Navigation if rounds::count(&self.request.cookies) >= rounds::MOST => self.looped(route, &opened),
            Kind::Navigation => {
                let visit = *self.visit(&route.host, Some(route), opened);
                Decision::StepUp(Box::new(StepUp { wishes, visit }))
            }
            Kind::Form | Kind::Frame => {
                let needed = self.step_up_needed(route, session, &wishes, refusal);
                self.kept(route, opened, needed)
            }
            Kind::Script | Kind::Subresource => {
                Decision::Reply(Box::new(self.step_up_needed(route, session, &wishes, refusal)))
            }
        }
    }

    fn step_up_needed(
        &self,
        route: &Arc<Route>,
        session: &Arc<Session>,
        wishes: &Wishes,
        refusal: Refusal<'_>,
    ) -> Reply {
        let message = Message::StepUpNeeded {
            application: &route.shown,
            wanted: Wanted::from(wishes),
            reasons: &refusal.reasons(),
            step_up_url: &self.step_up_url(),
        };
        let mut reply = self.reply(Some(route), &message);
        tracing::info!(
            request_id = self.request_id,
            route = route.name,
            session = session.pseudonym(),
            reason = reply.reason,
            wanted = %wishes.levels,
            "another login is needed"
        );
        self.note_refusal(route, session, refusal, reply.reason);
        reply.session = Some(Arc::clone(session));
        reply
    }

    fn refused(&self, route: &Arc<Route>, session: &Arc<Session>, refusal: Refusal<'_>) -> Decision {
        let blocks = blocks_of(refusal);
        let conditions = refusal.conditions(&self.circumstances().of(session.claims()));
        tracing::info!(
            request_id = self.request_id,
            route = route.name,
            session = session.pseudonym(),
            reason = "refused",
            rules = blocks.join(" "),
            conditions = conditions.join(" "),
            "refused by rule"
        );
        self.note_refusal(route, session, refusal, "refused");
        for block in &blocks {
            route.metrics.denied(block);
        }
        let name = full_name(session.claims());
        let agent = agent_view(session.claims(), &name);
        let (logout_url, logout_token) = (self.site.endpoint("logout"), session.logout_token());
        let logout = route.host.logout_form(&logout_url, &logout_token);
        let view = RefusedView { agent, application: &route.shown, reasons: &refusal.reasons(), logout };
        let mut reply = self.reply(Some(route), &Message::Refused(view));
        reply.session = Some(Arc::clone(session));
        Decision::Reply(Box::new(reply))
    }

    fn note_refusal(&self, route: &Route, session: &Session, refusal: Refusal<'_>, reason: &str) {
        let rules = blocks_of(refusal).join(" ");
        self.site.audit.note(Event {
            agent: Some(session.claims()),
            session: Some(session.pseudonym()),
            client: self.client,
            host: Some(route.host.authority.as_str()),
            route: Some(&route.name),
            rule: Some(rules.as_str()).filter(|rules| !rules.is_empty()),
            request_id: Some(self.request_id),
            ..Event::new(Action::Refusal, false, reason)
        });
    }

    /// The same, for an agent whose login is not good enough for this request.
    fn step_up_url(&self) -> String {
        let request = format!("{} {}", self.request.method(), self.request.path.raw());
        let request: String = url::form_urlencoded::byte_serialize(request.as_bytes()).collect();
        format!("{}&step_up={request}", self.login_url())
    }
}

/// Where the blocks stand that decided.
fn blocks_of(refusal: Refusal<'_>) -> Vec<String> {
    refusal.blocks().map(|block| block.origin.to_string()).collect()
}
