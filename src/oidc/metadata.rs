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
        Ok(Self {
            authorization_endpoint: endpoint("authorization_endpoint", Some(document.authorization_endpoint().url()))?,
            token_endpoint: called("token_endpoint", document.token_endpoint().map(|url| url.url()))?,
            userinfo_endpoint: called("userinfo_endpoint", document.userinfo_endpoint().map(|url| url.url()))?,
            jwks_uri: called("jwks_uri", Some(document.jwks_uri().url()))?,
            end_session_endpoint: match &logout.end_session_endpoint {
                Some(url) => Some(endpoint("end_session_endpoint", Some(url.url()))?),
                None => None,
            },
            authorization_response_iss_parameter_supported: logout
                .additional_metadata
                .authorization_response_iss_parameter_supported,
            claims_parameter_supported: document.claims_parameter_supported().unwrap_or(false),
        })
    }
}

type Document = ProviderMetadata<
    LogoutProviderMetadata<IssParameter>,
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

/// RFC 9207 section 3.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct IssParameter {
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for IssParameter {}
