//! The configuration: the only reader of TOML. What leaves here is checked and ready to use.
//!
//! `portillon.toml` holds everything; files in `routes.d` beside it hold more routes. [`load()`] reads them into a
//! [`Config`], or tells everything that is wrong, each with its file, line and a remedy.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use rustls::pki_types::CertificateDer;

use crate::gateway::portal::Listing;
use crate::http_ext::TrustedProxy;
use crate::identity::{Encoding, HeaderPlan, HeaderPrefix};
use crate::listener::tls::CertificateFiles;
use crate::listener::{Address, Limits};
use crate::login::Asks;
use crate::logout::LogoutPath;
use crate::policy::{BlockOrigin, PublicRule, Rules};
use crate::route::{Authority, PathPrefix, Scheme};
use crate::secret::Secret;
use crate::telemetry::audit::{Destination, Naming};
use crate::telemetry::log::LogFormat;
use crate::upstream::Origin;
use crate::{oidc, session, signature, stash, store};

mod case;
mod diagnostic;
mod keys;
mod load;
mod mask;
mod names;
mod parse;
mod quantity;
mod raw;
mod source;
mod suggest;
mod surroundings;
mod vocabulary;

pub use case::{Case, cases};
pub use diagnostic::{Diagnostic, Severity};
pub use load::{load, parse};

/// Where the configuration is looked for when the command line names no file.
pub const DEFAULT_FILE: &str = "/etc/portillon/portillon.toml";

/// What a configuration is read for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// To say whether it is right. A systemd credential cannot be read outside its unit: a warning, and the secret is
    /// empty.
    Check,
    /// To run it. Every secret is there, or it is an error.
    Run,
}

/// A configuration that can be used, and what is unwise in it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// In the order of the files.
    pub warnings: Vec<Diagnostic>,
}

/// Everything that the gateway is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[admin] listen`: metrics, health and status. Empty: nowhere.
    pub admin: Vec<Address>,
    /// `[provider]`, where it is written, and `[providers.NAME]`: at least one, no two of one name.
    pub providers: Vec<ProviderConfig>,
    /// `[session]`
    pub session: SessionConfig,
    /// `[store]`
    pub store: StoreConfig,
    /// `[identity] header_prefix`
    pub header_prefix: HeaderPrefix,
    /// `[identity] encoding`
    pub encoding: Encoding,
    /// `[signing]`
    pub signing: SigningConfig,
    /// `[[route]]`, in the order of the files. No two have the same name, or the same authority and path.
    pub routes: Vec<RouteConfig>,
    /// `[stash]`
    pub stash: stash::Settings,
    /// `[audit]`
    pub audit: AuditConfig,
    /// `[log] format`
    pub log: LogFormat,
}

/// `[audit]`
#[derive(Clone, Debug)]
pub struct AuditConfig {
    /// Where the trail is written, if anywhere.
    pub to: Option<Destination>,
    /// What agents are called in it.
    pub agents: Naming,
}

/// `[session]`
#[derive(Clone, Copy, Debug)]
pub struct SessionConfig {
    /// `idle` and `absolute`
    pub lifetime: session::Lifetime,
    /// So many sessions an agent may have at one host.
    pub max_per_agent: Option<NonZeroU32>,
    /// `refresh_identity`: how old an identity may be, where that is limited.
    pub refresh_identity: Option<Duration>,
}

/// `[provider]` or `[providers.NAME]`
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// With `[identity] required`.
    pub settings: oidc::Settings,
    /// `redirect_path`, on every host whose agents log in here, or on the login host alone.
    pub redirect_path: String,
    /// `post_logout_redirect_path`, on the same hosts.
    pub post_logout_redirect_path: String,
    /// Which of its own logouts the provider tells of.
    pub logouts: ProviderLogouts,
    /// `[login] host` for `[provider]`, `login_host` for the others: the one host where the agents of all log in.
    pub login_host: Option<Authority>,
}

/// How a provider tells of logouts that it began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ProviderLogouts {
    /// `backchannel_logout`: it says so itself.
    pub back_channel: bool,
    /// `frontchannel_logout`: it has the browser say so.
    pub front_channel: bool,
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// `listen` and `[[server.listener]]`, each address once.
    pub listeners: Vec<ListenerConfig>,
    /// What agents see.
    pub external_scheme: Scheme,
    /// What is reserved on every host: `/.portillon/`. Starts and ends with `/`.
    pub prefix: String,
    /// This machine's own folder.
    pub state_dir: PathBuf,
    /// The folder of sealing and signing keys.
    pub keys_dir: PathBuf,
    /// Whose `Forwarded` and `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// Where the operator keeps pages that replace ours.
    pub pages_dir: Option<PathBuf>,
    /// `[server.limits]`
    pub limits: Limits,
    /// `[server.tls] certificates`, each of which was read once. Empty where no listener speaks TLS.
    pub certificates: Vec<CertificateFiles>,
    /// `[server.tls] http2`: whether agents' browsers may choose HTTP/2.
    pub http2: bool,
}

/// One address to listen on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListenerConfig {
    /// Where.
    pub address: Address,
    /// Whether TLS ends here, with the certificates of `[server.tls]`.
    pub tls: bool,
    /// Who may connect to a unix socket.
    pub mode: Option<u32>,
}

/// `[store]`
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// How old knowledge may be, and what then.
    pub policy: store::Policy,
    /// Where ended sessions are kept.
    pub kind: StoreKind,
}

