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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::crypto::jws;
    use crate::crypto::signing::{KeyType, SigningKey};
    use crate::oidc::test_provider::{
        CLIENT_ID, CLIENT_SECRET, NOW, SUB, client_secret_key, ec, id_token_claims, jwks, rsa, user_info_claims,
    };

    const ISSUER: &str = "https://op.example/api/v2";

    fn read(media_type: &str, body: &str, algorithm: Option<SignatureAlgorithm>) -> Result<Received, UserInfoProblem> {
        let answer =
            Answer { status: StatusCode::OK, media_type: media_type.into(), date: None, body: body.to_owned().into() };
        Received::read(&answer, algorithm)
    }

    fn verify(token: &str, algorithm: SignatureAlgorithm) -> Result<Object, TokenProblem> {
        let keys = Keys::of_client(CLIENT_SECRET).with_jwks(jwks(&[rsa(), ec()]).to_string().as_bytes()).unwrap();
        let expected = Expected { issuer: ISSUER, client_id: CLIENT_ID, now: Timestamp::from_secs(NOW) };
        read("application/jwt", token, Some(algorithm)).unwrap().verify(&keys, &expected)
    }

    fn with_claim(name: &str, value: Option<Value>) -> Result<Object, TokenProblem> {
        let mut claims = user_info_claims(ISSUER);
        match value {
            Some(value) => claims[name] = value,
            None => drop(claims.as_object_mut().unwrap().remove(name)),
        }
        verify(&jws::sign(rsa(), "JWT", &claims), SignatureAlgorithm::Rs256)
    }

    #[test]
    fn every_registered_algorithm_verifies() {
        let secret = client_secret_key();
        for (algorithm, key) in [
            (SignatureAlgorithm::Rs256, rsa()),
            (SignatureAlgorithm::Es256, ec()),
            (SignatureAlgorithm::Hs256, &secret),
        ] {
            let claims = verify(&jws::sign(key, "JWT", &user_info_claims(ISSUER)), algorithm).unwrap();
            assert_eq!(check(&claims, SUB), Ok(()));
        }
    }

    #[test]
    fn another_algorithm_another_key_or_none_is_refused() {
        let claims = user_info_claims(ISSUER);
        let rs256 = |token: &str| verify(token, SignatureAlgorithm::Rs256);
        assert_eq!(rs256(&jws::sign(ec(), "JWT", &claims)), Err(TokenProblem::Algorithm));
        assert_eq!(rs256(&jws::sign(&client_secret_key(), "JWT", &claims)), Err(TokenProblem::Algorithm));
        let unsigned = jws::sign_with_header(rsa(), &json!({ "alg": "none" }), &claims);
        assert_eq!(rs256(&unsigned), Err(TokenProblem::Algorithm));
        let other = SigningKey::generate(KeyType::Rsa2048).unwrap();
        assert_eq!(rs256(&jws::sign(&other, "JWT", &claims)), Err(TokenProblem::UnknownKey));
        assert_eq!(rs256("not a token"), Err(TokenProblem::Malformed));
    }

    #[test]
    fn iss_aud_and_exp_are_checked() {
        assert_eq!(with_claim("iss", Some(json!("https://evil.example"))), Err(TokenProblem::Issuer));
        assert_eq!(with_claim("iss", None), Err(TokenProblem::Issuer));
        assert_eq!(with_claim("aud", Some(json!("other"))), Err(TokenProblem::Audience));
        assert_eq!(with_claim("aud", None), Err(TokenProblem::Audience));
        assert_eq!(with_claim("exp", Some(json!(NOW - 61))), Err(TokenProblem::Expired));
        assert_eq!(with_claim("exp", Some(json!("soon"))), Err(TokenProblem::Malformed));
        assert!(with_claim("exp", None).is_ok() && with_claim("exp", Some(json!(NOW - 60))).is_ok());
    }

    #[test]
    fn the_form_is_the_registered_one() {
        let signed = Some(SignatureAlgorithm::Rs256);
        for (media_type, algorithm) in [
            ("application/json", signed),
            ("text/plain", signed),
            ("", signed),
            ("application/jwt", None),
            ("text/html", None),
        ] {
            let refused = read(media_type, "{}", algorithm).err();
            assert_eq!(refused, Some(UserInfoProblem::ContentType), "{media_type}");
        }
        assert_eq!(read("application/json", "{\"a\":1,\"a\":2}", None).err(), Some(UserInfoProblem::Malformed));
    }

    #[test]
    fn an_id_token_is_no_userinfo() {
        let token = jws::sign(rsa(), "JWT", &id_token_claims(ISSUER));
        let claims = verify(&token, SignatureAlgorithm::Rs256).unwrap();
        assert_eq!(check(&claims, SUB), Err(LoginError::UserInfo(UserInfoProblem::IdTokenReplayed)));
    }

    #[test]
    fn the_subject_is_that_of_the_id_token() {
        for sub in [json!("other"), json!(null), json!(""), json!([SUB])] {
            let claims = [("sub".to_owned(), sub)].into_iter().collect();
            assert_eq!(check(&claims, SUB), Err(LoginError::SubMismatch));
        }
        assert_eq!(check(&Object::new(), SUB), Err(LoginError::SubMismatch));
    }
}
