//! The addresses of an upstream, resolved without blocking and again while it is used.
//!
//! pingora would resolve a name synchronously and panic where that fails; it only ever gets addresses from here.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
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

/// Who knows the addresses of names.
#[async_trait]
pub(super) trait Resolve: fmt::Debug + Send + Sync {
    /// Every address of `host`, with `port`.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// What this machine is configured to ask: `/etc/hosts`, DNS.
#[derive(Debug)]
struct System;

#[async_trait]
impl Resolve for System {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        lookup_host((host, port)).await.map(Iterator::collect)
    }
}

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
    resolver: Arc<dyn Resolve>,
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
        Self::by(origin, Arc::new(System))
    }

    fn by(origin: &Origin, resolver: Arc<dyn Resolve>) -> Self {
        match origin.host().parse::<IpAddr>() {
            Ok(address) => Self::Literal(SocketAddr::new(address, origin.port())),
            Err(_) => Self::Name(Arc::new(Name {
                host: origin.host().to_owned(),
                port: origin.port(),
                resolver,
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
        let addresses = timeout(PATIENCE, self.resolver.resolve(&self.host, self.port)).await??;
        if addresses.is_empty() { Err(no_address()) } else { Ok(addresses) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// Says what a test tells it, in order, once the test lets it; anything else is a failure.
    #[derive(Debug)]
    struct Script {
        answers: std::sync::Mutex<VecDeque<&'static [&'static str]>>,
        asked: AtomicUsize,
        allowed: Semaphore,
    }

    impl Script {
        fn new(answers: &[&'static [&'static str]], allowed: usize) -> Arc<Self> {
            let answers = std::sync::Mutex::new(answers.iter().copied().collect());
            Arc::new(Self { answers, asked: AtomicUsize::new(0), allowed: Semaphore::new(allowed) })
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    #[async_trait]
    impl Resolve for Script {
        async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            assert_eq!((host, port), ("app.example", 80));
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.allowed.acquire().await.unwrap().forget();
            let answer = self.answers.lock().unwrap().pop_front();
            answer.map(read).ok_or_else(|| io::Error::other("the resolver is down"))
        }
    }

    fn read(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    fn resolved_by(script: &Arc<Script>) -> Addresses {
        Addresses::by(&"http://app.example".parse().unwrap(), Arc::<Script>::clone(script))
    }

    fn inner(addresses: &Addresses) -> &Arc<Name> {
        let Addresses::Name(name) = addresses else { panic!("a literal address") };
        name
    }

    fn name(addresses: &[&str], ask_again: Instant) -> Addresses {
        let name = resolved_by(&Script::new(&[], 0));
        inner(&name).known.store(Some(Arc::new(Known { addresses: read(addresses), ask_again })));
        name
    }

    /// Lets what is known grow old.
    fn expire(name: &Name) {
        let addresses = name.known.load().as_ref().unwrap().addresses.clone();
        name.known.store(Some(Arc::new(Known { addresses, ask_again: Instant::now() })));
    }

    /// Waits until the resolver's answer to a question asked in the background is taken up.
    async fn taken_up(name: &Name) {
        while !name.known.load().as_ref().unwrap().is_fresh() {
            tokio::task::yield_now().await;
        }
    }

    async fn chosen(addresses: &Addresses) -> String {
        addresses.choose(0).await.unwrap().to_string()
    }

    #[tokio::test]
    async fn an_upstream_that_moves_is_followed_and_one_that_dns_forgets_is_kept() {
        let script = Script::new(&[&["10.0.0.1:80"], &["10.0.0.2:80", "10.0.0.3:80"], &[]], 99);
        let addresses = resolved_by(&script);
        let name = inner(&addresses);
        assert_eq!(chosen(&addresses).await, "10.0.0.1:80");
        assert_eq!((chosen(&addresses).await.as_str(), script.asked()), ("10.0.0.1:80", 1), "the answer is fresh");

        expire(name);
        assert_eq!(chosen(&addresses).await, "10.0.0.1:80", "nobody waits for a new answer");
        taken_up(name).await;
        assert_eq!((chosen(&addresses).await.as_str(), addresses.count()), ("10.0.0.2:80", 2));

        // An empty answer, then none at all: the application may well be where it was.
        for asked in [3, 4] {
            expire(name);
            chosen(&addresses).await;
            taken_up(name).await;
            assert_eq!((chosen(&addresses).await.as_str(), script.asked()), ("10.0.0.2:80", asked));
            assert!(name.known.load().as_ref().unwrap().ask_again <= Instant::now() + RESPITE, "soon asked again");
        }

        script.answers.lock().unwrap().push_back(&["10.0.0.4:80"]);
        expire(name);
        chosen(&addresses).await;
        taken_up(name).await;
        assert_eq!(chosen(&addresses).await, "10.0.0.4:80");
    }

    #[tokio::test]
    async fn many_requests_ask_once() {
        let script = Script::new(&[&["10.0.0.1:80"], &["10.0.0.2:80"]], 0);
        let addresses = resolved_by(&script);
        let asking = futures_util::future::join_all((0..10).map(|_| chosen(&addresses)));
        let allowing = async {
            while script.asked() == 0 {
                tokio::task::yield_now().await;
            }
            script.allowed.add_permits(1);
        };
        let (found, ()) = tokio::join!(asking, allowing);
        assert_eq!((found, script.asked()), (vec!["10.0.0.1:80".to_owned(); 10], 1));

        expire(inner(&addresses));
        for _ in 0..10 {
            assert_eq!(chosen(&addresses).await, "10.0.0.1:80");
        }
        script.allowed.add_permits(1);
        taken_up(inner(&addresses)).await;
        assert_eq!((chosen(&addresses).await.as_str(), script.asked()), ("10.0.0.2:80", 2));
    }

    #[tokio::test]
    async fn a_name_that_never_resolved_is_asked_again_after_a_moment() {
        let script = Script::new(&[], 99);
        let addresses = resolved_by(&script);
        assert_eq!(addresses.choose(0).await.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(addresses.choose(0).await.is_err());
        assert_eq!(script.asked(), 1, "the failure is good for a moment");
        script.answers.lock().unwrap().push_back(&["10.0.0.1:80"]);
        expire(inner(&addresses));
        assert_eq!(chosen(&addresses).await, "10.0.0.1:80");
    }

    #[tokio::test]
    async fn the_system_resolves_what_needs_no_network() {
        let found = System.resolve("localhost", 80).await.unwrap();
        assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
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
        let _held = inner(&old).asking.lock().await;
        assert_eq!(old.choose(0).await.unwrap(), "10.0.0.1:80".parse().unwrap());
    }

    #[tokio::test]
    async fn a_failure_is_everybodys_for_a_moment() {
        let failed = name(&[], Instant::now() + RESPITE);
        assert_eq!(failed.count(), 1);
        let _held = inner(&failed).asking.lock().await;
        assert_eq!(failed.choose(0).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
