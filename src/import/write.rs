//! A draft as `portillon.toml`.

use toml::Value;

use super::Product;
use super::draft::{Block, Client, Draft, Identity, Public, Route, SOME_HOST, Server, Session, Store};
use crate::oidc::{Environment, Preset};

const ENVIRONMENTS: [(&str, Environment); 4] = [
    ("integration", Environment::Integration),
    ("integration-rie", Environment::IntegrationRie),
    ("production", Environment::Production),
    ("production-rie", Environment::ProductionRie),
];
const EVERY_METHOD: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// A line of comment is not longer.
const WIDTH: usize = 100;

/// The text of a configuration that says what `draft` says.
pub(super) fn written(draft: &Draft, product: Product) -> String {
    let mut text = Text::default();
    text.note(&format!("Made by `portillon import {product}`: read it, then run `portillon check` on it."));
    text.note("Secrets were not copied: each file named below holds one, mode 0600, owned by the gateway's user.");
    if !draft.left_out.is_empty() {
        text.note("");
        text.note("What has no equivalent here:");
        for (option, why) in &draft.left_out {
            text.note(&format!("- {option}: {why}"));
        }
    }
    server(&mut text, &draft.server);
    client(&mut text, &draft.client);
    session(&mut text, &draft.session);
    draft.store.iter().for_each(|found| store(&mut text, found));
    identity(&mut text, &draft.identity);
    routes(&mut text, &draft.routes);
    text.0
}

#[derive(Debug, Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        self.0 += line;
        self.0.push('\n');
    }

    fn table(&mut self, header: &str) {
        self.line("");
        self.line(header);
    }

    /// A comment, whose text may come from anywhere: nothing in it ends the line.
    fn note(&mut self, text: &str) {
        let mut line = "#".to_owned();
        for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
            if line.len() + word.len() > WIDTH {
                self.line(&std::mem::replace(&mut line, "#".to_owned()));
            }
            line.push(' ');
            line += word;
        }
        self.line(&line);
    }

    fn notes(&mut self, notes: &[String]) {
        notes.iter().for_each(|note| self.note(note));
    }

    fn key(&mut self, key: &str, value: impl Into<Value>) {
        self.line(&format!("{key} = {}", value.into()));
    }

    fn key_if(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.key(key, value);
        }
    }

    fn list_if(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            self.key(key, values.to_vec());
        }
    }

    fn secret(&mut self, key: &str, file: &str) {
        self.line(&format!("{key} = {{ file = {} }}", Value::from(file)));
    }
}

fn server(text: &mut Text, server: &Server) {
    let with_tls = !server.certificates.is_empty();
    text.table("[server]");
    text.notes(&server.notes);
    let plain: Vec<String> =
        server.listeners.iter().filter(|(_, tls)| *tls == with_tls).map(|(a, _)| a.clone()).collect();
    text.list_if("listen", &plain);
    if server.clear {
        text.key("external_scheme", "http");
    }
    text.list_if("trusted_proxies", &server.trusted_proxies);
    for (address, tls) in server.listeners.iter().filter(|(_, tls)| *tls != with_tls) {
        text.table("[[server.listener]]");
        text.key("address", address.as_str());
        text.key("tls", *tls);
    }
    if with_tls {
        let pair = |(cert, key): &(String, String)| {
            format!("{{ cert = {}, key = {} }}", Value::from(cert.as_str()), Value::from(key.as_str()))
        };
        text.table("[server.tls]");
        text.line(&format!("certificates = [{}]", server.certificates.iter().map(pair).collect::<Vec<_>>().join(", ")));
    }
    if let Some(admin) = &server.admin {
        text.table("[admin]");
        text.key("listen", vec![admin.clone()]);
    }
}

fn client(text: &mut Text, client: &Client) {
    text.table("[provider]");
    text.notes(&client.notes);
    let known = ENVIRONMENTS.iter().find(|(_, environment)| environment.issuer() == client.issuer());
    match known {
        Some((name, _)) => {
            text.key("preset", "agentconnect");
            text.key("environment", *name);
        }
        None => {
            if client.issuer.is_none() {
                text.note("No issuer was found: write the one that the provider's metadata says.");
            }
            text.key("preset", "openid");
            text.key("issuer", client.issuer());
        }
    }
    if client.client_id.is_none() {
        text.note("No client_id was found: write the one that is registered.");
    }
    text.key("client_id", client.client_id.as_deref().unwrap_or("to-be-written"));
    text.secret("client_secret", client.secret_file.as_deref().unwrap_or("client_secret"));
    text.key_if("token_endpoint_auth_method", client.token_endpoint_auth_method);
    text.key_if("id_token_signed_response_alg", client.id_token_alg.as_deref());
    // Whoever names no algorithm at another provider gets plain JSON (OpenID Connect Registration 1.0 section 2).
    let plain = known.is_none().then_some("none");
    text.key_if("userinfo_signed_response_alg", client.userinfo_alg.as_deref().or(plain));
    text.list_if("scope", &with_openid(&client.scope));
    text.list_if("acr_values", &client.acr_values);
    let preset = if known.is_some() { Preset::AgentConnect } else { Preset::OpenId };
    for (hint, value) in client.hints.iter() {
        match hint.check(value, preset) {
            Ok(()) => text.key(hint.as_str(), value),
            Err(form) => {
                text.note(&format!("`{}` was {value:?}, which has no equivalent: it is {form}.", hint.as_str()));
            }
        }
    }
    if let Some(path) = &client.redirect_path {
        text.note("As registered already. The post-logout URI is one to register: `portillon check` prints it.");
        text.key("redirect_path", path.as_str());
    }
    text.key_if("proxy", client.proxy.as_deref());
    text.key_if("ca_file", client.ca_file.as_deref());
}

