//! Patterns (`organizational_unit`): `*` is any run of characters, `?` any one of them, everything else is itself.
//!
//! A pattern without either is looked up, and so is one whose only `*` ends it: by its length, whatever the number of
//! patterns. Those of any other shape are tried one by one, so there is a limit to them.

use std::collections::BTreeSet;

use foldhash::HashSet;

use super::condition::Outcome;

/// Patterns, of which a text must fit one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Globs {
    exact: HashSet<Box<str>>,
    prefixes: HashSet<Box<str>>,
    /// How long the prefixes are, in bytes.
    lengths: BTreeSet<usize>,
    others: Vec<Vec<char>>,
}

/// Why a pattern cannot be added.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GlobError {
    /// Longer than anything that it could fit.
    #[error("a pattern has at most 256 characters")]
    TooLong,
    /// Each of them takes time for each request.
    #[error("a condition has at most 64 patterns with `?`, or with `*` anywhere but at the end")]
    TooMany,
}

const LONGEST: usize = 256;
const MOST: usize = 64;

impl Globs {
    /// Adds a pattern.
    ///
    /// # Errors
    ///
    /// Why that is one too many.
    pub fn insert(&mut self, pattern: &str) -> Result<(), GlobError> {
        if pattern.chars().count() > LONGEST {
            return Err(GlobError::TooLong);
        }
        let (stem, open) = pattern.strip_suffix('*').map_or((pattern, false), |stem| (stem, true));
        if stem.contains(['*', '?']) {
            if self.others.len() == MOST {
                return Err(GlobError::TooMany);
            }
            self.others.push(pattern.chars().collect());
        } else if open {
            self.lengths.insert(stem.len());
            self.prefixes.insert(stem.into());
        } else {
            self.exact.insert(stem.into());
        }
        Ok(())
    }

    /// Whether one of `texts` fits one of the patterns.
    pub(super) fn of<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> Outcome {
        Outcome::holds_if(texts.into_iter().any(|text| self.fit(text)))
    }

    /// As written, in no order.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> {
        let open = self.prefixes.iter().map(|stem| format!("{stem}*"));
        let others = self.others.iter().map(|pattern| pattern.iter().collect());
        self.exact.iter().map(ToString::to_string).chain(open).chain(others)
    }

    fn fit(&self, text: &str) -> bool {
        let starts = || self.lengths.iter().map_while(|length| (*length <= text.len()).then(|| text.get(..*length)));
        self.exact.contains(text)
            || starts().flatten().any(|start| self.prefixes.contains(start))
            || (!self.others.is_empty() && self.fit_others(text))
    }

    fn fit_others(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        self.others.iter().any(|pattern| fits(pattern, &text))
    }
}

/// Goes along both; after a mismatch, back to where the last `*` began, which then takes one character more.
fn fits(pattern: &[char], text: &[char]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(expected) if *expected == '?' || *expected == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((before, taken)) = star else { return false };
                star = Some((before, taken + 1));
                (at, seen) = (before + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(pattern: &str, text: &str) -> bool {
        let mut globs = Globs::default();
        globs.insert(pattern).unwrap();
        globs.of([text]) == Outcome::Holds
    }

    #[test]
    fn stars_and_question_marks_stand_for_characters() {
        for (pattern, text) in [
            ("MEF/DGFIP", "MEF/DGFIP"),
            ("MEF/*", "MEF/DGFIP/SSI"),
            ("MEF/*", "MEF/"),
            ("*", ""),
            ("*", "x"),
            ("*/SSI", "MEF/DGFIP/SSI"),
            ("MEF/*/SSI", "MEF/DGFIP/SSI"),
            ("M?F", "MÉF"),
            ("*a*b*", "xaybz"),
            ("a*bc", "abcbc"),
            ("é*", "éa"),
            ("[ab]", "[ab]"),
        ] {
            assert!(fit(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn the_rest_does_not_fit() {
        for (pattern, text) in [
            ("MEF/DGFIP", "MEF/DGFIP/SSI"),
            ("MEF/*", "MEF"),
            ("MEF/*", "mef/DGFIP"),
            ("MEF/*", "XMEF/DGFIP"),
            ("*/SSI", "MEF/SSI/x"),
            ("M?F", "MF"),
            ("M?F", "MEEF"),
            ("é*", "e\u{301}a"),
            ("a*bc", "abcb"),
            ("[ab]", "a"),
            ("", "x"),
        ] {
            assert!(!fit(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_that_takes_time_is_one_of_few_and_no_text_makes_it_take_long() {
        let mut globs = Globs::default();
        (0..MOST).for_each(|number| globs.insert(&format!("*{number}*")).unwrap());
        assert_eq!(globs.insert("*x*"), Err(GlobError::TooMany));
        (0..10_000).for_each(|number| globs.insert(&format!("{number}/*")).unwrap());
        assert_eq!(globs.of(["9999/x"]), Outcome::Holds);
        assert_eq!(globs.insert(&"é".repeat(257)), Err(GlobError::TooLong));
        assert!(!fit(&"*a".repeat(100), &"a".repeat(99)));
    }
}
