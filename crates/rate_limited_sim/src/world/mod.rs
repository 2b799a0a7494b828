//! The virtual-time world: real schedulers against the judge, without waiting.
//!
//! A [`World`] is a plan: an API, the resources that its clients believe in, the runs, their calls,
//! and what is told to them when. [`World::run`] plays it. Each step jumps to the next moment at which
//! anything happens, so that an hour of limits takes milliseconds, and nothing but the plan decides
//! what happens: the same plan gives the same [trace](Report::trace), event by event.
//!
//! The world also watches. A run that waits for nothing, a scheduler that asks to be polled again and
//! again at the same moment, a call that ends twice or never: each is a [`WorldError`].

mod agenda;
mod calendar;
mod delays;
mod flight;
mod plan;
mod play;
mod report;
mod run;
mod tells;
mod told;
mod trace;
mod verdict;

use crate::limit::Unit;
use crate::model::ApiModel;
use delays::Delays;
use play::Play;
use rate_limited_core::{Assumed, Input, Resource, Settings};
use std::time::Duration;

pub use report::{CallReport, End, Report, WorldError};
pub use run::RunEnd;
pub use tells::Tells;
pub use told::told;
pub use trace::{Event, What};

/// A plan of who calls what when, to be played on virtual time.
///
/// ```
/// use rate_limited_core::Settings;
/// use rate_limited_sim::world::{Call, End, World};
/// use rate_limited_sim::{ApiModel, Latency, Limit};
/// use std::time::Duration;
///
/// let model = ApiModel::new(7)
///     .limit(Limit::requests(60, Duration::from_secs(60)))
///     .latency(Latency::Constant(Duration::from_secs(1)));
/// let mut world = World::told_right(model);
/// let run = world.add_run(Settings::default());
/// for _ in 0..150 {
///     world.call(run, Call::default());
/// }
/// let report = world.run()?;
/// assert!(report.calls.iter().all(|call| call.end == End::Done));
/// assert_eq!(report.refusals, 0);
/// // 150 calls at 60 a minute: the last ones go after two minutes.
/// assert_eq!(report.optimum, Duration::from_secs(121));
/// assert!(report.makespan.as_secs_f64() < 1.02 * report.optimum.as_secs_f64());
/// assert_eq!(report.trace_hash, world.run()?.trace_hash);
/// # Ok::<(), rate_limited_sim::world::WorldError>(())
/// ```
#[derive(Clone, Debug)]
pub struct World {
    model: ApiModel,
    resources: Vec<(Resource, Unit)>,
    runs: Vec<Settings>,
    calls: Vec<PlannedCall>,
    inputs: Vec<PlannedInput>,
    changes: Vec<Change>,
    looks: Vec<(Duration, Assumed)>,
    delays: Delays,
    tells: Tells,
    keeps_trace: bool,
    horizon: Duration,
}

/// What a call takes and really uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The tokens of its prompt.
    pub prompt_tokens: u64,
    /// The most tokens that it may use: what its client reserves.
    pub bound_tokens: u64,
    /// The tokens that it really uses, known to the API alone until the answer comes.
    pub usage_tokens: u64,
    /// Its model, where limits are for each; 0: it names none.
    pub model: u64,
}

#[derive(Clone, Debug)]
struct PlannedCall {
    run: usize,
    at: Duration,
    call: Call,
}

#[derive(Clone, Debug)]
struct PlannedInput {
    run: usize,
    at: Duration,
    input: Input,
}

/// Another quota of a limit of the API, from a moment on.
#[derive(Clone, Debug)]
struct Change {
    at: Duration,
    limit: String,
    quota: u64,
}

impl World {
    /// A world whose clients know of no limit. All chance comes from the seed of the model.
    pub fn new(model: ApiModel) -> World {
        World {
            delays: Delays::new(&model),
            model,
            resources: Vec::new(),
            runs: Vec::new(),
            calls: Vec::new(),
            inputs: Vec::new(),
            changes: Vec::new(),
            looks: Vec::new(),
            tells: Tells::default(),
            keeps_trace: true,
            horizon: Duration::from_secs(1_000 * 86_400),
        }
    }

