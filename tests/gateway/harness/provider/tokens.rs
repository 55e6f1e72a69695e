//! The tokens of the provider, honest but for what its script changes.

use std::sync::Arc;

use portillon::clock::Timestamp;
use portillon::crypto::signing::SigningKey;
use portillon::crypto::{base64url, sha256};
use serde_json::{Map, Value, json};

use super::script::{Edit, Jwt, Signer};
use super::{Grant, State, client_id};

/// What a token says, and who must sign it.
pub(super) struct Token<'a> {
    pub(super) state: &'a State,
    pub(super) alg: &'a str,
    pub(super) claims: Map<String, Value>,
}

impl Token<'_> {
    /// The token in compact serialization, with the changes of `script`.
    pub(super) fn sign(mut self, script: &Jwt) -> String {
        if let Some(raw) = &script.raw {
            return raw.clone();
        }
        let key = self.signer(script);
        Edit::apply(&script.claims, &mut self.claims);
        let mut header = Map::from_iter([("alg".to_owned(), json!(key.key_type().jws_alg()))]);
        if !key.kid().is_empty() {
            header.insert("kid".to_owned(), json!(key.kid()));
        }
        Edit::apply(&script.header, &mut header);
        let part = |members: Map<String, Value>| base64url(Value::Object(members).to_string().as_bytes());
        let signing_input = format!("{}.{}", part(header), part(self.claims));
        let signature = match &script.signer {
            Signer::Literal(bytes) => bytes.clone(),
            Signer::Garbled => garbled(key.sign(signing_input.as_bytes())),
            Signer::Key(_) | Signer::Other(_) | Signer::Registered => key.sign(signing_input.as_bytes()),
        };
        format!("{signing_input}.{}", base64url(&signature))
    }

    fn signer(&self, script: &Jwt) -> Arc<SigningKey> {
        match &script.signer {
            Signer::Key(key) => Arc::clone(key),
            Signer::Other(alg) => self.state.key(alg),
            Signer::Garbled | Signer::Literal(_) | Signer::Registered => self.state.key(self.alg),
        }
    }
}

fn garbled(mut signature: Vec<u8>) -> Vec<u8> {
    signature[7] ^= 0x10;
    signature
}

/// The claims of an ID token (OpenID Connect Core 1.0 section 2): `acr` and `amr` only where they were asked for.
pub(super) fn id_token_claims(issuer: &str, grant: &Grant, access_token: &str, now: Timestamp) -> Map<String, Value> {
    let now = now.as_secs();
    let mut claims = members(json!({
        "iss": issuer,
        "sub": grant.agent.sub(),
        "aud": client_id(),
        "exp": now + 3600,
        "iat": now,
        "auth_time": now,
        "nonce": grant.nonce,
        "at_hash": base64url(&sha256(access_token.as_bytes())[..16]),
    }));
    let asked = grant.claims.get("id_token").and_then(Value::as_object);
    for name in ["acr", "amr"] {
        if asked.is_some_and(|asked| asked.contains_key(name)) {
            claims.extend(grant.agent.claim(name).map(|value| (name.to_owned(), value.clone())));
        }
    }
    claims
}

/// The claims of a userinfo answer; a signed one has `iss`, `aud`, `iat` and `exp` too.
pub(super) fn user_info_claims(issuer: &str, grant: &Grant, signed: bool, now: Timestamp) -> Map<String, Value> {
    let scopes: Vec<&str> = grant.scope.split(' ').collect();
    let mut claims = grant.agent.user_info(&scopes);
    if signed {
        let now = now.as_secs();
        claims.extend(members(json!({ "iss": issuer, "aud": client_id(), "iat": now, "exp": now + 3600 })));
    }
    claims
}

pub(super) fn members(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(members) => members,
        other => unreachable!("{other} is no object"),
    }
}
