//! Quotas: how much of a resource there is, and how it comes back.
//!
//! A [`Quota`] is the declaration; a [`Meter`] keeps its books. The six kinds are siblings, each in
//! its own file, with the same few verbs. A meter knows only what was *charged*; what is merely
//! reserved is kept beside it, in [`crate::resource`].

mod budget;
mod calendar;
mod fixed_window;
mod sliding_window;
mod spacing;
mod token_bucket;

use crate::amount::Amount;
use crate::error::QuotaError;
use crate::snapshot::MeterSnapshot;
use crate::time::{Time, nanos};
use budget::Budget;
use core::time::Duration;
use fixed_window::FixedWindow;
use sliding_window::SlidingWindow;
use spacing::Spacing;
use token_bucket::TokenBucket;

/// How much of a resource there is, and how it comes back.
///
/// ```
/// use rate_limited_core::{Amount, Quota};
/// use std::time::Duration;
///
/// let requests = Quota::per_minute(Amount::units(3_500));
/// assert_eq!(requests.capacity(), Amount::units(3_500));
/// let bucket = Quota::bucket(Amount::units(60), Duration::from_secs(60), Amount::units(10));
/// assert_eq!(bucket.capacity(), Amount::units(10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quota {
    /// At most `amount` in every interval of the length `window`, wherever it starts.
    SlidingWindow {
        /// The most that any window may hold.
        amount: Amount,
        /// The length of the window.
        window: Duration,
    },
    /// A bucket that holds `burst` and refills continuously.
    TokenBucket {
        /// What flows in during `per`.
        amount: Amount,
        /// The time in which `amount` flows in.
        per: Duration,
        /// The most that the bucket holds; it starts full.
        burst: Amount,
    },
    /// A counter that starts from zero at the end of each window.
    FixedWindow {
        /// The most that one window may hold.
        amount: Amount,
        /// The length of the window.
        window: Duration,
        /// Where the windows begin.
        anchor: Anchor,
    },
    /// Held while a call is in flight, free at its end.
    Slots {
        /// How much may be held at once.
        amount: Amount,
    },
    /// Never comes back: money, or a total of tokens.
    Budget {
        /// The whole budget.
        amount: Amount,
    },
    /// A shortest time between two dispatches.
    Spacing {
        /// The time between two dispatches.
        interval: Duration,
    },
}

/// Where the windows of a [`Quota::FixedWindow`] begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Anchor {
    /// A window begins with the first call after the former window's end.
    FirstCall,
    /// One window begins at this moment; all others follow without a gap.
    At(Time),
    /// Calendar windows (a day in some time zone, a month): the current one began at `start` and ends at `end`,
    /// the one after at `next`. The driver, which knows the calendar, tells the further ones by
    /// [`Input::Boundary`](crate::Input::Boundary). Their lengths may differ; the quota's `window` is the usual one.
    Calendar {
        /// The beginning of the current window: what was charged before it is over.
        start: Time,
        /// The end of the current window.
        end: Time,
        /// The end of the window after it.
        next: Time,
    },
}

impl Quota {
    /// `amount` in every interval of the length `window`.
    pub const fn per(amount: Amount, window: Duration) -> Quota {
        Quota::SlidingWindow { amount, window }
    }

    /// `amount` in every 60 seconds, wherever they start.
    pub const fn per_minute(amount: Amount) -> Quota {
        Quota::per(amount, Duration::from_secs(60))
    }

    /// A bucket of the size `burst` into which `amount` flows during `per`.
    pub const fn bucket(amount: Amount, per: Duration, burst: Amount) -> Quota {
        Quota::TokenBucket { amount, per, burst }
    }

    /// At most `amount` held by calls in flight.
    pub const fn slots(amount: Amount) -> Quota {
        Quota::Slots { amount }
    }

    /// The most that one call can ever get; a call that costs more never fits.
    pub const fn capacity(&self) -> Amount {
        match *self {
            Quota::SlidingWindow { amount, .. }
            | Quota::FixedWindow { amount, .. }
            | Quota::Slots { amount }
            | Quota::Budget { amount } => amount,
            Quota::TokenBucket { burst, .. } => burst,
            Quota::Spacing { .. } => Amount::units(1),
        }
    }

    /// The amount a window, or at all; `None` for spacing, which has none.
    pub const fn limit(&self) -> Option<Amount> {
        match *self {
            Quota::SlidingWindow { amount, .. }
            | Quota::FixedWindow { amount, .. }
            | Quota::TokenBucket { amount, .. }
            | Quota::Slots { amount }
            | Quota::Budget { amount } => Some(amount),
            Quota::Spacing { .. } => None,
        }
    }

