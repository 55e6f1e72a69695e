//! Logins that came to nothing: what is logged, counted and noted of them, and the page that the agent gets.

use super::Desk;
use crate::gateway::respond::Reply;
use crate::login::Aim;
use crate::login::callback::Failure;
use crate::oidc::{ClaimProblem, LoginError};
use crate::page::{LoginFailure, Message, ProviderError, StepUpFailure};
use crate::telemetry::audit::Action;
use crate::telemetry::metrics::LoginResult;

impl Desk<'_> {
    pub(super) fn failed(&self, failure: &Failure, aim: &Aim) -> Reply {
        match failure {
            Failure::Provider { error, description } => {
                let cause = LoginFailure::from_provider_error(error, description.as_deref());
                self.refused_by_provider(cause, ProviderError::new(error), aim)
            }
            Failure::Verification(error) => self.unverified(error, aim),
        }
    }

    fn refused_by_provider(&self, cause: LoginFailure, error: ProviderError, aim: &Aim) -> Reply {
        tracing::info!(
            request_id = self.request_id,
            reason = cause.reason_code(),
            error = error.as_str(),
            "the provider refused a login"
        );
        if let Some((session, cause)) = self.visit.opened.valid().zip(step_up_failure(cause)).filter(|_| aim.is_step_up)
        {
            return self.not_stepped_up(cause, session, aim);
        }
        self.note_failure(cause.reason_code(), aim);
        // A login during which the provider may not show anything would fail again.
        let aloud = aim.wishes.hints.are_silent().then(|| self.login_url(&aim.return_to));
        let retry_url = aloud.as_deref().unwrap_or(aim.return_to.as_str());
        self.page(&Message::LoginFailed { cause, error: Some(error), retry_url })
    }

    fn unverified(&self, error: &LoginError, aim: &Aim) -> Reply {
        tracing::warn!(request_id = self.request_id, reason = error.reason_code(), %error, "a login was refused");
        if let (LoginError::AcrNotHeld, Some(session), true) = (error, self.visit.opened.valid(), aim.is_step_up) {
            return self.not_stepped_up(StepUpFailure::NotReached, session, aim);
        }
        self.note_failure(error.reason_code(), aim);
        let retry_url = aim.return_to.as_str();
        let reply = match error {
            LoginError::AcrNotHeld => {
                self.page(&Message::LoginFailed { cause: LoginFailure::AcrNotHeld, error: None, retry_url })
            }
            LoginError::RequiredClaim { claim, problem } => {
                self.page(&Message::ClaimProblem { claim, malformed: *problem == ClaimProblem::Malformed })
            }
            LoginError::Unavailable(_) => self.page(&Message::ProviderUnavailable { retry_url }),
            _ => self.page(&Message::LoginFailed { cause: LoginFailure::Verification, error: None, retry_url }),
        };
        reply.because(error.reason_code())
    }

    fn note_failure(&self, reason: &'static str, aim: &Aim) {
        self.count(aim.is_step_up, LoginResult::Failed(reason));
        let action = if aim.is_step_up { Action::StepUp } else { Action::Login };
        self.note(action, false, reason, self.visit.opened.valid().filter(|_| aim.is_step_up).map(AsRef::as_ref));
    }
}

/// What the provider's refusal says of a step-up; none where it is about something else.
const fn step_up_failure(cause: LoginFailure) -> Option<StepUpFailure> {
    match cause {
        LoginFailure::AccessDenied | LoginFailure::AcrNotHeld | LoginFailure::LoginRequired => {
            Some(StepUpFailure::NotReached)
        }
        LoginFailure::Cancelled => Some(StepUpFailure::Cancelled),
        LoginFailure::ConfigurationRefused
        | LoginFailure::DomainRefused
        | LoginFailure::IdpHintNotFound
        | LoginFailure::InvalidIdentity
        | LoginFailure::TechnicalError
        | LoginFailure::Verification => None,
    }
}
