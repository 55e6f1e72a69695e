//! The words of each message, one file a language. What a client or a provider sent is cleaned here and escaped by the
//! template: it can neither reorder the text around it nor fill the page.

mod duration;
mod english;
mod french;
mod quantity;

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

use super::{Language, Message};

pub(super) use quantity::{ago, hidden, in_bytes, more_fields, of_file};

/// Words of ours, or made for one message.
type Text = Cow<'static, str>;

/// What a page says, whatever its layout.
#[derive(Debug, Default, Serialize)]
pub(super) struct Wording<'a> {
    /// The heading.
    pub(super) title: Text,
    /// What happened.
    pub(super) lead: Text,
    /// What to do, one sentence or two each.
    pub(super) advice: Vec<Text>,
    /// What to do, in this order, where the order matters.
    pub(super) steps: Vec<Text>,
    /// What is worth naming exactly.
    pub(super) facts: Vec<Fact>,
    /// The one thing to click.
    pub(super) action: Option<Action<'a>>,
}

/// Something named exactly: an address, a claim.
#[derive(Debug, Serialize)]
pub(super) struct Fact {
    label: &'static str,
    value: String,
}

/// A link that looks like a button.
#[derive(Debug, Serialize)]
pub(super) struct Action<'a> {
    label: &'static str,
    url: &'a str,
    new_tab: bool,
}

impl<'a> Wording<'a> {
    /// The words for `message`. `provider` is what agents know the provider as.
    pub(super) fn new(message: &Message<'a>, language: Language, provider: &str) -> Self {
        match language {
            Language::English => english::wording(message, provider),
            Language::French => french::wording(message, provider),
        }
    }

    /// One paragraph for those who read no page.
    pub(super) fn summary(&self) -> String {
        format!("{}. {}", self.title, self.lead)
    }

    fn say(title: impl Into<Text>, lead: impl Into<Text>) -> Self {
        Self { title: title.into(), lead: lead.into(), ..Self::default() }
    }

    fn advise(mut self, advice: impl Into<Text>) -> Self {
        self.advice.push(advice.into());
        self
    }

    fn step(mut self, step: impl Into<Text>) -> Self {
        self.steps.push(step.into());
        self
    }

    fn name(mut self, label: &'static str, value: &str) -> Self {
        self.facts.push(Fact { label, value: shown(value) });
        self
    }

    fn link(mut self, label: &'static str, url: &'a str) -> Self {
        self.action = Some(Action { label, url, new_tab: false });
        self
    }

    fn link_in_new_tab(mut self, label: &'static str, url: &'a str) -> Self {
        self.action = Some(Action { label, url, new_tab: true });
        self
    }
}

/// `duration` in words: «1 heure et 5 minutes».
pub(super) fn duration(duration: Duration, language: Language) -> String {
    duration::in_words(duration, language)
}

/// At most this many characters of anything that we did not write ourselves.
const SHOWN: usize = 300;

/// `text` as a page may show it: no control characters, nothing that reorders what stands around it, not too long.
pub(super) fn shown(text: &str) -> String {
    let mut characters = text.chars().map(|character| if is_hidden(character) { '\u{fffd}' } else { character });
    let mut shown: String = characters.by_ref().take(SHOWN).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Control characters, and the bidirectional and zero-width ones that make text look like another.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hidden_and_nothing_endless_is_shown() {
        assert_eq!(shown("Zoé d’Hérouville"), "Zoé d’Hérouville");
        assert_eq!(shown("a\r\nSet-Cookie: x\u{202e}\u{0}"), "a\u{fffd}\u{fffd}Set-Cookie: x\u{fffd}\u{fffd}");
        let long = shown(&"é".repeat(1000));
        assert_eq!(long.chars().count(), SHOWN + 1);
        assert!(long.ends_with('…'));
    }
}