    /// The same quota with another amount; the burst of a bucket keeps its share of it.
    ///
    /// ```
    /// use rate_limited_core::{Amount, Quota};
    /// use core::time::Duration;
    ///
    /// let minute = Duration::from_secs(60);
    /// let bucket = Quota::bucket(Amount::units(600), minute, Amount::units(60));
    /// let lower = Quota::bucket(Amount::units(100), minute, Amount::units(10));
    /// assert_eq!(bucket.with_limit(Amount::units(100)), lower);
    /// ```
    #[must_use]
    pub fn with_limit(self, limit: Amount) -> Quota {
        match self {
            Quota::SlidingWindow { window, .. } => Quota::per(limit, window),
            Quota::FixedWindow { window, anchor, .. } => Quota::FixedWindow {
                amount: limit,
                window,
                anchor,
            },
            Quota::TokenBucket { amount, per, burst } => {
                let all = i128::from(amount.as_micros().max(1));
                let share = i128::from(burst.as_micros()) * i128::from(limit.as_micros());
                // Rounded up: a smaller bucket must not be full earlier than the larger one.
                let share = i64::try_from((share + all - 1) / all);
                let share = share.map_or(limit, Amount::from_micros);
                // A bucket that holds less than one call would let nothing pass.
                let least = Amount::units(1).min(limit).min(burst);
                Quota::bucket(limit, per, share.max(least))
            }
            Quota::Slots { .. } => Quota::slots(limit),
            Quota::Budget { .. } => Quota::Budget { amount: limit },
            Quota::Spacing { .. } => self,
        }
    }

    /// The same quota over another window.
    #[must_use]
    pub(crate) fn with_window(self, window: Duration) -> Quota {
        match self {
            Quota::SlidingWindow { amount, .. } => Quota::per(amount, window),
            Quota::FixedWindow { amount, anchor, .. } => Quota::FixedWindow {
                amount,
                window,
                anchor,
            },
            Quota::TokenBucket { amount, burst, .. } => Quota::bucket(amount, window, burst),
            Quota::Slots { .. } | Quota::Budget { .. } | Quota::Spacing { .. } => self,
        }
    }

    /// The same quota in the calendar window that ends so; of other kinds the quota as it is.
    #[must_use]
    pub(crate) fn with_boundary(self, end: Time, next: Time) -> Quota {
        match self {
            Quota::FixedWindow {
                amount,
                window,
                anchor,
            } => Quota::FixedWindow {
                amount,
                window,
                anchor: anchor.told(end, next, nanos(window)).0,
            },
            other => other,
        }
    }

    /// The ends of the current and the next calendar window, as the driver told them; `None` of other kinds.
    ///
    /// ```
    /// use rate_limited_core::{Amount, Anchor, Quota, Time};
    /// use std::time::Duration;
    ///
    /// let [start, end, next] = [0, 86_400, 172_800].map(|at| Time::PROCESS_START + Duration::from_secs(at));
    /// let quota = Quota::FixedWindow {
    ///     amount: Amount::units(1_000),
    ///     window: Duration::from_secs(86_400),
    ///     anchor: Anchor::Calendar { start, end, next },
    /// };
    /// assert_eq!(quota.boundary(), Some((end, next)));
    /// assert_eq!(Quota::per_minute(Amount::units(60)).boundary(), None);
    /// ```
    pub const fn boundary(&self) -> Option<(Time, Time)> {
        match *self {
            Quota::FixedWindow {
                anchor: Anchor::Calendar { end, next, .. },
                ..
            } => Some((end, next)),
            _ => None,
        }
    }

    /// The time after which what is charged now has come back; zero where it does not depend on time.
    pub const fn window(&self) -> Duration {
        match *self {
            Quota::SlidingWindow { window, .. } | Quota::FixedWindow { window, .. } => window,
            Quota::TokenBucket { per, .. } => per,
            Quota::Spacing { interval } => interval,
            Quota::Slots { .. } | Quota::Budget { .. } => Duration::ZERO,
        }
    }

