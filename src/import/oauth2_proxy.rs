//! oauth2-proxy's configuration file: one host, one provider, upstreams by path.

use std::net::SocketAddr;

use url::Url;

use self::options::Options;
use super::ImportError;
use super::draft::{
    self, Block, Client, Draft, Identity, Public, Route, SOME_HOST, Server, Session, Store, is_under, redis_url,
    refresh_identity,
};
use super::path_regex::{self, Matched};
use crate::oidc::Hint;

mod options;

/// Where oauth2-proxy listens, and for how long its cookie is good, where nobody says otherwise.
const ADDRESS: &str = "127.0.0.1:4180";
const TLS_ADDRESS: &str = ":443";
const COOKIE_EXPIRE: u64 = 168 * 3600;

/// What the file `text` says.
pub(super) fn draft(text: &str) -> Result<Draft, ImportError> {
    let mut options = Options::read(text)?;
    let redirect_url = options.text("redirect_url");
    let redirect = redirect_url.as_deref().and_then(|url| Url::parse(url).ok());
    let mut draft = Draft {
        server: server(&mut options, redirect.as_ref()),
        client: client(&mut options, redirect.as_ref()),
        session: session(&mut options),
        store: store(&mut options),
        identity: identity(&mut options),
        ..Draft::default()
    };
    routes(&mut draft, &mut options, redirect.as_ref());
    draft.left_out.extend(options.left());
    Ok(draft)
}

fn server(options: &mut Options, redirect: Option<&Url>) -> Server {
    let mut server =
        Server { admin: options.text("metrics_address").and_then(|text| address(&text)), ..Server::default() };
    let files =
        [["tls_cert_file", "tls_key_file"], ["tls_cert", "tls_key"]].map(|names| names.map(|name| options.text(name)));
    server.certificates = files.into_iter().filter_map(|[cert, key]| Some((cert?, key?))).collect();
    let (clear, over_tls) = (options.text("http_address"), options.text("https_address"));
    let with_tls = !server.certificates.is_empty();
    let clear = clear.or_else(|| (!with_tls).then(|| ADDRESS.to_owned()));
    let over_tls = with_tls.then(|| over_tls.unwrap_or_else(|| TLS_ADDRESS.to_owned()));
    let written = clear.map(|text| (text, false)).into_iter().chain(over_tls.map(|text| (text, true)));
    for (text, tls) in written.filter(|(text, _)| text != "-") {
        match address(&text) {
            Some(address) => server.listeners.push((address, tls)),
            None => server.notes.push(format!("An address to listen on could not be read: {text}")),
        }
    }
    let is_loopback = |(address, tls): &(String, bool)| {
        !tls && address.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
    };
    let is_clear = redirect.is_some_and(|url| url.scheme() == "http");
    server.clear = is_clear && !server.listeners.is_empty() && server.listeners.iter().all(is_loopback);
    if is_clear && !server.clear {
        server
            .notes
            .push("redirect_url is http: agents must see https here, except for trials on loopback.".to_owned());
    }
    server.trusted_proxies = options.list("trusted_proxy_ips");
    if options.flag("reverse_proxy") == Some(true) && server.trusted_proxies.is_empty() {
        let said = "reverse_proxy believes every client's X-Forwarded-*; here, name the proxies in trusted_proxies.";
        server.notes.push(said.to_owned());
    }
    server
}

/// An address as ours are written.
fn address(text: &str) -> Option<String> {
    let bare = text.trim_start_matches("http://").trim_start_matches("https://");
    if let Some(path) = bare.strip_prefix("unix:") {
        let path = path.split(',').next()?.trim_start_matches('/');
        return Some(format!("unix:/{path}"));
    }
    // Sockets have names in systemd; ours is that of systemd/portillon.socket.
    if bare.starts_with("fd:") {
        return Some("fd:https".to_owned());
    }
    let (host, port) = bare.rsplit_once(':')?;
    let host = match host {
        "" => "0.0.0.0",
        "localhost" => "127.0.0.1",
        host => host,
    };
    format!("{host}:{port}").parse::<SocketAddr>().ok().map(|address| address.to_string())
}

