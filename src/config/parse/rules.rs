//! `[[route.public]]`, `[[route.deny]]` and `[[route.allow]]`

use http::Method;

use super::site::Site;
use crate::config::diagnostic::Diagnostic;
use crate::config::keys;
use crate::config::raw::{Item, Section};
use crate::config::vocabulary::{CLAIMS, Vocabulary};
use crate::identity::siret::{is_siren, is_siret};
use crate::policy::{Block, Condition, PublicRule};
use crate::route::PathPrefix;

/// The rule of a `[[route.public]]` block of the route whose path is `route`.
pub(super) fn public(block: &Section<'_>, site: &Site<'_>, route: &PathPrefix) -> Option<PublicRule> {
    block.refuse_unknown_keys();
    let methods = block.item("methods").map_or_else(|| vec![Method::GET, Method::HEAD], |item| methods(&item));
    let item = block.required("path")?;
    let path = site.own_paths.foreign(&item)?;
    if !route.contains_prefix(&path) && path != *route {
        let outside = item.error(format!("`{path}` is outside the path of its route, `{route}`"));
        item.report(outside.help("public paths are absolute on the host, under the path of the route"));
    } else if path.contains_prefix(route) {
        let open = item.warning("the whole application is public: it needs no login");
        item.report(open.help("name the sub-path that is to be public"));
    }
    Some(PublicRule { path, methods })
}

fn methods(item: &Item<'_>) -> Vec<Method> {
    let elements = item.elements();
    if elements.is_empty() {
        item.report(item.error("`methods` is empty").help("left out, it is [\"GET\", \"HEAD\"]"));
    }
    elements.iter().filter_map(|element| element.read(parse_method)).collect()
}

fn parse_method(text: &str) -> Result<Method, String> {
    let method = Method::from_bytes(text.as_bytes()).map_err(|_| "this is no HTTP method".to_owned())?;
    let upper = text.to_ascii_uppercase();
    if text == upper { Ok(method) } else { Err(format!("methods are written in capitals: \"{upper}\"")) }
}

/// The `[[route.deny]]` or `[[route.allow]]` blocks of a route.
pub(super) fn blocks(route: &Section<'_>, key: &'static str, vocabulary: &Vocabulary) -> Vec<Block> {
    let kind = if key == "deny" { &keys::DENY } else { &keys::ALLOW };
    route.sections(key, kind).iter().map(|section| block(section, vocabulary)).collect()
}

fn block(section: &Section<'_>, vocabulary: &Vocabulary) -> Block {
    let items = section.items().filter(|item| item.key() != "reason");
    let conditions: Vec<Option<Condition>> = items.map(|item| condition(&item, vocabulary)).collect();
    if conditions.is_empty() {
        let empty = Diagnostic::error(&section.place(), "this block has no condition");
        section.report().push(empty.help("name a claim and its values, such as siret = [\"…\"]"));
    }
    Block {
        conditions: conditions.into_iter().flatten().collect(),
        reason: section.item("reason").and_then(|item| item.filled()).map(str::to_owned),
        origin: section.origin(),
    }
}

fn condition(item: &Item<'_>, vocabulary: &Vocabulary) -> Option<Condition> {
    if !may_be_claim(item.key()) {
        item.refuse(&CLAIMS);
        return None;
    }
    if !vocabulary.knows(item.key()) {
        refuse_claim(item, vocabulary);
        return None;
    }
    vocabulary.warn_if_not_asked(item.key(), &item.key_place(), item.section_report());
    let any_of = item.one_or_more().iter().filter_map(|value| condition_value(value, vocabulary)).collect();
    Some(Condition { claim: item.key().to_owned(), any_of })
}

/// A key of a route that slipped below the block is no claim, even where any name may be one; `name` may.
fn may_be_claim(key: &str) -> bool {
    let slipped = key != "name" && keys::ROUTE.keys.contains(&key);
    !slipped && !keys::ALLOW.later.contains(&key)
}

fn refuse_claim(item: &Item<'_>, vocabulary: &Vocabulary) {
    match vocabulary.instead_of_claim(item.key()) {
        Some(instead) => {
            let unknown = format!("AgentConnect has no claim called `{}`", item.key());
            item.report(Diagnostic::error(&item.key_place(), unknown).help(instead));
        }
        None => item.refuse(&CLAIMS),
    }
}

fn condition_value(item: &Item<'_>, vocabulary: &Vocabulary) -> Option<String> {
    if item.is_table() {
        item.report(item.error("a file of values is not available in this version").help("write the values here"));
        return None;
    }
    let text = item.filled()?;
    let problem = match item.key() {
        "siren" if !is_siren(text) => Some("9 digits without spaces, the last of which checks the others"),
        "siret" if !is_siret(text) => Some("14 digits without spaces, the last of which checks the others"),
        _ => None,
    };
    if let Some(problem) = problem {
        item.report(item.error(format!("`{text}` is no {}", item.key().to_ascii_uppercase())).label(problem));
    }
    if item.key() == "acr" {
        vocabulary.check_level(text, &item.place(), item.section_report());
    }
    Some(text.to_owned())
}
