//! The simulated API inside a run.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use rate_limited::http::Unit;
use rate_limited_sim::http::Server;
use rate_limited_sim::{ApiModel, Charged, Latency, Limit as SimulatedLimit};

use crate::duration::Human;
use crate::limit::Limit;
use crate::meters::{Meter, Meters};
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
    };
    vec![limit("requests", 40), limit("tokens", 20_000)]
}

/// A simulated API with the limits of these meters.
pub(crate) fn model(seed: u64, meters: &Meters) -> ApiModel {
    meters.iter().fold(ApiModel::new(seed), |model, meter| {
        model.limit(simulated(meter))
    })
}

fn simulated(meter: &Meter) -> SimulatedLimit {
    let limit = &meter.limit;
    // The simulated API counts in whole units; less than one would let nothing through.
    let quota = (limit.quota_micros.unsigned_abs() / 1_000_000).max(1);
    let simulated = match meter.unit {
        Unit::Tokens => SimulatedLimit::tokens(quota, limit.window).charged(Charged::Usage),
        _ => SimulatedLimit::requests(quota, limit.window),
    };
    simulated.named(meter.name.clone())
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
