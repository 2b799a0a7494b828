//! An output that is there, while the lines of a stream show how much of it can stay.

use std::path::PathBuf;
use std::sync::Arc;

use rate_limited_store::{Journal, Over};

use crate::reading::request::Request;
use crate::writing::outlet::Outlet;
use crate::writing::output::OutputError;
use crate::writing::prefix::{Mark, Of, Origin, Prefix};

/// As long as each line so far has its own in the output, nothing is written and nothing is sent.
#[derive(Debug)]
pub(crate) struct SoFar {
    output: PathBuf,
    prefix: Prefix,
    origin: Origin,
    journal: Arc<Journal>,
}

impl SoFar {
    pub(crate) fn new(
        output: PathBuf,
        prefix: Prefix,
        origin: Origin,
        journal: Arc<Journal>,
    ) -> SoFar {
        SoFar {
            output,
            prefix,
            origin,
            journal,
        }
    }

    /// Takes in a call that is over. Whether its line is there.
    pub(crate) fn result(&mut self, request: &Request, over: &Over) -> bool {
        let of = Of {
            line: request.line,
            is_named: request.custom_id.is_some(),
            row: request.row.as_ref(),
        };
        self.prefix
            .result(&of, over, &self.journal, Mark::default())
    }

    /// Takes in a line that is made anew. Whether it is there.
    pub(crate) fn exact(&mut self, line: &[u8]) -> bool {
        self.prefix.exact(line, Mark::default())
    }

    /// Cuts the output behind what can stay, and goes on there.
    ///
    /// # Errors
    /// The output has results that are not in the journal: it is left as it is.
    pub(crate) fn settle(self, outlet: &Outlet) -> Result<(), OutputError> {
        if !self.origin.allows(self.prefix.is_proven(), &self.journal) {
            return Err(OutputError::Elsewhere {
                output: self.output,
                journal: self.journal.path().to_owned(),
            });
        }
        let covered = self.prefix.covered();
        outlet.go_on_behind(covered.lines, covered.bytes);
        Ok(())
    }
}
