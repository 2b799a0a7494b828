//! One binary for all tests of the journal.
#![allow(missing_docs)]

mod damage;
mod identity;
mod limits;
mod places;
mod results;
mod support;
