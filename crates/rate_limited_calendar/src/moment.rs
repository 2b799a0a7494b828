//! Moments in the time zone of the system, for people.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A moment as the clock on the wall will show it: `16:05`, or `2026-03-29 16:05` where that is another day than `now`.
///
/// The time zone is that of the system. `None` beyond the years -9999 to 9999.
///
/// ```
/// use rate_limited_calendar::on_the_wall;
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let now = UNIX_EPOCH + Duration::from_secs(1_774_785_600);
/// assert_eq!(on_the_wall(now, now).map(|told| told.len()), Some("16:05".len()));
/// let next_week = now + Duration::from_secs(7 * 86_400);
/// assert_eq!(on_the_wall(next_week, now).map(|told| told.len()), Some("2026-03-29 16:05".len()));
/// ```
pub fn on_the_wall(moment: SystemTime, now: SystemTime) -> Option<String> {
    shown(moment, now, &TimeZone::system())
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

    use super::shown;

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
    }
}
