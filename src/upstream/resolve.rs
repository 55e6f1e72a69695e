//! The addresses of an upstream, resolved without blocking and again while it is used.
//!
//! pingora would resolve a name synchronously and panic where that fails; it only ever gets addresses from here.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::net::lookup_host;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::Origin;

/// How long an answer of the resolver is used before it is asked again.
const FRESH: Duration = Duration::from_secs(30);

/// How long the resolver may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an origin's host stands for.
#[derive(Debug)]
pub(super) enum Addresses {
    Literal(SocketAddr),
    Name(Name),
}

/// A name, and what it resolved to last.
#[derive(Debug)]
pub(super) struct Name {
    host: String,
    port: u16,
    known: ArcSwapOption<Known>,
    asking: Mutex<()>,
}

#[derive(Debug)]
struct Known {
    addresses: Vec<SocketAddr>,
    at: Instant,
}

impl Addresses {
    pub(super) fn of(origin: &Origin) -> Self {
        let host = origin.host();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match literal {
            Ok(address) => Self::Literal(SocketAddr::new(address, origin.port())),
            Err(_) => Self::Name(Name {
                host: host.to_owned(),
                port: origin.port(),
                known: ArcSwapOption::empty(),
                asking: Mutex::new(()),
            }),
        }
    }

    /// The `turn`th address, counted around.
    pub(super) async fn choose(&self, turn: usize) -> io::Result<SocketAddr> {
        match self {
            Self::Literal(address) => Ok(*address),
            Self::Name(name) => {
                let known = name.known().await?;
                Ok(known.addresses[turn % known.addresses.len()])
            }
        }
    }
}

impl Name {
    /// What is known, asked anew where that is old. One request asks; the others go on with the old answer meanwhile,
    /// and so do all while the resolver is down.
    async fn known(&self) -> io::Result<Arc<Known>> {
        let known = self.known.load_full();
        match known {
            Some(known) if known.at.elapsed() < FRESH => Ok(known),
            Some(old) => match self.asking.try_lock() {
                Ok(_asking) => self.ask().await.or_else(|error| {
                    tracing::warn!(host = self.host, %error, "name resolution failed: the last answer serves on");
                    Ok(old)
                }),
                Err(_) => Ok(old),
            },
            None => {
                let _asking = self.asking.lock().await;
                match self.known.load_full() {
                    Some(known) => Ok(known),
                    None => self.ask().await,
                }
            }
        }
    }

    async fn ask(&self) -> io::Result<Arc<Known>> {
        let found = timeout(PATIENCE, lookup_host((self.host.as_str(), self.port))).await??;
        let addresses: Vec<SocketAddr> = found.collect();
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        let known = Arc::new(Known { addresses, at: Instant::now() });
        self.known.store(Some(Arc::clone(&known)));
        Ok(known)
    }
}
