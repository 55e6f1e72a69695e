//! Fills a store as a busy group of gateways does: what `make bench` measures a gateway in front of.
//!
//! `fill_store KEYS_DIR STORE ENDED LIVE`: STORE is a state folder or a `redis://` URL; so many sessions that ended there,
//! and so many that live.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use portillon::clock::{Clock, Timestamp};
use portillon::crypto::key_ring::{KeyRing, KeyRings};
use portillon::crypto::{base64url, random};
use portillon::live::LiveSession;
use portillon::store::embedded::Embedded;
use portillon::store::records::{Backend, Key, Records, Table};
use portillon::store::redis::{Mode, Redis, Settings};
use portillon::store::{Entry, Journal, Name};
use serde_json::json;

/// How long all of it lasts: `[session] absolute`, as it is by default.
const LIFE: Duration = Duration::from_secs(12 * 3600);

/// Sessions that end together.
const BATCH: usize = 10_000;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fill_store KEYS_DIR STORE ENDED LIVE: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [keys, store, ended, live] = arguments else { return Err("four arguments".into()) };
    let (clock, ended, live) = (Clock::system(), ended.parse()?, live.parse()?);
    let ring = KeyRing::open_or_create(Path::new(keys), clock.now())?;
    let keys = Arc::new(KeyRings::new(ring, None));
    if store.starts_with("redis://") {
        let redis = Arc::new(Redis::new(settings(store), clock.clone())?);
        fill(redis, keys, &clock, (ended, live)).await
    } else {
        let embedded = Arc::new(Embedded::open(Path::new(store), &clock)?);
        fill(embedded, keys, &clock, (ended, live)).await
    }
}

async fn fill<S: Backend + Journal + 'static>(
    store: Arc<S>,
    keys: Arc<KeyRings>,
    clock: &Clock,
    (ended, live): (usize, usize),
) -> Result<(), Box<dyn Error>> {
    let expires = clock.now().plus(LIFE);
    let entries: Vec<Entry> = (0..ended).map(|_| Entry { name: Name(random()), expires }).collect();
    for batch in entries.chunks(BATCH) {
        store.append(batch).await?;
    }
    let records = Records::new(store, keys, clock.clone());
    for number in 0..live {
        let (name, session) = session(number, clock.now())?;
        records.put(Table::LiveSession, &Key::of("live session", name.as_bytes()), &session, expires).await?;
    }
    Ok(())
}

fn session(number: usize, now: Timestamp) -> Result<(String, LiveSession), serde_json::Error> {
    let name = base64url(&random::<16>());
    let session = json!({
        "session": name,
        "host": "dossiers.intranet.example.gouv.fr",
        "sub": format!("{number:08}-9be3-4b83-a7f9-1d2f2f4a6a10"),
        "email": format!("prenom.nom-{number}@ministere.example.gouv.fr"),
        "provider": "https://fca.integ01.dev-agentconnect.fr/api/v2",
        "idp_id": "71144ab3-ee1a-4401-b7b3-79b44f7daeeb",
        "logged_in_at": now,
        "last_seen": now,
        "address": "192.0.2.7",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "name": Name(random()),
    });
    Ok((name, serde_json::from_value(session)?))
}

fn settings(url: &str) -> Settings {
    Settings {
        mode: Mode::Single,
        urls: vec![url.to_owned()],
        user: None,
        password: None,
        ca: Vec::new(),
        prefix: "portillon:".to_owned(),
        keep: LIFE,
    }
}
