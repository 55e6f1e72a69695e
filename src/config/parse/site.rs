//! What routes share: the names and paths that are the gateway's, the providers, and what is taken already.

use super::identity::Identity;
use super::path::OwnPaths;
use super::providers::Providers;
use super::route;
use super::rules::RuleSets;
use super::seen::Seen;
use super::server::Server;
use crate::config::diagnostic::Diagnostic;
use crate::config::raw::{Item, Section};
use crate::config::source::Place;
use crate::config::surroundings::Surroundings;
use crate::config::{RouteConfig, keys};
use crate::crypto;
use crate::identity::HeaderPrefix;
use crate::route::{Authority, PathPrefix, Scheme};
use crate::signature::Algorithm;

pub(super) struct Site<'a> {
    pub(super) surroundings: &'a Surroundings,
    pub(super) providers: &'a Providers,
    pub(super) own_paths: OwnPaths,
    pub(super) header_prefix: &'a HeaderPrefix,
    pub(super) algorithm: Algorithm,
    pub(super) scheme: Scheme,
    scheme_place: Option<Place>,
    names: Seen<String>,
    addresses: Seen<(Authority, PathPrefix)>,
    keys: Seen<[u8; 32]>,
}

impl<'a> Site<'a> {
    pub(super) fn new(
        surroundings: &'a Surroundings,
        server: &Server,
        providers: &'a Providers,
        identity: &'a Identity,
    ) -> Self {
        Self {
            surroundings,
            providers,
            own_paths: OwnPaths::new(&server.config.prefix),
            header_prefix: &identity.header_prefix,
            algorithm: Algorithm::default(),
            scheme: server.config.external_scheme,
            scheme_place: server.scheme_place.clone(),
            names: Seen::new(),
            addresses: Seen::new(),
            keys: Seen::new(),
        }
    }

    /// Signs requests with `algorithm` where a route does not say otherwise.
    pub(super) const fn signing_with(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// The routes of every file; none where one of them is wrong.
    pub(super) fn routes(&self, files: &[Section<'_>]) -> Option<Vec<RouteConfig>> {
        let main = files.first()?;
        self.check_production(main);
        let sections: Vec<Section<'_>> = files.iter().flat_map(|file| file.sections("route", &keys::ROUTE)).collect();
        if sections.is_empty() {
            let none = Diagnostic::warning(&main.place(), "there is no [[route]]: every request will be refused");
            main.report().push(none.help("a route has a name, a host and an upstream"));
        }
        let sets = RuleSets::of(main);
        let routes: Vec<Option<RouteConfig>> =
            sections.iter().map(|section| route::read(section, self, &sets)).collect();
        self.providers.warn_of_unused(main.report());
        sets.warn_of_unused(main.report(), &self.providers.all[0], self.surroundings);
        routes.into_iter().collect()
    }

    /// Notes the name of a route.
    pub(super) fn note_name(&self, item: &Item<'_>, name: &str) {
        let twice = || format!("two routes are called `{name}`");
        self.names.once(name.to_owned(), &item.place(), item.section_report(), twice);
    }

    /// Notes the authority and the path of a route, whose host `item` holds.
    pub(super) fn note_address(&self, item: &Item<'_>, authority: &Authority, path: &PathPrefix) {
        let twice = || format!("two routes have the host `{authority}` and the path `{path}`");
        self.addresses.once((authority.clone(), path.clone()), &item.place(), item.section_report(), twice);
    }

    /// Notes the HMAC key of a route: whoever knows it can sign for every application that has it.
    pub(super) fn note_key(&self, item: &Item<'_>, key: &[u8]) {
        let twice = || "two routes have the same `hmac_key`".to_owned();
        self.keys.once(crypto::sha256(key), &item.place(), item.section_report(), twice);
    }

    fn check_production(&self, main: &Section<'_>) {
        let production = self.providers.all.iter().find_map(|provider| provider.production.as_ref());
        if let (Scheme::Http, Some(production), Some(place)) = (self.scheme, production, &self.scheme_place) {
            let clear = Diagnostic::error(place, "production cannot have a redirect_uri over http");
            main.report().push(clear.also(production, "").help("set `external_scheme` to \"https\""));
        }
    }
}
