//! `[store]`

use std::time::Duration;

use crate::config::raw::Section;
use crate::config::surroundings::Surroundings;
use crate::config::{StoreConfig, StoreKind};
use crate::session::{Lifetime, REMEMBERED};
use crate::store::redis::{Mode, Settings};
use crate::store::{OnFailure, Policy};

const STALENESS: Duration = Duration::from_secs(60);

/// Keys of Redis alone.
const OF_REDIS: [&str; 7] = ["url", "mode", "master", "user", "password", "ca_file", "prefix"];

pub(super) fn read(section: &Section<'_>, session: Lifetime, surroundings: &Surroundings) -> Option<StoreConfig> {
    section.refuse_unknown_keys();
    let policy = Policy {
        staleness: section.duration("staleness", STALENESS),
        on_failure: section.item("on_store_failure").and_then(|item| item.read(on_failure)).unwrap_or_default(),
    };
    let is_redis = section.item("kind").and_then(|item| item.read(is_redis)).unwrap_or_default();
    let kind = if is_redis { redis(section, session, surroundings)? } else { embedded(section) };
    Some(StoreConfig { policy, kind })
}

fn is_redis(kind: &str) -> Result<bool, &'static str> {
    match kind {
        "embedded" => Ok(false),
        "redis" => Ok(true),
        _ => Err("a store is `embedded` or `redis`"),
    }
}

fn on_failure(word: &str) -> Result<OnFailure, &'static str> {
    match word {
        "refuse" => Ok(OnFailure::Refuse),
        "serve" => Ok(OnFailure::Serve),
        _ => Err("sessions are met with `refuse` or `serve`"),
    }
}

fn embedded(section: &Section<'_>) -> StoreKind {
    for item in OF_REDIS.iter().filter_map(|key| section.item(key)) {
        let idle = item.error(format!("`{}` is for `kind = \"redis\"` only", item.key()));
        item.report(idle.help("the embedded store is a file in `state_dir`, for this machine alone"));
    }
    StoreKind::Embedded
}

fn redis(section: &Section<'_>, session: Lifetime, surroundings: &Surroundings) -> Option<StoreKind> {
    let urls: Vec<String> = section.required("url")?.one_or_more().iter().filter_map(|item| item.read(url)).collect();
    let filled = |key| section.item(key).and_then(|item| item.filled()).map(str::to_owned);
    Some(StoreKind::Redis(Settings {
        mode: mode(section, urls.len())?,
        urls,
        user: filled("user"),
        password: section.item("password").and_then(|item| surroundings.text_secret(&item)),
        ca: section.item("ca_file").and_then(|item| surroundings.authorities(&item)).unwrap_or_default(),
        prefix: filled("prefix").unwrap_or_else(|| "portillon:".to_owned()),
        keep: session.absolute + REMEMBERED,
    }))
}

fn url(text: &str) -> Result<String, &'static str> {
    let parsed = url::Url::parse(text).map_err(|_| "this is no URL")?;
    match (parsed.scheme(), parsed.password()) {
        (_, Some(_)) => Err("a password here would be in this file: `password = { credential = \"…\" }`"),
        ("redis" | "rediss", None) if parsed.has_host() => Ok(text.to_owned()),
        _ => Err("a store is at `redis://HOST:PORT/DB`, or `rediss://…` with TLS"),
    }
}

fn mode(section: &Section<'_>, urls: usize) -> Option<Mode> {
    let item = section.item("mode");
    let word = item.as_ref().map_or(Some("single"), |item| item.text())?;
    if let Some(master) = section.item("master").filter(|_| word != "sentinel") {
        master.report(master.error("`master` is for `mode = \"sentinel\"` only"));
    }
    match (word, item) {
        ("sentinel", _) => section.required("master")?.filled().map(|master| Mode::Sentinel(master.to_owned())),
        ("cluster", _) => Some(Mode::Cluster),
        ("single", _) if urls <= 1 => Some(Mode::Single),
        ("single", item) => {
            let item = item.or_else(|| section.item("url"))?;
            let several = item.error("several servers need a `mode`");
            item.report(
                several
                    .help("`mode = \"sentinel\"` with the sentinels' URLs, or `mode = \"cluster\"` with some nodes'"),
            );
            None
        }
        (_, Some(item)) => {
            item.report(item.error("a mode is `single`, `sentinel` or `cluster`"));
            None
        }
        (_, None) => None,
    }
}
