//! The page about a form that met an expired session: shows what would be sent, and discards it.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::Desk;
use crate::gateway::request::Kind;
use crate::gateway::resend;
use crate::gateway::respond::Reply;
use crate::login::{Aim, ReturnTo, rounds};
use crate::page::{FormView, Message};
use crate::session::Session;
use crate::stash::{self, Agent, Browser, FormId, Kept, Owner};
use crate::store::records::RecordError;

impl Desk<'_> {
    /// Shows a form, or discards it. `body` is that of a `POST`.
    pub(super) async fn form(&self, body: &[u8]) -> Reply {
        if self.visit.method == Method::POST {
            return self.discard(body).await;
        }
        let Some(session) = self.visit.opened.valid() else {
            return self.log_in_to_see(&self.visit.target).await;
        };
        let id = form_id(self.visit.query.as_bytes());
        let Some((id, browser)) = id.zip(self.browser()) else { return self.gone() };
        match self.site.services.stash.find(&id, self.owner(session, &browser)).await {
            Ok(Some(kept)) => self.show_or_step_up(session, &id, &kept).await,
            Ok(None) => self.gone(),
            Err(error) => self.unreachable(&error),
        }
    }

    /// Shows a form that could be sent; for one that the rules want more for, the agent gets that first.
    async fn show_or_step_up(&self, session: &Arc<Session>, id: &FormId, kept: &Kept) -> Reply {
        let path = kept.form.target.split('?').next().unwrap_or_default();
        let lacking = self.lacking(session, &Method::POST, path);
        match lacking.filter(|_| self.visit.kind == Kind::Navigation) {
            Some(_) if rounds::count(&self.visit.cookies) >= rounds::MOST => self.looped(),
            Some(wishes) => {
                let here = ReturnTo::or_root(&self.visit.target);
                self.begin(Aim::new(&here, wishes).as_step_up()).await
            }
            None => self.show(id, kept).with_cookies(rounds::forget(&self.visit.cookies)),
        }
    }

    async fn discard(&self, body: &[u8]) -> Reply {
        if self.visit.from_elsewhere {
            return self.page(&Message::BadRequest { code: "form_from_elsewhere", status: StatusCode::FORBIDDEN });
        }
        let known = form_id(body).zip(self.browser()).zip(self.visit.opened.valid());
        let Some(((id, browser), session)) = known else { return self.gone() };
        match self.site.services.stash.discard(&id, self.owner(session, &browser)).await {
            Ok(true) => Reply::see_other("/", "form_discarded"),
            Ok(false) => self.gone(),
            Err(error) => self.unreachable(&error),
        }
    }

    fn show(&self, id: &FormId, kept: &Kept) -> Reply {
        let now = self.site.services.clock.now();
        let (host, target) = (&self.visit.host, &kept.form.target);
        let application = self.route_of(target).map_or(host.authority.as_str(), |route| &route.shown);
        let view = FormView {
            application,
            action: &format!("{}{target}", host.origin),
            content: &stash::content(&kept.form),
            age: now.since(kept.at),
            left: kept.until.since(now),
            sent: kept.sent_at.map(|at| now.since(at)),
            field: resend::FIELD,
            id: id.as_str(),
            discard_url: &self.site.endpoint("form"),
            sends_itself: self.site.stash.automatic && kept.form.same_origin && kept.sent_at.is_none(),
        };
        self.page(&Message::Form(view))
    }

    fn gone(&self) -> Reply {
        self.page(&Message::FormGone { application_url: "/" })
    }

    fn unreachable(&self, error: &RecordError) -> Reply {
        tracing::warn!(request_id = self.request_id, reason = "stash_unavailable", %error, "a form cannot be looked for");
        self.page(&Message::StoreUnavailable { retry_url: &self.visit.target })
    }

    fn browser(&self) -> Option<Browser> {
        self.site.services.stash.known_browser(&self.visit.cookies, &self.visit.host.context)
    }

    fn owner<'a>(&'a self, session: &'a Session, browser: &'a Browser) -> Owner<'a> {
        Owner { host: &self.visit.host.context, agent: Agent::of(session), browser }
    }
}

/// The form that a query, or the body of the page's form, names.
fn form_id(pairs: &[u8]) -> Option<FormId> {
    let (_, id) = url::form_urlencoded::parse(pairs).find(|(name, _)| name == "id")?;
    FormId::parse(&id)
}
