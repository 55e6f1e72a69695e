//! Userinfo (OpenID Connect Core 1.0 section 5.3), in the one form that the client is registered with: a JWT signed
//! with one algorithm, or plain JSON. A provider that answers in the other form is refused: whoever could choose the
//! form could leave the signature out.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use serde_json::Value;

use super::algorithm::SignatureAlgorithm;
use super::back_channel::Answer;
use super::claim_set;
use super::error::{LoginError, TokenProblem, UserInfoProblem};
use super::json::{self, Object};
use super::jws::Jws;
use super::keys::Keys;
use super::metadata::Metadata;
use crate::clock::Timestamp;
use crate::secret::Secret;

/// What userinfo must say.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) now: Timestamp,
}

/// The request for userinfo: the access token goes in the header, never in the URL (RFC 6750 section 2.1).
pub(super) fn request(metadata: &Metadata, access_token: &Secret<String>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = metadata.userinfo_endpoint.clone();
    let mut bearer =
        HeaderValue::try_from(format!("Bearer {}", access_token.expose())).expect("an access token is visible ASCII");
    bearer.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, bearer);
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/jwt, application/json"));
    request
}

/// Userinfo as it came, its signature still to be verified.
pub(super) enum Received {
    Plain(Object),
    Signed(SignatureAlgorithm, String),
}

impl Received {
    /// Reads an answer, which must have the form that goes with `algorithm`.
    pub(super) fn read(answer: &Answer, algorithm: Option<SignatureAlgorithm>) -> Result<Self, UserInfoProblem> {
        if answer.status != StatusCode::OK {
            return Err(UserInfoProblem::Status(answer.status.as_u16()));
        }
        match (algorithm, answer.media_type.as_str()) {
            (None, "application/json") => json::object(&answer.body).map(Self::Plain).ok_or(UserInfoProblem::Malformed),
            (Some(algorithm), "application/jwt") => {
                let token = std::str::from_utf8(&answer.body).map_err(|_| UserInfoProblem::Malformed)?;
                Ok(Self::Signed(algorithm, token.trim_ascii().to_owned()))
            }
            _ => Err(UserInfoProblem::ContentType),
        }
    }

    /// The claims, verified with `keys` where they are signed.
    pub(super) fn verify(&self, keys: &Keys, expected: &Expected<'_>) -> Result<Object, TokenProblem> {
        match self {
            Self::Plain(claims) => Ok(claims.clone()),
            Self::Signed(algorithm, token) => {
                let claims = Jws::parse(token, *algorithm)?.verify(keys)?.claims;
                claim_set::check_issuer(&claims, expected.issuer)?;
                claim_set::check_audience(&claims, expected.client_id)?;
                claim_set::check_expiry(&claims, expected.now)?;
                claim_set::check_not_before(&claims, expected.now)?;
                Ok(claims)
            }
        }
    }
}

/// The claims, where they are about `sub` and no ID token in disguise: that has the same issuer, audience and keys, but
/// also the `nonce` of its login.
pub(super) fn check(claims: &Object, sub: &str) -> Result<(), LoginError> {
    if ["nonce", "at_hash", "c_hash"].iter().any(|name| claims.contains_key(*name)) {
        return Err(LoginError::UserInfo(UserInfoProblem::IdTokenReplayed));
    }
    if claims.get("sub").and_then(Value::as_str) == Some(sub) { Ok(()) } else { Err(LoginError::SubMismatch) }
}
