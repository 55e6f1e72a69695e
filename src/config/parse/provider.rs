//! `[provider]`, and each of `[providers.NAME]`

use rustls::pki_types::CertificateDer;
use url::{Host, Url};

use super::asks;
use super::path;
use super::providers::table;
use crate::config::ProviderLogouts;
use crate::config::diagnostic::Diagnostic;
use crate::config::raw::{Item, Section};
use crate::config::source::Place;
use crate::config::surroundings::Surroundings;
use crate::config::vocabulary::Vocabulary;
use crate::oidc::{Environment, Preset, Settings, SignatureAlgorithm, TokenEndpointAuthMethod};
use crate::route::Authority;
use crate::secret::Secret;

/// What AgentConnect grants to every client.
const AGENTCONNECT_SCOPE: [&str; 7] = ["openid", "given_name", "usual_name", "email", "uid", "siret", "idp_id"];

/// What stands under the prefix.
const ENDPOINTS: [&str; 10] = [
    "backchannel-logout",
    "callback",
    "form",
    "frontchannel-logout",
    "hand-off",
    "jwks.json",
    "login",
    "logout",
    "me",
    "signed-out",
];

pub(super) struct Provider {
    /// As routes call it.
    pub(super) name: String,
    /// Where its table stands.
    pub(super) place: Place,
    pub(super) vocabulary: Vocabulary,
    /// The one host where agents log in, where they do not at each.
    pub(super) login_host: Option<Authority>,
    pub(super) redirect_path: String,
    pub(super) post_logout_redirect_path: String,
    pub(super) logouts: ProviderLogouts,
    /// What its logins ask for, where routes do not say otherwise.
    pub(super) asks: asks::Written,
    /// Where it is written that real agents log in; none at an integration environment or another provider.
    pub(super) production: Option<Place>,
    client: Client,
}

struct Client {
    issuer: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Secret<String>>,
    token_endpoint_auth_method: TokenEndpointAuthMethod,
    id_token_signed_response_alg: SignatureAlgorithm,
    userinfo_signed_response_alg: Option<SignatureAlgorithm>,
    acr_values: Vec<String>,
    proxy: Option<Url>,
    ca: Vec<CertificateDer<'static>>,
}

/// The provider called `name` that `section` holds; `prefix` is the gateway's own on every host.
pub(super) fn read(section: &Section<'_>, name: &str, prefix: &str, surroundings: &Surroundings) -> Provider {
    section.refuse_unknown_keys();
    let vocabulary = vocabulary(section, name);
    let (issuer, production) = issuer(section, vocabulary.preset);
    let client = client(section, issuer, &vocabulary, surroundings);
    let (redirect_path, post_logout_redirect_path) = own_paths(section, prefix);
    let asks = asks::Written::read(section, vocabulary.preset);
    let flag = |key| section.item(key).and_then(|item| item.flag()).unwrap_or(false);
    Provider {
        name: name.to_owned(),
        place: section.place(),
        vocabulary,
        login_host: None,
        redirect_path,
        post_logout_redirect_path,
        logouts: ProviderLogouts {
            back_channel: flag("backchannel_logout"),
            front_channel: flag("frontchannel_logout"),
        },
        asks,
        production,
        client,
    }
}

impl Provider {
    /// The settings of the client, which needs `required` claims and well-formed `denied` ones; none where an error was
    /// told.
    pub(super) fn settings(&self, required: Vec<String>, denied: Vec<String>) -> Option<Settings> {
        let client = &self.client;
        Some(Settings {
            name: self.name.clone(),
            preset: self.vocabulary.preset,
            issuer: client.issuer.clone()?,
            client_id: client.client_id.clone()?,
            client_secret: client.client_secret.clone()?,
            token_endpoint_auth_method: client.token_endpoint_auth_method,
            id_token_signed_response_alg: client.id_token_signed_response_alg,
            userinfo_signed_response_alg: client.userinfo_signed_response_alg,
            scope: self.vocabulary.scope.clone(),
            acr_values: client.acr_values.clone(),
            required,
            denied,
            proxy: client.proxy.clone(),
            ca: client.ca.clone(),
        })
    }

