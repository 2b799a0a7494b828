//! The model as scenario files write it, before it is checked.

use crate::latency::Latency;
use crate::limit::{Anchor, Charged, Counted, Kind, Limit, Unit};
use crate::model::ApiModel;
use crate::span::Span;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct RawModel {
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    limits: Vec<RawLimit>,
    latency: Option<RawLatency>,
    #[serde(default)]
    failure_rate: f64,
    #[serde(default = "yes")]
    failures_count: bool,
    #[serde(default)]
    refusals_count: bool,
    #[serde(default = "yes")]
    retry_after: bool,
    #[serde(default = "yes")]
    headers: bool,
    outage: Option<RawOutage>,
    status: Option<u16>,
    #[serde(default)]
    answers: RawAnswers,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimit {
    name: String,
    unit: Option<Unit>,
    quota: u64,
    window: Span,
    kind: Option<RawKind>,
    anchor: Option<String>,
    burst: Option<u64>,
    #[serde(default)]
    counted: Counted,
    #[serde(default)]
    charged: Charged,
    #[serde(default)]
    each_model: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawKind {
    Sliding,
    Fixed,
    Bucket,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a latency is a span such as \"250ms\", { min = \"100ms\", max = \"300ms\" } or { median = \"1s\", sigma = 0.5 }"
)]
enum RawLatency {
    Constant(Span),
    Uniform { min: Span, max: Span },
    Lognormal { median: Span, sigma: f64 },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnswers {
    min: f64,
    max: f64,
}

impl Default for RawAnswers {
    fn default() -> RawAnswers {
        RawAnswers { min: 0.1, max: 1.0 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOutage {
    from: Span,
    to: Span,
}

fn yes() -> bool {
    true
}

impl TryFrom<RawModel> for ApiModel {
    type Error = String;

    fn try_from(raw: RawModel) -> Result<ApiModel, String> {
        if !(0.0..=1.0).contains(&raw.failure_rate) {
            return Err(format!(
                "failure_rate is {}: give a number from 0 to 1",
                raw.failure_rate
            ));
        }
        if let Some(status) = raw.status.filter(|status| !(400..600).contains(status)) {
            return Err(format!("status is {status}: give one from 400 to 599"));
        }
        let RawAnswers { min, max } = raw.answers;
        if !(0.0 <= min && min <= max && max <= 1.0) {
            return Err(format!(
                "answers is {{ min = {min}, max = {max} }}: give two numbers from 0 to 1, the smaller one first"
            ));
        }
        Ok(ApiModel {
            seed: raw.seed,
            limits: limits(raw.limits)?,
            latency: raw
                .latency
                .map_or(Ok(Latency::default()), RawLatency::checked)?,
            failure_rate: raw.failure_rate,
            failures_count: raw.failures_count,
            refusals_count: raw.refusals_count,
            retry_after: raw.retry_after,
            headers: raw.headers,
            outage: raw.outage.map(|outage| outage.from.0..outage.to.0),
            status: raw.status,
            answers: min..=max,
        })
    }
}

fn limits(raw: Vec<RawLimit>) -> Result<Vec<Limit>, String> {
    let mut limits: Vec<Limit> = Vec::with_capacity(raw.len());
    for limit in raw {
        let limit = limit.checked()?;
        if limits.iter().any(|known| known.name == limit.name) {
            return Err(format!(
                "two limits are named `{}`: give each its own name",
                limit.name
            ));
        }
        limits.push(limit);
    }
    Ok(limits)
}

impl RawLimit {
    fn checked(self) -> Result<Limit, String> {
        let limit = Limit {
            unit: self.unit()?,
            quota: self.quota,
            window: self.window.0,
            kind: self.kind()?,
            counted: self.counted,
            charged: self.charged,
            class: None,
            each_model: self.each_model,
            own: Vec::new(),
            name: self.name,
        };
        limit.check().map(|()| limit)
    }

    fn unit(&self) -> Result<Unit, String> {
        match (self.unit, self.name.as_str()) {
            (Some(unit), _) => Ok(unit),
            (None, "requests") => Ok(Unit::Requests),
            (None, "tokens") => Ok(Unit::Tokens),
            (None, name) => Err(format!(
                "limit `{name}` does not say what it counts: add unit = \"requests\" or \"tokens\""
            )),
        }
    }

    fn kind(&self) -> Result<Kind, String> {
        let name = &self.name;
        let kind = self.kind.unwrap_or(RawKind::Sliding);
        if self.anchor.is_some() && !matches!(kind, RawKind::Fixed) {
            return Err(format!(
                "limit `{name}` has an anchor: only kind = \"fixed\" has one"
            ));
        }
        if self.burst.is_some() && !matches!(kind, RawKind::Bucket) {
            return Err(format!(
                "limit `{name}` has a burst: only kind = \"bucket\" has one"
            ));
        }
        Ok(match kind {
            RawKind::Sliding => Kind::Sliding,
            RawKind::Fixed => Kind::Fixed(self.anchor()?),
            RawKind::Bucket => Kind::Bucket {
                burst: self.burst.unwrap_or(self.quota),
            },
        })
    }

    fn anchor(&self) -> Result<Anchor, String> {
        match self.anchor.as_deref() {
            None | Some("first_request") => Ok(Anchor::FirstRequest),
            Some("aligned") => Ok(Anchor::Aligned),
            Some(moment) => match Span::try_from(moment.to_owned()) {
                Ok(span) => Ok(Anchor::At(span.0)),
                Err(_) => Err(format!(
                    "limit `{}` has the anchor `{moment}`: write first_request, aligned or a span such as 5s",
                    self.name
                )),
            },
        }
    }
}

impl RawLatency {
    fn checked(self) -> Result<Latency, String> {
        match self {
            RawLatency::Constant(span) => Ok(Latency::Constant(span.0)),
            RawLatency::Uniform { min, max } if min.0 <= max.0 => Ok(Latency::Uniform {
                min: min.0,
                max: max.0,
            }),
            RawLatency::Uniform { min, max } => Err(format!(
                "latency has min {:?} above max {:?}: swap them",
                min.0, max.0
            )),
            RawLatency::Lognormal { median, sigma } if sigma >= 0.0 && sigma.is_finite() => {
                Ok(Latency::Lognormal {
                    median: median.0,
                    sigma,
                })
            }
            RawLatency::Lognormal { sigma, .. } => Err(format!(
                "latency has a sigma of {sigma}: give a number from 0"
            )),
        }
    }
}
