//! Verifies what the gateway signs, with nothing of its code but the bare signature primitives: RFC 9421 section 3.2
//! for requests, RFC 7519 for assertions.

use portillon::clock::Timestamp;
use portillon::crypto::from_base64url;
use portillon::crypto::signing::VerifyingKey;
use serde_json::{Map, Value};

use super::upstream::Received;

/// The public keys of a gateway, and the secret of a route that has one.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// The members of the JWK Set.
    pub jwks: Vec<Value>,
    /// The secret of `hmac-sha256`.
    pub hmac: Option<Vec<u8>>,
}

impl Keys {
    /// The keys of a JWK Set.
    pub fn new(jwk_set: &str) -> Self {
        let set: Value = serde_json::from_str(jwk_set).expect("a JWK Set is JSON");
        Self { jwks: set["keys"].as_array().expect("a JWK Set has keys").clone(), hmac: None }
    }

    fn find(&self, keyid: &str, alg: &str) -> Result<VerifyingKey, String> {
        if alg == "hmac-sha256" {
            return self
                .hmac
                .as_ref()
                .map(|key| VerifyingKey::hmac_sha256(key))
                .ok_or_else(|| "no HMAC key".to_owned());
        }
        let jwk = self.jwks.iter().find(|jwk| jwk["kid"] == keyid).ok_or_else(|| format!("no key {keyid}"))?;
        VerifyingKey::from_jwk(jwk).ok_or_else(|| format!("an unusable key {keyid}"))
    }
}

/// A signature that verified.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The covered components in their order, unquoted.
    pub covered: Vec<String>,
    /// `alg`
    pub alg: String,
    /// `nonce`
    pub nonce: String,
    /// `created`
    pub created: u64,
    /// `expires`
    pub expires: u64,
    /// `tag`
    pub tag: String,
}

/// Verifies the `portillon` signature of a request as its upstream received it.
pub fn verify_request(request: &Received, keys: &Keys) -> Result<Signed, String> {
    let input = only(request, "signature-input")?;
    let parameters = input.strip_prefix("portillon=").ok_or_else(|| format!("another label in {input}"))?;
    let (list, tail) = parameters.strip_prefix('(').and_then(|rest| rest.split_once(')')).ok_or("no inner list")?;
    let covered: Vec<String> = list.split(' ').map(|component| component.trim_matches('"').to_owned()).collect();
    let signed = read_parameters(covered, tail)?;
    let key = keys.find(&parameter(tail, "keyid")?, &signed.alg)?;
    let signature = only(request, "signature")?;
    let encoded =
        signature.strip_prefix("portillon=:").and_then(|rest| rest.strip_suffix(':')).ok_or("no signature")?;
    let bytes =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).map_err(|e| e.to_string())?;
    let base = signature_base(request, &signed.covered, parameters)?;
    if key.verify(base.as_bytes(), &bytes) { Ok(signed) } else { Err(format!("does not verify over {base}")) }
}

fn read_parameters(covered: Vec<String>, tail: &str) -> Result<Signed, String> {
    let number = |name: &str| parameter(tail, name)?.parse().map_err(|_| format!("{name} is no number"));
    Ok(Signed {
        covered,
        alg: parameter(tail, "alg")?,
        nonce: parameter(tail, "nonce")?,
        created: number("created")?,
        expires: number("expires")?,
        tag: parameter(tail, "tag")?,
    })
}

fn parameter(tail: &str, name: &str) -> Result<String, String> {
    let mut found = tail.split(';').filter_map(|part| part.split_once('=')).filter(|(key, _)| *key == name);
    let value = found.next().ok_or_else(|| format!("no {name}"))?.1;
    if found.next().is_some() { Err(format!("{name} twice")) } else { Ok(value.trim_matches('"').to_owned()) }
}

fn signature_base(request: &Received, covered: &[String], parameters: &str) -> Result<String, String> {
    let target = request.head.word(1);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut base = String::new();
    for component in covered {
        let value = match component.as_str() {
            "@method" => request.head.word(0).to_owned(),
            "@authority" => only(request, "host")?.to_ascii_lowercase(),
            "@path" => path.to_owned(),
            "@query" => format!("?{query}"),
            field => only(request, field)?,
        };
        base.push_str(&format!("\"{component}\": {value}\n"));
    }
    Ok(base + &format!("\"@signature-params\": {parameters}"))
}

fn only(request: &Received, name: &str) -> Result<String, String> {
    let mut values = request.head.values(name);
    match values.len() {
        1 => Ok(values.remove(0)),
        count => Err(format!("{count} times {name}")),
    }
}

/// Verifies a JWT assertion and gives its claims.
pub fn verify_assertion(token: &str, keys: &Keys, now: Timestamp) -> Result<Map<String, Value>, String> {
    let (signing_input, signature) = token.rsplit_once('.').ok_or("no compact serialization")?;
    let (header, claims) = signing_input.split_once('.').ok_or("no compact serialization")?;
    let (header, claims) = (json_part(header)?, json_part(claims)?);
    if header["alg"] != "ES256" {
        return Err(format!("alg {}", header["alg"]));
    }
    let key = keys.find(header["kid"].as_str().unwrap_or_default(), "ES256")?;
    let signature = from_base64url(signature).ok_or("no base64url")?;
    if !key.verify(signing_input.as_bytes(), &signature) {
        return Err("does not verify".to_owned());
    }
    let (iat, exp) = (claims["iat"].as_u64().ok_or("no iat")?, claims["exp"].as_u64().ok_or("no exp")?);
    if !(iat..exp).contains(&now.as_secs()) {
        return Err(format!("{now} is not from {iat} to {exp}"));
    }
    Ok(claims)
}

fn json_part(part: &str) -> Result<Map<String, Value>, String> {
    let bytes = from_base64url(part).ok_or("no base64url")?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}
