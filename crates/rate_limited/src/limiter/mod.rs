//! Quota for code that is no run: handlers of a server, layers, loops of one's own.

mod alarm;
mod costs;
mod error;
mod reservation;

use crate::account::{Account, Answer, Ticket};
use crate::clock::Clock;
use crate::error::ConfigError;
use crate::resource::Resource;
use alarm::Alarm;
pub use costs::Costs;
pub(crate) use costs::Told;
pub use error::{AcquireError, CostError, NotUntil};
use rate_limited_core::{AtOnce, Quota, ResourceId, ResourceView, Settlement};
pub use reservation::Reservation;
use std::future::poll_fn;
use std::sync::Arc;

/// The quotas of one account, shared by all who use it: handlers, layers and [runners](crate::Runner::limiter).
///
/// A clone is another hand on the same quotas. Who [waits](Limiter::acquire) is served in the order of
/// asking; a call that needs much is passed by small ones only as long as they do not delay it, and a runner
/// and those who wait get their turn in turn. No thread runs for it, and nothing is polled: while somebody
/// waits, one task of tokio sleeps until something can be granted.
///
/// ```
/// use rate_limited::{Limiter, Resource};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let limiter = Limiter::new([
///     Resource::per_minute("requests", 3_500),
///     Resource::per_minute("tokens", 90_000),
/// ])?;
///
/// // One request, as each call takes one of what it does not name, and at most 500 tokens.
/// let mut reservation = limiter.acquire(("tokens", 500)).await?;
/// reservation.sent();
/// // … the call …
/// reservation.settle(("tokens", 120))?;
///
/// assert_eq!(limiter.view()[1].charged.to_string(), "120");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Limiter(Arc<Account>);

impl Limiter {
    /// A limiter of these resources. What their [`cost`](Resource::cost) says is what a call takes that does
    /// not name them; default 1.
    ///
    /// # Errors
    /// A resource that cannot be metered as declared, or two of one name.
    pub fn new(
        resources: impl IntoIterator<Item = Resource<(), ()>>,
    ) -> Result<Limiter, ConfigError> {
        Limiter::on(Clock::Real, resources)
    }

    /// As [`Limiter::new`], on the clock of tokio, which a test can pause. To be called inside the runtime.
    ///
    /// # Errors
    /// As [`Limiter::new`].
    pub fn on_tokio_clock(
        resources: impl IntoIterator<Item = Resource<(), ()>>,
    ) -> Result<Limiter, ConfigError> {
        Limiter::on(Clock::tokio(), resources)
    }

    fn on(
        clock: Clock,
        resources: impl IntoIterator<Item = Resource<(), ()>>,
    ) -> Result<Limiter, ConfigError> {
        let account = Account::new(clock);
        let mut books = account.open();
        for resource in resources {
            let declared = resource.declaration()?.settlement(Settlement::Usage);
            let usual = resource.cost_of(&());
            let usual = usual.map_err(|reason| ConfigError::Amount {
                resource: resource.name().to_owned(),
                reason,
            })?;
            let id = books.add(declared)?;
            books.set_default(id, usual);
            books.follow(id, resource.follows());
        }
        drop(books);
        Ok(Limiter(account))
    }

    /// Waits until the call may go, and reserves what it takes. Dropping the future leaves the line.
    ///
    /// # Errors
    /// A cost that is no amount, of a resource that is not there, or above what there can ever be;
    /// [`AcquireError::NoRuntime`] where it has to wait outside of a runtime of tokio.
    pub async fn acquire(&self, cost: impl Costs) -> Result<Reservation, AcquireError> {
        self.take(&Told::new(cost)).await
    }

    pub(crate) async fn take(&self, told: &Told) -> Result<Reservation, AcquireError> {
        let costs = told.costs(&self.0.open())?;
        let mut ticket = Ticket::new(&self.0, &costs)?;
        let answer = poll_fn(|context| ticket.poll(context.waker(), set_alarm)).await?;
        match answer {
            Answer::Granted(attempt) => Ok(Reservation::new(&self.0, ticket.call(), attempt)),
            Answer::Never(resource) => Err(self.never(resource)),
        }
    }