    /// Real agents are sent to real hosts.
    pub(super) fn check_host(&self, item: &Item<'_>, authority: &Authority) {
        if let Some(production) = self.production.as_ref().filter(|_| authority.is_loopback()) {
            let local = item.error(format!("`{authority}` cannot be a host in production"));
            item.report(local.also(production, "").help("use the integration environment for trials on one machine"));
        }
    }
}

fn client(
    section: &Section<'_>,
    issuer: Option<String>,
    vocabulary: &Vocabulary,
    surroundings: &Surroundings,
) -> Client {
    let (id, secret) = if section.is_written() {
        (section.required("client_id"), section.required("client_secret"))
    } else {
        (None, None)
    };
    Client {
        issuer,
        client_id: id.and_then(|item| item.filled()).map(str::to_owned),
        client_secret: secret.and_then(|item| surroundings.text_secret(&item)),
        token_endpoint_auth_method: section
            .parsed("token_endpoint_auth_method")
            .unwrap_or(TokenEndpointAuthMethod::ClientSecretPost),
        id_token_signed_response_alg: section
            .parsed("id_token_signed_response_alg")
            .unwrap_or(SignatureAlgorithm::Rs256),
        userinfo_signed_response_alg: userinfo_alg(section),
        acr_values: acr_values(section, vocabulary),
        proxy: section.item("proxy").and_then(|item| item.read(parse_proxy)),
        ca: section.item("ca_file").and_then(|item| surroundings.authorities(&item)).unwrap_or_default(),
    }
}

/// Registered without an algorithm, the answer is plain JSON; a JWT with `alg` `none` is always refused.
fn userinfo_alg(section: &Section<'_>) -> Option<SignatureAlgorithm> {
    match section.item("userinfo_signed_response_alg") {
        Some(item) if item.text() == Some("none") => None,
        Some(item) => item.text().and_then(|_| item.read(str::parse)),
        None => Some(SignatureAlgorithm::Rs256),
    }
}

fn vocabulary(section: &Section<'_>, name: &str) -> Vocabulary {
    let item = section.item("scope");
    let preset = section.parsed("preset").unwrap_or(Preset::AgentConnect);
    let scope = match preset {
        Preset::AgentConnect => AGENTCONNECT_SCOPE.map(str::to_owned).to_vec(),
        Preset::OpenId => vec!["openid".to_owned()],
    };
    let by_default = Vocabulary { table: table(name), preset, scope, scope_place: item.map(|item| item.place()) };
    match item {
        Some(item) => Vocabulary { scope: scope_of(&item, &by_default), ..by_default },
        None => by_default,
    }
}

fn scope_of(item: &Item<'_>, vocabulary: &Vocabulary) -> Vec<String> {
    let elements = item.elements();
    let scope: Vec<String> = elements.iter().filter_map(|element| one_scope(element, vocabulary)).collect();
    if scope.len() == elements.len() && !scope.iter().any(|scope| scope == "openid") {
        item.report(item.error("`scope` lacks \"openid\"").help("without it there is no login (OpenID Connect)"));
    }
    scope
}

/// A scope token (RFC 6749 section 3.3).
fn one_scope(item: &Item<'_>, vocabulary: &Vocabulary) -> Option<String> {
    let text = item.filled()?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\') {
        item.report(item.error(format!("`{text}` is not one scope")).help("write each scope as an element of its own"));
        return None;
    }
    vocabulary.check_scope(text, &item.place(), item.section_report());
    Some(text.to_owned())
}

fn acr_values(section: &Section<'_>, vocabulary: &Vocabulary) -> Vec<String> {
    let elements: Vec<Item<'_>> = section.item("acr_values").iter().flat_map(Item::elements).collect();
    let levels = elements.iter().filter_map(|element| {
        let acr = element.filled()?;
        vocabulary.check_level(acr, &element.place(), section.report());
        Some(acr.to_owned())
    });
    levels.collect()
}

