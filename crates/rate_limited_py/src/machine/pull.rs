//! How workers get their next step, and wait for it.

use super::Inner;
use crate::account::{self, lock};
use crate::state::State;
use crate::step::Step;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The longest sleep: whoever wakes asks again.
const LONGEST_SLEEP: Duration = Duration::from_secs(3_600);

impl Inner {
    /// The next step, and whether one more worker is wanted. A loop that gets a wait is parked.
    pub(super) fn step_now(&self, run: u64) -> (Step, bool) {
        let step = {
            let state = &mut *lock(&self.state);
            state.coming = false;
            let step = state.next(run);
            state.parked |= matches!(step, Step::Wait { .. });
            (step, self.wants_another(state, step))
        };
        self.wake_others();
        step
    }

    /// Whether there is more to do at once: then a waiting worker is woken, or a new one is wanted.
    fn wants_another(&self, state: &mut State, step: Step) -> bool {
        if matches!(step, Step::Over { .. }) {
            // All that wait are to go home.
            self.news.notify_all();
        }
        if !matches!(
            step,
            Step::Dispatch { .. } | Step::Abandon { .. } | Step::Ended { .. }
        ) {
            return false;
        }
        if state.coming {
            return false;
        }
        let keeper = state.idle > 0;
        if state.prefetch() {
            state.coming = true;
            if keeper {
                self.news.notify_one();
            }
            return !keeper;
        }
        // While all others make attempts, someone has to listen for news and to keep the time: one that
        // waits already, or one more.
        let leaves = matches!(step, Step::Dispatch { .. });
        let listens = keeper || state.parked;
        state.coming = leaves && !listens || state.needs_a_keeper();
        if state.coming && keeper {
            self.news.notify_one();
        }
        state.coming && !keeper
    }

    pub(super) fn take<'py>(&self, py: Python<'py>, run: u64) -> PyResult<Bound<'py, PyTuple>> {
        let (step, another) = {
            let state = &mut *lock(&self.state);
            state.coming = false;
            let step = state.next(run);
            (step, self.wants_another(state, step))
        };
        if !matches!(step, Step::Wait { .. }) {
            self.wake_others();
            return step.to_python(py, another);
        }
        let (step, another) = py.detach(|| self.wait(run));
        step.to_python(py, another)
    }

    /// Waits until there is something to do.
    fn wait(&self, run: u64) -> (Step, bool) {
        let mut state = lock(&self.state);
        loop {
            state.coming = false;
            let step = state.next(run);
            let Step::Wait { seconds } = step else {
                let another = self.wants_another(&mut state, step);
                drop(state);
                self.wake_others();
                return (step, another);
            };
            let wakes = account::limiter().take_wakes();
            if wakes.iter().any(|id| *id != self.id) {
                drop(state);
                account::wake(&wakes, Some(self.id));
                state = lock(&self.state);
                continue;
            }
            state = self.sleep(state, seconds);
        }
    }

    /// The waiting worker with the earliest moment keeps the time; the others wait for news only.
    fn sleep<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        seconds: Option<f64>,
    ) -> MutexGuard<'a, State> {
        let due = seconds.map(|seconds| {
            let left = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_SLEEP);
            Instant::now() + left.min(LONGEST_SLEEP)
        });
        let earliest = |due: &Instant| state.keeper_until.is_none_or(|known| *due < known);
        let keeps_time = due.filter(earliest);
        state.idle += 1;
        let mut state = if let Some(due) = keeps_time {
            state.keeper_until = Some(due);
            let left = due.saturating_duration_since(Instant::now());
            let waited = self.news.wait_timeout(state, left);
            waited.unwrap_or_else(PoisonError::into_inner).0
        } else {
            self.news
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner)
        };
        state.idle -= 1;
        if keeps_time.is_some() && state.keeper_until == keeps_time {
            state.keeper_until = None;
            // Another one that waits keeps it from now on, if this one has something to do.
            if state.idle > 0 {
                self.news.notify_one();
            }
        }
        state
    }
}
