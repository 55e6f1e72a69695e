//! The conditions of a block, from keys to [`Test`]s.

use http::Method;
use ipnet::IpNet;
use std::net::IpAddr;

use super::rules::parse_method;
use super::time;
use super::values::{Problem, Written};
use crate::config::diagnostic::Diagnostic;
use crate::config::keys;
use crate::config::raw::{Item, Section};
use crate::config::suggest::nearest;
use crate::config::surroundings::Surroundings;
use crate::config::vocabulary::{CLAIMS, CONDITIONS, Vocabulary};
use crate::identity::siret::{is_siren, is_siret};
use crate::oidc::Preset;
use crate::policy::{Condition, Domains, Globs, Subject, Test, Value};
use crate::route::{PathMap, PathPrefix};

/// Reads conditions: with which words, from where, and on which side.
#[derive(Clone, Copy)]
pub(super) struct Reader<'r> {
    pub(super) vocabulary: &'r Vocabulary,
    pub(super) surroundings: &'r Surroundings,
    /// The path of the route, where they are one route's.
    pub(super) route: Option<&'r PathPrefix>,
    /// Whether they are those of a deny block.
    pub(super) denies: bool,
}

/// A test, and what it wants.
type Wanting = (Test, String);

impl<'r> Reader<'r> {
    pub(super) const fn new(vocabulary: &'r Vocabulary, surroundings: &'r Surroundings) -> Self {
        Self { vocabulary, surroundings, route: None, denies: false }
    }

    /// The conditions of a block, or of a `not`, as they are written; an error where there is none.
    pub(super) fn conditions(&self, section: &Section<'_>) -> Vec<Condition> {
        let mut items: Vec<Item<'_>> = section.items().filter(|item| item.key() != "reason").collect();
        items.sort_by_key(|item| item.key_place().span.map(|span| span.start));
        if items.is_empty() {
            let empty = Diagnostic::error(&section.place(), "this block has no condition");
            section.report().push(empty.help("name a claim and its values, such as siret = [\"…\"]"));
        }
        items.iter().flat_map(|item| self.read(item)).collect()
    }

    /// The conditions under one key: one, or one for each member of an object.
    fn read(&self, item: &Item<'_>) -> Vec<Condition> {
        let key = item.key();
        let wanting = match key {
            "client_address" => self.client_address(item),
            "email_domain" => self.email_domain(item),
            "method" => self.method(item),
            "mfa" => self.mfa(item),
            "not" => self.not(item),
            "path" => self.path(item),
            "time" => time::read(item),
            _ if self.is_object(item) => return self.members(item),
            _ => self.claim(item),
        };
        wanting.map(|wanting| condition(item, key.to_owned(), wanting)).into_iter().collect()
    }

    fn claim(&self, item: &Item<'_>) -> Option<Wanting> {
        self.check_claim(item)?;
        match item.key() {
            "sub" => self.one_of(item, Subject::Sub),
            "organizational_unit" => self.pattern(item),
            claim => self.one_of(item, Subject::Claim(claim.to_owned())),
        }
    }

    /// None where the key is the name of no claim.
    fn check_claim(&self, item: &Item<'_>) -> Option<()> {
        let (key, vocabulary) = (item.key(), self.vocabulary);
        // A key of a route that slipped below the block is no claim, even where any name may be one; `name` may.
        let slipped = key != "name" && keys::ROUTE.keys.contains(&key);
        if slipped || !vocabulary.knows(key) {
            let near = nearest(key, CONDITIONS).filter(|_| !slipped).map(|near| format!("did you mean `{near}`?"));
            let instead = vocabulary.instead_of_claim(key).filter(|_| !slipped).or(near);
            match instead {
                Some(instead) => {
                    let unknown = format!("AgentConnect has no claim called `{key}`");
                    item.report(Diagnostic::error(&item.key_place(), unknown).help(instead));
                }
                None => item.refuse(&[&CLAIMS[..], &CONDITIONS[..]].concat()),
            }
            return None;
        }
        vocabulary.warn_if_not_asked(key, &item.key_place(), item.section_report());
        Some(())
    }

