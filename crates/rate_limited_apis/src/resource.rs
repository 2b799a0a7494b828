//! What an API meters.

use std::time::Duration;

use rate_limited_calendar::Calendar;
use rate_limited_core as core;
use rate_limited_core::{Amount, Quota, Time};
use serde::Deserialize;

use crate::anchor::Anchor;
use crate::feedback::FeedbackMap;
use crate::lenient::{one_or_many, some_duration};
use crate::moment::Moment;
use crate::request::Weights;
use crate::source::Source;
use crate::tier::is_among;
use crate::unit::Unit;
use crate::usage::Formula;

/// A metered resource of an API. What is left out is unknown, and taken as each field says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Resource {
    /// The name, unique in its API.
    pub name: String,
    /// What it counts.
    pub unit: Unit,
    /// How its quota comes back. Unknown: as a sliding window, which no other kind refuses.
    pub kind: Option<Kind>,
    /// The window, or the shortest time between two calls. Unknown for slots and budgets.
    #[serde(default, deserialize_with = "some_duration")]
    pub window: Option<Duration>,
    /// The limit, if all users have the same. Unknown: see [`Tier`](crate::Tier), or ask the user.
    pub limit: Option<f64>,
    /// A limit is enforced over slices of the window as long as this: 60 a minute as 1 a second. Unknown:
    /// over the whole window.
    #[serde(default, deserialize_with = "some_duration")]
    pub slice: Option<Duration>,
    /// The size of the bucket, if it is not the limit, nor follows from the slice.
    pub burst: Option<f64>,
    /// Where the windows begin. Unknown: with the first call.
    pub anchor: Option<Anchor>,
    /// When the server counts. Unknown: at arrival.
    pub counted: Option<Counted>,
    /// What the server charges. Unknown: the estimate.
    pub settlement: Option<Settlement>,
    /// What a call is expected to take: measures with weights.
    pub cost: Weights,
    /// How the measures are joined. Default: their sum.
    #[serde(default)]
    pub cost_is: Join,
    /// What the server charges, if it is not the [`usage`](crate::Api::usage) in the resource's unit.
    pub usage: Option<Formula>,
    /// Whether failed calls count. Unknown: yes.
    pub failures_count: Option<bool>,
    /// Whether refused calls count. Unknown: no.
    pub refusals_count: Option<bool>,
    /// What has a quota of its own: each has the whole limit. Default: nothing, one quota for all calls.
    #[serde(default, deserialize_with = "one_or_many")]
    pub key: Vec<Key>,
    /// What answers call it, where its key is what they say: numbers that they name otherwise are of another
    /// resource; one that names none is of the first that has a part. Default: each name that answers
    /// say is a part of this one ([`names_parts`](Resource::names_parts)).
    pub part: Option<String>,
    /// The classes of endpoints that it is for. Default: all.
    #[serde(default, deserialize_with = "one_or_many")]
    pub endpoints: Vec<String>,
    /// The models that it is for, as names, in which one `*` stands for any text. Default: all.
    #[serde(default, deserialize_with = "one_or_many")]
    pub models: Vec<String>,
    /// The server moves the limit by itself, upwards, too. Default: no.
    #[serde(default)]
    pub adaptive: bool,
    /// Only some accounts or models have it: it is there once its headers come, or its limit is told.
    /// Default: no.
    #[serde(default)]
    pub optional: bool,
    /// Where answers tell how it stands.
    #[serde(default)]
    pub feedback: FeedbackMap,
    /// What else is known, for people.
    pub note: Option<String>,
    /// Where this comes from, if not from the source of the whole.
    pub source: Option<String>,
}

/// How quota comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// At most the limit in every interval of the window.
    Sliding,
    /// A bucket that refills continuously.
    Bucket,
    /// All at once, at the end of each window.
    Fixed,
    /// When a call ends: so many at once.
    Slots,
    /// Never.
    Budget,
    /// A shortest time between two calls.
    Spacing,
}

