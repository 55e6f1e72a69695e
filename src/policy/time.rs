//! Hours of the week (`time`), by the clock on the wall of a place. The zones are built in.

use std::str::FromStr;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::clock::Timestamp;

/// When: these days, between these hours, in this zone.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Window {
    /// None named: every day.
    pub days: Weekdays,
    /// None named: from midnight to midnight.
    pub hours: Vec<Hours>,
    /// Whose clock.
    pub zone: Zone,
}

/// Days of the week.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Weekdays([bool; 7]);

/// From one minute of the day to another, the last one excluded. Where it ends before it begins it goes past midnight, and
/// belongs to the day that it began on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hours {
    from: u16,
    to: u16,
}

/// A time zone of the IANA database; Paris by default.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Zone(TimeZone);

/// Why a text is no time in a rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TimeError {
    /// No day.
    #[error(
        "a day (\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"), or days from one to another (\"mon-fri\")"
    )]
    Days,
    /// No hours.
    #[error("hours from one to another, such as \"08:00-18:30\"; \"22:00-06:00\" goes past midnight")]
    Hours,
    /// No zone.
    #[error("a time zone of the IANA database, such as \"Europe/Paris\" or \"Indian/Reunion\"")]
    Zone,
}

const PARIS: &str = "Europe/Paris";
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_OF_DAY: u16 = 24 * 60;

impl Window {
    /// Whether `now` is in it.
    pub(super) fn holds(&self, now: Timestamp) -> bool {
        let Some(here) = self.zone.at(now) else { return false };
        let today = usize::try_from(here.weekday().to_monday_zero_offset()).unwrap_or_default();
        let minute = u16::try_from(i16::from(here.hour()) * 60 + i16::from(here.minute())).unwrap_or_default();
        let Weekdays(days) = self.days;
        let within = |hours: &Hours| {
            if hours.from < hours.to {
                days[today] && hours.from <= minute && minute < hours.to
            } else {
                (days[today] && hours.from <= minute) || (days[(today + 6) % 7] && minute < hours.to)
            }
        };
        if self.hours.is_empty() { days[today] } else { self.hours.iter().any(within) }
    }
}

impl Zone {
    /// `now` as a person there would say it: day, date, hour, zone.
    #[must_use]
    pub fn describe(&self, now: Timestamp) -> String {
        let name = self.0.iana_name().unwrap_or_default();
        self.at(now).map_or_else(String::new, |here| format!("{} {name}", here.strftime("%a %Y-%m-%d %H:%M")))
    }

    /// The instant that `text` names: as RFC 3339 writes it, or without an offset as the clock here shows it.
    #[must_use]
    pub fn instant(&self, text: &str) -> Option<Timestamp> {
        let read = text.parse::<jiff::Timestamp>().or_else(|_| {
            let here: jiff::civil::DateTime = text.parse()?;
            self.0.to_timestamp(here)
        });
        read.ok().and_then(|instant| u64::try_from(instant.as_second()).ok()).map(Timestamp::from_secs)
    }

    fn at(&self, now: Timestamp) -> Option<jiff::civil::DateTime> {
        let seconds = i64::try_from(now.as_secs()).ok()?;
        jiff::Timestamp::from_second(seconds).ok().map(|now| self.0.to_datetime(now))
    }
}

impl Default for Zone {
    fn default() -> Self {
        PARIS.parse().unwrap_or(Self(TimeZone::UTC))
    }
}

impl FromStr for Zone {
    type Err = TimeError;

    fn from_str(name: &str) -> Result<Self, TimeError> {
        TimeZoneDatabase::bundled().get(name).map(Self).map_err(|_| TimeError::Zone)
    }
}

impl Default for Weekdays {
    fn default() -> Self {
        Self([true; 7])
    }
}

impl FromIterator<Self> for Weekdays {
    fn from_iter<I: IntoIterator<Item = Self>>(days: I) -> Self {
        let mut all = [false; 7];
        for Self(days) in days {
            all.iter_mut().zip(days).for_each(|(day, is_one)| *day |= is_one);
        }
        Self(all)
    }
}

impl FromStr for Weekdays {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let day = |text: &str| DAYS.iter().position(|day| *day == text).ok_or(TimeError::Days);
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let (from, to) = (day(from)?, day(to)?);
        let mut days = [false; 7];
        let length = (to + 7 - from) % 7;
        (from..=from + length).for_each(|at| days[at % 7] = true);
        Ok(Self(days))
    }
}

