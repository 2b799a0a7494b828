//! One binary for all tests of the journal.
#![allow(missing_docs, clippy::cast_sign_loss)]

mod any_file;
mod damage;
mod forged;
mod hostile;
mod identity;
mod limits;
mod lists;
mod places;
mod results;
mod secrets;
mod soak;
mod support;
