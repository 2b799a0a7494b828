//! A run: set up, carried out, paid for, interrupted, ended.

pub(crate) mod again;
pub(crate) mod bill;
pub(crate) mod ending;
pub(crate) mod execute;
pub(crate) mod files;
pub(crate) mod job;
pub(crate) mod patience;
pub(crate) mod price;
pub(crate) mod run;
pub(crate) mod signals;
pub(crate) mod state;
pub(crate) mod stop;
pub(crate) mod tally;
pub(crate) mod verdict;
