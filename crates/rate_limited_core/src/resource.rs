//! A metered resource, as its user declares it.

use crate::amount::Amount;
use crate::error::QuotaError;
use crate::quota::Quota;
use crate::time::{Time, nanos};
use core::time::Duration;

/// A metered resource as its user declares it.
///
/// ```
/// use rate_limited_core::{Amount, Counted, Quota, Resource, Settlement};
///
/// let tokens = Resource::new("tokens", Quota::per_minute(Amount::units(90_000)))
///     .counted(Counted::AtCompletion)
///     .settlement(Settlement::Usage)
///     .learn(true);
/// assert_eq!(tokens.name(), "tokens");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    name: String,
    quota: Quota,
    counted: Counted,
    settlement: Settlement,
    guard: Option<Duration>,
    learn: bool,
    failures_count: bool,
    refusals_count: bool,
    pub(crate) untold: Untold,
    named_by: NamedBy,
    /// Quotas of partitions that have one of their own, by their keys.
    parts: Vec<(String, Quota)>,
}

/// When the server counts a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Counted {
    /// When the request arrives, at most the guard after it was sent.
    #[default]
    AtDispatch,
    /// When the answer is complete.
    AtCompletion,
    /// At an unknown moment in between: held from the dispatch until the end, then charged for a
    /// whole window. Never too much, at the price of the calls' duration.
    Strict,
}

/// What of a quota nobody told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Untold {
    Nothing,
    Limit,
    LimitAndWindow,
}

/// Who names the parts of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NamedBy {
    Calls,
    Answers,
}

/// For how long what is charged is remembered while no window is known.
const UNKNOWN_WINDOW: Duration = Duration::from_secs(600);

/// What becomes of a reservation when its call has ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Settlement {
    /// The server charges what was estimated: the reservation stays.
    #[default]
    Keep,
    /// The server charges what was used: the difference is given back, or owed.
    Usage,
}

/// A quota over the windows of another one, where those follow a calendar: a part begins when the whole does.
fn in_windows_of(own: Quota, whole: &Quota) -> Quota {
    match (own, whole) {
        (Quota::FixedWindow { amount, window, .. }, Quota::FixedWindow { anchor, .. })
            if whole.boundary().is_some() && window == whole.window() =>
        {
            Quota::FixedWindow {
                amount,
                window,
                anchor: *anchor,
            }
        }
        _ => own,
    }
}

impl Resource {
    /// A resource that is counted at dispatch and keeps its reservations.
    pub fn new(name: impl Into<String>, quota: Quota) -> Resource {
        Resource {
            name: name.into(),
            quota,
            counted: Counted::default(),
            settlement: Settlement::default(),
            guard: None,
            learn: false,
            failures_count: true,
            refusals_count: false,
            untold: Untold::Nothing,
            named_by: NamedBy::Calls,
            parts: Vec::new(),
        }
    }

    /// A resource whose limit and window nobody told: both are found out, from what answers name and from
    /// refusals. It starts with one request, and goes on with ever more until one is refused.
    ///
    /// ```
    /// use rate_limited_core::Resource;
    ///
    /// assert!(Resource::untold("requests").is_untold());
    /// ```
    pub fn untold(name: impl Into<String>) -> Resource {
        let quota = Quota::per(Amount::MAX, UNKNOWN_WINDOW);
        Resource::new(name, quota).untold_limit_and_window()
    }

    /// Like this, but its limit and its window are found out: nothing of its quota is believed.
    ///
    /// ```
    /// use rate_limited_core::{Amount, Quota, Resource, Settlement};
    ///
    /// let tokens = Resource::new("tokens", Quota::per_minute(Amount::units(1)))
    ///     .settlement(Settlement::Usage)
    ///     .untold_limit_and_window();
    /// assert!(tokens.is_untold());
    /// ```
    #[must_use]
    pub fn untold_limit_and_window(self) -> Resource {
        Resource {
            quota: Quota::per(Amount::MAX, UNKNOWN_WINDOW),
            untold: Untold::LimitAndWindow,
            ..self
        }
    }

