//! Logins that did not succeed, in English.

use crate::page::label::claim_label;
use crate::page::wording::Wording;
use crate::page::{Language, LoginFailure, LoopCause};

const RETRY_IS_NO_USE: &str = "Give the reference below to your support team. Trying again will probably not help.";

pub(super) fn claim_problem(claim: &str, malformed: bool, provider: &str) -> Wording<'static> {
    let (title, problem) = if malformed {
        ("Incorrect information in your account", "gave, in an incorrect form,")
    } else {
        ("Missing information in your account", "did not give")
    };
    let label = claim_label(claim, Language::English);
    let named = label.map_or_else(|| claim.to_owned(), |label| format!("{label} ({claim})"));
    Wording::say(title, format!("{provider} {problem} something that a login needs. No session was opened."))
        .name("What it is", &named)
        .advise("Ask the IT support of your organisation to correct it in your account, then log in again.")
}

pub(super) fn expired() -> Wording<'static> {
    Wording::say(
        "Please log in again",
        "This login expired, was already used, or began in another browser. No session was opened.",
    )
}

pub(super) fn provider_unavailable(provider: &str) -> Wording<'static> {
    Wording::say(
        "Logging in is not possible for the moment",
        format!("{provider}, the service that checks who you are, is not answering for the moment."),
    )
    .advise("Your open sessions keep working.")
    .advise("To open a new session, try again in a few minutes.")
}

pub(super) fn failed(cause: LoginFailure, provider: &str) -> Wording<'static> {
    match cause {
        LoginFailure::AccessDenied => access_denied(provider),
        LoginFailure::AcrNotHeld => acr_not_held(),
        LoginFailure::Cancelled => cancelled(),
        LoginFailure::ConfigurationRefused => configuration_refused(provider),
        LoginFailure::DomainRefused => domain_refused(provider),
        LoginFailure::IdpHintNotFound => idp_hint_not_found(provider),
        LoginFailure::InvalidIdentity => invalid_identity(provider),
        LoginFailure::LoginRequired => login_required(provider),
        LoginFailure::TechnicalError => technical_error(provider),
        LoginFailure::Verification => verification(provider),
    }
}

fn access_denied(provider: &str) -> Wording<'static> {
    Wording::say("Login refused", format!("{provider} refused the login to this application without saying why."))
        .advise("Try again, with another account if you have one.")
}

fn acr_not_held() -> Wording<'static> {
    Wording::say(
        "Stronger authentication required",
        "This application asks for a level of authentication that your login did not reach, such as a second factor.",
    )
    .advise("Try again with stronger means if you have them: a one-time code, a security key, an agent’s card.")
    .advise("If your organisation offers none, ask its IT support.")
}

fn cancelled() -> Wording<'static> {
    Wording::say("Login interrupted", "The login did not reach its end: it was given up, or it waited too long.")
        .advise("You can start again whenever you like.")
}

fn configuration_refused(provider: &str) -> Wording<'static> {
    Wording::say(
        "Logging in to this application is not possible",
        format!("{provider} rejected our login request: this site is badly configured. It is not your doing."),
    )
    .advise(RETRY_IS_NO_USE)
}

fn domain_refused(provider: &str) -> Wording<'static> {
    Wording::say(
        "Account not admitted",
        format!(
            "{provider} does not admit this account for this application. Most often, the domain of its e-mail address \
             is not on the list of those allowed."
        ),
    )
    .advise("Try again with your usual work address.")
}

fn idp_hint_not_found(provider: &str) -> Wording<'static> {
    Wording::say(
        "Logging in to this application is not possible",
        format!("{provider} does not know the identity provider that this site asks for. It is not your doing."),
    )
    .advise(RETRY_IS_NO_USE)
}

fn invalid_identity(provider: &str) -> Wording<'static> {
    Wording::say(
        "Account not admitted",
        format!(
            "{provider} did not accept this account: the application is for public servants only, or the account is \
             blocked."
        ),
    )
    .advise("Try again with the account of your organisation.")
}

fn login_required(provider: &str) -> Wording<'static> {
    Wording::say("Please identify yourself again", format!("{provider} asks you to identify yourself again."))
}

fn technical_error(provider: &str) -> Wording<'static> {
    Wording::say(
        "Trouble while logging in",
        format!(
            "{provider}, or the identity provider of your organisation, ran into a technical error. No session was \
             opened."
        ),
    )
    .advise("Try again in a few minutes.")
}

fn verification(provider: &str) -> Wording<'static> {
    Wording::say(
        "Login not verified",
        format!(
            "What we received during the login with {provider} could not be verified. To be safe, no session was \
             opened."
        ),
    )
    .advise("Try again. If this message comes back, give the reference below to your support team.")
}

pub(super) fn going_in_circles(cause: LoopCause) -> Wording<'static> {
    let (why, advice): (&str, &[&'static str]) = match cause {
        LoopCause::Clock => (
            "each session is over as soon as it opens, because the server’s clock is wrong. It is not your doing.",
            &["Give this message and the reference below to your support team: the server’s clock must be set."],
        ),
        LoopCause::Cookie => (
            "your browser does not keep the cookies of this site.",
            &[
                "Allow cookies for this site, then try again.",
                "If that is not enough, leave private browsing or try another browser.",
            ],
        ),
        LoopCause::Host => (
            "each time, it comes back to another address than it started from.",
            &[
                "Start again from the official address of the application, as your organisation gives it.",
                "If this message comes back, give it to your support team with the reference below: the name of the \
                 site must be corrected in its configuration.",
            ],
        ),
        LoopCause::Key => (
            "the server cannot read the session that it has just opened. It is not your doing.",
            &[
                "Give this message and the reference below to your support team: the servers of this site must share the \
               same keys.",
            ],
        ),
    };
    let lead = format!("After three tries, the login still does not arrive: {why}");
    advice.iter().fold(Wording::say("The login goes round in circles", lead), |wording, advice| wording.advise(*advice))
}
