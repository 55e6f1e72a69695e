//! The logout token, by which a provider says whose sessions it ended (OpenID Connect Back-Channel Logout 1.0 sections
//! 2.4 and 2.6).

use std::time::Duration;

use serde_json::Value;

use super::algorithm::SignatureAlgorithm;
use super::claim_set::{self, SKEW};
use super::error::{ProviderError, TokenProblem};
use super::json::Object;
use super::jws::Jws;
use super::keys::Keys;
use crate::clock::Timestamp;

/// What makes a JWT a logout token: the member of `events`.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Its own `typ`, where it has one that says so.
const TYPE: &str = "logout+jwt";

/// How long after its `iat` it is taken.
const MAX_AGE: Duration = Duration::from_secs(300);

/// A logout token that holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogoutToken {
    /// What tells it from every other token of the provider.
    pub jti: String,
    /// When it is too old to be taken by anybody.
    pub good_until: Timestamp,
    /// Whose sessions end.
    pub whose: Whose,
}

/// Whose sessions a provider ended.
#[derive(Clone, Eq, PartialEq)]
pub enum Whose {
    /// All those of the agent with this `sub`.
    Sub(String),
    /// Those of one session at the provider, by `sid`.
    Sid(String),
}

/// Neither belongs in a log.
impl std::fmt::Debug for Whose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sub(_) => "Sub",
            Self::Sid(_) => "Sid",
        })
    }
}

/// Why a logout token is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LogoutTokenError {
    /// `events` is not that of a logout.
    #[error("events is not that of a logout")]
    Events,
    /// `jti` is absent or malformed.
    #[error("jti is absent or malformed")]
    Jti,
    /// It has a `nonce`, which makes it an ID token.
    #[error("it has a nonce")]
    Nonce,
    /// It names nobody: `sub` and `sid` are absent, or one is malformed.
    #[error("sub and sid are absent, or one is malformed")]
    Nobody,
    /// It is no token of the provider's for this client.
    #[error("{0}")]
    Token(#[from] TokenProblem),
    /// The provider's keys are not known.
    #[error("the provider is unavailable: {0}")]
    Unavailable(ProviderError),
}

/// What a logout token must say.
pub(super) struct Expected<'a> {
    pub(super) algorithm: SignatureAlgorithm,
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) now: Timestamp,
}

/// The claims of `token`, once the signature, the addressee and the times hold.
pub(super) fn verify(token: &str, keys: &Keys, expected: &Expected<'_>) -> Result<Object, TokenProblem> {
    let claims = Jws::parse_typed(token, expected.algorithm, Some(TYPE))?.verify(keys)?.claims;
    claim_set::check_issuer(&claims, expected.issuer)?;
    claim_set::check_audience(&claims, expected.client_id)?;
    if !claims.contains_key("exp") {
        return Err(TokenProblem::Expired);
    }
    claim_set::check_expiry(&claims, expected.now)?;
    claim_set::check_not_before(&claims, expected.now)?;
    let iat = claim_set::numeric_date(&claims, "iat")?.ok_or(TokenProblem::IssuedAt)?;
    let fresh = iat <= expected.now.plus(SKEW) && expected.now.since(iat) <= MAX_AGE;
    if fresh { Ok(claims) } else { Err(TokenProblem::IssuedAt) }
}

impl LogoutToken {
    /// What verified claims mean, where they are those of a logout.
    pub(super) fn read(claims: &Object, now: Timestamp) -> Result<Self, LogoutTokenError> {
        if claims.contains_key("nonce") {
            return Err(LogoutTokenError::Nonce);
        }
        let event = claims.get("events").and_then(|events| events.get(EVENT));
        if !event.is_some_and(Value::is_object) {
            return Err(LogoutTokenError::Events);
        }
        let jti = claims.get("jti").and_then(identifier).ok_or(LogoutTokenError::Jti)?;
        Ok(Self { jti: jti.to_owned(), good_until: now.plus(MAX_AGE + SKEW), whose: whose(claims)? })
    }
}

/// A `sid` says which of the agent's sessions; without it, all of them.
fn whose(claims: &Object) -> Result<Whose, LogoutTokenError> {
    let nobody = |_| LogoutTokenError::Nobody;
    let sub = claims.get("sub").map(|_| claim_set::subject(claims)).transpose().map_err(nobody)?;
    let sid = claims.get("sid").map(|sid| identifier(sid).ok_or(LogoutTokenError::Nobody)).transpose()?;
    let named = sid.map(|sid| Whose::Sid(sid.to_owned())).or_else(|| sub.map(|sub| Whose::Sub(sub.to_owned())));
    named.ok_or(LogoutTokenError::Nobody)
}

/// A string of 1 to 255 bytes of visible ASCII, as we take `sid` and `jti`.
pub(super) fn identifier(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()))
}
