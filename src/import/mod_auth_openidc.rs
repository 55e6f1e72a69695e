//! mod_auth_openidc's directives: a provider, and locations behind it that httpd passes on to applications.

use std::collections::BTreeMap;

use url::Url;

use self::site::Site;
use super::ImportError;
use super::apache::{self, Directive};
use super::draft::{Client, Draft, Identity, Server, Session, Store, redis_url, refresh_identity};
use crate::oidc::Hint;

mod require;
mod site;
mod without;

const DISCOVERY: &str = "/.well-known/openid-configuration";
/// What the module does where nobody says otherwise, in seconds.
const IDLE: u64 = 300;
const ABSOLUTE: u64 = 8 * 3600;

/// What the file `text` says.
pub(super) fn draft(text: &str) -> Result<Draft, ImportError> {
    let file = apache::read(text)?;
    let mut settings = Settings::default();
    let mut site = Site::default();
    gather(&file, &mut settings, &mut site);
    let redirect = settings.text("oidcredirecturi");
    let mut draft = Draft {
        client: client(&mut settings, redirect.as_deref()),
        session: session(&mut settings),
        store: store(&mut settings),
        identity: identity(&mut settings),
        ..Draft::default()
    };
    let remote_user = settings.text("oidcremoteuserclaim");
    site.finish(&mut draft, redirect.as_deref(), remote_user.as_deref());
    trust(&mut draft.server, &mut settings);
    draft.left_out.extend(settings.left());
    Ok(draft)
}

/// The directives of the module, wherever they stand; the first of a name counts.
#[derive(Debug, Default)]
struct Settings(BTreeMap<String, Vec<String>>);

impl Settings {
    fn note(&mut self, directive: &Directive) {
        self.0.entry(directive.name.clone()).or_insert_with(|| directive.arguments.clone());
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)?.into_iter().next().filter(|text| !text.is_empty())
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    fn left(self) -> Vec<(String, String)> {
        self.0.into_keys().map(|name| (without::written(&name), without::why(&name).to_owned())).collect()
    }
}

/// Reads sections that only group, and hands each host to `site`.
fn gather<'a>(directives: &'a [Directive], settings: &mut Settings, site: &mut Site<'a>) {
    for directive in directives {
        match directive.name.as_str() {
            "virtualhost" => {
                note_all(&directive.inner, settings);
                site.host(directive);
            }
            "ifmodule" | "ifdefine" | "ifversion" => gather(&directive.inner, settings, site),
            name if name.starts_with("oidc") => settings.note(directive),
            _ => {
                note_all(&directive.inner, settings);
                site.outside(directive);
            }
        }
    }
}

fn note_all(directives: &[Directive], settings: &mut Settings) {
    for directive in directives {
        if directive.name.starts_with("oidc") {
            settings.note(directive);
        }
        note_all(&directive.inner, settings);
    }
}

fn client(settings: &mut Settings, redirect: Option<&str>) -> Client {
    let metadata = settings.text("oidcprovidermetadataurl");
    let from_metadata = metadata.as_deref().and_then(|url| url.strip_suffix(DISCOVERY)).map(str::to_owned);
    let mut client = Client {
        issuer: settings.text("oidcproviderissuer").or(from_metadata),
        client_id: settings.text("oidcclientid"),
        token_endpoint_auth_method: settings
            .text("oidcprovidertokenendpointauth")
            .map_or(Some("client_secret_basic"), |method| {
                ["client_secret_basic", "client_secret_post"].into_iter().find(|known| *known == method)
            }),
        id_token_alg: settings.text("oidcidtokensignedresponsealg").filter(|alg| is_algorithm(alg)),
        userinfo_alg: settings.text("oidcuserinfosignedresponsealg").filter(|alg| is_algorithm(alg)),
        scope: settings
            .text("oidcscope")
            .iter()
            .flat_map(|scope| scope.split_whitespace())
            .map(str::to_owned)
            .collect(),
        redirect_path: redirect.and_then(redirect_path),
        proxy: settings.text("oidcoutgoingproxy").and_then(|proxy| proxy_url(&proxy)),
        ca_file: settings.text("oidccabundlepath"),
        ..Client::default()
    };
    if client.token_endpoint_auth_method.is_none() {
        client
            .notes
            .push("The way the client proves itself has no equivalent: register client_secret_post.".to_owned());
    }
    if settings.text("oidcclientsecret").is_some_and(|secret| secret.starts_with("exec:")) {
        client.notes.push("OIDCClientSecret ran a program: write what it printed into the file below.".to_owned());
    }
    authorization_parameters(&mut client, settings);
    client
}

