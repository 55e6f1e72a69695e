//! Whether everything around a gateway is as it needs it: `portillon doctor`.
//!
//! A configuration can be right and nobody can log in: the provider is out of reach, a clock is wrong, a certificate has
//! ended. Each examination asks the real thing, and each finding says what to do.

use rustls::RootCertStore;
use tokio::runtime::Builder;

use crate::clock::Clock;
use crate::config::Config;
use crate::store::redis::{Redis, Settings};
use crate::store::{Cursor, Journal as _, StoreError};

mod certificate;
mod folders;
mod habits;
mod listeners;
mod network;
mod provider;
mod stores;
mod trail;
mod upstreams;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Something will not work.
    Fault,
    /// It works, and could work better or for longer.
    Advice,
    /// As it should be.
    Fine,
}

/// What an examination found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// A stable name.
    pub code: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What it is about: a provider, a route, a file.
    pub about: String,
    /// What was found, for people.
    pub message: String,
    /// What to do; empty where all is fine.
    pub help: String,
}

impl Level {
    /// `fault`, `advice` or `fine`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Advice => "advice",
            Self::Fine => "fine",
        }
    }
}

impl Finding {
    fn fault(code: &'static str, about: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, level: Level::Fault, about: about.to_owned(), message: message.into(), help: help.into() }
    }

    fn advice(code: &'static str, about: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { level: Level::Advice, ..Self::fault(code, about, message, help) }
    }

    fn fine(code: &'static str, about: &str, message: impl Into<String>) -> Self {
        Self { level: Level::Fine, ..Self::fault(code, about, message, "") }
    }
}

/// Everything that is found around a gateway with this configuration, in the order of the configuration. Waits for the
/// network, each call for a bounded time.
#[must_use]
pub fn examine(config: &Config, clock: &Clock) -> Vec<Finding> {
    let system_roots = system_roots();
    let mut findings = Vec::new();
    findings.extend(listeners::examine(config, clock.now()));
    findings.extend(folders::examine(&config.server));
    for each in &config.providers {
        if config.providers.len() == 1 || !config.hosts_of(each).is_empty() {
            findings.extend(provider::examine(&each.settings, clock));
        }
    }
    findings.extend(stores::examine(&config.store.kind));
    findings.extend(trail::examine(config));
    findings.extend(upstreams::examine(config, &system_roots, clock.now()));
    findings.extend(network::hosts(config));
    findings.extend(habits::examine(config));
    findings
}

/// Asks a store across the network for what it keeps.
///
/// # Errors
///
/// [`StoreError`] where it does not answer.
pub fn ask_store(settings: &Settings) -> Result<(), StoreError> {
    let journal = Redis::new(settings.clone(), Clock::system())?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(StoreError::new)?;
    runtime.block_on(journal.read(&Cursor::default())).map(drop)
}

/// The authorities that this system trusts; those that cannot be read are missing, and what they sign is not trusted.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
