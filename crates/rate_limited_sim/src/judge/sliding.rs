//! The sliding window: an exact log of charges, each counting for one window from its moment.

use super::Mark;
use std::collections::VecDeque;

#[derive(Clone, Debug)]
pub(crate) struct Sliding {
    pub(super) quota: u64,
    window: u64,
    /// Moment and amount, oldest first.
    log: VecDeque<(u64, u64)>,
    /// How many entries have left the log: the number of the oldest one in it.
    first: u64,
    sum: u64,
}

impl Sliding {
    pub(super) fn new(quota: u64, window: u64) -> Sliding {
        Sliding {
            quota,
            window,
            log: VecDeque::new(),
            first: 0,
            sum: 0,
        }
    }

    pub(super) fn wait(&mut self, amount: u64, now: u64) -> Option<u64> {
        self.expire(now);
        if amount > self.quota {
            return None;
        }
        let mut excess = (self.sum + amount).saturating_sub(self.quota);
        if excess == 0 {
            return Some(0);
        }
        let enough = self.log.iter().find(|(_, freed)| {
            excess = excess.saturating_sub(*freed);
            excess == 0
        });
        enough.map(|(at, _)| at + self.window - now)
    }

    pub(super) fn charge(&mut self, amount: u64, now: u64) -> u64 {
        self.expire(now);
        self.log.push_back((now, amount));
        self.sum += amount;
        self.first + self.log.len() as u64 - 1
    }

    pub(super) fn correct(&mut self, mark: Mark, amount: u64, now: u64) {
        self.expire(now);
        let index = mark
            .place
            .checked_sub(self.first)
            .and_then(|index| usize::try_from(index).ok());
        if let Some((_, counted)) = index.and_then(|index| self.log.get_mut(index)) {
            self.sum = self.sum - *counted + amount;
            *counted = amount;
        }
    }

    pub(super) fn counted(&mut self, now: u64) -> u64 {
        self.expire(now);
        self.sum
    }

    pub(super) fn reset(&mut self, now: u64) -> u64 {
        self.expire(now);
        self.log.back().map_or(0, |(at, _)| at + self.window - now)
    }

    fn expire(&mut self, now: u64) {
        while let Some((at, amount)) = self.log.front().copied() {
            if at + self.window > now {
                return;
            }
            self.log.pop_front();
            self.first += 1;
            self.sum -= amount;
        }
    }
}
