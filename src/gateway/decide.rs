//! What becomes of a request: the only place where a [`Permit`] is asked for.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode};

use super::request::{Kind, Request};
use super::respond::Reply;
use super::site::{Host, Route, Site};
use crate::crypto::aead::OpenError;
use crate::identity::Claims;
use crate::live::Client;
use crate::login::{ReturnTo, rounds};
use crate::logout::is_logout;
use crate::oidc::Wishes;
use crate::page::{AgentView, Format, Language, LoopCause, Message};
use crate::policy::{Circumstances, Permit};
use crate::route::Lookup;
use crate::session::cookie::OwnCookies;
use crate::session::{Opened, Session};
use crate::stash::Form;

mod refusal;

/// A request that goes on to its application.
#[derive(Debug)]
pub struct Forward {
    /// The proof that it may.
    pub permit: Permit,
    /// Where to.
    pub route: Arc<Route>,
    /// Who sent it, where that is an address.
    pub client: Option<IpAddr>,
    /// Whether it is the application's own logout, which ends the session too.
    pub logout: Option<OwnCookies>,
    /// The cookies that held the session, where the answer should record that the agent is active, and who is.
    pub renewal: Option<(OwnCookies, Client)>,
    /// `Set-Cookie` values for the answer.
    pub cookies: Vec<HeaderValue>,
    /// Whether it really asks for another protocol: an `Upgrade` that `Connection` does not name is none.
    pub upgrade: bool,
}

/// A request that the gateway itself answers, with what is needed once its head is no longer at hand.
#[derive(Debug)]
pub struct Visit {
    /// The host that was asked.
    pub host: Arc<Host>,
    /// The route, where one is known.
    pub route: Option<Arc<Route>>,
    /// The method.
    pub method: Method,
    /// Path and query, as they came, or the front page where a link to them could lead elsewhere.
    pub target: String,
    /// The query, as it came.
    pub query: String,
    /// The cookies of ours that came.
    pub cookies: OwnCookies,
    /// What they hold.
    pub opened: Opened,
    /// Who asks.
    pub kind: Kind,
    /// The language that the agent reads.
    pub language: Language,
    /// Whether the body is `application/x-www-form-urlencoded`.
    pub urlencoded: bool,
    /// Whether a browser says that another origin sent this.
    pub from_elsewhere: bool,
    /// Where it came from.
    pub client: Client,
}

/// An agent whom another login would let in.
#[derive(Debug)]
pub struct StepUp {
    /// What it must bring.
    pub wishes: Wishes,
    /// Where, and by whom.
    pub visit: Visit,
}

/// A form that met an expired session, or one that the rules want more of.
#[derive(Debug)]
pub struct Keep {
    /// The form, whose body is still to come.
    pub form: Form,
    /// The length that it declares for its body.
    pub length: Option<u64>,
    /// The session.
    pub session: Arc<Session>,
    /// Whether the session is valid, and its login not good enough.
    pub is_step_up: bool,
    /// Where, and by whom.
    pub visit: Visit,
    /// The answer where it cannot be kept.
    pub otherwise: Reply,
}

/// One of our own endpoints.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// Where the provider says whose sessions it ended.
    BackChannelLogout,
    /// The redirect URI.
    Callback,
    /// A form that met an expired session.
    Form,
    /// Where the provider has the browser say that its session ended.
    FrontChannelLogout,
    /// Passes a login from the login host to another host.
    HandOff,
    /// The icon of an application.
    Icon,
    /// The public keys.
    Jwks,
    /// Where a login starts by itself.
    Login,
    /// Ends the session.
    Logout,
    /// Who the agent is.
    Me,
    /// The applications that the agent may open.
    Portal,
    /// The post-logout redirect URI.
    SignedOut,
}

