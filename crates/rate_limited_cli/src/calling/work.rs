//! Work, and how long it takes under the limits of a run.

use std::time::{Duration, SystemTime};

use rate_limited::Amount;
use rate_limited::http::Unit;

use crate::calling::meters::Meters;
use crate::calling::parts::Parts;
use crate::calling::shares::Shares;

/// What all calls take of each unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Work {
    pub(crate) requests: f64,
    pub(crate) tokens: f64,
}

impl Work {
    /// The work of so many calls, with so many tokens in all.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a figure to show, never to count with"
    )]
    pub(crate) fn new(requests: u64, tokens: u64) -> Work {
        let (requests, tokens) = (requests as f64, tokens as f64);
        Work { requests, tokens }
    }

    /// Both.
    pub(crate) fn and(self, other: Work) -> Work {
        Work {
            requests: self.requests + other.requests,
            tokens: self.tokens + other.tokens,
        }
    }

    pub(crate) fn of(&self, unit: Unit) -> f64 {
        match unit {
            Unit::Tokens => self.tokens,
            Unit::Requests => self.requests,
            // Of others it is not known before.
            _ => 0.0,
        }
    }
}

/// A limit that several accounts have, each for its calls: together they let through what each does.
#[derive(Clone, Debug)]
pub(crate) struct Joint {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    /// As it is written, account by account.
    pub(crate) limit: String,
    pub(crate) quota: f64,
    /// How much a second.
    pub(crate) rate: f64,
    /// When its window of the calendar ends, if it follows one, and how long others are.
    ends: Option<(SystemTime, Duration)>,
    /// The places of its meters.
    pub(crate) places: Vec<usize>,
    /// What of the calls has it for itself.
    pub(crate) parts: Parts,
}

impl Joint {
    /// How long the limit alone makes this work wait, in seconds; below zero: it fits several times.
    fn wait(&self, work: Work) -> f64 {
        let work = work.of(self.unit);
        let windows = (work / self.quota).ceil() - 1.0;
        match self.ends {
            Some((end, window)) if windows >= 1.0 => {
                let left = end.duration_since(SystemTime::now()).unwrap_or_default();
                left.as_secs_f64() + (windows - 1.0) * window.as_secs_f64()
            }
            _ => (work - self.quota) / self.rate,
        }
    }

    /// The limit of one part.
    fn of_part(&self, key: &str) -> Joint {
        let mut part = self.clone();
        if !key.is_empty() {
            part.name = format!("{}[{key}]", self.name);
        }
        if let Some(own) = self.parts.limit_of(key) {
            part.quota = Amount::from_micros(own.quota_micros).as_units();
            part.rate = part.quota / own.window.as_secs_f64();
            part.limit = own.to_string();
        }
        part
    }
}

impl Meters {
    /// The limits, those of one name of all accounts taken together. What one of them does not limit is not
    /// limited.
    pub(crate) fn joint(&self) -> Vec<Joint> {
        let accounts = self.accounts();
        let mut joint: Vec<Joint> = Vec::new();
        for meter in self.iter() {
            let place = meter.place;
            if let Some(known) = joint.iter_mut().find(|it| it.name == meter.name) {
                known.quota += meter.quota();
                known.rate += meter.rate();
                known.limit = format!("{} + {}", known.limit, meter.limit);
                known.ends = known.ends.filter(|_| meter.limit.calendar.is_some());
                known.places.push(place);
                continue;
            }
            joint.push(Joint {
                name: meter.name.clone(),
                unit: meter.unit,
                limit: meter.limit.to_string(),
                quota: meter.quota(),
                rate: meter.rate(),
                ends: meter.window_end().map(|end| (end, meter.limit.window)),
                places: vec![place],
                parts: meter.parts.clone(),
            });
        }
        joint.retain(|it| it.places.len() >= accounts);
        joint
    }

    /// The limit that takes longest for this work, and how long: what does not fit into the first
    /// window has to wait for quota to come back. `None`: all of it fits at once.
    pub(crate) fn binding(&self, work: Work) -> Option<(Joint, Duration)> {
        let joint = self.joint().into_iter();
        let waits = joint.map(|limit| (limit.wait(work), limit));
        let (wait, longest) = waits.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
        (wait > 0.0).then(|| (longest, seconds(wait)))
    }

    /// The same for work that is spread over the parts of limits; the limit is named with the part then.
    pub(crate) fn binding_of(&self, shares: &Shares) -> Option<(Joint, Duration)> {
        let joint = self.joint();
        let mut longest: Option<(Joint, f64)> = None;
        for limit in &joint {
            let of_parts = shares.iter().map(|(key, work)| (limit.of_part(key), *work));
            let all: Vec<_> = if limit.parts.are_there() {
                of_parts.collect()
            } else {
                vec![(limit.clone(), shares.total())]
            };
            for (limit, work) in all {
                let wait = limit.wait(work);
                if longest.as_ref().is_none_or(|(_, former)| wait > *former) {
                    longest = Some((limit, wait));
                }
            }
        }
        let (longest, wait) = longest.filter(|(_, wait)| *wait > 0.0)?;
        Some((longest, seconds(wait)))
    }

    /// How many calls a second the limits allow, for calls of this mean size.
    pub(crate) fn calls_per_second(&self, mean: Work) -> Option<f64> {
        let joint = self.joint().into_iter();
        let takes = joint.filter(|limit| mean.of(limit.unit) > 0.0);
        takes
            .map(|limit| limit.rate / mean.of(limit.unit))
            .min_by(f64::total_cmp)
    }
}

/// So many seconds; what is no duration becomes the longest there is.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}
