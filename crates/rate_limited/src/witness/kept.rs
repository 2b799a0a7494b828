//! Where the numbers of a runner with a journal outlive the process.

use rate_limited_core::Time;
use rate_limited_report::Statistics;
use rate_limited_store::Beside;
use std::path::Path;
use std::sync::Arc;
use tokio::task::{JoinHandle, spawn_blocking};

/// A file beside a journal, and what was there when the journal was opened.
#[derive(Debug)]
pub(crate) struct Kept {
    beside: Arc<Beside>,
    /// What earlier runs have counted.
    known: Option<Statistics>,
    /// When it was written last.
    saved: Time,
    /// What is being written.
    saving: Option<JoinHandle<()>>,
}

impl Kept {
    /// What lies beside the journal at this path; with an empty one all begins anew.
    pub(crate) fn beside(journal: &Path, is_empty: bool) -> Kept {
        let beside = Beside::of(journal);
        let read = || Statistics::from_json(&beside.read()?);
        Kept {
            known: if is_empty { None } else { read() },
            beside: Arc::new(beside),
            // The first look at a run writes: one that is killed at once was a run.
            saved: Time::default(),
            saving: None,
        }
    }

    /// What earlier runs have counted.
    pub(super) fn take_known(&mut self) -> Statistics {
        self.known.take().unwrap_or_default()
    }

    /// Writes now and then what is known. A disk that is full or slow keeps nobody waiting.
    pub(super) fn save_if_due(&mut self, statistics: &Statistics, now: Time) {
        let is_busy = self.saving.as_ref().is_some_and(|it| !it.is_finished());
        if now.since(self.saved) >= Beside::SAVE_EVERY && !is_busy {
            self.saved = now;
            self.saving = Some(self.write(statistics));
        }
    }

    /// Writes what is known at the end of a run.
    pub(super) async fn save(&mut self, statistics: &Statistics) {
        // What is older must not come later.
        if let Some(saving) = self.saving.take() {
            let _ = saving.await;
        }
        let _ = self.write(statistics).await;
    }

    fn write(&self, statistics: &Statistics) -> JoinHandle<()> {
        let (beside, json) = (Arc::clone(&self.beside), statistics.to_json());
        spawn_blocking(move || {
            // Without it a report knows less of earlier runs; no result depends on it.
            let _ = beside.write(|| json);
        })
    }
}
