//! Which language a page is in: `Accept-Language`, as RFC 9110 section 12.5.4 reads it, with French where it says
//! nothing that we can honour.

/// A language that pages are written in.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Language {
    /// For browsers that prefer it to French.
    English,
    /// For everybody else.
    #[default]
    French,
}

impl Language {
    /// Both languages.
    pub const ALL: [Self; 2] = [Self::English, Self::French];

    /// The language that an `Accept-Language` field asks for; French where there is none, or neither language in it.
    #[must_use]
    pub fn negotiate(accept_language: Option<&str>) -> Self {
        let ranges: Vec<Range<'_>> = accept_language.unwrap_or_default().split(',').filter_map(Range::parse).collect();
        let (french, english) = (quality(&ranges, "fr"), quality(&ranges, "en"));
        if english > french { Self::English } else { Self::French }
    }

    /// The language tag (BCP 47) of `lang` attributes and `Content-Language`.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
    }
}

/// One language range with its weight in thousandths.
struct Range<'a> {
    primary: &'a str,
    weight: u16,
}

impl<'a> Range<'a> {
    /// A range whose weight cannot be read is as if it were not there.
    fn parse(text: &'a str) -> Option<Self> {
        let (tag, parameter) = text.split_once(';').unwrap_or((text, "q=1"));
        let value = parameter.trim().strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('=')?;
        let weight: f32 = value.trim().parse().ok()?;
        let primary = tag.trim().split('-').next().unwrap_or_default();
        (0.0..=1.0).contains(&weight).then_some(Self { primary, weight: thousandths(weight) })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0.0 to 1.0 becomes 0 to 1000")]
fn thousandths(weight: f32) -> u16 {
    (weight * 1000.0).round() as u16
}

/// How much `language` is wanted: its best weight (`*` where it is not named), then how early it is named.
fn quality(ranges: &[Range<'_>], language: &str) -> (u16, std::cmp::Reverse<usize>) {
    let best_of = |wanted: &str| {
        let named = ranges.iter().enumerate().filter(|(_, range)| range.primary.eq_ignore_ascii_case(wanted));
        named.map(|(position, range)| (range.weight, std::cmp::Reverse(position))).max()
    };
    best_of(language).or_else(|| best_of("*")).unwrap_or((0, std::cmp::Reverse(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn french_unless_english_is_preferred() {
        for (header, expected) in [
            (None, Language::French),
            (Some(""), Language::French),
            (Some("fr-FR,fr;q=0.9,en;q=0.8"), Language::French),
            (Some("en-US,en;q=0.9,fr;q=0.8"), Language::English),
            (Some("EN"), Language::English),
            (Some("en, fr"), Language::English),
            (Some("fr, en"), Language::French),
            (Some("en;q=0.5, fr;q=0.7"), Language::French),
            (Some("de, en;q=0.3"), Language::English),
            (Some("de, ja;q=0.3"), Language::French),
            (Some("*"), Language::French),
            (Some("fr;q=0, *;q=0.5"), Language::English),
            (Some("en;q=0"), Language::French),
            (Some("english"), Language::French),
        ] {
            assert_eq!(Language::negotiate(header), expected, "{header:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_as_if_it_were_not_there() {
        for header in ["en;q=2", "en;q=-1", "en;q=NaN", "en;q=", "en;level=1", ";;;", ",,,", "en;q=0.8;x", "é\u{202e}"]
        {
            assert_eq!(Language::negotiate(Some(header)), Language::French, "{header:?}");
        }
        assert_eq!(Language::negotiate(Some("en ; q = 0.8")), Language::English);
    }
}
