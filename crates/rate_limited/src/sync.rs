//! Locks and shared ownership, in one place: a test runs the [account](crate::account) on others that try
//! the orders in which threads can meet.

pub(crate) use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
