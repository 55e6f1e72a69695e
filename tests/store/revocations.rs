//! What a gateway knows of ended sessions while its store comes and goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use portillon::clock::{Clock, Timestamp};
use portillon::crypto::key_ring::{KeyRing, KeyRings};
use portillon::store::records::Records;
use portillon::store::redis::{Mode, Redis};
use portillon::store::{
    Cursor, Entry, Journal, OnFailure, Page, Policy, Revocations, Scope, StoreError, Subject, Told,
};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::conformance::{entry, rest};
use crate::server::{PATIENCE, Server, journal, settings};

const REFUSE: Policy = Policy { staleness: Duration::ZERO, on_failure: OnFailure::Refuse };

/// A gateway, as far as its store is concerned.
struct Gateway {
    knows: Arc<Revocations>,
    records: Records,
    _tasks: JoinSet<()>,
}

impl Gateway {
    fn start(server: &Server) -> Self {
        let knows = Arc::new(Revocations::new(Clock::system()));
        let store = Arc::new(journal(&server.settings()));
        let keys = Arc::new(KeyRings::new(KeyRing::ephemeral(Clock::system().now()), None));
        let records = Records::new(Arc::clone(&store) as _, keys, Clock::system());
        let followed = records.clone();
        let mut tasks = JoinSet::new();
        let (reader, writer, many) = (Arc::clone(&knows), Arc::clone(&knows), Arc::clone(&knows));
        let (read, written): (Arc<dyn Journal>, _) = (Arc::clone(&store) as _, store);
        tasks.spawn(async move { reader.follow(&*read).await });
        tasks.spawn(async move { writer.write(&*written).await });
        tasks.spawn(async move { many.follow_many(&followed).await });
        Self { knows, records, _tasks: tasks }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Revocations) -> bool) {
        let waited = timeout(PATIENCE, async {
            while !holds(&self.knows) {
                sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(waited.await.is_ok(), "{what}: {:?}", self.knows.status());
    }
}

#[tokio::test]
async fn a_session_that_ends_at_one_gateway_ends_at_the_other() {
    let server = Server::start(&[]);
    let (one, other) = (Gateway::start(&server), Gateway::start(&server));
    let mut told = other.knows.subscribe();
    assert!(one.knows.revoke(entry(1)).kept().await, "the store has it before a logout is answered");
    assert_eq!(timeout(PATIENCE, told.recv()).await.unwrap().unwrap(), Told::One(entry(1).name));
    assert!(other.knows.has(&entry(1).name) && !other.knows.has(&entry(2).name));
}

#[tokio::test]
async fn what_ends_while_the_store_is_down_is_written_once_it_is_back() {
    let mut server = Server::start(&[]);
    let (one, other) = (Gateway::start(&server), Gateway::start(&server));
    assert!(one.knows.revoke(entry(1)).kept().await);
    other.until("it is told", |knows| knows.has(&entry(1).name)).await;
    let patient = Policy { staleness: PATIENCE * 10, ..REFUSE };
    one.until("it has read everything", |knows| knows.is_trusted(patient)).await;

    server.kill();
    one.until("it notices", |knows| knows.status().error.is_some()).await;
    let long_ago = Policy { staleness: Duration::from_millis(1), ..REFUSE };
    assert!(!one.knows.is_trusted(long_ago), "nobody gets in on old knowledge");
    assert!(one.knows.is_trusted(Policy { on_failure: OnFailure::Serve, ..long_ago }));
    assert!(one.knows.is_trusted(patient), "a short outage is survived");
    assert!(!one.knows.revoke(entry(2)).kept().await, "a logout does not wait for ever");
    assert!(one.knows.has(&entry(2).name) && one.knows.status().unwritten > 0);

    // It comes back with nothing in it, as after a failover that lost what it had acknowledged.
    server.start_again();
    other.until("what ended meanwhile is known", |knows| knows.has(&entry(2).name)).await;
    one.until("everything is written", |knows| knows.status().unwritten == 0).await;
    one.until("it mends itself", |knows| knows.status().error.is_none()).await;
    other.until("it mends itself", |knows| knows.status().error.is_none()).await;
    other.until("everything is written", |knows| knows.status().unwritten == 0).await;
    let kept = rest(&journal(&server.settings()), &Cursor::default()).await.entries;
    assert!(kept.contains(&entry(1)) && kept.contains(&entry(2)), "what the store lost is written again: {kept:?}");
}

#[tokio::test]
async fn a_stop_waits_for_the_store_and_knows_what_it_lacks() {
    let mut server = Server::start(&[]);
    let gateway = Gateway::start(&server);
    gateway.until("it reads", |knows| knows.is_reachable()).await;
    assert_eq!(gateway.knows.settle(PATIENCE).await, 0, "nothing has ended");
    server.kill();
    assert!(!gateway.knows.revoke(entry(1)).kept().await);
    gateway.knows.revoke_many(Scope::All, Duration::from_secs(3600), &gateway.records).await.unwrap_err();
    assert_eq!(gateway.knows.settle(Duration::ZERO).await, 2);
    server.start_again();
    assert_eq!(gateway.knows.settle(PATIENCE).await, 0);
    assert_eq!(rest(&journal(&server.settings()), &Cursor::default()).await.entries, [entry(1)]);
    let late = Gateway::start(&server);
    late.knows.catch_up_with_many(&gateway.records).await.unwrap();
    let everybody = late.knows.newest_about(&anybody());
    assert!(everybody > Timestamp::default(), "it is there for others");
}

/// A journal that knows how often it was read from its start.
struct FromTheStart(Redis, AtomicUsize);

#[async_trait]
impl Journal for FromTheStart {
    async fn append(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.0.append(entries).await
    }

    async fn read(&self, after: &Cursor) -> Result<Page, StoreError> {
        if *after == Cursor::default() {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
        self.0.read(after).await
    }

    async fn replace(&self) -> Result<(), StoreError> {
        self.0.replace().await
    }
}

#[tokio::test]
async fn what_was_read_at_the_start_is_not_read_again() {
    let server = Server::start(&[]);
    journal(&server.settings()).append(&[entry(1)]).await.unwrap();
    let (knows, counted) =
        (Arc::new(Revocations::new(Clock::system())), Arc::new(FromTheStart(journal(&server.settings()), 0.into())));
    knows.catch_up(&*counted).await.unwrap();
    assert!(knows.has(&entry(1).name));
    let (reader, journal_read) = (Arc::clone(&knows), Arc::clone(&counted));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { reader.follow(&*journal_read).await });
    journal(&server.settings()).append(&[entry(2)]).await.unwrap();
    timeout(PATIENCE, async {
        while !knows.has(&entry(2).name) {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(counted.1.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_the_store_lost_after_the_first_reading_is_written_again() {
    let mut server = Server::start(&[]);
    journal(&server.settings()).append(&[entry(1)]).await.unwrap();
    let knows = Arc::new(Revocations::new(Clock::system()));
    knows.catch_up(&journal(&server.settings())).await.unwrap();
    server.kill();
    server.start_again();
    let (reader, writer) = (Arc::clone(&knows), Arc::clone(&knows));
    let (read, written) = (journal(&server.settings()), journal(&server.settings()));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { reader.follow(&read).await });
    tasks.spawn(async move { writer.write(&written).await });
    timeout(PATIENCE, async {
        while rest(&journal(&server.settings()), &Cursor::default()).await.entries != [entry(1)] {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
}

const fn anybody() -> Subject<'static> {
    let (logged_in_at, knew) = (Timestamp::from_secs(0), Timestamp::from_secs(0));
    Subject { provider: "p-1", at_provider: None, sub: "s-1", idp_id: None, logged_in_at, knew }
}

#[tokio::test]
async fn the_sessions_of_many_end_here_though_nobody_waits_for_the_store() {
    // Connections are taken by the system, and nobody answers.
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", hanging.local_addr().unwrap());
    let keys = Arc::new(KeyRings::new(KeyRing::ephemeral(Clock::system().now()), None));
    let records = Records::new(Arc::new(journal(&settings(Mode::Single, url))), keys, Clock::system());
    let knows = Revocations::new(Clock::system());
    let mut told = knows.subscribe();
    let hour = Duration::from_secs(3600);
    assert!(timeout(Duration::ZERO, knows.revoke_many(Scope::All, hour, &records)).await.is_err(), "it was given up");
    assert!(knows.covers(&anybody()));
    assert_eq!(told.try_recv(), Ok(Told::Many), "what is open learns of it");
    assert_eq!(knows.settle(Duration::ZERO).await, 1);
}

#[tokio::test]
async fn lines_that_the_store_loses_while_it_answers_are_written_again() {
    let server = Server::start(&[]);
    let (one, other) = (Gateway::start(&server), Gateway::start(&server));
    assert!(one.knows.revoke(entry(1)).kept().await && other.knows.revoke(entry(2)).kept().await);
    for gateway in [&one, &other] {
        gateway.until("it is told", |knows| knows.has(&entry(1).name) && knows.has(&entry(2).name)).await;
    }
    let holds = async |names: &[u8]| {
        let kept = rest(&journal(&server.settings()), &Cursor::default()).await.entries;
        names.iter().all(|name| kept.contains(&entry(*name)))
    };
    // No connection ends.
    server.cli(&["flushall"]);
    let lost = Instant::now();
    while !holds(&[1, 2]).await {
        assert!(lost.elapsed() < PATIENCE, "nothing is written again");
        sleep(Duration::from_millis(10)).await;
    }
    // A line that comes at once after a loss hides it from nobody.
    server.cli(&["flushall"]);
    assert!(one.knows.revoke(entry(3)).kept().await);
    while !holds(&[1, 2, 3]).await {
        assert!(lost.elapsed() < PATIENCE, "not everything is written again");
        sleep(Duration::from_millis(10)).await;
    }
}

/// What somebody does who may write to the Redis so that it takes no line any more.
const SPOILING: [&[&str]; 2] = [
    &["xadd", "portillon:ended-sessions", "18446744073709551615-18446744073709551615", "name", "x"],
    &["set", "portillon:ended-sessions", "x"],
];

#[tokio::test]
async fn a_stream_that_takes_no_line_any_more_begins_anew() {
    for spoiling in SPOILING {
        let server = Server::start(&[]);
        // Where nothing had ended before, too.
        for already in [&[1, 2][..], &[]] {
            server.cli(&["flushall"]);
            let (one, other) = (Gateway::start(&server), Gateway::start(&server));
            for name in already {
                assert!(one.knows.revoke(entry(*name)).kept().await);
                other.until("it is told", |knows| knows.has(&entry(*name).name)).await;
            }
            one.until("it reads", |knows| knows.is_trusted(Policy { staleness: PATIENCE, ..REFUSE })).await;
            server.cli(spoiling);
            let (mine, theirs) = (one.knows.revoke(entry(3)), other.knows.revoke(entry(4)));
            assert!(mine.kept().await && theirs.kept().await, "{spoiling:?}: a logout is in the store again");
            for name in [3, 4] {
                one.until("it is told", |knows| knows.has(&entry(name).name)).await;
                other.until("it is told", |knows| knows.has(&entry(name).name)).await;
            }
            assert!(one.knows.status().replaced + other.knows.status().replaced > 0);
            let since = Instant::now();
            loop {
                let kept = rest(&journal(&server.settings()), &Cursor::default()).await.entries;
                if already.iter().chain(&[3, 4]).all(|name| kept.contains(&entry(*name))) {
                    break;
                }
                assert!(since.elapsed() < PATIENCE, "{spoiling:?}: not everything is written again: {kept:?}");
            }
        }
    }
}

#[tokio::test]
async fn nobody_trusts_a_store_that_is_read_and_takes_nothing() {
    let server = Server::start(&[]);
    let gateway = Gateway::start(&server);
    let policy = Policy { staleness: Duration::from_secs(2), ..REFUSE };
    gateway.until("it reads", |knows| knows.is_trusted(policy)).await;
    server.cli(&["config", "set", "maxmemory", "1"]);
    assert!(!gateway.knows.revoke(entry(1)).kept().await);
    gateway.until("it may not know what ended elsewhere", |knows| !knows.is_trusted(policy)).await;
    assert_eq!(gateway.knows.status().error, None, "it is read all the while");
    server.cli(&["config", "set", "maxmemory", "0"]);
    gateway.until("it mends itself", |knows| knows.is_trusted(policy) && knows.status().unwritten == 0).await;
    assert_eq!(gateway.knows.status().replaced, 0, "what is there is left alone");
}

#[tokio::test]
async fn who_never_read_the_store_trusts_nobody() {
    let mut server = Server::start(&[]);
    server.kill();
    let gateway = Gateway::start(&server);
    let generous = Policy { staleness: PATIENCE * 10, ..REFUSE };
    gateway.until("it notices", |knows| knows.status().error.is_some()).await;
    assert!(!gateway.knows.is_trusted(generous), "nothing was ever read");
    assert!(gateway.knows.is_trusted(Policy { on_failure: OnFailure::Serve, ..generous }));
    server.start_again();
    gateway.until("it mends itself", |knows| knows.is_trusted(generous)).await;
}

#[tokio::test]
async fn a_link_that_hangs_is_noticed() {
    let server = Server::start(&[]);
    let gateway = Gateway::start(&server);
    gateway.until("it reads", |knows| knows.status().error.is_none()).await;
    // Every answer stops, and no connection ends.
    server.cli(&["client", "pause", "60000", "all"]);
    gateway.until("it notices", |knows| knows.status().error.is_some()).await;
}

#[tokio::test]
async fn what_would_have_ended_by_itself_is_not_kept() {
    let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    let knows = Revocations::new(clock.clone());
    let over = Entry { expires: clock.now(), ..entry(1) };
    drop(knows.revoke(over));
    assert!(!knows.has(&over.name));
}
