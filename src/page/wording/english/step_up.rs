//! Agents who are logged in, but not as the application wants, in English.

use std::time::Duration;

use crate::page::step_up::Strength;
use crate::page::wording::{Wording, duration, shown};
use crate::page::{Language, StepUpFailure, StepUpView, Wanted};

pub(super) fn needed<'a>(application: &str, wanted: &Wanted<'_>, step_up_url: &'a str) -> Wording<'a> {
    let application = shown(application);
    exactly(
        Wording::say(
            "Stronger authentication required",
            format!("Nothing was sent. For this, the application “{application}” asks for {}.", in_words(wanted)),
        ),
        wanted,
    )
    .step("Open a new tab to authenticate, with the button below.")
    .step("Come back to this tab, then reload this page.")
    .link_in_new_tab("Authenticate (new tab)", step_up_url)
}

pub(super) fn kept(keep: Duration) -> Wording<'static> {
    Wording::say(
        "Stronger authentication required",
        format!(
            "The application asks for a stronger or more recent authentication before it takes this. Nothing is lost: your \
             form is kept here for {}.",
            duration(keep, Language::English)
        ),
    )
    .advise("Authenticate with the same account: you will see what will be sent, and send it with one click.")
}

pub(super) fn failed<'a>(view: &StepUpView<'a>, provider: &str) -> Wording<'a> {
    let (application, wanted) = (shown(view.application), in_words(&view.wanted));
    let (title, lead) = match view.cause {
        StepUpFailure::Cancelled => (
            "Authentication interrupted",
            format!("The application “{application}” asks for {wanted}. The authentication did not reach its end."),
        ),
        StepUpFailure::NotReached => (
            "Stronger authentication required",
            format!(
                "The application “{application}” asks for {wanted}. You are logged in, but {provider} did not confirm \
                 that level."
            ),
        ),
        StepUpFailure::NotRecent => (
            "New authentication required",
            format!(
                "The application “{application}” asks for {wanted}. {provider} went on with your earlier login, \
                 without a new authentication."
            ),
        ),
    };
    let wording = exactly(Wording::say(title, lead), &view.wanted);
    let wording = match view.cause {
        StepUpFailure::NotRecent => wording.advise("Log out, then come back to the application to authenticate again."),
        StepUpFailure::Cancelled | StepUpFailure::NotReached => wording
            .advise("Try again with stronger means if you have them: a one-time code, a security key, an agent’s card.")
            .advise("If your organisation offers none, ask its IT support."),
    };
    wording
        .advise("Your session stays open: what does not need that level keeps working.")
        .link("Try again", view.retry_url)
}

fn exactly<'a>(wording: Wording<'a>, wanted: &Wanted<'_>) -> Wording<'a> {
    match wanted.exactly() {
        Some(levels) => wording.name("Level asked for", &levels),
        None => wording,
    }
}

/// What is wanted, after “asks for”.
fn in_words(wanted: &Wanted<'_>) -> String {
    let level = match wanted.strength() {
        Strength::Any => "an authentication",
        Strength::Hardware => {
            "an authentication by hardware of yours (an agent’s card and its code, or a security key)"
        }
        Strength::Particular => "a particular level of authentication",
        Strength::Strong => {
            "a strong authentication (an authenticator app, a security key or an agent’s card), with a verified identity"
        }
        Strength::TwoFactors => {
            "two factors (besides the password, a one-time code, a security key or an agent’s card)"
        }
    };
    match wanted.max_age {
        Some(max_age) => format!("{level}, less than {} ago", duration(max_age, Language::English)),
        None => level.to_owned(),
    }
}