    /// Reserves what the call takes if it may go now, and else says when asking again makes sense: for code
    /// that sheds load instead of waiting. Those who wait go first.
    ///
    /// # Errors
    /// [`NotUntil`], also where waiting would not help; it leaves nothing behind.
    ///
    /// ```
    /// use rate_limited::{Limiter, Resource};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let limiter = Limiter::new([Resource::per_minute("requests", 1)])?;
    /// let mut reservation = limiter.try_acquire(())?;
    /// reservation.sent();
    ///
    /// let not_until = limiter.try_acquire(()).expect_err("the minute is used up");
    /// assert!(not_until.retry_after() > Some(Duration::from_secs(59)));
    /// assert_eq!(not_until.resource(), Some("requests"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_acquire(&self, cost: impl Costs) -> Result<Reservation, NotUntil> {
        self.try_take(&Told::new(cost))
    }

    pub(crate) fn try_take(&self, told: &Told) -> Result<Reservation, NotUntil> {
        let mut books = self.0.open();
        let costs = told.costs(&books).map_err(AcquireError::from)?;
        let tried = books.take_at_once(&costs).map_err(AcquireError::from)?;
        match tried {
            AtOnce::Dispatched { call, attempt } => Ok(Reservation::new(&self.0, call, attempt)),
            AtOnce::Never(resource) => {
                drop(books);
                Err(self.never(resource).into())
            }
            AtOnce::NotUntil(wait) => Err(NotUntil::new(&books, wait, self.0.clock().now())),
            _ => Err(NotUntil::unknown()),
        }
    }

    /// The books of each resource.
    pub fn view(&self) -> Vec<ResourceView> {
        let now = self.0.clock().now();
        let mut books = self.0.open();
        let ids = books.resources();
        ids.map(|id| books.view(id, now)).collect()
    }

    /// Replaces the quota of a resource; what is charged stays charged.
    ///
    /// # Errors
    /// A resource that is not there; a quota that is none, or of another kind.
    ///
    /// ```
    /// use rate_limited::{Amount, Limiter, Quota, Resource};
    ///
    /// # fn main() -> Result<(), rate_limited::ConfigError> {
    /// let limiter = Limiter::new([Resource::per_minute("requests", 60)])?;
    /// limiter.set_quota("requests", Quota::per_minute(Amount::units(600)))?;
    /// assert!(limiter.set_quota("tokens", Quota::per_minute(Amount::units(600))).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_quota(&self, resource: &str, quota: Quota) -> Result<(), ConfigError> {
        set_quota(&self.0, resource, quota)
    }

    /// Reads the time of day from this function, for windows that follow a calendar. Default: the system's clock.
    ///
    /// ```
    /// use rate_limited::{Calendar, Limiter, Resource};
    /// use std::time::{Duration, UNIX_EPOCH};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let limiter = Limiter::new([Resource::per_calendar("requests", 1, Calendar::day("UTC")?)])?
    ///     .wall_clock(|| UNIX_EPOCH + Duration::from_secs(23 * 3_600));
    /// limiter.try_acquire(())?.sent();
    /// let not_until = limiter.try_acquire(()).expect_err("the day is used up");
    /// // The day ends in an hour, and the server's clock may be a little behind.
    /// assert_eq!(not_until.retry_after().map(|wait| wait.as_secs() / 60), Some(60));
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "calendar")]
    #[must_use]
    pub fn wall_clock(
        self,
        wall: impl Fn() -> std::time::SystemTime + Send + Sync + 'static,
    ) -> Limiter {
        self.0.open().calendars_mut().set_wall(Arc::new(wall));
        self
    }

    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.0
    }

    fn never(&self, resource: ResourceId) -> AcquireError {
        let resource = self.0.open().name(resource).to_owned();
        AcquireError::Spent { resource }
    }
}

/// Replaces the quota of a resource.
pub(crate) fn set_quota(
    account: &Account,
    resource: &str,
    quota: Quota,
) -> Result<(), ConfigError> {
    let mut books = account.open();
    let id = books.find(resource).ok_or_else(|| ConfigError::NotShared {
        resource: resource.to_owned(),
    })?;
    Ok(books.set_quota(id, quota, account.clock().now())?)
}

/// Lets a task look at the clock.
fn set_alarm(account: &Arc<Account>) -> Result<(), AcquireError> {
    // Made first: without a runtime it is dropped, and that tells the others in the line.
    let alarm = Alarm::new(account);
    let runtime = tokio::runtime::Handle::try_current().map_err(|_| AcquireError::NoRuntime)?;
    runtime.spawn(alarm);
    Ok(())
}
