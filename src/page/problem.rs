//! Problem details (RFC 9457) for whatever is not a person.

use std::collections::BTreeSet;

use http::StatusCode;
use percent_encoding::utf8_percent_encode;
use serde::Serialize;

use super::contact::NON_URL;
use super::wording::Wording;
use super::{Message, View};

/// A problem details object. Its `type` is `about:blank`, so its `title` is the status's own; what tells problems apart
/// is `code`.
#[derive(Debug, Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    instance: String,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    reasons: &'a [&'a str],
    // By the names of RFC 9470 section 3.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    acr_values: &'a BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    amr_values: &'a BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<&'a str>,
}

/// The problem that `message` is, in JSON.
pub(super) fn body(message: &Message<'_>, view: &View<'_>, wording: &Wording<'_>) -> Vec<u8> {
    static NONE: BTreeSet<String> = BTreeSet::new();
    let wanted = message.wanted();
    let problem = Problem {
        r#type: "about:blank",
        title: title(message.status()),
        status: message.status().as_u16(),
        detail: wording.summary(),
        instance: utf8_percent_encode(view.request_id, NON_URL).to_string(),
        code: message.reason_code(),
        login_url: message.login_url(),
        application: message.application(),
        reasons: message.reasons(),
        acr_values: wanted.map_or(&NONE, |wanted| &wanted.levels.acr),
        amr_values: wanted.map_or(&NONE, |wanted| &wanted.levels.amr),
        max_age: wanted.and_then(|wanted| wanted.max_age).map(|max_age| max_age.as_secs()),
        contact: view.contact,
    };
    serde_json::to_vec(&problem).expect("strings and numbers always serialise")
}

fn title(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}
