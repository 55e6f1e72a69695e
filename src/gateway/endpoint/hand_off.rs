//! One login for many hosts: what a host asks of its login host, and what it gets back (see [`hand_off`]).

use http::StatusCode;

use super::super::request::Kind;
use super::super::respond::Reply;
use super::super::site::Host;
use super::{Desk, loop_cause};
use crate::identity::Claims;
use crate::login::hand_off::{self, Asked, Brought, HandedOver};
use crate::login::{Aim, ReturnTo, rounds};
use crate::page::Message;
use crate::session::{LoginId, Opened, Session};
use crate::telemetry::audit::Action;

impl Desk<'_> {
    /// Sends the agent to the login host; afterwards they get the page they asked for.
    pub(super) fn ask(&self, login_host: &Host, aim: Aim) -> Reply {
        let services = &self.site.services;
        let ask = hand_off::Ask {
            authority: self.visit.host.authority.as_str(),
            host: &self.visit.host.context,
            hand_off_uri: &self.hand_off_uri(login_host),
            aim,
        };
        let started = hand_off::ask(ask, &self.visit.cookies, &services.keys.load(), services.clock.now());
        Reply::see_other(&started.location, "hand_off_asked")
            .with_cookies(started.cookies)
            .with_cookies(self.unreadable())
    }

    pub(super) async fn hand_off(&self) -> Reply {
        if !self.site.services.revocations.is_trusted(self.site.store) {
            // Whoever logged out at another gateway would be let in again.
            return self.page(&Message::StoreUnavailable { retry_url: &self.visit.target });
        }
        match self.visit.host.login_host {
            Some(_) => self.take().await,
            None => self.give().await,
        }
    }

    /// Gives a host that asks what its session is made of, once the agent is logged in here.
    async fn give(&self) -> Reply {
        let Some((asked, aim, asking)) = self.asked() else {
            return self.page(&Message::BadRequest { code: "hand_off_malformed", status: StatusCode::BAD_REQUEST });
        };
        if self.visit.kind != Kind::Navigation {
            return self.page(&Message::Unauthenticated { login_url: &self.site.endpoint("login") });
        }
        let now = self.site.services.clock.now();
        let has_wishes = |session: &Session| aim.wishes.are_met_by(session.claims(), session.authenticated_at(), now);
        let session = self.visit.opened.valid();
        let here = |wishes| Aim::new(&ReturnTo::or_root(&self.visit.target), wishes);
        match session {
            Some(session) if has_wishes(session) => self.given(session, &asked, asking),
            _ if rounds::count(&self.visit.cookies) >= rounds::MOST => self.looped(),
            Some(_) => self.begin(here(aim.wishes).as_step_up()).await,
            None => self.begin(here(aim.wishes)).await,
        }
    }

    /// The question, and the host that asks it: one whose agents log in here, and nobody in its name.
    fn asked(&self) -> Option<(Asked, Aim, &Host)> {
        let asked = Asked::parse(&self.visit.query)?;
        let asking = self.site.served_by(&self.visit.host, &asked.authority)?;
        let aim = asked.aim(&asking.context, &self.site.services.keys.load())?;
        Some((asked, aim, &**asking))
    }

    fn given(&self, session: &Session, asked: &Asked, asking: &Host) -> Reply {
        let (services, cookies) = (&self.site.services, &self.visit.cookies);
        let there = (asking.context.as_str(), self.hand_off_uri(asking));
        let clock = (&*services.keys.load(), services.clock.now());
        let Some(location) = asked.answer(session, (there.0, &there.1), clock) else {
            tracing::error!(request_id = self.request_id, "the identity is too large for an address");
            return self.page(&Message::Internal);
        };
        // To log in at another host is to be active at this one.
        let due = matches!(self.visit.opened, Opened::Due(_));
        let renewed = due.then(|| self.site.sessions.renew(cookies, &self.visit.host.context)).flatten();
        Reply::see_other(&location, "hand_off_given")
            .with_cookies(rounds::forget(cookies))
            .with_cookies(renewed.unwrap_or_default())
    }

    /// Begins this host's own session with what the login host gave.
    async fn take(&self) -> Reply {
        let Some(brought) = Brought::parse(&self.visit.query) else {
            return self.page(&Message::BadRequest { code: "hand_off_malformed", status: StatusCode::BAD_REQUEST });
        };
        let services = &self.site.services;
        let keys = services.keys.load();
        let context = hand_off::Context {
            host: &self.visit.host.context,
            cookies: &self.visit.cookies,
            session: self.visit.opened.valid().map(AsRef::as_ref),
            keys: &keys,
            redeemed: &services.redeemed,
            now: services.clock.now(),
        };
        match brought.redeem(&context).await {
            Ok(handed_over) => self.taken(handed_over),
            Err(outcome) => self.conclude(*outcome).await,
        }
    }

    fn taken(&self, HandedOver { shared, aim, forget }: HandedOver) -> Reply {
        let (cookies, host) = (&self.visit.cookies, &self.visit.host.context);
        let Some((session, set)) = self.site.sessions.join(shared, cookies, host) else {
            tracing::error!(
                request_id = self.request_id,
                "the identity is too large for the cookies that browsers keep"
            );
            return self.page(&Message::Internal).with_cookies([forget]);
        };
        self.replace(&session);
        self.site.note_login(&session, &self.visit.host, &self.visit.client);
        let action = if aim.is_step_up { Action::StepUp } else { Action::Login };
        self.note(action, true, "hand_off_taken", Some(&session));
        tracing::info!(request_id = self.request_id, session = session.pseudonym(), "logged in through the login host");
        Reply::see_other(aim.return_to.as_str(), "hand_off_taken")
            .with_cookies(set)
            .with_cookies(self.one_more_round(&aim))
            .with_cookies([forget])
    }

    /// The login that a new one at this host goes on with: at a login host, that of the same agent in the same browser. The
    /// sessions that it began elsewhere live on, and still end with it; tabs that log in at once do not end each other's.
    pub(super) fn continued(&self, claims: &Claims) -> Option<LoginId> {
        let previous = match &self.visit.opened {
            _ if !self.visit.host.is_login_host => None,
            Opened::Alive(previous) | Opened::Due(previous) | Opened::Expired(previous) => Some(previous),
            Opened::Ended | Opened::None | Opened::NotYet | Opened::Unreadable(_) => None,
        };
        previous.filter(|previous| previous.claims().sub() == claims.sub()).map(|previous| previous.login())
    }

    pub(super) fn looped(&self) -> Reply {
        let message = Message::LoginLoop { cause: loop_cause(&self.visit.opened), retry_url: &self.visit.target };
        // The next try counts anew: whoever mended the cause is not kept waiting.
        self.page(&message).with_cookies(rounds::forget(&self.visit.cookies))
    }

    /// The host that a login at this one is for, where that is another one.
    pub(super) fn asking_host(&self, return_to: &ReturnTo) -> Option<&Host> {
        let (path, query) = return_to.as_str().split_once('?')?;
        let asked = Asked::parse(query).filter(|_| path == self.site.endpoint("hand-off"))?;
        self.site.served_by(&self.visit.host, &asked.authority).map(AsRef::as_ref)
    }

    fn hand_off_uri(&self, host: &Host) -> String {
        format!("{}{}", host.origin, self.site.endpoint("hand-off"))
    }
}
