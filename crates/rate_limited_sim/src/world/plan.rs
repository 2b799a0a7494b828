//! What a well-informed user would plan before a world is played.

use super::play::Play;
use super::{World, WorldError};
use crate::draw::{About, Draw};
use crate::limit::Unit;
use rate_limited_core::{Assumed, Limiter, Load, Plan, Scheduler, Settings, Time};

/// How many latencies are drawn for a plan.
const LATENCIES: u64 = 256;

impl World {
    /// What is true of the world in the mean: latency, failures, and what calls use of what they cost at most.
    pub fn assumed(&self) -> Assumed {
        let cost = |unit: Unit, prompt: u64, tokens: u64| match unit {
            Unit::InputTokens => prompt,
            Unit::OutputTokens => tokens.saturating_sub(prompt),
            _ => tokens,
        };
        let share = |unit: Unit| {
            let sum = |tokens: fn(&super::Call) -> u64| -> u64 {
                let calls = self.calls.iter().map(|planned| planned.call);
                calls
                    .map(|call| cost(unit, call.prompt_tokens, tokens(&call)))
                    .sum()
            };
            sum(|call| call.usage_tokens) as f64 / sum(|call| call.bound_tokens).max(1) as f64
        };
        let mut limiter = Limiter::new(Time::PROCESS_START);
        let resources = self.resources.iter().filter_map(|(resource, unit)| {
            let id = limiter.add(resource.clone()).ok()?;
            Some((
                id,
                if *unit == Unit::Requests {
                    1.0
                } else {
                    share(*unit)
                },
            ))
        });
        // Drawn for calls that the world does not have.
        let draw = |number| Draw::new(self.model.seed, u64::MAX - number, 1, About::Latency);
        let latencies = (0..LATENCIES).map(|number| self.model.latency.draw(&mut draw(number)));
        Assumed {
            used: resources.collect(),
            latencies: latencies.collect(),
            failure_rate: self.model.failure_rate,
            ..Assumed::default()
        }
    }

    /// The plan of its first run, made as a command makes it of a file: in at most `steps_max` steps where calls
    /// are small, without a look at what the API will do.
    ///
    /// # Errors
    /// A resource that is none.
    ///
    /// # Panics
    /// If the world has no run.
    pub fn plan(&self, steps_max: usize, assumed: &Assumed) -> Result<Plan, WorldError> {
        let now = Time::PROCESS_START;
        // A play of which only the resources are wanted.
        let play = Play::new(self)?;
        let mut limiter = Limiter::new(now);
        for (resource, _) in &self.resources {
            limiter.add(resource.clone()).map_err(WorldError::Quota)?;
        }
        let settings: &Settings = &self.runs[0];
        let scheduler = Scheduler::new(&mut limiter, settings.clone(), now);
        let mut load = Load::new(&limiter, settings, steps_max);
        for planned in &self.calls {
            let costs = play.costs(planned.call.prompt_tokens, planned.call.bound_tokens);
            let amounts: Vec<_> = costs.iter().map(|cost| cost.amount).collect();
            let keys = play.keys(&planned.call);
            let keys: Vec<_> = keys.iter().map(String::as_str).collect();
            load.add_parts(&amounts, &keys);
        }
        Ok(scheduler.plan(&limiter, &load, assumed, now))
    }
}
