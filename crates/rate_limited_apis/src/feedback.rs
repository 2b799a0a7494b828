//! Where answers tell how a resource stands, and what they tell.

use std::fmt;
use std::time::Duration;

use rate_limited_core::{self as core, Amount};
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, de};

use crate::answer::View;
use crate::condition::{Condition, all_hold};
use crate::lenient::{duration, one_or_many};
use crate::moment::{Moment, WAIT_MAX};
use crate::parse::{self, Member};
use crate::resource::{Kind, Resource};
use crate::source::Source;
use crate::unit::Unit;
use crate::wait::TimeFormat;

/// Where answers tell how a resource stands. Whatever is left out, they do not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct FeedbackMap {
    /// The limit in force.
    pub limit: Option<Place>,
    /// The size of the bucket.
    pub burst: Option<Place>,
    /// What remains of it.
    pub remaining: Option<Place>,
    /// What is used of it.
    pub used: Option<Place>,
    /// When it comes back.
    pub reset: Option<ResetPlace>,
    /// What this call was charged.
    pub cost: Option<Place>,
    /// The window of the limit, as a duration with units (`1s`).
    pub window: Option<Place>,
    /// What is used and of how much, as `32/40`: of a bucket its size, else the limit.
    #[serde(deserialize_with = "one_or_many")]
    pub used_of: Vec<Source>,
    /// `RateLimit` of the IETF draft. Members of other units than the resource's are left alone.
    #[serde(deserialize_with = "one_or_many")]
    pub state: Vec<Source>,
    /// `RateLimit-Policy` of the IETF draft.
    #[serde(deserialize_with = "one_or_many")]
    pub policy: Vec<Source>,
    /// What holds for an answer that was served although it lies above the limit.
    #[serde(deserialize_with = "one_or_many")]
    pub over_limit: Vec<Condition>,
}

/// A place where an amount is told: written as the source alone, or with how to read it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Place {
    /// The sources, of which the first that tells something counts.
    pub from: Vec<Source>,
    /// The amount is a multiple of this, rounded. Default: exact.
    pub rounded_to: Option<f64>,
    /// The value is a limit with a list of policies, as older drafts of the IETF have it. Default: no.
    pub policies: bool,
}

impl Eq for Place {}

/// A place where the return of quota is told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ResetPlace {
    /// The sources, of which the first that tells something counts.
    #[serde(deserialize_with = "one_or_many")]
    pub from: Vec<Source>,
    /// How the time is written.
    pub format: TimeFormat,
    /// What is back then. Default: unknown.
    pub means: Option<Means>,
    /// What to add, as a second where times have whole seconds only. Default 0.
    #[serde(default, deserialize_with = "duration")]
    pub plus: Duration,
}

/// What is back when a reset has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Means {
    /// Everything: a bucket is full again. For `n` units one has to wait less, `(n − remaining) / rate`.
    Full,
    /// Everything: the window ends. Before it, nothing comes back.
    WindowEnd,
    /// Some of it.
    Some,
}

/// When quota comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reset {
    /// The time from now on; at most [`WAIT_MAX`].
    pub after: Duration,
    /// What is back then; `None`: unknown.
    pub means: Option<Means>,
}

/// How one resource stands, as far as an answer tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading<'api> {
    /// The resource.
    pub resource: &'api str,
    /// The partition of it that the answer names.
    pub key: Option<String>,
    /// The limit in force; never 0, which no server means.
    pub limit: Option<Amount>,
    /// The size of the bucket.
    pub burst: Option<Amount>,
    /// What remains; never more than the bucket or the limit.
    pub remaining: Option<Amount>,
    /// What is used.
    pub used: Option<Amount>,
    /// When it comes back.
    pub reset: Option<Reset>,
    /// What this call was charged.
    pub cost: Option<Amount>,
    /// The window of the limit.
    pub window: Option<Duration>,
    /// What `remaining` is rounded to a multiple of.
    pub rounded_to: Option<Amount>,
    /// Whether the call was served although it lies above the limit.
    pub over_limit: bool,
}

