//! What becomes of each line of an input, decided before anything is sent.

use std::sync::Arc;

use rate_limited_store::Position;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its result is in the journal.
    Over,
    /// It is sent.
    Run,
    /// It is sent when nothing else is left: it may be what kills the process.
    Last,
    /// It is left alone: whether it was answered is not known.
    Unknown,
    /// It was in flight in so many crashes that it is not sent any more.
    Suspect,
}

/// The fates of lines, with the positions of their calls in the journal.
///
/// Most lines follow the one before in both, so that neighbours share an entry of 32 bytes: a plan takes
/// a few kilobytes for a million lines, and 32 MB where no two of them are neighbours in the journal.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    stretches: Vec<Stretch>,
}

/// Somebody who follows a plan.
#[derive(Debug)]
pub(crate) struct Follower {
    plan: Arc<Plan>,
    /// The stretch that was asked for last.
    cursor: usize,
}

/// Lines in a row whose calls are in a row.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    line: u64,
    count: u64,
    position: Position,
    fate: Fate,
}

impl Stretch {
    fn contains(&self, line: u64) -> bool {
        line >= self.line && line - self.line < self.count
    }
}

impl Plan {
    /// Adds a line; they come in their order.
    pub(crate) fn add(&mut self, line: u64, fate: Fate, position: Position) {
        if let Some(last) = self.stretches.last_mut() {
            let follows = (
                last.line + last.count,
                last.position + last.count,
                last.fate,
            );
            if follows == (line, position, fate) {
                last.count += 1;
                return;
            }
        }
        self.stretches.push(Stretch {
            line,
            count: 1,
            position,
            fate,
        });
    }
}

impl Follower {
    pub(crate) fn new(plan: &Arc<Plan>) -> Follower {
        Follower {
            plan: Arc::clone(plan),
            cursor: 0,
        }
    }

    /// What becomes of a line; `None` if it is no request. They are best asked for in their order.
    pub(crate) fn fate(&mut self, line: u64) -> Option<(Fate, Position)> {
        let stretches = &self.plan.stretches;
        let here = stretches.get(self.cursor);
        if !here.is_some_and(|stretch| stretch.contains(line)) {
            let behind = stretches.partition_point(|stretch| stretch.line <= line);
            self.cursor = behind.checked_sub(1)?;
        }
        let stretch = stretches.get(self.cursor)?;
        let position = stretch.position + line.checked_sub(stretch.line)?;
        stretch.contains(line).then_some((stretch.fate, position))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Fate, Follower, Plan};

    #[test]
    fn neighbours_share_an_entry_and_gaps_are_none() {
        let mut plan = Plan::default();
        let lines = [
            (1, Fate::Over, 0),
            (2, Fate::Over, 1),
            (4, Fate::Over, 2),
            (5, Fate::Run, 3),
            (6, Fate::Over, 9),
        ];
        for (line, fate, position) in lines {
            plan.add(line, fate, position);
        }
        assert_eq!(plan.stretches.len(), 4);
        let mut follower = Follower::new(&Arc::new(plan));
        for (line, fate, position) in lines.into_iter().rev().chain(lines) {
            assert_eq!(follower.fate(line), Some((fate, position)));
        }
        assert_eq!([0, 3, 7].map(|line| follower.fate(line)), [None; 3]);
        assert_eq!(Follower::new(&Arc::default()).fate(1), None);
    }
}
