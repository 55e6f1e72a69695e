//! JSON Web Signature, compact serialization (RFC 7515 section 7.1), for the tokens that we sign.
//!
//! Tokens of others are verified by openidconnect, which knows every algorithm a provider may use.

use serde_json::{Value, json};

use super::base64url;
use super::signing::SigningKey;

/// Signs `claims` as a JWT of the given `typ` (RFC 7519 section 5.1), under the key's `kid` and `alg`.
#[must_use]
pub fn sign(key: &SigningKey, typ: &str, claims: &Value) -> String {
    let header = json!({ "alg": key.key_type().jws_alg(), "kid": key.kid(), "typ": typ });
    sign_with_header(key, &header, claims)
}

/// Signs `claims` under exactly this header, whatever it says.
#[must_use]
pub fn sign_with_header(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let signing_input =
        format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
    let signature = base64url(&key.sign(signing_input.as_bytes()));
    format!("{signing_input}.{signature}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::from_base64url;
    use crate::crypto::signing::{KeyType, VerifyingKey};

    #[test]
    fn the_signature_covers_header_and_claims() {
        let key = SigningKey::generate(KeyType::EcdsaP256).unwrap();
        let token = sign(&key, "JWT", &json!({ "sub": "s" }));
        let (signing_input, signature) = token.rsplit_once('.').unwrap();
        let verifier = VerifyingKey::from_jwk(&key.to_jwk().unwrap()).unwrap();
        assert!(verifier.verify(signing_input.as_bytes(), &from_base64url(signature).unwrap()));
        let header = from_base64url(signing_input.split_once('.').unwrap().0).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!((&header["alg"], &header["typ"]), (&json!("ES256"), &json!("JWT")));
    }
}
