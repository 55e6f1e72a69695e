//! What a provider and our registration with it are: client metadata by the names of OpenID Connect Dynamic Client
//! Registration 1.0 section 2.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use rustls::pki_types::CertificateDer;
use url::{Host, Url};

use super::algorithm::SignatureAlgorithm;
use super::preset::{Preset, UnknownName};
use crate::crypto::{base64url, sha256};
use crate::secret::Secret;

/// How the client authenticates at the token endpoint (OpenID Connect Core 1.0 section 9).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TokenEndpointAuthMethod {
    /// HTTP Basic, with both parts form-urlencoded first (RFC 6749 section 2.3.1).
    ClientSecretBasic,
    /// In the body of the request; AgentConnect's way.
    #[default]
    ClientSecretPost,
}

impl FromStr for TokenEndpointAuthMethod {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name {
            "client_secret_basic" => Ok(Self::ClientSecretBasic),
            "client_secret_post" => Ok(Self::ClientSecretPost),
            _ => Err(UnknownName::expecting("client_secret_basic or client_secret_post")),
        }
    }
}

/// The name of the one provider that needs none.
pub const DEFAULT: &str = "default";

/// A provider, our client there, and the way to it.
#[derive(Clone)]
pub struct Settings {
    /// What routes, logs and metrics call the provider; [`DEFAULT`] where it needs no name.
    pub name: String,
    /// What to expect of the provider beyond the standards.
    pub preset: Preset,
    /// The issuer, byte for byte as the provider's metadata and tokens name it: a trailing slash counts. `https`, or
    /// `http` on loopback.
    pub issuer: String,
    /// The identifier of the client.
    pub client_id: String,
    /// The secret of the client; its bytes are the key of HMAC algorithms.
    pub client_secret: Secret<String>,
    /// How the client authenticates at the token endpoint.
    pub token_endpoint_auth_method: TokenEndpointAuthMethod,
    /// The one algorithm that ID tokens are signed with.
    pub id_token_signed_response_alg: SignatureAlgorithm,
    /// The one algorithm that userinfo is signed with; none where the client is registered without: then userinfo is
    /// plain JSON.
    pub userinfo_signed_response_alg: Option<SignatureAlgorithm>,
    /// The scopes to ask for, `openid` among them.
    pub scope: Vec<String>,
    /// The levels accepted, by exact membership; empty: any.
    pub acr_values: Vec<String>,
    /// The claims without which a login is refused.
    pub required: Vec<String>,
    /// The claims that rules deny by: absent is fine, but one out of its form refuses the login, since nobody can say
    /// what it would have denied.
    pub denied: Vec<String>,
    /// The outbound HTTP proxy (CONNECT) on the way to the provider, `http`, credentials in the URL where it wants any.
    pub proxy: Option<Url>,
    /// The certificate authorities believed for the provider's certificate, DER; empty: those of the system.
    pub ca: Vec<CertificateDer<'static>>,
}

/// Why no provider can be made of some settings.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// A certificate of `ca` is not one.
    #[error("the provider's certificate authority is not a usable certificate: {0}")]
    Certificate(String),
    /// `client_id` or `client_secret` is empty.
    #[error("the client has no identifier or no secret")]
    Client,
    /// `issuer` is no absolute URL without query, fragment and credentials, or is `http` elsewhere than on loopback.
    #[error("the issuer must be an https URL without query or fragment (http only on loopback)")]
    Issuer,
    /// `proxy` is no `http` URL with a host.
    #[error("the outbound proxy must be an http URL with a host")]
    Proxy,
    /// `scope` lacks `openid`, or one of its members is no scope token.
    #[error("the scope must hold `openid`, and no empty name or space")]
    Scope,
    /// The system has no certificate authorities and none is configured.
    #[error("the system has no certificate authorities to believe: {0}")]
    SystemRoots(String),
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        // Every field by name: one that is added must be compared too.
        let Self {
            name,
            preset,
            issuer,
            client_id,
            client_secret,
            token_endpoint_auth_method,
            id_token_signed_response_alg,
            userinfo_signed_response_alg,
            scope,
            acr_values,
            required,
            denied,
            proxy,
            ca,
        } = self;
        let client = (name, preset, issuer, client_id, client_secret.expose())
            == (&other.name, &other.preset, &other.issuer, &other.client_id, other.client_secret.expose());
        let registered = (token_endpoint_auth_method, id_token_signed_response_alg, userinfo_signed_response_alg)
            == (
                &other.token_endpoint_auth_method,
                &other.id_token_signed_response_alg,
                &other.userinfo_signed_response_alg,
            );
        let asked =
            (scope, acr_values, required, denied) == (&other.scope, &other.acr_values, &other.required, &other.denied);
        client && registered && asked && (proxy, ca) == (&other.proxy, &other.ca)
    }
}

