//! A hand on a run from outside: to stop it, to change how it runs, and to look at it.

use rate_limited_core::{MaxConcurrent, MemberView, Progress, Quota, ResourceView, Wait};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Wake, Waker};
use tokio::sync::Notify;

use crate::account::Account;
use crate::blueprint::Seat;
use crate::error::ConfigError;
use crate::limiter;
use crate::outlook::Outlook;
use crate::result::SharedError;

/// Stops a run, changes it or looks at it, from any task or thread. Cheap to clone.
///
/// ```
/// use rate_limited::{Amount, Quota, Resource, Runner};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut runner = Runner::new(|n: u32| async move { Ok::<_, std::io::Error>(n * n) })
///     .resource(Resource::per_minute("requests", 60));
/// runner.schedule(3)?;
/// let handle = runner.handle();
/// // The account was raised, and half of the connections suffice; other runs come first for now.
/// handle.set_quota("requests", Quota::per_minute(Amount::units(600)))?;
/// handle.set_max_concurrent(32);
/// handle.pause();
/// # let going = handle.clone();
/// tokio::spawn(async move { handle.resume() });
/// assert_eq!(runner.run().await?[0].value, Some(9));
/// # assert_eq!(going.view().progress.max_concurrent, 32);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Handle(Arc<Shared>);

/// What the driver and its handles share.
#[derive(Debug, Default)]
struct Shared {
    order: AtomicU8,
    wishes: Mutex<Wishes>,
    /// How often the wishes have changed.
    wished: AtomicU64,
    news: Notify,
    now: Mutex<Now>,
    last_error: Mutex<Option<SharedError>>,
    account: OnceLock<Arc<Account>>,
    outlook: Mutex<Asked>,
    members: Mutex<Vec<MemberState>>,
}

/// Whether somebody wants a copy of the run.
#[derive(Debug, Default)]
enum Asked {
    #[default]
    Nothing,
    Wanted,
    Here(Box<Outlook>),
}

/// How the user wants runs to run, other than the runner was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    pub(crate) is_paused: bool,
    pub(crate) max_concurrent: Option<MaxConcurrent>,
    version: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Now {
    progress: Progress,
    wait: Option<Wait>,
}

/// A look at a run.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The numbers of calls and attempts.
    pub progress: Progress,
    /// Each resource with what is charged and held; of a shared limiter all that it has.
    pub resources: Vec<ResourceView>,
    /// What the run waits for; `None` while it does not.
    pub wait: Option<Wait>,
    /// For how long it waits, as far as that is known.
    pub wait_left: Option<std::time::Duration>,
    /// The error of the latest attempt that failed or was refused.
    pub last_error: Option<SharedError>,
    /// The members of the pool, in the order in which they were told; none without a pool.
    pub members: Vec<MemberState>,
}

/// How a member of a [pool](crate::Runner::pool) stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemberState {
    /// Its name.
    pub name: String,
    /// The account that it takes from.
    pub account: String,
    /// Attempts made by it.
    pub attempts: u64,
    /// Of those, attempts in flight.
    pub in_flight: u32,
    /// Whether no further attempt is made by it: an answer said that none can succeed.
    pub dropped: bool,
    /// What that answer said.
    pub error: Option<SharedError>,
}

/// What a run was told by its handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Told {
    GoOn,
    Stop,
    Halt,
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.news.notify_one();
    }
}

impl Handle {
    /// Starts nothing new; what is in flight may finish. Before a run, that run ends at once; told to a
    /// run whose future was dropped, it holds for the next one.
    pub fn stop(&self) {
        self.tell(Told::Stop);
    }

    /// Drops what is in flight, too: the calls stay unfinished, and their quota counts as used.
    pub fn halt(&self) {
        self.tell(Told::Halt);
    }

    /// Starts nothing new until [`resume`](Handle::resume); what is in flight goes on, and the run is not over. It
    /// holds for later runs, too.
    pub fn pause(&self) {
        self.wish(|wishes| wishes.is_paused = true);
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.wish(|wishes| wishes.is_paused = false);
    }

    /// Changes how many attempts may be in flight; 0 is taken as 1. What is above a lower bound drains.
    pub fn set_max_concurrent(&self, max_concurrent: u32) {
        self.wish(|wishes| wishes.max_concurrent = Some(MaxConcurrent::Fixed(max_concurrent)));
    }

    /// Replaces the quota of a resource, for all who share it; what is charged stays charged. A call that waits and
    /// exceeds a lower one fails.
    ///
    /// # Errors
    /// [`ConfigError::NotBegun`] before the first call of the runner is scheduled; a resource that is not there; a
    /// quota that is none, or of another kind.
    pub fn set_quota(&self, resource: &str, quota: Quota) -> Result<(), ConfigError> {
        let account = self.0.account.get().ok_or(ConfigError::NotBegun)?;
        limiter::set_quota(account, resource, quota)
    }

