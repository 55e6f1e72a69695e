//! What requests are decided by: everything that the configuration says, compiled, and the services that it names.
//!
//! A reload makes a new site and swaps it in whole; requests under way finish on the one that they began with.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use moka::sync::Cache;

use super::decide::Endpoint;
use super::forward::Prepared;
use super::portal::Portal;
use super::request::known_authority;
use super::reserved::ReservedNames;
use crate::clock::{Clock, Timestamp};
use crate::crypto::key_ring::KeyRings;
use crate::crypto::signing::SigningKey;
use crate::http_ext::TrustedProxy;
use crate::identity::{AssertionIssuer, HeaderPlan};
use crate::live::{Client, Live};
use crate::login::refresh::Refresher;
use crate::login::{Asks, Redeemed};
use crate::logout::LogoutPath;
use crate::oidc::Provider;
use crate::page::{Icon, LogoutForm, Pages};
use crate::policy::{PublicRule, Rules};
use crate::route::{Authority, PathPrefix, Scheme, Table};
use crate::session::{Session, SessionId, Sessions};
use crate::signature::{self, Signer};
use crate::stash::{self, Stash};
use crate::store::records::Records;
use crate::store::{self, Revocations};
use crate::telemetry::audit::Audit;
use crate::telemetry::metrics::{Metrics, RouteMetrics};
use crate::telemetry::recent::Recent;
use crate::upstream::Upstream;

/// What outlives a reload.
#[derive(Clone)]
pub struct Services {
    /// The time.
    pub clock: Clock,
    /// The sealing and signing keys in force.
    pub keys: Arc<KeyRings>,
    /// The sessions that have ended.
    pub revocations: Arc<Revocations>,
    /// The forms that wait for a login.
    pub stash: Arc<Stash>,
    /// What was good once, and is no longer.
    pub redeemed: Redeemed,
    /// What refreshes identities.
    pub refresher: Arc<Refresher>,
    /// What outlives a cookie, besides ended sessions.
    pub records: Records,
    /// Who is logged in.
    pub live: Live,
    /// What was decided lately.
    pub recent: Arc<Recent>,
    /// What is counted.
    pub metrics: Metrics,
}

/// A host that agents know.
#[derive(Debug)]
pub struct Host {
    /// As agents see it.
    pub authority: Authority,
    /// Scheme and authority: the assertion's `iss`, and where redirects lead.
    pub origin: String,
    /// The same, as applications are told.
    pub told: Told,
    /// The provider that its agents log in at.
    pub provider: Arc<Realm>,
    /// What is sealed for this host is sealed in this context: the host and its provider. A session that another
    /// provider's login began opens nowhere else, whatever the configuration says later.
    pub context: String,
    /// The host where its agents log in and out at the provider, where that is another one.
    pub login_host: Option<Arc<Self>>,
    /// Whether the agents of other hosts log in here.
    pub is_login_host: bool,
    /// The redirect URI to register, where agents log in here.
    pub redirect_uri: String,
    /// Where agents get to after a logout; to register, where they log in here.
    pub post_logout_redirect_uri: String,
}

/// A provider and what its hosts have in common.
#[derive(Debug)]
pub struct Realm {
    /// The provider itself.
    pub provider: Arc<Provider>,
    /// Its origin, where logouts lead.
    pub origin: Option<String>,
    /// What agents know it as.
    pub shown: String,
    /// The path of the redirect URIs.
    pub redirect_path: String,
    /// The path of the post-logout redirect URIs.
    pub post_logout_redirect_path: String,
    /// Whether it says itself whose sessions it ended (OpenID Connect Back-Channel Logout 1.0).
    pub backchannel_logout: bool,
    /// Whether it has the browser say so (OpenID Connect Front-Channel Logout 1.0).
    pub frontchannel_logout: bool,
}

impl Realm {
    /// What the configuration calls the provider.
    #[must_use]
    pub fn name(&self) -> &str {
        self.provider.name()
    }
}

/// What an application is told of the origin that agents see: field values, made once.
#[derive(Debug)]
pub struct Told {
    /// `Host` and `X-Forwarded-Host`.
    pub authority: HeaderValue,
    /// The `host` and `proto` parameters of `Forwarded` (RFC 7239 section 5), after a `;`.
    pub forwarded: String,
    /// `X-Forwarded-Proto`.
    pub scheme: HeaderValue,
}

