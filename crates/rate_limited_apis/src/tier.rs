//! Sets of limits, pools of models, prices.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::lenient::one_or_many;
use crate::unit::Unit;

/// A named set of limits, as a provider grants it to a kind of account. Several with one name are for
/// several models.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Tier {
    /// The name, such as `tier-1`.
    pub name: String,
    /// The models that it is for, as names, in which one `*` stands for any text. Default: all.
    #[serde(default, deserialize_with = "one_or_many")]
    pub models: Vec<String>,
    /// The limits, by resource, in its unit and window.
    pub limits: BTreeMap<String, f64>,
    /// When the numbers were read, if not with the rest.
    pub as_of: Option<String>,
    /// Where they come from, if not from the source of the whole.
    pub source: Option<String>,
    /// What else is known, for people.
    pub note: Option<String>,
}

/// A limit of a tier, for all models or for some.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TierLimit<'api> {
    /// The resource.
    pub resource: &'api str,
    /// The keys of the partitions that it is for, as a name in which one `*` stands for any text: each that fits has it
    /// for itself. `None`: all that have no other.
    pub key: Option<&'api str>,
    /// The limit, in the unit and the window of the resource.
    pub limit: f64,
}

/// Models that share their quotas.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Pool {
    /// The name of the pool.
    pub name: String,
    /// The models, as names, in which one `*` stands for any text.
    #[serde(deserialize_with = "one_or_many")]
    pub models: Vec<String>,
}

/// A price. What has none has an unknown price, never one of 0.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Price {
    /// The models, as names, in which one `*` stands for any text. Default: all.
    #[serde(default, deserialize_with = "one_or_many")]
    pub models: Vec<String>,
    /// The classes of endpoints. Default: all.
    #[serde(default, deserialize_with = "one_or_many")]
    pub endpoints: Vec<String>,
    /// What it is for.
    pub unit: Unit,
    /// US dollars for so many units.
    pub usd: f64,
    /// So many units. Default 1.
    #[serde(default = "one")]
    pub per: f64,
    /// When it was read, if not with the rest.
    pub as_of: Option<String>,
}

const fn one() -> f64 {
    1.0
}

/// Whether a model is among names, in which a `*` stands for any text. No names stand for all; a model that
/// is not known is among no others.
pub(crate) fn is_among(names: &[String], model: Option<&str>) -> bool {
    names.is_empty()
        || model.is_some_and(|model| {
            names.iter().any(|name| match name.split_once('*') {
                Some((start, end)) => model
                    .strip_prefix(start)
                    .is_some_and(|rest| rest.ends_with(end)),
                None => name == model,
            })
        })
}
