//! Provider metadata (OpenID Connect Discovery 1.0 section 3), believed only where they speak of our issuer and stay on
//! its origin.
//!
//! The client secret, the code and the access token go to the endpoints named here, and the keys come from one of them.
//! An answer that moves any of them to another host, port or scheme is refused whole: AgentConnect has everything on
//! one host, and no later change of the document can send the secret elsewhere.

use http::Uri;
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
    CoreSubjectIdentifierType,
};
use openidconnect::{AdditionalProviderMetadata, LogoutProviderMetadata, ProviderMetadata};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::json;
use super::settings::Issuer;

/// Why metadata are not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MetadataError {
    /// This endpoint is absent, is not on the issuer's origin, or has a fragment or credentials in its URL.
    #[error("{0} is absent or not on the issuer's origin")]
    Endpoint(&'static str),
    /// `issuer` is not, byte for byte, the configured one.
    #[error("issuer is not the configured one")]
    Issuer,
    /// The document is no provider metadata.
    #[error("not an OpenID provider's metadata")]
    Malformed,
}

/// What we use of a provider's metadata; every endpoint is on the issuer's origin.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Uri,
    pub(super) userinfo_endpoint: Uri,
    pub(super) jwks_uri: Uri,
    pub(super) end_session_endpoint: Option<Url>,
    /// RFC 8414 section 2; none where it is not on the issuer's origin.
    pub(super) revocation_endpoint: Option<Uri>,
    /// Whether answers carry `iss` (RFC 9207 section 3).
    pub(super) authorization_response_iss_parameter_supported: bool,
    /// Whether the `claims` parameter is understood (OpenID Connect Core 1.0 section 5.5).
    pub(super) claims_parameter_supported: bool,
}

impl Metadata {
    /// Reads and checks the metadata of `issuer`.
    pub(super) fn parse(document: &[u8], issuer: &Issuer) -> Result<Self, MetadataError> {
        let members = json::object(document).ok_or(MetadataError::Malformed)?;
        let document: Document =
            serde_json::from_value(Value::Object(members)).map_err(|_| MetadataError::Malformed)?;
        if document.issuer().as_str() != issuer.as_str() {
            return Err(MetadataError::Issuer);
        }
        let endpoint = |name, url| issuer.own(url).ok_or(MetadataError::Endpoint(name));
        let called = |name, url| endpoint(name, url)?.as_str().parse().map_err(|_| MetadataError::Endpoint(name));
        let logout = document.additional_metadata();
        let more = &logout.additional_metadata;
        Ok(Self {
            authorization_endpoint: endpoint("authorization_endpoint", Some(document.authorization_endpoint().url()))?,
            token_endpoint: called("token_endpoint", document.token_endpoint().map(|url| url.url()))?,
            userinfo_endpoint: called("userinfo_endpoint", document.userinfo_endpoint().map(|url| url.url()))?,
            jwks_uri: called("jwks_uri", Some(document.jwks_uri().url()))?,
            end_session_endpoint: match &logout.end_session_endpoint {
                Some(url) => Some(endpoint("end_session_endpoint", Some(url.url()))?),
                None => None,
            },
            revocation_endpoint: issuer
                .own(more.revocation_endpoint.as_ref())
                .and_then(|url| url.as_str().parse().ok()),
            authorization_response_iss_parameter_supported: more.authorization_response_iss_parameter_supported,
            claims_parameter_supported: document.claims_parameter_supported().unwrap_or(false),
        })
    }
}

type Document = ProviderMetadata<
    LogoutProviderMetadata<OfOAuth>,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// RFC 8414 section 2, RFC 9207 section 3.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct OfOAuth {
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    revocation_endpoint: Option<Url>,
}

impl AdditionalProviderMetadata for OfOAuth {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oidc::test_provider::{metadata, settings};

    const ISSUER: &str = "https://op.example:8443/api/v2";

    fn parse(document: &Value) -> Result<Metadata, MetadataError> {
        parse_for(ISSUER, document)
    }