    /// How the run stands.
    pub fn view(&self) -> View {
        let Now { progress, wait } = *lock(&self.0.now);
        let last_error = lock(&self.0.last_error).clone();
        let members = lock(&self.0.members).clone();
        let Some(account) = self.0.account.get() else {
            return View {
                progress,
                last_error,
                members,
                ..View::default()
            };
        };
        let now = account.clock().now();
        let mut limiter = account.open();
        let ids = limiter.resources();
        let resources = ids.map(|id| limiter.view(id, now)).collect();
        let wait_left = wait
            .and_then(|wait| wait.until)
            .map(|until| until.since(now));
        View {
            progress,
            resources,
            wait,
            wait_left,
            last_error,
            members,
        }
    }

    pub(crate) fn has_members(&self, seats: &[Seat]) {
        let state = |seat: &Seat| MemberState {
            name: seat.name.clone(),
            account: seat.account.clone(),
            attempts: 0,
            in_flight: 0,
            dropped: false,
            error: None,
        };
        *lock(&self.0.members) = seats.iter().map(state).collect();
    }

    /// Notes why a member is of no use.
    pub(crate) fn note_fatal(&self, member: usize, error: &SharedError) {
        if let Some(member) = lock(&self.0.members).get_mut(member) {
            member
                .error
                .get_or_insert_with(|| SharedError::clone(error));
        }
    }

    pub(crate) fn show_members(&self, views: impl Iterator<Item = MemberView>) {
        for (member, view) in lock(&self.0.members).iter_mut().zip(views) {
            member.attempts = view.attempts;
            member.in_flight = view.in_flight;
            member.dropped = view.dropped;
        }
    }

    /// A copy of the run as it stood after this was asked last, to see what it will come to; `None` if there is
    /// none yet. Whoever wants one asks twice, a moment apart: the run copies itself at its next step, which
    /// takes about as long as a few thousand steps if a million calls wait in it, and a fraction of a
    /// millisecond if they are [given bit by bit](crate::Runner::run_each).
    ///
    /// ```
    /// use rate_limited::Runner;
    ///
    /// let runner = Runner::<u32, u32>::new(|n| async move { Ok::<_, std::io::Error>(n) });
    /// // It does not run: nobody answers.
    /// assert!(runner.handle().outlook().is_none());
    /// ```
    pub fn outlook(&self) -> Option<Outlook> {
        let mut asked = lock(&self.0.outlook);
        match std::mem::take(&mut *asked) {
            Asked::Here(outlook) => Some(*outlook),
            before => {
                *asked = Asked::Wanted;
                drop(asked);
                if matches!(before, Asked::Nothing) {
                    self.0.news.notify_one();
                }
                None
            }
        }
    }

    pub(crate) fn wants_outlook(&self) -> bool {
        matches!(*lock(&self.0.outlook), Asked::Wanted)
    }

    pub(crate) fn show_outlook(&self, outlook: Outlook) {
        *lock(&self.0.outlook) = Asked::Here(Box::new(outlook));
    }

    pub(crate) fn note_error(&self, error: &SharedError) {
        *lock(&self.0.last_error) = Some(SharedError::clone(error));
    }

    fn tell(&self, told: Told) {
        self.0.order.fetch_max(told as u8, Ordering::SeqCst);
        self.0.news.notify_one();
    }

    fn wish(&self, change: impl FnOnce(&mut Wishes)) {
        let mut wishes = lock(&self.0.wishes);
        change(&mut wishes);
        wishes.version += 1;
        self.0.wished.store(wishes.version, Ordering::Release);
        drop(wishes);
        self.0.news.notify_one();
    }

    /// The user's wishes, if they have changed since those were told.
    pub(crate) fn wishes_since(&self, told: &Wishes) -> Option<Wishes> {
        let is_news = self.0.wished.load(Ordering::Acquire) != told.version;
        is_news.then(|| *lock(&self.0.wishes))
    }

    pub(crate) fn told(&self) -> Told {
        match self.0.order.load(Ordering::SeqCst) {
            0 => Told::GoOn,
            1 => Told::Stop,
            _ => Told::Halt,
        }
    }

    /// A run has ended: what it was told is over too.
    pub(crate) fn forget(&self) {
        self.0.order.store(Told::GoOn as u8, Ordering::SeqCst);
    }

    /// Wakes the run, whose limiter has news for it.
    pub(crate) fn bell(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }

    pub(crate) async fn news(&self) {
        self.0.news.notified().await;
    }

    pub(crate) fn belongs_to(&self, account: &Arc<Account>) {
        let _ = self.0.account.set(Arc::clone(account));
    }

    pub(crate) fn show(&self, progress: Progress, wait: Option<Wait>) {
        *lock(&self.0.now) = Now { progress, wait };
    }
}

/// A poisoned lock is taken all the same: the core leaves nothing half done when it panics.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