fn with_openid(scope: &[String]) -> Vec<String> {
    let missing = !scope.is_empty() && !scope.iter().any(|scope| scope == "openid");
    missing.then(|| "openid".to_owned()).into_iter().chain(scope.iter().cloned()).collect()
}

fn session(text: &mut Text, session: &Session) {
    text.table("[session]");
    text.notes(&session.notes);
    text.key_if("idle", session.idle.map(duration));
    text.key_if("absolute", session.absolute.map(duration));
    text.key_if("refresh_identity", session.refresh_identity.map(duration));
}

/// Seconds as ours are written: at least one, at most a year.
fn duration(seconds: u64) -> String {
    let seconds = seconds.clamp(1, 365 * 24 * 3600);
    let parts = [(seconds / 3600, "h"), (seconds % 3600 / 60, "m"), (seconds % 60, "s")];
    parts.into_iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number}{unit}")).collect()
}

fn store(text: &mut Text, store: &Store) {
    text.table("[store]");
    text.note("Sessions are sealed in cookies here; the Redis keeps those that have ended.");
    text.key("kind", "redis");
    match store.urls.as_slice() {
        [url] => text.key("url", url.as_str()),
        urls => text.key("url", urls.to_vec()),
    }
    text.key("mode", store.mode);
    text.key_if("master", store.master.as_deref());
    text.key_if("user", store.user.as_deref());
    if store.has_password {
        text.secret("password", "redis_password");
    }
    text.key_if("ca_file", store.ca_file.as_deref());
}

fn identity(text: &mut Text, identity: &Identity) {
    text.table("[identity]");
    text.notes(&identity.notes);
    text.key_if("header_prefix", identity.header_prefix.as_deref());
    text.key_if("encoding", identity.encoding);
}

fn routes(text: &mut Text, routes: &[Route]) {
    if routes.is_empty() {
        text.note("No application was found: a route has a name, a host and an upstream.");
    }
    let mut taken = Vec::new();
    for found in routes {
        let name = name(found, &taken);
        route(text, &name, found);
        taken.push(name);
    }
}

fn route(text: &mut Text, name: &str, route: &Route) {
    text.table("[[route]]");
    text.notes(&route.notes);
    text.key("name", name);
    if route.host == SOME_HOST {
        text.note("The host was not found: write the one that agents see.");
    }
    text.key("host", route.host.as_str());
    text.key("path", route.path.as_str());
    text.key("upstream", route.upstream.as_str());
    text.key_if("silence_timeout", route.silence_timeout.map(duration));
    if !route.headers.is_empty() {
        let pair = |(name, claim): &(String, String)| {
            format!("{} = {}", Value::from(name.as_str()), Value::from(claim.as_str()))
        };
        text.line(&format!("headers = {{ {} }}", route.headers.iter().map(pair).collect::<Vec<_>>().join(", ")));
    }
    route.public.iter().for_each(|rule| public(text, rule));
    rules(text, route);
}

fn public(text: &mut Text, rule: &Public) {
    text.table("  [[route.public]]");
    text.key("  path", rule.path.as_str());
    let every = || EVERY_METHOD.map(str::to_owned).to_vec();
    text.key("  methods", if rule.methods.is_empty() { every() } else { rule.methods.clone() });
}

fn rules(text: &mut Text, route: &Route) {
    for rule in &route.unread_rules {
        text.line("");
        text.note(&format!("Not translated: {rule}"));
    }
    if route.allow.is_empty() && !route.unread_rules.is_empty() {
        text.note("So nobody is admitted yet: write the rule, or take this block away to admit every agent.");
        block(text, &vec![("sub".to_owned(), vec!["nobody".to_owned()])]);
    }
    route.allow.iter().for_each(|conditions| block(text, conditions));
}

fn block(text: &mut Text, conditions: &Block) {
    text.table("  [[route.allow]]");
    for (claim, values) in conditions {
        text.key(&format!("  {}", key(claim)), values.clone());
    }
}

/// A key that is bare where it can be.
fn key(text: &str) -> String {
    let bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if bare { text.to_owned() } else { Value::from(text).to_string() }
}

/// The first label of the host and the segments of the path, and a number where that is taken.
fn name(route: &Route, taken: &[String]) -> String {
    let label = route.host.split(['.', ':']).next().unwrap_or_default();
    let words = std::iter::once(label).chain(route.path.split('/')).filter(|word| !word.is_empty());
    let plain =
        |word: &str| word.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect::<String>();
    let mut name = words.map(plain).filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
    name.truncate(60);
    if name.is_empty() {
        "application".clone_into(&mut name);
    }
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or(name)
}
