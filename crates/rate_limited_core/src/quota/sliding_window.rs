//! The exact sliding window: in every interval of the window's length, charges ≤ quota.
//!
//! Each charge is an entry with its moment, and counts until its window and the guard have passed.
//! Up to [`EXACT`] entries keep their moment to the nanosecond; beyond that, neighbours within
//! window / 4,096 share an entry that expires with its youngest member, which errs on the safe side
//! by at most 0.025 % of a window and bounds the memory to about twice [`EXACT`] entries.
//!
//! Sums over blocks of 64 entries make "when will this fit" a walk over blocks, not over entries.

use super::{Mark, Moment};
use crate::amount::Amount;
use crate::snapshot::MeterSnapshot;
use crate::time::Time;
use std::collections::VecDeque;

/// Entries that are kept exactly before neighbours are merged.
const EXACT: usize = 4_096;

/// Entries a block; a power of two.
const BLOCK: u64 = 64;

#[derive(Clone, Debug)]
pub(crate) struct SlidingWindow {
    quota: i64,
    window: u64,
    pub(super) guard: u64,
    entries: VecDeque<Entry>,
    /// The number of the first entry that still counts: entries keep their numbers for life.
    first: u64,
    /// The sum of each block of entries, beginning with the block of the first entry.
    /// Wider than a charge, so that no sum of debts can wrap.
    blocks: VecDeque<i128>,
    total: i128,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Time,
    amount: i64,
}

impl SlidingWindow {
    pub(super) fn new(quota: i64, window: u64, guard: u64) -> Self {
        SlidingWindow {
            quota,
            window,
            guard,
            entries: VecDeque::new(),
            first: 0,
            blocks: VecDeque::new(),
            total: 0,
        }
    }

    pub(super) fn when(&mut self, need: i64, now: Time) -> Moment {
        self.expire(now);
        let over = self.total + i128::from(need) - i128::from(self.quota);
        if over <= 0 {
            return Moment::Now;
        }
        if need > self.quota {
            return Moment::Unknown;
        }
        Moment::At(self.expiry(self.entry_that_frees(over)))
    }

    /// Whether what is charged now counts no more at `later`.
    pub(super) fn is_back_by(&self, now: Time, later: Time) -> bool {
        now.plus(self.window).plus(self.guard) <= later
    }

    /// What will be free at `later`, if nothing more is charged.
    pub(super) fn room_at(&mut self, later: Time, now: Time) -> i128 {
        self.expire(now);
        let gone = self
            .entries
            .partition_point(|entry| self.expiry(*entry) <= later);
        i128::from(self.quota) - (self.total - self.sum_of_first(gone))
    }

    pub(super) fn charge(&mut self, amount: i64, now: Time) -> Mark {
        self.expire(now);
        let last = self.entries.len().wrapping_sub(1);
        if self
            .entries
            .back()
            .is_some_and(|last| self.share_an_entry(last.at, now))
        {
            self.entries[last].at = now;
            self.add(last, amount);
            return self.first + last as u64;
        }
        self.entries.push_back(Entry { at: now, amount: 0 });
        let number = self.first + self.entries.len() as u64 - 1;
        if self.block_of(number) == self.blocks.len() {
            self.blocks.push_back(0);
        }
        self.add(self.entries.len() - 1, amount);
        number
    }

    pub(super) fn adjust(&mut self, mark: Mark, delta: i64, now: Time) {
        self.expire(now);
        // What has expired here has expired at the server too: its usage counts no more.
        if mark >= self.first {
            self.add((mark - self.first) as usize, delta);
        }
    }

    pub(super) fn charged(&mut self, now: Time) -> i64 {
        self.expire(now);
        i64::try_from(self.total).unwrap_or(i64::MAX)
    }

    pub(super) fn set(&mut self, quota: i64, window: u64) {
        self.quota = quota;
        self.window = window;
    }

    pub(super) fn snapshot(&self) -> MeterSnapshot {
        let charges = self.entries.iter();
        let charges = charges.map(|entry| (entry.at, Amount::from_micros(entry.amount)));
        MeterSnapshot::Sliding {
            charges: charges.collect(),
        }
    }

    pub(super) fn restore(&mut self, charges: &[(Time, Amount)], now: Time) {
        let mut latest = Time::default();
        for (at, amount) in charges {
            latest = (*at).max(latest).min(now);
            self.charge(amount.as_micros().max(0), latest);
        }
    }

    fn share_an_entry(&self, last: Time, now: Time) -> bool {
        let slot = (self.window / EXACT as u64).max(1);
        last == now
            || (self.entries.len() >= EXACT && last.as_nanos() / slot == now.as_nanos() / slot)
    }

    fn expiry(&self, entry: Entry) -> Time {
        entry.at.plus(self.window).plus(self.guard)
    }

    fn expire(&mut self, now: Time) {
        while let Some(entry) = self.entries.front() {
            if self.expiry(*entry) > now {
                break;
            }
            self.add(0, -entry.amount);
            self.entries.pop_front();
            self.first += 1;
            if self.first.is_multiple_of(BLOCK) {
                self.blocks.pop_front();
            }
        }
        if self.entries.is_empty() {
            // Numbering goes on, with a fresh block for the next entry.
            self.blocks.clear();
            self.first = self.first.next_multiple_of(BLOCK);
        }
    }

    fn add(&mut self, position: usize, amount: i64) {
        let block = self.block_of(self.first + position as u64);
        let entry = &mut self.entries[position];
        let before = entry.amount;
        entry.amount = before.saturating_add(amount);
        let change = i128::from(entry.amount) - i128::from(before);
        self.blocks[block] += change;
        self.total += change;
    }

    fn block_of(&self, number: u64) -> usize {
        (number / BLOCK - self.first / BLOCK) as usize
    }

    /// The first entry after whose expiry `over` has come back.
    fn entry_that_frees(&self, over: i128) -> Entry {
        let mut freed = 0;
        let mut position = 0;
        for (block, sum) in self.blocks.iter().enumerate() {
            if freed + sum >= over {
                break;
            }
            freed += sum;
            position = self.start_of_block(block + 1);
        }
        let rest = self.entries.range(position..);
        let freeing = rest.copied().find(|entry| {
            freed += i128::from(entry.amount);
            freed >= over
        });
        freeing
            .expect("all entries together free more than what is over a quota that fits the need")
    }

    fn sum_of_first(&self, count: usize) -> i128 {
        let end = self.first + count as u64;
        let whole = (end / BLOCK - self.first / BLOCK) as usize;
        let blocks: i128 = self.blocks.iter().take(whole).sum();
        let rest = self
            .entries
            .range(self.start_of_block(whole).min(count)..count);
        blocks + rest.map(|entry| i128::from(entry.amount)).sum::<i128>()
    }

    fn start_of_block(&self, block: usize) -> usize {
        if block == 0 {
            return 0;
        }
        ((self.first / BLOCK + block as u64) * BLOCK - self.first) as usize
    }
}