impl Host {
    /// The form that logs an agent of this host out: where it goes, and what it carries.
    #[must_use]
    pub fn logout_form<'v>(&'v self, url: &'v str, token: &'v str) -> LogoutForm<'v> {
        let login_origin = self.login_host.as_ref().map(|host| host.origin.as_str());
        LogoutForm { url, token, login_origin, provider_origin: self.provider.origin.as_deref() }
    }

    /// The host that agents see as `authority` under `scheme`, and whose agents log in at `provider`.
    #[must_use]
    pub fn new(authority: Authority, scheme: Scheme, provider: Arc<Realm>) -> Self {
        let origin = format!("{scheme}://{authority}");
        let value = HeaderValue::from_str(authority.as_str()).expect("an authority is visible ASCII");
        Self {
            redirect_uri: format!("{origin}{}", provider.redirect_path),
            post_logout_redirect_uri: format!("{origin}{}", provider.post_logout_redirect_path),
            told: Told {
                authority: value,
                forwarded: format!(";host=\"{authority}\";proto={scheme}"),
                scheme: HeaderValue::from_static(scheme.as_str()),
            },
            context: format!("{authority} {}", provider.provider.fingerprint()),
            login_host: None,
            is_login_host: false,
            provider,
            origin,
            authority,
        }
    }

    /// The same host, whose agents log in at another one.
    #[must_use]
    pub fn logging_in_at(self, login_host: Arc<Self>) -> Self {
        Self { login_host: Some(login_host), ..self }
    }

    /// The same host, where the agents of others log in too.
    #[must_use]
    pub fn as_login_host(self) -> Self {
        Self { is_login_host: true, ..self }
    }
}

/// How a route's requests are signed.
#[derive(Debug)]
pub struct RequestSigning {
    /// What it puts into signatures.
    pub signer: Signer,
    /// Which key signs.
    pub key: RequestKey,
}

/// Which key signs a route's requests.
#[derive(Debug)]
pub enum RequestKey {
    /// The published key of this algorithm that is in force.
    Published(signature::Algorithm),
    /// The key shared with this application alone.
    Shared(Arc<SigningKey>),
}

/// One application behind one prefix of one host.
#[derive(Debug)]
pub struct Route {
    /// Its place in the configuration; tells prepared identities apart.
    pub index: usize,
    /// Its name in the configuration.
    pub name: String,
    /// What agents call it: the name in the portal, or else in the configuration.
    pub shown: String,
    /// The prefix of its pages.
    pub path: PathPrefix,
    /// The host that it is on.
    pub host: Arc<Host>,
    /// Whom its users may ask.
    pub contact: Option<String>,
    /// Where it is.
    pub upstream: Upstream,
    /// What passes without a session.
    pub public: Vec<PublicRule>,
    /// Who may enter.
    pub rules: Rules,
    /// What logins for it ask the provider for.
    pub asks: Asks,
    /// What it learns of an agent.
    pub plan: HeaderPlan,
    /// How its assertions are made; none where it wants none.
    pub assertion: Option<AssertionIssuer>,
    /// How its requests are signed; none where it wants none.
    pub signing: Option<RequestSigning>,
    /// Its own logout pages.
    pub logout_paths: Vec<LogoutPath>,
    /// The largest request body that it takes, in bytes.
    pub max_body: Option<u64>,
    /// What is counted for it.
    pub metrics: RouteMetrics,
}