impl<'api> Reading<'api> {
    pub(crate) fn new(resource: &'api str) -> Reading<'api> {
        Reading {
            resource,
            key: None,
            limit: None,
            burst: None,
            remaining: None,
            used: None,
            reset: None,
            cost: None,
            window: None,
            rounded_to: None,
            over_limit: false,
        }
    }

    /// The same for the books of a limiter.
    ///
    /// ```
    /// use rate_limited_apis::{Answer, Api, Moment};
    /// use rate_limited_core::Amount;
    ///
    /// let headers = [("x-ratelimit-limit-requests", "500"), ("x-ratelimit-remaining-requests", "499")];
    /// let answer = Answer::new(200, &headers, b"{}");
    /// let feedback = Api::named("openai")?.read(&answer, Moment::from_seconds(0));
    /// assert_eq!(feedback.readings[0].told().remaining, Some(Amount::units(499)));
    /// # Ok::<(), rate_limited_apis::UnknownApi>(())
    /// ```
    pub fn told(&self) -> core::Feedback {
        core::Feedback {
            limit: self.limit,
            // Served although it lies above the limit: what remains says nothing.
            remaining: self.remaining.filter(|_| !self.over_limit),
            rounded_to: self.rounded_to.unwrap_or(Amount::ZERO),
            reset: self.reset.map(|reset| match reset.means {
                Some(Means::Full) => core::Reset::Full(reset.after),
                Some(Means::WindowEnd) => core::Reset::WindowEnd(reset.after),
                _ => core::Reset::Some(reset.after),
            }),
            window: self.window,
        }
    }

    fn is_empty(&self) -> bool {
        let amounts = [self.limit, self.burst, self.remaining, self.used, self.cost];
        let told = amounts.iter().any(Option::is_some) || self.over_limit;
        !told && self.reset.is_none() && self.window.is_none()
    }

    /// Drops what no server means: a limit of nothing, more remaining than there is, a reset at once of
    /// something unknown.
    fn sane(mut self) -> Option<Reading<'api>> {
        self.limit = self.limit.filter(|limit| *limit > Amount::ZERO);
        self.burst = self.burst.filter(|burst| *burst > Amount::ZERO);
        if let Some(limit) = self.burst.or(self.limit) {
            self.remaining = self.remaining.map(|remaining| remaining.min(limit));
        }
        let amounts = [self.limit, self.remaining, self.used];
        let known = amounts.iter().any(Option::is_some);
        self.reset = self.reset.filter(|reset| known || !reset.after.is_zero());
        (!self.is_empty()).then_some(self)
    }
}

impl FeedbackMap {
    /// What `remaining` is rounded to a multiple of.
    pub(crate) fn rounded_to(&self) -> Option<f64> {
        self.remaining.as_ref().and_then(|place| place.rounded_to)
    }

    /// All places of it.
    ///
    /// ```
    /// use rate_limited_apis::{Api, Source};
    ///
    /// let openai = Api::named("openai")?;
    /// let mut told = openai.resources[0].feedback.sources();
    /// assert!(told.all(|source| matches!(source, Source::Header(_))));
    /// # Ok::<(), rate_limited_apis::UnknownApi>(())
    /// ```
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        let places = [
            &self.limit,
            &self.burst,
            &self.remaining,
            &self.used,
            &self.cost,
            &self.window,
        ];
        let places = places.into_iter().flatten().flat_map(|place| &place.from);
        let reset = self.reset.iter().flat_map(|place| &place.from);
        let lists = [&self.used_of, &self.policy, &self.state]
            .into_iter()
            .flatten();
        places.chain(reset).chain(lists)
    }

    /// What the answer tells of the resource: none, one, or several partitions or windows of it. Fields
    /// that cannot be read are added to `unreadable`.
    pub(crate) fn read<'api>(
        &self,
        resource: &'api Resource,
        view: &View<'_>,
        now: Moment,
        unreadable: &mut Vec<String>,
    ) -> Vec<Reading<'api>> {
        let name = resource.name.as_str();
        let mut reading = Reading::new(name);
        let mut reader = Reader { view, unreadable };
        reading.burst = reader.amount(self.burst.as_ref());
        if let Some(place) = &self.limit {
            if place.policies {
                let told = reader.first(&place.from, parse::policies);
                reading.window = told.as_ref().and_then(|told| told.window);
                reading.limit = told.map(|told| told.limit);
            } else {
                reading.limit = reader.amount(Some(place));
            }
        }
        reading.remaining = reader.amount(self.remaining.as_ref());
        reading.used = reader.amount(self.used.as_ref());
        reading.cost = reader.amount(self.cost.as_ref());
        if let Some(place) = &self.window {
            reading.window = reader.first(&place.from, parse::go_duration);
        }
        if let Some((used, size)) = reader.first(&self.used_of, parse::used_of) {
            reading.used = Some(used);
            match resource.kind {
                Some(Kind::Bucket) => reading.burst = Some(size),
                _ => reading.limit = Some(size),
            }
        }
        reading.reset = self
            .reset
            .as_ref()
            .and_then(|place| reader.reset(place, now));
        reading.over_limit = !self.over_limit.is_empty() && all_hold(&self.over_limit, view);
        if reading.remaining.is_some() {
            reading.rounded_to = self.rounded_to().and_then(|unit| Amount::cost(unit).ok());
        }
        let members = reader.members(self, resource.unit);
        let plain = reading.sane();
        let structured = members
            .into_iter()
            .filter_map(|member| from_member(name, member).sane());
        plain.into_iter().chain(structured).collect()
    }
}

