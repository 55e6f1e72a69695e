//! The messages in English.

use super::{Wording, shown};
use crate::page::label::claim_label;
use crate::page::{Language, LoginFailure, LoopCause, Message};

const RETRY: &str = "Try again";
const LOG_IN: &str = "Log in";
const QUOTE_REFERENCE: &str = "Give the reference below to your support team.";

/// The words for `message`.
pub(super) fn wording<'a>(message: &Message<'a>, provider: &str) -> Wording<'a> {
    match message {
        Message::AmbiguousPath => Wording::say(
            "Ambiguous address",
            "The address that was asked for can be read in two ways. To be safe, the request was not passed on to the \
             application.",
        )
        .advise("Check the link that you followed, or start again from the application’s home page."),
        Message::BadRequest { .. } => Wording::say(
            "Bad request",
            "Your browser sent a request that we cannot read. It was not passed on to the application.",
        )
        .advise("Reload the page. If this message comes back, clear the cookies of this site or change browsers."),
        Message::ClaimProblem { claim, malformed } => claim_problem(claim, *malformed, provider),
        Message::Internal => {
            Wording::say("Something went wrong", "We ran into an unexpected error. It is not your doing.").advise(
                "Reload the page in a moment. If the error comes back, give the reference below to your support team.",
            )
        }
        Message::LoginExpired { retry_url } => Wording::say(
            "Please log in again",
            "This login expired, was already used, or began in another browser. No session was opened.",
        )
        .link(LOG_IN, retry_url),
        Message::LoginFailed { cause, retry_url, .. } => login_failed(*cause, provider, retry_url),
        Message::LoginLoop { cause, retry_url } => login_loop(*cause).link(RETRY, retry_url),
        Message::Me(me) => {
            Wording::say("Your session", format!("You are using “{}” as the person below.", shown(me.application)))
        }
        Message::MethodNotAllowed { .. } => {
            Wording::say("Operation not allowed", "This address does not accept this kind of request.")
                .advise("Go back to the previous page and use the links or buttons that it offers.")
        }
        Message::NoRoute => Wording::say("Page not found", "No application answers at this address.")
            .advise("Check the address, or start again from the home page of your application."),
        Message::PayloadTooLarge => Wording::say(
            "Too large to send",
            "The file or form is larger than this application accepts. Sending it was interrupted.",
        )
        .advise("Make the file smaller, or send it in several parts."),
        Message::ProviderUnavailable { retry_url } => Wording::say(
            "Logging in is not possible for the moment",
            format!("{provider}, the service that checks who you are, is not answering for the moment."),
        )
        .advise("Your open sessions keep working.")
        .advise("To open a new session, try again in a few minutes.")
        .link(RETRY, retry_url),
        Message::Refused { application, .. } => Wording::say(
            "Access refused",
            format!("The login succeeded, but this account has no access to the application “{}”.", shown(application)),
        ),
        Message::SessionEnded { login_url } => Wording::say(
            "Your session has expired",
            "Nothing was sent. What you typed is still in this tab: do not close it.",
        )
        .step("Open a new tab to log in again, with the button below.")
        .step("Come back to this tab, then reload this page to send your form again.")
        .link_in_new_tab("Log in again (new tab)", login_url),
        Message::SignedOut { application_url } => {
            Wording::say("Your session is closed", "You have logged out of this application.")
                .advise(format!(
                    "Other sites that you opened with {provider} stay open: log out of each of them as well."
                ))
                .advise("On a shared computer, close every browser window before you leave.")
                .link("Log in again", application_url)
        }
        Message::Unauthenticated { login_url } => {
            Wording::say("Login required", "This address is for agents who have logged in.").link(LOG_IN, login_url)
        }
        Message::UnknownSite { host } => unknown_site(host),
        Message::UpstreamTimeout { application } => Wording::say(
            "The application is slow to answer",
            format!("The application “{}” did not answer in time.", shown(application)),
        )
        .advise("If you had just sent a form, it may have gone through: check before you send it again.")
        .advise("Otherwise, reload the page in a few minutes."),
        Message::UpstreamUnavailable { application } => Wording::say(
            "Application unavailable",
            format!("The application “{}” is not answering for the moment.", shown(application)),
        )
        .advise("Your account is not the cause. Reload the page in a few minutes.")
        .advise("If you had just sent a form, then check whether it went through."),
    }
}

fn claim_problem<'a>(claim: &str, malformed: bool, provider: &str) -> Wording<'a> {
    let (title, problem) = if malformed {
        ("Incorrect information in your account", "gave, in an incorrect form,")
    } else {
        ("Missing information in your account", "did not give")
    };
    let label = claim_label(claim, Language::English);
    let shown_claim = label.map_or_else(|| claim.to_owned(), |label| format!("{label} ({claim})"));
    Wording::say(title, format!("{provider} {problem} something that a login needs. No session was opened."))
        .name("What it is", &shown_claim)
        .advise("Ask the IT support of your organisation to correct it in your account, then log in again.")
}

