//! The limits of an API in the words of the scheduler, as a well-informed user would write them.

use crate::limit::{Anchor, Charged, Counted, Kind, Limit, Unit};
use crate::model::ApiModel;
use rate_limited_core::{self as core, Amount, Quota, Resource, Settlement, Time};
use std::time::Duration;

/// The limits of an API as resources that know the whole truth about them: quota, kind, anchor, when
/// and what the API counts.
///
/// Change one to tell a client less, or something wrong.
///
/// ```
/// use rate_limited_core::{Amount, Quota};
/// use rate_limited_sim::world::{World, told};
/// use rate_limited_sim::{ApiModel, Limit};
/// use std::time::Duration;
///
/// let minute = Duration::from_secs(60);
/// let model = ApiModel::new(7).limit(Limit::tokens(90_000, minute));
/// let mut world = World::new(model.clone());
/// for (resource, unit) in told(&model) {
///     assert_eq!(resource.quota(), &Quota::per_minute(Amount::units(90_000)));
///     world.resource(resource.guard(Duration::from_millis(1)), unit);
/// }
/// ```
///
/// # Panics
/// If a quota is above [`Amount::MAX`].
pub fn told(model: &ApiModel) -> Vec<(Resource, Unit)> {
    let one = |limit: &Limit| (resource(limit, model), limit.unit);
    model.limits.iter().map(one).collect()
}

fn resource(limit: &Limit, model: &ApiModel) -> Resource {
    let counted = match limit.counted {
        Counted::Arrival => core::Counted::AtDispatch,
        Counted::Completion => core::Counted::AtCompletion,
    };
    let settlement = match (limit.unit, limit.charged) {
        (Unit::Tokens | Unit::OutputTokens, Charged::Usage | Charged::Reserve) => Settlement::Usage,
        _ => Settlement::Keep,
    };
    Resource::new(limit.name.clone(), quota(limit))
        .counted(counted)
        .settlement(settlement)
        .failures_count(model.failures_count)
        .refusals_count(model.refusals_count && limit.unit == Unit::Requests)
}

fn quota(limit: &Limit) -> Quota {
    let (quota, window) = (amount(limit.quota), limit.window);
    match limit.kind {
        Kind::Sliding => Quota::per(quota, window),
        Kind::Fixed(anchor) => Quota::FixedWindow {
            amount: quota,
            window,
            anchor: told_anchor(anchor, window),
        },
        Kind::Bucket { burst } => Quota::bucket(quota, window, amount(burst)),
    }
}

/// The API's time begins at the start of the process. Windows that follow each other without a gap are told as a
/// driver tells those of a calendar: their next ends.
fn told_anchor(anchor: Anchor, window: Duration) -> core::Anchor {
    let phase = match anchor {
        Anchor::FirstRequest => return core::Anchor::FirstCall,
        Anchor::Aligned => 0,
        Anchor::At(moment) => crate::span::nanos(moment) % crate::span::nanos(window),
    };
    let first = Time::PROCESS_START + Duration::from_nanos(phase);
    let end = if phase == 0 { first + window } else { first };
    core::Anchor::Calendar {
        start: Time::from_nanos(end.as_nanos() - crate::span::nanos(window)),
        end,
        next: end + window,
    }
}

fn amount(units: u64) -> Amount {
    Amount::count(units).expect("a quota of the scheduler is at most 9.2e12 units")
}
