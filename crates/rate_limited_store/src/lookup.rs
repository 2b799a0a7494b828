//! The calls that a runner is given, looked up in its journal: what that had, and what became of them since.
//!
//! They come in lists: the calls of one run, the rows of one iteration. Within a list, of equal keys the k-th call is the
//! k-th of the journal. The next list finds those before it as a later process would.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::digest::Digest;
use crate::error::JournalError;
use crate::journal::Opened;
use crate::past::{Counts, Unfinished};
use crate::policy::{Begun, Decision, Objection, Policy};
use crate::record::{Position, State};
use crate::walk::{Found, Known, Over, Taken, Walk};

/// The calls of a journal, as they are asked for.
///
/// It is told what becomes of them. It grows with the calls that are not over, and by a bit for each of the others.
///
/// ```
/// use rate_limited_store::{Decision, Digest, End, Journal, Lookup, Options, Policy, Record};
/// use std::collections::HashSet;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("run.journal");
/// let opened = Journal::open(&path, &Options::default())?;
/// let mut lookup = Lookup::new(&opened, Policy::default())?;
/// let key = Digest::of(&[b"call-1"]);
/// let Decision::Run(begun) = lookup.look(key, key)? else { panic!("an empty journal") };
/// let end = End::done(begun.position, key, key, 1, Some(b"an answer".to_vec()));
/// opened.journal.wait(opened.journal.push(Record::End(end))?)?;
/// lookup.ends(begun.position);
///
/// // In the same list it is another call, in the next one the same.
/// assert!(matches!(lookup.look(key, key)?, Decision::Run(_)));
/// lookup.begin_list(&HashSet::new())?;
/// assert!(matches!(lookup.look(key, key)?, Decision::Over(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Lookup {
    walk: Walk,
    policy: Policy,
    /// The calls that were over when they were found, but for those that are run again.
    over: Counts,
    /// How many calls may have been answered, and nobody knows.
    unknown: u64,
    /// The calls that have begun and are not over, by now.
    unfinished: BTreeMap<Position, Unfinished>,
    /// The calls that came to their end in this process.
    ended: Taken,
    /// Calls that were over, and were looked up to be run again.
    again: HashMap<Position, State>,
    /// Calls that were over, and are run again.
    reopened: HashSet<Position>,
    /// The keys of calls that gave up and were never sent, in this list and in those before; so many of each.
    given_up: HashMap<Digest, u32>,
    given_up_before: HashMap<Digest, u32>,
    /// Whether an attempt of any call was about to leave.
    has_sent: bool,
}

/// So many keys of calls that gave up are remembered: without them a call that is run again is counted as two.
const GIVEN_UP_MAX: usize = 65_536;

