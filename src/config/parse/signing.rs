//! `[signing]`

use std::time::Duration;

use crate::config::SigningConfig;
use crate::config::raw::Section;

const LIFETIME: Duration = Duration::from_secs(60);
const ASSERTION_LIFETIME: Duration = Duration::from_secs(5 * 60);

pub(super) fn read(section: &Section<'_>) -> SigningConfig {
    section.refuse_unknown_keys();
    SigningConfig {
        algorithm: section.parsed("algorithm").unwrap_or_default(),
        lifetime: seconds(section, "lifetime", LIFETIME),
        assertion_lifetime: seconds(section, "assertion_lifetime", ASSERTION_LIFETIME),
    }
}

/// RFC 9421 and RFC 7519 count in seconds: a shorter life would end as it begins.
fn seconds(section: &Section<'_>, key: &'static str, default: Duration) -> Duration {
    let lifetime = section.duration(key, default);
    if let Some(item) = section.item(key)
        && lifetime < Duration::from_secs(1)
    {
        item.report(item.error(format!("invalid `{key}`")).label("at least one second"));
    }
    lifetime
}
