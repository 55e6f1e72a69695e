//! Times of day for file names and audit lines: UTC in the two formats of ISO 8601, on the proleptic Gregorian calendar.

use super::Timestamp;

const SECONDS_PER_DAY: u64 = 86_400;
const DAYS_PER_YEAR: u64 = 365;
const MONTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// `20260823T140509Z`
#[must_use]
pub fn format(instant: Timestamp) -> String {
    format_extended(instant).replace(['-', ':'], "")
}

/// `2026-08-23T14:05:09Z`, as RFC 3339 has it too.
#[must_use]
pub fn format_extended(instant: Timestamp) -> String {
    let (days, seconds) = (instant.as_secs() / SECONDS_PER_DAY, instant.as_secs() % SECONDS_PER_DAY);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The instant that [`format()`] writes so; nothing else is accepted.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let digits = |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(date, 8) || !digits(time, 6) {
        return None;
    }
    let number = |part: &str| part.parse::<u64>().ok();
    let days = days(number(&date[..4])?, number(&date[4..6])?, number(&date[6..])?)?;
    let (hour, minute, second) = (number(&time[..2])?, number(&time[2..4])?, number(&time[4..])?);
    let in_range = hour < 24 && minute < 60 && second < 60;
    in_range.then(|| Timestamp::from_secs(days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second))
}

/// Year, month and day, `days` after 1970-01-01.
fn date(mut days: u64) -> (u64, u64, u64) {
    let mut year = 1970 + days / (DAYS_PER_YEAR + 1);
    days -= days_before(year);
    while days >= days_in(year) {
        days -= days_in(year);
        year += 1;
    }
    let mut month = 1;
    while days >= month_length(year, month) {
        days -= month_length(year, month);
        month += 1;
    }
    (year, month, days + 1)
}

/// Days from 1970-01-01 to that date; none where the calendar has no such day since.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || !(1..=12).contains(&month) || !(1..=month_length(year, month)).contains(&day) {
        return None;
    }
    Some(days_before(year) + (1..month).map(|month| month_length(year, month)).sum::<u64>() + day - 1)
}

/// Days from 1970-01-01 to the first of `year`.
const fn days_before(year: u64) -> u64 {
    (year - 1970) * DAYS_PER_YEAR + leap_years_before(year) - leap_years_before(1970)
}

const fn leap_years_before(year: u64) -> u64 {
    let last = year - 1;
    last / 4 - last / 100 + last / 400
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_in(year: u64) -> u64 {
    if is_leap(year) { DAYS_PER_YEAR + 1 } else { DAYS_PER_YEAR }
}

fn month_length(year: u64, month: u64) -> u64 {
    let leap_day = u64::from(month == 2 && is_leap(year));
    MONTHS.get(month as usize - 1).map_or(0, |days| days + leap_day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants_read_and_write() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (1_618_884_473, "20210420T020753Z"),
            (1_767_225_599, "20251231T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(format(Timestamp::from_secs(seconds)), text);
            assert_eq!(parse(text), Some(Timestamp::from_secs(seconds)));
        }
    }

    #[test]
    fn every_day_of_two_centuries_survives() {
        for day in 0..73_000 {
            let instant = Timestamp::from_secs(day * SECONDS_PER_DAY + 3_661);
            assert_eq!(parse(&format(instant)), Some(instant), "day {day}");
        }
    }

    #[test]
    fn what_no_clock_shows_is_refused() {
        for text in
            ["", "19691231T235959Z", "20250229T000000Z", "20251301T000000Z", "20250101T240000Z", "2025-101T000000Z"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
