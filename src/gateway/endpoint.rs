//! Our own endpoints, under the reserved prefix of every host.

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};

use super::decide::{Endpoint, StepUp, Visit, format, loop_cause};
use super::request::Kind;
use super::respond::Reply;
use super::site::Site;
use crate::login::callback::LoggedIn;
use crate::login::{self, Aim, Answer, Outcome, ReturnTo, authorization, callback, rounds};
use crate::logout;
use crate::oidc::Provider;
use crate::page::{self, Message, View};
use crate::session::{Login, Opened, Session, cookie};
use crate::telemetry::audit::{Action, Event};
use crate::telemetry::metrics::LoginResult;

mod failure;
mod form;
mod hand_off;
mod leave;
mod me;
mod portal;
mod provider_logout;
mod step_up;

pub use leave::end_session;
pub use provider_logout::too_long as too_long_logout_token;

/// The logout form is one short field; a logout token may bring a certificate.
pub const MAX_FORM: usize = 8192;

/// A new key is published half a minute before it signs, less the five seconds in which a gateway finds it: no cache may
/// lack it by then.
const JWKS_CACHE_CONTROL: &str = "public, max-age=20";

/// Why a login fails that nothing is wrong with.
const STORE_UNAVAILABLE: &str = "store_unavailable";

/// Answers a visit to one of our endpoints. `form` is the body of a `POST`.
pub async fn answer(site: &Site, endpoint: Endpoint, visit: &Visit, form: &[u8], request_id: &str) -> Reply {
    let desk = Desk { site, visit, request_id };
    match endpoint {
        Endpoint::BackChannelLogout => desk.back_channel_logout(form).await,
        Endpoint::Callback => desk.callback().await,
        Endpoint::Form => desk.form(form).await,
        Endpoint::FrontChannelLogout => desk.front_channel_logout().await,
        Endpoint::HandOff => desk.hand_off().await,
        Endpoint::Icon => desk.icon(),
        Endpoint::Jwks => desk.jwks(),
        Endpoint::Login => desk.login().await,
        Endpoint::Logout => desk.logout(form).await,
        Endpoint::Me => desk.me().await,
        Endpoint::Portal => desk.portal().await,
        Endpoint::SignedOut => desk.signed_out(),
    }
}

/// Sends the agent to the provider; afterwards they get the page they asked for.
pub async fn begin_login(site: &Site, visit: &Visit, request_id: &str) -> Reply {
    let wishes = visit.route.as_ref().map(|route| route.wishes(&visit.query)).unwrap_or_default();
    Desk { site, visit, request_id }.begin(Aim::new(&ReturnTo::or_root(&visit.target), wishes)).await
}

/// Sends an agent who is logged in back to the provider; afterwards they get the page they asked for.
pub async fn begin_step_up(site: &Site, StepUp { wishes, visit }: StepUp, request_id: &str) -> Reply {
    let aim = Aim::new(&ReturnTo::or_root(&visit.target), wishes).as_step_up();
    Desk { site, visit: &visit, request_id }.begin(aim).await
}

/// Ends what a session that is past its limits began, where its agent asks the application to log them out.
pub async fn leave(site: &Site, visit: &Visit, request_id: &str) -> Reply {
    match visit.opened.to_end() {
        Some(session) => Desk { site, visit, request_id }.leave(session, "application_logout").await,
        // Nobody is logged in: a login for the sake of a logout would be absurd.
        None => Reply::see_other(&visit.host.provider.post_logout_redirect_path, "no_session"),
    }
}

struct Desk<'d> {
    site: &'d Site,
    visit: &'d Visit,
    request_id: &'d str,
}

