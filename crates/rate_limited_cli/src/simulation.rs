//! The simulated API inside a run.

use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rate_limited::http::Unit;
use rate_limited_sim::http::{Dialect, Server};
use rate_limited_sim::{Anchor, ApiModel, Charged, Latency, Limit as SimulatedLimit};

use crate::duration::Human;
use crate::limit::Limit;
use crate::meters::{Meter, Meters};
use crate::refusal::Refusal;
use crate::text::{counted, grouped};

/// The same answers in each run.
const SEED: u64 = 7;

/// Few enough to be noticed, many enough to see what is done about them.
const FAILURE_RATE: f64 = 0.02;

const MEDIAN_LATENCY: Duration = Duration::from_millis(800);

/// The limits of the simulated API if nobody says: small, so that a small file runs into both.
pub(crate) fn limits() -> Vec<Limit> {
    let limit = |name: &str, quota: i64| Limit {
        name: name.to_owned(),
        quota_micros: quota * 1_000_000,
        window: Duration::from_secs(5),
        calendar: None,
    };
    vec![limit("requests", 40), limit("tokens", 20_000)]
}

/// A simulated API with the limits of these meters.
pub(crate) fn model(seed: u64, meters: &Meters) -> ApiModel {
    meters.iter().fold(ApiModel::new(seed), |model, meter| {
        model.limit(simulated(meter))
    })
}

/// A simulated API like another one, with these limits of its own.
///
/// # Errors
/// Two limits are for one resource and window; the API has none of the name.
pub(crate) fn model_of(dialect: Dialect, seed: u64, limits: &[Limit]) -> Result<ApiModel, Refusal> {
    Limit::check_distinct(limits)?;
    limits.iter().try_fold(ApiModel::new(seed), |model, limit| {
        let simulated = dialect.limit(&limit.name, quota(limit), limit.window);
        let simulated = simulated.ok_or_else(|| unknown(dialect, limit))?;
        let simulated = aligned(simulated, limit);
        let beside = limits.iter().filter(|other| other.name == limit.name);
        Ok(model.limit(match beside.count() {
            1 => simulated,
            _ => simulated.named(format!("{}/{}", limit.name, limit.window_written())),
        }))
    })
}

fn unknown(dialect: Dialect, limit: &Limit) -> Refusal {
    let known: Vec<_> = dialect.limit_names().collect();
    let known = if known.is_empty() {
        "no limits".to_owned()
    } else {
        known.join(", ")
    };
    Refusal::NotSimulated {
        limit: limit.clone(),
        api: dialect.name(),
        known,
    }
}

/// The simulated API counts in whole units; less than one would let nothing through.
fn quota(limit: &Limit) -> u64 {
    (limit.quota_micros.unsigned_abs() / 1_000_000).max(1)
}

fn simulated(meter: &Meter) -> SimulatedLimit {
    let limit = &meter.limit;
    let quota = quota(limit);
    let simulated = match meter.unit {
        Unit::Tokens => SimulatedLimit::tokens(quota, limit.window).charged(Charged::Usage),
        _ => SimulatedLimit::requests(quota, limit.window),
    };
    aligned(simulated, limit).named(meter.name.clone())
}

/// A limit that follows the calendar, if it is to; a simulation ends before the lengths of days differ.
fn aligned(simulated: SimulatedLimit, limit: &Limit) -> SimulatedLimit {
    let now = SystemTime::now();
    let calendar = limit.calendar.as_ref();
    let Some(window) = calendar.and_then(|calendar| calendar.window_at(now)) else {
        return simulated;
    };
    let since_1970 = window.start.duration_since(UNIX_EPOCH).unwrap_or_default();
    let is_multiple = since_1970
        .as_nanos()
        .is_multiple_of(limit.window.as_nanos());
    simulated.fixed(if is_multiple {
        Anchor::Aligned
    } else {
        Anchor::At(window.end.duration_since(now).unwrap_or_default())
    })
}

/// A simulated API that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Simulation(Server);

impl Simulation {
    /// Starts it on any free port, with the limits of these meters.
    pub(crate) fn start(meters: &Meters) -> io::Result<Simulation> {
        let latency = Latency::Lognormal {
            median: MEDIAN_LATENCY,
            sigma: 0.4,
        };
        let model = model(SEED, meters)
            .latency(latency)
            .failure_rate(FAILURE_RATE);
        Server::start(model, (Ipv4Addr::LOCALHOST, 0).into()).map(Simulation)
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.0.addr())
    }

    /// What the simulated API has seen, in words.
    pub(crate) fn report(&self) -> String {
        let stats = self.0.stats();
        let mut parts = vec![
            format!("{} came", counted(stats.arrivals, "request", "requests")),
            format!("{} refused", counted(stats.refusals, "was", "were")),
            format!("{} failed on purpose", grouped(stats.failures)),
        ];
        parts.extend(stats.limits.iter().map(|limit| {
            let share = limit.worst_window * 100.0;
            format!("fullest window of {} {share:.0} %", limit.name)
        }));
        let optimum = self.0.optimum();
        if !optimum.is_zero() {
            parts.push(format!("the fastest possible run takes {}", Human(optimum)));
        }
        format!("simulated API: {}", parts.join(", "))
    }
}
