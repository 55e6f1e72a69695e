//! A provider, and the logins that it carries.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::authorization::{self, AuthorizationParams, LogoutParams};
use super::back_channel::CallLimits;
use super::cache::DiskCache;
use super::discovery::{Discovery, Snapshot};
use super::error::{LoginError, ProviderError, TokenProblem, UserInfoProblem};
use super::id_token::{self, IdToken};
use super::json::{self, Object};
use super::keys::Keys;
use super::logout_token::{self, LogoutToken, LogoutTokenError};
use super::metadata::Metadata;
use super::pivot;
use super::settings::{Settings, SettingsError};
use super::token::{self, Grant, RefreshedTokens, Tokens};
use super::user_info::{self, Received};
use crate::clock::{Clock, Timestamp};
use crate::identity::Claims;
use crate::secret::Secret;

/// An OpenID provider as our client knows it.
pub struct Provider {
    settings: Settings,
    discovery: Discovery,
    clock: Clock,
}

/// What the agent's browser brought back (RFC 6749 section 4.1.2, RFC 9207 section 2).
#[derive(Clone, Copy)]
pub struct AuthorizationAnswer<'a> {
    /// The code, good for one token request.
    pub code: &'a str,
    /// The issuer that answers, where the answer names one.
    pub iss: Option<&'a str>,
}

/// An agent whom the provider has authenticated.
pub struct Authenticated {
    /// Who they are.
    pub claims: Claims,
    /// When they authenticated, as far as the provider says: this moment where it says nothing.
    pub authenticated_at: Timestamp,
    /// The ID token, kept for nothing but the `id_token_hint` of logout.
    pub id_token: Secret<String>,
    /// What the provider calls its session (`sid`), where it says.
    pub sid: Option<String>,
    /// What userinfo is asked again with, where the provider gave it.
    pub refresh_token: Option<Secret<String>>,
}

/// How the provider is doing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// Whether logins can be expected to succeed: metadata and keys are known, and the last attempt to renew them did
    /// not fail.
    pub available: bool,
    /// How old the metadata and keys in force are; none before the first success.
    pub metadata_age: Option<Duration>,
    /// Why the last attempt to renew them failed.
    pub last_error: Option<String>,
    /// The provider's clock minus ours, in seconds; none before its first answer.
    pub clock_offset: Option<i64>,
}

impl Provider {
    /// A provider by its settings, with what `cache_dir` remembers of it. The network is not asked.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] where the settings cannot work.
    pub fn new(settings: Settings, cache_dir: Option<&Path>, clock: Clock) -> Result<Self, SettingsError> {
        Self::with_limits(settings, cache_dir, clock, CallLimits::default())
    }

    pub(super) fn with_limits(
        settings: Settings,
        cache_dir: Option<&Path>,
        clock: Clock,
        limits: CallLimits,
    ) -> Result<Self, SettingsError> {
        let cache = cache_dir.map(|dir| DiskCache::new(dir, &settings.name, &settings.issuer));
        let discovery = Discovery::new(&settings, cache, clock.clone(), limits)?;
        Ok(Self { settings, discovery, clock })
    }