impl Endpoint {
    /// What it may be asked by, as `Allow` lists it (RFC 9110 section 10.2.1).
    const fn methods(self) -> &'static str {
        match self {
            Self::BackChannelLogout => "POST",
            // A code and a ticket are good once: asking about their answer would spend them.
            Self::Callback | Self::FrontChannelLogout | Self::HandOff => "GET",
            Self::Form | Self::Logout => "GET, HEAD, POST",
            Self::Icon | Self::Jwks | Self::Login | Self::Me | Self::Portal | Self::SignedOut => "GET, HEAD",
        }
    }

    /// Whether it serves what a session opens, as an application does.
    const fn needs_session(self) -> bool {
        matches!(self, Self::Form | Self::Me)
    }

    fn admits(self, method: &Method) -> bool {
        self.methods().split(", ").any(|admitted| admitted == method.as_str())
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Decision {
    /// One of our own endpoints answers.
    Endpoint(Endpoint, Box<Visit>),
    /// Its application answers.
    Forward(Box<Forward>),
    /// A form is kept until its agent has logged in.
    Keep(Box<Keep>),
    /// The agent, whose session is over, leaves.
    Leave(Box<Visit>),
    /// The agent logs in first.
    Login(Box<Visit>),
    /// It ends here.
    Reply(Box<Reply>),
    /// The agent goes back to the provider first: their login is not good enough.
    StepUp(Box<StepUp>),
}

const MISDIRECTED: Message<'_> = Message::BadRequest { code: "misdirected", status: StatusCode::MISDIRECTED_REQUEST };

/// Where a request comes from, as its connection tells.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'c> {
    /// Who sent it.
    pub client: Option<IpAddr>,
    /// The server name that the client asked for in its TLS handshake, lower case.
    pub server_name: Option<&'c str>,
}

/// Decides. `request_id` is shown on pages.
pub fn decide(site: &Site, request: &Request<'_>, from: Origin<'_>, request_id: &str) -> Decision {
    let desk = Desk { site, request, client: from.client, request_id };
    let Some(host) = site.host(request.host()) else {
        return desk.refuse(None, &Message::UnknownSite { host: request.host() });
    };
    // RFC 9110 section 7.4: a connection made for one site is no way into another, whatever its certificate covers.
    if from.server_name.is_some_and(|name| name != host.authority.host()) {
        return desk.refuse(None, &MISDIRECTED);
    }
    if let Some(decision) = desk.endpoint(host) {
        return decision;
    }
    match site.routes.lookup(host.authority.as_str(), &request.path) {
        Lookup::AmbiguousPath => desk.refuse(None, &Message::AmbiguousPath),
        // A login host may have no application: its front page is a page of ours.
        Lookup::UnknownAuthority if request.path.raw() == "/" && request.kind() == Kind::Navigation => {
            Decision::Reply(Box::new(Reply::see_other(&site.front_page(), "login_host")))
        }
        Lookup::NoRoute(_) | Lookup::UnknownAuthority => desk.refuse(None, &Message::NoRoute),
        Lookup::Route(_, route) => desk.admit(route),
    }
}

/// What a decision is made with.
struct Desk<'d, 'r> {
    site: &'d Site,
    request: &'d Request<'r>,
    client: Option<IpAddr>,
    request_id: &'d str,
}

impl Desk<'_, '_> {
    /// Everything under the reserved prefix is ours, on every host.
    fn endpoint(&self, host: &Arc<Host>) -> Option<Decision> {
        let Some(path) = self.request.path.canonical() else {
            let ours = self.request.path.raw().starts_with(&self.site.prefix);
            return ours.then(|| self.refuse(None, &Message::AmbiguousPath));
        };
        let Some(endpoint) = self.site.endpoint_at(host, path) else {
            return path.starts_with(&self.site.prefix).then(|| self.refuse(None, &Message::NoRoute));
        };
        if !endpoint.admits(self.request.method()) {
            return Some(self.refuse(None, &Message::MethodNotAllowed { allow: endpoint.methods() }));
        }
        if endpoint.needs_session() && !self.site.services.revocations.is_trusted(self.site.store) {
            return Some(self.refuse(None, &Message::StoreUnavailable { retry_url: self.way_back().as_str() }));
        }
        let opened = self.site.sessions.open(&self.request.cookies, &host.context);
        Some(Decision::Endpoint(endpoint, self.visit(host, None, opened)))
    }

