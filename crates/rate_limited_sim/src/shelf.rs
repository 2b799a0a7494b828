//! The books of one limit: one for all, or one for each model.

use crate::api::Request;
use crate::ledger::Ledger;
use crate::limit::Limit;
use crate::stats::LimitStats;
use std::collections::BTreeMap;

/// All books of one limit.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    /// Of calls that name no model, and of all where the limit is one for all.
    whole: Ledger,
    models: BTreeMap<u64, Ledger>,
}

impl Shelf {
    pub(crate) fn new(limit: Limit) -> Shelf {
        Shelf {
            whole: Ledger::new(limit),
            models: BTreeMap::new(),
        }
    }

    pub(crate) fn limit(&self) -> &Limit {
        &self.whole.limit
    }

    /// The book that a request is for.
    pub(crate) fn of(&mut self, request: &Request) -> &mut Ledger {
        let limit = &self.whole.limit;
        if !limit.each_model || request.model == 0 {
            return &mut self.whole;
        }
        let fresh = || Ledger::new(limit.of_model(request.model));
        self.models.entry(request.model).or_insert_with(fresh)
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut Ledger> {
        std::iter::once(&mut self.whole).chain(self.models.values_mut())
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Ledger> {
        std::iter::once(&self.whole).chain(self.models.values())
    }

    /// The sum of all, and of what no sum says anything the worst.
    pub(crate) fn stats(&self) -> LimitStats {
        let mut sum = self.whole.stats();
        for one in self.models.values().map(Ledger::stats) {
            sum.work += one.work;
            sum.largest = sum.largest.max(one.largest);
            sum.worst_window = sum.worst_window.max(one.worst_window);
            sum.busiest = sum.busiest.max(one.busiest);
        }
        sum
    }
}
