//! The ID token: every rule of OpenID Connect Core 1.0 section 3.1.3.7 for the code flow, none left to the provider's
//! honesty.

use std::time::Duration;

use serde_json::Value;

use super::algorithm::SignatureAlgorithm;
use super::claim_set::{self, SKEW};
use super::error::TokenProblem;
use super::json::Object;
use super::jws::{Jws, Verified};
use super::keys::Keys;
use crate::clock::Timestamp;
use crate::crypto::equal;

/// What the ID token of one login must say.
pub(super) struct Expected<'a> {
    pub(super) algorithm: SignatureAlgorithm,
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) access_token: &'a str,
    pub(super) now: Timestamp,
}

/// What an ID token that holds tells about the agent and the login.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct IdToken {
    pub(super) sub: String,
    pub(super) claims: Object,
}

impl IdToken {
    /// Verifies `token` with `keys` against what is expected.
    pub(super) fn verify(token: &str, keys: &Keys, expected: &Expected<'_>) -> Result<Self, TokenProblem> {
        let verified = Jws::parse(token, expected.algorithm)?.verify(keys)?;
        let claims = &verified.claims;
        claim_set::check_issuer(claims, expected.issuer)?;
        claim_set::check_audience(claims, expected.client_id)?;
        check_authorized_party(claims, expected.client_id)?;
        check_times(claims, expected.now)?;
        check_nonce(claims, expected.nonce)?;
        check_access_token(&verified, expected.access_token)?;
        let sub = claim_set::subject(claims)?.to_owned();
        Ok(Self { sub, claims: verified.claims })
    }

    /// The level of authentication, where the provider told one.
    pub(super) fn acr(&self) -> Option<&str> {
        self.claims.get("acr").and_then(Value::as_str)
    }

    /// When the agent authenticated (`auth_time`): `now` where the token says later, or does not say though `max_age` was
    /// asked for, which makes it owe the claim (section 2). Before any time where nobody asked, or where what it says
    /// cannot be read.
    pub(super) fn auth_time(&self, max_age: Option<Duration>, now: Timestamp) -> Timestamp {
        match (claim_set::numeric_date(&self.claims, "auth_time"), max_age) {
            (Ok(Some(time)), _) => time.min(now),
            (Ok(None), Some(_)) => now,
            (Ok(None), None) | (Err(_), _) => Timestamp::default(),
        }
    }
}

fn check_authorized_party(claims: &Object, client_id: &str) -> Result<(), TokenProblem> {
    match claims.get("azp") {
        Some(azp) if azp.as_str() != Some(client_id) => Err(TokenProblem::AuthorizedParty),
        _ => Ok(()),
    }
}

fn check_times(claims: &Object, now: Timestamp) -> Result<(), TokenProblem> {
    if !claims.contains_key("exp") {
        return Err(TokenProblem::Expired);
    }
    claim_set::check_expiry(claims, now)?;
    claim_set::check_not_before(claims, now)?;
    let iat = claim_set::numeric_date(claims, "iat")?.ok_or(TokenProblem::IssuedAt)?;
    // It was made for the code that was redeemed this moment.
    if iat > now.plus(SKEW) || now.since(iat) > MAX_AGE { Err(TokenProblem::IssuedAt) } else { Ok(()) }
}

fn check_nonce(claims: &Object, expected: &str) -> Result<(), TokenProblem> {
    let nonce = claims.get("nonce").and_then(Value::as_str).ok_or(TokenProblem::Nonce)?;
    if equal(nonce.as_bytes(), expected.as_bytes()) { Ok(()) } else { Err(TokenProblem::Nonce) }
}

/// Optional in the code flow (section 3.1.3.6), binding when present.
fn check_access_token(verified: &Verified<'_>, access_token: &str) -> Result<(), TokenProblem> {
    match verified.claims.get("at_hash") {
        None => Ok(()),
        Some(Value::String(hash)) if verified.is_half_hash(hash, access_token) => Ok(()),
        Some(_) => Err(TokenProblem::AtHash),
    }
}

