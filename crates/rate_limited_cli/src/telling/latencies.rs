//! How long answers take: the mean of all, and the latest of them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How many of the latest are kept.
const KEPT: usize = 256;

/// How long answers take.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    answers: u64,
    total: Duration,
    latest: Vec<Duration>,
}

impl Latencies {
    /// Notes an answer.
    pub(crate) fn note(&self, took: Duration) {
        let seen = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = usize::try_from(seen.answers % KEPT as u64).unwrap_or_default();
        match seen.latest.get_mut(place) {
            Some(oldest) => *oldest = took,
            None => seen.latest.push(took),
        }
        seen.answers += 1;
        seen.total = seen.total.saturating_add(took);
    }

    /// The mean of all.
    pub(crate) fn mean(&self) -> Option<Duration> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let nanos = seen.total.as_nanos().checked_div(seen.answers.into())?;
        u64::try_from(nanos).ok().map(Duration::from_nanos)
    }

    /// The latest of them.
    pub(crate) fn latest(&self) -> Vec<Duration> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.latest.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{KEPT, Latencies};

    #[test]
    fn the_mean_is_of_all_and_the_latest_are_few() {
        let latencies = Latencies::default();
        assert_eq!(latencies.mean(), None);
        for millis in 1..=1_000 {
            latencies.note(Duration::from_millis(millis));
        }
        assert_eq!(latencies.mean(), Some(Duration::from_micros(500_500)));
        let latest = latencies.latest();
        assert_eq!(latest.len(), KEPT);
        assert!(latest.iter().all(|it| *it > Duration::from_millis(744)));
    }
}