/// When the server counts a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Counted {
    /// When it arrives.
    Arrival,
    /// When its answer is complete.
    Completion,
}

/// What the server charges for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Settlement {
    /// The estimate, made when it arrives, and nothing is given back.
    Keep,
    /// The estimate at first, then what was used.
    Usage,
    /// Nothing at first, then what was used.
    After,
    /// What the server says in its answer.
    Told,
}

/// How the measures of a cost are joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Join {
    /// They are added.
    #[default]
    Sum,
    /// The largest counts.
    Largest,
}

/// What has a quota of its own: `model`, `endpoint`, `path`, or `header:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Key {
    /// Each model, or pool of models ([`Api::pools`](crate::Api::pools)).
    Model,
    /// Each class of endpoints.
    Endpoint,
    /// Each path, without its query. A part of it with a digit is taken for an id, and stands for any, but for a version
    /// such as `v1`.
    Path,
    /// What the answer says.
    Learnt(Source),
}

impl std::str::FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Key, String> {
        match text {
            "model" => Ok(Key::Model),
            "endpoint" => Ok(Key::Endpoint),
            "path" => Ok(Key::Path),
            _ if text.starts_with("header:") => text.parse().map(Key::Learnt),
            _ => Err(format!(
                "{text:?} is no key: write \"model\", \"endpoint\", \"path\" or \"header:NAME\""
            )),
        }
    }
}

crate::lenient::from_text!(Key);