    /// Like this, but its limit is found out: of its quota only the kind is believed, and the window, until an
    /// answer names another one. Windows that follow a calendar stay those of the calendar: the first one shows nothing,
    /// as what was used of it before is not known; the second shows the limit.
    ///
    /// ```
    /// use rate_limited_core::{Amount, Quota, Resource};
    ///
    /// let tokens = Resource::new("tokens", Quota::per_minute(Amount::units(1))).untold_limit();
    /// assert_eq!(tokens.quota().limit(), Some(Amount::MAX));
    /// ```
    #[must_use]
    pub fn untold_limit(self) -> Resource {
        Resource {
            quota: self.quota.with_limit(Amount::MAX),
            untold: Untold::Limit,
            ..self
        }
    }

    /// The same with another quota, that is taken as told.
    ///
    /// ```
    /// use rate_limited_core::{Amount, Quota, Resource};
    ///
    /// let requests = Resource::untold("requests").with_quota(Quota::per_minute(Amount::units(60)));
    /// assert!(!requests.is_untold());
    /// ```
    #[must_use]
    pub fn with_quota(self, quota: Quota) -> Resource {
        Resource {
            quota,
            untold: Untold::Nothing,
            ..self
        }
    }

    /// The same in the calendar window that ends so: what was told of it stays told, and what was not, untold.
    pub(crate) fn with_boundary(self, end: Time, next: Time) -> Resource {
        Resource {
            quota: self.quota.with_boundary(end, next),
            ..self
        }
    }

    /// The quota of the [partition](crate::Limiter::partition) of this key, in which one `*` stands for any text:
    /// each key that fits has it for itself. The first one that fits counts. Default: that of the resource.
    ///
    /// ```
    /// use rate_limited_core::{Amount, Quota, Resource};
    ///
    /// let quota = |units| Quota::per_minute(Amount::units(units));
    /// let tokens = Resource::new("tokens", quota(90_000)).quota_for("gpt-4o*", quota(30_000));
    /// assert_eq!(tokens.quota(), &quota(90_000));
    /// ```
    #[must_use]
    pub fn quota_for(mut self, key: impl Into<String>, quota: Quota) -> Resource {
        self.parts.push((key.into(), quota));
        self
    }

    /// Whether the server names the [parts](crate::Limiter::partition), and says of each how it stands: then a part has
    /// the limit that answers name for it, however far it lies below that of the resource, and a window that begins with a
    /// call ends when they say. Default: no. What was [told for a part](Resource::quota_for) holds above that.
    ///
    /// ```
    /// use rate_limited_core::{Amount, Feedback, Limiter, Quota, Resource, Time};
    ///
    /// let now = Time::PROCESS_START;
    /// let mut limiter = Limiter::new(now);
    /// let requests = Resource::new("requests", Quota::per_minute(Amount::units(5_000))).named_by_answers(true);
    /// let requests = limiter.add(requests)?;
    /// let search = limiter.partition(requests, "search");
    /// let told = Feedback { limit: Some(Amount::units(30)), ..Feedback::default() };
    /// limiter.feedback(search, &told, now);
    /// assert_eq!(limiter.view(search, now).limit, Some(Amount::units(30)));
    /// assert_eq!(limiter.view(requests, now).limit, Some(Amount::units(5_000)));
    /// # Ok::<(), rate_limited_core::QuotaError>(())
    /// ```
    #[must_use]
    pub fn named_by_answers(self, named: bool) -> Resource {
        let named_by = if named {
            NamedBy::Answers
        } else {
            NamedBy::Calls
        };
        Resource { named_by, ..self }
    }

    /// When the server counts a call. Default: [`Counted::AtDispatch`].
    #[must_use]
    pub fn counted(self, counted: Counted) -> Resource {
        Resource { counted, ..self }
    }

    /// What becomes of a reservation. Default: [`Settlement::Keep`].
    #[must_use]
    pub fn settlement(self, settlement: Settlement) -> Resource {
        Resource { settlement, ..self }
    }

