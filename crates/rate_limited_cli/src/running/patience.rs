//! How long a run waits when nothing else is left to do.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rate_limited::{View, WaitingOn};

use crate::running::state::State;
use crate::running::stop::Cause;
use crate::telling::status;
use crate::values::duration::Human;

/// How often a run is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A wait that is too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TooLong {
    left: Duration,
    until: SystemTime,
    most: Duration,
    /// What is waited for.
    on: Option<String>,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (left, most) = (Human(self.left), Human(self.most));
        write!(f, "all that is left must wait for {left}, until ")?;
        match Timestamp::try_from(self.until) {
            Ok(until) => write!(f, "{}", until.strftime("%Y-%m-%d %H:%M:%S UTC"))?,
            Err(_) => f.write_str("a day that no calendar has")?,
        }
        if let Some(on) = &self.on {
            write!(f, " ({on})")?;
        }
        write!(f, ": longer than {most} (--max-wait)")
    }
}

/// Ends the run once all that is left must wait longer than `most`.
pub(crate) async fn end_when_too_long(state: Arc<State>, most: Duration) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        let view = state.view();
        if let Some(left) = wait_of_all(&view).filter(|left| *left > most) {
            let on = status::waits_for(&view, &state.meters);
            state.stopper.stop(Cause::Wait(TooLong {
                left,
                until: SystemTime::now() + left,
                most,
                on,
            }));
            return;
        }
    }
}

/// How long nothing can happen at all, as far as that is known: what is in flight may change it.
fn wait_of_all(view: &View) -> Option<Duration> {
    let is_free = view.progress.in_flight == 0;
    // Somebody else's turn may end at any time.
    let is_known = view.wait.is_some_and(|wait| wait.on != WaitingOn::Turn);
    view.wait_left.filter(|_| is_free && is_known)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::TooLong;

    #[test]
    fn a_wait_says_until_when() {
        let wait = TooLong {
            left: Duration::from_secs(7_200),
            until: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000),
            most: Duration::from_secs(60),
            on: Some("requests: full for 2 h".to_owned()),
        };
        assert_eq!(
            wait.to_string(),
            "all that is left must wait for 2 h, until 2026-11-18 11:06:40 UTC (requests: full for 2 h): \
             longer than 1 m (--max-wait)"
        );
    }
}
