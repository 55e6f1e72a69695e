//! Every provider: `[provider]`, the default one, and `[providers.NAME]`; and which host's agents log in at which.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::provider::{self, Provider};
use super::route;
use crate::config::ServerConfig;
use crate::config::diagnostic::{Diagnostic, Report};
use crate::config::keys;
use crate::config::raw::{Item, Section};
use crate::config::source::Place;
use crate::config::suggest::nearest;
use crate::config::surroundings::Surroundings;
use crate::oidc;
use crate::route::{Authority, Scheme};

/// How a route refers to a provider.
const KEY: &str = "provider";

const LOGIN_HOST: &str = "login_host";

pub(super) struct Providers {
    /// The default one first, where it is written. There is always one: where none is written, one that an error was
    /// told of.
    pub(super) all: Vec<Provider>,
    hosts: RefCell<HashMap<Authority, Claim>>,
    used: RefCell<HashSet<String>>,
}

/// A host's agents log in at one provider.
struct Claim {
    provider: String,
    by: String,
    place: Place,
}

/// The providers of the configuration `main`.
pub(super) fn read(main: &Section<'_>, server: &ServerConfig, surroundings: &Surroundings) -> Providers {
    let prefix = &server.prefix;
    let by_default = main.section("provider", &keys::PROVIDER);
    if let Some(item) = by_default.item(LOGIN_HOST) {
        let elsewhere = Diagnostic::error(&item.key_place(), format!("`{LOGIN_HOST}` belongs into [providers.NAME]"));
        item.report(elsewhere.help("for [provider], write host = \"…\" in [login]"));
    }
    let named = main.section("providers", &keys::PROVIDERS);
    let mut all = Vec::new();
    if by_default.is_written() {
        all.push(provider::read(&by_default, oidc::DEFAULT, prefix, surroundings));
    }
    for item in named.items().filter(check_name) {
        let section = item.section(&keys::NAMED_PROVIDER);
        all.extend(section.map(|section| provider::read(&section, item.key(), prefix, surroundings)));
    }
    if all.is_empty() {
        all.push(provider::read(&by_default, oidc::DEFAULT, prefix, surroundings));
    }
    let mut providers = Providers { all, hosts: RefCell::default(), used: RefCell::default() };
    providers.read_login_hosts(main, server.external_scheme);
    providers
}

/// The table of the provider called `name`, as messages call it.
pub(super) fn table(name: &str) -> String {
    if name == oidc::DEFAULT { "[provider]".to_owned() } else { format!("[providers.{name}]") }
}

/// Whether a provider may have this name, which stands in metrics, logs and the name of a file.
fn check_name(item: &Item<'_>) -> bool {
    let name = item.key();
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if name == oidc::DEFAULT {
        let taken = Diagnostic::error(&item.key_place(), "`default` is the name of [provider]");
        item.report(taken.help("write [provider], or choose another name"));
        return false;
    }
    let fits = plain && (1..=32).contains(&name.len());
    if !fits {
        let error = Diagnostic::error(&item.key_place(), format!("`{name}` cannot be the name of a provider"));
        item.report(error.label("1 to 32 letters, digits, `-` and `_`, without accents"));
    }
    fits
}

impl Providers {
    /// `[login] host` is the default provider's, and `login_host` that of each other one.
    fn read_login_hosts(&mut self, main: &Section<'_>, scheme: Scheme) {
        let (login, named) = (main.section("login", &keys::LOGIN), main.section("providers", &keys::PROVIDERS));
        login.refuse_unknown_keys();
        let by_default = if login.is_written() { login.required("host") } else { None };
        if let Some(item) = by_default {
            self.read_login_host(oidc::DEFAULT, &item, scheme);
        }
        for provider in named.items() {
            let item = provider.section(&keys::NAMED_PROVIDER).and_then(|section| section.item(LOGIN_HOST));
            if let Some(item) = item {
                self.read_login_host(provider.key(), &item, scheme);
            }
        }
    }

    fn read_login_host(&mut self, name: &str, item: &Item<'_>, scheme: Scheme) {
        let Some(index) = self.all.iter().position(|provider| provider.name == name) else {
            let nobody = Diagnostic::error(&item.key_place(), "[login] is for [provider], which is missing");
            return item.report(nobody.help(format!("write `{LOGIN_HOST}` in [providers.NAME]")));
        };
        let Some(host) = route::host(item, scheme) else { return };
        self.all[index].check_host(item, &host);
        self.claim_host(item, &host, (&self.all[index], "a login host".to_owned()));
        self.all[index].login_host = Some(host);
    }

    /// The provider of a route; any of them where an error was told.
    pub(super) fn of(&self, route: &Section<'_>) -> &Provider {
        let item = route.item(KEY);
        let name = item.map_or(Some(oidc::DEFAULT), |item| item.text());
        let found = self.all.iter().find(|provider| name.is_none_or(|name| provider.name == name));
        let provider = found.unwrap_or_else(|| {
            self.tell_missing(route, item.as_ref());
            &self.all[0]
        });
        self.used.borrow_mut().insert(provider.name.clone());
        provider
    }

    fn tell_missing(&self, route: &Section<'_>, item: Option<&Item<'_>>) {
        let names = || self.all.iter().map(|provider| provider.name.as_str());
        let one_of = || format!("one of: {}", names().collect::<Vec<_>>().join(", "));
        let error = match item {
            Some(item) => {
                let name = item.written_text().unwrap_or_default();
                let near = nearest(name, names()).map(|near| format!("did you mean `{near}`?"));
                item.error(format!("there is no provider called `{name}`")).help(near.unwrap_or_else(one_of))
            }
            None => Diagnostic::error(&route.place(), "`provider` is missing from [[route]]: there is no [provider]")
                .help(one_of()),
        };
        route.report().push(error);
    }

    /// Notes that the agents of a host log in at `provider`, because `by` says so; an error where another provider has
    /// the host already: one session cannot be two providers'.
    pub(super) fn claim_host(&self, item: &Item<'_>, host: &Authority, (provider, by): (&Provider, String)) {
        let mut hosts = self.hosts.borrow_mut();
        let (place, name) = (item.place(), provider.name.clone());
        let earlier = hosts.entry(host.clone()).or_insert_with(|| Claim { provider: name, by: by.clone(), place });
        if earlier.provider != provider.name {
            let two = item.error(format!("the host `{host}` has two providers")).label(claimed(&by, &provider.name));
            let two = two.also(&earlier.place, claimed(&earlier.by, &earlier.provider));
            item.report(
                two.help("the agents of one host log in at one provider: give the other route a host of its own"),
            );
        }
    }

    /// Warns of providers that nobody logs in at.
    pub(super) fn warn_of_unused(&self, report: &Report) {
        let used = self.used.borrow();
        for provider in self.all.iter().filter(|provider| !used.is_empty() && !used.contains(&provider.name)) {
            let idle = Diagnostic::warning(&provider.place, format!("no route uses {}", table(&provider.name)));
            report.push(idle.help(format!("{KEY} = \"{}\" in a [[route]] does", provider.name)));
        }
    }
}

fn claimed(by: &str, provider: &str) -> String {
    format!("{by} uses {}", table(provider))
}
