//! The routes of a site: by authority, then by the longest path prefix.

use foldhash::HashMap;

use super::authority::Authority;
use super::path::{PathMap, PathPrefix, RequestPath};

/// Routes of type `R` by authority and path prefix.
#[derive(Clone, Debug)]
pub struct Table<R> {
    hosts: HashMap<String, Host<R>>,
}

#[derive(Clone, Debug)]
struct Host<R> {
    authority: Authority,
    routes: PathMap<R>,
    /// Whether a route or rule of this host looks at the path.
    reads_path: bool,
}

/// What the table says of a request.
#[derive(Debug)]
pub enum Lookup<'t, R> {
    /// A decision depends on a path that could be read in two ways.
    AmbiguousPath,
    /// The authority is known, but no route holds the path.
    NoRoute(&'t Authority),
    /// The route, and the authority as configured.
    Route(&'t Authority, &'t R),
    /// No route has this authority.
    UnknownAuthority,
}

impl<R> Default for Table<R> {
    fn default() -> Self {
        Self { hosts: HashMap::default() }
    }
}

impl<R> Table<R> {
    /// Adds a route. `reads_path` says whether one of its rules looks at the path.
    pub fn insert(&mut self, authority: Authority, path: &PathPrefix, reads_path: bool, route: R) {
        let host = self.hosts.entry(authority.as_str().to_owned()).or_insert_with(|| Host {
            authority,
            routes: PathMap::default(),
            reads_path: false,
        });
        host.reads_path |= reads_path || !path.is_root() || !host.routes.is_empty();
        host.routes.insert(path, route);
    }

    /// The routes at `host` (the text of an [`Authority`]), in no order.
    pub fn of(&self, host: &str) -> impl Iterator<Item = &R> {
        self.hosts.get(host).into_iter().flat_map(|host| host.routes.things())
    }

    /// The route of a request for `path` at `host` (the text of an [`Authority`]).
    #[must_use]
    pub fn lookup(&self, host: &str, path: &RequestPath<'_>) -> Lookup<'_, R> {
        let Some(host) = self.hosts.get(host) else { return Lookup::UnknownAuthority };
        if host.reads_path && path.canonical().is_none() {
            return Lookup::AmbiguousPath;
        }
        match host.routes.longest(path) {
            Some(route) => Lookup::Route(&host.authority, route),
            None => Lookup::NoRoute(&host.authority),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(routes: &[(&str, &str, bool)]) -> Table<&'static str> {
        let mut table = Table::default();
        for (host, path, reads_path) in routes {
            let name: &'static str = path.to_string().leak();
            table.insert(host.parse().unwrap(), &path.parse().unwrap(), *reads_path, name);
        }
        table
    }

    fn found(table: &Table<&'static str>, host: &str, path: &str) -> String {
        match table.lookup(host, &RequestPath::new(path)) {
            Lookup::AmbiguousPath => "ambiguous".to_owned(),
            Lookup::NoRoute(_) => "none".to_owned(),
            Lookup::Route(_, name) => (*name).to_owned(),
            Lookup::UnknownAuthority => "unknown".to_owned(),
        }
    }

    #[test]
    fn the_longest_prefix_wins() {
        let table = table(&[("a.fr", "/", false), ("a.fr", "/app", false), ("a.fr", "/app/admin", false)]);
        assert_eq!(found(&table, "a.fr", "/app/admin/x"), "/app/admin");
        assert_eq!(found(&table, "a.fr", "/app/administration"), "/app");
        assert_eq!(found(&table, "a.fr", "/apple"), "/");
        assert_eq!(found(&table, "b.fr", "/"), "unknown");
    }

    #[test]
    fn an_ambiguous_path_passes_only_where_nothing_depends_on_it() {
        let blind = table(&[("a.fr", "/", false)]);
        assert_eq!(found(&blind, "a.fr", "/x//y;z=%2f"), "/");
        for seeing in [
            table(&[("a.fr", "/", true)]),
            table(&[("a.fr", "/app", false)]),
            table(&[("a.fr", "/", false), ("a.fr", "/b", false)]),
        ] {
            assert_eq!(found(&seeing, "a.fr", "/x//y"), "ambiguous");
        }
        assert_eq!(found(&table(&[("a.fr", "/app", false)]), "a.fr", "/x"), "none");
    }
}
