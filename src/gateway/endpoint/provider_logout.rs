//! Logouts that begin at the provider: it says so itself (OpenID Connect Back-Channel Logout 1.0), or has the browser say
//! so in a frame of its own page (OpenID Connect Front-Channel Logout 1.0).

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::super::respond::Reply;
use super::{Desk, end_session};
use crate::oidc::{LogoutToken, LogoutTokenError, Whose};
use crate::page;
use crate::session::AtProvider;
use crate::store::Scope;
use crate::telemetry::audit::Action;

/// Why a logout token ends nothing.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// The body is no form with one logout token.
    #[error("the body is no form with one logout_token")]
    Body,
    /// The same token came before.
    #[error("jti came before")]
    Replayed,
    /// The token proves nothing.
    #[error(transparent)]
    Token(#[from] LogoutTokenError),
}

/// The answer to a body longer than any logout token.
#[must_use]
pub fn too_long() -> Reply {
    refused(&Refusal::Body)
}

impl Desk<'_> {
    /// Ends the sessions that a logout token names.
    pub(super) async fn back_channel_logout(&self, form: &[u8]) -> Reply {
        match self.logout_token(form).await {
            Ok(token) => self.end_named(token).await,
            Err(refusal) => {
                self.note(Action::Logout, false, REFUSED, None);
                tracing::warn!(
                    request_id = self.request_id,
                    provider = self.provider().name(),
                    reason = REFUSED,
                    error = %refusal,
                    "a logout token was refused"
                );
                refused(&refusal)
            }
        }
    }

    async fn logout_token(&self, form: &[u8]) -> Result<LogoutToken, Refusal> {
        let encoded = Some(form).filter(|_| self.visit.urlencoded).ok_or(Refusal::Body)?;
        let text = only(encoded, "logout_token").ok_or(Refusal::Body)?;
        let provider = self.provider();
        let token = provider.logout_token(&text).await?;
        match self.site.services.redeemed.first_time(&self.unique(&token), token.good_until).await {
            Ok(false) => Err(Refusal::Replayed),
            // While nobody can tell, no login begins either: a replay would end nothing that is new.
            Ok(true) | Err(_) => Ok(token),
        }
    }

    /// What of a logout token is good once.
    fn unique(&self, token: &LogoutToken) -> String {
        format!("logout token {} {}", self.provider().fingerprint(), token.jti)
    }

    async fn end_named(&self, token: LogoutToken) -> Reply {
        let (services, sessions) = (&self.site.services, &self.site.sessions);
        let (provider, unique) = (self.provider().fingerprint(), self.unique(&token));
        // They end here whatever the store does, and whether or not the provider waits for it.
        self.note(Action::Logout, true, ENDED, None);
        let kept = match token.whose {
            Whose::Sid(sid) => match sessions.end_at_provider(&AtProvider { provider, sid: Some(sid) }) {
                Some(durable) => durable.kept().await,
                None => true,
            },
            Whose::Sub(sub) => {
                let scope = Scope::AgentOfProvider { provider, sub };
                let written = services.revocations.revoke_many(scope, sessions.remembered(), &services.records).await;
                sessions.end_revoked();
                written.is_ok()
            }
        };
        let provider = self.provider().name();
        if kept {
            tracing::info!(request_id = self.request_id, provider, "the provider ended sessions");
            return plain(StatusCode::OK, String::new(), ENDED);
        }
        let reason = "logout_unwritten";
        tracing::warn!(
            request_id = self.request_id,
            provider,
            reason,
            "sessions ended here, and elsewhere once the store answers"
        );
        // The provider asks again with the same token.
        if let Err(error) = services.redeemed.release(&unique).await {
            tracing::debug!(%error, "a logout token may be taken for used");
        }
        let failed = json!({ "error": "temporarily_unavailable" });
        plain(StatusCode::BAD_REQUEST, failed.to_string(), reason)
    }

    /// Ends the session of this browser, where it is the one that the provider names.
    pub(super) async fn front_channel_logout(&self) -> Reply {
        let query = self.visit.query.as_bytes();
        let named = only(query, "iss").zip(only(query, "sid"));
        let Some(session) = self.visit.opened.valid() else { return self.framed(StatusCode::OK, "no_session") };
        let ours = named.is_some_and(|(iss, sid)| {
            iss == self.provider().settings().issuer && session.at_provider().sid == Some(sid)
        });
        if !ours {
            return self.framed(StatusCode::BAD_REQUEST, "front_channel_refused");
        }
        let ending = end_session(self.site, &self.visit.host, session, &self.visit.cookies);
        tracing::info!(
            request_id = self.request_id,
            session = session.pseudonym(),
            "logged out by the provider's page"
        );
        self.note(Action::Logout, true, "front_channel_logout", Some(session));
        let ended = ending.settled(self.request_id).await;
        self.framed(StatusCode::OK, "front_channel_logout").with_cookies(ended.cookies)
    }

    /// An empty page that the provider, and nobody else, may frame.
    fn framed(&self, status: StatusCode, reason: &'static str) -> Reply {
        let origin = self.visit.host.provider.origin.as_deref().unwrap_or("'none'");
        let policy = format!("default-src 'none'; frame-ancestors {origin}");
        let policy = HeaderValue::try_from(policy).expect("an origin is visible ASCII");
        let mut reply = plain(status, String::new(), reason);
        reply.answer.headers.push((CONTENT_SECURITY_POLICY, policy));
        reply
    }
}

const ENDED: &str = "back_channel_logout";
const REFUSED: &str = "back_channel_refused";

/// The parameter called `wanted`, where it comes once.
fn only(encoded: &[u8], wanted: &str) -> Option<String> {
    let mut values = url::form_urlencoded::parse(encoded).filter(|(name, _)| name == wanted);
    let (_, value) = values.next()?;
    values.next().is_none().then(|| value.into_owned())
}

/// Section 2.8: the log says more than the answer, which anybody may ask for.
fn refused(refusal: &Refusal) -> Reply {
    let description = match refusal {
        Refusal::Body => "the body must be a form with one logout_token",
        Refusal::Replayed => "the logout token came before",
        Refusal::Token(_) => "the logout token was refused",
    };
    let body = json!({ "error": "invalid_request", "error_description": description });
    plain(StatusCode::BAD_REQUEST, body.to_string(), REFUSED)
}

fn plain(status: StatusCode, body: String, reason: &'static str) -> Reply {
    let mut headers: Vec<(HeaderName, HeaderValue)> = vec![
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    if !body.is_empty() {
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
    }
    Reply::new(page::Answer { status, headers, body: body.into() }, reason)
}