impl FromStr for Hours {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let (from, to) = text.split_once('-').ok_or(TimeError::Hours)?;
        let (from, to) = (minute(from.trim()).ok_or(TimeError::Hours)?, minute(to.trim()).ok_or(TimeError::Hours)?);
        if from == to || from == MINUTES_OF_DAY { Err(TimeError::Hours) } else { Ok(Self { from, to }) }
    }
}

/// `08:30`; `24:00` is the end of the day.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str| {
        let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain { digits.parse::<u16>().ok() } else { None }
    };
    let (hour, minute) = (number(hour)?, number(minute).filter(|_| minute.len() == 2)?);
    let at = hour * 60 + minute;
    (minute < 60 && at <= MINUTES_OF_DAY).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[&str], hours: &[&str]) -> Window {
        let read = days.iter().map(|days| days.parse::<Weekdays>().unwrap());
        let days = if days.is_empty() { Weekdays::default() } else { read.collect() };
        Window { days, hours: hours.iter().map(|hours| hours.parse().unwrap()).collect(), zone: Zone::default() }
    }

    fn holds(window: &Window, at: &str) -> bool {
        window.holds(window.zone.instant(at).unwrap())
    }

    #[test]
    fn office_hours_begin_and_end_by_the_clock_of_paris() {
        let office = window(&["mon-fri"], &["08:00-18:30"]);
        // Winter and summer time.
        for at in ["2026-01-05T08:00", "2026-01-09T18:29:59", "2026-01-05T07:00:00Z", "2026-07-06T06:00:00Z"] {
            assert!(holds(&office, at), "{at}");
        }
        for at in [
            "2026-01-05T07:59:59",
            "2026-01-05T18:30",
            "2026-01-10T12:00",
            "2026-01-05T06:59:59Z",
            "2026-07-06T05:59:59Z",
        ] {
            assert!(!holds(&office, at), "{at}");
        }
    }

    #[test]
    fn a_night_belongs_to_the_day_that_it_began_on() {
        let night = window(&["fri"], &["22:00-06:00"]);
        assert!(holds(&night, "2026-01-09T22:00") && holds(&night, "2026-01-10T05:59"));
        assert!(
            !holds(&night, "2026-01-09T05:00")
                && !holds(&night, "2026-01-10T22:00")
                && !holds(&night, "2026-01-10T06:00")
        );
    }

    #[test]
    fn the_hour_that_is_missing_and_the_one_that_is_there_twice() {
        let early = window(&[], &["02:00-03:00"]);
        // 29 March 2026: 02:00 is followed by nothing until 03:00. 25 October 2026: 02:30 comes twice.
        assert!(!holds(&early, "2026-03-29T00:59:59Z") && !holds(&early, "2026-03-29T01:00:00Z"));
        assert!(holds(&early, "2026-10-25T00:30:00Z") && holds(&early, "2026-10-25T01:30:00Z"));
        assert!(!holds(&early, "2026-10-25T02:00:00Z"));
    }

    #[test]
    fn midnight_is_the_end_and_the_beginning() {
        let day = window(&["sun"], &["00:00-24:00"]);
        assert!(holds(&day, "2026-01-11T00:00") && holds(&day, "2026-01-11T23:59:59"));
        assert!(!holds(&day, "2026-01-12T00:00") && !holds(&day, "2026-01-10T23:59:59"));
        assert!(
            holds(&window(&["fri-mon"], &[]), "2026-01-12T12:00")
                && !holds(&window(&["fri-mon"], &[]), "2026-01-13T12:00")
        );
    }

    #[test]
    fn another_zone_has_another_clock() {
        let mut office = window(&["mon-fri"], &["08:00-18:30"]);
        office.zone = "Indian/Reunion".parse().unwrap();
        assert!(holds(&office, "2026-07-06T04:00:00Z") && !holds(&office, "2026-07-06T15:00:00Z"));
        assert_eq!(office.zone.describe(Timestamp::from_secs(1_783_310_400)), "Mon 2026-07-06 08:00 Indian/Reunion");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["monday", "Mon", "lun", "mon-", "mon-fri-sat", ""] {
            assert_eq!(text.parse::<Weekdays>(), Err(TimeError::Days), "{text}");
        }
        for text in [
            "8h-18h",
            "08:00",
            "08:00-08:00",
            "08:60-09:00",
            "24:00-25:00",
            "24:00-06:00",
            "8:0-9:00",
            "-08:00-09:00",
            "+8:00-9:00",
        ] {
            assert_eq!(text.parse::<Hours>(), Err(TimeError::Hours), "{text}");
        }
        for text in ["Paris", "Europe/Pariss", "", "../../etc/passwd"] {
            assert_eq!(text.parse::<Zone>(), Err(TimeError::Zone), "{text}");
        }
    }
}
