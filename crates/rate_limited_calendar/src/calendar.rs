//! Windows that end when a calendar says.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::civil::{Date, Time};
use jiff::{Timestamp, ToSpan};
use rate_limited_core::{Amount, Anchor, Quota};

use crate::moment::on_the_wall;
use crate::zone::Zone;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// When windows end: each minute or hour of the clock, each day, each month.
///
/// It is written as it is read: `minute`, `hour`, `day`, `month`, and behind `day` and `month` a time of day and a
/// [zone](Zone), by default midnight in UTC; or `clock` and a span, such as `clock 10s`.
///
/// ```
/// use rate_limited_calendar::Calendar;
///
/// for text in ["minute", "hour", "clock 2.5s", "day UTC", "day 07:30 Asia/Kolkata", "month Europe/Berlin"] {
///     assert_eq!(text.parse::<Calendar>()?.to_string(), text);
/// }
/// assert_eq!("day".parse::<Calendar>()?.to_string(), "day UTC");
/// assert!("day Mars/Olympus".parse::<Calendar>().is_err());
/// # Ok::<(), rate_limited_calendar::CalendarError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Calendar(Arc<Every>);

#[derive(Clone, PartialEq, Eq)]
enum Every {
    /// At whole multiples since 1970 in UTC.
    Span(Duration),
    Day(Time, Zone),
    /// The first of each month.
    Month(Time, Zone),
}

/// The window that a moment lies in, and the end of the one after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// Its beginning: the first moment of it.
    pub start: SystemTime,
    /// Its end: the first moment of the next one.
    pub end: SystemTime,
    /// The end of the next one.
    pub next: SystemTime,
}

/// Why a text is no calendar; the message says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CalendarError {
    /// Neither the tz database nor the rules of POSIX know this zone.
    Zone(String),
    /// It begins with none of the words.
    Form(String),
    /// Minutes and hours of the clock are the same in all zones but a few, and are told without one.
    Zoned(String),
    /// No span of time, or one that is not a whole number of microseconds.
    Span(Duration),
}

impl Calendar {
    fn of(every: Every) -> Calendar {
        Calendar(Arc::new(every))
    }

    /// Each day at midnight in a zone.
    ///
    /// # Errors
    /// A zone that nobody knows.
    pub fn day(zone: &str) -> Result<Calendar, CalendarError> {
        Ok(Calendar::of(Every::Day(Time::midnight(), zone.parse()?)))
    }

    /// Each first of a month at midnight in a zone.
    ///
    /// # Errors
    /// A zone that nobody knows.
    pub fn month(zone: &str) -> Result<Calendar, CalendarError> {
        Ok(Calendar::of(Every::Month(Time::midnight(), zone.parse()?)))
    }

    /// At whole multiples of a span since 1970 in UTC: with 60 s each minute of the clock, with a day each day in UTC.
    ///
    /// ```
    /// use rate_limited_calendar::Calendar;
    /// use std::time::Duration;
    ///
    /// assert_eq!(Calendar::clock(Duration::from_secs(3_600))?.to_string(), "hour");
    /// assert!(Calendar::clock(Duration::ZERO).is_err());
    /// # Ok::<(), rate_limited_calendar::CalendarError>(())
    /// ```
    ///
    /// # Errors
    /// A span of nothing, of more than 400 days, or with a fraction of a microsecond.
    pub fn clock(span: Duration) -> Result<Calendar, CalendarError> {
        let is_whole = span.subsec_nanos().is_multiple_of(1_000);
        if span.is_zero() || span > DAY * 400 || !is_whole {
            return Err(CalendarError::Span(span));
        }
        Ok(Calendar::of(Every::Span(span)))
    }

    /// How long a window usually is; a month is taken for 30 days.
    pub fn usual_length(&self) -> Duration {
        match *self.0 {
            Every::Span(span) => span,
            Every::Day(..) => DAY,
            Every::Month(..) => DAY * 30,
        }
    }

