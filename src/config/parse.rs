//! From TOML to a [`Config`]. Each file reads one table and knows what its values mean; every error is told.

use std::collections::BTreeSet;

use super::raw::Section;
use super::surroundings::Surroundings;
use super::{Config, RouteConfig, keys};
use crate::telemetry::log::LogFormat;

mod identity;
mod path;
mod proofs;
mod provider;
mod route;
mod rules;
mod seen;
mod server;
mod session;
mod signing;
mod site;
mod stash;
mod store;
mod upstream;

/// The configuration that the files hold, the main one first; none where an error was told.
pub(super) fn config(files: &[Section<'_>], surroundings: &Surroundings) -> Option<Config> {
    let main = files.first()?;
    files.iter().for_each(Section::refuse_unknown_keys);
    let server = server::read(&main.section("server", &keys::SERVER), surroundings);
    let admin = server::admin(&main.section("admin", &keys::ADMIN));
    let provider = provider::read(&main.section("provider", &keys::PROVIDER), &server.config.prefix, surroundings);
    let identity = identity::read(&main.section("identity", &keys::IDENTITY), &provider.vocabulary);
    let session = session::read(&main.section("session", &keys::SESSION));
    let store = store::read(&main.section("store", &keys::STORE), session, surroundings);
    let signing = signing::read(&main.section("signing", &keys::SIGNING));
    let stash = stash::read(&main.section("stash", &keys::STASH));
    let log = log(&main.section("log", &keys::LOG));
    let site = site::Site::new(surroundings, &server, &provider, &identity).signing_with(signing.algorithm);
    let routes = site.routes(files)?;
    Some(Config {
        server: server.config,
        admin,
        provider: provider.settings(identity.required, denied(&routes))?,
        redirect_path: provider.redirect_path,
        post_logout_redirect_path: provider.post_logout_redirect_path,
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

/// The claims that rules deny by; the SIREN comes with the SIRET.
fn denied(routes: &[RouteConfig]) -> Vec<String> {
    let conditions = routes.iter().flat_map(|route| &route.rules.deny).flat_map(|block| &block.conditions);
    let mut claims: BTreeSet<String> = conditions.map(|condition| condition.claim.clone()).collect();
    if claims.contains("siren") {
        claims.insert("siret".to_owned());
    }
    claims.into_iter().collect()
}

fn log(section: &Section<'_>) -> LogFormat {
    section.refuse_unknown_keys();
    section.parsed("format").unwrap_or_default()
}
