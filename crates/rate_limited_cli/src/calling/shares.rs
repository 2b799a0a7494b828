//! How the work of a run is spread over the parts of its limits.

use std::collections::BTreeMap;

use crate::calling::work::Work;

/// So many parts are told apart; what is of others is taken together.
const SHARES_MAX: usize = 1_024;

/// The work of each model, or whatever else has limits for itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shares(BTreeMap<String, Work>);

impl Shares {
    /// A request of this part, with so many tokens.
    pub(crate) fn add(&mut self, key: &str, tokens: u64) {
        let key = if self.0.len() >= SHARES_MAX && !self.0.contains_key(key) {
            "others"
        } else {
            key
        };
        let one = Work::new(1, tokens);
        match self.0.get_mut(key) {
            Some(work) => *work = work.and(one),
            None => drop(self.0.insert(key.to_owned(), one)),
        }
    }

    /// How many parts there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Work)> {
        self.0.iter().map(|(key, work)| (key.as_str(), work))
    }

    pub(crate) fn total(&self) -> Work {
        self.0
            .values()
            .fold(Work::default(), |sum, work| sum.and(*work))
    }
}