    /// By how much a request may reach the server late. Default: 0.4 % of the window, of a bucket at most
    /// 2 % of the time in which its burst flows in, of a calendar window at most 2 s, and at least 1 ms; refusals
    /// widen a guard above zero up to 1 % of the window, of a calendar window at most 1 minute. What is counted at
    /// completion needs none. A calendar window is taken to end so much later, too, as two clocks may differ.
    #[must_use]
    pub fn guard(self, guard: Duration) -> Resource {
        Resource {
            guard: Some(guard),
            ..self
        }
    }

    /// Whether to reserve what such calls used so far instead of their upper bound. Default: no.
    /// Needs [`Settlement::Usage`].
    #[must_use]
    pub fn learn(self, learn: bool) -> Resource {
        Resource { learn, ..self }
    }

    /// Whether the server counts calls that failed. Default: yes.
    #[must_use]
    pub fn failures_count(self, failures_count: bool) -> Resource {
        Resource {
            failures_count,
            ..self
        }
    }

    /// Whether the server counts calls that it refused. Default: no.
    #[must_use]
    pub fn refusals_count(self, refusals_count: bool) -> Resource {
        Resource {
            refusals_count,
            ..self
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The quota.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Whether its limit is found out.
    pub fn is_untold(&self) -> bool {
        self.untold != Untold::Nothing
    }

    /// Whether answers name the parts.
    pub(crate) fn is_named(&self) -> bool {
        self.named_by == NamedBy::Answers
    }

    pub(crate) fn learns(&self) -> bool {
        self.learn && self.settles_usage()
    }

    pub(crate) fn settles_usage(&self) -> bool {
        self.settlement == Settlement::Usage
    }

    pub(crate) fn counts_failures(&self) -> bool {
        self.failures_count
    }

    pub(crate) fn counts_refusals(&self) -> bool {
        self.refusals_count
    }

    pub(crate) fn when(&self) -> Counted {
        self.counted
    }

    pub(crate) fn check(&self) -> Result<(), QuotaError> {
        if self.name.is_empty() {
            return Err(QuotaError::Unnamed);
        }
        for (key, quota) in &self.parts {
            quota.check(&part_name(&self.name, key))?;
        }
        self.quota.check(&self.name)
    }

    /// The quota that was told for a key.
    pub(crate) fn own_quota(&self, key: &str) -> Option<&Quota> {
        let fits = |name: &str| match name.split_once('*') {
            Some((start, end)) => key
                .strip_prefix(start)
                .is_some_and(|rest| rest.ends_with(end)),
            None => name == key,
        };
        let mut parts = self.parts.iter();
        parts.find(|(name, _)| fits(name)).map(|(_, quota)| quota)
    }

    /// The declaration of the part that belongs to a key.
    pub(crate) fn part(&self, key: &str) -> Resource {
        let part = Resource {
            name: part_name(&self.name, key),
            parts: Vec::new(),
            ..self.clone()
        };
        match self.own_quota(key) {
            Some(quota) => part.with_quota(in_windows_of(*quota, &self.quota)),
            None => part,
        }
    }

    pub(crate) fn first_guard(&self, quota: &Quota) -> u64 {
        let window = nanos(quota.window());
        match (self.guard, self.counted) {
            (Some(guard), _) => nanos(guard).min(window),
            // What is held until the answer is here cannot be counted later than we think.
            (None, Counted::AtCompletion | Counted::Strict) => 0,
            (None, Counted::AtDispatch) => {
                let share = (window / 250).min(quota.burst_nanos() / 50);
                let share = if quota.boundary().is_some() {
                    // It is for the difference of two clocks, which is not longer for longer windows.
                    share.min(2_000_000_000)
                } else {
                    share
                };
                share.max(1_000_000).min(window)
            }
        }
    }
}

fn part_name(resource: &str, key: &str) -> String {
    format!("{resource}[{key}]")
}
