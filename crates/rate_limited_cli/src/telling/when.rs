//! Moments in the time zone of the system, and for machines.

use std::time::SystemTime;

use jiff::Timestamp;
use rate_limited_calendar::on_the_wall;

/// A moment as the clock on the wall will show it: with the day where that is not today.
///
/// `None` where no calendar has it.
pub(crate) fn local(moment: SystemTime) -> Option<String> {
    on_the_wall(moment, SystemTime::now())
}

/// A moment for machines: in UTC, to the second.
pub(crate) fn utc(moment: SystemTime) -> Option<String> {
    let moment = Timestamp::try_from(moment).ok()?;
    Some(moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::utc;

    #[test]
    fn machines_are_told_utc() {
        let moment = UNIX_EPOCH + Duration::from_secs(20_000 * 86_400 + 3_600);
        assert_eq!(utc(moment).as_deref(), Some("2024-10-04T01:00:00Z"));
    }
}
