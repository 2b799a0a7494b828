//! The lines of a file, matched with the calls of its journal before anything is sent.

use std::sync::Arc;

use rate_limited_store::{Census as Numbers, Decision, JournalError, Walk};

use crate::reading::bad_line::{BadLine, BadLinePolicy};
use crate::reading::line::Glance;
use crate::reading::raw_lines::Behind;
use crate::reading::request::record_id;
use crate::recording::journal::{RunJournal, UnknownCalls};
use crate::recording::plan::{Fate, Plan};
use crate::recording::recall;
use crate::running::tally::Before;
use crate::writing::prefix::{self, Covered, Mark, Of, Prefix, Witness};
use crate::writing::record::Record;

/// What a census found.
#[derive(Debug, Default)]
pub(crate) struct Surveyed {
    /// What becomes of each line.
    pub(crate) plan: Arc<Plan>,
    /// The calls that are over.
    pub(crate) before: Before,
    /// How much of the output can stay.
    pub(crate) covered: Covered,
    /// Calls that were in flight when an earlier run died.
    pub(crate) unknown: UnknownCalls,
    pub(crate) numbers: Numbers,
    /// Whether a whole result of the output was found in the journal.
    pub(crate) is_proven: bool,
}

/// A census that goes on.
pub(crate) struct Census<'a> {
    journal: &'a RunJournal,
    walk: Walk,
    prefix: Option<Prefix>,
    policy: BadLinePolicy,
    /// Requests that belong to the run and did not come yet.
    left: u64,
    mark: Mark,
    plan: Plan,
    found: Surveyed,
    witnesses: Vec<Witness>,
    error: Option<JournalError>,
}

impl<'a> Census<'a> {
    /// A census of the first requests, with the output that is there.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(crate) fn new(
        journal: &'a RunJournal,
        prefix: Option<Prefix>,
        policy: BadLinePolicy,
        first: Option<u64>,
    ) -> Result<Census<'a>, JournalError> {
        Ok(Census {
            walk: Walk::new(&journal.journal)?,
            journal,
            prefix,
            policy,
            left: first.unwrap_or(u64::MAX),
            mark: Mark::default(),
            plan: Plan::default(),
            found: Surveyed::default(),
            witnesses: Vec::new(),
            error: None,
        })
    }

    /// Asks the journal for results of the output that have no name, when their lines come by.
    pub(crate) fn with_witnesses(self, witnesses: &[Witness]) -> Census<'a> {
        Census {
            witnesses: witnesses.to_vec(),
            ..self
        }
    }

    /// Looks at a request, behind which the input stands there. What becomes of it; `None` if it
    /// is none of the first ones, or the journal cannot be read.
    pub(crate) fn request(&mut self, glance: &Glance<'_>, behind: Behind) -> Option<Fate> {
        if self.error.is_some() {
            return None;
        }
        let (id, path) = (glance.custom_id.as_deref(), glance.url_path.as_deref());
        let keyed = self
            .journal
            .known
            .identity
            .keyed(id, path, glance.body.as_bytes());
        let found = match self.walk.look(keyed.key, keyed.request) {
            Ok(found) => found,
            Err(error) => {
                self.error = Some(error);
                return None;
            }
        };
        self.left = self.left.checked_sub(1)?;
        self.mark.requests += 1;
        (self.mark.lines, self.mark.bytes) = (behind.lines, behind.bytes);
        let decision = self.journal.known.policy.decide(found);
        if recall::is_unknown(&found, &decision) {
            self.found.unknown.add(&record_id(glance.line, id));
        }
        let (fate, position) = match decision {
            Decision::Over(over) => {
                self.found.before.add(over.state);
                self.hear(glance.line, over.number);
                if let Some(prefix) = &mut self.prefix {
                    let of = Of {
                        line: glance.line,
                        is_named: id.is_some(),
                        row: glance.row,
                    };
                    let journal = &self.journal.journal;
                    prefix.result(&of, &over, journal, self.mark);
                }
                (Fate::Over, over.position)
            }
            Decision::Run(begun) => (Fate::Run, begun.position),
            Decision::Last(begun) => (Fate::Last, begun.position),
            Decision::Unknown(begun) => (Fate::Unknown, begun.position),
            Decision::Poison(begun) => (Fate::Suspect, begun.position),
        };
        if let (true, Some(prefix)) = (fate != Fate::Over, &mut self.prefix) {
            prefix.breaks();
        }
        self.plan.add(glance.line, fate, position);
        Some(fate)
    }

    /// Asks for the result of a line if the output has it.
    fn hear(&mut self, line: u64, number: u64) {
        let mut witnesses = self.witnesses.iter();
        if let Some(witness) = witnesses.find(|witness| witness.line == line) {
            let is_known = prefix::is_result(&self.journal.journal, number, &witness.part);
            self.found.is_proven |= is_known;
        }
    }

    /// Looks at a line that is no request.
    pub(crate) fn bad_line(&mut self, bad: &BadLine, behind: Behind) {
        if self.left == 0 {
            return;
        }
        self.mark.bad += 1;
        (self.mark.lines, self.mark.bytes) = (behind.lines, behind.bytes);
        if let (BadLinePolicy::Record, Some(prefix)) = (self.policy, &mut self.prefix) {
            prefix.exact(&Record::line_of_bad(bad), self.mark);
        }
    }

    /// What was found.
    ///
    /// # Errors
    /// The journal could not be read.
    pub(crate) fn end(self) -> Result<Surveyed, JournalError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let prefix = self.prefix.as_ref();
        let is_proven = prefix.is_some_and(Prefix::is_proven) || self.found.is_proven;
        Ok(Surveyed {
            plan: Arc::new(self.plan),
            covered: prefix.map_or(Covered::default(), Prefix::covered),
            is_proven,
            numbers: self.walk.census(),
            ..self.found
        })
    }
}
