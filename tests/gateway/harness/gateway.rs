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
    /// Where its admin listener is.
    pub admin: SocketAddr,
    running: entry::Running,
}

impl Gateway {
    /// Starts a gateway that keeps its files in `folder` and sees the time on `clock`.
    pub async fn start(site: &Site, folder: &Path, clock: &Clock) -> Result<Self, String> {
        write_configuration(site, folder);
        let running = entry::start(&folder.join("portillon.toml"), clock).await?;
        let (address, admin) = entry::addresses(&running);
        Ok(Self { address, admin, running })
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

    use super::{Clock, Keys, Received, Timestamp};

    const MISSING: &str = "config::load and server::start are not wired to the tests yet";

    pub(super) struct Running {
        addresses: (SocketAddr, SocketAddr),
    }

    pub(super) async fn start(_file: &Path, _clock: &Clock) -> Result<Running, String> {
        Err(MISSING.to_owned())
    }

    pub(super) fn addresses(running: &Running) -> (SocketAddr, SocketAddr) {
        running.addresses
    }

    pub(super) async fn reload(_running: &Running, _file: &Path) -> Result<(), String> {
        Err(MISSING.to_owned())
    }

    pub(super) async fn stop(_running: Running) {}

    pub(super) fn rotate_keys(_folder: &Path, _clock: &Clock) -> Result<(), String> {
        Err(MISSING.to_owned())
    }

    pub(super) fn verify(_request: &Received, _keys: &Keys, _tag: &str, _now: Timestamp) -> Result<(), String> {
        Err(MISSING.to_owned())
    }

    pub(super) fn check(_file: &Path) -> Result<(), String> {
        Err(MISSING.to_owned())
    }
}
