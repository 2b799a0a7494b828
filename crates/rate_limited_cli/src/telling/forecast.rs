//! How long the rest of a run takes: what its own scheduler says when a copy of it is played to the end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rate_limited::http::Unit;
use rate_limited::{Assumed, Load, Outlook, ResourceId, View};

use crate::calling::meters::Meters;
use crate::running::state::State;
use crate::running::tally::Counts;

/// After this many steps the rest is taken to go on as before.
const STEPS_MAX: u64 = 8_192;

/// The shortest time between two looks ahead.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A look ahead may take one part in so many of the time.
const SHARE: u32 = 250;

/// The time that is left, as it was found last.
#[derive(Debug, Default)]
pub(crate) struct Forecast {
    latest: Arc<Mutex<Latest>>,
}

#[derive(Debug, Default)]
struct Latest {
    /// When it was found, and how much was left then.
    left: Option<(Instant, Duration)>,
    /// Before this moment nobody looks again; `None` while somebody does.
    next: Option<Instant>,
    is_looking: bool,
}

impl Forecast {
    /// The time that is left; `None` where it is not known. It looks ahead anew now and then, beside the run.
    pub(crate) fn time_left(
        &self,
        state: &State,
        view: &View,
        counts: &Counts,
    ) -> Option<Duration> {
        let load = state.load.as_ref()?;
        let latest = &mut *self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_due = !latest.is_looking && latest.next.is_none_or(|next| next <= now);
        // Before the first answers nothing is known of them.
        let is_known = counts.succeeded > 0;
        if let Some(outlook) = (is_due && is_known).then(|| state.outlook()).flatten() {
            latest.is_looking = true;
            let assumed = assumed(state, &outlook, view, counts);
            self.look(outlook, load.clone(), assumed);
        }
        let (at, left) = latest.left?;
        Some(left.saturating_sub(at.elapsed()))
    }

    fn look(&self, outlook: Outlook, load: Load, assumed: Assumed) {
        let latest = Arc::clone(&self.latest);
        let began = Instant::now();
        tokio::task::spawn_blocking(move || {
            let rest = load.skip(outlook.scheduled());
            let plan = outlook.plan(&rest, &assumed);
            let latest = &mut *latest.lock().unwrap_or_else(PoisonError::into_inner);
            let took = began.elapsed();
            *latest = Latest {
                left: Some((began, plan.finish)),
                next: Some(began + LOOK_EVERY.max(took * SHARE)),
                is_looking: false,
            };
        });
    }
}

/// What the run so far tells of attempts to come.
fn assumed(state: &State, outlook: &Outlook, view: &View, counts: &Counts) -> Assumed {
    let progress = &view.progress;
    let over = progress.attempts.saturating_sub(progress.in_flight);
    let failures = progress.failures + progress.invalid;
    let rate = failures as f64 / over.max(1) as f64;
    Assumed {
        latencies: state.caller.latest_latencies(),
        failure_rate: rate.min(0.9),
        used: used(&state.meters, &outlook.resources(), counts),
        steps_max: STEPS_MAX,
    }
}

/// Of each resource the share of their bounds that calls use.
fn used(meters: &Meters, resources: &[ResourceId], counts: &Counts) -> Vec<(ResourceId, f64)> {
    let share = counts.usage_share();
    let of_tokens = meters.iter().filter(|meter| meter.unit == Unit::Tokens);
    let share_of = |place: usize| Some((*resources.get(place)?, share));
    of_tokens.filter_map(|it| share_of(it.place)).collect()
}
