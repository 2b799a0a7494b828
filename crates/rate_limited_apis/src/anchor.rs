//! Where fixed windows begin.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rate_limited_calendar::Calendar;

use crate::lenient::from_text;
use crate::moment::Moment;

/// Where the windows of a resource begin: `first_call`, `server`, `clock`, or a [calendar](Calendar) such as
/// `day ZONE`, `day 09:00 ZONE` and `month ZONE`.
///
/// A zone is a name of the tz database, or a POSIX rule such as `CET-1CEST,M3.5.0,M10.5.0/3`.
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
    /// When the calendar says.
    Calendar(Calendar),
}

impl Anchor {
    /// The calendar of a resource with this window, which only [`Anchor::Clock`] needs. `None` where the ends do not
    /// follow from the time alone.
    ///
    /// ```
    /// use rate_limited_apis::Anchor;
    /// use std::time::Duration;
    ///
    /// let minute = Anchor::Clock.calendar(Duration::from_secs(60));
    /// assert_eq!(minute.map(|it| it.to_string()).as_deref(), Some("minute"));
    /// assert_eq!(Anchor::FirstCall.calendar(Duration::from_secs(60)), None);
    /// ```
    pub fn calendar(&self, window: Duration) -> Option<Calendar> {
        match self {
            Anchor::FirstCall | Anchor::Server => None,
            Anchor::Clock => Calendar::clock(window).ok(),
            Anchor::Calendar(calendar) => Some(calendar.clone()),
        }
    }

    /// The ends of the window that `now` lies in, and of the one after. `window`: its length, which only
    /// [`Anchor::Clock`] needs. `None` where the ends do not follow from the time alone.
    pub fn ends(&self, now: Moment, window: Duration) -> Option<(Moment, Moment)> {
        let window = self.calendar(window)?.window_at(now.system()?)?;
        Some((window.end.into(), window.next.into()))
    }
}

impl FromStr for Anchor {
    type Err = String;

    fn from_str(text: &str) -> Result<Anchor, String> {
        match text {
            "first_call" => Ok(Anchor::FirstCall),
            "server" => Ok(Anchor::Server),
            "clock" => Ok(Anchor::Clock),
            _ if text.starts_with("day ") || text.starts_with("month ") => {
                let calendar = text.parse().map(Anchor::Calendar);
                calendar.map_err(|error: rate_limited_calendar::CalendarError| error.to_string())
            }
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
            Anchor::Calendar(calendar) => write!(f, "begins {}", calendar.in_words()),
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
