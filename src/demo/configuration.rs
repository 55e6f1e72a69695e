//! The configuration that the demonstration runs by: written as an operator would, read as any other.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;

use super::provider::{Registration, SignedResponseAlg};
use crate::secret::Secret;

/// What the configuration depends on.
#[derive(Debug)]
pub struct Configuration<'a> {
    /// The port of the gateway on 127.0.0.1.
    pub port: u16,
    /// The folder that takes state, keys and the client secret.
    pub folder: &'a Path,
    /// The provider's issuer identifier.
    pub issuer: &'a str,
    /// Where the application listens.
    pub upstream: SocketAddr,
}

/// The name of the client at the provider.
pub const CLIENT_ID: &str = "2f6c1f6e-0c3a-4a57-9a6b-7f1a4d1f8f0e";
/// The name of the route: the application's audience.
pub const ROUTE: &str = "conges";
/// The file of the client secret, in the folder.
pub const CLIENT_SECRET_FILE: &str = "client_secret";
/// The scopes that the gateway asks for.
pub const SCOPE: &[&str] = &[
    "openid",
    "given_name",
    "usual_name",
    "email",
    "uid",
    "siret",
    "idp_id",
    "roles",
    "organization_label",
    "organizational_unit",
    "belonging_population",
    "phone",
];

impl Configuration<'_> {
    /// The TOML text.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let Self { port, issuer, upstream, .. } = self;
        // A JSON string is a TOML basic string, and a JSON array of strings a TOML one.
        let path = |name: &str| json!(self.folder.join(name).to_string_lossy());
        let (state_dir, keys_dir, secret) = (path("state"), path("keys"), path(CLIENT_SECRET_FILE));
        let scope = json!(SCOPE);
        format!(
            r#"[server]
listen = ["127.0.0.1:{port}"]
external_scheme = "http"
state_dir = {state_dir}
keys_dir = {keys_dir}

[admin]
listen = ["127.0.0.1:0"]

[provider]
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
client_secret = {{ file = {secret} }}
scope = {scope}

[[route]]
name = "{ROUTE}"
host = "localhost:{port}"
upstream = "http://{upstream}"
logout_paths = ["/deconnexion"]
contact = "support-conges@example.gouv.fr"

  [route.portal]
  name = "Congés et absences"
  description = "Poser des jours, suivre son solde."

  [[route.public]]
  path = "/style.css"

  [[route.deny]]
  belonging_population = ["stagiaire"]
  reason = "Cette application n’est pas ouverte aux stagiaires."
"#
        )
    }
}

/// What the provider must know of the gateway whose agents see the origin `gateway`.
#[must_use]
pub fn registration(gateway: &str, client_secret: Secret<String>) -> Registration {
    Registration {
        client_id: CLIENT_ID.to_owned(),
        client_secret,
        redirect_uris: vec![format!("{gateway}/.portillon/callback")],
        post_logout_redirect_uris: vec![format!("{gateway}/.portillon/signed-out")],
        scope: SCOPE.iter().copied().map(str::to_owned).collect(),
        id_token_signed_response_alg: SignedResponseAlg::Rs256,
        userinfo_signed_response_alg: Some(SignedResponseAlg::Rs256),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_folder_is_quoted() {
        let configuration = Configuration {
            port: 8081,
            folder: Path::new("/tmp/it's \"odd\""),
            issuer: "http://127.0.0.1:7000/api/v2",
            upstream: ([127, 0, 0, 1], 7001).into(),
        };
        let text = configuration.to_toml();
        assert!(text.contains(r#"keys_dir = "/tmp/it's \"odd\"/keys""#), "{text}");
        assert!(text.contains("host = \"localhost:8081\"") && text.contains("upstream = \"http://127.0.0.1:7001\""));
        assert!(text.contains(r#"scope = ["openid","given_name""#));
    }
}