    fn admit(&self, route: &Arc<Route>) -> Decision {
        if let Some(permit) = Permit::public(&route.public, self.request.method(), &self.request.path) {
            return Decision::Forward(Box::new(self.forward(permit, route)));
        }
        let opened = self.site.sessions.open(&self.request.cookies, &route.host.context);
        if !self.site.services.revocations.is_trusted(self.site.store) {
            return self.refuse(Some(route), &Message::StoreUnavailable { retry_url: self.way_back().as_str() });
        }
        let Some(session) = opened.valid() else { return self.unauthenticated(route, opened) };
        match Permit::agent(&route.rules, session, self.circumstances()) {
            Err(refusal) => {
                let session = Arc::clone(session);
                self.turned_away(route, opened, &session, refusal)
            }
            Ok(_) if self.is_foreign_websocket(route) => self
                .refuse(Some(route), &Message::BadRequest { code: "websocket_origin", status: StatusCode::FORBIDDEN }),
            Ok(permit) => Decision::Forward(Box::new(self.as_agent(permit, route, &opened))),
        }
    }

    fn circumstances(&self) -> Circumstances<'_> {
        Circumstances {
            client: self.client,
            method: self.request.method(),
            path: &self.request.path,
            now: self.site.services.clock.now(),
        }
    }

    fn forward(&self, permit: Permit, route: &Arc<Route>) -> Forward {
        Forward {
            permit,
            route: Arc::clone(route),
            client: self.client,
            logout: None,
            renewal: None,
            cookies: Vec::new(),
            upgrade: self.request.asks_for_upgrade(),
        }
    }

    /// What an agent's request changes in their cookies: most of the time, nothing.
    fn as_agent(&self, permit: Permit, route: &Arc<Route>, opened: &Opened) -> Forward {
        let cookies = &self.request.cookies;
        let mut forward = self.forward(permit, route);
        if self.is_logout(route) {
            forward.logout = Some(cookies.clone());
            return forward;
        }
        forward.cookies.extend(rounds::forget(cookies));
        if matches!(opened, Opened::Due(_)) {
            forward.renewal = Some((cookies.clone(), self.agent_client()));
        }
        forward
    }

    /// Whether this is the application's own logout.
    fn is_logout(&self, route: &Route) -> bool {
        let asked_by_agent = match self.request.kind() {
            Kind::Form | Kind::Navigation => true,
            Kind::Frame | Kind::Script => !self.request.is_cross_site(),
            Kind::Subresource => false,
        };
        asked_by_agent && is_logout(&route.logout_paths, &self.request.path, self.request.query)
    }

    fn unauthenticated(&self, route: &Arc<Route>, opened: Opened) -> Decision {
        let login_url = self.login_url();
        match self.request.kind() {
            Kind::Form | Kind::Navigation if self.is_logout(route) => {
                Decision::Leave(self.visit(&route.host, Some(route), opened))
            }
            Kind::Navigation if rounds::count(&self.request.cookies) >= rounds::MOST => self.looped(route, &opened),
            Kind::Navigation => Decision::Login(self.visit(&route.host, Some(route), opened)),
            Kind::Form | Kind::Frame => {
                let ended = self.reply(Some(route), &Message::SessionEnded { login_url: &login_url });
                self.kept(route, opened, ended)
            }
            Kind::Script | Kind::Subresource => {
                self.refuse(Some(route), &Message::Unauthenticated { login_url: &login_url })
            }
        }
    }

    /// A form of the agent's own that only came too late, or too soon, is not lost.
    fn kept(&self, route: &Arc<Route>, opened: Opened, otherwise: Reply) -> Decision {
        let form = self.request.form(&route.host.origin).filter(|_| self.site.stash.enabled);
        let is_step_up = opened.valid().is_some();
        let (Opened::Expired(session) | Opened::Alive(session) | Opened::Due(session), Some(form)) = (&opened, form)
        else {
            return Decision::Reply(Box::new(otherwise));
        };
        let session = Arc::clone(session);
        let (length, visit) = (self.request.declared_length(), *self.visit(&route.host, Some(route), opened));
        Decision::Keep(Box::new(Keep { form, length, session, is_step_up, visit, otherwise }))
    }

    fn looped(&self, route: &Arc<Route>, opened: &Opened) -> Decision {
        let back = self.way_back();
        let message = Message::LoginLoop { cause: loop_cause(opened), retry_url: back.as_str() };
        let mut reply = self.reply(Some(route), &message);
        // The next try counts anew: whoever mended the cause is not kept waiting.
        reply.cookies.extend(rounds::forget(&self.request.cookies));
        Decision::Reply(Box::new(reply))
    }

    /// A page of another origin must not talk to the application with the agent's cookies.
    fn is_foreign_websocket(&self, route: &Route) -> bool {
        self.request.is_upgrade() && self.request.origin().is_some_and(|origin| origin != route.host.origin)
    }

    /// What a page of ours links to: `//` before a path would name another host (URL Standard section 4.4).
    fn way_back(&self) -> ReturnTo {
        ReturnTo::or_root(self.request.target())
    }

    fn login_url(&self) -> String {
        let target: String = url::form_urlencoded::byte_serialize(self.request.target().as_bytes()).collect();
        format!("{}?return_to={target}", self.site.endpoint("login"))
    }

    fn visit(&self, host: &Arc<Host>, route: Option<&Arc<Route>>, opened: Opened) -> Box<Visit> {
        Box::new(Visit {
            host: Arc::clone(host),
            route: route.cloned(),
            method: self.request.method().clone(),
            target: self.way_back().into(),
            query: self.request.query.unwrap_or_default().to_owned(),
            cookies: self.request.cookies.clone(),
            opened,
            kind: self.request.kind(),
            language: self.request.language(),
            urlencoded: self.request.is_urlencoded(),
            from_elsewhere: self.request.is_from_elsewhere(&host.origin),
            client: self.agent_client(),
        })
    }

    fn agent_client(&self) -> Client {
        Client::new(self.client, self.request.user_agent())
    }

    fn refuse(&self, route: Option<&Arc<Route>>, message: &Message<'_>) -> Decision {
        Decision::Reply(Box::new(self.reply(route, message)))
    }

    fn reply(&self, route: Option<&Arc<Route>>, message: &Message<'_>) -> Reply {
        let contact = route.and_then(|route| route.contact.as_deref());
        let manner = (format(self.request.kind()), self.request.language());
        let mut reply = Reply::page(self.site, message, manner, contact, self.request_id);
        reply.route = route.cloned();
        reply
    }
}

