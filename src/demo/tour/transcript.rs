//! The tour as a person reads it: numbered steps, what went each way, what was checked.

use std::fmt;
use std::io::Write;

use crate::demo::browser::Page;

/// Writes the steps and counts what did not hold.
pub struct Transcript<'out> {
    out: &'out mut dyn Write,
    coloured: bool,
    steps: usize,
    refuted: usize,
}

impl<'out> Transcript<'out> {
    /// A transcript on `out`, `coloured` where that is a terminal.
    pub fn new(out: &'out mut dyn Write, coloured: bool) -> Self {
        Self { out, coloured, steps: 0, refuted: 0 }
    }

    /// A title without a number.
    pub fn title(&mut self, text: &str) {
        self.line(format_args!("\n{}", self.painted(BOLD, text)));
    }

    /// A line of explanation.
    pub fn note(&mut self, text: &str) {
        self.line(format_args!("{text}"));
    }

    /// Begins the next step.
    pub fn step(&mut self, title: &str) {
        self.steps += 1;
        let (number, title) = (self.steps, self.painted(BOLD, title));
        self.line(format_args!("\n{number:>2}. {title}"));
    }

    /// A request went out.
    pub fn sent(&mut self, method: &str, url: &str) {
        self.line(format_args!("    → {method} {}", shortened(url)));
    }

    /// An answer came back.
    pub fn received(&mut self, page: &Page) {
        match page.location() {
            Some(location) => self.line(format_args!("    ← {} {}", page.status, shortened(location.as_str()))),
            None => self.line(format_args!("    ← {}", page.status)),
        }
    }

    /// A named value.
    pub fn field(&mut self, name: &str, value: &str) {
        let name = self.painted(DIM, &format!("{name:<28}"));
        self.line(format_args!("      {name} {}", shortened(value)));
    }

    /// Something that was looked at; one that does not hold is counted.
    pub fn check(&mut self, text: &str, holds: bool) {
        let mark = if holds { self.painted(GREEN, "✓") } else { self.painted(RED, "✗") };
        self.line(format_args!("    {mark} {text}"));
        self.refuted += usize::from(!holds);
    }

    /// How many checks did not hold.
    #[must_use]
    pub const fn refuted(&self) -> usize {
        self.refuted
    }

    /// A reader that went away changes nothing of what was verified.
    fn line(&mut self, text: fmt::Arguments<'_>) {
        let _ = writeln!(self.out, "{text}");
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.coloured { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

impl fmt::Debug for Transcript<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcript").field("steps", &self.steps).field("refuted", &self.refuted).finish_non_exhaustive()
    }
}

/// Tokens and long addresses lose their end, which nobody reads.
fn shortened(value: &str) -> String {
    match value.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}… ({} bytes)", value.get(..end).unwrap_or_default(), value.len()),
        None => value.to_owned(),
    }
}

const WIDTH: usize = 120;
const BOLD: &str = "1";
const DIM: &str = "2";
const GREEN: &str = "32";
const RED: &str = "31";

#[cfg(test)]
mod tests {
    use super::*;

    fn written(coloured: bool) -> String {
        let mut out = Vec::new();
        let mut transcript = Transcript::new(&mut out, coloured);
        transcript.step("First");
        transcript.field("name", &"é".repeat(WIDTH + 1));
        transcript.check("holds", true);
        transcript.check("does not", false);
        assert_eq!(transcript.refuted(), 1);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn colours_are_for_terminals_only() {
        assert!(!written(false).contains('\u{1b}'));
        assert!(written(true).contains("\u{1b}[32m✓\u{1b}[0m"));
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let text = written(false);
        assert!(text.contains(&format!("{}… (242 bytes)", "é".repeat(WIDTH))), "{text}");
        assert!(text.starts_with("\n 1. First\n"));
    }
}