    /// So much in each of its windows, as the core has it before a driver [looks](crate::Calendars::look) at the time.
    pub fn quota(&self, amount: Amount) -> Quota {
        Quota::FixedWindow {
            amount,
            window: self.usual_length(),
            anchor: Anchor::Calendar {
                start: rate_limited_core::Time::MAX,
                end: rate_limited_core::Time::MAX,
                next: rate_limited_core::Time::MAX,
            },
        }
    }

    /// What it is, and when the window ends that this moment lies in, for people: `day UTC, back at 16:05`.
    ///
    /// The end is that of the clock [on the wall](on_the_wall); beyond what calendars know there is none.
    ///
    /// ```
    /// use rate_limited_calendar::{Calendar, on_the_wall};
    /// use std::time::{Duration, UNIX_EPOCH};
    ///
    /// let (hour, now) = (Calendar::clock(Duration::from_secs(3_600))?, UNIX_EPOCH);
    /// let end = on_the_wall(now + Duration::from_secs(3_600), now).expect("it is in 1970");
    /// assert_eq!(hour.window_in_words(now), format!("hour, back at {end}"));
    /// # Ok::<(), rate_limited_calendar::CalendarError>(())
    /// ```
    pub fn window_in_words(&self, now: SystemTime) -> String {
        let window = self.window_at(now);
        match window.and_then(|window| on_the_wall(window.end, now)) {
            Some(back) => format!("{self}, back at {back}"),
            None => self.to_string(),
        }
    }

    /// When its windows begin, for people.
    ///
    /// ```
    /// use rate_limited_calendar::Calendar;
    ///
    /// assert_eq!(Calendar::day("America/Los_Angeles")?.in_words(), "at midnight, America/Los_Angeles");
    /// let month: Calendar = "month 09:00 UTC".parse()?;
    /// assert_eq!(month.in_words(), "on the first of the month at 09:00, UTC");
    /// # Ok::<(), rate_limited_calendar::CalendarError>(())
    /// ```
    pub fn in_words(&self) -> String {
        let at = |time: &Time| {
            if *time == Time::midnight() {
                return "at midnight".to_owned();
            }
            format!("at {:02}:{:02}", time.hour(), time.minute())
        };
        match &*self.0 {
            Every::Span(MINUTE) => "with each minute of the clock".to_owned(),
            Every::Span(HOUR) => "with each hour of the clock".to_owned(),
            Every::Span(DAY) => "at midnight, UTC".to_owned(),
            Every::Span(span) => format!("at multiples of {span:?} since 1970, UTC"),
            Every::Day(time, zone) => format!("{}, {zone}", at(time)),
            Every::Month(time, zone) => format!("on the first of the month {}, {zone}", at(time)),
        }
    }

    /// The window that a moment lies in; `None` beyond the years -9999 to 9999.
    pub fn window_at(&self, now: SystemTime) -> Option<Window> {
        let now = Timestamp::try_from(now).ok()?;
        let ends = match &*self.0 {
            Every::Span(span) => multiples(*span, now),
            Every::Day(time, zone) => {
                let today = zone.rule().to_datetime(now).date();
                let near = (-2..=3).filter_map(|days: i64| today.checked_add(days.days()).ok());
                moments(near, *time, zone)
            }
            Every::Month(time, zone) => {
                let first = zone.rule().to_datetime(now).date().first_of_month();
                let near =
                    (-1..=3).filter_map(|months: i64| first.checked_add(months.months()).ok());
                moments(near, *time, zone)
            }
        };
        let place = ends.iter().position(|end| *end > now)?;
        Some(Window {
            start: ends[place.checked_sub(1)?].try_into().ok()?,
            end: ends[place].try_into().ok()?,
            next: (*ends.get(place + 1)?).try_into().ok()?,
        })
    }
}

/// The multiples of a span around a moment.
fn multiples(span: Duration, now: Timestamp) -> Vec<Timestamp> {
    let (span, now) = (span.as_micros() as i64, now.as_microsecond());
    let start = now - now.rem_euclid(span);
    let near = (0..3).map(|turn| Timestamp::from_microsecond(start.saturating_add(turn * span)));
    near.filter_map(Result::ok).collect()
}