    fn parse_for(issuer: &str, document: &Value) -> Result<Metadata, MetadataError> {
        let issuer = settings(issuer, None).checked_issuer().unwrap();
        Metadata::parse(document.to_string().as_bytes(), &issuer)
    }

    fn with(name: &str, value: Value) -> Value {
        let mut document = metadata(ISSUER);
        document[name] = value;
        document
    }

    #[test]
    fn a_revocation_endpoint_elsewhere_is_not_used() {
        let endpoint = |url: &str| {
            let mut document = metadata(ISSUER);
            document["revocation_endpoint"] = json!(url);
            parse(&document).unwrap().revocation_endpoint.map(|uri| uri.to_string())
        };
        let own = "https://op.example:8443/api/v2/token/revocation";
        assert_eq!(endpoint(own).as_deref(), Some(own));
        assert_eq!(endpoint("https://op.example/api/v2/token/revocation"), None);
        let mut without = metadata(ISSUER);
        without.as_object_mut().unwrap().remove("revocation_endpoint");
        assert_eq!(parse(&without).unwrap().revocation_endpoint, None);
    }

    #[test]
    fn what_agentconnect_publishes_is_read() {
        let metadata = parse(&metadata(ISSUER)).unwrap();
        assert_eq!(metadata.token_endpoint, format!("{ISSUER}/token").as_str());
        assert_eq!(metadata.end_session_endpoint.unwrap().as_str(), format!("{ISSUER}/session/end"));
        assert!(metadata.authorization_response_iss_parameter_supported && metadata.claims_parameter_supported);
    }

    #[test]
    fn the_issuer_is_compared_byte_for_byte() {
        let document = |issuer: &str| with("issuer", json!(issuer));
        for wrong in [&format!("{ISSUER}/"), "https://OP.example:8443/api/v2", "https://evil.example", "not a url"] {
            assert!(parse(&document(wrong)).is_err(), "{wrong}");
        }
        let slash = format!("{ISSUER}/");
        assert_eq!(parse_for(&slash, &metadata(ISSUER)).unwrap_err(), MetadataError::Issuer);
        assert!(parse_for(&slash, &document(&slash)).is_ok());
    }

    #[test]
    fn an_endpoint_elsewhere_is_refused() {
        let endpoints =
            ["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint"];
        for endpoint in endpoints {
            for elsewhere in [
                "https://evil.example/token",
                "https://op.example/token",
                "http://op.example:8443/token",
                "https://op.example.evil.example:8443/token",
                "https://op.example:8443@evil.example/token",
                "https://op@op.example:8443/token",
                "https://op.example:8443/token#fragment",
                "http://169.254.169.254/",
                "javascript:alert(1)",
                "file:///etc/passwd",
            ] {
                let refused = parse(&with(endpoint, json!(elsewhere))).unwrap_err();
                assert_eq!(refused, MetadataError::Endpoint(endpoint), "{elsewhere}");
            }
            assert_eq!(parse(&with(endpoint, json!("/token"))).unwrap_err(), MetadataError::Malformed);
        }
    }

    #[test]
    fn an_endpoint_that_a_login_needs_is_missed() {
        for (endpoint, error) in [
            ("token_endpoint", MetadataError::Endpoint("token_endpoint")),
            ("userinfo_endpoint", MetadataError::Endpoint("userinfo_endpoint")),
            ("jwks_uri", MetadataError::Malformed),
        ] {
            let mut document = metadata(ISSUER);
            document.as_object_mut().unwrap().remove(endpoint);
            assert_eq!(parse(&document).unwrap_err(), error);
        }
    }

    #[test]
    fn what_is_no_metadata_is_malformed() {
        let issuer = settings(ISSUER, None).checked_issuer().unwrap();
        let twice = metadata(ISSUER).to_string().replacen('{', "{\"token_endpoint\":\"https://evil.example/\",", 1);
        for document in ["", "[]", "{}", "<html>", &twice] {
            assert_eq!(Metadata::parse(document.as_bytes(), &issuer).unwrap_err(), MetadataError::Malformed);
        }
    }
}
