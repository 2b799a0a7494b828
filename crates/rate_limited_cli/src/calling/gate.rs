//! The first calls of a run go a few at a time, so that a bad key costs a handful of attempts.
//!
//! Without it 64 attempts would be on their way before the first answer says that the key is wrong,
//! and servers ban those who send many of them. The price is a start that is at most a second slower.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Attempts that may be out before the first answer.
const FIRST: usize = 8;

/// How long an attempt waits for the first answer: a refusal of the key comes sooner.
const PATIENCE: Duration = Duration::from_secs(1);

/// More attempts than can ever wait.
const ALL: usize = 1 << 20;

/// Lets a few attempts through until one of them has an answer.
#[derive(Debug)]
pub(crate) struct Gate {
    first: Semaphore,
    open: AtomicBool,
}

/// The first answers said that no call can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shut;

impl Gate {
    pub(crate) fn new() -> Gate {
        Gate {
            first: Semaphore::new(FIRST),
            open: AtomicBool::new(false),
        }
    }

    /// Waits for leave to send; what it gives is kept until the answer is there.
    pub(crate) async fn pass(&self) -> Result<Option<SemaphorePermit<'_>>, Shut> {
        if self.open.load(Ordering::Acquire) {
            return Ok(None);
        }
        tokio::select! {
            permit = self.first.acquire() => permit.map(Some).map_err(|_| Shut),
            () = tokio::time::sleep(PATIENCE) => {
                self.open();
                Ok(None)
            }
        }
    }

    /// The server answers calls: all may go.
    pub(crate) fn open(&self) {
        if !self.open.swap(true, Ordering::AcqRel) && !self.first.is_closed() {
            self.first.add_permits(ALL);
        }
    }

    /// No call can succeed: those that have not gone stay.
    pub(crate) fn shut(&self) {
        self.first.close();
    }
}

#[cfg(test)]
mod tests {
    use super::{FIRST, Gate, Shut};

    #[tokio::test]
    async fn a_few_go_before_the_first_answer() {
        let gate = Gate::new();
        let mut passed = Vec::new();
        for _ in 0..FIRST {
            passed.push(gate.pass().await);
        }
        let next = gate.pass();
        tokio::pin!(next);
        let early = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(early, &mut next).await.is_err());
        gate.open();
        assert!(next.await.is_ok());
    }

    #[tokio::test]
    async fn a_fatal_answer_keeps_the_rest_back() {
        let gate = Gate::new();
        let passed = gate.pass().await;
        assert!(passed.is_ok());
        gate.shut();
        assert_eq!(gate.pass().await.err(), Some(Shut));
    }

    #[tokio::test]
    async fn a_slow_server_holds_the_others_up_for_a_moment_only() {
        let gate = Gate::new();
        let mut passed = Vec::new();
        for _ in 0..=FIRST {
            passed.push(gate.pass().await.is_ok());
        }
        assert!(passed.iter().all(|passed| *passed));
    }
}
