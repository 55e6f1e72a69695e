//! `[identity]`

use crate::config::diagnostic::Diagnostic;
use crate::config::raw::Section;
use crate::config::vocabulary::Vocabulary;
use crate::identity::{Encoding, HeaderPrefix};
use crate::oidc::Preset;

/// The pivot: without these an agent cannot be told from another, nor named.
const PIVOT: [&str; 5] = ["sub", "given_name", "usual_name", "email", "uid"];

pub(super) struct Identity {
    pub(super) header_prefix: HeaderPrefix,
    pub(super) encoding: Encoding,
    /// Claims without which no login succeeds.
    pub(super) required: Vec<String>,
}

pub(super) fn read(section: &Section<'_>, vocabulary: &Vocabulary) -> Identity {
    section.refuse_unknown_keys();
    Identity {
        header_prefix: section.parsed("header_prefix").unwrap_or_default(),
        encoding: section.parsed("encoding").unwrap_or_default(),
        required: required(section, vocabulary),
    }
}

fn required(section: &Section<'_>, vocabulary: &Vocabulary) -> Vec<String> {
    let Some(item) = section.item("required") else { return by_default(section, vocabulary) };
    let claims = item
        .elements()
        .into_iter()
        .filter_map(|element| vocabulary.claim(element.filled()?, &element.place(), section.report()));
    claims.collect()
}

fn by_default(section: &Section<'_>, vocabulary: &Vocabulary) -> Vec<String> {
    if vocabulary.preset == Preset::OpenId {
        return vec!["sub".to_owned()];
    }
    let missing: Vec<&str> = PIVOT.into_iter().filter(|claim| vocabulary.missing_scope(claim).is_some()).collect();
    if let (Some(place), false) = (&vocabulary.scope_place, missing.is_empty()) {
        let none = Diagnostic::warning(place, "no login will succeed: required claims are not asked for");
        let help = format!("`required` in [identity] names them by default: {}", missing.join(", "));
        section.report().push(none.help(help));
    }
    PIVOT.map(str::to_owned).to_vec()
}
