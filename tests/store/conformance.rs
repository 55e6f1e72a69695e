//! What every store does, whatever it is kept in: the one suite that all of them pass.

use std::sync::Arc;

use portillon::clock::{Clock, Timestamp};
use portillon::store::records::Backend;
use portillon::store::{Cursor, Entry, Journal, Name, Page};
use tokio::time::timeout;

use crate::records::keeps_records;
use crate::server::PATIENCE;

/// Every promise of a store, as two gateways see it that have it open. `clock` moves time where the store goes by the
/// gateway's; where there is none, the store goes by its own.
pub async fn conforms<S: Journal + Backend + 'static>(open: impl Fn() -> S, clock: Option<Clock>) {
    let (one, other) = (Arc::new(open()), Arc::new(open()));
    holds(&*one, &*other).await;
    keeps_records(one, other, clock).await;
}

/// A line that is of use for longer than any test runs.
pub fn entry(name: u8) -> Entry {
    Entry { name: Name([name; 16]), expires: Timestamp::from_secs(4_000_000_000) }
}

fn nothing(after: &Cursor) -> Page {
    Page { next: after.clone(), ..Page::default() }
}

/// Everything that follows `after`.
pub async fn rest(journal: &dyn Journal, after: &Cursor) -> Page {
    let mut all = nothing(after);
    loop {
        let page = journal.read(&all.next).await.unwrap();
        all.next = page.next;
        if page.entries.is_empty() {
            return all;
        }
        all.entries.extend(page.entries);
    }
}

/// Two readers and writers of one journal, which is empty.
async fn holds(one: &dyn Journal, other: &dyn Journal) {
    let empty = one.read(&Cursor::default()).await.unwrap();
    assert_eq!(empty, Page::default());

    one.append(&[entry(1), entry(2)]).await.unwrap();
    other.append(&[entry(3)]).await.unwrap();
    for journal in [one, other] {
        assert_eq!(rest(journal, &Cursor::default()).await.entries, [entry(1), entry(2), entry(3)]);
    }

    let read = rest(one, &Cursor::default()).await;
    assert_eq!(one.read(&read.next).await.unwrap(), nothing(&read.next));

    other.append(&[entry(4), entry(1)]).await.unwrap();
    let news = rest(one, &read.next).await;
    assert_eq!(news.entries, [entry(4), entry(1)], "only what is new, twice where it was appended twice");

    // A reader that waits is told of a line that comes meanwhile.
    let wait = async {
        let mut page = nothing(&news.next);
        while page.entries.is_empty() {
            page = one.read(&page.next).await.unwrap();
        }
        page.entries
    };
    let fifth = [entry(5)];
    let (told, appended) = tokio::join!(timeout(PATIENCE, wait), other.append(&fifth));
    appended.unwrap();
    assert_eq!(told.unwrap(), [entry(5)]);

    // More than a page.
    let many: Vec<Entry> = (0..25_000_u32)
        .map(|number| {
            let mut name = [0; 16];
            name[..4].copy_from_slice(&number.to_be_bytes());
            Entry { name: Name(name), ..entry(0) }
        })
        .collect();
    let before = rest(one, &Cursor::default()).await.next;
    for batch in many.chunks(1000) {
        one.append(batch).await.unwrap();
    }
    assert_eq!(rest(other, &before).await.entries, many);
}
