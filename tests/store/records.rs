//! What every store of records promises. Two gateways use it: what one does the other sees.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portillon::clock::{Clock, Timestamp};
use portillon::crypto::aead::OpenError;
use portillon::crypto::key_ring::{KeyRing, KeyRings};
use portillon::store::records::{Backend, Cursor, Key, RecordError, Records, Table};
use portillon::store::redis::Mode;
use portillon::store::{Revocations, Scope};
use tokio::time::sleep;

use crate::server::{Server, journal, settings};

/// A store as two gateways see it.
struct Subject {
    one: Arc<dyn Backend>,
    other: Arc<dyn Backend>,
    /// Moves time where the store goes by the gateway's clock; none: it goes by its own.
    clock: Option<Clock>,
}

impl Subject {
    fn now(&self) -> Timestamp {
        self.clock.clone().unwrap_or_default().now()
    }

    fn in_a_minute(&self) -> Timestamp {
        self.now().plus(Duration::from_secs(60))
    }

    /// Two seconds go by.
    async fn wait(&self) {
        match &self.clock {
            Some(clock) => clock.advance(Duration::from_secs(2)),
            None => sleep(Duration::from_millis(2100)).await,
        }
    }
}

/// Every promise, in turn.
pub async fn keeps_records(one: Arc<dyn Backend>, other: Arc<dyn Backend>, clock: Option<Clock>) {
    let subject = Subject { one, other, clock };
    records_are_kept_and_removed(&subject).await;
    of_two_one_is_first(&subject).await;
    of_many_one_takes(&subject).await;
    a_table_is_read_in_pages(&subject).await;
    records_expire(&subject).await;
    a_sealed_record_opens_in_its_own_place(&subject).await;
}

async fn records_are_kept_and_removed(subject: &Subject) {
    let (one, other, expires) = (&subject.one, &subject.other, subject.in_a_minute());
    one.put(Table::Stash, &[1; 32], b"first", expires).await.unwrap();
    assert_eq!(other.get(Table::Stash, &[1; 32]).await.unwrap().as_deref(), Some(&b"first"[..]));
    assert_eq!(other.get(Table::Identity, &[1; 32]).await.unwrap(), None, "a table of its own");
    other.put(Table::Stash, &[1; 32], b"second\0\xff", expires).await.unwrap();
    assert_eq!(one.get(Table::Stash, &[1; 32]).await.unwrap().as_deref(), Some(&b"second\0\xff"[..]));
    one.remove(Table::Stash, &[1; 32]).await.unwrap();
    one.remove(Table::Stash, &[1; 32]).await.unwrap();
    assert_eq!(other.get(Table::Stash, &[1; 32]).await.unwrap(), None);
}

async fn of_two_one_is_first(subject: &Subject) {
    let expires = subject.in_a_minute();
    let both = async |key: [u8; 32]| {
        let (one, other) = (Arc::clone(&subject.one), Arc::clone(&subject.other));
        let one = tokio::spawn(async move { one.put_new(Table::OneTimeUse, &key, b"one", expires).await.unwrap() });
        let other =
            tokio::spawn(async move { other.put_new(Table::OneTimeUse, &key, b"other", expires).await.unwrap() });
        (one.await.unwrap(), other.await.unwrap())
    };
    for round in 0..20 {
        let (one, other) = both([round; 32]).await;
        assert!(one != other, "round {round}");
        let kept = subject.one.get(Table::OneTimeUse, &[round; 32]).await.unwrap().unwrap();
        assert_eq!(kept, if one { b"one".to_vec() } else { b"other".to_vec() });
    }
}

async fn of_many_one_takes(subject: &Subject) {
    subject.one.put(Table::Identity, &[7; 32], b"once", subject.in_a_minute()).await.unwrap();
    let takers: Vec<_> = (0..32)
        .map(|taker| {
            let store = Arc::clone(if taker % 2 == 0 { &subject.one } else { &subject.other });
            tokio::spawn(async move { store.take(Table::Identity, &[7; 32]).await.unwrap() })
        })
        .collect();
    let mut taken = Vec::new();
    for taker in takers {
        taken.extend(taker.await.unwrap());
    }
    assert_eq!(taken, [b"once".to_vec()]);
}

async fn a_table_is_read_in_pages(subject: &Subject) {
    for number in 0..=255 {
        let value = [number];
        subject.one.put(Table::LiveSession, &[number; 32], &value, subject.in_a_minute()).await.unwrap();
    }
    let (mut seen, mut after, mut pages) = (Vec::new(), None::<Cursor>, 0);
    loop {
        let page = subject.other.scan(Table::LiveSession, after.as_ref(), 50).await.unwrap();
        assert!(page.records.len() < 200, "a page is a part");
        seen.extend(page.records.iter().map(|record| {
            assert_eq!(record.value, [record.key[0]]);
            record.key[0]
        }));
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 256);
    assert!(pages > 2);
}

