//! One binary for all tests of the journal.
#![allow(missing_docs, clippy::cast_sign_loss)]

mod damage;
mod identity;
mod limits;
mod places;
mod results;
mod soak;
mod support;
