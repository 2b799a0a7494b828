//! The end of a play: who hangs, what was lost, and the report.

use super::play::Play;
use super::report::{CallReport, End, Report, WorldError, overtakes_max};
use super::run::{Rest, Run, RunEnd};

impl Play<'_> {
    /// What came of it, once nothing is to come.
    pub(super) fn report(self) -> Result<Report, WorldError> {
        let runs = self.run_ends()?;
        let mut overtakes = 0;
        for run in 0..runs.len() {
            let of_run = self
                .started
                .iter()
                .filter(|call| self.calls[**call].run == run);
            overtakes = overtakes.max(overtakes_max(&of_run.copied().collect::<Vec<_>>()));
        }
        let stats = self.api.stats();
        Ok(Report {
            makespan: self
                .calls
                .iter()
                .filter_map(|call| call.ended)
                .max()
                .unwrap_or_default(),
            optimum: self.api.optimum(),
            calls: self.calls,
            completions: self.completions,
            runs,
            refusals: stats.refusals,
            overtakes_max: overtakes,
            looks: self.looks,
            stats,
            trace: self.trace.events,
            trace_hash: self.trace.hash,
        })
    }

    /// How each run ended; one that still waits hangs, for nothing is to come.
    fn run_ends(&self) -> Result<Vec<RunEnd>, WorldError> {
        let mut ends = Vec::with_capacity(self.runs.len());
        for (run, Run { rest, .. }) in self.runs.iter().enumerate() {
            match *rest {
                Rest::Waiting { on, .. } => {
                    return Err(WorldError::Hang {
                        run,
                        at: self.since_start(),
                        on,
                    });
                }
                Rest::Over(RunEnd::Idle) => self.check_all_ended(run)?,
                Rest::Over(RunEnd::Stopped(_)) => {}
            }
            ends.extend(self.runs[run].over());
        }
        Ok(ends)
    }

    fn check_all_ended(&self, run: usize) -> Result<(), WorldError> {
        let lost = |call: &CallReport| call.run == run && call.end == End::Unfinished;
        match self.calls.iter().position(lost) {
            Some(call) => Err(WorldError::Lost { call }),
            None => Ok(()),
        }
    }
}
