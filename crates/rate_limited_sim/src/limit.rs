//! One limit of an API: what it counts, how much, and how it comes back.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One limit of an API.
///
/// Several limits on one unit may stand side by side, such as a minute's and a day's; give each its
/// own name.
///
/// ```
/// use rate_limited_sim::{Anchor, Charged, Counted, Limit};
/// use std::time::Duration;
///
/// let minute = Duration::from_secs(60);
/// let limits = [
///     Limit::requests(500, minute),
///     Limit::requests(10_000, Duration::from_secs(86_400))
///         .named("requests_per_day")
///         .fixed(Anchor::Aligned),
///     Limit::tokens(90_000, minute).bucket(15_000).charged(Charged::Reserve),
///     Limit::tokens(1_000_000, minute).named("output").counted(Counted::Completion),
/// ];
/// assert_eq!(limits[0].name(), "requests");
/// assert_eq!(limits[2].capacity(), 15_000);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) quota: u64,
    pub(crate) window: Duration,
    pub(crate) kind: Kind,
    pub(crate) counted: Counted,
    pub(crate) charged: Charged,
    pub(crate) class: Option<&'static str>,
    pub(crate) each_model: bool,
    /// The quotas of models that have others, by their numbers.
    pub(crate) own: Vec<(u64, u64)>,
}

/// What of a call a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Each call as one.
    Requests,
    /// The call's tokens, prompt and answer together, as [`Charged`] says.
    Tokens,
    /// The tokens of the prompt.
    InputTokens,
    /// The tokens of the answer, as [`Charged`] says.
    OutputTokens,
    /// How many inputs the call has, such as texts to embed.
    Inputs,
    /// The points that the call costs, as [`Charged`] says: the weight of a method, or of a query.
    Points,
}

/// How the quota comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Each charge counts for one window from its own moment: an exact log.
    Sliding,
    /// A counter that starts from zero at each window's beginning.
    Fixed(Anchor),
    /// A bucket that starts full and refills continuously, `quota` in each window.
    Bucket {
        /// The most that the bucket holds, in units.
        burst: u64,
    },
}

/// Where fixed windows begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Anchor {
    /// With the first charge after the former window's end.
    FirstRequest,
    /// At the multiples of the window's length since the origin of time, without a gap. Behind HTTP
    /// the origin is the Unix epoch, so that a window of 60 s is a clock minute.
    Aligned,
    /// One window begins at this moment after the origin; all others lie before and after it
    /// without a gap. Behind HTTP the origin is the server's start.
    At(Duration),
}

/// When a call is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// At its arrival: it is refused where it would exceed the quota.
    #[default]
    Arrival,
    /// At its completion: it is refused at its arrival where the quota is full already, and what
    /// is in flight then may exceed it.
    Completion,
}

/// What a call is charged where tokens or points are counted. Requests are always charged as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charged {
    /// Its upper bound, such as prompt plus `max_tokens`, for good.
    #[default]
    Bound,
    /// What it really uses.
    Usage,
    /// Its upper bound at arrival, corrected to what it used when it ends well. Only with
    /// [`Counted::Arrival`].
    Reserve,
}

impl Limit {
    /// A sliding limit on requests, named `requests`.
    ///
    /// # Panics
    /// If `quota` or `window` is zero.
    pub fn requests(quota: u64, window: Duration) -> Limit {
        Limit::of("requests", Unit::Requests, quota, window)
    }

    /// A sliding limit on tokens, named `tokens`, charged by the upper bound.
    ///
    /// # Panics
    /// If `quota` or `window` is zero.
    pub fn tokens(quota: u64, window: Duration) -> Limit {
        Limit::of("tokens", Unit::Tokens, quota, window)
    }

    /// A sliding limit on any unit, charged by the upper bound.
    ///
    /// # Panics
    /// If `quota` or `window` is zero.
    pub fn of(name: impl Into<String>, unit: Unit, quota: u64, window: Duration) -> Limit {
        Limit {
            name: name.into(),
            unit,
            quota,
            window,
            kind: Kind::Sliding,
            counted: Counted::default(),
            charged: Charged::default(),
            class: None,
            each_model: false,
            own: Vec::new(),
        }
        .checked()
    }

