//! An output that is there, while the lines of a stream show how much of it can stay.

use std::path::PathBuf;
use std::sync::Arc;

use rate_limited_store::{Journal, Over};

use crate::outlet::Outlet;
use crate::output::OutputError;
use crate::prefix::{Mark, Origin, Prefix};
use crate::recorded::Place;
use crate::request::Request;

/// As long as each line so far has its own in the output, nothing is written and nothing is sent.
#[derive(Debug)]
pub(crate) struct SoFar {
    output: PathBuf,
    prefix: Prefix,
    origin: Origin,
    journal: Arc<Journal>,
    /// The lines since the last one of which it is sure that it can stay.
    unsure: Vec<(u64, Line)>,
}

/// A line that may have to be written again.
#[derive(Debug)]
enum Line {
    Recorded(Place),
    Made(Vec<u8>),
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
            unsure: Vec::new(),
        }
    }

    /// Takes in a call that is over. Whether its line is there.
    pub(crate) fn result(&mut self, index: u64, request: &Request, over: &Over) -> bool {
        let place = Place {
            line: request.line,
            position: over.position,
        };
        self.unsure.push((index, Line::Recorded(place)));
        let name = (request.line, request.custom_id.as_deref());
        self.prefix
            .result(name, over, &self.journal, Mark::default());
        self.goes_on()
    }

    /// Takes in a line that is made anew. Whether it is there.
    pub(crate) fn exact(&mut self, index: u64, line: Vec<u8>) -> bool {
        self.prefix.exact(&line, Mark::default());
        self.unsure.push((index, Line::Made(line)));
        self.goes_on()
    }

    fn goes_on(&mut self) -> bool {
        if self.prefix.is_sure() {
            self.unsure.clear();
        }
        !self.prefix.is_broken()
    }

    /// Cuts the output behind what can stay, and goes on there.
    ///
    /// # Errors
    /// The output has results that are not in the journal: it is left as it is.
    pub(crate) fn settle(self, outlet: &Outlet) -> Result<(), OutputError> {
        let journal = &self.journal;
        let (covered, is_proven) = self.prefix.end(journal);
        if !self.origin.allows(is_proven) {
            return Err(OutputError::Elsewhere {
                output: self.output,
                journal: journal.path().to_owned(),
            });
        }
        outlet.go_on_behind(covered.lines, covered.bytes);
        for (index, line) in self.unsure {
            if index < covered.lines {
                continue;
            }
            match line {
                Line::Recorded(place) => outlet.put_recorded(index, place),
                Line::Made(line) => outlet.put(index, line, None),
            }
        }
        Ok(())
    }
}
