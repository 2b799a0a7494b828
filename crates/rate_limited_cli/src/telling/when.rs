//! Moments in the time zone of the system.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A moment as the clock on the wall will show it: with the day where that is not today.
///
/// `None` where no calendar has it.
pub(crate) fn local(moment: SystemTime) -> Option<String> {
    shown(moment, SystemTime::now(), &TimeZone::system())
}

/// A moment for machines: in UTC, to the second.
pub(crate) fn utc(moment: SystemTime) -> Option<String> {
    let moment = Timestamp::try_from(moment).ok()?;
    Some(moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn shown(moment: SystemTime, now: SystemTime, zone: &TimeZone) -> Option<String> {
    let here = |moment: SystemTime| Some(zone.to_datetime(Timestamp::try_from(moment).ok()?));
    let (moment, now) = (here(moment)?, here(now)?);
    let form = if moment.date() == now.date() {
        "%H:%M"
    } else {
        "%Y-%m-%d %H:%M"
    };
    Some(moment.strftime(form).to_string())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use jiff::tz::TimeZone;

    use super::{shown, utc};

    #[test]
    fn a_moment_names_the_day_where_it_is_another_one() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule");
        let at = |hours: u64| UNIX_EPOCH + Duration::from_secs(20_000 * 86_400 + hours * 3_600);
        for (moment, now, expected) in [
            (at(22), at(3), "23:00"),
            // Midnight there is another day.
            (at(23), at(3), "2024-10-05 00:00"),
        ] {
            // Summer time: two hours before UTC.
            let summer = Duration::from_secs(3_600);
            let told = shown(moment - summer, now, &zone);
            assert_eq!(told.as_deref(), Some(expected));
        }
        assert_eq!(utc(at(1)).as_deref(), Some("2024-10-04T01:00:00Z"));
    }
}
