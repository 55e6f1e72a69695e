//! What may be shown of a configuration file: everything but its secrets.
//!
//! Errors quote the lines that they are about, and a line may hold a literal secret. Each byte of one becomes `*`, so
//! that every place in the text stays where it is.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::suggest::nearest;

/// Keys whose values are secret, whatever shape they have.
const SECRET_KEYS: [&str; 4] = ["client_secret", "hmac_key", "password", "value"];
/// The members of a secret that say where it is, and not what it is.
const REFERENCES: [&str; 3] = ["credential", "env", "file"];

/// `text` with every byte of a secret replaced by `*`.
pub(super) fn without_secrets(text: &str) -> String {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut hidden = Vec::new();
    hide_in_table(table.get_ref(), false, &mut hidden);
    if !errors.is_empty() {
        hide_by_line(text, &mut hidden);
    }
    replace(text, &hidden)
}

fn hide_in_table(table: &DeTable<'_>, secret: bool, hidden: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let reference = secret && REFERENCES.contains(&key.get_ref().as_ref());
        hide_in_value(value, !reference && (secret || is_secret(key.get_ref())), hidden);
    }
}

fn hide_in_value(value: &Spanned<DeValue<'_>>, secret: bool, hidden: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::Table(table) => hide_in_table(table, secret, hidden),
        DeValue::Array(elements) => elements.iter().for_each(|element| hide_in_value(element, secret, hidden)),
        DeValue::String(text) if secret || holds_user_info(text) => hidden.push(value.span()),
        _ if secret => hidden.push(value.span()),
        _ => {}
    }
}

/// A key, or a slip of the fingers away from one.
fn is_secret(key: &str) -> bool {
    SECRET_KEYS.contains(&key)
        || key.contains("secret")
        || key.contains("password")
        || nearest(key, SECRET_KEYS).is_some()
}

fn holds_user_info(text: &str) -> bool {
    text.contains("://") && text.contains('@')
}

/// Where the file cannot be read as TOML, nothing is sure but lines: what follows `=` after a telling word is hidden,
/// and so is all the rest of a text of several lines that starts there.
fn hide_by_line(text: &str, hidden: &mut Vec<Range<usize>>) {
    let mut start = 0;
    let mut open: Option<&str> = None;
    for line in text.split_inclusive('\n') {
        let equals = line.find('=').filter(|at| is_telling(&line[..*at]));
        let from = if open.is_some() { Some(0) } else { equals.map(|at| at + 1) };
        if let Some(from) = from {
            hidden.push(start + from..start + line.len());
            open = still_open(open, &line[from..]);
        }
        start += line.len();
    }
}

fn is_telling(before_equals: &str) -> bool {
    before_equals.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| !word.is_empty() && is_secret(word))
}

fn still_open<'d>(open: Option<&'d str>, text: &str) -> Option<&'d str> {
    match open {
        Some(delimiter) if text.contains(delimiter) => None,
        Some(delimiter) => Some(delimiter),
        None => ["\"\"\"", "'''"].into_iter().find(|delimiter| text.matches(delimiter).count() == 1),
    }
}

/// Quotes and line ends stay, so that the shape of the line can still be seen.
fn replace(text: &str, hidden: &[Range<usize>]) -> String {
    let is_hidden = |at: usize| hidden.iter().any(|span| span.contains(&at));
    let mut shown = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        match c {
            '"' | '\'' | '\n' | '\r' | ' ' | '{' | '}' => shown.push(c),
            _ if is_hidden(at) => shown.extend(std::iter::repeat_n('*', c.len_utf8())),
            _ => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_in_every_shape_and_spelling() {
        for text in [
            "client_secret = { value = \"hunter2\" }",
            "client_secret = \"hunter2\"",
            "clientsecret = \"hunter2\"",
            "client_secret = { valeu = \"hunter2\" }",
            "client_secret = [\"hunter2\"]",
            "[[route]]\nhmac_key = { value = 'hunter2' }",
            "[store]\npassword.value = \"\"\"\nhunter2\"\"\"",
            "[provider]\nproxy = \"http://user:hunter2@proxy\"",
            "client_secret = { value = \"hunter2 }",
            "[a\nclient_secret = hunter2",
            "[a\nclient_secret = \"\"\"\nhunter2\n",
            "[provider.client_secret]\nvalue = \"hunter2",
        ] {
            let shown = without_secrets(text);
            assert!(!shown.contains("hunter2"), "{shown}");
            assert_eq!(shown.len(), text.len());
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "client_secret = { credential = \"client_secret\" }",
            "client_secret = { file = \"/etc/é\" }\nclient_id = \"é\"",
            "certificates = [{ cert = \"a\", key = \"b\" }]",
        ] {
            assert_eq!(without_secrets(text), text);
        }
    }

    #[test]
    fn bytes_are_counted_so_that_places_stay() {
        assert_eq!(without_secrets("password = \"é\" # x"), "password = \"**\" # x");
    }
}