const MAX_AGE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::crypto::signing::{KeyType, SigningKey};
    use crate::crypto::{base64url, from_base64url, jws, sha256};
    use crate::oidc::test_provider::{
        ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, NONCE, NOW, client_secret_key, ec, id_token_claims, jwks, rsa,
    };

    const ISSUER: &str = "https://op.example/api/v2";

    fn keys_of(keys: &[&SigningKey]) -> Keys {
        Keys::of_client(CLIENT_SECRET).with_jwks(jwks(keys).to_string().as_bytes()).unwrap()
    }

    fn verify_as(algorithm: SignatureAlgorithm, token: &str, keys: &Keys) -> Result<IdToken, TokenProblem> {
        let expected = Expected {
            algorithm,
            issuer: ISSUER,
            client_id: CLIENT_ID,
            nonce: NONCE,
            access_token: ACCESS_TOKEN,
            now: Timestamp::from_secs(NOW),
        };
        IdToken::verify(token, keys, &expected)
    }

    /// As a client registered with RS256, at a provider that has an RSA and an EC key.
    fn verify(token: &str) -> Result<IdToken, TokenProblem> {
        verify_as(SignatureAlgorithm::Rs256, token, &keys_of(&[rsa(), ec()]))
    }

    fn with_header(key: &SigningKey, header: &Value) -> String {
        jws::sign_with_header(key, header, &id_token_claims(ISSUER))
    }

    /// What becomes of a token in which one claim is something else, or nothing.
    fn with_claim(name: &str, value: Option<Value>) -> Result<IdToken, TokenProblem> {
        let mut claims = id_token_claims(ISSUER);
        match value {
            Some(value) => claims[name] = value,
            None => drop(claims.as_object_mut().unwrap().remove(name)),
        }
        verify(&jws::sign(rsa(), "JWT", &claims))
    }

    fn assert_refused(name: &str, values: &[Value], problem: TokenProblem) {
        for value in values {
            assert_eq!(with_claim(name, Some(value.clone())), Err(problem), "{name} {value}");
        }
    }

    #[test]
    fn a_good_token_of_each_registered_algorithm_is_accepted() {
        let secret = client_secret_key();
        for (algorithm, key) in [
            (SignatureAlgorithm::Rs256, rsa()),
            (SignatureAlgorithm::Es256, ec()),
            (SignatureAlgorithm::Hs256, &secret),
        ] {
            let token = jws::sign(key, "JWT", &id_token_claims(ISSUER));
            let id_token = verify_as(algorithm, &token, &keys_of(&[rsa(), ec()])).unwrap();
            assert_eq!(id_token.acr(), Some("eidas1"));
        }
    }

    #[test]
    fn only_the_registered_alg_is_accepted_and_none_never() {
        for alg in [json!("none"), json!("None"), json!("nOnE"), json!(""), json!("rs256"), json!("ES256"), json!(null)]
        {
            let token = with_header(rsa(), &json!({ "alg": alg, "kid": rsa().kid() }));
            assert_eq!(verify(&token), Err(TokenProblem::Algorithm), "{alg}");
            let (unsigned, _) = token.rsplit_once('.').unwrap();
            assert_eq!(verify(&format!("{unsigned}.")), Err(TokenProblem::Algorithm));
        }
        assert_eq!(verify(&with_header(rsa(), &json!({ "kid": rsa().kid() }))), Err(TokenProblem::Algorithm));
        let by_ec = jws::sign(ec(), "JWT", &id_token_claims(ISSUER));
        assert_eq!(verify(&by_ec), Err(TokenProblem::Algorithm));
        let by_secret = jws::sign(&client_secret_key(), "JWT", &id_token_claims(ISSUER));
        assert_eq!(verify(&by_secret), Err(TokenProblem::Algorithm));
    }

    #[test]
    fn a_public_key_is_no_hmac_key() {
        let pem = rsa().to_public_pem().unwrap();
        let jwk = rsa().to_jwk().unwrap().to_string();
        for secret in [pem.as_bytes(), pem.trim().as_bytes(), jwk.as_bytes(), b""] {
            let key = SigningKey::hmac_sha256(rsa().kid(), secret);
            let token = jws::sign(&key, "JWT", &id_token_claims(ISSUER));
            assert_eq!(verify(&token), Err(TokenProblem::Algorithm));
            let as_hs256 = verify_as(SignatureAlgorithm::Hs256, &token, &keys_of(&[rsa()]));
            assert_eq!(as_hs256, Err(TokenProblem::Signature));
        }
    }

    #[test]
    fn a_wrong_signature_is_refused() {
        let token = jws::sign(rsa(), "JWT", &id_token_claims(ISSUER));
        let (signing_input, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = from_base64url(signature).unwrap();
        let truncated = format!("{signing_input}.{}", base64url(&bytes[..255]));
        bytes[0] ^= 1;
        for token in [format!("{signing_input}.{}", base64url(&bytes)), format!("{signing_input}."), truncated] {
            assert_eq!(verify(&token), Err(TokenProblem::Signature));
        }
        let other = SigningKey::generate(KeyType::Rsa2048).unwrap();
        let forged = with_header(&other, &json!({ "alg": "RS256", "kid": rsa().kid() }));
        assert_eq!(verify(&forged), Err(TokenProblem::Signature));
    }

    #[test]
    fn an_es256_signature_is_r_and_s_and_nothing_else() {
        let token = jws::sign(ec(), "JWT", &id_token_claims(ISSUER));
        let (signing_input, signature) = token.rsplit_once('.').unwrap();
        let good = from_base64url(signature).unwrap();
        let zeros = vec![0; 64];
        let der = [&[0x30, 68, 2, 32][..], &good[..32], &[2, 32], &good[32..]].concat();
        let longer = [&good[..], &[0]].concat();
        for bad in [zeros, der, longer, good[..63].to_vec(), Vec::new()] {
            let token = format!("{signing_input}.{}", base64url(&bad));
            let refused = verify_as(SignatureAlgorithm::Es256, &token, &keys_of(&[ec()]));
            assert_eq!(refused, Err(TokenProblem::Signature));
        }
    }

    #[test]
    fn an_hmac_of_another_length_is_refused() {
        for algorithm in [SignatureAlgorithm::Hs256, SignatureAlgorithm::Hs384, SignatureAlgorithm::Hs512] {
            let input = with_header(rsa(), &json!({ "alg": algorithm.name() }));
            let (signing_input, _) = input.rsplit_once('.').unwrap();
            for length in 0..70 {
                let token = format!("{signing_input}.{}", base64url(&vec![0; length]));
                assert_eq!(verify_as(algorithm, &token, &keys_of(&[rsa()])), Err(TokenProblem::Signature));
            }
        }
    }

    #[test]
    fn a_key_that_the_token_brings_is_not_looked_at() {
        let own = SigningKey::generate(KeyType::Rsa2048).unwrap();
        let jwk = own.to_jwk().unwrap();
        let elsewhere = "http://127.0.0.1:9/jwks";
        for header in [
            json!({ "alg": "RS256", "jwk": jwk }),
            json!({ "alg": "RS256", "kid": own.kid(), "jku": elsewhere }),
            json!({ "alg": "RS256", "kid": own.kid(), "x5u": elsewhere }),
            json!({ "alg": "RS256", "kid": rsa().kid(), "x5c": ["AAAA"] }),
        ] {
            let refused = verify(&with_header(&own, &header));
            assert!(matches!(refused, Err(TokenProblem::Signature | TokenProblem::UnknownKey)));
        }
    }

    #[test]
    fn a_token_without_kid_is_tried_with_each_fitting_key() {
        let token = with_header(rsa(), &json!({ "alg": "RS256" }));
        let other = SigningKey::generate(KeyType::Rsa2048).unwrap();
        let verify = |keys: &[&SigningKey]| verify_as(SignatureAlgorithm::Rs256, &token, &keys_of(keys));
        assert!(verify(&[rsa()]).is_ok() && verify(&[&other, ec(), rsa()]).is_ok());
        assert_eq!(verify(&[&other, ec()]), Err(TokenProblem::Signature));
        assert_eq!(verify(&[ec()]), Err(TokenProblem::UnknownKey));
    }

    #[test]
    fn kid_crit_and_typ_are_taken_at_their_word() {
        let header = |name: &str, value: Value| {
            let mut header = json!({ "alg": "RS256", "kid": rsa().kid() });
            header[name] = value;
            verify(&with_header(rsa(), &header))
        };
        assert_eq!(header("kid", json!("unknown")), Err(TokenProblem::UnknownKey));
        assert_eq!(header("kid", json!(7)), Err(TokenProblem::Malformed));
        assert_eq!(header("crit", json!(["exp"])), Err(TokenProblem::Critical));
        assert_eq!(header("crit", json!(null)), Err(TokenProblem::Critical));
        for typ in ["at+jwt", "logout+JWT", "application/secevent+jwt"] {
            assert_eq!(header("typ", json!(typ)), Err(TokenProblem::Type), "{typ}");
        }
        assert!(header("typ", json!("jwt")).is_ok());
    }

    #[test]
    fn what_is_no_compact_jws_is_malformed() {
        let token = jws::sign(rsa(), "JWT", &id_token_claims(ISSUER));
        let five_parts = format!("{token}.a.b");
        let padded = format!("{token}=");
        for text in
            ["", ".", "..", "a.b.c", "e30", &five_parts, &padded, &token.replace('.', " ."), &format!("{token}\n")]
        {
            assert!(
                matches!(verify(text), Err(TokenProblem::Malformed | TokenProblem::Algorithm)),
                "{text} {:?}",
                verify(text)
            );
        }
    }

    #[test]
    fn repeated_names_are_refused_in_header_and_claims() {
        let sign = |header: &str, claims: &str| {
            let input = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
            format!("{input}.{}", base64url(&rsa().sign(input.as_bytes())))
        };
        let claims = id_token_claims(ISSUER).to_string();
        let twice = claims.replacen('{', "{\"sub\":\"other\",", 1);
        assert!(verify(&sign("{\"alg\":\"RS256\"}", &claims)).is_ok());
        assert_eq!(verify(&sign("{\"alg\":\"RS256\"}", &twice)), Err(TokenProblem::Malformed));
        assert_eq!(verify(&sign("{\"alg\":\"none\",\"alg\":\"RS256\"}", &claims)), Err(TokenProblem::Malformed));
        assert_eq!(verify(&sign("{\"alg\":\"RS256\"}", "[]")), Err(TokenProblem::Malformed));
    }

    #[test]
    fn iss_is_the_provider_byte_for_byte() {
        let wrong = [
            json!("https://evil.example/api/v2"),
            json!(format!("{ISSUER}/")),
            json!(ISSUER.replace("https", "http")),
            json!(ISSUER.to_uppercase()),
            json!([ISSUER]),
            json!(null),
        ];
        assert_refused("iss", &wrong, TokenProblem::Issuer);
        assert_eq!(with_claim("iss", None), Err(TokenProblem::Issuer));
    }

    #[test]
    fn aud_and_azp_are_this_client_alone() {
        let wrong = [json!("other"), json!([CLIENT_ID, "other"]), json!([]), json!(&CLIENT_ID[..8]), json!(null)];
        assert_refused("aud", &wrong, TokenProblem::Audience);
        assert_eq!(with_claim("aud", None), Err(TokenProblem::Audience));
        assert!(with_claim("aud", Some(json!([CLIENT_ID]))).is_ok());
        assert_refused("azp", &[json!("other"), json!([CLIENT_ID]), json!(null)], TokenProblem::AuthorizedParty);
        assert!(with_claim("azp", Some(json!(CLIENT_ID))).is_ok());
    }

    #[test]
    fn times_hold_within_the_skew() {
        assert_eq!(with_claim("exp", None), Err(TokenProblem::Expired));
        assert_refused("exp", &[json!(NOW - 61), json!(0), json!(NOW - 86_400)], TokenProblem::Expired);
        assert_refused("exp", &[json!(1e300), json!(-1), json!("2030"), json!(null)], TokenProblem::Malformed);
        for good in [json!(NOW - 60), json!(NOW), json!(NOW as f64 + 0.5)] {
            assert!(with_claim("exp", Some(good)).is_ok());
        }
        assert_eq!(with_claim("iat", None), Err(TokenProblem::IssuedAt));
        assert_refused("iat", &[json!(NOW + 61), json!(NOW + 600), json!(NOW - 601)], TokenProblem::IssuedAt);
        assert!(with_claim("iat", Some(json!(NOW + 60))).is_ok() && with_claim("iat", Some(json!(NOW - 600))).is_ok());
        assert_refused("nbf", &[json!(NOW + 61)], TokenProblem::NotYetValid);
        assert!(with_claim("nbf", Some(json!(NOW + 60))).is_ok());
    }

    #[test]
    fn nonce_and_sub_are_strict() {
        let nonces = [json!("other"), json!([NONCE]), json!(NONCE.to_uppercase()), json!(""), json!(null)];
        assert_refused("nonce", &nonces, TokenProblem::Nonce);
        assert_eq!(with_claim("nonce", None), Err(TokenProblem::Nonce));
        let subjects = [json!(""), json!("a".repeat(256)), json!("é"), json!(7), json!(null)];
        assert_refused("sub", &subjects, TokenProblem::Subject);
        assert_eq!(with_claim("sub", None), Err(TokenProblem::Subject));
    }

    #[test]
    fn auth_time_is_believed_only_where_it_makes_a_login_older() {
        let now = Timestamp::from_secs(NOW);
        let asked = Some(Duration::from_secs(300));
        let told =
            |value: Option<Value>, max_age| with_claim("auth_time", value).unwrap().auth_time(max_age, now).as_secs();
        let auth_time = |value| told(value, asked);
        assert_eq!((told(None, asked), told(None, None)), (NOW, 0), "it is owed only where `max_age` was asked for");
        assert_eq!((auth_time(Some(json!(NOW - 900))), auth_time(Some(json!(NOW + 900)))), (NOW - 900, NOW));
        assert_eq!(told(Some(json!(NOW - 900)), None), NOW - 900);
        for unreadable in [json!("now"), json!(-1), json!(null), json!([NOW])] {
            assert_eq!(auth_time(Some(unreadable)), 0);
        }
    }

    #[test]
    fn at_hash_binds_where_it_is_present() {
        let hash = |token: &str| json!(base64url(&sha256(token.as_bytes())[..16]));
        assert!(with_claim("at_hash", Some(hash(ACCESS_TOKEN))).is_ok());
        let whole = json!(base64url(&sha256(ACCESS_TOKEN.as_bytes())));
        assert_refused("at_hash", &[hash("another"), whole, json!(""), json!(7), json!(null)], TokenProblem::AtHash);
    }

    proptest! {
        #[test]
        fn no_other_text_in_place_of_any_character_is_accepted(place in 0_usize..2000, other in any::<char>()) {
            let token = jws::sign(&client_secret_key(), "JWT", &id_token_claims(ISSUER));
            let place = place % token.len();
            prop_assume!(!token[place..].starts_with(other));
            let changed = format!("{}{other}{}", &token[..place], &token[place + 1..]);
            prop_assert!(verify_as(SignatureAlgorithm::Hs256, &changed, &Keys::of_client(CLIENT_SECRET)).is_err());
        }

        #[test]
        fn no_text_makes_it_stumble(text in "[\\PC.]{0,200}") {
            prop_assert!(verify_as(SignatureAlgorithm::Hs256, &text, &Keys::of_client(CLIENT_SECRET)).is_err());
        }
    }
}