impl Resource {
    /// The quota for the scheduler, with this limit.
    ///
    /// `now` is the time of the calendar and `time_of` turns one of its moments into one of the
    /// scheduler's clock; only windows that follow the calendar or the clock ask for them. `None` for a
    /// resource without a window that needs one.
    ///
    /// ```
    /// use rate_limited_apis::{Api, Moment};
    /// use rate_limited_core::{Amount, Quota, Time};
    ///
    /// let tokens = Api::named("openai")?.resource("tokens").expect("is metered");
    /// let limit = Amount::units(500_000);
    /// let quota = tokens.quota(limit, Moment::from_seconds(0), &|_| Time::PROCESS_START);
    /// assert_eq!(quota.map(|quota| quota.capacity()), Some(limit));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn quota(
        &self,
        limit: Amount,
        now: Moment,
        time_of: &dyn Fn(Moment) -> Time,
    ) -> Option<Quota> {
        match self.kind {
            Some(Kind::Slots) => return Some(Quota::slots(limit)),
            Some(Kind::Budget) => return Some(Quota::Budget { amount: limit }),
            _ => {}
        }
        let window = self.window?;
        Some(match self.kind {
            Some(Kind::Spacing) => Quota::Spacing { interval: window },
            Some(Kind::Bucket) => Quota::bucket(limit, window, self.burst(limit, window)),
            Some(Kind::Fixed) => Quota::FixedWindow {
                amount: limit,
                window,
                anchor: self.core_anchor(now, time_of),
            },
            _ if self.slice.is_some() => Quota::bucket(limit, window, self.burst(limit, window)),
            _ => Quota::per(limit, window),
        })
    }

    fn burst(&self, limit: Amount, window: Duration) -> Amount {
        let told = self.burst.and_then(|burst| Amount::cost(burst).ok());
        told.unwrap_or_else(|| {
            let slice = self.slice.unwrap_or(window).min(window);
            let share = i128::from(limit.as_micros()) * slice.as_nanos() as i128
                / window.as_nanos().max(1) as i128;
            // A bucket that holds less than one call would let nothing pass.
            let least = Amount::units(1).min(limit);
            Amount::from_micros(i64::try_from(share).unwrap_or(i64::MAX)).max(least)
        })
    }

    fn core_anchor(&self, now: Moment, time_of: &dyn Fn(Moment) -> Time) -> core::Anchor {
        let Some(calendar) = self.calendar() else {
            return core::Anchor::FirstCall;
        };
        let window = now.system().and_then(|now| calendar.window_at(now));
        window.map_or(core::Anchor::FirstCall, |window| core::Anchor::Calendar {
            start: time_of(window.start.into()),
            end: time_of(window.end.into()),
            next: time_of(window.next.into()),
        })
    }

    /// The calendar that ends its windows, if one does.
    pub fn calendar(&self) -> Option<Calendar> {
        let window = self.window.filter(|_| self.kind == Some(Kind::Fixed));
        self.anchor.as_ref()?.calendar(window?)
    }

    /// The declaration for the scheduler: when it counts, what it charges, what failures cost.
    pub fn declare(&self, quota: Quota) -> core::Resource {
        self.declare_as(self.name.clone(), quota)
    }

    /// As [`declare`](Resource::declare), with a name of one's own.
    pub fn declare_as(&self, name: String, quota: Quota) -> core::Resource {
        let counted = match self.counted {
            Some(Counted::Completion) => core::Counted::AtCompletion,
            _ => core::Counted::AtDispatch,
        };
        let settlement = if self.settles() {
            core::Settlement::Usage
        } else {
            core::Settlement::Keep
        };
        core::Resource::new(name, quota)
            .counted(counted)
            .settlement(settlement)
            .learn(self.settles())
            .failures_count(self.failures_count.unwrap_or(true))
            .refusals_count(self.refusals_count.unwrap_or(false))
    }

    /// Whether each model, class of endpoints or path has a quota of its own, as far as the request tells.
    ///
    /// ```
    /// use rate_limited_apis::Api;
    ///
    /// let has_parts = |api, name| Some(Api::named(api).ok()?.resource(name)?.has_parts());
    /// assert_eq!(has_parts("openai", "tokens"), Some(true));
    /// assert_eq!(has_parts("github", "primary"), Some(false));
    /// ```
    pub fn has_parts(&self) -> bool {
        let of_answers = |key: &Key| matches!(key, Key::Learnt(_));
        self.key.iter().any(|key| !of_answers(key))
    }

    /// Whether only the answers name the parts that have a quota of their own: see [`NamedParts`](crate::NamedParts).
    /// One with a [`part`](Resource::part) is one of them, and has none.
    ///
    /// ```
    /// use rate_limited_apis::{Api, Resource};
    ///
    /// let described = |more| Api::from_toml(&format!(r#"
    ///     name = "hub"
    ///     title = "Hub"
    ///     as_of = "2026-11-24"
    ///     source = "hub.example.com"
    ///     [[resources]]
    ///     name = "requests"
    ///     unit = "requests"
    ///     window = "1h"
    ///     cost = {{ request = 1 }}
    ///     {more}
    /// "#));
    /// let named = described(r#"key = "header:x-quota""#)?;
    /// assert!(named.resources[0].names_parts());
    /// let told = described(r#"key = "header:x-quota"
    ///     part = "core""#)?;
    /// assert!(!told.resources[0].names_parts());
    /// # Ok::<(), rate_limited_apis::DescriptionError>(())
    /// ```
    pub fn names_parts(&self) -> bool {
        !self.key.is_empty() && !self.has_parts() && self.part.is_none()
    }

    /// Where answers name the part that they speak of.
    pub(crate) fn learnt_from(&self) -> impl Iterator<Item = &Source> {
        self.key.iter().filter_map(|key| match key {
            Key::Learnt(source) => Some(source),
            _ => None,
        })
    }

    /// Whether answers settle what is charged; else the estimate stays.
    pub fn settles(&self) -> bool {
        !matches!(self.settlement, None | Some(Settlement::Keep))
    }

    /// Whether it is for calls of this class of endpoints and of this model; `None`: not known.
    pub fn is_for(&self, endpoint: Option<&str>, model: Option<&str>) -> bool {
        is_among(&self.endpoints, endpoint) && is_among(&self.models, model)
    }
}
