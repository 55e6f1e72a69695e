//! `[session]`

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::SessionConfig;
use crate::config::quantity::{self, written};
use crate::config::raw::Section;
use crate::session::Lifetime;

const IDLE: Duration = Duration::from_secs(60 * 60);
const ABSOLUTE: Duration = Duration::from_secs(12 * 60 * 60);
/// An agent who reads a page or fills in a form for longer than this would lose it.
const SHORT: Duration = Duration::from_secs(15 * 60);

/// Every refresh is two requests to the provider.
const OFTEN: Duration = Duration::from_secs(60);

/// Who writes more than this means no limit.
const MOST_PER_AGENT: usize = 1000;

pub(super) fn read(section: &Section<'_>) -> SessionConfig {
    section.refuse_unknown_keys();
    let lifetime = Lifetime { idle: section.duration("idle", IDLE), absolute: section.duration("absolute", ABSOLUTE) };
    warn(section, lifetime);
    let most = section.count("max_per_agent", 0, MOST_PER_AGENT);
    SessionConfig {
        lifetime,
        max_per_agent: u32::try_from(most).ok().and_then(NonZeroU32::new),
        refresh_identity: refresh_identity(section, lifetime),
    }
}

fn refresh_identity(section: &Section<'_>, lifetime: Lifetime) -> Option<Duration> {
    let item = section.item("refresh_identity")?;
    let interval = item.read(quantity::duration)?;
    if interval < OFTEN {
        let often = item.error("identities are refreshed at most every minute");
        item.report(often.help("\"15m\" is a good value"));
    }
    if interval >= lifetime.absolute {
        let never = item.warning(format!("no session lasts as long as `refresh_identity` ({})", written(interval)));
        item.report(never.help("no identity will be refreshed"));
    }
    Some(interval)
}

fn warn(section: &Section<'_>, lifetime: Lifetime) {
    let Some(item) = section.item("idle").or_else(|| section.item("absolute")) else { return };
    if lifetime.idle > lifetime.absolute {
        let (idle, absolute) = (written(lifetime.idle), written(lifetime.absolute));
        let longer = format!("`idle` ({idle}) is longer than `absolute` ({absolute})");
        item.report(item.warning(longer).help("a session never lasts longer than `absolute`"));
    }
    if lifetime.idle < SHORT {
        let short = item.warning("agents lose their session after less than 15 minutes without a request");
        item.report(short.help("who fills in a long form loses what they typed"));
    }
}
