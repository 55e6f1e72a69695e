//! The options of a file of oauth2-proxy, each taken once; what is left has no equivalent.

use toml::{Table, Value};

use crate::import::ImportError;

/// What to know of options without an equivalent.
const WITHOUT: [(&str, &str); 30] = [
    ("api_routes", "whether a page or a 401 answers is seen from the request itself"),
    ("backend_logout_url", "a logout ends the agent's session at the provider too, as its metadata says"),
    ("basic_auth_password", "applications are not given a password; they verify X-Agent-Assertion or the signature"),
    ("banner", "pages are replaced with [server] pages_dir"),
    ("code_challenge_method", "PKCE with S256 is always used"),
    ("cookie_csrf_per_request", "each login has a cookie of its own, always"),
    ("cookie_domains", "a session is for one host; [login] host gives one login for many"),
    ("cookie_domain", "a session is for one host; [login] host gives one login for many"),
    ("cookie_httponly", "always"),
    ("cookie_name", "cookies have names of their own, with the prefix __Host-"),
    ("cookie_samesite", "Lax, always"),
    ("cookie_secret", "the first start makes sealing keys in keys_dir: `portillon keys list`"),
    ("cookie_secret_file", "the first start makes sealing keys in keys_dir: `portillon keys list`"),
    ("cookie_secure", "cookies are Secure wherever agents see https"),
    ("custom_templates_dir", "pages are replaced with [server] pages_dir; the templates are other ones: docs/pages.md"),
    ("htpasswd_file", "there are no local accounts: agents log in at the provider only"),
    ("insecure_oidc_skip_nonce", "the nonce is always verified"),
    ("pass_access_token", "applications do not receive tokens; they get X-Agent-Assertion, a JWT of the gateway"),
    (
        "pass_authorization_header",
        "applications do not receive tokens; they get X-Agent-Assertion, a JWT of the gateway",
    ),
    ("ping_path", "health is /healthz on the [admin] listener"),
    ("pass_host_header", "applications always receive the Host that the agent asked for"),
    ("provider", "every provider speaks OpenID Connect here"),
    ("set_xauthrequest", "the gateway proxies by itself; it answers no auth_request"),
    ("skip_jwt_bearer_tokens", "a bearer token opens no session"),
    ("skip_oidc_discovery", "the provider's metadata is always asked for"),
    ("skip_provider_button", "always: no page stands before the provider's"),
    ("ssl_insecure_skip_verify", "certificates are always verified: name a private CA in ca_file of [provider]"),
    (
        "ssl_upstream_insecure_skip_verify",
        "certificates are always verified: name a private CA in upstream_ca_file of the route",
    ),
    (
        "trusted_ips",
        "no address is let in without a login; [[route.public]] opens paths, and client_address of a rule keeps agents of \
         other networks out",
    ),
    ("whitelist_domains", "an agent comes back to the page asked for, on the same host only"),
];
const LOGS: &str = "logs go to the standard error, in JSON or text ([log] format)";
const ENDPOINTS: &str = "the provider's metadata says it";

/// The options of a file.
#[derive(Debug)]
pub(super) struct Options(Table);

impl Options {
    pub(super) fn read(text: &str) -> Result<Self, ImportError> {
        let table = text.parse::<Table>().map_err(|error| {
            let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            ImportError::at(line, "this is no TOML (YAML of the alpha configuration is not read)")
        })?;
        Ok(Self(table))
    }

    /// The string called `name`; none where it is empty.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.list(name).into_iter().next()
    }

    /// The strings called `name`: a list, or one string with commas.
    pub(super) fn list(&mut self, name: &str) -> Vec<String> {
        let words: Vec<String> = match self.0.remove(name) {
            Some(Value::Array(values)) => values.into_iter().filter_map(as_text).collect(),
            Some(value) => as_text(value).iter().flat_map(|text| text.split(',')).map(str::to_owned).collect(),
            None => Vec::new(),
        };
        words.into_iter().map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
    }

    /// The flag called `name`, however it is written.
    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        self.text(name).map(|text| matches!(text.as_str(), "true" | "1" | "t"))
    }

    /// Whether the secret called `name` is there; its value goes no further.
    pub(super) fn holds(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some()
    }

    /// What is left, and what to know of it.
    pub(super) fn left(self) -> Vec<(String, String)> {
        let worth =
            self.0.into_iter().filter(|(_, value)| value.as_str() != Some("") && value.as_bool() != Some(false));
        worth.map(|(name, _)| (why(&name).to_owned(), name)).map(|(why, name)| (name, why)).collect()
    }
}

fn as_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

fn why(name: &str) -> &'static str {
    let known = WITHOUT.iter().find(|(known, _)| *known == name).map(|(_, why)| *why);
    let family = || {
        let is_log = name.contains("logging") || name.ends_with("_log");
        let is_endpoint = ["login_url", "redeem_url", "profile_url", "oidc_jwks_url", "validate_url"].contains(&name);
        match (is_log, is_endpoint) {
            (true, _) => LOGS,
            (_, true) => ENDPOINTS,
            _ => "not known to this import; look it up in the documentation of both",
        }
    };
    known.unwrap_or_else(family)
}
