//! Durations (`"90s"`, `"1h30m"`) and sizes (`"64k"`, `"10m"`) as the configuration writes them.

use std::time::Duration;

/// Longer than any session or timeout needs to be, and short enough to add to any time.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Why a text is no duration or size.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum QuantityError {
    #[error("a duration is written with its units, such as \"90s\", \"60m\" or \"1h30m\" (d, h, m, s, ms)")]
    Duration,
    #[error("a size is a number of bytes, with k, m or g for powers of 1024, such as \"64k\" or \"10m\"")]
    Size,
    #[error("at most 366 days")]
    TooLong,
    #[error("too large")]
    TooLarge,
    #[error("more than zero")]
    Zero,
}

/// A duration above zero: numbers with their units, the largest unit first.
pub(super) fn duration(text: &str) -> Result<Duration, QuantityError> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    let mut smallest = u64::MAX;
    while !rest.is_empty() {
        let (number, unit, after) = step(rest).ok_or(QuantityError::Duration)?;
        if unit >= smallest {
            return Err(QuantityError::Duration);
        }
        let part = number.checked_mul(unit).map(Duration::from_millis).ok_or(QuantityError::TooLong)?;
        total = total.checked_add(part).filter(|total| *total <= LONGEST).ok_or(QuantityError::TooLong)?;
        (rest, smallest) = (after, unit);
    }
    match total {
        Duration::ZERO if text.is_empty() => Err(QuantityError::Duration),
        Duration::ZERO => Err(QuantityError::Zero),
        total => Ok(total),
    }
}

/// The number at the start of `text`, the milliseconds of its unit, and what follows.
fn step(text: &str) -> Option<(u64, u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number = text[..digits].parse().ok()?;
    let rest = &text[digits..];
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let unit = match &rest[..letters] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some((number, unit, &rest[letters..]))
}

/// A size above zero, in bytes.
pub(super) fn size(text: &str) -> Result<u64, QuantityError> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit: u64 = match &text[digits..] {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => return Err(QuantityError::Size),
    };
    let number = &text[..digits];
    if number.is_empty() {
        return Err(QuantityError::Size);
    }
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match bytes {
        None => Err(QuantityError::TooLarge),
        Some(0) => Err(QuantityError::Zero),
        Some(bytes) => Ok(bytes),
    }
}

/// A duration as an administrator would write it.
pub(super) fn written(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")] {
        if rest >= unit {
            text += &format!("{}{name}", rest / unit);
            rest %= unit;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_back() {
        for (text, seconds) in [("90s", 90), ("60m", 3600), ("1h30m", 5400), ("12h", 43_200), ("1d", 86_400)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1m30s500ms").map(written).as_deref(), Ok("1m30s500ms"));
        assert_eq!(duration("90m").map(written).as_deref(), Ok("1h30m"));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "60", "s", "1 h", "1h 30m", "-1s", "1.5h", "30m1h", "1h1h", "1x", "1H", "é"] {
            assert_eq!(duration(text), Err(QuantityError::Duration), "{text}");
        }
        assert_eq!(duration("0s"), Err(QuantityError::Zero));
        assert_eq!(duration("367d"), Err(QuantityError::TooLong));
        assert_eq!(duration("18446744073709551615d"), Err(QuantityError::TooLong));
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [("1", 1), ("64k", 65_536), ("10m", 10_485_760), ("10M", 10_485_760), ("1g", 1 << 30)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "k", "1kb", "1.5m", "-1", "1 k", "0x10"] {
            assert_eq!(size(text), Err(QuantityError::Size), "{text}");
        }
        assert_eq!(size("0"), Err(QuantityError::Zero));
        assert_eq!(size("99999999999g"), Err(QuantityError::TooLarge));
    }
}
