//! Hosts, what they pass on, and who may enter where.

use url::Url;

use super::require::{self, Access};
use crate::import::apache::Directive;
use crate::import::draft::{self, Draft, Public, Route, SOME_HOST, is_under};
use crate::import::path_regex::{self, Matched};

/// What REMOTE_USER holds where nobody says otherwise, without the issuer behind it.
const REMOTE_USER: &str = "sub";

/// The hosts of a file.
#[derive(Debug, Default)]
pub(super) struct Site<'a> {
    hosts: Vec<Host<'a>>,
    /// What stands outside of hosts.
    outside: Vec<&'a Directive>,
}

/// What a `<VirtualHost>` holds, and its address.
#[derive(Debug)]
struct Host<'a> {
    address: Option<&'a str>,
    directives: Vec<&'a Directive>,
}

/// A location and who may enter.
#[derive(Debug, Eq, PartialEq)]
struct Place {
    path: String,
    access: Access,
}

impl<'a> Site<'a> {
    pub(super) fn host(&mut self, section: &'a Directive) {
        let address = section.argument(0);
        self.hosts.push(Host { address, directives: flattened(&section.inner) });
    }

    pub(super) fn outside(&mut self, directive: &'a Directive) {
        self.outside.push(directive);
    }

    /// Adds the listeners, certificates and routes of every host to `draft`.
    pub(super) fn finish(mut self, draft: &mut Draft, redirect: Option<&str>, remote_user: Option<&str>) {
        if self.hosts.is_empty() {
            self.hosts.push(Host { address: None, directives: Vec::new() });
        }
        let redirect = redirect.and_then(|uri| Url::parse(uri).ok());
        for host in &self.hosts {
            // What stands outside holds in every host.
            let directives: Vec<&Directive> = self.outside.iter().chain(&host.directives).copied().collect();
            let name = text(&directives, "servername").map(without_scheme);
            let name =
                name.or_else(|| redirect.as_ref().and_then(draft::authority)).unwrap_or_else(|| SOME_HOST.to_owned());
            let before = draft.routes.len();
            routes(draft, &name, &directives, remote_user);
            if draft.routes.len() > before {
                listen(draft, host.address, &directives);
            } else {
                draft.leave_out("VirtualHost", &format!("{name} passes nothing on to an application"));
            }
        }
    }
}

/// Sections that only ask whether httpd can, taken away.
fn flattened(directives: &[Directive]) -> Vec<&Directive> {
    let groups = |directive: &Directive| ["ifmodule", "ifdefine", "ifversion"].contains(&directive.name.as_str());
    directives.iter().flat_map(|one| if groups(one) { flattened(&one.inner) } else { vec![one] }).collect()
}

fn text<'a>(directives: &[&'a Directive], name: &str) -> Option<&'a str> {
    directives.iter().rev().find(|directive| directive.name == name)?.argument(0)
}

fn without_scheme(name: &str) -> String {
    let bare = name.split_once("://").map_or(name, |(_, bare)| bare);
    bare.strip_suffix(":443").unwrap_or(bare).to_owned()
}

fn listen(draft: &mut Draft, address: Option<&str>, directives: &[&Directive]) {
    let files = (text(directives, "sslcertificatefile"), text(directives, "sslcertificatekeyfile"));
    let tls = text(directives, "sslengine").is_some_and(|on| on.eq_ignore_ascii_case("on"));
    if let (true, (Some(cert), Some(key))) = (tls, files) {
        let pair = (cert.to_owned(), key.to_owned());
        if !draft.server.certificates.contains(&pair) {
            draft.server.certificates.push(pair);
        }
    }
    // Without a host it is what listens by default that serves.
    let Some(written) = address else { return };
    let (host, port) = written.rsplit_once(':').unwrap_or((written, "80"));
    let host = if ["*", "_default_"].contains(&host) { "0.0.0.0" } else { host };
    let listener = (format!("{host}:{port}"), tls);
    let known = draft.server.listeners.iter().any(|(known, _)| *known == listener.0);
    if !known && listener.0.parse::<std::net::SocketAddr>().is_ok() {
        draft.server.listeners.push(listener);
    }
}

/// A route for each path that is passed on, and for each location with rules of its own under one.
fn routes(draft: &mut Draft, host: &str, directives: &[&Directive], remote_user: Option<&str>) {
    let passed = passed_on(draft, directives);
    let (places, unread) = places(draft, directives, remote_user.unwrap_or(REMOTE_USER));
    let with_rules = places.iter().filter(|place| !place.access.everyone);
    let mut paths: Vec<&str> = passed.iter().map(|(path, _)| path.as_str()).collect();
    paths.extend(with_rules.map(|place| place.path.as_str()));
    paths.sort_unstable();
    paths.dedup();
    let first = draft.routes.len();
    for path in paths {
        let upstream = passed.iter().filter(|(known, _)| is_under(known, path)).max_by_key(|(known, _)| known.len());
        match upstream {
            Some((_, upstream)) => {
                draft.routes.push(route((host, path, upstream), effective(&places, path), remote_user));
            }
            None => draft.leave_out("Location", &format!("{host}{path} is passed on nowhere: httpd answers it itself")),
        }
    }
    let added = &mut draft.routes[first..];
    places.iter().filter(|place| effective(&places, &place.path) == Some(place)).for_each(|place| open(added, place));
    if !unread.is_empty() {
        added.iter_mut().for_each(|route| close(route, &unread));
    }
}

