//! `[stash]`

use std::time::Duration;

use crate::config::raw::Section;
use crate::stash::Settings;

const MAX_SIZE: usize = 5 * 1024 * 1024;
const MAX_TOTAL: usize = 64 * 1024 * 1024;
const KEEP: Duration = Duration::from_secs(60 * 60);
/// A form is held whole while it is sealed and opened.
const LARGEST: usize = 64 * 1024 * 1024;
const LARGEST_TOTAL: usize = 64 * 1024 * 1024 * 1024;

pub(super) fn read(section: &Section<'_>) -> Settings {
    section.refuse_unknown_keys();
    let flag = |key, default| section.item(key).and_then(|item| item.flag()).unwrap_or(default);
    let settings = Settings {
        enabled: flag("enabled", true),
        max_size: section.size("max_size", MAX_SIZE, LARGEST),
        max_total: section.size("max_total", MAX_TOTAL, LARGEST_TOTAL),
        keep: section.duration("keep", KEEP),
        automatic: flag("automatic", false),
    };
    warn(section, settings);
    settings
}

fn warn(section: &Section<'_>, settings: Settings) {
    let Some(item) = section.item("max_size").or_else(|| section.item("max_total")) else { return };
    if settings.max_size > settings.max_total {
        let small = item.warning("no form of `max_size` fits into `max_total`");
        item.report(small.help("`max_total` is for the forms of every agent together"));
    }
}
