//! From TOML to a [`Config`]. Each file reads one table and knows what its values mean; every error is told.

use super::raw::Section;
use super::surroundings::Surroundings;
use super::{Config, keys};
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
    let signing = signing::read(&main.section("signing", &keys::SIGNING));
    let log = log(&main.section("log", &keys::LOG));
    let site = site::Site::new(surroundings, &server, &provider, &identity).signing_with(signing.algorithm);
    let routes = site.routes(files);
    Some(Config {
        server: server.config,
        admin,
        provider: provider.settings(identity.required)?,
        redirect_path: provider.redirect_path,
        post_logout_redirect_path: provider.post_logout_redirect_path,
        session,
        header_prefix: identity.header_prefix,
        encoding: identity.encoding,
        signing,
        routes: routes?,
        log,
    })
}

fn log(section: &Section<'_>) -> LogFormat {
    section.refuse_unknown_keys();
    section.parsed("format").unwrap_or_default()
}
