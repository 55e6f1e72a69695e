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

/// How long the resolver is left alone after it failed.
const RESPITE: Duration = Duration::from_secs(2);

/// How long the resolver may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an origin's host stands for.
#[derive(Debug)]
pub(super) enum Addresses {
    Literal(SocketAddr),
    Name(Arc<Name>),
}

/// A name, and what it resolved to last.
#[derive(Debug)]
pub(super) struct Name {
    host: String,
    port: u16,
    known: ArcSwapOption<Known>,
    asking: Arc<Mutex<()>>,
}

/// What the resolver said last; no address where it never said any.
#[derive(Debug)]
struct Known {
    addresses: Vec<SocketAddr>,
    ask_again: Instant,
}

impl Known {
    fn is_fresh(&self) -> bool {
        Instant::now() < self.ask_again
    }
}

impl Addresses {
    pub(super) fn of(origin: &Origin) -> Self {
        match origin.host().parse::<IpAddr>() {
            Ok(address) => Self::Literal(SocketAddr::new(address, origin.port())),
            Err(_) => Self::Name(Arc::new(Name {
                host: origin.host().to_owned(),
                port: origin.port(),
                known: ArcSwapOption::empty(),
                asking: Arc::default(),
            })),
        }
    }

    /// How many there are, as far as is known; at least one, which may turn out to be none.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Literal(_) => 1,
            Self::Name(name) => name.known.load().as_ref().map_or(1, |known| known.addresses.len().max(1)),
        }
    }

    /// The `turn`th address, counted around.
    pub(super) async fn choose(&self, turn: usize) -> io::Result<SocketAddr> {
        match self {
            Self::Literal(address) => Ok(*address),
            Self::Name(name) => {
                let known = name.known().await;
                let position = turn.checked_rem(known.addresses.len());
                position.map(|position| known.addresses[position]).ok_or_else(no_address)
            }
        }
    }
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
}

impl Name {
    /// What is known. Only the first requests wait for the resolver: an old answer is used while a new one is fetched
    /// beside them, and for as long as the resolver is down.
    async fn known(self: &Arc<Self>) -> Arc<Known> {
        match self.known.load_full() {
            Some(known) if known.is_fresh() => known,
            Some(old) if !old.addresses.is_empty() => {
                self.refresh();
                old
            }
            _ => self.first().await,
        }
    }

    fn refresh(self: &Arc<Self>) {
        let Ok(asking) = Arc::clone(&self.asking).try_lock_owned() else { return };
        let name = Arc::clone(self);
        tokio::spawn(async move {
            // Whoever held the lock before may have asked since we looked.
            if name.known.load().as_ref().is_none_or(|known| !known.is_fresh()) {
                name.ask().await;
            }
            drop(asking);
        });
    }

    /// One request asks; those that waited for it take its answer, a failure too.
    async fn first(&self) -> Arc<Known> {
        let _asking = self.asking.lock().await;
        match self.known.load_full() {
            Some(known) if known.is_fresh() => known,
            _ => self.ask().await,
        }
    }

    async fn ask(&self) -> Arc<Known> {
        let known = Arc::new(match self.lookup().await {
            Ok(addresses) => Known { addresses, ask_again: Instant::now() + FRESH },
            Err(error) => {
                let addresses = self.known.load().as_ref().map_or_else(Vec::new, |known| known.addresses.clone());
                let served = addresses.len();
                tracing::warn!(host = self.host, %error, served, "name resolution failed: what was known serves on");
                Known { addresses, ask_again: Instant::now() + RESPITE }
            }
        });
        self.known.store(Some(Arc::clone(&known)));
        known
    }

    async fn lookup(&self) -> io::Result<Vec<SocketAddr>> {
        let found = timeout(PATIENCE, lookup_host((self.host.as_str(), self.port))).await??;
        let addresses: Vec<SocketAddr> = found.collect();
        if addresses.is_empty() { Err(no_address()) } else { Ok(addresses) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(addresses: &[&str], ask_again: Instant) -> Addresses {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Addresses::Name(Arc::new(Name {
            // RFC 6761 section 6.4: this name never resolves.
            host: "app.invalid".to_owned(),
            port: 80,
            known: ArcSwapOption::from_pointee(Known { addresses, ask_again }),
            asking: Arc::default(),
        }))
    }

    #[tokio::test]
    async fn an_address_is_taken_as_it_is() {
        let of = |origin: &str| Addresses::of(&origin.parse().unwrap());
        assert_eq!(of("http://10.0.0.1").choose(7).await.unwrap(), "10.0.0.1:80".parse().unwrap());
        assert_eq!(of("https://[::1]").choose(0).await.unwrap(), "[::1]:443".parse().unwrap());
        assert_eq!(of("http://app.example").count(), 1);
    }

    #[tokio::test]
    async fn known_addresses_take_turns() {
        let fresh = name(&["10.0.0.1:80", "10.0.0.2:80"], Instant::now() + FRESH);
        assert_eq!(fresh.count(), 2);
        assert_eq!(fresh.choose(2).await.unwrap(), fresh.choose(0).await.unwrap());
        assert_ne!(fresh.choose(1).await.unwrap(), fresh.choose(0).await.unwrap());
    }

    #[tokio::test]
    async fn an_old_answer_serves_without_waiting_for_a_new_one() {
        let old = name(&["10.0.0.1:80"], Instant::now());
        let Addresses::Name(inner) = &old else { unreachable!() };
        let _held = inner.asking.lock().await;
        assert_eq!(old.choose(0).await.unwrap(), "10.0.0.1:80".parse().unwrap());
    }

    #[tokio::test]
    async fn a_failure_is_everybodys_for_a_moment() {
        let failed = name(&[], Instant::now() + RESPITE);
        assert_eq!(failed.count(), 1);
        let Addresses::Name(inner) = &failed else { unreachable!() };
        let _held = inner.asking.lock().await;
        assert_eq!(failed.choose(0).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
