//! `[[route]]`

use std::collections::BTreeSet;
use std::time::Duration;

use http::HeaderName;

use super::asks;
use super::condition::Reader;
use super::provider::Provider;
use super::rules::RuleSets;
use super::site::Site;
use super::{portal, proofs, rules, upstream};
use crate::config::diagnostic::Diagnostic;
use crate::config::raw::{Item, Section};
use crate::config::vocabulary::Vocabulary;
use crate::config::{LogoutPath, RouteConfig, keys, names, quantity};
use crate::http_ext::{folded_name, folds_under};
use crate::policy::Rules;
use crate::route::{Authority, PathPrefix, Scheme};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const SILENCE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The route that `section` holds; none where an error was told.
pub(super) fn read(section: &Section<'_>, site: &Site<'_>, sets: &RuleSets<'_>) -> Option<RouteConfig> {
    section.refuse_unknown_keys();
    let provider = site.providers.of(section);
    let vocabulary = &provider.vocabulary;
    let name = name(section, site);
    let path = path(section, site);
    let authority = authority(section, site, (path.as_ref(), provider));
    let upstream = upstream::read(section, site.surroundings);
    let proofs = proofs::read(section, site, name.as_deref());
    let claims = claims(section, vocabulary);
    let headers = headers(section, (site, vocabulary), claims.as_ref());
    let path = path.unwrap_or_else(PathPrefix::root);
    let logout_paths = logout_paths(section, site, &path);
    let public = section.sections("public", &keys::PUBLIC);
    let public = public.iter().filter_map(|block| rules::public(block, site, &path)).collect();
    let reader = Reader { route: Some(&path), ..Reader::new(vocabulary, site.surroundings) };
    let (asks, max_age) = asks::Written::read(section, vocabulary.preset).of_route(&provider.asks);
    let rules = Rules { max_age, ..rules::read(section, &reader, sets, provider) };
    let contact = section.item("contact").and_then(|item| item.filled()).map(str::to_owned);
    let portal = portal::read(section, site, (authority.as_ref(), &path));
    let upstream = upstream?;
    let proofs = proofs?;
    Some(RouteConfig {
        name: name?,
        authority: authority?,
        provider: provider.name.clone(),
        path,
        upstreams: upstream.origins,
        upstream_ca: upstream.ca,
        upstream_server_name: upstream.server_name,
        connect_timeout: section.duration("connect_timeout", CONNECT_TIMEOUT),
        silence_timeout: section.duration("silence_timeout", SILENCE_TIMEOUT),
        sign_request: proofs.request,
        sign_assertion: proofs.assertion,
        signature_algorithm: proofs.algorithm,
        hmac_key: proofs.hmac_key,
        audience: proofs.audience,
        claims,
        headers,
        logout_paths,
        contact,
        public,
        rules,
        portal,
        asks,
        max_body: section.item("max_body").and_then(|item| item.read(quantity::size)),
        origin: section.origin(),
    })
}

fn name(section: &Section<'_>, site: &Site<'_>) -> Option<String> {
    let item = section.required("name")?;
    let name = item.read(|text| {
        let shaped = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        let fits = shaped && (1..=64).contains(&text.len());
        if fits { Ok(text.to_owned()) } else { Err("1 to 64 letters, digits, `-`, `.` and `_`, without accents") }
    })?;
    site.note_name(&item, &name);
    Some(name)
}

fn path(section: &Section<'_>, site: &Site<'_>) -> Option<PathPrefix> {
    section.item("path").map_or_else(|| Some(PathPrefix::root()), |item| site.own_paths.foreign(&item))
}

fn authority(
    section: &Section<'_>,
    site: &Site<'_>,
    (path, provider): (Option<&PathPrefix>, &Provider),
) -> Option<Authority> {
    let item = section.required("host")?;
    let authority = host(&item, site.scheme)?;
    provider.check_host(&item, &authority);
    site.providers.claim_host(&item, &authority, (provider, route_called(section)));
    if let Some(path) = path {
        site.note_address(&item, &authority, path);
    }
    Some(authority)
}

/// A host that agents see.
pub(super) fn host(item: &Item<'_>, scheme: Scheme) -> Option<Authority> {
    if item.text().is_some_and(|text| text.contains('*')) {
        item.report(item.error("a host with `*` is not available in this version").help("write a route for each host"));
        return None;
    }
    item.read(str::parse).map(|authority: Authority| authority.normalized(scheme))
}

/// The route as messages call it.
fn route_called(section: &Section<'_>) -> String {
    let name = section.item("name").and_then(|item| item.written_text());
    name.map_or_else(|| "a route".to_owned(), |name| format!("the route `{name}`"))
}

fn claims(section: &Section<'_>, vocabulary: &Vocabulary) -> Option<BTreeSet<String>> {
    let elements = section.item("claims")?.elements();
    let claims =
        elements.iter().filter_map(|element| vocabulary.claim(element.filled()?, &element.place(), section.report()));
    Some(claims.collect())
}

fn headers(
    section: &Section<'_>,
    (site, vocabulary): (&Site<'_>, &Vocabulary),
    released: Option<&BTreeSet<String>>,
) -> Vec<(HeaderName, String)> {
    let Some(table) = section.item("headers").and_then(|item| item.section(&keys::HEADERS)) else { return Vec::new() };
    let mut folded = BTreeSet::new();
    let headers = table.items().filter_map(|item| {
        let name = header_name(&item, site)?;
        if !folded.insert(folded_name(item.key())) {
            item.report(item.error(format!("two headers that upstreams may read as one: `{}`", item.key())));
        }
        let claim = vocabulary.claim(item.filled()?, &item.place(), section.report())?;
        if released.is_some_and(|released| !released.contains(&claim)) {
            let beside = item.warning(format!("`claims` leaves `{claim}` out, and this header gives it all the same"));
            item.report(beside.help("add it to `claims`, or leave this header out"));
        }
        Some((name, claim))
    });
    headers.collect()
}

fn header_name(item: &Item<'_>, site: &Site<'_>) -> Option<HeaderName> {
    let (key, place) = (item.key(), item.key_place());
    let problem = match HeaderName::from_bytes(key.as_bytes()) {
        Err(_) => format!("`{key}` is not a header name"),
        Ok(_) if names::is_taken(key) => format!("`{key}` has a meaning of its own in HTTP"),
        Ok(_) if folds_under(key, site.header_prefix.folded()) => {
            format!("`{key}` starts with the header prefix `{}`", site.header_prefix.as_str())
        }
        Ok(name) => return Some(name),
    };
    let refused = Diagnostic::error(&place, problem);
    item.report(refused.help("choose a name that the application alone reads, such as Remote-User"));
    None
}

fn logout_paths(section: &Section<'_>, site: &Site<'_>, route: &PathPrefix) -> Vec<LogoutPath> {
    let elements: Vec<Item<'_>> = section.item("logout_paths").iter().flat_map(Item::elements).collect();
    elements.iter().filter_map(|item| logout_path(item, site, route)).collect()
}

fn logout_path(item: &Item<'_>, site: &Site<'_>, route: &PathPrefix) -> Option<LogoutPath> {
    let text = item.filled()?;
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let path = item.read(|_| path.parse::<PathPrefix>()).filter(|path| site.own_paths.leave(item, path))?;
    if !route.contains_prefix(&path) {
        item.report(item.error(format!("`{path}` is outside the path of its route, `{route}`")));
    }
    if query == Some("") {
        item.report(item.error("the query is empty").help("leave the `?` out"));
    }
    Some(LogoutPath { path: path.as_str().to_owned(), query: query.map(str::to_owned) })
}