    /// The time after which a charge surely counts no more; `None` where it never comes back. A bucket is
    /// given time for a debt as large as its burst.
    ///
    /// ```
    /// use rate_limited_core::{Amount, Quota};
    /// use std::time::Duration;
    ///
    /// let quota = Quota::per_minute(Amount::units(60));
    /// assert_eq!(quota.reach(), Some(Duration::from_secs(120)));
    /// assert_eq!(Quota::Budget { amount: Amount::units(5) }.reach(), None);
    /// ```
    pub fn reach(&self) -> Option<Duration> {
        match self {
            Quota::Budget { .. } => None,
            Quota::Slots { .. } => Some(Duration::ZERO),
            Quota::TokenBucket { .. } => Some(Duration::from_nanos(self.burst_nanos()) * 2),
            _ => Some(self.window() * 2),
        }
    }

    /// The time in which the burst of a bucket flows in; of other kinds `u64::MAX`.
    pub(crate) fn burst_nanos(&self) -> u64 {
        let Quota::TokenBucket { amount, per, burst } = *self else {
            return u64::MAX;
        };
        let burst = u128::from(burst.as_micros().unsigned_abs());
        let time =
            burst * u128::from(nanos(per)) / u128::from(amount.as_micros().unsigned_abs().max(1));
        u64::try_from(time).unwrap_or(u64::MAX)
    }

    pub(crate) fn check(&self, resource: &str) -> Result<(), QuotaError> {
        let amounts = match *self {
            Quota::TokenBucket { amount, burst, .. } => [amount, burst],
            _ => [self.capacity(); 2],
        };
        if let Some(&amount) = amounts.iter().find(|amount| **amount <= Amount::ZERO) {
            return Err(QuotaError::NotPositive {
                resource: resource.into(),
                amount,
            });
        }
        let window = self.window();
        let timeless = matches!(self, Quota::Slots { .. } | Quota::Budget { .. });
        if !timeless && !(Duration::from_micros(1)..=Time::PAST).contains(&window) {
            return Err(QuotaError::Window {
                resource: resource.into(),
                window,
            });
        }
        Ok(())
    }

    pub(crate) fn same_kind(&self, other: &Quota) -> bool {
        core::mem::discriminant(self) == core::mem::discriminant(other)
    }
}

/// When a meter will have room for an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Now,
    At(Time),
    /// At no moment that is known: something in flight must end first, or it never comes.
    Unknown,
}

/// The books of one quota: what was charged, and until when it counts.
#[derive(Clone, Debug)]
pub(crate) enum Meter {
    Sliding(SlidingWindow),
    Bucket(TokenBucket),
    Fixed(FixedWindow),
    Budget(Budget),
    Spacing(Spacing),
    /// Slots are never charged, only held.
    Slots(i64),
}

/// Says where a charge lies, so that its settlement finds it.
pub(crate) type Mark = u64;

impl Meter {
    /// A meter with nothing charged. `guard` is the time by which a charge may reach the server
    /// later than it was made here, in nanoseconds.
    pub(crate) fn new(quota: &Quota, guard: u64, now: Time) -> Meter {
        match *quota {
            Quota::SlidingWindow { amount, window } => {
                Meter::Sliding(SlidingWindow::new(amount.as_micros(), nanos(window), guard))
            }
            Quota::TokenBucket { amount, per, burst } => Meter::Bucket(TokenBucket::new(
                amount.as_micros(),
                nanos(per),
                burst.as_micros(),
                guard,
                now,
            )),
            Quota::FixedWindow {
                amount,
                window,
                anchor,
            } => Meter::Fixed(FixedWindow::new(
                amount.as_micros(),
                nanos(window),
                anchor,
                guard,
                now,
            )),
            Quota::Slots { amount } => Meter::Slots(amount.as_micros()),
            Quota::Budget { amount } => Meter::Budget(Budget::new(amount.as_micros())),
            Quota::Spacing { interval } => Meter::Spacing(Spacing::new(nanos(interval), guard)),
        }
    }

    /// When `need` has room, if nothing more is charged.
    pub(crate) fn when(&mut self, need: i64, now: Time) -> Moment {
        match self {
            Meter::Sliding(meter) => meter.when(need, now),
            Meter::Bucket(meter) => meter.when(need, now),
            Meter::Fixed(meter) => meter.when(need, now),
            Meter::Budget(meter) => meter.when(need),
            Meter::Spacing(meter) if need <= Amount::units(1).as_micros() => meter.when(now),
            Meter::Slots(slots) if need <= *slots => Moment::Now,
            // Another call is reserved and not sent yet: the next distance is not known before.
            Meter::Spacing(_) | Meter::Slots(_) => Moment::Unknown,
        }
    }