/// Reads fields, and keeps the names of those that cannot be read.
struct Reader<'a, 'v> {
    view: &'a View<'v>,
    unreadable: &'a mut Vec<String>,
}

impl Reader<'_, '_> {
    /// The first value that can be read.
    fn first<T>(&mut self, sources: &[Source], read: impl Fn(&str) -> Option<T>) -> Option<T> {
        sources.iter().find_map(|source| {
            let mut garbage = false;
            let value = self.view.find([source], |text| {
                let value = read(text);
                garbage |= value.is_none() && !parse::is_unknown(text);
                value
            });
            if garbage && value.is_none() {
                self.unreadable.push(source.to_string());
            }
            value
        })
    }

    fn amount(&mut self, place: Option<&Place>) -> Option<Amount> {
        self.first(&place?.from, parse::number)
    }

    fn reset(&mut self, place: &ResetPlace, now: Moment) -> Option<Reset> {
        let is_zero = |text: &str| parse::number(text) == Some(Amount::ZERO);
        let after = self.first(&place.from, |text| match place.format {
            // A moment of zero is unknown, and no garbage.
            TimeFormat::Epoch if is_zero(text) => Some(None),
            format => format.read(text, now).map(Some),
        })??;
        Some(Reset {
            after: after.saturating_add(place.plus).min(WAIT_MAX),
            means: place.means,
        })
    }

    /// The members of the structured fields, policies joined to the states of their name.
    fn members(&mut self, map: &FeedbackMap, unit: Unit) -> Vec<Member> {
        let mut members = self.list(&map.policy);
        for state in self.list(&map.state) {
            match members.iter_mut().find(|policy| policy.name == state.name) {
                Some(policy) => {
                    (policy.remaining, policy.reset) = (state.remaining, state.reset);
                    policy.key = state.key.or(policy.key.take());
                }
                None => members.push(state),
            }
        }
        let counts = |member: &Member| {
            unit == match member.unit.as_deref() {
                None | Some("requests") => Unit::Requests,
                Some("content-bytes") => Unit::Bytes,
                Some("concurrent-requests") => Unit::InFlight,
                Some(_) => return false,
            }
        };
        members.retain(counts);
        members
    }

    /// The members of a field, of all its values.
    fn list(&mut self, sources: &[Source]) -> Vec<Member> {
        let mut all = Vec::new();
        for source in sources {
            let mut garbage = false;
            self.view.each(source, &mut |found| {
                let members = found.text().and_then(|text| parse::structured(&text));
                garbage |= members.is_none();
                all.extend(members.unwrap_or_default());
            });
            if garbage {
                self.unreadable.push(source.to_string());
            }
        }
        all
    }
}

fn from_member(resource: &str, member: Member) -> Reading<'_> {
    Reading {
        key: Some(member.key.unwrap_or(member.name)),
        limit: member.quota,
        remaining: member.remaining,
        window: member.window,
        reset: member.reset.map(|after| Reset {
            after,
            means: Some(Means::Some),
        }),
        ..Reading::new(resource)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Place, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            #[serde(deserialize_with = "one_or_many")]
            from: Vec<Source>,
            rounded_to: Option<f64>,
            #[serde(default)]
            policies: bool,
        }

        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Place;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a source such as \"header:x-ratelimit-limit\", or { from = … }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Place, E> {
                Ok(Place {
                    from: vec![text.parse().map_err(E::custom)?],
                    rounded_to: None,
                    policies: false,
                })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Place, A::Error> {
                let written = Written::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Place {
                    from: written.from,
                    rounded_to: written.rounded_to,
                    policies: written.policies,
                })
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
