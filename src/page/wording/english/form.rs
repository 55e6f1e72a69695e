//! Forms that met an expired session, in English.

use std::time::Duration;

use crate::page::wording::{Wording, ago, duration, shown};
use crate::page::{FormView, Language};

pub(super) fn shown_again(form: &FormView<'_>) -> Wording<'static> {
    let application = shown(form.application);
    match form.sent {
        None => Wording::say(
            "Send this form?",
            format!("You had to identify yourself again first. The application “{application}” has not got it yet."),
        ),
        Some(sent) => Wording::say(
            "Send this form again?",
            format!(
                "It was passed on to the application “{application}” {}. Send it again only if it was refused there.",
                ago(sent, Language::English)
            ),
        ),
    }
}

pub(super) fn gone() -> Wording<'static> {
    Wording::say(
        "This form is no longer available",
        "It was deleted, it has been kept for as long as forms are, or it was filled in under another account or in \
         another browser.",
    )
    .advise("See in the application whether it was taken into account. If not, please fill it in again.")
}

pub(super) fn kept(keep: Duration) -> Wording<'static> {
    Wording::say(
        "Your session has expired",
        format!(
            "Your form was not sent to the application, but nothing is lost: it is kept here for {}.",
            duration(keep, Language::English)
        ),
    )
    .advise("Log in again with the same account: you will see what will be sent, and send it with one click.")
}
