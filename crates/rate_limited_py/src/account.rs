//! The quotas of the process: one limiter, and the machines that take from it.
//!
//! A quota belongs to an account, not to a run. Resources may be shared by any runners, in any
//! combination, so all of them lie in one limiter; runs that share nothing do not notice each other.

use crate::machine::Inner;
use rate_limited_core::{Limiter, SchedulerId};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, Weak};

#[derive(Default)]
struct Machines(Mutex<Vec<(SchedulerId, Weak<Inner>)>>);

static MACHINES: Machines = Machines(Mutex::new(Vec::new()));

/// The limiter of the process. Whoever holds a machine's state may lock it, not the other way round.
pub(crate) fn limiter() -> MutexGuard<'static, Limiter> {
    static LIMITER: OnceLock<Mutex<Limiter>> = OnceLock::new();
    lock(LIMITER.get_or_init(|| Mutex::new(Limiter::new(crate::clock::now()))))
}

pub(crate) fn register(id: SchedulerId, machine: Weak<Inner>) {
    lock(&MACHINES.0).push((id, machine));
}

pub(crate) fn forget(id: SchedulerId) {
    lock(&MACHINES.0).retain(|(known, _)| *known != id);
}

/// Wakes machines that wait for what came back, but for one. Call it without holding any state.
pub(crate) fn wake(who: &[SchedulerId], except: Option<SchedulerId>) {
    if who.iter().all(|id| Some(*id) == except) {
        return;
    }
    let machines = lock(&MACHINES.0);
    let woken = machines
        .iter()
        .filter(|(id, _)| who.contains(id) && Some(*id) != except);
    let woken: Vec<_> = woken.filter_map(|(_, machine)| machine.upgrade()).collect();
    drop(machines);
    for machine in woken {
        machine.nudge();
    }
}

/// A poisoned lock is taken all the same: the core leaves nothing half done when it panics.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
