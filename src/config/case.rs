//! Cases: what should become of a request of an agent, as administrators write it down beside their configuration.

use std::net::IpAddr;
use std::path::Path;

use http::Method;
use serde_json::{Map, Value};

use super::diagnostic::{Diagnostic, Report};
use super::keys;
use super::load::{read, read_toml};
use super::raw::{Item, Section};
use super::suggest::nearest;
use crate::clock::Timestamp;
use crate::policy::{BlockOrigin, Zone};
use crate::route::PageUrl;

/// A request, and what should become of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is called; the request where it has no name.
    pub name: String,
    /// The claims of the agent who sends it; none: nobody is logged in.
    pub agent: Option<Map<String, Value>>,
    /// By which method.
    pub method: Method,
    /// What for.
    pub url: PageUrl,
    /// From where.
    pub client: Option<IpAddr>,
    /// When; none: now.
    pub at: Option<Timestamp>,
    /// One of the outcomes that the reader was told of.
    pub expect: String,
    /// The name of the route that it should take.
    pub route: Option<String>,
    /// A reason that the agent should be told.
    pub reason: Option<String>,
    /// Where the case stands.
    pub origin: BlockOrigin,
}

/// Reads the cases of a file. Each expects one of `outcomes`.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn cases(file: &Path, outcomes: &[&'static str]) -> Result<Vec<Case>, Vec<Diagnostic>> {
    let report = Report::default();
    let Some(source) = read(file, 0, &report) else { return Err(report.into_diagnostics()) };
    let table = read_toml(&source, &report);
    if report.has_errors() {
        return Err(report.into_diagnostics());
    }
    let root = Section::root(&report, &source, &keys::CASES, table.get_ref());
    root.refuse_unknown_keys();
    let agents: Vec<Item<'_>> = root.section("agents", &keys::AGENTS).items().collect();
    let sections = root.sections("case", &keys::CASE);
    if sections.is_empty() && !report.has_errors() {
        let none = Diagnostic::error(&root.place(), "there is no [[case]]");
        report.push(none.help("a case has a request, what to expect, and mostly an agent"));
    }
    let cases: Vec<Option<Case>> = sections.iter().map(|section| case(section, &agents, outcomes)).collect();
    match cases.into_iter().collect() {
        Some(cases) if !report.has_errors() => Ok(cases),
        _ => Err(report.into_diagnostics()),
    }
}

fn case(section: &Section<'_>, agents: &[Item<'_>], outcomes: &[&'static str]) -> Option<Case> {
    section.refuse_unknown_keys();
    let request = section.required("request").and_then(|item| Some((item.written_text()?, item.read(request)?)));
    let expect = section.required("expect").and_then(|item| {
        item.read(|text| {
            let known = outcomes.contains(&text).then(|| text.to_owned());
            known.ok_or_else(|| format!("one of {}", outcomes.join(", ")))
        })
    });
    let text = |key| section.item(key).and_then(|item| item.filled()).map(str::to_owned);
    let agent = section.item("agent").and_then(|item| agent(&item, agents));
    let at = section.item("at").and_then(|item| item.read(|text| Zone::default().instant(text).ok_or(NO_TIME)));
    let client = section.item("client_address").and_then(|item| item.read(str::parse::<IpAddr>));
    let (written, (method, url)) = request?;
    Some(Case {
        name: text("name").unwrap_or_else(|| written.to_owned()),
        agent,
        method,
        url,
        client,
        at,
        expect: expect?,
        route: text("route"),
        reason: text("reason"),
        origin: section.origin(),
    })
}

const NO_TIME: &str = "a time, such as \"2026-01-31T18:30\" by the clock of Paris, or \"2026-01-31T17:30:00Z\"";

fn request(text: &str) -> Result<(Method, PageUrl), String> {
    let (method, url) = text.split_once(' ').ok_or("a method and a URL: \"GET https://paie.example.gouv.fr/\"")?;
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| "this is no HTTP method")?;
    Ok((method, url.trim().parse::<PageUrl>().map_err(|error| error.to_string())?))
}

/// The claims of an agent: a table of them, or the name of one of `agents`.
fn agent(item: &Item<'_>, agents: &[Item<'_>]) -> Option<Map<String, Value>> {
    if item.is_table() {
        return claims(item);
    }
    let name = item.filled()?;
    let found = agents.iter().find(|agent| agent.key() == name);
    if found.is_none() {
        let near = nearest(name, agents.iter().map(Item::key));
        let help = near.map_or_else(|| format!("write [agents.{name}]"), |near| format!("did you mean `{near}`?"));
        item.report(item.error(format!("there is no [agents.{name}]")).help(help));
    }
    claims(found?)
}

fn claims(item: &Item<'_>) -> Option<Map<String, Value>> {
    item.section(&keys::AGENTS)?;
    match item.json()? {
        Value::Object(claims) => Some(claims),
        _ => None,
    }
}