    /// What it was made of.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the configuration calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// See [`Settings::fingerprint`].
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.settings.fingerprint()
    }

    /// Renews metadata and keys now.
    ///
    /// # Errors
    ///
    /// [`ProviderError`] where the provider gives none that are believed; those in force stay in force.
    pub async fn refresh(&self) -> Result<(), ProviderError> {
        self.discovery.refresh().await
    }

    /// Renews metadata and keys for ever: at once, then about every ten minutes, sooner after failures.
    pub async fn follow(&self) {
        self.discovery.follow().await;
    }

    /// The metadata in force as the provider published them (OpenID Connect Discovery 1.0 section 3), what we do not use
    /// included; none before the first success.
    #[must_use]
    pub fn published(&self) -> Option<serde_json::Map<String, serde_json::Value>> {
        json::object(self.discovery.known()?.published().as_bytes())
    }

    /// How the provider is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        let (metadata_age, last_error) = self.discovery.health();
        let available = metadata_age.is_some() && last_error.is_none();
        Status { available, metadata_age, last_error, clock_offset: self.discovery.clock_offset() }
    }

    /// The URL that sends an agent to log in. Waits, for a bounded time, where nothing is known of the provider yet.
    ///
    /// # Errors
    ///
    /// [`LoginError::Unavailable`].
    pub async fn authorization_request(&self, params: &AuthorizationParams<'_>) -> Result<String, LoginError> {
        let snapshot = self.discovery.current().await.map_err(LoginError::Unavailable)?;
        Ok(authorization::authorization_url(&snapshot.metadata, &self.settings, params))
    }

    /// Turns a code into the agent's verified claims. The code is sent once, whatever happens.
    ///
    /// `redirect_uri`, `nonce`, `code_verifier` and `max_age` are those of the authorization request.
    ///
    /// # Errors
    ///
    /// [`LoginError`]; before any call where `iss` is wrong.
    pub async fn redeem(
        &self,
        answer: &AuthorizationAnswer<'_>,
        redirect_uri: &str,
        nonce: &str,
        code_verifier: &str,
        max_age: Option<Duration>,
    ) -> Result<Authenticated, LoginError> {
        let snapshot = self.discovery.current().await.map_err(LoginError::Unavailable)?;
        self.check_iss(Some(&snapshot.metadata), answer.iss)?;
        let tokens = self.tokens(&snapshot, &Grant { code: answer.code, redirect_uri, code_verifier }).await?;
        let id_token = self.id_token(&snapshot, &tokens, nonce).await?;
        let user_info = self.user_info(&snapshot, &tokens.access_token).await?;
        user_info::check(&user_info, &id_token.sub)?;
        let claims = pivot::claims(&id_token, &user_info, (&self.settings.required, &self.settings.denied))?;
        let authenticated_at = id_token.auth_time(max_age, self.clock.now());
        let sid = id_token.claims.get("sid").and_then(logout_token::identifier).map(str::to_owned);
        let Tokens { id_token, refresh_token, .. } = tokens;
        Ok(Authenticated { claims, authenticated_at, id_token, sid, refresh_token })
    }

    /// Checks the `iss` of an error answer, which RFC 9207 protects like any other.
    ///
    /// # Errors
    ///
    /// [`LoginError::IssMismatch`], [`LoginError::IssMissing`].
    pub fn check_error_iss(&self, iss: Option<&str>) -> Result<(), LoginError> {
        self.check_iss(self.discovery.known().as_ref().map(|snapshot| &snapshot.metadata), iss)
    }

    /// The URL that ends the agent's session at the provider; none where it has no such endpoint, or nothing is known
    /// of it yet.
    #[must_use]
    pub fn end_session_request(
        &self,
        id_token_hint: Option<&str>,
        post_logout_redirect_uri: &str,
        state: &str,
    ) -> Option<String> {
        let params = LogoutParams { id_token_hint, post_logout_redirect_uri, state };
        authorization::end_session_url(&self.discovery.known()?.metadata, &self.settings.client_id, &params)
    }

    /// Uses a refresh token (OpenID Connect Core 1.0 section 12), once, whatever happens.
    ///
    /// # Errors
    ///
    /// [`LoginError`]
    pub async fn refresh_tokens(&self, refresh_token: &Secret<String>) -> Result<RefreshedTokens, LoginError> {
        let snapshot = self.discovery.current().await.map_err(LoginError::Unavailable)?;
        let request = token::refresh(refresh_token, &snapshot.metadata, &self.settings);
        let answer = self.discovery.call("token_endpoint", request).await.map_err(LoginError::Unavailable)?;
        RefreshedTokens::read(&answer)
    }

    /// Ends a refresh token (RFC 7009), where the provider is known to have an endpoint for that.
    ///
    /// # Errors
    ///
    /// [`LoginError::TokenEndpoint`], [`LoginError::Unavailable`]
    pub async fn revoke(&self, refresh_token: &Secret<String>) -> Result<(), LoginError> {
        let snapshot = self.discovery.known();
        let Some(endpoint) = snapshot.as_ref().and_then(|snapshot| snapshot.metadata.revocation_endpoint.as_ref())
        else {
            return Ok(());
        };
        let request = token::revocation(refresh_token, endpoint, &self.settings);
        let answer = self.discovery.call("revocation_endpoint", request).await.map_err(LoginError::Unavailable)?;
        token::is_revoked(&answer)
    }

    /// What userinfo says now of the agent whose claims were `before`; what the ID token of their login said stays.
    ///
    /// # Errors
    ///
    /// [`LoginError`]
    pub async fn identity(&self, access_token: &Secret<String>, before: &Claims) -> Result<Claims, LoginError> {
        let snapshot = self.discovery.current().await.map_err(LoginError::Unavailable)?;
        let user_info = self.user_info(&snapshot, access_token).await?;
        user_info::check(&user_info, before.sub())?;
        let login = pivot::login_of(before);
        pivot::claims(&login, &user_info, (&self.settings.required, &self.settings.denied))
    }

    /// Reads a logout token (OpenID Connect Back-Channel Logout 1.0 section 2.6). Whether it came before is the caller's to
    /// find out.
    ///
    /// # Errors
    ///
    /// [`LogoutTokenError`]
    pub async fn logout_token(&self, token: &str) -> Result<LogoutToken, LogoutTokenError> {
        let snapshot = self.discovery.current().await.map_err(LogoutTokenError::Unavailable)?;
        let now = self.clock.now();
        let expected = logout_token::Expected {
            algorithm: self.settings.id_token_signed_response_alg,
            issuer: self.discovery.issuer(),
            client_id: &self.settings.client_id,
            now,
        };
        let claims = self.verified(&snapshot, |keys: &Keys| logout_token::verify(token, keys, &expected)).await?;
        LogoutToken::read(&claims, now)
    }

    fn check_iss(&self, metadata: Option<&Metadata>, iss: Option<&str>) -> Result<(), LoginError> {
        let promised = metadata.is_some_and(|metadata| metadata.authorization_response_iss_parameter_supported);
        match iss {
            Some(iss) if iss == self.discovery.issuer() => Ok(()),
            Some(_) => Err(LoginError::IssMismatch),
            None if promised => Err(LoginError::IssMissing),
            None => Ok(()),
        }
    }

    async fn tokens(&self, snapshot: &Snapshot, grant: &Grant<'_>) -> Result<Tokens, LoginError> {
        let request = grant.request(&snapshot.metadata, &self.settings);
        let answer = self.discovery.call("token_endpoint", request).await.map_err(LoginError::Unavailable)?;
        Tokens::read(&answer)
    }

    async fn id_token(&self, snapshot: &Snapshot, tokens: &Tokens, nonce: &str) -> Result<IdToken, LoginError> {
        let expected = id_token::Expected {
            algorithm: self.settings.id_token_signed_response_alg,
            issuer: self.discovery.issuer(),
            client_id: &self.settings.client_id,
            nonce,
            access_token: tokens.access_token.expose(),
            now: self.clock.now(),
        };
        let verify = |keys: &Keys| IdToken::verify(tokens.id_token.expose(), keys, &expected);
        let id_token = self.verified(snapshot, verify).await.map_err(LoginError::IdToken)?;
        let accepted = &self.settings.acr_values;
        if accepted.is_empty() || id_token.acr().is_some_and(|acr| accepted.iter().any(|accepted| accepted == acr)) {
            Ok(id_token)
        } else {
            Err(LoginError::AcrNotHeld)
        }
    }

    async fn user_info(&self, snapshot: &Snapshot, access_token: &Secret<String>) -> Result<Object, LoginError> {
        let request = user_info::request(&snapshot.metadata, access_token);
        let answer = self.discovery.call("userinfo_endpoint", request).await.map_err(LoginError::Unavailable)?;
        let received =
            Received::read(&answer, self.settings.userinfo_signed_response_alg).map_err(LoginError::UserInfo)?;
        let expected = user_info::Expected {
            issuer: self.discovery.issuer(),
            client_id: &self.settings.client_id,
            now: self.clock.now(),
        };
        let refused = |problem| LoginError::UserInfo(UserInfoProblem::Token(problem));
        self.verified(snapshot, |keys: &Keys| received.verify(keys, &expected)).await.map_err(refused)
    }

    /// Verifies with the keys in force, and once more with newer ones where none of them signed.
    async fn verified<T>(
        &self,
        snapshot: &Snapshot,
        verify: impl Fn(&Keys) -> Result<T, TokenProblem>,
    ) -> Result<T, TokenProblem> {
        let keys: &Arc<Keys> = &snapshot.keys;
        match verify(keys) {
            Err(problem @ (TokenProblem::Signature | TokenProblem::UnknownKey)) => {
                self.discovery.newer_keys(keys).await.map_or(Err(problem), |newer| verify(&newer))
            }
            settled => settled,
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("settings", &self.settings)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Authenticated {
    /// Without claims and token: this may end up in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticated").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
