//! Where fixed windows begin.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::lenient::from_text;
use crate::moment::Moment;

/// Zones that are known by name, with their rule since 2007. Quotas look ahead, so history does not matter,
/// and no data of the system is read.
const ZONES: [(&str, &str); 3] = [
    ("UTC", "UTC0"),
    ("America/Los_Angeles", "PST8PDT,M3.2.0,M11.1.0"),
    ("America/New_York", "EST5EDT,M3.2.0,M11.1.0"),
];

/// Where the windows of a resource begin: `first_call`, `server`, `clock`, `day ZONE`, `month ZONE`.
///
/// A zone is `UTC`, `America/Los_Angeles`, `America/New_York`, or a POSIX rule such as
/// `CET-1CEST,M3.5.0,M10.5.0/3`.
///
/// ```
/// use rate_limited_apis::{Anchor, Moment};
/// use std::time::Duration;
///
/// let anchor: Anchor = "day America/Los_Angeles".parse()?;
/// let noon = Moment::from_seconds(1_774_785_600); // 2026-03-29 12:00 UTC, 05:00 there
/// let (end, next) = anchor.ends(noon, Duration::ZERO).expect("a calendar");
/// assert_eq!(noon.until(end), Duration::from_secs(19 * 3_600));
/// assert_eq!(end.until(next), Duration::from_secs(24 * 3_600));
/// assert!("day Mars".parse::<Anchor>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Anchor {
    /// A window begins with the first call after the end of the one before.
    FirstCall,
    /// The server announces the end of its window.
    Server,
    /// At whole multiples of the window since 1970 in UTC: a clock minute, an hour, a day in UTC.
    Clock,
    /// At midnight.
    Day(Zone),
    /// At midnight of the first of the month.
    Month(Zone),
}

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    name: String,
    rule: TimeZone,
}

impl Anchor {
    /// The ends of the window that `now` lies in, and of the one after. `window`: its length, which only
    /// [`Anchor::Clock`] needs. `None` where the ends do not follow from the time alone.
    pub fn ends(&self, now: Moment, window: Duration) -> Option<(Moment, Moment)> {
        match self {
            Anchor::FirstCall | Anchor::Server => None,
            Anchor::Clock => {
                let window = i64::try_from(window.as_micros()).ok()?;
                let now = now.as_micros();
                let end = now
                    .checked_sub(now.checked_rem_euclid(window)?)?
                    .checked_add(window)?;
                let next = end.checked_add(window)?;
                Some((Moment::from_micros(end), Moment::from_micros(next)))
            }
            Anchor::Day(zone) => {
                let tomorrow = zone.date(now).tomorrow().ok()?;
                Some((
                    zone.midnight(tomorrow)?,
                    zone.midnight(tomorrow.tomorrow().ok()?)?,
                ))
            }
            Anchor::Month(zone) => {
                let first = zone.date(now).first_of_month();
                let next = first.checked_add(1.month()).ok()?;
                let after = first.checked_add(2.months()).ok()?;
                Some((zone.midnight(next)?, zone.midnight(after)?))
            }
        }
    }
}

impl Zone {
    fn date(&self, now: Moment) -> Date {
        self.rule.to_datetime(now.timestamp()).date()
    }

    fn midnight(&self, date: Date) -> Option<Moment> {
        let midnight = self.rule.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
        Some(midnight.into())
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(name: &str) -> Result<Zone, String> {
        let known = ZONES.iter().find(|(zone, _)| *zone == name);
        let rule = known.map_or(name, |(_, rule)| rule);
        // The reader of rules takes some names of offsets only, so that "Mars" is no rule.
        let rule = TimeZone::posix(rule).map_err(|_| {
            let known = ZONES.map(|(name, _)| name).join(", ");
            format!(
                "{name:?} is not a known zone: write one of {known}, or a POSIX rule such as \
                 CET-1CEST,M3.5.0,M10.5.0/3"
            )
        })?;
        let name = name.to_owned();
        Ok(Zone { name, rule })
    }
}

impl FromStr for Anchor {
    type Err = String;

    fn from_str(text: &str) -> Result<Anchor, String> {
        match text.split_once(' ') {
            None if text == "first_call" => Ok(Anchor::FirstCall),
            None if text == "server" => Ok(Anchor::Server),
            None if text == "clock" => Ok(Anchor::Clock),
            Some(("day", zone)) => zone.parse().map(Anchor::Day),
            Some(("month", zone)) => zone.parse().map(Anchor::Month),
            _ => Err(format!(
                "{text:?} is no anchor: write first_call, server, clock, or day or month and a zone, \
                 as in \"day UTC\""
            )),
        }
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Anchor::FirstCall => f.write_str("begins with the first call"),
            Anchor::Server => f.write_str("ends when the server says"),
            Anchor::Clock => f.write_str("follows the clock in UTC"),
            Anchor::Day(zone) => write!(f, "begins at midnight, {}", zone.name),
            Anchor::Month(zone) => write!(f, "begins with the month, {}", zone.name),
        }
    }
}

from_text!(Anchor);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::rfc3339;

    #[track_caller]
    fn check(anchor: &str, now: &str, end: &str, next: &str) {
        let anchor: Anchor = anchor.parse().unwrap();
        let moment = |text| rfc3339(text).unwrap();
        let ends = anchor.ends(moment(now), Duration::from_secs(60));
        assert_eq!(ends, Some((moment(end), moment(next))), "{anchor} {now}");
    }

    #[test]
    fn windows_end_when_the_calendar_says() {
        check(
            "clock",
            "2026-05-01T10:00:30Z",
            "2026-05-01T10:01:00Z",
            "2026-05-01T10:02:00Z",
        );
        check(
            "clock",
            "2026-05-01T10:00:00Z",
            "2026-05-01T10:01:00Z",
            "2026-05-01T10:02:00Z",
        );
        check(
            "day UTC",
            "2026-12-31T23:59:59Z",
            "2027-01-01T00:00:00Z",
            "2027-01-02T00:00:00Z",
        );
        check(
            "month UTC",
            "2026-11-30T05:00:00Z",
            "2026-12-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
        );
        // Days of 23 and of 25 hours.
        let zone = "day America/Los_Angeles";
        check(
            zone,
            "2026-03-07T09:00:00Z",
            "2026-03-08T08:00:00Z",
            "2026-03-09T07:00:00Z",
        );
        check(
            zone,
            "2026-10-31T08:00:00Z",
            "2026-11-01T07:00:00Z",
            "2026-11-02T08:00:00Z",
        );
    }

    #[test]
    fn what_the_calendar_does_not_say() {
        for anchor in ["first_call", "server"] {
            let anchor: Anchor = anchor.parse().unwrap();
            assert_eq!(
                anchor.ends(Moment::from_seconds(5), Duration::from_secs(60)),
                None
            );
        }
        let clock = Anchor::Clock;
        assert_eq!(
            clock.ends(Moment::from_micros(i64::MAX), Duration::MAX),
            None
        );
        assert_eq!(clock.ends(Moment::from_seconds(5), Duration::ZERO), None);
        let last = Moment::from_micros(i64::MAX);
        assert_eq!(
            "month UTC"
                .parse::<Anchor>()
                .unwrap()
                .ends(last, Duration::ZERO),
            None
        );
    }
}
