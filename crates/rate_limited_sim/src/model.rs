//! What a simulated API is like.

use crate::latency::Latency;
use crate::limit::Limit;
use crate::toml_form::RawModel;
use serde::Deserialize;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

/// What a simulated API is like: its limits, its latency, its faults and what it tells.
///
/// Without any setting it has no limit, answers at once, never fails, and tells both `Retry-After`
/// and the headers of its limits.
///
/// ```
/// use rate_limited_sim::{ApiModel, Latency, Limit};
/// use std::time::Duration;
///
/// let secs = Duration::from_secs;
/// let written = ApiModel::new(7)
///     .limit(Limit::requests(500, secs(60)))
///     .latency(Latency::Lognormal { median: Duration::from_millis(800), sigma: 0.5 })
///     .failure_rate(0.02)
///     .retry_after(false)
///     .outage(secs(90)..secs(120));
///
/// let read = ApiModel::from_toml(
///     r#"
///     seed = 7
///     latency = { median = "800ms", sigma = 0.5 }
///     failure_rate = 0.02
///     retry_after = false
///     outage = { from = "90s", to = "2m" }
///
///     [[limits]]
///     name = "requests"
///     quota = 500
///     window = "60s"
///     "#,
/// )?;
/// assert_eq!(read, written);
/// # Ok::<(), rate_limited_sim::ModelError>(())
/// ```
///
/// # In TOML
/// Spans of time are texts of a number and a unit: `"250ms"`, `"2s"`, `"1.5h"`, `"1d"`. A limit has
/// `name`, `quota`, `window`, and where wanted `unit` (`"requests"` or `"tokens"`, needed where the
/// name is neither), `kind` (`"sliding"`, `"fixed"` or `"bucket"`), `anchor` of a fixed window
/// (`"first_request"`, `"aligned"` or a span), `burst` of a bucket (default: the quota), `counted`
/// (`"arrival"` or `"completion"`), `charged` (`"bound"`, `"usage"` or `"reserve"`) and `each_model` (whether each
/// model has it for itself). The other
/// keys have the names of the methods below. Unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "RawModel")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct ApiModel {
    pub(crate) seed: u64,
    pub(crate) limits: Vec<Limit>,
    pub(crate) latency: Latency,
    pub(crate) failure_rate: f64,
    pub(crate) failures_count: bool,
    pub(crate) refusals_count: bool,
    pub(crate) retry_after: bool,
    pub(crate) headers: bool,
    pub(crate) outage: Option<Range<Duration>>,
    pub(crate) status: Option<u16>,
    pub(crate) answers: RangeInclusive<f64>,
}

impl Default for ApiModel {
    /// [`ApiModel::new`] with the seed 0.
    fn default() -> ApiModel {
        ApiModel::new(0)
    }
}

impl ApiModel {
    /// An API without limits and faults. All chance comes from `seed`.
    pub fn new(seed: u64) -> ApiModel {
        ApiModel {
            seed,
            limits: Vec::new(),
            latency: Latency::default(),
            failure_rate: 0.0,
            failures_count: true,
            refusals_count: false,
            retry_after: true,
            headers: true,
            outage: None,
            status: None,
            answers: 0.1..=1.0,
        }
    }

    /// Reads a model from TOML.
    ///
    /// # Errors
    /// What is no TOML, unknown keys and values out of range are refused, each with what to write.
    pub fn from_toml(text: &str) -> Result<ApiModel, ModelError> {
        toml::from_str(text).map_err(ModelError::new)
    }

    /// Adds a limit. A call is accepted only if it fits all of them.
    ///
    /// # Panics
    /// If another limit has the same name.
    #[must_use]
    pub fn limit(mut self, limit: Limit) -> ApiModel {
        let same = self.limits.iter().any(|known| known.name == limit.name);
        assert!(
            !same,
            "two limits are named `{}`: give each its own name",
            limit.name
        );
        self.limits.push(limit);
        self
    }