    /// A world whose clients know every limit exactly: [`told`] says how.
    pub fn told_right(model: ApiModel) -> World {
        World {
            resources: told(&model),
            ..World::new(model)
        }
    }

    /// Adds a resource that the clients believe in. Each call takes one of it, or its bound of
    /// tokens. A refusal pauses the resource that has the name of the refusing limit.
    pub fn resource(&mut self, resource: Resource, unit: Unit) -> &mut World {
        self.resources.push((resource, unit));
        self
    }

    /// Adds a run with a scheduler of its own; all runs share one limiter. Gives its number.
    pub fn add_run(&mut self, settings: Settings) -> usize {
        self.runs.push(settings);
        self.runs.len() - 1
    }

    /// Plans a call that is scheduled at the start. Gives its number, from 0 over all runs: by it the
    /// API draws its latency and failures.
    ///
    /// # Panics
    /// If there is no such run.
    pub fn call(&mut self, run: usize, call: Call) -> usize {
        self.call_at(run, Duration::ZERO, call)
    }

    /// Plans a call that is scheduled later.
    ///
    /// # Panics
    /// If there is no such run.
    pub fn call_at(&mut self, run: usize, at: Duration, call: Call) -> usize {
        assert!(
            run < self.runs.len(),
            "there is no run {run}: add it before its calls"
        );
        self.calls.push(PlannedCall { run, at, call });
        self.calls.len() - 1
    }

    /// Plans an input to a run, such as a stop or a changed limit. Resources have the numbers of
    /// their adding.
    ///
    /// # Panics
    /// If there is no such run.
    pub fn input_at(&mut self, run: usize, at: Duration, input: Input) -> &mut World {
        assert!(
            run < self.runs.len(),
            "there is no run {run}: add it before its inputs"
        );
        self.inputs.push(PlannedInput { run, at, input });
        self
    }

    /// What the API tells of its limits. Default: the name of the one that refuses.
    pub fn tells(&mut self, tells: Tells) -> &mut World {
        self.tells = tells;
        self
    }

    /// Plans another quota of a limit of the API; the optimum of the report does not know of it.
    ///
    /// # Panics
    /// If there is no limit of that name, or the quota is 0.
    pub fn limit_at(&mut self, at: Duration, limit: &str, quota: u64) -> &mut World {
        let known = self.model.limits.iter().any(|known| known.name == limit);
        assert!(known, "there is no limit `{limit}`: add it to the model");
        assert!(quota > 0, "a quota of 0 lets nothing pass");
        self.changes.push(Change {
            at,
            limit: limit.into(),
            quota,
        });
        self
    }

    /// Plans a look ahead: what the first run itself says at that moment of the time that is left. Answers
    /// are in [`Report::looks`].
    pub fn look_ahead_at(&mut self, at: Duration, assumed: Assumed) -> &mut World {
        self.looks.push((at, assumed));
        self
    }

    /// The longest time on the way to the API and back, each drawn from 0 on. Default: 0.2 % of the
    /// shortest window, at most 20 ms.
    pub fn network_delay(&mut self, longest: Duration) -> &mut World {
        self.delays.way = longest;
        self
    }

    /// The longest time between a dispatch and the moment at which its request really leaves.
    /// Default: none.
    pub fn local_delay(&mut self, longest: Duration) -> &mut World {
        self.delays.leaving = longest;
        self
    }

    /// The time from the arrival of a request that is refused until its client knows. Default: 5 ms.
    pub fn refusal_delay(&mut self, delay: Duration) -> &mut World {
        self.delays.refusal = delay;
        self
    }

    /// Whether the report has every event, not only their hash. Default: yes. An event takes 16 to 24
    /// bytes, a call about five events.
    pub fn keeps_trace(&mut self, keeps_trace: bool) -> &mut World {
        self.keeps_trace = keeps_trace;
        self
    }

    /// How much virtual time may pass before the world is taken to be endless. Default: 1,000 days.
    pub fn horizon(&mut self, horizon: Duration) -> &mut World {
        self.horizon = horizon;
        self
    }

    /// Plays the plan from its beginning.
    ///
    /// # Errors
    /// A resource that is none; and whatever a scheduler must never do: see [`WorldError`].
    pub fn run(&self) -> Result<Report, WorldError> {
        Play::new(self)?.run()
    }
}