    /// Whether `first`, charged now, leaves room for `second` at `later`.
    pub(crate) fn leaves(&mut self, first: i64, second: i64, now: Time, later: Time) -> bool {
        let both = first.saturating_add(second);
        match self {
            Meter::Sliding(meter) => meter.room_at(later, now) >= i128::from(both),
            Meter::Bucket(meter) => meter.leaves(first, second, now, later),
            Meter::Fixed(meter) => meter.leaves(first, second, now, later),
            Meter::Budget(meter) => meter.when(both) == Moment::Now,
            Meter::Spacing(meter) => meter.leaves(now, later),
            Meter::Slots(slots) => both <= *slots,
        }
    }

    /// Whether what is charged now counts no more at `later`.
    pub(crate) fn is_back_by(&self, now: Time, later: Time) -> bool {
        matches!(self, Meter::Sliding(meter) if meter.is_back_by(now, later))
    }

    /// Charges `amount` now.
    pub(crate) fn charge(&mut self, amount: i64, now: Time) -> Mark {
        match self {
            Meter::Sliding(meter) => meter.charge(amount, now),
            Meter::Bucket(meter) => meter.charge(amount, now),
            Meter::Fixed(meter) => meter.charge(amount, now),
            Meter::Budget(meter) => meter.charge(amount),
            Meter::Spacing(meter) => meter.charge(now),
            Meter::Slots(_) => 0,
        }
    }

    /// Corrects the charge at `mark` from one amount to another, if it still counts.
    pub(crate) fn adjust(&mut self, mark: Mark, from: i64, to: i64, now: Time) {
        let delta = to.saturating_sub(from);
        match self {
            Meter::Sliding(meter) => meter.adjust(mark, delta, now),
            Meter::Bucket(meter) => meter.adjust(delta, now),
            Meter::Fixed(meter) => meter.adjust(mark, from, to, now),
            Meter::Budget(meter) => meter.adjust(delta),
            Meter::Spacing(_) | Meter::Slots(_) => {}
        }
    }

    /// What is charged and still counts, in millionths; may exceed the quota by settled debt.
    pub(crate) fn charged(&mut self, now: Time) -> i64 {
        match self {
            Meter::Sliding(meter) => meter.charged(now),
            Meter::Bucket(meter) => meter.charged(now),
            Meter::Fixed(meter) => meter.charged(now),
            Meter::Budget(meter) => meter.charged(),
            Meter::Spacing(meter) => meter.charged(now),
            Meter::Slots(_) => 0,
        }
    }

    /// Takes the numbers of `quota`, which is of the same kind, and keeps what is charged.
    pub(crate) fn set(&mut self, quota: &Quota, now: Time) {
        match (self, *quota) {
            (Meter::Sliding(meter), Quota::SlidingWindow { amount, window }) => {
                meter.set(amount.as_micros(), nanos(window));
            }
            (Meter::Bucket(meter), Quota::TokenBucket { amount, per, burst }) => {
                meter.set(amount.as_micros(), nanos(per), burst.as_micros(), now);
            }
            (
                Meter::Fixed(meter),
                Quota::FixedWindow {
                    amount,
                    window,
                    anchor,
                },
            ) => {
                meter.set(amount.as_micros(), nanos(window), anchor, now);
            }
            (Meter::Budget(meter), Quota::Budget { amount }) => meter.set(amount.as_micros()),
            (Meter::Spacing(meter), Quota::Spacing { interval }) => meter.set(nanos(interval)),
            (Meter::Slots(slots), Quota::Slots { amount }) => *slots = amount.as_micros(),
            _ => unreachable!("the caller compared the kinds"),
        }
    }

    /// The server says that nothing is left: of a bucket that is known at once; other books know what passed.
    /// Gives what was left, in millionths.
    pub(crate) fn drain(&mut self) -> i64 {
        match self {
            Meter::Bucket(meter) => meter.drain(),
            _ => 0,
        }
    }

    /// Widens or narrows the guard, in nanoseconds.
    pub(crate) fn set_guard(&mut self, guard: u64) {
        match self {
            Meter::Sliding(meter) => meter.guard = guard,
            Meter::Bucket(meter) => meter.guard = guard,
            Meter::Fixed(meter) => meter.guard = guard,
            Meter::Spacing(meter) => meter.guard = guard,
            Meter::Budget(_) | Meter::Slots(_) => {}
        }
    }