    /// How long answers take. Default: no time. Failures take as long as answers.
    #[must_use]
    pub fn latency(self, latency: Latency) -> ApiModel {
        ApiModel { latency, ..self }
    }

    /// The share of accepted requests that end with 503. Default: 0.
    ///
    /// # Panics
    /// If it is not between 0 and 1.
    #[must_use]
    pub fn failure_rate(self, failure_rate: f64) -> ApiModel {
        assert!(
            (0.0..=1.0).contains(&failure_rate),
            "a failure rate lies between 0 and 1"
        );
        ApiModel {
            failure_rate,
            ..self
        }
    }

    /// Whether requests that failed are charged as others are. Default: yes. If not, what they
    /// were charged at arrival is given back when they end.
    #[must_use]
    pub fn failures_count(self, failures_count: bool) -> ApiModel {
        ApiModel {
            failures_count,
            ..self
        }
    }

    /// Whether a refused request is charged to the limits on requests all the same, so that a
    /// client which does not wait locks itself out. Default: no.
    #[must_use]
    pub fn refusals_count(self, refusals_count: bool) -> ApiModel {
        ApiModel {
            refusals_count,
            ..self
        }
    }

    /// Whether refusals say after what time the request would fit. Default: yes.
    #[must_use]
    pub fn retry_after(self, retry_after: bool) -> ApiModel {
        ApiModel {
            retry_after,
            ..self
        }
    }

    /// Whether answers tell limit, remaining and reset. Default: yes.
    #[must_use]
    pub fn headers(self, headers: bool) -> ApiModel {
        ApiModel { headers, ..self }
    }

    /// From when to when, counted from the origin of time, every request gets a 503 at once,
    /// judged by no limit and charged nothing. Default: never.
    #[must_use]
    pub fn outage(self, outage: Range<Duration>) -> ApiModel {
        ApiModel {
            outage: Some(outage),
            ..self
        }
    }

    /// A status that every request gets at once, such as 401 for a bad key. Default: none.
    #[must_use]
    pub fn status(self, status: u16) -> ApiModel {
        ApiModel {
            status: Some(status),
            ..self
        }
    }

    /// The part of the longest answer allowed that answers over HTTP have, drawn evenly for each.
    /// Default: from a tenth to all of it. In TOML: `answers = { min = 0.1, max = 1.0 }`.
    ///
    /// # Panics
    /// If it does not lie between 0 and 1, or is empty.
    ///
    /// ```
    /// use rate_limited_sim::ApiModel;
    ///
    /// let written = ApiModel::new(7).answers(0.05..=0.15);
    /// let read = ApiModel::from_toml("seed = 7\nanswers = { min = 0.05, max = 0.15 }")?;
    /// assert_eq!(read, written);
    /// # Ok::<(), rate_limited_sim::ModelError>(())
    /// ```
    #[must_use]
    pub fn answers(self, share: RangeInclusive<f64>) -> ApiModel {
        assert!(
            0.0 <= *share.start() && share.start() <= share.end() && *share.end() <= 1.0,
            "the share of an answer lies between 0 and 1"
        );
        ApiModel {
            answers: share,
            ..self
        }
    }

    /// The limits, in the order of their adding.
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// The status that requests arriving `nanos` after the origin get without being judged.
    pub(crate) fn status_at(&self, nanos: u64) -> Option<u16> {
        let now = Duration::from_nanos(nanos);
        let out = self
            .outage
            .as_ref()
            .is_some_and(|outage| outage.contains(&now));
        self.status.or(out.then_some(503))
    }
}

/// A model that cannot be read; it displays the place and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelError(String);

impl ModelError {
    #[expect(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
    pub(crate) fn new(reason: impl ToString) -> ModelError {
        ModelError(reason.to_string())
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "failed to read the model of the api: {}",
            self.0.trim_end()
        )
    }
}

impl std::error::Error for ModelError {}
