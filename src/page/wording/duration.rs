//! Lengths of time as people say them: the two largest units, rounded down, so that nobody is promised too much.

use std::time::Duration;

use crate::page::Language;

/// `duration` in words.
pub(super) fn in_words(duration: Duration, language: Language) -> String {
    let minutes = duration.as_secs() / 60;
    let (days, hours, minutes) = (minutes / (24 * 60), minutes / 60 % 24, minutes % 60);
    let units = Units::of(language);
    let counted = [(days, units.day), (hours, units.hour), (minutes, units.minute)];
    let words: Vec<String> = counted
        .into_iter()
        .skip_while(|(count, _)| *count == 0)
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}\u{a0}{unit}{}", if count > 1 { "s" } else { "" }))
        .collect();
    if words.is_empty() { units.less_than_a_minute.to_owned() } else { words.join(units.and) }
}

struct Units {
    and: &'static str,
    day: &'static str,
    hour: &'static str,
    less_than_a_minute: &'static str,
    minute: &'static str,
}

impl Units {
    const fn of(language: Language) -> Self {
        match language {
            Language::English => Self {
                and: " and ",
                day: "day",
                hour: "hour",
                less_than_a_minute: "less than a minute",
                minute: "minute",
            },
            Language::French => Self {
                and: " et ",
                day: "jour",
                hour: "heure",
                less_than_a_minute: "moins d’une minute",
                minute: "minute",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units_rounded_down() {
        for (seconds, french, english) in [
            (0, "moins d’une minute", "less than a minute"),
            (59, "moins d’une minute", "less than a minute"),
            (60, "1 minute", "1 minute"),
            (42 * 60 + 59, "42 minutes", "42 minutes"),
            (3600, "1 heure", "1 hour"),
            (3900, "1 heure et 5 minutes", "1 hour and 5 minutes"),
            (12 * 3600, "12 heures", "12 hours"),
            (86_400 + 60, "1 jour", "1 day"),
            (2 * 86_400 + 3 * 3600 + 5, "2 jours et 3 heures", "2 days and 3 hours"),
        ] {
            let words = |language| in_words(Duration::from_secs(seconds), language).replace('\u{a0}', " ");
            assert_eq!(words(Language::French), french);
            assert_eq!(words(Language::English), english);
        }
    }
}
