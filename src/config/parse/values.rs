//! Values of a condition: one, a list, or those of a file, one a line.

use std::fmt::Display;
use std::sync::Arc;

use super::condition::is_file;
use crate::config::diagnostic::{Diagnostic, Report};
use crate::config::keys;
use crate::config::raw::Item;
use crate::config::source::{Place, Source};
use crate::config::surroundings::Surroundings;

/// Values as they are written, each with its place.
pub(super) struct Written {
    values: Vec<Entry>,
    /// The files that some of them come from.
    files: Vec<String>,
}

struct Entry {
    text: String,
    is_literal: bool,
    place: Place,
}

/// What is wrong with a value.
pub(super) struct Problem {
    title: String,
    label: String,
}

/// A list with more errors than this is another list than was meant.
const MOST_ERRORS: usize = 5;
/// So many values are shown; of more, the first ones and the number.
const MOST_SHOWN: usize = 5;
const FIRST_SHOWN: usize = 3;

impl Problem {
    pub(super) fn new(title: impl Into<String>, label: impl Into<String>) -> Self {
        Self { title: title.into(), label: label.into() }
    }

    pub(super) fn invalid(item: &Item<'_>, error: impl Display) -> Self {
        Self::new(format!("invalid `{}`", item.key()), error.to_string())
    }
}

impl Written {
    /// The values under `item`: strings, and where `literals` may be, booleans and whole numbers.
    pub(super) fn read(item: &Item<'_>, surroundings: &Surroundings, literals: bool) -> Self {
        let mut written = Self { values: Vec::new(), files: Vec::new() };
        for element in item.one_or_more() {
            if element.is_table() {
                written.read_file(&element, surroundings);
                continue;
            }
            let literal = element.literal().filter(|_| literals);
            let is_literal = literal.is_some();
            if let Some(text) = literal.or_else(|| element.filled().map(str::to_owned)) {
                written.values.push(Entry { text, is_literal, place: element.place() });
            }
        }
        written
    }

    fn read_file(&mut self, element: &Item<'_>, surroundings: &Surroundings) {
        if !is_file(element) {
            let other = element.error(format!("`{}` is a value, a list of values, or a file of them", element.key()));
            element.report(other.help("a file is { file = \"values.txt\" }, one value a line"));
            return;
        }
        let file = element.section(&keys::VALUES).and_then(|section| section.item("file"));
        let Some((file, source)) = file.and_then(|file| Some((file, surroundings.values(&file)?))) else { return };
        let before = self.values.len();
        self.values.extend(lines(&source));
        if self.values.len() == before {
            let empty = file.warning(format!("{} holds no value", source.path.display()));
            file.report(empty.help("one value a line; what follows `#` is a comment"));
        }
        self.files.extend(file.written_text().map(str::to_owned));
    }

    /// What `read` makes of each; the first few errors are told.
    pub(super) fn each<T>(&self, item: &Item<'_>, mut read: impl FnMut(&str, bool) -> Result<T, Problem>) -> Vec<T> {
        let report: &Report = item.section_report();
        let (mut values, mut errors) = (Vec::with_capacity(self.values.len()), 0);
        for Entry { text, is_literal, place } in &self.values {
            match read(text, *is_literal) {
                Ok(value) => values.push(value),
                Err(_) if errors >= MOST_ERRORS => errors += 1,
                Err(Problem { title, label }) => {
                    report.push(Diagnostic::error(place, title).label(label));
                    errors += 1;
                }
            }
        }
        if errors > MOST_ERRORS {
            let more = format!("{} more values of `{}` are wrong", errors - MOST_ERRORS, item.key());
            report.push(Diagnostic::error(&item.key_place(), more));
        }
        values
    }

    /// Shows each to `look`.
    pub(super) fn look(&self, mut look: impl FnMut(&str, &Place)) {
        self.values.iter().for_each(|Entry { text, place, .. }| look(text, place));
    }

    /// What they are, as a person reads it.
    pub(super) fn wanted(&self) -> String {
        let shown = if self.values.len() > MOST_SHOWN { FIRST_SHOWN } else { self.values.len() };
        let first = self.values.iter().take(shown).map(
            |Entry { text, is_literal, .. }| {
                if *is_literal { text.clone() } else { format!("{text:?}") }
            },
        );
        let mut wanted = first.collect::<Vec<_>>().join(", ");
        if shown < self.values.len() {
            wanted += &format!(" … ({} values)", self.values.len());
        }
        if !self.files.is_empty() {
            wanted += &format!(" from {}", self.files.join(", "));
        }
        wanted
    }
}

/// The values of a file. A line is one, without the spaces around it; `#` at its start, or between spaces, begins a
/// comment.
fn lines(source: &Arc<Source>) -> impl Iterator<Item = Entry> {
    let mut start = 0;
    source.text().split_inclusive('\n').filter_map(move |line| {
        let begin = start;
        start += line.len();
        let text = without_comment(line);
        let value = text.trim().trim_start_matches('\u{feff}');
        let at = begin + text.find(value).unwrap_or_default();
        let place = || Place::new(source, at..at + value.len());
        (!value.is_empty()).then(|| Entry { text: value.to_owned(), is_literal: false, place: place() })
    })
}

fn without_comment(line: &str) -> &str {
    if line.trim_start_matches('\u{feff}').trim_start().starts_with('#') {
        return "";
    }
    let comment = line.match_indices('#').find(|(at, mark)| {
        let after = &line[at + mark.len()..];
        line[..*at].ends_with(char::is_whitespace) && (after.is_empty() || after.starts_with(char::is_whitespace))
    });
    comment.map_or(line, |(at, _)| &line[..at])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_file_has_a_value_a_line_and_comments() {
        let text = "\u{feff}# all\r\n13002526500013\r\n\n  11004601800013  # DINUM\nBureau #3\n  #\nlast";
        let source = Source::new(Path::new("values.txt"), 0, text.to_owned());
        let values: Vec<(String, usize)> = lines(&source).map(|entry| (entry.text, entry.place.line())).collect();
        let expected = [("13002526500013", 2), ("11004601800013", 4), ("Bureau #3", 5), ("last", 7)];
        assert_eq!(values, expected.map(|(text, line)| (text.to_owned(), line)));
        let bom = Source::new(Path::new("values.txt"), 0, "\u{feff}first\n".to_owned());
        assert_eq!(lines(&bom).next().map(|entry| entry.text).as_deref(), Some("first"));
    }
}