    fn one_of(&self, item: &Item<'_>, subject: Subject) -> Option<Wanting> {
        // The claims that AgentConnect knows are strings, or lists of them; `custom` holds what it likes.
        let of_any_type = matches!(subject, Subject::Member(_)) || !CLAIMS.contains(&item.key());
        let written = Written::read(item, self.surroundings, of_any_type);
        let values = written.each(item, |text, is_literal| match problem(item, text) {
            Some(problem) => Err(problem),
            None if is_literal => Ok(Value::Literal(text.to_owned())),
            None => Ok(Value::Text(text.to_owned())),
        });
        if matches!(subject, Subject::Claim(_)) && item.key() == "acr" {
            written.look(|text, place| self.vocabulary.check_level(text, place, item.section_report()));
        }
        Some((Test::Claim(subject, values.into_iter().collect()), written.wanted()))
    }

    fn pattern(&self, item: &Item<'_>) -> Option<Wanting> {
        let written = Written::read(item, self.surroundings, false);
        let mut globs = Globs::default();
        written.each(item, |pattern, _| globs.insert(pattern).map_err(|error| Problem::invalid(item, error)));
        Some((Test::Pattern(Subject::Claim(item.key().to_owned()), globs), written.wanted()))
    }

    fn email_domain(&self, item: &Item<'_>) -> Option<Wanting> {
        self.vocabulary.warn_if_not_asked("email", &item.key_place(), item.section_report());
        let written = Written::read(item, self.surroundings, false);
        let mut domains = Domains::default();
        written.each(item, |domain, _| domains.insert(domain).map_err(|error| Problem::invalid(item, error)));
        Some((Test::EmailDomain(domains), written.wanted()))
    }

    fn client_address(&self, item: &Item<'_>) -> Option<Wanting> {
        let written = Written::read(item, self.surroundings, false);
        let networks = written.each(item, |text, _| network(text).map_err(|error| Problem::invalid(item, error)));
        Some((Test::ClientAddress(networks.into_iter().collect()), written.wanted()))
    }

    fn method(&self, item: &Item<'_>) -> Option<Wanting> {
        let written = Written::read(item, self.surroundings, false);
        let methods: Vec<Method> =
            written.each(item, |text, _| parse_method(text).map_err(|error| Problem::invalid(item, error)));
        Some((Test::Method(methods.into_iter().collect()), written.wanted()))
    }

    fn path(&self, item: &Item<'_>) -> Option<Wanting> {
        let written = Written::read(item, self.surroundings, false);
        let paths = written.each(item, |text, _| {
            let path: PathPrefix = text.parse().map_err(|error| Problem::invalid(item, error))?;
            match self.route {
                Some(route) if !route.contains_prefix(&path) && !path.contains_prefix(route) => {
                    let title = format!("`{path}` is outside the path of its route, `{route}`");
                    Err(Problem::new(title, "paths are absolute on the host, under the path of the route"))
                }
                _ => Ok(path),
            }
        });
        let mut map = PathMap::default();
        paths.iter().for_each(|path| map.insert(path, ()));
        Some((Test::Path(map), written.wanted()))
    }

    fn mfa(&self, item: &Item<'_>) -> Option<Wanting> {
        let levels = self.vocabulary.preset.mfa_levels();
        if levels.is_empty() {
            let unknown = item.error("which levels of this provider mean two factors is not known");
            item.report(unknown.help("name them: acr = [\"…\"], or amr = \"mfa\""));
            return None;
        }
        if !item.flag()? {
            item.report(item.error("`mfa` is true or left out").help("for the contrary, write not = { mfa = true }"));
            return None;
        }
        let values = levels.iter().map(|level| Value::Text((*level).to_owned())).collect();
        Some((
            Test::Claim(Subject::Claim("acr".to_owned()), values),
            format!("true: acr is one of {}", levels.join(", ")),
        ))
    }