impl Desk<'_> {
    async fn login(&self) -> Reply {
        let parameters = url::form_urlencoded::parse(self.visit.query.as_bytes());
        let wanted = parameters.into_iter().find(|(name, _)| name == "return_to").map(|(_, value)| value.into_owned());
        let return_to = self.outside_prefix(ReturnTo::or_root(wanted.as_deref().unwrap_or("/")));
        let Some(session) = self.visit.opened.valid() else { return self.begin_for_navigation(return_to).await };
        match self.asked_for(session).filter(|_| self.visit.kind == Kind::Navigation) {
            Some(wishes) => self.begin(Aim::new(&return_to, wishes).as_step_up()).await,
            None => Reply::see_other(return_to.as_str(), "already_logged_in"),
        }
    }

    /// Only what an agent opens themselves begins a login: anything else would fill their browser with attempts.
    async fn begin_for_navigation(&self, return_to: ReturnTo) -> Reply {
        if self.visit.kind == Kind::Navigation {
            let wishes = self.route_of(return_to.as_str()).map(|route| route.wishes(&self.visit.query));
            self.begin(Aim::new(&return_to, wishes.unwrap_or_default())).await
        } else {
            self.page(&Message::Unauthenticated { login_url: &self.site.endpoint("login") })
        }
    }

    async fn begin(&self, aim: Aim) -> Reply {
        if !self.site.services.revocations.is_reachable() {
            // The agent would come back to this same page.
            return self.without_store(ReturnTo::or_root(&self.visit.target).as_str());
        }
        match &self.visit.host.login_host {
            Some(login_host) => self.ask(login_host, aim),
            None => self.begin_at_provider(aim).await,
        }
    }

    async fn begin_at_provider(&self, aim: Aim) -> Reply {
        let services = &self.site.services;
        let is_step_up = aim.is_step_up;
        let start =
            authorization::Start { host: &self.visit.host.context, redirect_uri: &self.visit.host.redirect_uri, aim };
        let keys = services.keys.load();
        match login::start(start, &self.visit.cookies, &keys, self.provider(), services.clock.now()).await {
            Ok(started) => {
                self.count(is_step_up, LoginResult::Started);
                Reply::see_other(&started.location, if is_step_up { "step_up_started" } else { "login_started" })
                    .with_cookies(started.cookies)
                    .with_cookies(self.unreadable())
            }
            Err(error) => {
                tracing::warn!(request_id = self.request_id, reason = error.reason_code(), %error, "a login could not begin");
                self.count(is_step_up, LoginResult::Failed(error.reason_code()));
                let here = ReturnTo::or_root(&self.visit.target);
                self.page(&Message::ProviderUnavailable { retry_url: here.as_str() })
            }
        }
    }

    /// What is good once is good never while nobody can tell whether it is the first time.
    fn without_store(&self, retry_url: &str) -> Reply {
        self.count(false, LoginResult::Failed(STORE_UNAVAILABLE));
        self.page(&Message::StoreUnavailable { retry_url })
    }

    async fn callback(&self) -> Reply {
        let Ok(answer) = Answer::parse(&self.visit.query) else {
            return self.page(&Message::BadRequest { code: "callback_malformed", status: StatusCode::BAD_REQUEST });
        };
        let services = &self.site.services;
        let keys = services.keys.load();
        let context = callback::Context {
            host: &self.visit.host.context,
            redirect_uri: &self.visit.host.redirect_uri,
            cookies: &self.visit.cookies,
            session: self.visit.opened.valid().map(AsRef::as_ref),
            keys: &keys,
            provider: self.provider(),
            redeemed: &services.redeemed,
            now: services.clock.now(),
        };
        self.conclude(login::answer(answer, &context).await).await
    }

    async fn conclude(&self, outcome: Outcome) -> Reply {
        match outcome {
            Outcome::Failed(failed) => self.failed(&failed.failure, &failed.aim).with_cookies([failed.forget]),
            Outcome::LoggedIn(logged_in) => self.arrived(logged_in).await,
            Outcome::Loop => {
                self.count(false, LoginResult::Failed("login_loop"));
                self.note(Action::Login, false, "login_loop", None);
                self.page(&Message::LoginLoop { cause: loop_cause(&self.visit.opened), retry_url: "/" })
            }
            Outcome::Lost => self.page(&Message::LoginExpired { retry_url: "/" }),
            Outcome::Restart(aim) => self.begin(aim).await,
            Outcome::Return(return_to) => Reply::see_other(return_to.as_str(), "already_logged_in"),
            Outcome::Unknown { return_to, error } => {
                tracing::warn!(request_id = self.request_id, reason = STORE_UNAVAILABLE, %error, "a login could not end");
                self.without_store(return_to.as_str())
            }
        }
    }

    async fn arrived(&self, LoggedIn { login, aim, forget }: LoggedIn) -> Reply {
        let now = self.site.services.clock.now();
        if !aim.wishes.are_met_by(&login.claims, login.authenticated_at, now) {
            return self.fell_short(login, &aim).await.with_cookies([forget]);
        }
        let (session, cookies) = match self.begin_session(login).await {
            Ok(begun) => begun,
            Err(reply) => return reply.with_cookies([forget]),
        };
        self.count(aim.is_step_up, LoginResult::Succeeded);
        let (action, reason) =
            if aim.is_step_up { (Action::StepUp, "stepped_up") } else { (Action::Login, "logged_in") };
        self.note(action, true, reason, Some(&session));
        tracing::info!(request_id = self.request_id, session = session.pseudonym(), reason, "logged in");
        Reply::see_other(aim.return_to.as_str(), reason)
            .with_cookies(cookies)
            .with_cookies(self.one_more_round(&aim))
            .with_cookies([forget])
    }

    /// Begins the session of a login, in the place of the one there was.
    async fn begin_session(&self, mut login: Login) -> Result<(Session, Vec<HeaderValue>), Reply> {
        login.continues = self.continued(&login.claims);
        let refresh_token = login.refresh_token.take();
        let begun = self.site.sessions.start(login, &self.visit.cookies, &self.visit.host.context);
        let Some((session, cookies)) = begun else {
            tracing::error!(
                request_id = self.request_id,
                "the identity is too large for the cookies that browsers keep"
            );
            return Err(self.page(&Message::Internal));
        };
        self.replace(&session);
        self.site.note_login(&session, &self.visit.host, &self.visit.client);
        if self.site.refresh_identity.is_some() {
            let sessions = &self.site.sessions;
            self.site.services.refresher.begin(&session, refresh_token.as_ref(), sessions).await;
        }
        Ok((session, cookies))
    }

    /// Counts a login that leads to a page which may begin another.
    fn one_more_round(&self, aim: &Aim) -> Option<HeaderValue> {
        let may_turn = aim.is_step_up || self.visit.opened.valid().is_none();
        may_turn.then(|| rounds::one_more(&self.visit.cookies))
    }

    /// A new login is a new session: the old one is not left behind for whoever kept its cookie, and at a login host
    /// nothing that an agent before them began.
    fn replace(&self, session: &Session) {
        let previous = match &self.visit.opened {
            Opened::Expired(previous) if self.visit.host.is_login_host => Some(previous),
            opened => opened.valid(),
        };
        if let Some(previous) = previous.filter(|previous| previous.login() != session.login()) {
            // Nobody waits for the store: the agent is not leaving.
            let _ = self.site.sessions.end(previous, &self.visit.cookies, &self.visit.host.context);
        }
    }

    /// Notes in the audit trail what became of this visit.
    fn note(&self, action: Action, success: bool, reason: &str, session: Option<&Session>) {
        self.site.audit.note(self.event(action, success, reason, session));
    }

    fn event<'e>(&'e self, action: Action, success: bool, reason: &'e str, session: Option<&'e Session>) -> Event<'e> {
        Event {
            agent: session.map(Session::claims),
            session: session.map(Session::pseudonym),
            client: self.visit.client.address,
            host: Some(self.visit.host.authority.as_str()),
            route: self.visit.route.as_deref().map(|route| route.name.as_str()),
            request_id: Some(self.request_id),
            ..Event::new(action, success, reason)
        }
    }

    async fn logout(&self, form: &[u8]) -> Reply {
        if self.visit.method != Method::POST {
            let asked = self.logout_asked_by_another_host();
            return asked.unwrap_or_else(|| Reply::see_other(&self.site.endpoint("me"), "logout_asked"));
        }
        let Some(session) = self.visit.opened.to_end() else {
            return Reply::see_other(&self.visit.host.provider.post_logout_redirect_path, "no_session")
                .with_cookies(logout::forget(&self.visit.cookies));
        };
        let token =
            url::form_urlencoded::parse(form).find(|(name, _)| name == "token").map(|(_, value)| value.into_owned());
        if self.visit.from_elsewhere || !token.is_some_and(|token| session.accepts_logout_token(&token)) {
            return self.page(&Message::BadRequest { code: "logout_token", status: StatusCode::FORBIDDEN });
        }
        self.leave(session, "logged_out").await
    }

    async fn leave(&self, session: &Session, reason: &'static str) -> Reply {
        let ending = end_session(self.site, &self.visit.host, session, &self.visit.cookies);
        tracing::info!(request_id = self.request_id, session = session.pseudonym(), "logged out");
        self.note(Action::Logout, true, reason, Some(session));
        let ended = ending.settled(self.request_id).await;
        Reply::see_other(&ended.location, "logged_out").with_cookies(ended.cookies)
    }

    /// The return from the provider. It changes nothing by itself, and must not comfort an agent whose session lives.
    fn signed_out(&self) -> Reply {
        if let Some(back) = self.signed_out_of_another_host() {
            return back;
        }
        match self.visit.opened.valid() {
            Some(_) => Reply::see_other(&self.site.endpoint("me"), "still_logged_in"),
            None => self.page(&Message::SignedOut {
                everywhere: self.visit.host.is_login_host || self.visit.host.login_host.is_some(),
                application_url: "/",
            }),
        }
    }

    fn jwks(&self) -> Reply {
        let keys = self.site.services.keys.load();
        Reply::new(
            page::Answer {
                status: StatusCode::OK,
                headers: vec![
                    (CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json")),
                    (CACHE_CONTROL, HeaderValue::from_static(JWKS_CACHE_CONTROL)),
                    (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
                ],
                body: keys.jwks().to_owned().into(),
            },
            "jwks",
        )
    }

    /// A login that ended on an endpoint of ours would log out, loop, or show nothing of use, but for pages about the agent
    /// and the way back to another host.
    fn outside_prefix(&self, return_to: ReturnTo) -> ReturnTo {
        let path = return_to.as_str();
        let ours = path.starts_with(&self.site.prefix)
            || path.split('?').next() == Some(self.visit.host.provider.redirect_path.as_str());
        let page = path == self.site.endpoint("me") || (path == self.site.prefix && !self.site.portal.is_empty());
        if ours && !page && self.asking_host(&return_to).is_none() { ReturnTo::root() } else { return_to }
    }

    /// What takes a session away that will never open again.
    fn unreadable(&self) -> Vec<HeaderValue> {
        match self.visit.opened {
            Opened::Unreadable(_) => self.visit.cookies.removal(cookie::PREFIX).collect(),
            _ => Vec::new(),
        }
    }

    /// Whom to ask: the route's contact, else that of another application of the host.
    fn contact(&self) -> Option<&str> {
        let route = self.visit.route.as_ref().and_then(|route| route.contact.as_deref());
        route.or_else(|| self.site.routes_of(&self.visit.host).into_iter().find_map(|route| route.contact.as_deref()))
    }

    fn page(&self, message: &Message<'_>) -> Reply {
        self.told(message, self.contact())
    }

    fn told(&self, message: &Message<'_>, contact: Option<&str>) -> Reply {
        let view = View {
            language: self.visit.language,
            format: format(self.visit.kind),
            request_id: self.request_id,
            contact,
            provider: &self.visit.host.provider.shown,
            prefix: &self.site.prefix,
            has_portal: !self.site.portal.is_empty(),
        };
        Reply::told(self.site, message, &view)
    }

    /// The provider that the agents of this host log in at.
    fn provider(&self) -> &Provider {
        &self.visit.host.provider.provider
    }

    fn count(&self, is_step_up: bool, result: LoginResult) {
        let (metrics, provider) = (&self.site.services.metrics, self.visit.host.provider.name());
        if is_step_up { metrics.step_up(provider, result) } else { metrics.login(provider, result) }
    }
}
