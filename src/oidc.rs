//! OpenID Connect Core 1.0 as a relying party, the way AgentConnect runs it: authorization code flow with PKCE
//! (RFC 7636), the issuer in the answer (RFC 9207), ID token and userinfo both verified.
//!
//! A login takes three calls of [`Provider`]: [`Provider::authorization_request`] sends the agent away,
//! [`Provider::redeem`] turns the code that they bring back into verified claims, and
//! [`Provider::end_session_request`] logs them out. Everything that the provider says is checked before it is
//! believed: metadata when they are fetched, tokens when they are read, claims before they leave this module.
//!
//! openidconnect gives the types of metadata and keys, the signature algorithms and the authorization request. What it
//! leaves to its callers is here: strict JSON, `azp`, `iat`, clock skew, `at_hash`, userinfo JWTs of any algorithm, size
//! and time limits, caches.

mod algorithm;
mod authorization;
mod back_channel;
mod cache;
mod claim_set;
mod clock_offset;
mod discovery;
mod error;
mod id_token;
mod json;
mod jws;
mod keys;
mod logout_token;
mod metadata;
mod pivot;
mod preset;
mod provider;
mod settings;
#[cfg(test)]
mod test_provider;
mod token;
mod tunnel;
mod user_info;
mod wishes;

pub use algorithm::{SignatureAlgorithm, UnknownAlgorithm};
pub use authorization::AuthorizationParams;
pub use back_channel::CallError;
pub use error::{ClaimProblem, LoginError, ProviderError, TokenProblem, UserInfoProblem};
pub use logout_token::{LogoutToken, LogoutTokenError, Whose};
pub use metadata::MetadataError;
pub use pivot::described;
pub use preset::{Environment, Preset, UnknownName};
pub use provider::{Authenticated, AuthorizationAnswer, Provider, Status};
pub use settings::{DEFAULT, Settings, SettingsError, TokenEndpointAuthMethod};
pub use token::RefreshedTokens;
pub use wishes::{Hint, Hints, Levels, Wishes, is_recent};