/// How an answer is written for who asks.
pub fn format(kind: Kind) -> Format {
    match kind {
        Kind::Form | Kind::Frame | Kind::Navigation => Format::Html,
        Kind::Script => Format::Problem,
        Kind::Subresource => Format::Bare,
    }
}

/// Why logins that succeed do not arrive, by what came instead of a session.
pub fn loop_cause(opened: &Opened) -> LoopCause {
    match opened {
        Opened::Ended | Opened::Expired(_) | Opened::NotYet => LoopCause::Clock,
        Opened::Unreadable(OpenError::UnknownKey) => LoopCause::Key,
        Opened::Unreadable(OpenError::Tampered | OpenError::Malformed) => LoopCause::Host,
        Opened::Alive(_) | Opened::Due(_) | Opened::None => LoopCause::Cookie,
    }
}

/// First names and surname, as far as they are known.
pub fn full_name(claims: &Claims) -> String {
    let names: Vec<&str> = ["given_name", "usual_name"].iter().filter_map(|name| claims.text(name)).collect();
    if names.is_empty() { claims.sub().to_owned() } else { names.join(" ") }
}

/// The agent, as a page shows them.
pub fn agent_view<'a>(claims: &'a Claims, name: &'a str) -> AgentView<'a> {
    AgentView {
        name,
        email: claims.text("email"),
        organization: ["organization_label", "organizational_unit"].iter().find_map(|name| claims.text(name)),
        siret: claims.text("siret"),
        idp_id: claims.text("idp_id"),
    }
}