async fn records_expire(subject: &Subject) {
    let (store, soon) = (&subject.one, subject.now().plus(Duration::from_secs(1)));
    store.put(Table::StashEntry, &[2; 32], b"short", soon).await.unwrap();
    assert!(store.put_new(Table::OneTimeUse, &[200; 32], b"short", soon).await.unwrap());
    store.put(Table::StashEntry, &[3; 32], b"long", subject.in_a_minute()).await.unwrap();
    subject.wait().await;
    assert_eq!(store.get(Table::StashEntry, &[2; 32]).await.unwrap(), None);
    assert_eq!(store.take(Table::StashEntry, &[2; 32]).await.unwrap(), None);
    assert!(store.put_new(Table::OneTimeUse, &[200; 32], b"again", subject.in_a_minute()).await.unwrap());
    store.purge().await.unwrap();
    let left = store.scan(Table::StashEntry, None, 50).await.unwrap();
    assert_eq!(left.records.iter().map(|record| record.value.as_slice()).collect::<Vec<_>>(), [b"long"]);
}

async fn a_sealed_record_opens_in_its_own_place(subject: &Subject) {
    let clock = subject.clock.clone().unwrap_or_default();
    let keys = Arc::new(KeyRings::new(KeyRing::ephemeral(clock.now()), None));
    let store = |backend: &Arc<dyn Backend>| Records::new(Arc::clone(backend), Arc::clone(&keys), clock.clone());
    let (one, other) = (store(&subject.one), store(&subject.other));
    let (key, second) = (Key::new("conformance", &[1; 16]), Key::new("conformance", &[2; 16]));
    let expires = subject.in_a_minute();
    one.put(Table::Revocation, &key, &"L'Hôpital".to_owned(), expires).await.unwrap();
    assert_eq!(other.get::<String>(Table::Revocation, &key).await.unwrap().as_deref(), Some("L'Hôpital"));
    assert!(!other.put_new(Table::Revocation, &key, &String::new(), expires).await.unwrap());

    // Whoever writes to the store moves a record.
    let raw = subject.one.scan(Table::Revocation, None, 100).await.unwrap().records.remove(0);
    assert!(!raw.value.windows(7).any(|part| part == "Hôpital".as_bytes()[..7].to_vec()), "a dump tells nothing");
    let hash = {
        one.put(Table::Revocation, &second, &"another".to_owned(), expires).await.unwrap();
        let records = subject.one.scan(Table::Revocation, None, 100).await.unwrap().records;
        records.into_iter().find(|record| record.key != raw.key).unwrap().key
    };
    subject.one.put(Table::Revocation, &hash, &raw.value, expires).await.unwrap();
    let moved = other.get::<String>(Table::Revocation, &second).await;
    assert!(matches!(moved, Err(RecordError::Seal(OpenError::Tampered))), "{moved:?}");
    subject.one.put(Table::Stash, &raw.key, &raw.value, expires).await.unwrap();
    let moved = other.get::<String>(Table::Stash, &key).await;
    assert!(matches!(moved, Err(RecordError::Seal(OpenError::Tampered))), "{moved:?}");
    let found = other.scan::<String>(Table::Revocation, None, 100).await.unwrap();
    assert_eq!(found.records.len(), 1, "what does not open is left out");
    assert_eq!(other.take::<String>(Table::Revocation, &key).await.unwrap().as_deref(), Some("L'Hôpital"));
    assert_eq!(one.take::<String>(Table::Revocation, &key).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_is_found_and_one_that_hangs_holds_up_nobody() {
    let mut server = Server::start(&[]);
    let store = journal(&server.settings());
    store.get(Table::Stash, &[1; 32]).await.unwrap();
    server.kill();
    let begun = Instant::now();
    assert!(store.get(Table::Stash, &[1; 32]).await.is_err() && store.get(Table::Stash, &[1; 32]).await.is_err());
    assert!(begun.elapsed() < Duration::from_secs(5), "an answer in time");
    server.start_again();
    while store.get(Table::Stash, &[1; 32]).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the server is not found again");
        sleep(Duration::from_millis(20)).await;
    }
    // Connections are taken by the system, and nobody answers.
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", hanging.local_addr().unwrap());
    let (store, begun) = (journal(&settings(Mode::Single, url)), Instant::now());
    assert!(store.get(Table::Stash, &[1; 32]).await.is_err());
    assert!(begun.elapsed() < Duration::from_secs(5));
}

/// What nobody learns who reads the bytes of a store: `read` gives them.
pub async fn reveals_nothing(backend: Arc<dyn Backend>, read: impl Fn() -> Vec<u8>) {
    const SUB: &str = "704e024229015d2bd47f7a5e5ab05b35c8336ab403c38022985f8cfadc86fe91";
    let clock = Clock::system();
    let keys = Arc::new(KeyRings::new(KeyRing::ephemeral(clock.now()), None));
    let (records, hour) = (Records::new(backend, keys, clock.clone()), Duration::from_secs(3600));
    let (id, expires) = (*b"an identifier 16", clock.now().plus(hour));
    for table in Table::ALL {
        records.put(table, &Key::new("a purpose", &id), &SUB.to_owned(), expires).await.unwrap();
    }
    Revocations::new(clock).revoke_many(Scope::Agent(SUB.to_owned()), hour, &records).await.unwrap();
    let bytes = read();
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
    let sealed = records.scan::<String>(Table::StashEntry, None, 10).await.unwrap();
    assert_eq!(sealed.records.len(), 1, "it is there");
    for secret in [SUB.as_bytes(), &SUB.as_bytes()[..12], &id, b"a purpose"] {
        assert!(!holds(secret), "{}", String::from_utf8_lossy(secret));
    }
}