/// A configuration, compiled.
pub struct Site {
    /// What outlives a reload.
    pub services: Services,
    /// What agents see.
    pub scheme: Scheme,
    /// The path prefix reserved for endpoints of ours, with its slashes.
    pub prefix: String,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// Header names that no client may bring.
    pub reserved: ReservedNames,
    /// Where security events are noted.
    pub audit: Audit,
    /// The providers, the default one first.
    pub providers: Vec<Arc<Realm>>,
    /// The sessions of every host.
    pub sessions: Arc<Sessions>,
    /// So many sessions an agent may have at one host.
    pub max_per_agent: Option<NonZeroU32>,
    /// How old an identity may be before it is refreshed; none: it is that of the login.
    pub refresh_identity: Option<Duration>,
    /// How old the knowledge of ended sessions may be.
    pub store: store::Policy,
    /// How forms are kept that meet an expired session.
    pub stash: stash::Settings,
    /// Pages for people.
    pub pages: Pages,
    /// The hosts by authority.
    pub hosts: HashMap<String, Arc<Host>>,
    /// The routes.
    pub routes: Table<Arc<Route>>,
    /// The applications that agents are told of.
    pub portal: Portal,
    /// What is counted for requests that belong to no route.
    pub unrouted: RouteMetrics,
    /// Identity headers made before, by session, its identity's age, and route.
    pub prepared: Cache<(SessionId, Timestamp, usize), Arc<Prepared>>,
}

impl Site {
    /// The host that a request names, in any spelling of it.
    #[must_use]
    pub fn host(&self, named: &str) -> Option<&Arc<Host>> {
        self.hosts.get(named).or_else(|| {
            let authority =
                known_authority(named, self.scheme, |name| self.hosts.get(name).map(|host| &host.authority))?;
            self.hosts.get(authority.as_str())
        })
    }

    /// Notes for operators that a login began `session`.
    pub fn note_login(&self, session: &Session, host: &Host, client: &Client) {
        let there = (host.authority.as_str(), client);
        self.services.live.note(session, there, self.sessions.lifetime(), self.max_per_agent);
    }

    /// Notes for operators that `session` is used.
    pub fn note_use(&self, session: &Session, host: &Host, client: &Client) {
        self.services.live.note(session, (host.authority.as_str(), client), self.sessions.lifetime(), None);
    }

    /// The host with this very authority that has its agents log in at `login_host`.
    #[must_use]
    pub fn served_by(&self, login_host: &Host, authority: &str) -> Option<&Arc<Host>> {
        let host = self.hosts.get(authority)?;
        let its_own = host.login_host.as_ref().is_some_and(|own| own.authority == login_host.authority);
        its_own.then_some(host)
    }

    /// The routes of a host, in the order of the configuration.
    #[must_use]
    pub fn routes_of(&self, host: &Host) -> Vec<&Arc<Route>> {
        let mut routes: Vec<_> = self.routes.of(host.authority.as_str()).collect();
        routes.sort_by_key(|route| route.index);
        routes
    }

    /// The endpoint of ours at a canonical path of `host`.
    #[must_use]
    pub fn endpoint_at(&self, host: &Host, path: &str) -> Option<Endpoint> {
        if path == host.provider.redirect_path && host.login_host.is_none() {
            return Some(Endpoint::Callback);
        }
        if path == host.provider.post_logout_redirect_path {
            return Some(Endpoint::SignedOut);
        }
        if !self.portal.is_empty() && self.prefix.strip_suffix('/') == Some(path) {
            return Some(Endpoint::Portal);
        }
        match path.strip_prefix(&self.prefix)? {
            "" if !self.portal.is_empty() => Some(Endpoint::Portal),
            "backchannel-logout" if host.provider.backchannel_logout => Some(Endpoint::BackChannelLogout),
            "form" => Some(Endpoint::Form),
            "frontchannel-logout" if host.provider.frontchannel_logout => Some(Endpoint::FrontChannelLogout),
            "hand-off" if host.is_login_host || host.login_host.is_some() => Some(Endpoint::HandOff),
            "jwks.json" => Some(Endpoint::Jwks),
            "login" => Some(Endpoint::Login),
            "logout" => Some(Endpoint::Logout),
            "me" => Some(Endpoint::Me),
            _ => self.icon_at(path).map(|_| Endpoint::Icon),
        }
    }

    /// The icon at a path.
    #[must_use]
    pub fn icon_at(&self, path: &str) -> Option<&Arc<Icon>> {
        self.portal.icon(path.strip_prefix(&self.prefix)?.strip_prefix("icon/")?)
    }

    /// What a host without an application shows first: the portal, or else who the agent is.
    #[must_use]
    pub fn front_page(&self) -> String {
        self.endpoint(if self.portal.is_empty() { "me" } else { "" })
    }

    /// The path of one of our own endpoints.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}