/// `acr_values` and hints among the parameters that are sent along.
fn authorization_parameters(client: &mut Client, settings: &mut Settings) {
    let Some(parameters) = settings.text("oidcauthrequestparams") else { return };
    for (name, value) in url::form_urlencoded::parse(parameters.as_bytes()) {
        match name.as_ref() {
            "acr_values" => client.acr_values = value.split_whitespace().map(str::to_owned).collect(),
            name => match name.parse::<Hint>() {
                Ok(hint) => client.hints.give(hint, value),
                Err(_) => {
                    client.notes.push(format!("OIDCAuthRequestParams sent `{name}` along, which has no equivalent."));
                }
            },
        }
    }
}

fn is_algorithm(alg: &str) -> bool {
    ["RS256", "ES256", "HS256"].contains(&alg)
}

/// The path of a redirect URI, absolute or on every host.
fn redirect_path(uri: &str) -> Option<String> {
    match Url::parse(uri) {
        Ok(url) => Some(url.path().to_owned()),
        Err(_) => uri.starts_with('/').then(|| uri.to_owned()),
    }
}

/// A proxy without a name and a password, which ours cannot send.
fn proxy_url(text: &str) -> Option<String> {
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&full).ok().filter(|url| url.scheme() == "http")?;
    Some(url.origin().ascii_serialization())
}

fn session(settings: &mut Settings) -> Session {
    let idle = settings.number("oidcsessioninactivitytimeout").unwrap_or(IDLE);
    let absolute = settings.number("oidcsessionmaxduration").unwrap_or(ABSOLUTE);
    let mut notes = Vec::new();
    if idle < 15 * 60 {
        notes.push("Agents who read for longer than `idle` log in again: 60m is the default here.".to_owned());
    }
    if absolute == 0 {
        notes.push("OIDCSessionMaxDuration was the life of the ID token: 12 hours here.".to_owned());
    }
    // Behind the number may stand what becomes of a session that cannot be refreshed: `logout_on_error`.
    let refresh_identity = refresh_identity(settings.number("oidcuserinforefreshinterval"), &mut notes);
    Session { idle: Some(idle), absolute: (absolute > 0).then_some(absolute), refresh_identity, notes }
}

fn store(settings: &mut Settings) -> Option<Store> {
    let is_redis = settings.text("oidccachetype").as_deref() == Some("redis");
    let server = settings.text("oidcrediscacheserver");
    let password = settings.text("oidcrediscachepassword").is_some();
    let user = settings.text("oidcrediscacheusername");
    let database = settings.number("oidcrediscachedatabase");
    let (mut url, had_password) = redis_url(&server.filter(|_| is_redis)?)?;
    if let Some(database) = database {
        url = format!("{}/{database}", url.trim_end_matches('/'));
    }
    let store =
        Store { urls: vec![url], mode: "single", user, has_password: password || had_password, ..Store::default() };
    Some(store)
}

fn identity(settings: &mut Settings) -> Identity {
    let prefix = settings.text("oidcclaimprefix").unwrap_or_else(|| "OIDC_CLAIM_".to_owned());
    let encoding = settings.0.remove("oidcpassclaimsas").and_then(|words| words.into_iter().nth(1));
    let header_prefix = format!("{}-", prefix.replace('_', "-").trim_end_matches('-'));
    let fits = header_prefix.parse::<crate::identity::HeaderPrefix>().is_ok();
    let said = "Applications that read HTTP_OIDC_CLAIM_email read HTTP_OIDC_CLAIM_EMAIL now: `_` in a name of a header is \
                too easily forged, so that it is written with `-`. Environment variables become headers.";
    Identity {
        header_prefix: fits.then_some(header_prefix),
        encoding: match encoding.as_deref() {
            Some("base64url") => Some("base64url"),
            Some("latin1") => Some("latin1"),
            _ => Some("utf8"),
        },
        notes: vec![said.to_owned()],
    }
}

fn trust(server: &mut Server, settings: &mut Settings) {
    if settings.0.remove("oidcxforwardedheaders").is_some_and(|headers| !headers.iter().all(|header| header == "none"))
    {
        server
            .notes
            .push("OIDCXForwardedHeaders believed every client: name the proxies in trusted_proxies.".to_owned());
    }
}
