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
