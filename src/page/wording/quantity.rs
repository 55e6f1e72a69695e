//! Sizes, counts and times past, in words.

use std::time::Duration;

use super::{Language, duration, shown};

/// How long ago: «il y a 5 minutes».
pub(in crate::page) fn ago(past: Duration, language: Language) -> String {
    let past = duration(past, language);
    match language {
        Language::English => format!("{past} ago"),
        Language::French => format!("il y a {past}"),
    }
}

/// What stands for a value that is not shown.
pub(in crate::page) const fn hidden(language: Language) -> &'static str {
    match language {
        Language::English => "(hidden)",
        Language::French => "(masqué)",
    }
}

/// Data that is no form.
pub(in crate::page) fn in_bytes(size: usize, language: Language) -> String {
    match language {
        Language::English => format!("Data that cannot be shown here: {}.", bytes(size, language)),
        Language::French => {
            format!("Des données qui ne peuvent pas être affichées ici\u{a0}: {}.", bytes(size, language))
        }
    }
}

/// How many fields are not shown.
pub(in crate::page) fn more_fields(more: usize, language: Language) -> String {
    match (language, more) {
        (Language::English, 1) => "And one more field.".to_owned(),
        (Language::English, _) => format!("And {more} more fields."),
        (Language::French, 1) => "Et un autre champ.".to_owned(),
        (Language::French, _) => format!("Et {more} autres champs."),
    }
}

/// A file; one without a name is none.
pub(in crate::page) fn of_file(name: &str, size: usize, language: Language) -> String {
    match (language, name) {
        (Language::English, "") => "(no file)".to_owned(),
        (Language::French, "") => "(aucun fichier)".to_owned(),
        (Language::English, _) => format!("File “{}”, {}", shown(name), bytes(size, language)),
        (Language::French, _) => format!("Fichier «\u{a0}{}\u{a0}», {}", shown(name), bytes(size, language)),
    }
}

fn bytes(size: usize, language: Language) -> String {
    let units = match language {
        Language::English => ["bytes", "KB", "MB"],
        Language::French => ["octets", "Ko", "Mo"],
    };
    let (count, unit) = match size {
        0..1024 => (size, units[0]),
        1024..0x10_0000 => (size.div_ceil(1024), units[1]),
        _ => (size.div_ceil(0x10_0000), units[2]),
    };
    format!("{count}\u{a0}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_up() {
        for (size, french, english) in [
            (0, "0 octets", "0 bytes"),
            (1023, "1023 octets", "1023 bytes"),
            (1025, "2 Ko", "2 KB"),
            (3 * 1024 * 1024, "3 Mo", "3 MB"),
        ] {
            let words = |language| bytes(size, language).replace('\u{a0}', " ");
            assert_eq!((words(Language::French), words(Language::English)), (french.to_owned(), english.to_owned()));
        }
    }
}
