//! The first half of a login: the redirect to the authorization endpoint.

use http::HeaderValue;

use super::aim::Aim;
use super::transaction::{MOST_IN_STATE, NewAttempt, evicted};
use crate::clock::Timestamp;
use crate::crypto::key_ring::KeyRing;
use crate::oidc::{AuthorizationParams, LoginError, Provider};
use crate::session::cookie::OwnCookies;

/// What a login is begun with.
#[derive(Debug)]
pub struct Start<'a> {
    /// What things are sealed for at the host that the agent wants: the host and its provider.
    pub host: &'a str,
    /// This host's redirect URI, as registered.
    pub redirect_uri: &'a str,
    /// What the login is for.
    pub aim: Aim,
}

/// A login begun: where the browser goes, and what it keeps.
#[derive(Debug)]
pub struct Started {
    /// The authorization request.
    pub location: String,
    /// `Set-Cookie` values.
    pub cookies: Vec<HeaderValue>,
}

/// Begins a login.
///
/// # Errors
///
/// [`LoginError`] where nothing is known of the provider yet and it does not answer.
pub async fn start(
    start: Start<'_>,
    cookies: &OwnCookies,
    keys: &KeyRing,
    provider: &Provider,
    now: Timestamp,
) -> Result<Started, LoginError> {
    let new = NewAttempt::new(keys, start.host, (start.aim, MOST_IN_STATE), now);
    let location = provider
        .authorization_request(&AuthorizationParams {
            redirect_uri: start.redirect_uri,
            state: &new.state,
            nonce: &new.attempt.nonce,
            code_verifier: &new.attempt.code_verifier,
            wishes: &new.attempt.aim.wishes,
        })
        .await?;
    let cookies = evicted(cookies, new.cookie.len()).chain([new.cookie]).collect();
    Ok(Started { location, cookies })
}