impl Settings {
    /// What tells the provider from every other one, and from itself with another issuer or client: what is sealed for its
    /// agents opens for no others.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let identity: Vec<u8> = [&self.name, &self.issuer, &self.client_id]
            .into_iter()
            .flat_map(|part| (part.len() as u64).to_be_bytes().into_iter().chain(part.bytes()))
            .collect();
        base64url(&sha256(&identity)[..16])
    }

    /// The issuer as a URL, once everything here that can be wrong without asking the network was found right.
    pub(super) fn checked_issuer(&self) -> Result<Issuer, SettingsError> {
        if self.client_id.is_empty() || self.client_secret.expose().is_empty() {
            return Err(SettingsError::Client);
        }
        if !self.scope.iter().any(|scope| scope == "openid") || !self.scope.iter().all(|scope| is_scope_token(scope)) {
            return Err(SettingsError::Scope);
        }
        if self.proxy.as_ref().is_some_and(|proxy| proxy.scheme() != "http" || proxy.host().is_none()) {
            return Err(SettingsError::Proxy);
        }
        let url = Url::parse(&self.issuer).ok().filter(is_issuer).ok_or(SettingsError::Issuer)?;
        Ok(Issuer { text: self.issuer.clone(), url })
    }
}

/// The issuer, fit to be asked: `https`, or `http` on loopback.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Issuer {
    text: String,
    url: Url,
}

impl Issuer {
    /// The issuer as configured, the only spelling that counts.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Where its metadata are (OpenID Connect Discovery 1.0 section 4.1).
    pub(super) fn discovery_url(&self) -> Uri {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/.well-known/openid-configuration", self.url.path().trim_end_matches('/')));
        url.as_str().parse().expect("a URL with a host is a URI")
    }

    /// The endpoint, where there is one and it is this issuer's own: same scheme, host and port, no fragment, no
    /// credentials.
    pub(super) fn own(&self, endpoint: Option<&Url>) -> Option<Url> {
        let endpoint = endpoint?;
        let bare = endpoint.fragment().is_none() && endpoint.username().is_empty() && endpoint.password().is_none();
        (bare && endpoint.origin() == self.url.origin()).then(|| endpoint.clone())
    }
}

impl fmt::Debug for Settings {
    /// Without the secret, and without the credentials in the proxy's URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("preset", &self.preset)
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("token_endpoint_auth_method", &self.token_endpoint_auth_method)
            .field("id_token_signed_response_alg", &self.id_token_signed_response_alg)
            .field("userinfo_signed_response_alg", &self.userinfo_signed_response_alg)
            .field("scope", &self.scope)
            .field("acr_values", &self.acr_values)
            .field("required", &self.required)
            .field("proxy", &self.proxy.as_ref().map(|proxy| proxy.host_str().map(str::to_owned)))
            .finish_non_exhaustive()
    }
}

/// RFC 6749 appendix A.4: visible ASCII, but no `"` and no `\`.
fn is_scope_token(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

fn is_issuer(url: &Url) -> bool {
    let bare = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && url.host().is_some();
    bare && (url.scheme() == "https" || url.scheme() == "http" && is_loopback(url))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            name: DEFAULT.to_owned(),
            preset: Preset::AgentConnect,
            issuer: "https://op.example/api/v2".into(),
            client_id: "client".into(),
            client_secret: Secret::from("the-secret"),
            token_endpoint_auth_method: TokenEndpointAuthMethod::ClientSecretPost,
            id_token_signed_response_alg: SignatureAlgorithm::Rs256,
            userinfo_signed_response_alg: Some(SignatureAlgorithm::Rs256),
            scope: vec!["openid".into(), "email".into()],
            acr_values: Vec::new(),
            required: Vec::new(),
            denied: Vec::new(),
            proxy: None,
            ca: Vec::new(),
        }
    }

    #[test]
    fn an_issuer_is_https_or_http_on_loopback() {
        let issuer = |issuer: &str| Settings { issuer: issuer.into(), ..settings() }.checked_issuer();
        for good in
            ["https://op.example", "https://op.example/api/v2/", "http://localhost:7000/a", "http://127.0.0.1:1"]
        {
            assert!(issuer(good).is_ok(), "{good}");
        }
        assert!(issuer("http://[::1]:7000/api/v2").is_ok());
        for bad in [
            "http://op.example",
            "http://localhost.op.example",
            "https://op.example/?a",
            "https://op.example/#a",
            "https://user@op.example/",
            "ftp://localhost/",
            "javascript:alert(1)",
            "op.example",
            "",
        ] {
            assert_eq!(issuer(bad), Err(SettingsError::Issuer), "{bad}");
        }
    }

    #[test]
    fn a_client_without_openid_secret_or_usable_proxy_is_refused() {
        let no_secret = Settings { client_secret: Secret::from(""), ..settings() };
        assert_eq!(no_secret.checked_issuer(), Err(SettingsError::Client));
        for scope in [vec![], vec!["email".to_owned()], vec!["openid".into(), "a b".into()]] {
            assert_eq!(Settings { scope, ..settings() }.checked_issuer(), Err(SettingsError::Scope));
        }
        let proxy = Some(Url::parse("socks5://proxy.example").unwrap());
        assert_eq!(Settings { proxy, ..settings() }.checked_issuer(), Err(SettingsError::Proxy));
    }

    #[test]
    fn debug_shows_no_secret_and_no_proxy_password() {
        let proxy = Some(Url::parse("http://user:hunter2@proxy.example:3128").unwrap());
        let shown = format!("{:?}", Settings { proxy, ..settings() });
        assert!(shown.contains("proxy.example"));
        assert!(!shown.contains("the-secret") && !shown.contains("hunter2"), "{shown}");
    }
}
