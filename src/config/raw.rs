//! The configuration as it is written: TOML with places, read key by key.
//!
//! Reading goes on after an error, with nothing or a default in the place of what could not be read, so that one run
//! tells everything that is wrong.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Report};
use super::keys::Table;
use super::quantity;
use super::source::{Located, Place, Source};
use super::suggest::nearest;
use crate::policy::BlockOrigin;

const STRING: &str = "a string";
const NUMBER: &str = "a number";

/// A table and what messages about it need. A table that is not written reads as an empty one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    report: &'a Report,
    source: &'a Arc<Source>,
    kind: &'static Table,
    header: Option<&'a Spanned<DeValue<'a>>>,
    table: Option<&'a DeTable<'a>>,
    parent: Option<(&'static Table, &'a DeTable<'a>)>,
}

/// A key and its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    section: Section<'a>,
    key: &'a Spanned<Cow<'a, str>>,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Section<'a> {
    /// The whole of a file.
    pub(super) const fn root(
        report: &'a Report,
        source: &'a Arc<Source>,
        kind: &'static Table,
        table: &'a DeTable<'a>,
    ) -> Self {
        Self { report, source, kind, header: None, table: Some(table), parent: None }
    }

    /// The place of its header, or the file where it has none.
    pub(super) fn place(&self) -> Place {
        self.header.map_or_else(|| Place::whole(self.source), |header| Place::new(self.source, header.span()))
    }

    pub(super) const fn report(&self) -> &'a Report {
        self.report
    }

    /// The kind of table that it is, as messages call it.
    pub(super) const fn kind_name(&self) -> &'static str {
        self.kind.name
    }

    /// Where it stands, for those who run the gateway.
    pub(super) fn origin(&self) -> BlockOrigin {
        BlockOrigin { file: Arc::clone(&self.source.path), line: self.place().line() }
    }

    /// Whether the table is written at all.
    pub(super) const fn is_written(&self) -> bool {
        self.table.is_some()
    }

    /// The key called `key`, where it is written.
    pub(super) fn item(&self, key: &'static str) -> Option<Item<'a>> {
        debug_assert!(self.kind.keys.contains(&key), "{key} stands in the table of keys of {}", self.kind.name);
        self.items().find(|item| item.key() == key)
    }

    /// Every key, in the order of the alphabet.
    pub(super) fn items(&self) -> impl Iterator<Item = Item<'a>> + use<'a> {
        let section = *self;
        self.table.into_iter().flatten().map(move |(key, value)| Item { section, key, value })
    }

    /// The key called `key`; an error where it is not written.
    pub(super) fn required(&self, key: &'static str) -> Option<Item<'a>> {
        let item = self.item(key);
        if item.is_none() {
            let missing = format!("`{key}` is missing from {}", self.kind.name);
            self.report.push(Diagnostic::error(&self.place(), missing));
        }
        item
    }

    /// The table under `key`, `[[key]]` being an error.
    pub(super) fn section(&self, key: &'static str, kind: &'static Table) -> Self {
        let absent = Self { kind, header: None, table: None, parent: None, ..*self };
        self.item(key).and_then(|item| item.section(kind)).unwrap_or(absent)
    }

    /// The tables under `key`, each written with a `[[key]]` of its own.
    pub(super) fn sections(&self, key: &'static str, kind: &'static Table) -> Vec<Self> {
        self.item(key).map(|item| item.sections(kind)).unwrap_or_default()
    }

    /// The duration under `key`.
    pub(super) fn duration(&self, key: &'static str, default: Duration) -> Duration {
        self.item(key).and_then(|item| item.read(quantity::duration)).unwrap_or(default)
    }

    /// The size in bytes under `key`.
    pub(super) fn size(&self, key: &'static str, default: usize, most: usize) -> usize {
        let size = self.item(key).and_then(|item| Some((item, item.read(quantity::size)?)));
        size.and_then(|(item, size)| item.at_most(size, most)).unwrap_or(default)
    }

    /// The number under `key`.
    pub(super) fn count(&self, key: &'static str, default: usize, most: usize) -> usize {
        let count = self.item(key).and_then(|item| Some((item, item.count()?)));
        count.and_then(|(item, count)| item.at_most(count, most)).unwrap_or(default)
    }

    /// The value under `key`, read from its text.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, key: &'static str) -> Option<T> {
        self.item(key).and_then(|item| item.read(str::parse))
    }

    /// Reports every key that this kind of table does not have.
    pub(super) fn refuse_unknown_keys(&self) {
        self.items().filter(|item| !self.kind.keys.contains(&item.key())).for_each(|item| item.refuse(&[]));
    }
}

