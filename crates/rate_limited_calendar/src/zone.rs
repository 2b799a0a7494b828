//! Time zones.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;

use crate::calendar::CalendarError;

/// A time zone: a name of the tz database such as `America/Los_Angeles`, `UTC`, or a POSIX rule such as
/// `CET-1CEST,M3.5.0,M10.5.0/3`.
///
/// ```
/// use rate_limited_calendar::Zone;
///
/// let zone: Zone = "europe/berlin".parse()?;
/// assert_eq!(zone.name(), "Europe/Berlin");
/// assert!("Mars/Olympus".parse::<Zone>().is_err());
/// # Ok::<(), rate_limited_calendar::CalendarError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    rule: TimeZone,
}

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Zone {
        Zone {
            name: "UTC".to_owned(),
            rule: TimeZone::UTC,
        }
    }

    /// The name, or the rule.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn rule(&self) -> &TimeZone {
        &self.rule
    }
}

impl FromStr for Zone {
    type Err = CalendarError;

    fn from_str(name: &str) -> Result<Zone, CalendarError> {
        if name.eq_ignore_ascii_case("UTC") {
            return Ok(Zone::utc());
        }
        // A rule needs a digit, and a name has none but in "Etc/GMT+5": so the database is asked first.
        let rule = TimeZone::get(name).or_else(|_| TimeZone::posix(name));
        let rule = rule.map_err(|_| CalendarError::Zone(name.to_owned()))?;
        let known = rule.iana_name().unwrap_or(name);
        Ok(Zone {
            name: known.to_owned(),
            rule,
        })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name)
    }
}