fn client(options: &mut Options, redirect: Option<&Url>) -> Client {
    let issuer = options.text("oidc_issuer_url");
    let prefix = options.text("proxy_prefix").unwrap_or_else(|| "/oauth2".to_owned());
    let mut client = Client {
        client_id: options.text("client_id"),
        secret_file: options.text("client_secret_file"),
        scope: options.text("scope").iter().flat_map(|scope| scope.split_whitespace()).map(str::to_owned).collect(),
        acr_values: options
            .text("acr_values")
            .iter()
            .flat_map(|acr| acr.split_whitespace())
            .map(str::to_owned)
            .collect(),
        id_token_alg: options.list("oidc_enabled_signing_algs").into_iter().find(|alg| is_algorithm(alg)),
        redirect_path: Some(redirect.map_or_else(|| format!("{prefix}/callback"), |url| url.path().to_owned())),
        ..Client::default()
    };
    options.holds("client_secret");
    if let Some(prompt) = options.text("prompt") {
        client.hints.give(Hint::Prompt, prompt);
    }
    if issuer.is_none() && options.text("provider").is_none_or(|provider| provider == "google") {
        client.issuer = Some("https://accounts.google.com".to_owned());
    } else {
        client.issuer = issuer;
    }
    let certificates = options.list("provider_ca_files");
    if certificates.len() > 1 {
        client.notes.push("There were several provider_ca_files: put them into one file.".to_owned());
    }
    client.ca_file = certificates.into_iter().next();
    client
}

fn is_algorithm(alg: &str) -> bool {
    ["RS256", "ES256", "HS256"].contains(&alg)
}

fn session(options: &mut Options) -> Session {
    let absolute = options.text("cookie_expire").map_or(Some(COOKIE_EXPIRE), |text| go_duration(&text));
    let mut notes =
        vec!["oauth2-proxy knows no idle limit: 60 minutes without a request end a session here.".to_owned()];
    if absolute.is_none() {
        notes.push("cookie_expire was without a limit, or could not be read: 12 hours here.".to_owned());
    } else if absolute > Some(12 * 3600) {
        notes.push("AgentConnect's own session lasts 12 hours; a longer one here outlives it.".to_owned());
    }
    let refresh = options.text("cookie_refresh").and_then(|text| go_duration(&text));
    let refresh_identity = refresh_identity(refresh, &mut notes);
    Session { idle: None, absolute, refresh_identity, notes }
}