fn login_failed<'a>(cause: LoginFailure, provider: &str, retry_url: &'a str) -> Wording<'a> {
    match cause {
        LoginFailure::AccessDenied => Wording::say(
            "Login refused",
            format!("{provider} refused the login to this application without saying why."),
        )
        .advise("Try again, with another account if you have one."),
        LoginFailure::AcrNotHeld => Wording::say(
            "Stronger authentication required",
            "This application asks for a level of authentication that your login did not reach, such as a second \
             factor.",
        )
        .advise("Try again with stronger means if you have them: a one-time code, a security key, an agent’s card.")
        .advise("If your organisation offers none, ask its IT support."),
        LoginFailure::Cancelled => Wording::say(
            "Login interrupted",
            "The login did not reach its end: it was given up, or it waited too long.",
        )
        .advise("You can start again whenever you like."),
        LoginFailure::ConfigurationRefused => Wording::say(
            "Logging in to this application is not possible",
            format!("{provider} rejected our login request: this site is badly configured. It is not your doing."),
        )
        .advise(format!("{QUOTE_REFERENCE} Trying again will probably not help.")),
        LoginFailure::DomainRefused => Wording::say(
            "Account not admitted",
            format!(
                "{provider} does not admit this account for this application. Most often, the domain of its e-mail \
                 address is not on the list of those allowed."
            ),
        )
        .advise("Try again with your usual work address."),
        LoginFailure::IdpHintNotFound => Wording::say(
            "Logging in to this application is not possible",
            format!("{provider} does not know the identity provider that this site asks for. It is not your doing."),
        )
        .advise(format!("{QUOTE_REFERENCE} Trying again will probably not help.")),
        LoginFailure::InvalidIdentity => Wording::say(
            "Account not admitted",
            format!(
                "{provider} did not accept this account: the application is for public servants only, or the account \
                 is blocked."
            ),
        )
        .advise("Try again with the account of your organisation."),
        LoginFailure::LoginRequired => {
            Wording::say("Please identify yourself again", format!("{provider} asks you to identify yourself again."))
        }
        LoginFailure::TechnicalError => Wording::say(
            "Trouble while logging in",
            format!(
                "{provider}, or the identity provider of your organisation, ran into a technical error. No session was \
                 opened."
            ),
        )
        .advise("Try again in a few minutes."),
        LoginFailure::Verification => Wording::say(
            "Login not verified",
            format!(
                "What we received during the login with {provider} could not be verified. To be safe, no session was \
                 opened."
            ),
        )
        .advise("Try again. If this message comes back, give the reference below to your support team."),
    }
    .link(RETRY, retry_url)
}

fn login_loop<'a>(cause: LoopCause) -> Wording<'a> {
    let (lead, advice): (&'static str, &[&'static str]) = match cause {
        LoopCause::Clock => (
            "Three logins in a row succeeded, but each session was over as soon as it opened: the server’s clock is \
             wrong. It is not your doing.",
            &["Give this message and the reference below to your support team: the server’s clock must be set."],
        ),
        LoopCause::Cookie => (
            "Three logins in a row succeeded, but your browser did not keep the cookie that opens the session.",
            &[
                "Allow cookies for this site, then try again.",
                "If that is not enough, leave private browsing or try another browser.",
            ],
        ),
        LoopCause::Host => (
            "Three logins in a row succeeded, but each came back to another address than it started from.",
            &[
                "Start again from the official address of the application, as your organisation gives it.",
                "If this message comes back, give it to your support team with the reference below: the name of the \
                 site must be corrected in its configuration.",
            ],
        ),
        LoopCause::Key => (
            "Three logins in a row succeeded, but the server could not read the session that it had just opened. It is \
             not your doing.",
            &[
                "Give this message and the reference below to your support team: the servers of this site must share the \
               same keys.",
            ],
        ),
    };
    advice.iter().fold(Wording::say("The login goes round in circles", lead), |wording, advice| wording.advise(*advice))
}

fn unknown_site<'a>(host: &str) -> Wording<'a> {
    let host = if host.is_empty() { "(none)" } else { host };
    Wording::say("Unknown site", "No site is configured here for the address that was received.")
        .name("Address received", host)
        .advise("Check the address that you typed, or the link that you followed.")
        .advise(
            "If you run this server: the address must be the “host” of a route, and a server in front of this one must \
             pass the Host header on unchanged.",
        )
}
