//! From a configuration, which is text made sense of, to a site, which requests are decided by.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use url::Url;

use crate::config::{Config, ListenerConfig, ProviderConfig, RouteConfig};
use crate::crypto::signing::SigningKey;
use crate::gateway::portal::Portal;
use crate::gateway::reserved::ReservedNames;
use crate::gateway::{Host, Realm, RequestKey, RequestSigning, Route, Services, Site};
use crate::identity::AssertionIssuer;
use crate::listener::Binding;
use crate::listener::tls::{Certificates, TlsError};
use crate::oidc::{Preset, Provider, Settings, SettingsError};
use crate::page::{PROCONNECT, Pages, PagesError};
use crate::route::{Authority, Table};
use crate::session::Sessions;
use crate::signature::{Algorithm, Signer};
use crate::telemetry::audit::{self, Audit, Trail};
use crate::telemetry::metrics::NO_ROUTE;
use crate::upstream::{Reach, Upstream, UpstreamError};

/// Identities prepared for upstreams and kept at hand: some 20 MiB where every agent has a large one.
const PREPARED: u64 = 8192;

/// How long an identity that nobody asks for stays prepared.
const PREPARED_IDLE: Duration = Duration::from_secs(600);

/// Why a configuration cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The audit trail cannot be written.
    #[error(transparent)]
    Audit(#[from] audit::OpenError),
    /// A replaced page cannot be used.
    #[error(transparent)]
    Pages(#[from] PagesError),
    /// The provider cannot be asked so.
    #[error(transparent)]
    Provider(#[from] SettingsError),
    /// A certificate or key of a listener cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An upstream cannot be reached so.
    #[error("route {route}: {error}")]
    Upstream {
        /// The route's name.
        route: String,
        /// Why.
        error: UpstreamError,
    },
}

/// The site that `config` describes. What a `previous` one knows of open streams is taken over.
pub(super) fn site(config: &Config, services: Services, previous: Option<&Site>) -> Result<Site, CompileError> {
    let providers = providers(config, &services, previous)?;
    let hosts = hosts(config, &providers);
    let mut routes = Table::default();
    for (index, route) in config.routes.iter().enumerate() {
        let host = Arc::clone(&hosts[route.authority.as_str()]);
        let compiled = compiled(config, route, (index, host), &services)?;
        routes.insert(route.authority.clone(), &route.path, route.reads_path(), Arc::new(compiled));
    }
    let added = config.routes.iter().flat_map(|route| &route.headers).map(|(name, _)| name.as_str());
    let revocations = Arc::clone(&services.revocations);
    let sessions =
        Sessions::new(Arc::clone(&services.keys), config.session.lifetime, services.clock.clone(), revocations);
    Ok(Site {
        scheme: config.server.external_scheme,
        prefix: config.server.prefix.clone(),
        trusted_proxies: config.server.trusted_proxies.clone(),
        reserved: ReservedNames::new(config.header_prefix.as_str(), added),
        providers,
        sessions: Arc::new(match previous {
            Some(previous) => sessions.remembering(&previous.sessions),
            None => sessions,
        }),
        audit: audit(config, &services)?,
        max_per_agent: config.session.max_per_agent,
        refresh_identity: config.session.refresh_identity,
        store: config.store.policy,
        stash: config.stash,
        pages: Pages::new(config.server.pages_dir.as_deref())?,
        portal: portal(config, &hosts),
        hosts,
        routes,
        unrouted: services.metrics.route(NO_ROUTE),
        prepared: Cache::builder().max_capacity(PREPARED).time_to_idle(PREPARED_IDLE).build(),
        services,
    })
}

/// The audit trail, opened anew: its file may have been moved away.
fn audit(config: &Config, services: &Services) -> Result<Audit, audit::OpenError> {
    let trail = config.audit.to.as_ref().map(Trail::open).transpose()?;
    Ok(Audit::new(trail, config.audit.agents, Arc::clone(&services.keys), services.clock.clone()))
}

/// The providers of the configuration. One that did not change goes on with all that it knows.
fn providers(config: &Config, services: &Services, previous: Option<&Site>) -> Result<Vec<Arc<Realm>>, SettingsError> {
    let provider = |settings: &Settings| {
        let same = previous.into_iter().flat_map(|site| &site.providers).map(|realm| &realm.provider);
        match same.into_iter().find(|provider| provider.settings() == settings) {
            Some(provider) => Ok(Arc::clone(provider)),
            None => {
                Provider::new(settings.clone(), Some(&config.server.state_dir), services.clock.clone()).map(Arc::new)
            }
        }
    };
    config.providers.iter().map(|config| Ok(Arc::new(realm(config, provider(&config.settings)?)))).collect()
}

/// Pages call a provider what agents call it: AgentConnect is ProConnect to them, any other goes by its host.
fn realm(config: &ProviderConfig, provider: Arc<Provider>) -> Realm {
    let issuer = Url::parse(&config.settings.issuer).ok();
    let shown = match (config.settings.preset, issuer.as_ref().and_then(Url::host_str)) {
        (Preset::OpenId, Some(host)) => host,
        (Preset::AgentConnect | Preset::OpenId, _) => PROCONNECT,
    };
    Realm {
        provider,
        shown: shown.to_owned(),
        origin: issuer.map(|issuer| issuer.origin().ascii_serialization()),
        redirect_path: config.redirect_path.clone(),
        post_logout_redirect_path: config.post_logout_redirect_path.clone(),
        backchannel_logout: config.logouts.back_channel,
        frontchannel_logout: config.logouts.front_channel,
    }
}

fn hosts(config: &Config, providers: &[Arc<Realm>]) -> HashMap<String, Arc<Host>> {
    let mut hosts = HashMap::new();
    for (provider, realm) in config.providers.iter().zip(providers) {
        let host =
            |authority: &Authority| Host::new(authority.clone(), config.server.external_scheme, Arc::clone(realm));
        let login_host = provider.login_host.as_ref().map(|authority| Arc::new(host(authority).as_login_host()));
        let others =
            config.hosts_of(provider).into_iter().filter(|authority| Some(*authority) != provider.login_host.as_ref());
        for authority in others {
            let host = match &login_host {
                Some(login_host) => host(authority).logging_in_at(Arc::clone(login_host)),
                None => host(authority),
            };
            hosts.insert(authority.as_str().to_owned(), Arc::new(host));
        }
        hosts.extend(login_host.map(|host| (host.authority.as_str().to_owned(), host)));
    }
    hosts
}

fn portal(config: &Config, hosts: &HashMap<String, Arc<Host>>) -> Portal {
    let listed = config
        .routes
        .iter()
        .filter_map(|route| Some((route.portal.clone()?, Arc::clone(&hosts[route.authority.as_str()]))));
    Portal::new(listed, &format!("{}icon/", config.server.prefix))
}

fn compiled(
    config: &Config,
    route: &RouteConfig,
    (index, host): (usize, Arc<Host>),
    services: &Services,
) -> Result<Route, CompileError> {
    let assertion = route.sign_assertion.then(|| {
        AssertionIssuer::new(
            host.origin.clone(),
            route.audience.clone(),
            config.signing.assertion_lifetime,
            route.claims.clone(),
        )
    });
    Ok(Route {
        index,
        name: route.name.clone(),
        shown: route.portal.as_ref().map_or(&route.name, |listing| &listing.name).clone(),
        path: route.path.clone(),
        host,
        contact: route.contact.clone(),
        upstream: upstream(route)?,
        public: route.public.clone(),
        rules: route.rules.clone(),
        asks: route.asks.clone(),
        plan: config.header_plan(route),
        assertion,
        signing: route.sign_request.then(|| signing(config, route)),
        logout_paths: route.logout_paths.clone(),
        max_body: route.max_body,
        metrics: services.metrics.route(&route.name),
    })
}

fn upstream(route: &RouteConfig) -> Result<Upstream, CompileError> {
    let reach = Reach {
        origins: route.upstreams.clone(),
        ca: route.upstream_ca.clone(),
        server_name: route.upstream_server_name.clone(),
        connect_timeout: route.connect_timeout,
        silence_timeout: route.silence_timeout,
    };
    Upstream::new(&reach).map_err(|error| CompileError::Upstream { route: route.name.clone(), error })
}

fn signing(config: &Config, route: &RouteConfig) -> RequestSigning {
    let key = match (&route.signature_algorithm, &route.hmac_key) {
        (Algorithm::HmacSha256, Some(secret)) => {
            RequestKey::Shared(Arc::new(SigningKey::hmac_sha256(route.audience.clone(), secret.expose())))
        }
        (algorithm, _) => RequestKey::Published(*algorithm),
    };
    RequestSigning { signer: Signer::new(route.audience.clone(), config.signing.lifetime), key }
}

/// The sockets that agents reach, those that speak TLS with `certificates`.
pub(super) fn bindings(
    config: &Config,
    certificates: Option<&Arc<Certificates>>,
) -> Result<Vec<Binding>, CompileError> {
    let tls = certificates.map(|certificates| certificates.server_config(config.server.http2)).transpose()?;
    let binding = |listener: &ListenerConfig| Binding {
        address: listener.address.clone(),
        tls: tls.clone().filter(|_| listener.tls),
        mode: listener.mode,
    };
    Ok(config.server.listeners.iter().map(binding).collect())
}

/// The certificates that listeners present; none where no listener speaks TLS.
pub(super) fn certificates(config: &Config) -> Result<Option<Arc<Certificates>>, CompileError> {
    let files = &config.server.certificates;
    Ok(if files.is_empty() { None } else { Some(Certificates::load(files)?) })
}

/// The sockets of the admin listener.
pub(super) fn admin_bindings(config: &Config) -> Vec<Binding> {
    config.admin.iter().map(|address| Binding { address: address.clone(), tls: None, mode: None }).collect()
}