    fn not(&self, item: &Item<'_>) -> Option<Wanting> {
        let sections: Vec<Section<'_>> =
            item.one_or_more().iter().filter_map(|element| element.section(&keys::NOT)).collect();
        if let Some(inner) = sections.iter().flat_map(Section::items).find(|inner| inner.key() == "not") {
            inner.report(
                Diagnostic::error(&inner.key_place(), "a `not` inside a `not`").help("write the condition itself"),
            );
            return None;
        }
        if let Some(inner) = sections.iter().flat_map(Section::items).find(|inner| inner.key() == "reason") {
            inner.report(Diagnostic::error(&inner.key_place(), "`reason` belongs to the block, not into its `not`"));
        }
        let alternatives: Vec<Vec<Condition>> = sections.iter().map(|section| self.conditions(section)).collect();
        let wanted = alternatives.iter().map(|conditions| {
            let all = conditions.iter().map(|inner| format!("{} = {}", inner.name, inner.wanted));
            all.collect::<Vec<_>>().join(" and ")
        });
        let wanted = wanted.collect::<Vec<_>>().join(", nor ");
        Some((Test::Not(alternatives), wanted))
    }

    /// Whether the value is the members of an object: of `custom`, or with another provider of any claim.
    fn is_object(&self, item: &Item<'_>) -> bool {
        let is_custom = item.key() == "custom" || item.key().starts_with("custom.");
        let may_be = self.vocabulary.preset == Preset::OpenId && !CLAIMS.contains(&item.key());
        is_custom || (may_be && item.is_table() && !is_file(item))
    }

    fn members(&self, item: &Item<'_>) -> Vec<Condition> {
        let way: Vec<String> = item.key().split('.').map(str::to_owned).collect();
        self.vocabulary.warn_if_not_asked(&way[0], &item.key_place(), item.section_report());
        if way.len() == 1 && !item.is_table() {
            let whole = item.error(format!("`{}` is an object", item.key()));
            item.report(whole.help(format!("name one of its members: {}.MEMBER = …", item.key())));
            return Vec::new();
        }
        self.below(item, &way)
    }

    fn below(&self, item: &Item<'_>, way: &[String]) -> Vec<Condition> {
        if !item.is_table() || (way.len() > 1 && is_file(item)) {
            let wanting = self.one_of(item, Subject::Member(way.to_vec()));
            return wanting.map(|wanting| condition(item, way.join("."), wanting)).into_iter().collect();
        }
        let members: Vec<Item<'_>> = item.section(&keys::MEMBERS).iter().flat_map(Section::items).collect();
        if members.is_empty() {
            item.report(item.error("this object has no member"));
        }
        members.iter().flat_map(|inner| self.below(inner, &[way, &[inner.key().to_owned()]].concat())).collect()
    }
}

fn condition(item: &Item<'_>, name: String, (test, wanted): Wanting) -> Condition {
    Condition { name, wanted, line: item.key_place().line(), test }
}

fn problem(item: &Item<'_>, text: &str) -> Option<Problem> {
    let label = match item.key() {
        "siren" if !is_siren(text) => "9 digits without spaces, the last of which checks the others",
        "siret" if !is_siret(text) => "14 digits without spaces, the last of which checks the others",
        _ => return None,
    };
    Some(Problem::new(format!("`{text}` is no {}", item.key().to_ascii_uppercase()), label))
}

/// `{ file = "…" }`
pub(super) fn is_file(item: &Item<'_>) -> bool {
    item.is_table()
        && item.section(&keys::VALUES).is_some_and(|section| {
            let mut items = section.items();
            items.next().is_some_and(|first| first.key() == "file") && items.next().is_none()
        })
}

fn network(text: &str) -> Result<IpNet, &'static str> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network = network.map_err(|_| "a network (\"10.0.0.0/8\") or an address")?;
    if network.addr() == network.network() {
        Ok(network)
    } else {
        Err("bits are set after the prefix: is it an address, or a network?")
    }
}