/// Where ended sessions are kept.
#[derive(Clone, Debug)]
pub enum StoreKind {
    /// In the state folder, for this machine alone.
    Embedded,
    /// In Redis, for every gateway that is told the same.
    Redis(store::redis::Settings),
}

/// `[signing]`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SigningConfig {
    /// Of request signatures, where a route does not say otherwise.
    pub algorithm: signature::Algorithm,
    /// `expires` − `created` of a request signature.
    pub lifetime: Duration,
    /// `exp` − `iat` of an assertion.
    pub assertion_lifetime: Duration,
}

/// `[[route]]`
#[derive(Clone, Debug)]
pub struct RouteConfig {
    /// Unique.
    pub name: String,
    /// The authority that agents see, without the port that the external scheme implies.
    pub authority: Authority,
    /// The name of the provider that the agents of this host log in at: one of [`Config::providers`], the same for every
    /// route of the host.
    pub provider: String,
    /// What the route is responsible for on its host.
    pub path: PathPrefix,
    /// Where the application listens: at least one, all of one scheme, taken in turn.
    pub upstreams: Vec<Origin>,
    /// Who signs the application's certificate; none: the system's roots.
    pub upstream_ca: Option<Arc<[CertificateDer<'static>]>>,
    /// The name in the application's certificate, where it is not the host of its origin.
    pub upstream_server_name: Option<String>,
    /// To reach the application.
    pub connect_timeout: Duration,
    /// The longest silence of the application.
    pub silence_timeout: Duration,
    /// Whether requests carry a signature (RFC 9421).
    pub sign_request: bool,
    /// Whether requests carry an assertion.
    pub sign_assertion: bool,
    /// Of request signatures.
    pub signature_algorithm: signature::Algorithm,
    /// The key of `hmac-sha256`: there with that algorithm, and no other route has the same one.
    pub hmac_key: Option<Secret<Vec<u8>>>,
    /// The assertion's `aud` and the signature's `tag`.
    pub audience: String,
    /// What this application receives; none: every claim.
    pub claims: Option<BTreeSet<String>>,
    /// More headers for this application, and the claim that each holds.
    pub headers: Vec<(HeaderName, String)>,
    /// The application's own logouts, which also end the session.
    pub logout_paths: Vec<LogoutPath>,
    /// Whom agents ask for help.
    pub contact: Option<String>,
    /// `[[route.public]]`
    pub public: Vec<PublicRule>,
    /// `[[route.deny]]` and `[[route.allow]]`
    pub rules: Rules,
    /// `[route.portal]`: what agents are told of the application, where they are.
    pub portal: Option<Listing>,
    /// `idp_hint`, `login_hint`, `prompt`, `siret_hint` and `link_hints`, those of the provider where the route has none.
    /// `max_age` is with the rules.
    pub asks: Asks,
    /// The largest request body, in bytes; none: any.
    pub max_body: Option<u64>,
    /// Where the route stands.
    pub origin: BlockOrigin,
}

impl Config {
    /// Every `redirect_uri` to register at a provider.
    #[must_use]
    pub fn redirect_uris(&self, provider: &ProviderConfig) -> Vec<String> {
        self.on_every_host(provider, &provider.redirect_path)
    }

    /// Every `post_logout_redirect_uri` to register at a provider.
    #[must_use]
    pub fn post_logout_redirect_uris(&self, provider: &ProviderConfig) -> Vec<String> {
        self.on_every_host(provider, &provider.post_logout_redirect_path)
    }

    /// Where a provider tells of logouts that it began, by the names of the client's registration, which has one of each.
    #[must_use]
    pub fn logout_uris(&self, provider: &ProviderConfig) -> Vec<(&'static str, String)> {
        let ProviderLogouts { back_channel, front_channel } = provider.logouts;
        let one =
            |name: &str| self.on_every_host(provider, &format!("{}{name}", self.server.prefix)).into_iter().next();
        let back = one("backchannel-logout").filter(|_| back_channel).map(|uri| ("backchannel_logout_uri", uri));
        let front = one("frontchannel-logout").filter(|_| front_channel).map(|uri| ("frontchannel_logout_uri", uri));
        back.into_iter().chain(front).collect()
    }

    /// What the application of a route learns of an agent.
    #[must_use]
    pub fn header_plan(&self, route: &RouteConfig) -> HeaderPlan {
        HeaderPlan::new(&self.header_prefix, self.encoding, route.claims.as_ref(), &route.headers)
    }

    /// The hosts whose agents log in at a provider.
    #[must_use]
    pub fn hosts_of(&self, provider: &ProviderConfig) -> BTreeSet<&Authority> {
        let routes = self.routes.iter().filter(|route| route.provider == provider.settings.name);
        routes.map(|route| &route.authority).collect()
    }

    fn on_every_host(&self, provider: &ProviderConfig, path: &str) -> Vec<String> {
        let authorities: BTreeSet<&Authority> = match &provider.login_host {
            Some(login_host) => BTreeSet::from([login_host]),
            None => self.hosts_of(provider),
        };
        authorities.iter().map(|authority| format!("{}://{authority}{path}", self.server.external_scheme)).collect()
    }
}

impl RouteConfig {
    /// Whether what becomes of a request depends on more of its path than the route does.
    #[must_use]
    pub fn reads_path(&self) -> bool {
        !self.public.is_empty() || self.rules.read_path()
    }
}

#[cfg(test)]
mod tests;
