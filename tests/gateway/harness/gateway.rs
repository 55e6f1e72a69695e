//! The gateway under test, in this very process. Only this file calls its entry points.

use std::net::SocketAddr;
use std::path::Path;

use portillon::clock::{Clock, Timestamp};

use super::proof::Keys;
use super::site::Site;
use super::upstream::Received;

/// A running gateway.
pub struct Gateway {
    /// Where its first listener is.
    pub address: SocketAddr,
    /// Where its second listener is, if it has one.
    pub second: Option<SocketAddr>,
    /// Where its admin listener is.
    pub admin: SocketAddr,
    running: entry::Running,
}

impl Gateway {
    /// Starts a gateway that keeps its files in `folder` and sees the time on `clock`.
    pub async fn start(site: &Site, folder: &Path, clock: &Clock) -> Result<Self, String> {
        write_configuration(site, folder);
        let running = entry::start(&folder.join("portillon.toml"), clock).await?;
        let (listeners, admin) = entry::addresses(&running);
        Ok(Self { address: listeners[0], second: listeners.get(1).copied(), admin, running })
    }

    /// Reads a changed configuration as SIGHUP does: all of it, or nothing and the reasons.
    pub async fn reload(&self, site: &Site, folder: &Path) -> Result<(), String> {
        write_configuration(site, folder);
        entry::reload(&self.running, &folder.join("portillon.toml")).await
    }

    /// Drains and stops.
    pub async fn stop(self) {
        entry::stop(self.running).await;
    }
}

fn write_configuration(site: &Site, folder: &Path) {
    std::fs::write(folder.join("portillon.toml"), site.to_toml(folder)).expect("the folder of a test is writable");
}

/// What `config::load` says of a site, without starting anything.
pub fn check(site: &Site) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder for a test");
    write_configuration(site, folder.path());
    entry::check(&folder.path().join("portillon.toml"))
}

/// Does what `portillon keys rotate` does.
pub fn rotate_keys(folder: &Path, clock: &Clock) {
    entry::rotate_keys(&folder.join("keys"), clock).expect("the keys are rotated");
}

/// What the product's own verifier says of a request.
pub fn verify(request: &Received, keys: &Keys, tag: &str, now: Timestamp) -> Result<(), String> {
    entry::verify(request, keys, tag, now)
}

/// The gateway's own interface, named here and nowhere else.
mod entry {
    use std::net::SocketAddr;
    use std::path::Path;

    use portillon::config::{self, Diagnostic, Loaded, Purpose};
    use portillon::crypto::key_ring::file::create_key;
    use portillon::crypto::key_ring::{KeyKind, KeyRingError};
    use portillon::crypto::key_set::VerifyingKeys;
    use portillon::crypto::signing::VerifyingKey;
    use portillon::server::{self, Options};
    use portillon::signature::Target;
    use portillon::signature::verify::{self, ReceivedRequest};
    use tokio::sync::Mutex;

    use super::{Clock, Keys, Received, Timestamp};

    pub(super) struct Running(Mutex<server::Running>, (Vec<SocketAddr>, SocketAddr));

    pub(super) async fn start(file: &Path, clock: &Clock) -> Result<Running, String> {
        let options = Options { clock: clock.clone() };
        let running = server::start(load(file)?.config, options).await.map_err(|error| error.to_string())?;
        let addresses = (running.addresses.clone(), running.admin_addresses[0]);
        Ok(Running(Mutex::new(running), addresses))
    }

    pub(super) fn addresses(running: &Running) -> (Vec<SocketAddr>, SocketAddr) {
        running.1.clone()
    }

    pub(super) async fn reload(running: &Running, file: &Path) -> Result<(), String> {
        let loaded = load(file)?;
        running.0.lock().await.reload(&loaded.config).map_err(|error| error.to_string())
    }

    pub(super) async fn stop(running: Running) {
        running.0.into_inner().shutdown().await;
    }

    pub(super) fn rotate_keys(folder: &Path, clock: &Clock) -> Result<(), KeyRingError> {
        KeyKind::ALL.into_iter().try_for_each(|kind| create_key(folder, kind, clock.now()).map(drop))
    }

    pub(super) fn verify(request: &Received, keys: &Keys, tag: &str, now: Timestamp) -> Result<(), String> {
        let (path, query) = request
            .head
            .word(1)
            .split_once('?')
            .map_or_else(|| (request.head.word(1), None), |(path, query)| (path, Some(query)));
        let authority = request.head.value("host").unwrap_or_default();
        let target = Target { method: request.head.word(0), authority, path, query };
        let received = ReceivedRequest { target, headers: &request.head.fields };
        let jwks = serde_json::json!({ "keys": keys.jwks }).to_string();
        let mut known = VerifyingKeys::from_jwks(&jwks).map_err(|error| error.to_string())?;
        if let Some(secret) = &keys.hmac {
            known = known.with(tag, VerifyingKey::hmac_sha256(secret));
        }
        verify::verify(&received, &known, tag, "X-Agent-", now).map(drop).map_err(|error| error.to_string())
    }

    pub(super) fn check(file: &Path) -> Result<(), String> {
        load(file).map(drop)
    }

    fn load(file: &Path) -> Result<Loaded, String> {
        // As `main` does; another test may have done it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let text = |diagnostics: Vec<Diagnostic>| {
            diagnostics.iter().map(|diagnostic| diagnostic.render(false)).collect::<Vec<_>>().join("\n")
        };
        config::load(file, Purpose::Run).map_err(text)
    }
}
