//! `time`: `{ days = …, hours = …, zone = … }`, or a list of them.

use crate::config::diagnostic::Diagnostic;
use crate::config::keys;
use crate::config::raw::{Item, Section};
use crate::policy::{Hours, Test, Weekdays, Window, Zone};

/// The test of a `time`, and what it wants.
pub(super) fn read(item: &Item<'_>) -> Option<(Test, String)> {
    if item.written_text().is_some() {
        let text = item.error("`time` is a table");
        item.report(text.help("time = { days = \"mon-fri\", hours = \"08:00-18:30\" }, by the clock of Europe/Paris"));
        return None;
    }
    let elements = item.one_or_more();
    let sections: Vec<Section<'_>> = elements.iter().filter_map(|element| element.section(&keys::TIME)).collect();
    let windows = sections.iter().map(window).collect();
    let wanted = sections.iter().map(wanted).collect::<Vec<_>>().join(", or ");
    Some((Test::Time(windows), wanted))
}

fn window(section: &Section<'_>) -> Window {
    section.refuse_unknown_keys();
    let days = section.item("days").map(|item| {
        let days = item.one_or_more();
        days.iter().filter_map(|day| day.read(str::parse::<Weekdays>)).collect()
    });
    let hours = section.item("hours").map(|item| {
        let hours = item.one_or_more();
        hours.iter().filter_map(|hours| hours.read(str::parse::<Hours>)).collect()
    });
    if days.is_none() && hours.is_none() {
        let always = Diagnostic::error(&section.place(), "this is all the time");
        section.report().push(always.help("name `days`, `hours`, or both"));
    }
    Window {
        days: days.unwrap_or_default(),
        hours: hours.unwrap_or_default(),
        zone: section.item("zone").and_then(|item| item.read(str::parse::<Zone>)).unwrap_or_default(),
    }
}

fn wanted(section: &Section<'_>) -> String {
    let written = ["days", "hours", "zone"].into_iter().filter_map(|key| section.item(key));
    let texts = written.flat_map(|item| item.one_or_more()).filter_map(|item| item.written_text());
    texts.collect::<Vec<_>>().join(" ")
}
