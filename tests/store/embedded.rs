//! A redb file: two processes, kill -9, expiry.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use portillon::clock::{Clock, Timestamp};
use portillon::store::embedded::{Embedded, FILE};
use portillon::store::records::{Backend as _, Table};
use portillon::store::{Cursor, Entry, Journal as _, Name};

use crate::conformance::{conforms, entry, rest};
use crate::records::reveals_nothing;

const FOLDER: &str = "PORTILLON_TEST_STORE";

fn line(number: u32) -> Entry {
    let mut name = [0; 16];
    name[..4].copy_from_slice(&number.to_be_bytes());
    Entry { name: Name(name), ..entry(0) }
}

fn open(folder: &Path) -> Embedded {
    Embedded::open(folder, &Clock::system()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_open_twice_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    // The old and the new gateway of a restart.
    conforms(|| Embedded::open(folder.path(), &clock).unwrap(), Some(clock.clone())).await;
}

#[tokio::test]
async fn the_file_is_private_and_reveals_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    reveals_nothing(Arc::new(open(folder.path())), || std::fs::read(&file).unwrap()).await;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_journal_that_is_opened_again_lacks_what_expired_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    let short = |name| Entry { name: Name([name; 16]), expires: clock.now().plus(Duration::from_secs(60)) };
    let journal = Embedded::open(folder.path(), &clock).unwrap();
    journal.append(&[short(1), entry(2), short(3)]).await.unwrap();
    let read = rest(&journal, &Cursor::default()).await;
    drop(journal);

    clock.advance(Duration::from_secs(60));
    let journal = Embedded::open(folder.path(), &clock).unwrap();
    let kept = rest(&journal, &Cursor::default()).await.entries;
    assert!(kept.contains(&entry(2)) && !kept.contains(&short(1)), "{kept:?}");
    journal.append(&[entry(4)]).await.unwrap();
    assert_eq!(rest(&journal, &read.next).await.entries, [entry(4)], "places go on, whatever expired");
}

#[tokio::test]
async fn a_file_that_is_opened_again_gives_the_room_back_of_what_expired() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    let length = || std::fs::metadata(folder.path().join(FILE)).unwrap().len();
    let journal = Embedded::open(folder.path(), &clock).unwrap();
    let expires = clock.now().plus(Duration::from_secs(60));
    let many: Vec<Entry> = (0..50_000).map(|number| Entry { expires, ..line(number) }).collect();
    journal.append(&many).await.unwrap();
    journal.put(Table::Stash, &[1; 32], &vec![b'x'; 5 << 20], expires).await.unwrap();
    journal.append(&[entry(1)]).await.unwrap();
    drop(journal);
    let full = length();
    assert!(full > 6 << 20, "{full}");

    clock.advance(Duration::from_secs(60));
    let journal = Embedded::open(folder.path(), &clock).unwrap();
    assert!(length() < full / 3, "{} of {full}", length());
    assert_eq!(rest(&journal, &Cursor::default()).await.entries, [entry(1)]);
}

#[tokio::test]
async fn what_was_promised_survives_kill_9_and_the_other_gateway_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let other = open(folder.path());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "embedded::writer", "--ignored", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let promised = |line: &String| line.strip_prefix("kept ").and_then(|name| name.parse::<u8>().ok());
    let kept: Vec<u8> = lines.filter_map(|line| promised(&line.unwrap())).take(20).collect();
    child.kill().unwrap();
    child.wait().unwrap();

    assert_eq!(kept.len(), 20);
    other.append(&[entry(255)]).await.unwrap();
    for store in [&other, &open(folder.path())] {
        let found = rest(store, &Cursor::default()).await.entries;
        assert!(found.contains(&entry(255)));
        for name in &kept {
            assert!(found.contains(&entry(*name)), "{name} was promised and is gone");
            let again = store.put_new(Table::OneTimeUse, &[*name; 32], b"again", entry(0).expires).await;
            assert!(!again.unwrap(), "{name} was used");
        }
    }
}

#[tokio::test]
#[ignore = "runs in a process of its own, which is killed"]
async fn writer() {
    let journal = open(Path::new(&std::env::var_os(FOLDER).unwrap()));
    for name in 0..u8::MAX {
        journal.append(&[entry(name)]).await.unwrap();
        assert!(journal.put_new(Table::OneTimeUse, &[name; 32], b"used", entry(0).expires).await.unwrap());
        println!("\nkept {name}");
    }
    // Whoever started this has heard enough by now.
    std::future::pending::<()>().await;
}

#[test]
fn a_disk_that_was_full_costs_nothing_that_was_promised() {
    let folder = tempfile::tempdir().unwrap();
    // Whoever ignores the signal gets an error instead: no file of the process grows, as on a full disk.
    let mut child = Command::new("sh");
    child.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(std::env::current_exe().unwrap());
    child.args(["--exact", "embedded::on_a_full_disk", "--ignored"]).env(FOLDER, folder.path());
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
#[ignore = "runs in a process of its own, whose files stop growing"]
async fn on_a_full_disk() {
    let folder = std::env::var_os(FOLDER).unwrap();
    let limit = |bytes: &str| {
        let limit = format!("--fsize={bytes}:");
        let status = Command::new("prlimit").args(["--pid", &std::process::id().to_string(), &limit]).status();
        assert!(status.unwrap().success());
    };
    let journal = open(Path::new(&folder));
    let lines = |from: u32| (from..from + 1000).map(line).collect::<Vec<_>>();
    journal.append(&lines(0)).await.unwrap();
    limit(&std::fs::metadata(Path::new(&folder).join(FILE)).unwrap().len().to_string());
    let mut kept = 1000;
    while journal.append(&lines(kept)).await.is_ok() {
        kept += 1000;
    }
    journal.append(&lines(kept)).await.unwrap_err();
    assert_eq!(rest(&journal, &Cursor::default()).await.entries, (0..kept).map(line).collect::<Vec<_>>());

    limit("unlimited");
    journal.append(&lines(kept)).await.unwrap();
    journal.put(Table::Stash, &[1; 32], b"a record", entry(0).expires).await.unwrap();
    assert_eq!(rest(&journal, &Cursor::default()).await.entries, (0..kept + 1000).map(line).collect::<Vec<_>>());
}

#[test]
fn a_file_that_is_no_journal_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), "a letter to the minister".repeat(1000)).unwrap();
    assert!(Embedded::open(folder.path(), &Clock::system()).is_err());
    assert!(std::fs::read(folder.path().join(FILE)).unwrap().starts_with(b"a letter"));
}