/// The location whose rules hold for a path: of those that it is under, the last one (httpd's merging of sections).
fn effective<'a>(places: &'a [Place], path: &str) -> Option<&'a Place> {
    places.iter().rev().find(|place| is_under(&place.path, path))
}

/// Admits nobody where a rule may be about any path.
fn close(route: &mut Route, unread: &[String]) {
    route.allow.clear();
    route.public.clear();
    route.unread_rules.extend_from_slice(unread);
}

fn route((host, path, upstream): (&str, &str, &str), place: Option<&Place>, remote_user: Option<&str>) -> Route {
    let mut route =
        Route { host: host.to_owned(), path: path.to_owned(), upstream: upstream.to_owned(), ..Route::default() };
    if let Some(claim) = remote_user {
        route.headers.push(("Remote-User".to_owned(), claim.split('@').next().unwrap_or(claim).to_owned()));
    }
    match place {
        Some(place) if !place.access.everyone => {
            // One of them suffices: where every agent may, nothing else counts.
            if !place.access.agents || !place.access.unread.is_empty() {
                route.allow.clone_from(&place.access.blocks);
                route.unread_rules.clone_from(&place.access.unread);
            }
        }
        _ => route.notes.push("httpd asked for no login here; now every agent who has logged in may enter.".to_owned()),
    }
    route
}

/// Makes a location public that asked for no login, under a route that does.
fn open(routes: &mut [Route], place: &Place) {
    if !place.access.everyone {
        return;
    }
    let under = routes.iter_mut().filter(|route| is_under(&route.path, &place.path));
    let nearest = under.max_by_key(|route| route.path.len());
    if let Some(route) = nearest.filter(|route| route.path != place.path) {
        route.public.push(Public { path: place.path.clone(), methods: Vec::new() });
    }
}

/// Paths and the origins that they are passed on to.
fn passed_on(draft: &mut Draft, directives: &[&Directive]) -> Vec<(String, String)> {
    let mut passed = Vec::new();
    for directive in directives {
        match directive.name.as_str() {
            "proxypass" => pass(draft, (directive.argument(0), directive.argument(1)), &mut passed),
            "proxypassmatch" | "rewriterule" => {
                draft.leave_out(&directive.name, "routes take paths, and pass them on as they are");
            }
            "include" | "includeoptional" => draft.leave_out(&directive.name, "was not read: import that file too"),
            "location" => {
                let inner = directive.inner.iter().filter(|inner| inner.name == "proxypass");
                inner.for_each(|inner| pass(draft, (directive.argument(0), inner.argument(0)), &mut passed));
            }
            _ => {}
        }
    }
    passed
}

fn pass(draft: &mut Draft, (from, to): (Option<&str>, Option<&str>), passed: &mut Vec<(String, String)>) {
    let (Some(from), Some(to)) = (from, to) else { return };
    if to == "!" {
        draft.leave_out("ProxyPass", &format!("{from} was kept by httpd (`!`): the application gets it now"));
        return;
    }
    let url = Url::parse(to).ok();
    let (path, origin) = (draft::path(from), url.as_ref().and_then(draft::origin));
    let (Some(path), Some(origin), Some(url)) = (path, origin, url) else {
        let why =
            format!("what {from} was passed on to is neither http nor https, or its path can be read in two ways");
        draft.leave_out("ProxyPass", &why);
        return;
    };
    if draft::path(url.path()).as_deref() != Some(path.as_str()) {
        let why = format!(
            "{from} was passed on as {}; here the application gets the path that the agent asked for",
            url.path()
        );
        draft.leave_out("ProxyPass", &why);
    }
    // httpd takes the first that fits.
    if passed.iter().all(|(known, _)| *known != path) {
        passed.push((path, origin));
    }
}

/// The locations with rules, in the order of the file, and those whose paths cannot be read.
fn places(draft: &mut Draft, directives: &[&Directive], user: &str) -> (Vec<Place>, Vec<String>) {
    let user = user.split('@').next().unwrap_or(user);
    let (mut places, mut unread) = (Vec::new(), Vec::new());
    for section in directives.iter().filter(|section| says_access(section)) {
        let access = require::read(&section.inner, user);
        match location(section) {
            Some(path) => places.push(Place { path, access }),
            None if ["directory", "directorymatch", "files", "filesmatch"].contains(&section.name.as_str()) => {
                draft.leave_out(&section.name, "is about files of httpd, not about what it passes on");
            }
            None if access.everyone => {
                draft.leave_out(&section.name, "what it opens is more than a path: [[route.public]]");
            }
            None => {
                unread.push(format!("<{} {}>, which says more than a path", section.name, section.arguments.join(" ")));
            }
        }
    }
    (places, unread)
}

/// The path of a `<Location>` or `<LocationMatch>`.
fn location(section: &Directive) -> Option<String> {
    let regex = match (section.name.as_str(), section.argument(0)?) {
        ("location", "~") => section.argument(1)?,
        ("location", path) if !path.contains(['*', '?', '[']) => return draft::path(path),
        ("locationmatch", regex) => regex,
        _ => return None,
    };
    match path_regex::read(regex)? {
        Matched::Under(path) => draft::path(&path),
        Matched::Exactly(_) => None,
    }
}

fn says_access(section: &Directive) -> bool {
    section
        .inner
        .iter()
        .any(|inner| inner.name.starts_with("require") || (!inner.inner.is_empty() && says_access(inner)))
}
