//! The messages in English.

mod form;
mod login;
mod step_up;

use super::{Wording, shown};
use crate::page::Message;

const LOG_IN: &str = "Log in";
const RETRY: &str = "Try again";

/// The words for `message`.
pub(super) fn wording<'a>(message: &Message<'a>, provider: &str) -> Wording<'a> {
    match message {
        Message::AmbiguousPath => ambiguous_path(),
        Message::BadRequest { .. } => bad_request(),
        Message::ClaimProblem { claim, malformed } => login::claim_problem(claim, *malformed, provider),
        Message::Form(form) => form::shown_again(form),
        Message::FormGone { application_url } => form::gone().link("Back to the application", application_url),
        Message::FormKept { form_url, keep, is_step_up: false } => form::kept(*keep).link("Log in again", form_url),
        Message::FormKept { form_url, keep, is_step_up: true } => step_up::kept(*keep).link("Authenticate", form_url),
        Message::Internal => internal(),
        Message::LoginExpired { retry_url } => login::expired().link(LOG_IN, retry_url),
        Message::LoginFailed { cause, retry_url, .. } => login::failed(*cause, provider).link(RETRY, retry_url),
        Message::LoginLoop { cause, retry_url } => login::going_in_circles(*cause).link(RETRY, retry_url),
        Message::Me(me) => self::me(me.application),
        Message::MethodNotAllowed { .. } => method_not_allowed(),
        Message::NoRoute => no_route(),
        Message::PayloadTooLarge => payload_too_large(),
        Message::Portal(portal) => self::portal(portal.applications.is_empty()),
        Message::ProviderUnavailable { retry_url } => login::provider_unavailable(provider).link(RETRY, retry_url),
        Message::Refused(refusal) => refused(refusal.application, provider),
        Message::SessionEnded { login_url } => session_ended(login_url),
        Message::SignedOut { everywhere, application_url } => {
            signed_out(*everywhere, provider).link("Log in again", application_url)
        }
        Message::StepUpFailed(view) => step_up::failed(view, provider),
        Message::StepUpNeeded { application, wanted, step_up_url, .. } => {
            step_up::needed(application, wanted, step_up_url)
        }
        Message::StoreUnavailable { retry_url } => store_unavailable().link(RETRY, retry_url),
        Message::Unauthenticated { login_url } => unauthenticated().link(LOG_IN, login_url),
        Message::UnknownSite { host } => unknown_site(host),
        Message::UpstreamTimeout { application } => upstream_timeout(application),
        Message::UpstreamUnavailable { application } => upstream_unavailable(application),
    }
}

fn ambiguous_path() -> Wording<'static> {
    Wording::say(
        "Ambiguous address",
        "The address that was asked for can be read in two ways. To be safe, the request was not passed on to the \
         application.",
    )
    .advise("Check the link that you followed, or start again from the application’s home page.")
}

fn bad_request() -> Wording<'static> {
    Wording::say(
        "Bad request",
        "Your browser sent a request that we cannot read. It was not passed on to the application.",
    )
    .advise("Reload the page. If this message comes back, clear the cookies of this site or change browsers.")
}

fn internal() -> Wording<'static> {
    Wording::say("Something went wrong", "We ran into an unexpected error. It is not your doing.")
        .advise("Reload the page in a moment. If the error comes back, give the reference below to your support team.")
}

fn me(application: &str) -> Wording<'static> {
    Wording::say("Your session", format!("You are using “{}” as the person below.", shown(application)))
}

fn method_not_allowed() -> Wording<'static> {
    Wording::say("Operation not allowed", "This address does not accept this kind of request.")
        .advise("Go back to the previous page and use the links or buttons that it offers.")
}

fn no_route() -> Wording<'static> {
    Wording::say("Page not found", "No application answers at this address.")
        .advise("Check the address, or start again from the home page of your application.")
}

fn payload_too_large() -> Wording<'static> {
    Wording::say(
        "Too large to send",
        "The file or form is larger than this application accepts. Sending it was interrupted.",
    )
    .advise("Make the file smaller, or send it in several parts.")
}

fn portal(is_empty: bool) -> Wording<'static> {
    let lead = if is_empty {
        "No application is open to this account for the moment."
    } else {
        "These are the applications that this account opens for you."
    };
    Wording::say("Your applications", lead)
}

fn refused(application: &str, provider: &str) -> Wording<'static> {
    let application = shown(application);
    Wording::say(
        "Access refused",
        format!("The login succeeded, but this account has no access to the application “{application}”."),
    )
    .advise(format!(
        "{provider} remembers the account that you used: to log in again without logging out first would give the same \
         one. Log out, then come back to the application and choose the other account."
    ))
}

fn session_ended(login_url: &str) -> Wording<'_> {
    Wording::say("Your session has expired", "Nothing was sent. What you typed is still in this tab: do not close it.")
        .step("Open a new tab to log in again, with the button below.")
        .step("Come back to this tab, then reload this page to send your form again.")
        .link_in_new_tab("Log in again (new tab)", login_url)
}

fn store_unavailable() -> Wording<'static> {
    Wording::say(
        "Not available for the moment",
        "The service that checks whether your session is still open is not answering for the moment.",
    )
    .advise("Your session is not lost: try again in a few minutes, without logging in again.")
}

fn signed_out(everywhere: bool, provider: &str) -> Wording<'static> {
    let lead = if everywhere {
        "You have logged out of this application, and of all that the same login had opened."
    } else {
        "You have logged out of this application."
    };
    Wording::say("Your session is closed", lead)
        .advise(format!("Other sites that you opened with {provider} stay open: log out of each of them as well."))
        .advise("On a shared computer, close every browser window before you leave.")
}

fn unauthenticated() -> Wording<'static> {
    Wording::say("Login required", "This address is for agents who have logged in.")
}

fn unknown_site(host: &str) -> Wording<'static> {
    let host = if host.is_empty() { "(none)" } else { host };
    Wording::say("Unknown site", "No site is configured here for the address that was received.")
        .name("Address received", host)
        .advise("Check the address that you typed, or the link that you followed.")
        .advise(
            "If you run this server: the address must be the “host” of a route, and a server in front of this one must \
             pass the Host header on unchanged.",
        )
}

fn upstream_timeout(application: &str) -> Wording<'static> {
    let application = shown(application);
    Wording::say(
        "The application is slow to answer",
        format!("The application “{application}” did not answer in time."),
    )
    .advise("If you had just sent a form, it may have gone through: check before you send it again.")
    .advise("Otherwise, reload the page in a few minutes.")
}

fn upstream_unavailable(application: &str) -> Wording<'static> {
    let application = shown(application);
    Wording::say("Application unavailable", format!("The application “{application}” is not answering for the moment."))
        .advise("Your account is not the cause. Reload the page in a few minutes.")
        .advise("If you had just sent a form, then check whether it went through.")
}