    /// Tells the ends of a calendar window; other meters ignore it.
    pub(crate) fn boundary(&mut self, end: Time, next: Time, now: Time) {
        if let Meter::Fixed(meter) = self {
            meter.boundary(end, next, now);
        }
    }

    /// An answer names the end of the window; whether that changes anything. `believes`: the end of one that begins
    /// with a call is known to the server alone.
    pub(crate) fn told_end(&mut self, end: Time, believes: bool, now: Time) -> bool {
        match self {
            Meter::Fixed(meter) if believes && !meter.is_calendar() => meter.ends_at(end, now),
            Meter::Fixed(meter) => meter.told_end(end, now),
            _ => false,
        }
    }

    /// When all of a calendar window is back; `None` of other kinds.
    pub(crate) fn window_end(&mut self, now: Time) -> Option<Time> {
        match self {
            Meter::Fixed(meter) => meter.window_end(now),
            _ => None,
        }
    }

    /// The number of the calendar window that this moment lies in by our clock, from 0; `None` of other kinds.
    pub(crate) fn calendar_window(&mut self, now: Time) -> Option<u64> {
        match self {
            Meter::Fixed(meter) if meter.is_calendar() => Some(meter.number_at(now)),
            _ => None,
        }
    }

    /// Whether it follows a calendar.
    pub(crate) fn is_calendar(&self) -> bool {
        matches!(self, Meter::Fixed(meter) if meter.is_calendar())
    }

    /// The moment before which no charge of a calendar window counts; `None` of other kinds.
    pub(crate) fn counts_since(&mut self, now: Time) -> Option<Time> {
        match self {
            Meter::Fixed(meter) if meter.is_calendar() => Some(meter.counts_since(now)),
            _ => None,
        }
    }

    pub(crate) fn snapshot(&self) -> MeterSnapshot {
        match self {
            Meter::Sliding(meter) => meter.snapshot(),
            Meter::Bucket(meter) => meter.snapshot(),
            Meter::Fixed(meter) => meter.snapshot(),
            Meter::Budget(meter) => MeterSnapshot::Budget {
                used: Amount::from_micros(meter.charged()),
            },
            Meter::Spacing(meter) => MeterSnapshot::Spacing { last: meter.last },
            Meter::Slots(_) => MeterSnapshot::Slots,
        }
    }

    /// Charges what was charged before, the oldest first, in a meter of `quota` with nothing charged.
    pub(crate) fn replay(
        &mut self,
        quota: &Quota,
        guard: u64,
        charges: &[(Time, Amount)],
        now: Time,
    ) {
        let Some((first, _)) = charges.first() else {
            return;
        };
        match self {
            // The books of these begin with the first charge, not now.
            Meter::Bucket(_) => *self = Meter::new(quota, guard, (*first).min(now)),
            Meter::Fixed(meter) => return meter.replay(charges, now),
            _ => {}
        }
        let mut latest = Time::default();
        for (at, amount) in charges {
            latest = (*at).max(latest).min(now);
            self.charge(amount.as_micros().max(0), latest);
        }
    }

    /// Takes over the past; a snapshot of another kind is told by `false`.
    pub(crate) fn restore(&mut self, snapshot: &MeterSnapshot, now: Time) -> bool {
        match (self, snapshot) {
            (Meter::Sliding(meter), MeterSnapshot::Sliding { charges }) => {
                meter.restore(charges, now);
            }
            (Meter::Bucket(meter), MeterSnapshot::Bucket { level, at }) => {
                meter.restore(*level, *at, now);
            }
            (Meter::Fixed(meter), MeterSnapshot::Fixed { used, late, end }) => {
                meter.restore(*used, *late, *end, now);
            }
            (Meter::Budget(meter), MeterSnapshot::Budget { used }) => {
                meter.adjust(used.as_micros().max(0));
            }
            (Meter::Spacing(meter), MeterSnapshot::Spacing { last }) => {
                meter.last = last.map(|last| last.min(now));
            }
            (Meter::Slots(_), MeterSnapshot::Slots) => {}
            _ => return false,
        }
        true
    }
}

/// Refuses to replace a quota by one of another kind.
pub(crate) fn check_replacement(
    old: &Quota,
    new: &Quota,
    resource: &str,
) -> Result<(), QuotaError> {
    new.check(resource)?;
    if old.same_kind(new) {
        Ok(())
    } else {
        Err(QuotaError::OtherKind {
            resource: resource.into(),
        })
    }
}