/// A time of day on each of these days. Where a zone leaves it out, it is as much later; where it comes twice, the
/// first one counts.
fn moments(dates: impl Iterator<Item = Date>, time: Time, zone: &Zone) -> Vec<Timestamp> {
    let moment = |date: Date| zone.rule().to_timestamp(date.to_datetime(time)).ok();
    let mut moments: Vec<_> = dates.filter_map(moment).collect();
    // A zone that moved over the date line left out a day.
    moments.sort_unstable();
    moments.dedup();
    moments
}

impl FromStr for Calendar {
    type Err = CalendarError;

    fn from_str(text: &str) -> Result<Calendar, CalendarError> {
        let form = || CalendarError::Form(text.to_owned());
        let mut words = text.split_whitespace();
        let every = words.next().ok_or_else(form)?;
        let mut rest: Vec<&str> = words.collect();
        if let ("clock", [span]) = (every, &rest[..]) {
            let seconds = span.strip_suffix('s').and_then(|it| it.parse().ok());
            let span = seconds.and_then(|it| Duration::try_from_secs_f64(it).ok());
            return Calendar::clock(span.ok_or_else(form)?);
        }
        if matches!(every, "minute" | "hour") {
            let span = if every == "hour" { HOUR } else { MINUTE };
            return match rest[..] {
                [] => Ok(Calendar::of(Every::Span(span))),
                [zone] if zone.eq_ignore_ascii_case("UTC") => Ok(Calendar::of(Every::Span(span))),
                _ => Err(CalendarError::Zoned(text.to_owned())),
            };
        }
        let time = match rest.first().and_then(|word| time_of_day(word)) {
            Some(time) => {
                rest.remove(0);
                time
            }
            None => Time::midnight(),
        };
        let zone = match rest[..] {
            [] => Zone::utc(),
            [zone] => zone.parse()?,
            _ => return Err(form()),
        };
        match every {
            "day" => Ok(Calendar::of(Every::Day(time, zone))),
            "month" => Ok(Calendar::of(Every::Month(time, zone))),
            _ => Err(form()),
        }
    }
}

/// A time such as `07:30`.
fn time_of_day(text: &str) -> Option<Time> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |text: &str| {
        let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
        is_number.then(|| text.parse().ok())?
    };
    Time::new(digits(hours)?, digits(minutes)?, 0, 0).ok()
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (every, time, zone) = match &*self.0 {
            Every::Span(MINUTE) => return f.write_str("minute"),
            Every::Span(HOUR) => return f.write_str("hour"),
            Every::Span(DAY) => return f.write_str("day UTC"),
            Every::Span(span) => return write!(f, "clock {}s", span.as_secs_f64()),
            Every::Day(time, zone) => ("day", time, zone),
            Every::Month(time, zone) => ("month", time, zone),
        };
        if *time == Time::midnight() {
            write!(f, "{every} {zone}")
        } else {
            write!(f, "{every} {:02}:{:02} {zone}", time.hour(), time.minute())
        }
    }
}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calendar({self})")
    }
}

impl fmt::Display for CalendarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CalendarError::Zone(name) => write!(
                f,
                "{name:?} is no known time zone: write a name such as America/Los_Angeles or UTC, or a POSIX rule such \
                 as CET-1CEST,M3.5.0,M10.5.0/3"
            ),
            CalendarError::Form(text) => write!(
                f,
                "{text:?} names no window of the calendar: write minute, hour, day or month, and behind day and month \
                 a time and a zone, as in \"day America/Los_Angeles\" or \"month 09:00 UTC\"; or a span of the clock, as in \
                 \"clock 10s\""
            ),
            CalendarError::Zoned(text) => write!(
                f,
                "{text:?} names a zone for minutes or hours, which follow the clock in UTC: leave it out"
            ),
            CalendarError::Span(span) => write!(
                f,
                "{span:?} is no span of the clock: it must be above 0, at most 400 days, and whole microseconds"
            ),
        }
    }
}

impl std::error::Error for CalendarError {}