/// Seconds of a duration as Go writes it, such as `168h0m0s`; none where it is zero, or no duration.
fn go_duration(text: &str) -> Option<u64> {
    let mut seconds = 0_u64;
    let mut number = String::new();
    for character in text.chars() {
        let unit = match character {
            digit if digit.is_ascii_digit() => {
                number.push(digit);
                continue;
            }
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    (number.is_empty() && seconds > 0).then_some(seconds)
}

fn store(options: &mut Options) -> Option<Store> {
    let single = options.text("redis_connection_url");
    let (sentinels, nodes) =
        (options.list("redis_sentinel_connection_urls"), options.list("redis_cluster_connection_urls"));
    let (by_sentinel, cluster) = (options.flag("redis_use_sentinel"), options.flag("redis_use_cluster"));
    let password = options.holds("redis_password");
    let mut store = Store {
        user: options.text("redis_username"),
        master: options.text("redis_sentinel_master_name"),
        ca_file: options.text("redis_ca_path"),
        ..Store::default()
    };
    if options.text("session_store_type").as_deref() != Some("redis") {
        return None;
    }
    let (mode, written) = match (by_sentinel, cluster) {
        (Some(true), _) => ("sentinel", sentinels),
        (_, Some(true)) => ("cluster", nodes),
        _ => ("single", single.into_iter().collect()),
    };
    let read: Vec<(String, bool)> = written.iter().filter_map(|url| redis_url(url)).collect();
    store.has_password = password || read.iter().any(|(_, had)| *had);
    store.urls = read.into_iter().map(|(url, _)| url).collect();
    store.mode = mode;
    store.master = store.master.filter(|_| mode == "sentinel");
    (!store.urls.is_empty()).then_some(store)
}

fn identity(options: &mut Options) -> Identity {
    let wanted = options.flag("pass_user_headers") != Some(false);
    let basic = options.flag("pass_basic_auth");
    options.holds("prefer_email_to_user");
    let mut notes = Vec::new();
    if wanted || basic == Some(true) {
        notes.push(
            "Applications read X-Agent-Sub for X-Forwarded-User, X-Agent-Email for X-Forwarded-Email and X-Agent-Groups \
             for X-Forwarded-Groups: names under X-Forwarded- are the proxies'. `headers` of a route gives others."
                .to_owned(),
        );
    }
    Identity { notes, ..Identity::default() }
}

fn routes(draft: &mut Draft, options: &mut Options, redirect: Option<&Url>) {
    let model = Route {
        host: redirect.and_then(draft::authority).unwrap_or_else(|| SOME_HOST.to_owned()),
        silence_timeout: options.text("upstream_timeout").and_then(|text| go_duration(&text)),
        ..with_rules(options)
    };
    for written in options.list("upstreams") {
        match upstream(&written, &model) {
            Ok(route) if draft.routes.iter().all(|other| other.path != route.path) => draft.routes.push(route),
            Ok(route) => draft.leave_out("upstreams", &format!("a second one for the path {}", route.path)),
            Err(why) => draft.leave_out("upstreams", why),
        }
    }
    let mut open = options.list("skip_auth_routes");
    open.extend(options.list("skip_auth_regex"));
    for written in &open {
        public(draft, written);
    }
    if options.flag("skip_auth_preflight") == Some(true) {
        for route in &mut draft.routes {
            route.public.push(Public { path: route.path.clone(), methods: vec!["OPTIONS".to_owned()] });
        }
    }
}

/// Files and fixed answers are a web server's to give.
fn upstream(written: &str, model: &Route) -> Result<Route, &'static str> {
    let url = Url::parse(written).map_err(|_| "one of them is no URL")?;
    let upstream = draft::origin(&url).ok_or("one of them is neither http nor https: a web server serves files")?;
    let path = draft::path(url.path()).ok_or("one of them has a path that could be read in two ways")?;
    Ok(Route { path, upstream, ..model.clone() })
}

/// Whoever has an e-mail that is listed or in a domain that is, and one of the groups.
fn with_rules(options: &mut Options) -> Route {
    let mut route = Route::default();
    let domains = options.list("email_domains").into_iter().chain(options.list("email_domain")).collect::<Vec<_>>();
    let emails = options.text("authenticated_emails_file");
    let conditions: Block = [("allowed_groups", "groups"), ("allowed_roles", "roles")]
        .into_iter()
        .map(|(option, claim)| (claim.to_owned(), options.list(option)))
        .filter(|(_, values)| !values.is_empty())
        .collect();
    if domains.iter().any(|domain| domain == "*") {
        route.allow.extend((!conditions.is_empty()).then_some(conditions));
        return route;
    }
    let (domains, odd): (Vec<String>, Vec<String>) = domains.into_iter().partition(|domain| is_domain(domain));
    if !odd.is_empty() {
        route.unread_rules.push(format!("email_domains, {}", odd.join(", ")));
    }
    if let Some(file) = emails {
        let said = format!("authenticated_emails_file. A block of its own reads it: email = {{ file = \"{file}\" }}");
        route.unread_rules.push(said);
    }
    if !domains.is_empty() {
        let domain = ("email_domain".to_owned(), domains);
        route.allow.push(std::iter::once(domain).chain(conditions).collect());
    } else if !conditions.is_empty() {
        route.unread_rules.push("allowed_groups and allowed_roles, which held together with those".to_owned());
    }
    route
}

/// A domain, or with a dot in front everything below it.
fn is_domain(text: &str) -> bool {
    let bare = text.strip_prefix('.').unwrap_or(text);
    bare.contains('.') && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
}

/// `METHOD=REGEX`, or `REGEX` for every method; `!=` is for all paths but those.
fn public(draft: &mut Draft, written: &str) {
    let is_method = |text: &&str| text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'!');
    let (method, regex) = match written.split_once('=').filter(|(method, _)| is_method(method)) {
        Some((method, regex)) => (method, regex),
        None => ("", written),
    };
    let negated = method.ends_with('!');
    let methods = if method.is_empty() { Vec::new() } else { vec![method.to_ascii_uppercase()] };
    match path_regex::read(regex).filter(|_| !negated) {
        Some(Matched::Under(path)) => open(draft, written, Public { path, methods }),
        Some(Matched::Exactly(path)) => {
            let why = format!("{written} opened {path} alone; [[route.public]] would open what is under it, too");
            draft.leave_out("skip_auth_routes", &why);
        }
        None => draft
            .leave_out("skip_auth_routes", &format!("{written} says more than a path: [[route.public]] takes paths")),
    }
}

fn open(draft: &mut Draft, written: &str, rule: Public) {
    let is_path = rule.path.parse::<crate::route::PathPrefix>().is_ok();
    let under = draft.routes.iter_mut().filter(|route| is_path && is_under(&route.path, &rule.path));
    match under.max_by_key(|route| route.path.len()) {
        Some(route) if route.public.contains(&rule) => {}
        Some(route) => route.public.push(rule),
        None => draft.leave_out("skip_auth_routes", &format!("{written} is under no upstream")),
    }
}
