//! `[[route.public]]`, `[[route.deny]]` and `[[route.allow]]`, and `[rules.NAME]`, which routes share.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use http::Method;

use super::condition::Reader;
use super::provider::Provider;
use super::site::Site;
use crate::config::diagnostic::{Diagnostic, Report};
use crate::config::keys::{self, Table};
use crate::config::raw::{Item, Section};
use crate::config::suggest::nearest;
use crate::config::surroundings::Surroundings;
use crate::oidc::Preset;
use crate::policy::{Block, Condition, PublicRule, Rules, Test};
use crate::route::PathPrefix;

/// How a route refers to sets of rules.
const KEY: &str = "rules";

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

pub(super) fn parse_method(text: &str) -> Result<Method, String> {
    let method = Method::from_bytes(text.as_bytes()).map_err(|_| "this is no HTTP method".to_owned())?;
    let upper = text.to_ascii_uppercase();
    if text == upper { Ok(method) } else { Err(format!("methods are written in capitals: \"{upper}\"")) }
}

/// The rules of a route: those of the sets that it names, then its own.
pub(super) fn read(route: &Section<'_>, reader: &Reader<'_>, sets: &RuleSets<'_>, provider: &Provider) -> Rules {
    let mut rules = sets.named_by(route, reader, provider);
    let own = blocks(route, [&keys::DENY, &keys::ALLOW], reader);
    rules.deny.extend(own.deny);
    rules.allow.extend(own.allow);
    rules
}

fn blocks(section: &Section<'_>, [deny, allow]: [&'static Table; 2], reader: &Reader<'_>) -> Rules {
    let read = |key, kind, denies| {
        let sections = section.sections(key, kind);
        sections.iter().map(|section| Arc::new(block(section, &Reader { denies, ..*reader }))).collect()
    };
    Rules { deny: read("deny", deny, true), allow: read("allow", allow, false), max_age: None }
}

fn block(section: &Section<'_>, reader: &Reader<'_>) -> Block {
    let conditions = reader.conditions(section);
    warn_of_doubtful(section, &conditions, reader);
    Block {
        conditions,
        reason: section.item("reason").and_then(|item| item.filled()).map(str::to_owned),
        origin: section.origin(),
    }
}

/// Warns of what is not what it seems: an address that anybody's provider may claim, a number that two may give, a
/// denial that the lack of a claim escapes.
fn warn_of_doubtful(section: &Section<'_>, conditions: &[Condition], reader: &Reader<'_>) {
    let has = |name: &str| conditions.iter().any(|condition| condition.name == name);
    let of_agentconnect = reader.vocabulary.preset == Preset::AgentConnect;
    for item in section.items() {
        let key = item.key();
        let (title, allowed) = match key {
            "email" | "email_domain" => (
                "an e-mail address proves nothing across identity providers",
                "add `idp_id`, the providers that you trust for these addresses",
            ),
            "uid" => ("a `uid` is unique within one identity provider only", "add `idp_id`, the provider that gave it"),
            _ => continue,
        };
        if of_agentconnect && !has("idp_id") {
            let help = if reader.denies { "deny by `sub`, which is the agent's own, or add `idp_id`" } else { allowed };
            item.report(Diagnostic::warning(&item.key_place(), title).help(help));
        }
    }
    for item in section.items().filter(|item| reader.denies && item.key() == "not") {
        let nots = conditions.iter().filter(|condition| matches!(condition.test, Test::Not(_)));
        let claim = nots.flat_map(Condition::claims).find(|claim| *claim != "sub");
        if let Some(claim) = claim {
            let open = format!("an agent who has no `{claim}` is not stopped by this block");
            let help = "what is absent satisfies no condition, `not` included: an [[route.allow]] block lets in only those \
                        of whom something is known";
            item.report(Diagnostic::warning(&item.key_place(), open).help(help));
        }
    }
}

/// `[rules.NAME]`: rules that routes share. Each is read with the words of the provider whose agents it is about.
pub(super) struct RuleSets<'a> {
    sets: Vec<Item<'a>>,
    read: RefCell<HashMap<(String, String), Rules>>,
}

impl<'a> RuleSets<'a> {
    /// The sets of the configuration `main`.
    pub(super) fn of(main: &Section<'a>) -> Self {
        let sets = main.section("rules", &keys::RULE_SETS).items().collect();
        Self { sets, read: RefCell::default() }
    }

    /// Reads those that no route names, so that what is wrong with them is told, and warns of them.
    pub(super) fn warn_of_unused(&self, report: &Report, provider: &Provider, surroundings: &Surroundings) {
        for item in &self.sets {
            let is_used = self.read.borrow().keys().any(|(name, _)| name == item.key());
            if !is_used {
                let idle = Diagnostic::warning(&item.key_place(), format!("no route uses [rules.{}]", item.key()));
                report.push(idle.help(format!("{KEY} = \"{}\" in a [[route]] does", item.key())));
                self.read(item, &Reader::new(&provider.vocabulary, surroundings), provider);
            }
        }
    }

    fn named_by(&self, route: &Section<'_>, reader: &Reader<'_>, provider: &Provider) -> Rules {
        let mut rules = Rules::default();
        for item in route.item(KEY).iter().flat_map(Item::one_or_more) {
            let Some(name) = item.filled() else { continue };
            let Some(set) = self.sets.iter().find(|set| set.key() == name) else {
                self.tell_missing(&item, name);
                continue;
            };
            let shared = self.read(set, &Reader { route: None, ..*reader }, provider);
            rules.deny.extend(shared.deny);
            rules.allow.extend(shared.allow);
        }
        rules
    }

    fn tell_missing(&self, item: &Item<'_>, name: &str) {
        let names = || self.sets.iter().map(Item::key);
        let help = match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.sets.is_empty() => format!("write its blocks: [[rules.{name}.allow]]"),
            None => format!("one of: {}", names().collect::<Vec<_>>().join(", ")),
        };
        item.report(item.error(format!("there is no [rules.{name}]")).help(help));
    }

    fn read(&self, set: &Item<'_>, reader: &Reader<'_>, provider: &Provider) -> Rules {
        let key = (set.key().to_owned(), provider.name.clone());
        if let Some(rules) = self.read.borrow().get(&key) {
            return rules.clone();
        }
        let rules = set.section(&keys::RULE_SET).map_or_else(Rules::default, |section| {
            section.refuse_unknown_keys();
            let rules = blocks(&section, [&keys::SET_DENY, &keys::SET_ALLOW], reader);
            if rules.deny.is_empty() && rules.allow.is_empty() {
                let empty = Diagnostic::error(&section.place(), format!("[rules.{}] has no block", set.key()));
                section
                    .report()
                    .push(empty.help(format!("write [[rules.{0}.allow]] or [[rules.{0}.deny]]", set.key())));
            }
            rules
        });
        self.read.borrow_mut().insert(key, rules.clone());
        rules
    }
}
