//! What an answer says was used.

use std::collections::BTreeMap;

use rate_limited_core::Amount;
use serde::Deserialize;

use crate::answer::{Found, View};
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