    /// Renames the limit: refusals and statistics name it so.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Limit {
        Limit {
            name: name.into(),
            ..self
        }
    }

    /// Counts in fixed windows. Default: sliding.
    #[must_use]
    pub fn fixed(self, anchor: Anchor) -> Limit {
        Limit {
            kind: Kind::Fixed(anchor),
            ..self
        }
    }

    /// Counts by a bucket of the size `burst`. Default: sliding.
    ///
    /// # Panics
    /// If `burst` is zero.
    #[must_use]
    pub fn bucket(self, burst: u64) -> Limit {
        assert!(
            burst > 0,
            "limit `{}` has a burst of 0: give a number above 0",
            self.name
        );
        Limit {
            kind: Kind::Bucket { burst },
            ..self
        }
    }

    /// When calls are counted. Default: at arrival.
    ///
    /// # Panics
    /// If completion is to be combined with [`Charged::Reserve`].
    #[must_use]
    pub fn counted(self, counted: Counted) -> Limit {
        Limit { counted, ..self }.checked()
    }

    /// What calls are charged. Default: their bound.
    ///
    /// # Panics
    /// If [`Charged::Reserve`] is to be combined with [`Counted::Completion`].
    #[must_use]
    pub fn charged(self, charged: Charged) -> Limit {
        Limit { charged, ..self }.checked()
    }

    /// Counts only calls of this [class](crate::Request::class). Default: all.
    #[must_use]
    pub fn only(self, class: &'static str) -> Limit {
        Limit {
            class: Some(class),
            ..self
        }
    }

    /// Gives each [model](crate::Request::model) the whole quota for itself; calls that name none share one more.
    /// Default: one quota for all.
    ///
    /// ```
    /// use rate_limited_sim::{ApiModel, Arrival, Limit, Request, SimulatedApi, model_number};
    /// use std::time::Duration;
    ///
    /// let limit = Limit::requests(1, Duration::from_secs(60)).each_model().quota_for("big", 2);
    /// let mut api = SimulatedApi::new(ApiModel::new(7).limit(limit));
    /// let mut accepted = |model| {
    ///     let request = Request { model: model_number(model), ..Request::default() };
    ///     matches!(api.arrive(0, &request), Arrival::Accepted { .. })
    /// };
    /// assert_eq!(["a", "a", "b", "big", "big", "big"].map(&mut accepted), [true, false, true, true, true, false]);
    /// ```
    #[must_use]
    pub fn each_model(self) -> Limit {
        Limit {
            each_model: true,
            ..self
        }
    }

    /// The quota of one model, where it has another one.
    ///
    /// # Panics
    /// If `quota` is zero.
    #[must_use]
    pub fn quota_for(mut self, model: &str, quota: u64) -> Limit {
        assert!(
            quota > 0,
            "model {model} has a quota of 0: give a number above 0"
        );
        self.own.push((model_number(model), quota));
        self.each_model()
    }

    /// The limit of one model.
    pub(crate) fn of_model(&self, model: u64) -> Limit {
        let own = self.own.iter().find(|(known, _)| *known == model);
        let quota = own.map_or(self.quota, |(_, quota)| *quota);
        let kind = match self.kind {
            Kind::Bucket { burst } => Kind::Bucket {
                burst: (burst * quota / self.quota).max(1),
            },
            kind => kind,
        };
        Limit {
            quota,
            kind,
            ..self.clone()
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What of a call it counts.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// How much may count in one window.
    pub fn quota(&self) -> u64 {
        self.quota
    }

    /// The length of the window; of a bucket, the time in which a quota flows in.
    pub fn window(&self) -> Duration {
        self.window
    }

    /// How the quota comes back.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The most that may count at one moment: the burst of a bucket, the quota of any other.
    pub fn capacity(&self) -> u64 {
        match self.kind {
            Kind::Bucket { burst } => burst,
            Kind::Sliding | Kind::Fixed(_) => self.quota,
        }
    }

    fn checked(self) -> Limit {
        match self.check() {
            Ok(()) => self,
            Err(complaint) => panic!("{complaint}"),
        }
    }

    /// Says what is wrong with the limit, and what to write instead.
    pub(crate) fn check(&self) -> Result<(), String> {
        let name = &self.name;
        if self.quota == 0 || self.window.is_zero() {
            let (quota, window) = (self.quota, self.window);
            return Err(format!(
                "limit `{name}` allows {quota} per {window:?}: give numbers above 0"
            ));
        }
        if self.capacity() == 0 {
            return Err(format!(
                "limit `{name}` has a burst of 0: give a number above 0"
            ));
        }
        if self.charged == Charged::Reserve && self.counted == Counted::Completion {
            return Err(format!(
                "limit `{name}` reserves at arrival what it counts at completion: choose `usage`, or count at arrival"
            ));
        }
        Ok(())
    }
}

/// The number by which a [request](crate::Request::model) names its model; 0 is none.
///
/// ```
/// use rate_limited_sim::model_number;
///
/// assert_ne!(model_number("a"), model_number("b"));
/// assert_eq!(model_number(""), 0);
/// ```
pub fn model_number(model: &str) -> u64 {
    let add = |sum: u64, byte: u8| crate::draw::mix(sum ^ u64::from(byte)).max(1);
    model.bytes().fold(0, add)
}
