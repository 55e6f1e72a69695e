//! `[identity]`

use super::provider::Provider;
use crate::config::diagnostic::Diagnostic;
use crate::config::raw::{Item, Section};
use crate::config::vocabulary::Vocabulary;
use crate::identity::{Encoding, HeaderPrefix};
use crate::oidc::Preset;

/// The pivot: without these an agent cannot be told from another, nor named.
const PIVOT: [&str; 5] = ["sub", "given_name", "usual_name", "email", "uid"];

pub(super) struct Identity {
    pub(super) header_prefix: HeaderPrefix,
    pub(super) encoding: Encoding,
    /// Claims without which no login succeeds; none written: see [`Identity::required`].
    required: Option<Vec<String>>,
}

pub(super) fn read(section: &Section<'_>, providers: &[Provider]) -> Identity {
    section.refuse_unknown_keys();
    let required = section.item("required").map(|item| required(&item, providers));
    if required.is_none() {
        providers.iter().for_each(|provider| warn_of_missing(section, &provider.vocabulary));
    }
    Identity {
        header_prefix: section.parsed("header_prefix").unwrap_or_default(),
        encoding: section.parsed("encoding").unwrap_or_default(),
        required,
    }
}

impl Identity {
    /// The claims without which no login at this provider succeeds.
    pub(super) fn required(&self, vocabulary: &Vocabulary) -> Vec<String> {
        self.required.clone().unwrap_or_else(|| match vocabulary.preset {
            Preset::AgentConnect => PIVOT.map(str::to_owned).to_vec(),
            Preset::OpenId => vec!["sub".to_owned()],
        })
    }
}

fn required(item: &Item<'_>, providers: &[Provider]) -> Vec<String> {
    item.elements().iter().filter_map(|element| required_claim(element, providers)).collect()
}

/// A claim that every provider may send: the first one that has none of the name tells so.
fn required_claim(item: &Item<'_>, providers: &[Provider]) -> Option<String> {
    let name = item.filled()?;
    let sent = providers
        .iter()
        .all(|provider| provider.vocabulary.claim(name, &item.place(), item.section_report()).is_some());
    sent.then(|| name.to_owned())
}

fn warn_of_missing(section: &Section<'_>, vocabulary: &Vocabulary) {
    let missing: Vec<&str> = PIVOT.into_iter().filter(|claim| vocabulary.missing_scope(claim).is_some()).collect();
    let (Some(place), Preset::AgentConnect, false) = (&vocabulary.scope_place, vocabulary.preset, missing.is_empty())
    else {
        return;
    };
    let none = Diagnostic::warning(place, "no login will succeed: required claims are not asked for");
    let help = format!("`required` in [identity] names them by default: {}", missing.join(", "));
    section.report().push(none.help(help));
}
