//! Whom to ask: what an operator wrote as `contact`, as a link where it can be one.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

/// A contact as a page shows it.
#[derive(Debug, Eq, PartialEq, Serialize)]
pub(super) struct Contact<'a> {
    /// What is shown.
    text: &'a str,
    /// Where it leads, where it is an e-mail address or a web page.
    url: Option<String>,
}

impl<'a> Contact<'a> {
    /// Reads a contact: an e-mail address (whose subject will be `subject`), an http or https URL, or plain text.
    pub(super) fn new(text: &'a str, subject: &str) -> Self {
        let text = text.trim();
        let url = if text.starts_with("https://") || text.starts_with("http://") {
            Some(text.to_owned())
        } else if is_email(text) {
            Some(format!("mailto:{text}?subject={}", utf8_percent_encode(subject, NON_URL)))
        } else {
            None
        };
        Self { text, url }
    }
}

/// Narrower than RFC 5322: what fails is shown as text, which harms nobody.
fn is_email(text: &str) -> bool {
    let is_word = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte))
    };
    text.split_once('@').is_some_and(|(mailbox, domain)| is_word(mailbox) && is_word(domain))
}

/// Everything but the unreserved characters of RFC 3986 section 2.3.
pub(super) const NON_URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Option<String> {
        Contact::new(text, "Référence A1").url
    }

    #[test]
    fn an_address_or_a_web_page_becomes_a_link_and_anything_else_is_text() {
        assert_eq!(
            url("support-paie@example.gouv.fr").as_deref(),
            Some("mailto:support-paie@example.gouv.fr?subject=R%C3%A9f%C3%A9rence%20A1")
        );
        assert_eq!(url(" https://aide.example.fr/ ").as_deref(), Some("https://aide.example.fr/"));
        for text in ["le bureau B12, poste 4242", "javascript:alert(1)", "a@b?bcc=c@d", "@", "a@", "data:text/html,x"] {
            assert_eq!(url(text), None, "{text}");
        }
    }
}
