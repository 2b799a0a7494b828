//! A metered resource as the user of a runner declares it.

use crate::account::Guard;
use crate::calendars::Follows;
use crate::error::ConfigError;
use crate::units::Units;
use rate_limited_core::{Amount, AmountError, Counted, Quota, ResourceId, Settlement, Time};
use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

type HearsParts<Req, Resp> =
    Box<dyn Fn(&Req, Result<&Resp, &(dyn Error + Send + Sync + 'static)>) -> bool + Send + Sync>;
type CostOf<Req> = Box<dyn Fn(&Req) -> Result<Amount, AmountError> + Send + Sync>;
type FailedUsageOf<Req> =
    Box<dyn Fn(&Req, &(dyn Error + Send + Sync + 'static)) -> Option<Amount> + Send + Sync>;
type KeyOf<Req> = Box<dyn for<'a> Fn(&'a Req) -> Cow<'a, str> + Send + Sync>;
type UsageOf<Req, Resp> = Box<dyn Fn(&Req, &Resp) -> Result<Amount, AmountError> + Send + Sync>;

/// A metered resource: its name, its quota, and what one call takes of it.
///
/// ```
/// use rate_limited::Resource;
///
/// struct Ask { max_tokens: u64 }
/// struct Answer { total_tokens: u64 }
///
/// let requests: Resource<Ask, Answer> = Resource::per_minute("requests", 3_500);
/// let tokens = Resource::per_minute("tokens", 90_000)
///     .cost(|ask: &Ask| ask.max_tokens)
///     .usage(|_: &Ask, answer: &Answer| answer.total_tokens)
///     .learn(true);
/// # drop((requests, tokens));
/// ```
pub struct Resource<Req, Resp> {
    name: String,
    /// The account of a pool that it is of.
    account: Option<String>,
    /// `None`: as the shared limiter has it.
    quota: Option<Result<Quota, AmountError>>,
    calendar: Follows,
    declared: Declared,
    cost: CostOf<Req>,
    /// Whose part of it a call takes from.
    partition: Option<KeyOf<Req>>,
    /// The quotas of parts that have one of their own.
    parts: Vec<(String, Quota)>,
    /// Hears which parts answers name.
    hears_parts: Option<HearsParts<Req, Resp>>,
    usage: Option<UsageOf<Req, Resp>>,
    failed_usage: Option<FailedUsageOf<Req>>,
}

/// What the core is told besides the quota.
#[derive(Clone, Copy, Debug, Default)]
struct Declared {
    counted: Counted,
    learn: bool,
    failures_are_free: bool,
    refusals_count: bool,
    guard: Option<Duration>,
    untold: Untold,
}

/// What of the quota nobody told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Untold {
    #[default]
    Nothing,
    Limit,
    LimitAndWindow,
}

impl<Req, Resp> std::fmt::Debug for Resource<Req, Resp> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let resource = &mut f.debug_struct("Resource");
        resource
            .field("name", &self.name)
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}

impl<Req, Resp> Resource<Req, Resp> {
    /// A resource of which each call takes 1, unless [`Resource::cost`] says otherwise.
    pub fn new(name: impl Into<String>, quota: Quota) -> Resource<Req, Resp> {
        Resource::of(name.into(), Some(Ok(quota)))
    }

    /// `quota` units in every interval of the length `window`.
    ///
    /// A quota that is no number or not above 0 is reported by the first `schedule` or `run`.
    pub fn per(
        name: impl Into<String>,
        quota: impl Units,
        window: Duration,
    ) -> Resource<Req, Resp> {
        Resource::of(
            name.into(),
            Some(quota.units().map(|amount| Quota::per(amount, window))),
        )
    }

    /// `quota` units in every 60 seconds, wherever they start.
    pub fn per_minute(name: impl Into<String>, quota: impl Units) -> Resource<Req, Resp> {
        Resource::per(name, quota, Duration::from_secs(60))
    }

    /// `quota` units in each window of a calendar: a day that ends at midnight in some time zone, a month. All of it is
    /// back when the window ends, a guard of at most 2 s later: the server's clock may be behind.
    ///
    /// A clock that is set, and days of 23 and 25 hours, are heeded. Where two answers name another end of the
    /// window, that is the end from then on.
    ///
    /// ```
    /// use rate_limited::{Calendar, Resource};
    ///
    /// let midnight = Calendar::day("America/Los_Angeles")?;
    /// let requests: Resource<u32, u32> = Resource::per_calendar("requests", 1_000, midnight);
    /// let tokens: Resource<u32, u32> = Resource::per_calendar("tokens", 5_000_000, "month UTC".parse()?);
    /// # drop((requests, tokens));
    /// # Ok::<(), rate_limited::CalendarError>(())
    /// ```
    #[cfg(feature = "calendar")]
    pub fn per_calendar(
        name: impl Into<String>,
        quota: impl Units,
        calendar: rate_limited_calendar::Calendar,
    ) -> Resource<Req, Resp> {
        let quota = quota.units().map(|amount| calendar.quota(amount));
        Resource {
            calendar: Some(calendar),
            ..Resource::of(name.into(), Some(quota))
        }
    }

    /// A resource that the runner's [limiter](crate::Runner::limiter) has under this name, whatever its quota.
    ///
    /// ```
    /// use rate_limited::{Limiter, Resource, Runner};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let limiter = Limiter::new([Resource::per_minute("tokens", 90_000)])?;
    /// let mut runner = Runner::new(|n: u32| async move { Ok::<_, std::io::Error>(n) })
    ///     .limiter(&limiter)
    ///     .resource(Resource::shared("tokens").cost(|n| *n));
    /// runner.schedule(500)?;
    /// runner.run_blocking()?;
    /// assert_eq!(limiter.view()[0].charged.to_string(), "500");
    /// # Ok(())
    /// # }
    /// ```
    pub fn shared(name: impl Into<String>) -> Resource<Req, Resp> {
        Resource::of(name.into(), None)
    }

    fn of(name: String, quota: Option<Result<Quota, AmountError>>) -> Resource<Req, Resp> {
        let one = Amount::units(1);
        let cost: CostOf<Req> = Box::new(move |_| Ok(one));
        Resource {
            name,
            account: None,
            quota,
            calendar: Follows::default(),
            declared: Declared::default(),
            cost,
            partition: None,
            parts: Vec::new(),
            hears_parts: None,
            usage: None,
            failed_usage: None,
        }
    }

    /// A resource whose limit and window nobody told: both are found out, from what answers name
    /// ([`Runner::feedback`](crate::Runner::feedback)) and from refusals. It starts with one call, and goes on with ever
    /// more until one is refused.
    ///
    /// ```
    /// use rate_limited::{Class, Resource, Runner};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut runner = Runner::new(|n: u32| async move { Ok::<_, std::io::Error>(n) })
    ///     .resource(Resource::untold("requests"))
    ///     .classify(|_error, _resources| Class::Refused { resource: None, retry_after: None });
    /// for n in 0..20 {
    ///     runner.schedule(n)?;
    /// }
    /// assert_eq!(runner.run_blocking()?.len(), 20);
    /// # Ok(())
    /// # }
    /// ```
    pub fn untold(name: impl Into<String>) -> Resource<Req, Resp> {
        let name = name.into();
        let shape = *rate_limited_core::Resource::untold(name.clone()).quota();
        let mut resource = Resource::of(name, Some(Ok(shape)));
        resource.declared.untold = Untold::LimitAndWindow;
        resource
    }

    /// Like this, but its limit is found out: of its quota only the kind is believed, and the window, until an answer
    /// names another one. Windows that follow a calendar stay those of the calendar: the first one shows nothing, as what
    /// was used of it before is not known; the second shows the limit.
    ///
    /// ```
    /// use rate_limited::Resource;
    ///
    /// let tokens: Resource<u32, u32> = Resource::per_minute("tokens", 1).untold_limit();
    /// # drop(tokens);
    /// ```
    #[must_use]
    pub fn untold_limit(mut self) -> Self {
        self.declared.untold = Untold::Limit;
        self
    }

    /// What a call takes at most: reserved before it is sent. Default: 1.
    #[must_use]
    pub fn cost<U: Units>(self, cost: impl Fn(&Req) -> U + Send + Sync + 'static) -> Self {
        Resource {
            cost: Box::new(move |request| cost(request).units()),
            ..self
        }
    }

    /// Gives each model, tenant, … the whole quota for itself: calls whose requests have the same text here share it. A
    /// call of which it is empty takes from the resource itself. In views and journals a part has its key behind the
    /// name: `tokens[gpt-4o]`. The first 1,024 keys are told apart; all further ones share one quota.
    ///
    /// What [`usage`](Resource::usage), refusals and answers tell of the resource is taken for the part that the
    /// attempt took from. Default: one quota for all.
    ///
    /// ```
    /// use rate_limited::{Amount, Quota, Resource, Runner};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// #[derive(Clone)]
    /// struct Ask { model: &'static str, max_tokens: u64 }
    ///
    /// let tokens = Resource::per_minute("tokens", 90_000)
    ///     .cost(|ask: &Ask| ask.max_tokens)
    ///     .partition(|ask: &Ask| ask.model.into())
    ///     .quota_for("gpt-4o", Quota::per_minute(Amount::units(30_000)));
    /// let mut runner = Runner::new(|ask: Ask| async move { Ok::<_, std::io::Error>(ask.model) })
    ///     .resource(tokens);
    /// for model in ["gpt-4o", "gpt-4o-mini", "o3"] {
    ///     runner.schedule(Ask { model, max_tokens: 500 })?;
    /// }
    /// runner.run_blocking()?;
    /// let names: Vec<_> = runner.handle().view().resources.iter().map(|it| it.resource.name().to_owned()).collect();
    /// assert_eq!(names, ["tokens", "tokens[gpt-4o]", "tokens[gpt-4o-mini]", "tokens[o3]"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn partition(
        self,
        key: impl for<'a> Fn(&'a Req) -> Cow<'a, str> + Send + Sync + 'static,
    ) -> Self {
        Resource {
            partition: Some(Box::new(key)),
            ..self
        }
    }

    /// Only answers name the [part](Resource::partition) that a call takes from, and say how that part stands. `hears` is
    /// asked of each answer and each error, before anything else is made of it; it says whether calls may take from other
    /// parts than it seemed. Then `partition` is asked again for every call that is not over. A call of which nothing is
    /// known yet has an empty key: it takes from the resource itself, until an answer tells more.
    ///
    /// A part has the limit that its answers name ([`Runner::feedback`](crate::Runner::feedback)), however far it lies
    /// below that of the resource, but never one above it, nor above what was [told for it](Resource::quota_for).
    ///
    /// ```
    /// use rate_limited::{Resource, Runner};
    /// use std::collections::BTreeMap;
    /// use std::sync::{Arc, Mutex};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // Paths, and the parts that their answers named.
    /// let known: Arc<Mutex<BTreeMap<&'static str, String>>> = Arc::default();
    /// let heard = Arc::clone(&known);
    /// let requests = Resource::per_minute("requests", 5_000)
    ///     .partition(move |path: &&'static str| {
    ///         known.lock().expect("sound").get(path).cloned().unwrap_or_default().into()
    ///     })
    ///     .named_by_answers(move |path, answer| {
    ///         let part = answer.ok().cloned();
    ///         part.is_some_and(|part: String| heard.lock().expect("sound").insert(*path, part).is_none())
    ///     });
    /// let server = |path: &'static str| async move { Ok::<_, std::io::Error>(path[1..].to_owned()) };
    /// let mut runner = Runner::new(server).resource(requests);
    /// for path in ["/search", "/core", "/search"] {
    ///     runner.schedule(path)?;
    /// }
    /// runner.run_blocking()?;
    /// let mut parts: Vec<_> = runner.handle().view().resources.iter().map(|it| it.resource.name().to_owned()).collect();
    /// parts.sort();
    /// assert_eq!(parts, ["requests", "requests[core]", "requests[search]"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn named_by_answers(
        self,
        hears: impl Fn(&Req, Result<&Resp, &(dyn Error + Send + Sync + 'static)>) -> bool
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Resource {
            hears_parts: Some(Box::new(hears)),
            ..self
        }
    }

    /// The quota of the [part](Resource::partition) of this key, in which one `*` stands for any text: each key that fits
    /// has it for itself. The first one that fits counts. Default: that of the resource.
    #[must_use]
    pub fn quota_for(mut self, key: impl Into<String>, quota: Quota) -> Self {
        self.parts.push((key.into(), quota));
        self
    }

    /// What a call has really taken, told by its answer: the rest of the reservation is given back.
    /// Default: what was reserved. A usage that is no amount is taken as unknown.
    #[must_use]
    pub fn usage<U: Units>(self, usage: impl Fn(&Req, &Resp) -> U + Send + Sync + 'static) -> Self {
        let usage: UsageOf<Req, Resp> =
            Box::new(move |request, answer| usage(request, answer).units());
        Resource {
            usage: Some(usage),
            ..self
        }
    }

    /// What a failed attempt has really taken, told by its error. Default: what was reserved, and so where this
    /// says `None` or no amount. It needs [`Resource::usage`], and is not asked of refusals by a limit and of
    /// attempts that outlived their time-out.
    ///
    /// ```
    /// use rate_limited::{Amount, Quota, Resource};
    ///
    /// # struct Ask { dollars_max: f64 }
    /// # struct Answer { dollars: f64 }
    /// let budget: Resource<Ask, Answer> = Resource::new("dollars", Quota::Budget { amount: Amount::units(5) })
    ///     .cost(|ask: &Ask| ask.dollars_max)
    ///     .usage(|_: &Ask, answer: &Answer| answer.dollars)
    ///     // What was rejected is not charged; of anything else that is not known.
    ///     .failed_usage(|_: &Ask, error| error.to_string().contains("rejected").then_some(0));
    /// # drop(budget);
    /// ```
    #[must_use]
    pub fn failed_usage<U: Units>(
        self,
        usage: impl Fn(&Req, &(dyn Error + Send + Sync + 'static)) -> Option<U> + Send + Sync + 'static,
    ) -> Self {
        let usage: FailedUsageOf<Req> =
            Box::new(move |request, error| usage(request, error)?.units().ok());
        Resource {
            failed_usage: Some(usage),
            ..self
        }
    }

    /// Whether to reserve what such calls used so far instead of their cost. Default: no. It needs
    /// [`Resource::usage`], and an API that charges what was really used.
    #[must_use]
    pub fn learn(mut self, learn: bool) -> Self {
        self.declared.learn = learn;
        self
    }

    /// When the server counts a call. Default: when it arrives.
    #[must_use]
    pub fn counted(mut self, counted: Counted) -> Self {
        self.declared.counted = counted;
        self
    }

    /// By how much a request may reach the server late. Default: 0.4 % of the window, at least 1 ms.
    #[must_use]
    pub fn guard(mut self, guard: Duration) -> Self {
        self.declared.guard = Some(guard);
        self
    }

    /// Whether the server counts calls that failed. Default: yes.
    #[must_use]
    pub fn failures_count(mut self, failures_count: bool) -> Self {
        self.declared.failures_are_free = !failures_count;
        self
    }

    /// Whether the server counts calls that it refused. Default: no.
    #[must_use]
    pub fn refusals_count(mut self, refusals_count: bool) -> Self {
        self.declared.refusals_count = refusals_count;
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes it one of an account.
    pub(crate) fn of_account(self, account: &str) -> Self {
        Resource {
            account: Some(account.to_owned()),
            ..self
        }
    }

    /// The calendar that it follows, if it follows one.
    pub(crate) fn follows(&self) -> &Follows {
        &self.calendar
    }

    pub(crate) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// The name by which a limiter knows it.
    fn full_name(&self) -> Cow<'_, str> {
        match &self.account {
            Some(account) => format!("{}@{account}", self.name).into(),
            None => (&self.name).into(),
        }
    }

    /// The declaration as the core takes it.
    pub(crate) fn declaration(&self) -> Result<rate_limited_core::Resource, ConfigError> {
        let quota = self.quota.ok_or_else(|| ConfigError::NotShared {
            resource: self.name.clone(),
        })?;
        let quota = quota.map_err(|reason| ConfigError::Amount {
            resource: self.name.clone(),
            reason,
        })?;
        let settlement = if self.usage.is_some() {
            Settlement::Usage
        } else {
            Settlement::Keep
        };
        let core = match self.declared.untold {
            Untold::Nothing => rate_limited_core::Resource::new(self.full_name(), quota),
            Untold::Limit => {
                rate_limited_core::Resource::new(self.full_name(), quota).untold_limit()
            }
            Untold::LimitAndWindow => rate_limited_core::Resource::untold(self.full_name()),
        };
        let parts = self.parts.iter();
        let core = parts.fold(core, |core, (key, quota)| core.quota_for(key, *quota));
        let core = core
            .counted(self.declared.counted)
            .settlement(settlement)
            .learn(self.declared.learn)
            .failures_count(!self.declared.failures_are_free)
            .refusals_count(self.declared.refusals_count)
            .named_by_answers(self.hears_parts.is_some());
        Ok(match self.declared.guard {
            Some(guard) => core.guard(guard),
            None => core,
        })
    }

    /// Takes the resource from the limiter if it has one of this name; else it is added.
    pub(crate) fn bind(
        &self,
        limiter: &mut Guard<'_>,
        bound: &[ResourceId],
        now: Time,
    ) -> Result<ResourceId, ConfigError> {
        let known = limiter.find(&self.full_name());
        let Some(id) = known.filter(|id| !bound.contains(id)) else {
            let declaration = self.declaration()?;
            let id = match &self.account {
                Some(account) => {
                    let account = limiter.account(account);
                    limiter.add_to(account, declaration)?
                }
                None => limiter.add(declaration)?,
            };
            limiter.follow(id, &self.calendar);
            return Ok(id);
        };
        if self.quota.is_some() {
            let theirs = *limiter.view(id, now).resource.quota();
            let ours = *self.declaration()?.quota();
            if !alike(&ours, &theirs) || limiter.calendars().of(id) != self.calendar {
                return Err(ConfigError::Differs {
                    resource: self.name.clone(),
                });
            }
        }
        Ok(id)
    }

    pub(crate) fn cost_of(&self, request: &Req) -> Result<Amount, AmountError> {
        (self.cost)(request)
    }

    /// Whose part a call takes from; `None`: it takes from the resource itself.
    pub(crate) fn key_of<'a>(&self, request: &'a Req) -> Option<Cow<'a, str>> {
        let key = self.partition.as_ref().map(|key| key(request));
        key.filter(|key| !key.is_empty())
    }

    /// Whether answers name its parts.
    pub(crate) fn names_parts(&self) -> bool {
        self.hears_parts.is_some()
    }

    /// Whether an answer to this request shows that calls may take from other parts than it seemed.
    pub(crate) fn hears_parts(
        &self,
        request: &Req,
        end: Result<&Resp, &(dyn Error + Send + Sync + 'static)>,
    ) -> bool {
        let hears = self.hears_parts.as_ref();
        hears.is_some_and(|hears| hears(request, end))
    }

    /// Whether answers tell what was really used.
    pub(crate) fn tells_usage(&self) -> bool {
        self.usage.is_some()
    }

    /// Whether any end of an attempt may tell the real usage.
    pub(crate) fn tells_anything(&self) -> bool {
        self.usage.is_some() || self.failed_usage.is_some()
    }

    /// The real usage of a failed attempt, if its error tells one.
    pub(crate) fn failed_usage_of(
        &self,
        request: &Req,
        error: &(dyn Error + Send + Sync + 'static),
    ) -> Option<Amount> {
        let usage = self.failed_usage.as_ref();
        usage.and_then(|usage| usage(request, error))
    }

    /// The real usage, if the answer tells one.
    pub(crate) fn usage_of(&self, request: &Req, answer: &Resp) -> Option<Amount> {
        self.usage
            .as_ref()
            .and_then(|usage| usage(request, answer).ok())
    }
}

/// Whether two quotas are one, at whatever time they were declared: calendar windows have gone on since.
fn alike(ours: &Quota, theirs: &Quota) -> bool {
    let follow_a_calendar = ours.boundary().is_some() && theirs.boundary().is_some();
    let same = || ours.limit() == theirs.limit() && ours.window() == theirs.window();
    ours == theirs || (follow_a_calendar && same())
}
