//! The second half of a login: the answer of the authorization endpoint (OpenID Connect Core 1.0 section 3.1.2.5).

use std::collections::HashMap;

use http::HeaderValue;

use super::aim::Aim;
use super::redeemed::Redeemed;
use super::return_to::ReturnTo;
use super::rounds;
use super::transaction::{Attempt, State, forgotten};
use crate::clock::Timestamp;
use crate::crypto::key_ring::KeyRing;
use crate::oidc::{Authenticated, AuthorizationAnswer, LoginError, Provider, UserInfoProblem};
use crate::session::cookie::OwnCookies;
use crate::session::{AtProvider, Login, Session};
use crate::store::records::RecordError;

/// The parameters of the provider's answer, each at most once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    state: String,
    iss: Option<String>,
    result: AnswerResult,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum AnswerResult {
    Code(String),
    Error { error: String, description: Option<String> },
}

/// The query is no answer of an authorization endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotAnAnswer {
    /// Both a code and an error, or tokens, which this flow never brings.
    #[error("parameters that do not belong together")]
    Contradictory,
    /// A parameter came twice.
    #[error("a parameter came twice")]
    Duplicate,
    /// Neither a code nor an error, or no state.
    #[error("a parameter is missing")]
    Incomplete,
}

impl Answer {
    /// Reads the query of a request for the redirect URI.
    ///
    /// # Errors
    ///
    /// [`NotAnAnswer`] where it is none.
    pub fn parse(query: &str) -> Result<Self, NotAnAnswer> {
        let mut parameters: HashMap<String, String> = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if parameters.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(NotAnAnswer::Duplicate);
            }
        }
        if ["access_token", "id_token", "token_type"].iter().any(|name| parameters.contains_key(*name)) {
            return Err(NotAnAnswer::Contradictory);
        }
        let result = match (parameters.remove("code"), parameters.remove("error")) {
            (Some(code), None) => AnswerResult::Code(code),
            (None, Some(error)) => AnswerResult::Error { error, description: parameters.remove("error_description") },
            (Some(_), Some(_)) => return Err(NotAnAnswer::Contradictory),
            (None, None) => return Err(NotAnAnswer::Incomplete),
        };
        let state = parameters.remove("state").ok_or(NotAnAnswer::Incomplete)?;
        Ok(Self { state, iss: parameters.remove("iss"), result })
    }
}

/// How an answer ends.
#[derive(Debug)]
pub enum Outcome {
    /// The provider refused, or its answer proves nothing.
    Failed(Failed),
    /// The agent is who the provider says.
    LoggedIn(LoggedIn),
    /// Three rounds, and this browser never brought its cookie back.
    Loop,
    /// Nothing is known of this login: another gateway's, another host's, or none.
    Lost,
    /// The answer is of no use here, but the agent has a session that will do: to the page they wanted.
    Return(ReturnTo),
    /// The answer came without its login, late, or again: another round.
    Restart(Aim),
    /// Nobody can tell whether the answer came before: it was not redeemed.
    Unknown {
        /// The page asked for.
        return_to: ReturnTo,
        /// Why not.
        error: RecordError,
    },
}

/// A login that failed.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub failure: Failure,
    /// What it was for.
    pub aim: Aim,
    /// The `Set-Cookie` value that removes the attempt's cookie.
    pub forget: HeaderValue,
}

/// A login that succeeded.
#[derive(Debug)]
pub struct LoggedIn {
    /// What the session is made of.
    pub login: Login,
    /// What it was for. Whether the login has what that wishes is yet to be seen.
    pub aim: Aim,
    /// The `Set-Cookie` value that removes the attempt's cookie.
    pub forget: HeaderValue,
}

/// Why a login failed.
#[derive(Debug)]
pub enum Failure {
    /// The provider's own answer (RFC 6749 section 4.1.2.1).
    Provider {
        /// Its `error`.
        error: String,
        /// Its `error_description`.
        description: Option<String>,
    },
    /// What it answered did not verify, or it did not answer.
    Verification(LoginError),
}

impl Failure {
    /// Whether the provider no longer takes the code (RFC 6749 section 5.2), or the token that it gave for it (RFC 6750
    /// section 3.1). AgentConnect's codes live a minute or less, which a machine that slept, or a tab that was restored,
    /// outlasts; and a login in another tab ends what this one was given.
    fn is_stale(&self) -> bool {
        match self {
            Self::Verification(LoginError::UserInfo(problem)) => *problem == UserInfoProblem::Status(401),
            Self::Verification(error) => error.is_invalid_grant(),
            Self::Provider { .. } => false,
        }
    }
}

/// What an answer is judged by.
pub struct Context<'a> {
    /// What things are sealed for at the host that got the answer: the host and its provider, which is thus the one that
    /// was asked.
    pub host: &'a str,
    /// This host's redirect URI, as registered.
    pub redirect_uri: &'a str,
    /// The cookies that came with the answer.
    pub cookies: &'a OwnCookies,
    /// The valid session that came with it.
    pub session: Option<&'a Session>,
    /// The keys that sealed the state.
    pub keys: &'a KeyRing,
    /// The provider that was asked.
    pub provider: &'a Provider,
    /// The states redeemed before, at any gateway.
    pub redeemed: &'a Redeemed,
    /// The present.
    pub now: Timestamp,
}

