//! How many exchanges may have a connection at once: as many as there are file descriptors for.
//!
//! Each connection is a descriptor, and a process has few of them in places (256 on a Mac, 1,024 on many
//! servers). An attempt that finds none has sent nothing, and can go as soon as another one ends. So it
//! waits for that instead of failing, and no more go from then on than did find room; an eighth less, for
//! files, the journal's among them, need descriptors too.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// After so long without a shortage the bound rises by an eighth: it may have been another process that
/// had all files of the machine open.
const RISES_EVERY: Duration = Duration::from_secs(10);

/// Counts exchanges, and bounds them once there was a shortage.
#[derive(Debug, Default)]
pub(super) struct Connections {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    bound: Option<Bound>,
}

#[derive(Clone, Copy, Debug)]
struct Bound {
    most: usize,
    since: Instant,
}

/// Leave to have a connection, until it is dropped.
pub(super) struct Held<'a>(&'a Connections);

impl Connections {
    /// Waits until one more may have a connection.
    pub(super) async fn enter(&self) -> Held<'_> {
        loop {
            let mut freed = pin!(self.freed.notified());
            // In line before it looks, so that no place that becomes free in between is missed.
            freed.as_mut().enable();
            if self.lock().has_room() {
                return Held(self);
            }
            freed.await;
        }
    }

    /// The bound, if there is one.
    pub(super) fn most(&self) -> Option<usize> {
        self.lock().bound.map(|bound| bound.most)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether there is room for one more, which is taken.
    fn has_room(&mut self) -> bool {
        let has_room = self.bound.is_none_or(|bound| self.open < bound.most);
        self.open += usize::from(has_room);
        has_room
    }

    /// Gives one place back, and says how many may go now.
    fn leave(&mut self) -> usize {
        self.open -= 1;
        let Some(bound) = &mut self.bound else {
            return 0;
        };
        if bound.since.elapsed() < RISES_EVERY {
            return 1;
        }
        let more = bound.most / 8 + 1;
        bound.most += more;
        bound.since = Instant::now();
        1 + more
    }
}

impl Held<'_> {
    /// There was no descriptor for this one. Where others are under way, the bound falls to their number,
    /// so that it makes sense to wait; where none is, it does not.
    pub(super) fn has_to_wait(self) -> bool {
        let mut state = self.0.lock();
        let others = state.open - 1;
        let room = (others - others / 8).max(1);
        let most = state.bound.map_or(room, |bound| bound.most.min(room));
        let since = Instant::now();
        state.bound = Some(Bound { most, since });
        others > 0
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let free = self.0.lock().leave();
        for _ in 0..free {
            self.0.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    async fn is_full(connections: &Connections) -> bool {
        tokio::time::timeout(Duration::from_millis(1), connections.enter())
            .await
            .is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_shortage_lowers_the_number_and_time_raises_it() {
        let connections = Connections::default();
        let mut held = Vec::new();
        for _ in 0..17 {
            held.push(connections.enter().await);
        }
        assert_eq!(connections.most(), None);
        assert!(held.pop().is_some_and(Held::has_to_wait));
        assert_eq!(connections.most(), Some(14));
        held.truncate(14);
        assert!(is_full(&connections).await);
        held.pop();
        held.push(connections.enter().await);
        assert!(is_full(&connections).await);
        tokio::time::advance(RISES_EVERY).await;
        held.pop();
        assert_eq!(connections.most(), Some(16));
        for _ in 0..3 {
            held.push(connections.enter().await);
        }
        assert!(is_full(&connections).await);
    }

    #[tokio::test]
    async fn alone_it_is_no_use_to_wait() {
        let connections = Connections::default();
        assert!(!connections.enter().await.has_to_wait());
        assert_eq!(connections.most(), Some(1));
        let held = connections.enter().await;
        assert!(is_full(&connections).await);
        drop(held);
        assert!(!is_full(&connections).await);
    }

    #[tokio::test]
    async fn all_that_wait_go_in_the_end() {
        let connections = Arc::new(Connections::default());
        let first = connections.enter().await;
        assert!(connections.enter().await.has_to_wait());
        let tasks: Vec<_> = (0..200)
            .map(|number| {
                let connections = Arc::clone(&connections);
                tokio::spawn(async move {
                    let patience = Duration::from_micros(number % 7 * 100);
                    // Some give up, and must not take the place of one that waits with them.
                    let held = tokio::time::timeout(patience, connections.enter()).await;
                    if held.is_err() && number % 2 == 0 {
                        return;
                    }
                    drop(held);
                    let _held = connections.enter().await;
                    tokio::task::yield_now().await;
                })
            })
            .collect();
        tokio::task::yield_now().await;
        drop(first);
        for task in tasks {
            let done = tokio::time::timeout(Duration::from_secs(10), task).await;
            assert!(done.is_ok_and(|task| task.is_ok()));
        }
        assert_eq!(connections.lock().open, 0);
    }
}
