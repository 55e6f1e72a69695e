//! `portillon check`: whether a configuration is right, and what to register at the provider for it.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{configuration, counted, tell};
use crate::config::{Config, DEFAULT_FILE, Loaded, ProviderConfig, Purpose, StoreKind};
use crate::route::Authority;
use crate::{doctor, oidc};

/// The command line of `portillon check`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The configuration; files in routes.d beside it belong to it
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
}

/// Checks the configuration: success where it can be used, whatever the warnings.
#[must_use]
pub fn execute(args: &Args) -> ExitCode {
    let Loaded { config, warnings } = match configuration(&args.config, Purpose::Check) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    tell(&warnings);
    let (registration, store) = (registration(&args.config, &config), store(&config.store.kind));
    let told = format!("{registration}{store}{}\n", counted(warnings.len(), "warning"));
    match io::stdout().write_all(told.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Whether a store across the network answers from here. That it does not makes no configuration wrong: the gateway may
/// stand elsewhere, and a credential can be read in its unit only.
fn store(kind: &StoreKind) -> String {
    let StoreKind::Redis(settings) = kind else { return String::new() };
    let outcome = doctor::ask_store(settings)
        .map_or_else(|error| format!("from here, {error}"), |()| "the store answers".to_owned());
    format!("[store] {}: {outcome}\n\n", settings.urls.join(", "))
}

fn registration(file: &Path, config: &Config) -> String {
    format!("{}: the configuration is right\n{}\n", file.display(), to_register(config))
}

/// What to register at the providers that are in use.
pub(super) fn to_register(config: &Config) -> String {
    let mut text = String::new();
    let in_use = |provider: &&ProviderConfig| config.providers.len() == 1 || !config.hosts_of(provider).is_empty();
    for provider in config.providers.iter().filter(in_use) {
        register(&mut text, provider, config);
    }
    text
}

/// What to register at one provider; where there are several, the client tells which of them it is for.
fn register(text: &mut String, provider: &ProviderConfig, config: &Config) {
    let oidc::Settings { issuer, client_id, .. } = &provider.settings;
    let client = if config.providers.len() == 1 { "this client" } else { &format!("the client {client_id}") };
    let _ = writeln!(text, "\nTo register at {issuer} for {client}:");
    let lists = [
        ("redirect_uri", config.redirect_uris(provider)),
        ("post_logout_redirect_uri", config.post_logout_redirect_uris(provider)),
    ];
    for (name, uris) in lists {
        let _ = writeln!(text, "\n{name}");
        for uri in uris {
            let _ = writeln!(text, "  {uri}");
        }
    }
    for (name, uri) in config.logout_uris(provider) {
        let _ = writeln!(text, "\n{name}\n  {uri}");
    }
    if provider.login_host.is_some() {
        let served: Vec<&str> = config.hosts_of(provider).into_iter().map(Authority::as_str).collect();
        let _ = writeln!(text, "\nFor {}, whose agents log in there.", served.join(", "));
    }
}
