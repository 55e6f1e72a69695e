//! From TOML to a [`Config`]. Each file reads one table and knows what its values mean; every error is told.

use std::collections::BTreeSet;

use super::raw::Section;
use super::surroundings::Surroundings;
use super::{AuditConfig, Config, ProviderConfig, RouteConfig, keys};
use crate::policy::Condition;
use crate::telemetry::log::LogFormat;

mod asks;
mod condition;
mod identity;
mod path;
mod portal;
mod proofs;
mod provider;
mod providers;
mod route;
mod rules;
mod seen;
mod server;
mod session;
mod signing;
mod site;
mod stash;
mod store;
mod time;
mod upstream;
mod values;

use identity::Identity;
use provider::Provider;

/// The configuration that the files hold, the main one first; none where an error was told.
pub(super) fn config(files: &[Section<'_>], surroundings: &Surroundings) -> Option<Config> {
    let main = files.first()?;
    files.iter().for_each(Section::refuse_unknown_keys);
    let server = server::read(&main.section("server", &keys::SERVER), surroundings);
    let admin = server::admin(&main.section("admin", &keys::ADMIN));
    let providers = providers::read(main, &server.config, surroundings);
    let identity = identity::read(&main.section("identity", &keys::IDENTITY), &providers.all);
    let session = session::read(&main.section("session", &keys::SESSION));
    let store = store::read(&main.section("store", &keys::STORE), session.lifetime, surroundings);
    let signing = signing::read(&main.section("signing", &keys::SIGNING));
    let stash = stash::read(&main.section("stash", &keys::STASH));
    let audit = audit(&main.section("audit", &keys::AUDIT));
    let log = log(&main.section("log", &keys::LOG));
    let site = site::Site::new(surroundings, &server, &providers, &identity).signing_with(signing.algorithm);
    let routes = site.routes(files)?;
    let settled = providers.all.iter().map(|provider| settled(provider, &identity, &routes));
    Some(Config {
        providers: settled.collect::<Option<_>>()?,
        server: server.config,
        admin,
        audit,
        session,
        store: store?,
        header_prefix: identity.header_prefix,
        encoding: identity.encoding,
        signing,
        routes,
        stash,
        log,
    })
}

fn settled(provider: &Provider, identity: &Identity, routes: &[RouteConfig]) -> Option<ProviderConfig> {
    Some(ProviderConfig {
        settings: provider.settings(identity.required(&provider.vocabulary), denied(provider, routes))?,
        redirect_path: provider.redirect_path.clone(),
        post_logout_redirect_path: provider.post_logout_redirect_path.clone(),
        logouts: provider.logouts,
        login_host: provider.login_host.clone(),
    })
}

/// The claims that rules deny by; the SIREN comes with the SIRET.
fn denied(provider: &Provider, routes: &[RouteConfig]) -> Vec<String> {
    let routes = routes.iter().filter(|route| route.provider == provider.name);
    let conditions = routes.flat_map(|route| &route.rules.deny).flat_map(|block| &block.conditions);
    let mut claims: BTreeSet<String> = conditions.flat_map(Condition::claims).map(str::to_owned).collect();
    if claims.contains("siren") {
        claims.insert("siret".to_owned());
    }
    claims.into_iter().collect()
}

fn audit(section: &Section<'_>) -> AuditConfig {
    section.refuse_unknown_keys();
    AuditConfig { to: section.parsed("to"), agents: section.parsed("agents").unwrap_or_default() }
}

fn log(section: &Section<'_>) -> LogFormat {
    section.refuse_unknown_keys();
    section.parsed("format").unwrap_or_default()
}