/// Judges the provider's answer.
pub async fn answer(answer: Answer, context: &Context<'_>) -> Outcome {
    let Some(state) = State::open(context.keys, context.host, &answer.state) else {
        return if context.session.is_some() { Outcome::Return(ReturnTo::root()) } else { Outcome::Lost };
    };
    let attempt = Attempt::of(&answer.state, context.cookies, context.keys, context.host, context.now);
    let Some(attempt) = attempt else { return without_attempt(state, context.session, context.now) };
    let code = match &answer.result {
        AnswerResult::Code(code) => code,
        // Nothing is redeemed, so that nothing is noted: an error that comes again says the same again.
        AnswerResult::Error { .. } if will_do(context.session, &attempt.aim, context.now) => {
            return Outcome::Return(attempt.aim.return_to);
        }
        AnswerResult::Error { error, description } => {
            let failure = refused(error, description.as_deref(), answer.iss.as_deref(), context);
            return failed(failure, &answer.state, attempt);
        }
    };
    match context.redeemed.first_time(&answer.state, attempt.ends_at()).await {
        Ok(true) => judged(code, &answer, attempt, context).await,
        Ok(false) => without_attempt(state, context.session, context.now),
        Err(error) => Outcome::Unknown { return_to: attempt.aim.return_to, error },
    }
}

/// What becomes of an answer that begins no session: this browser did not begin its login, or it came late or again.
pub(super) fn without_attempt(State { aim, .. }: State, session: Option<&Session>, now: Timestamp) -> Outcome {
    if will_do(session, &aim, now) {
        return Outcome::Return(aim.return_to);
    }
    let aim = aim.again();
    if aim.round >= rounds::MOST { Outcome::Loop } else { Outcome::Restart(aim) }
}

/// Whether a session makes a login superfluous. A page that a step-up was for is not returned to without what it wants: that
/// would begin another.
fn will_do(session: Option<&Session>, aim: &Aim, now: Timestamp) -> bool {
    let has_wishes = |session: &Session| aim.wishes.are_met_by(session.claims(), session.authenticated_at(), now);
    session.is_some_and(|session| !aim.is_step_up || has_wishes(session))
}

fn refused(error: &str, description: Option<&str>, iss: Option<&str>, context: &Context<'_>) -> Failure {
    let (error, description) = (error.to_owned(), description.map(str::to_owned));
    match context.provider.check_error_iss(iss) {
        Ok(()) => Failure::Provider { error, description },
        Err(problem) => Failure::Verification(problem),
    }
}

fn failed(failure: Failure, state: &str, Attempt { aim, .. }: Attempt) -> Outcome {
    Outcome::Failed(Failed { failure, aim, forget: forgotten(state) })
}

async fn judged(code: &str, answer: &Answer, attempt: Attempt, context: &Context<'_>) -> Outcome {
    match redeem(code, answer.iss.as_deref(), &attempt, context).await.map_err(Failure::Verification) {
        Ok(login) => Outcome::LoggedIn(LoggedIn { login, aim: attempt.aim, forget: forgotten(&answer.state) }),
        Err(failure) if failure.is_stale() && will_do(context.session, &attempt.aim, context.now) => {
            Outcome::Return(attempt.aim.return_to)
        }
        Err(failure) => failed(failure, &answer.state, attempt),
    }
}

async fn redeem(code: &str, iss: Option<&str>, attempt: &Attempt, context: &Context<'_>) -> Result<Login, LoginError> {
    let answer = AuthorizationAnswer { code, iss };
    let Attempt { nonce, code_verifier, aim, .. } = attempt;
    let authenticated =
        context.provider.redeem(&answer, context.redirect_uri, nonce, code_verifier, aim.wishes.max_age).await?;
    let at_provider = AtProvider { provider: context.provider.fingerprint(), sid: authenticated.sid.clone() };
    let Authenticated { claims, authenticated_at, id_token, refresh_token, .. } = authenticated;
    Ok(Login { at_provider, claims, authenticated_at, id_token, refresh_token, continues: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_code_or_an_error_with_its_state() {
        let code = Answer::parse("code=c&state=s&iss=https%3A%2F%2Fp").unwrap();
        assert_eq!(code.iss.as_deref(), Some("https://p"));
        assert_eq!(code.result, AnswerResult::Code("c".to_owned()));
        assert!(Answer::parse("error=access_denied&error_description=non&state=s").is_ok());
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for (query, expected) in [
            ("", NotAnAnswer::Incomplete),
            ("code=c", NotAnAnswer::Incomplete),
            ("state=s", NotAnAnswer::Incomplete),
            ("code=c&state=s&state=t", NotAnAnswer::Duplicate),
            ("code=c&code=c&state=s", NotAnAnswer::Duplicate),
            ("code=c&error=e&state=s", NotAnAnswer::Contradictory),
            ("code=c&state=s&id_token=t", NotAnAnswer::Contradictory),
            ("access_token=t&state=s", NotAnAnswer::Contradictory),
        ] {
            assert_eq!(Answer::parse(query), Err(expected), "{query}");
        }
    }
}