impl<'a> Item<'a> {
    pub(super) fn key(&self) -> &'a str {
        self.key.get_ref()
    }

    /// Where the value stands.
    pub(super) fn place(&self) -> Place {
        Place::new(self.section.source, self.value.span())
    }

    /// Where the key stands.
    pub(super) fn key_place(&self) -> Place {
        Place::new(self.section.source, self.key.span())
    }

    pub(super) fn error(&self, title: impl Into<String>) -> Diagnostic {
        Diagnostic::error(&self.place(), title)
    }

    pub(super) fn warning(&self, title: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(&self.place(), title)
    }

    pub(super) fn report(&self, diagnostic: Diagnostic) {
        self.section.report.push(diagnostic);
    }

    pub(super) const fn section_report(&self) -> &'a Report {
        self.section.report
    }

    pub(super) fn located<T>(&self, value: T) -> Located<T> {
        Located { value, place: self.place() }
    }

    /// The string, where it is one.
    pub(super) fn written_text(&self) -> Option<&'a str> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// A string.
    pub(super) fn text(&self) -> Option<&'a str> {
        self.written_text().or_else(|| self.wrong_type(STRING))
    }

    /// A string that is not empty.
    pub(super) fn filled(&self) -> Option<&'a str> {
        self.text().filter(|text| {
            if text.is_empty() {
                self.report(self.error(format!("`{}` is empty", self.key())));
            }
            !text.is_empty()
        })
    }

    /// What `read` makes of the string.
    pub(super) fn read<T, E: Display>(&self, read: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let value = read(self.text()?);
        value
            .map_err(|error| self.report(self.error(format!("invalid `{}`", self.key())).label(error.to_string())))
            .ok()
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => self.wrong_type("true or false"),
        }
    }

    fn count(&self) -> Option<u64> {
        let DeValue::Integer(number) = self.value.get_ref() else { return self.wrong_type(NUMBER) };
        let count = u64::from_str_radix(number.as_str(), number.radix()).ok().filter(|count| *count > 0);
        if count.is_none() {
            self.report(self.error(format!("invalid `{}`", self.key())).label("a whole number above zero"));
        }
        count
    }

    fn at_most(&self, number: u64, most: usize) -> Option<usize> {
        let fitting = usize::try_from(number).ok().filter(|number| *number <= most);
        if fitting.is_none() {
            self.report(self.error(format!("invalid `{}`", self.key())).label(format!("at most {most}")));
        }
        fitting
    }

    /// The bits of a file mode: `"0660"` or `0o660`, never the decimal `660`.
    pub(super) fn mode(&self) -> Option<u32> {
        let bits = match self.value.get_ref() {
            DeValue::String(text) => u32::from_str_radix(text, 8).ok(),
            DeValue::Integer(number) if number.radix() == 8 => u32::from_str_radix(number.as_str(), 8).ok(),
            _ => None,
        };
        let bits = bits.filter(|bits| *bits <= 0o777);
        if bits.is_none() {
            self.report(
                self.error(format!("invalid `{}`", self.key())).label("a file mode in octal, such as \"0660\""),
            );
        }
        bits
    }

    /// A boolean or a whole number as JSON writes it, where it is one.
    pub(super) fn literal(&self) -> Option<String> {
        match self.value.get_ref() {
            DeValue::Boolean(flag) => Some(flag.to_string()),
            DeValue::Integer(number) => {
                i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
            }
            _ => None,
        }
    }

    /// The value in JSON; an error where JSON has no such value.
    pub(super) fn json(&self) -> Option<serde_json::Value> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text.as_ref().into()),
            DeValue::Boolean(flag) => Some((*flag).into()),
            DeValue::Integer(number) => {
                i64::from_str_radix(number.as_str(), number.radix()).ok().map(serde_json::Value::from)
            }
            DeValue::Array(elements) => elements.iter().map(|value| Self { value, ..*self }.json()).collect(),
            DeValue::Table(members) => {
                let member = |(key, value)| Some((Self { key, value, ..*self }, Cow::clone(Spanned::get_ref(key))));
                let members = members.iter().filter_map(member);
                members.map(|(item, name)| Some((name.into_owned(), item.json()?))).collect()
            }
            DeValue::Float(_) | DeValue::Datetime(_) => self.wrong_type("a string, a whole number, true or false"),
        }
    }

    /// The elements of a list.
    pub(super) fn elements(&self) -> Vec<Self> {
        match self.value.get_ref() {
            DeValue::Array(elements) => elements.iter().map(|value| Self { value, ..*self }).collect(),
            _ => self.wrong_type("a list").unwrap_or_default(),
        }
    }

    /// The elements of a list, or the one value that stands for a list of one.
    pub(super) fn one_or_more(&self) -> Vec<Self> {
        match self.value.get_ref() {
            DeValue::Array(elements) if elements.is_empty() => {
                self.report(self.error(format!("`{}` is an empty list", self.key())));
                Vec::new()
            }
            DeValue::Array(_) => self.elements(),
            _ => vec![*self],
        }
    }

    /// Whether the value is a table, `{ … }` or under a header of its own.
    pub(super) fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    /// The table that the value is.
    pub(super) fn section(&self, kind: &'static Table) -> Option<Section<'a>> {
        // A file is no parent: nothing stands above its first table by mistake.
        let parent = self.section.header.and(self.section.table).map(|table| (self.section.kind, table));
        match self.value.get_ref() {
            DeValue::Table(table) => {
                Some(Section { kind, header: Some(self.value), table: Some(table), parent, ..self.section })
            }
            _ => self.wrong_type(&format!("a table, {}", kind.name)),
        }
    }

    fn sections(&self, kind: &'static Table) -> Vec<Section<'a>> {
        match self.value.get_ref() {
            DeValue::Array(_) => self.elements().iter().filter_map(|element| element.section(kind)).collect(),
            _ => self.wrong_type(&format!("a list of tables: write {}", kind.name)).unwrap_or_default(),
        }
    }

    fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        let found = match self.value.get_ref() {
            DeValue::String(_) => STRING,
            DeValue::Integer(_) | DeValue::Float(_) => NUMBER,
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let wrong = self.error(format!("`{}` has the wrong type", self.key()));
        let quotes = if expected == STRING && found == NUMBER { ": write it between quotes" } else { "" };
        self.report(wrong.label(format!("expected {expected}, found {found}{quotes}")));
        None
    }

    /// Reports a key that its table does not have. `more` are words that the table knows beside its keys.
    pub(super) fn refuse(&self, more: &[&'static str]) {
        let (key, kind) = (self.key(), self.section.kind);
        let above = self.belongs_above();
        if kind.later.contains(&key) || self.section.parent.is_some_and(|(parent, _)| parent.later.contains(&key)) {
            let later = Diagnostic::error(&self.key_place(), format!("`{key}` is not available in this version"));
            return self.report(later.help(above.as_deref().unwrap_or("remove it: it would have no effect")));
        }
        let known = kind.keys.iter().chain(more).copied().filter(|known| !kind.later.contains(known));
        let help = above.unwrap_or_else(|| match nearest(key, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.collect::<Vec<_>>().join(", ")),
        });
        self.report(Diagnostic::error(&self.key_place(), format!("unknown key `{key}` in {}", kind.name)).help(help));
    }

    /// In TOML, a key below a header belongs to that header: the parent's own keys stand above its first child.
    fn belongs_above(&self) -> Option<String> {
        let (parent, table) = self.section.parent.filter(|(parent, _)| parent.keys.contains(&self.key()))?;
        let source = self.section.source;
        let header = table.values().filter_map(|value| header(source.text(), value)).min_by_key(|span| span.start)?;
        let (key, line) = (self.key(), source.line(header.start));
        let header = &source.text()[header];
        Some(format!("`{key}` is a key of {}: move it above {header} at line {line}", parent.name))
    }
}

/// Where the header of a table, or of the first of several, stands; none where the value is written inline.
fn header(text: &str, value: &Spanned<DeValue<'_>>) -> Option<Range<usize>> {
    let span = match value.get_ref() {
        DeValue::Table(_) => value.span(),
        DeValue::Array(elements) => elements.iter().next().filter(|first| first.get_ref().is_table())?.span(),
        _ => return None,
    };
    text[span.clone()].starts_with('[').then_some(span)
}
