//! Real processes in trouble: killed, on a full disk, with failing system calls.
#![allow(missing_docs, clippy::print_stdout, clippy::cast_sign_loss)]

mod child;
mod disk;
mod folders;
mod kills;
mod power;
#[path = "../it/soak.rs"]
mod soak;
mod syscalls;
mod trace;