impl Lookup {
    /// The calls of a journal that was opened; the first list begins.
    ///
    /// New calls get their positions here, so a journal has one of these, and no [`Walk`] beside it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn new(opened: &Opened, policy: Policy) -> Result<Lookup, JournalError> {
        let past = &opened.past;
        Ok(Lookup {
            walk: Walk::new(&opened.journal)?,
            policy,
            over: past.counts,
            unknown: past.counts.unknown,
            unfinished: past.unfinished.clone(),
            ended: Taken::default(),
            again: HashMap::new(),
            reopened: HashSet::new(),
            given_up: HashMap::new(),
            given_up_before: HashMap::new(),
            has_sent: false,
        })
    }

    /// From now on another list comes in. It finds no calls that are `busy`: these are under way yet. All others that
    /// have come to their [end](Lookup::ends) are written by now.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn begin_list(&mut self, busy: &HashSet<Position>) -> Result<(), JournalError> {
        let goes_on = self.has_sent || self.walk.census().unchanged > 0;
        self.walk.begin_anew(&self.unfinished, busy, goes_on)?;
        let unknown = self.unfinished.values().filter(|call| call.unknown);
        self.unknown = unknown.count() as u64;
        // From now on it belongs to what the journal has, whatever comes.
        self.has_sent = goes_on;
        for (key, count) in self.given_up.drain() {
            *self.given_up_before.entry(key).or_default() += count;
        }
        Ok(())
    }

    /// What becomes of a call with this key and this request.
    ///
    /// # Errors
    /// A row is damaged, or the file cannot be read.
    pub fn look(&mut self, key: Digest, request: Digest) -> Result<Decision, JournalError> {
        let mut found = self.walk.look(key, request)?;
        if let Found::Unfinished { position, .. } = found
            && !self.unfinished.contains_key(&position)
            && let Some(Known::Over(over, before)) = self.walk.row(position)?
        {
            // It was given up, and its answer came after the list had begun.
            let changed = before != request;
            found = Found::Over(Over { changed, ..over });
        }
        let decision = self.policy.decide(found);
        let runs = matches!(decision, Decision::Run(_) | Decision::Last(_));
        match found {
            Found::Over(over) if runs => self.is_over(over.position, over.state),
            Found::Over(over) => {
                if self.reopened.remove(&over.position) {
                    // It was to be run again, and was not.
                    self.over.add(over.state);
                }
            }
            // It gave up.
            Found::Unfinished { position, .. } if self.ended.has(position) => {
                self.is_over(position, State::Failed);
            }
            Found::New { position } => self.had_given_up(position, key),
            Found::Unfinished { .. } => {}
        }
        Ok(decision)
    }

    /// A call that is to be run again, by its position; `None`: the journal has nothing of it. The list does not find it
    /// any more.
    ///
    /// # Errors
    /// Its row is damaged, or the file cannot be read.
    pub fn recall(&mut self, position: Position) -> Result<Option<Begun>, JournalError> {
        let begun = if let Some(call) = self.unfinished.get(&position).copied() {
            if self.ended.has(position) {
                self.is_over(position, State::Failed);
            }
            call.begun(position)
        } else if let Some(Known::Over(over, _)) = self.walk.row(position)? {
            self.is_over(position, over.state);
            Begun {
                position,
                attempts: over.attempts,
                crashes: 0,
            }
        } else {
            return Ok(None);
        };
        self.walk.take(position);
        Ok(Some(begun))
    }

    /// A new call, whatever the journal has under its key: one that was looked up before, and of which it has nothing.
    pub fn add(&mut self, key: Digest) -> Begun {
        let position = self.walk.add();
        self.had_given_up(position, key);
        Begun {
            position,
            attempts: 0,
            crashes: 0,
        }
    }

    /// A call that was looked up or recalled is to be run. Gives what it came to before, where that was in this process:
    /// whoever counted it has to count it as that no more.
    pub fn begins(&mut self, position: Position) -> Option<State> {
        let state = self.again.remove(&position)?;
        self.reopened.insert(position);
        if self.ended.remove(position) {
            return Some(state);
        }
        self.over.reopen(state);
        None
    }

    /// The journal has a call as one that has begun: an attempt is about to leave, or has come back without success.
    /// Without an attempt it has nothing of it.
    pub fn has_begun(&mut self, position: Position, call: Unfinished) {
        self.has_sent = true;
        if call.attempts == 0 && call.crashes == 0 && !call.unknown {
            self.unfinished.remove(&position);
        } else {
            self.unfinished.insert(position, call);
        }
    }

    /// A call is over, and the journal has its end.
    pub fn ends(&mut self, position: Position) {
        self.unfinished.remove(&position);
        self.reopened.remove(&position);
        self.ended.add(position);
    }

    /// A call with this key has failed, and the journal has nothing of that.
    pub fn gives_up(&mut self, position: Position, key: Digest) {
        self.reopened.remove(&position);
        if self.unfinished.contains_key(&position) {
            self.ended.add(position);
        } else if self.given_up.len() < GIVEN_UP_MAX {
            *self.given_up.entry(key).or_default() += 1;
        }
    }

    /// The calls that were over before this process; those that are run again are not among them.
    pub fn over(&self) -> Counts {
        self.over
    }

    /// Why nothing must be sent, if that is so; `so_far`: more calls may come.
    pub fn objection(&self, so_far: bool) -> Option<Objection> {
        let census = self.walk.census();
        if so_far {
            self.policy.objection_so_far(census, self.unknown)
        } else {
            self.policy.objection(census, self.unknown)
        }
    }

    /// Whether a new call is one that gave up before.
    fn had_given_up(&mut self, position: Position, key: Digest) {
        let Some(count) = self.given_up_before.get_mut(&key) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.given_up_before.remove(&key);
        }
        self.ended.add(position);
        self.is_over(position, State::Failed);
    }

    /// A call that is looked up to be run was over.
    fn is_over(&mut self, position: Position, state: State) {
        if !self.reopened.contains(&position) {
            self.again.insert(position, state);
        }
    }
}
