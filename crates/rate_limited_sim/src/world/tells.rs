//! What the API of a world tells beside its answers, truly or not.

use crate::limit::{Kind, Unit};
use crate::model::ApiModel;
use crate::stats::LimitView;
use rate_limited_core::{Amount, Feedback, Reset};
use serde::Deserialize;

/// What the API tells of its limits in each answer and in each refusal. Default: nothing but the name of
/// the limit that refuses.
///
/// ```
/// use rate_limited_sim::world::Tells;
///
/// let all = Tells { limit: true, remaining: true, reset: true, ..Tells::default() };
/// assert!(all.names && all.lie == 1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Tells {
    /// Its limits. Default: no.
    pub limit: bool,
    /// What remains of them. Default: no.
    pub remaining: bool,
    /// When they are whole again. Default: no.
    pub reset: bool,
    /// Which limit refuses. Default: yes.
    pub names: bool,
    /// By what the numbers that it tells are multiplied. Default: 1, the truth.
    pub lie: f64,
    /// What numbers of tokens are rounded to a multiple of. Default: 1.
    pub rounded_to: u64,
}

impl Default for Tells {
    fn default() -> Tells {
        Tells {
            limit: false,
            remaining: false,
            reset: false,
            names: true,
            lie: 1.0,
            rounded_to: 1,
        }
    }
}

impl Tells {
    /// What a client reads of one limit.
    pub(super) fn feedback(&self, view: &LimitView, model: &ApiModel) -> Option<Feedback> {
        if !(self.limit || self.remaining || self.reset) {
            return None;
        }
        let kind = model
            .limits
            .iter()
            .find(|limit| limit.name == view.name)?
            .kind;
        let rounding = match view.unit {
            Unit::Tokens | Unit::InputTokens | Unit::OutputTokens => self.rounded_to.max(1),
            _ => 1,
        };
        let remaining = (view.remaining + rounding / 2) / rounding * rounding;
        let reset = match kind {
            Kind::Sliding => Reset::Some(view.reset),
            Kind::Fixed(_) => Reset::WindowEnd(view.reset),
            Kind::Bucket { .. } => Reset::Full(view.reset),
        };
        Some(Feedback {
            limit: self.limit.then(|| self.amount(view.quota)),
            remaining: self.remaining.then(|| self.amount(remaining)),
            rounded_to: Amount::count(rounding - 1).unwrap_or(Amount::ZERO),
            reset: self.reset.then_some(reset),
            window: None,
        })
    }

    fn amount(&self, units: u64) -> Amount {
        #[expect(clippy::cast_precision_loss, reason = "a number to be told")]
        let told = units as f64 * self.lie;
        Amount::cost(told).unwrap_or(Amount::MAX)
    }
}
