//! Fills a store as a busy group of gateways does: what `make bench` measures a gateway in front of.
//!
//! `fill_store KEYS_DIR STORE ENDED LIVE`: STORE is a state folder or a `redis://` URL; so many sessions that ended there,
//! and so many that live.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use portillon::clock::{Clock, Timestamp};
use portillon::crypto::key_ring::{KeyRing, KeyRings};
use portillon::crypto::{base64url, random};
use portillon::identity::{ClaimValue, Claims};
use portillon::live::{Client, LiveSession};
use portillon::secret::Secret;
use portillon::session::cookie::OwnCookies;
use portillon::session::{AtProvider, Lifetime, Login, Sessions};
use portillon::store::embedded::Embedded;
use portillon::store::records::{Backend, Key, Records, Table};
use portillon::store::redis::{Mode, Redis, Settings};
use portillon::store::{Entry, Journal, Name, Revocations};

/// How long all of it lasts: `[session] absolute`, as it is by default.
const LIFE: Duration = Duration::from_secs(12 * 3600);

const HOST: &str = "dossiers.intranet.example.gouv.fr";
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

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
    let sessions = sessions(Arc::clone(&keys), clock);
    let records = Records::new(store, keys, clock.clone());
    for number in 0..live {
        let session = log_in(&sessions, number, clock.now()).ok_or("an identity too large for cookies")?;
        records
            .put(Table::LiveSession, &Key::of("live session", session.session.as_bytes()), &session, expires)
            .await?;
    }
    Ok(())
}

fn sessions(keys: Arc<KeyRings>, clock: &Clock) -> Sessions {
    let lifetime = Lifetime { idle: LIFE, absolute: LIFE };
    Sessions::new(keys, lifetime, clock.clone(), Arc::new(Revocations::new(clock.clone())))
}

/// What the store has of an agent who has logged in, as a gateway would write it.
fn log_in(sessions: &Sessions, number: usize, now: Timestamp) -> Option<LiveSession> {
    let mut claims = Claims::new(format!("{number:08}-9be3-4b83-a7f9-1d2f2f4a6a10"));
    claims.insert("email", ClaimValue::Text(format!("prenom.nom-{number}@ministere.example.gouv.fr")));
    claims.insert("idp_id", ClaimValue::Text("71144ab3-ee1a-4401-b7b3-79b44f7daeeb".to_owned()));
    let login = Login {
        at_provider: AtProvider { provider: base64url(&random::<16>()), sid: Some(base64url(&random::<16>())) },
        claims,
        authenticated_at: now,
        id_token: Secret::new(String::new()),
        refresh_token: None,
        continues: None,
    };
    let (session, _) = sessions.start(login, &OwnCookies::read(std::iter::empty()), HOST)?;
    let client =
        Client::new(Some(ADDRESS), Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"));
    Some(LiveSession::new(&session, HOST, &client, now))
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
