//! What an answer says was used.

use std::collections::{BTreeMap, BTreeSet};

use rate_limited_core::Amount;
use serde::Deserialize;

use crate::answer::{Found, View};
use crate::api::Api;
use crate::lenient::one_or_many;
use crate::source::Source;

/// How a usage follows from an answer: a sum of values with weights, such as
/// `{ "usage.prompt_tokens" = 1, "usage.prompt_tokens_details.cached_tokens" = -1 }`, or a list of such
/// sums, of which the first that the answer has values for counts.
///
/// An answer has values for a sum if it has one with a weight above 0; others that are missing count as 0.
/// A value that is no number of at least 0 makes the usage unknown, so that it is never guessed low.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Formula {
    /// The sums, the best one first.
    #[serde(deserialize_with = "one_or_many")]
    pub sums: Vec<BTreeMap<Source, f64>>,
}

impl Eq for Formula {}

impl Api {
    /// The fields at the top of an answer's body that tell what was used, and how the resources stand: those
    /// that [`Api::read`] has to see of an answer that is known to be a good one.
    ///
    /// ```
    /// use rate_limited_apis::Api;
    ///
    /// assert_eq!(Api::named("openai_compatible")?.answer_fields(), ["usage"]);
    /// # Ok::<(), rate_limited_apis::UnknownApi>(())
    /// ```
    pub fn answer_fields(&self) -> Vec<&str> {
        let formulas = self.resources.iter().filter_map(|it| it.usage.as_ref());
        let sums = self.usage.values().chain(formulas).flat_map(|it| &it.sums);
        let told = self.resources.iter().flat_map(|it| it.feedback.sources());
        let fields = sums.flat_map(BTreeMap::keys).chain(told);
        let fields: BTreeSet<&str> = fields.filter_map(Source::field).collect();
        fields.into_iter().collect()
    }

    /// The fields at the top of answers by which errors with a status of success are known.
    ///
    /// ```
    /// use rate_limited_apis::Api;
    ///
    /// assert_eq!(Api::named("slack")?.disguise_fields(), ["error", "ok"]);
    /// assert!(Api::named("github")?.disguise_fields().is_empty());
    /// # Ok::<(), rate_limited_apis::UnknownApi>(())
    /// ```
    pub fn disguise_fields(&self) -> Vec<&str> {
        let known = self.disguised.iter();
        let sources = known.flat_map(|it| {
            let places = it.when.iter().flat_map(|condition| &condition.at);
            places.chain(&it.status_at)
        });
        let fields: BTreeSet<&str> = sources.filter_map(Source::field).collect();
        fields.into_iter().collect()
    }

    /// Where answers tell what a resource is charged, in its plainest form; `None`: they do not, or in a
    /// header.
    ///
    /// ```
    /// use rate_limited_apis::Api;
    ///
    /// let anthropic = Api::named("anthropic")?;
    /// let told = anthropic.charge_source("output_tokens").expect("is told");
    /// assert_eq!(told.to_string(), "usage.output_tokens");
    /// assert_eq!(anthropic.charge_source("requests"), None);
    /// # Ok::<(), rate_limited_apis::UnknownApi>(())
    /// ```
    pub fn charge_source(&self, resource: &str) -> Option<&Source> {
        let resource = self.resource(resource).filter(|it| it.settles())?;
        let formula = resource.usage.as_ref();
        let formula = formula.or_else(|| self.usage.get(&resource.unit))?;
        let sources = formula.sums.first()?.keys();
        sources.min_by_key(|source| source.to_string().len())
    }
}

/// A value that is no amount.
struct Garbage;

impl Formula {
    /// The usage, if the answer tells it.
    pub(crate) fn of(&self, view: &View<'_>) -> Option<Amount> {
        for sum in &self.sums {
            match sum_of(sum, view) {
                Ok(None) => {}
                Ok(Some(usage)) => return Amount::usage(usage.max(0.0)).ok(),
                Err(Garbage) => return None,
            }
        }
        None
    }
}

fn sum_of(sum: &BTreeMap<Source, f64>, view: &View<'_>) -> Result<Option<f64>, Garbage> {
    let (mut total, mut told, mut garbage) = (0.0, false, false);
    for (source, weight) in sum {
        view.each(source, &mut |found| match value_of(&found) {
            Ok(None) => {}
            Ok(Some(value)) => {
                told |= *weight > 0.0;
                total += weight * value;
            }
            Err(Garbage) => garbage = true,
        });
    }
    if garbage {
        return Err(Garbage);
    }
    Ok(told.then_some(total))
}

/// A count of at least 0; `null` is no value. In JSON, a number in quotes is none.
fn value_of(found: &Found<'_>) -> Result<Option<f64>, Garbage> {
    let amount = match found {
        Found::Json(value) if value.get() == "null" => return Ok(None),
        Found::Json(value) => value.get().parse::<f64>().ok(),
        other => other
            .text()
            .and_then(|text| text.trim().parse::<f64>().ok()),
    };
    let amount = amount.filter(|amount| *amount >= 0.0 && Amount::usage(*amount).is_ok());
    amount.map(Some).ok_or(Garbage)
}