/// The issuer, and where it is written that real agents log in there.
fn issuer(section: &Section<'_>, preset: Preset) -> (Option<String>, Option<Place>) {
    match (section.item("environment"), section.item("issuer")) {
        (None, None) => {
            let (title, help) = if section.is_written() {
                let missing = format!("`environment` is missing from {}", section.kind_name());
                (missing, "environment = \"integration\", or issuer = \"https://…\"")
            } else {
                ("[provider] is missing".to_owned(), "it holds environment, client_id and client_secret")
            };
            section.report().push(Diagnostic::error(&section.place(), title).help(help));
            (None, None)
        }
        (Some(environment), None) => environment_issuer(&environment, preset),
        (None, Some(issuer)) => {
            let url = issuer.read(parse_issuer);
            let production = url.as_deref().is_some_and(is_production);
            (url, production.then(|| issuer.place()))
        }
        (Some(environment), Some(issuer)) => {
            let both = issuer.error("`issuer` and `environment` name two providers");
            issuer.report(both.also(&environment.key_place(), "").help("keep one of them"));
            (None, None)
        }
    }
}

fn environment_issuer(item: &Item<'_>, preset: Preset) -> (Option<String>, Option<Place>) {
    if preset == Preset::OpenId {
        let foreign = Diagnostic::error(&item.key_place(), "environments are those of AgentConnect");
        item.report(foreign.help("with preset \"openid\", name the provider by its `issuer`"));
        return (None, None);
    }
    let environment: Option<Environment> = item.read(str::parse);
    let production = environment.is_some_and(Environment::is_production).then(|| item.place());
    (environment.map(|environment| environment.issuer().to_owned()), production)
}

fn is_production(issuer: &str) -> bool {
    [Environment::Production, Environment::ProductionRie].iter().any(|production| production.issuer() == issuer)
}

/// An issuer identifier (OpenID Connect Discovery 1.0 section 3), kept as it is written: it is compared byte for byte.
fn parse_issuer(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text).map_err(|_| "a URL, exactly as the provider's metadata says it")?;
    let bare =
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    match url.scheme() {
        _ if !bare => Err("an issuer has no query, no fragment and no user name"),
        "https" => Ok(text.to_owned()),
        "http" if is_loopback(&url) => Ok(text.to_owned()),
        _ => Err("https, or http on loopback"),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn parse_proxy(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "a URL, such as \"http://proxy.example:3128\"")?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    match url.scheme() {
        _ if !url.username().is_empty() || url.password().is_some() => {
            Err("a proxy that wants a password is not available in this version")
        }
        "http" if bare && url.has_host() => Ok(url),
        _ => Err("http, a host and a port, and nothing more"),
    }
}

fn own_paths(section: &Section<'_>, prefix: &str) -> (String, String) {
    let path = |key, default: &str| {
        let item = section.item(key);
        let path = item.and_then(|item| item.read(path::own)).unwrap_or_else(|| format!("{prefix}{default}"));
        if let Some(item) = item.filter(|_| is_another_endpoint(&path, prefix, default)) {
            item.report(item.error(format!("`{path}` is another of the gateway's own pages")));
        }
        path
    };
    let (redirect, post_logout) = (path("redirect_path", "callback"), path("post_logout_redirect_path", "signed-out"));
    if let Some(item) = section.item("post_logout_redirect_path").filter(|_| redirect == post_logout) {
        item.report(item.error(format!("`{post_logout}` is redirect_path too: a logout would end as a failed login")));
    }
    (redirect, post_logout)
}

fn is_another_endpoint(path: &str, prefix: &str, own: &str) -> bool {
    let name = path.strip_prefix(prefix);
    name.is_some_and(|name| name != own && ENDPOINTS.contains(&name))
}
