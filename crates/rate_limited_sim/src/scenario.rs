//! Worlds as data: an API, the calls, and what must come out.

use crate::draw::{About, Draw};
use crate::limit::{Kind, Limit};
use crate::model::{ApiModel, ModelError};
use crate::optimum::{changing, optimum};
use crate::span::Span;
use crate::toml_form::RawModel;
use crate::world::{Call, Report, Tells, World, WorldError, told};
use rate_limited_core::{Amount, MaxConcurrent, Order, Quota, Resource, Settings};
use serde::Deserialize;
use std::fmt;
use std::time::Duration;

/// A scenario: a world, and the bounds within which a good client must stay.
///
/// ```
/// use rate_limited_sim::Scenario;
///
/// let scenario = Scenario::from_toml(r#"
///     about = "requests bind"
///     makespan_max = 1.02
///
///     [api]
///     latency = "500ms"
///     limits = [{ name = "requests", quota = 60, window = "60s" }]
///
///     [[block]]
///     calls = 240
/// "#)?;
/// let outcome = scenario.play(7)?;
/// assert!(outcome.ratio() <= scenario.makespan_max);
/// assert_eq!(outcome.report.refusals, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it shows, in one line.
    pub about: String,
    /// The longest makespan, as a multiple of the optimum.
    pub makespan_max: f64,
    /// The most refusals per 1,000 calls.
    pub refusals_max: f64,
    model: ApiModel,
    order: Order,
    max_concurrent: MaxConcurrent,
    learn: bool,
    told: Told,
    told_as: ToldAs,
    tells: Tells,
    changes: Vec<Change>,
    rounds: u32,
    blocks: Vec<Block>,
}

/// What clients are told of the limits before they start.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "told is a number by which the limits are multiplied, or \"nothing\""
)]
enum Told {
    Times(f64),
    Word(ToldWord),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ToldWord {
    Nothing,
}

/// A limit of the API changes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    at: Span,
    limit: String,
    quota: u64,
}

/// A play of a scenario.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// All that came of it.
    pub report: Report,
    /// The shortest time in which any client that believes what it was told could have done the same work:
    /// that of the report, or longer where less was told than is true, or where limits changed.
    pub optimum: Duration,
}

/// Calls of one kind in a row.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Block {
    calls: u32,
    #[serde(default)]
    prompt: Range,
    /// The number of their model, where limits are for each.
    #[serde(default)]
    model: u64,
    /// The upper bound of the answer.
    #[serde(default)]
    max_tokens: Range,
    /// The part of the bound that answers really have.
    #[serde(default = "whole")]
    used: Share,
}

/// A number, or one drawn evenly on a logarithmic scale between two.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Range {
    Exactly(u32),
    Between { min: u32, max: u32 },
}

/// A share, or one drawn evenly between two.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Share {
    Exactly(f64),
    Between { min: f64, max: f64 },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    about: String,
    makespan_max: f64,
    #[serde(default)]
    refusals_max: f64,
    api: RawModel,
    order: Option<RawOrder>,
    max_concurrent: Option<u32>,
    #[serde(default)]
    learn: bool,
    told: Option<Told>,
    #[serde(default)]
    told_as: ToldAs,
    #[serde(default)]
    tells: Tells,
    #[serde(default)]
    changes: Vec<Change>,
    #[serde(default = "once")]
    rounds: u32,
    block: Vec<Block>,
}

/// The kind of limit that clients are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ToldAs {
    #[default]
    Same,
    Sliding,
    /// With a burst of the whole limit.
    Bucket,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawOrder {
    Packed,
    InOrder,
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// Beside `about` and the bounds `makespan_max` (a multiple of the optimum) and `refusals_max`
    /// (per 1,000 calls, 0 if not set) it has a table `api`, an [`ApiModel`], and one or more `block`s
    /// of `calls`, each with `prompt` and `max_tokens` (a number, or `min` and `max`), `used` (the
    /// share of `max_tokens` that answers have) and `model` (its number, where limits are for each). `told` is the factor by which the limits that clients
    /// know are wrong (default 1), or `"nothing"`; `told_as` is the kind that they take limits for (`"sliding"`, or `"bucket"`
    /// with a burst of the whole limit; default: what they are); `tells` is what the API tells, see [`Tells`]; `changes`
    /// are other quotas of its limits, each `at` a moment. `rounds` repeats the blocks; `order` is `packed` or
    /// `in_order`; `learn` turns learned reservations on; `max_concurrent` bounds the calls in flight.
    ///
    /// # Errors
    /// A text that is no TOML of this form.
    pub fn from_toml(text: &str) -> Result<Scenario, ModelError> {
        let raw: Raw = toml::from_str(text).map_err(ModelError::new)?;
        let model = ApiModel::try_from(raw.api).map_err(ModelError::new)?;
        Ok(Scenario {
            about: raw.about,
            makespan_max: raw.makespan_max,
            refusals_max: raw.refusals_max,
            model,
            order: match raw.order {
                Some(RawOrder::InOrder) => Order::InOrder,
                Some(RawOrder::Packed) | None => Order::Packed,
            },
            max_concurrent: raw
                .max_concurrent
                .map_or_else(MaxConcurrent::default, MaxConcurrent::Fixed),
            learn: raw.learn,
            told: raw.told.unwrap_or(Told::Times(1.0)),
            told_as: raw.told_as,
            tells: raw.tells,
            changes: raw.changes,
            rounds: raw.rounds,
            blocks: raw.block,
        })
    }

    /// Half of the answers take longer than this.
    pub fn latency_median(&self) -> Duration {
        self.model.latency.median()
    }

    /// Plays it with a seed, on virtual time.
    ///
    /// # Errors
    /// Whatever a scheduler must never do: see [`WorldError`].
    pub fn play(&self, seed: u64) -> Result<Outcome, WorldError> {
        let report = self.world(seed).run()?;
        let optimum = self.optimum(&report);
        Ok(Outcome { report, optimum })
    }

    /// The optimum of what was charged, under the lower of what was told and what is true.
    fn optimum(&self, report: &Report) -> Duration {
        let factor = match self.told {
            Told::Times(factor) => factor.min(1.0),
            Told::Word(ToldWord::Nothing) => 1.0,
        };
        let believed = |limit: &Limit| Limit {
            quota: whole_units(limit.quota as f64 * factor).max(1),
            kind: match limit.kind {
                Kind::Bucket { burst } => Kind::Bucket {
                    burst: whole_units(burst as f64 * factor).max(1),
                },
                kind => kind,
            },
            ..limit.clone()
        };
        let limits: Vec<_> = self.model.limits.iter().map(believed).collect();
        let work: Vec<_> = report
            .stats
            .limits
            .iter()
            .map(|limit| limit.busiest)
            .collect();
        let latency = self.model.latency.median();
        let shortest = optimum(&limits, &work, latency);
        let changed = limits.iter().zip(&work).map(|(limit, work)| {
            let changes = self
                .changes
                .iter()
                .filter(|change| change.limit == limit.name);
            let changes: Vec<_> = changes.map(|change| (change.at.0, change.quota)).collect();
            match changes[..] {
                [] => Duration::ZERO,
                _ => changing(limit, &changes, *work) + latency,
            }
        });
        match self.changes[..] {
            [] => shortest,
            _ => changed.max().unwrap_or(shortest),
        }
    }

    /// What a client is told of a limit.
    fn told(&self, resource: Resource) -> Resource {
        match self.told {
            Told::Word(ToldWord::Nothing) => Resource::untold(resource.name()),
            Told::Times(factor) => {
                let limit = resource.quota().limit().expect("each limit has one");
                let told = Amount::cost(limit.as_units() * factor).unwrap_or(Amount::MAX);
                let quota = resource.quota().with_limit(told);
                let window = quota.window();
                resource.with_quota(match self.told_as {
                    ToldAs::Same => quota,
                    ToldAs::Sliding => Quota::per(told, window),
                    ToldAs::Bucket => Quota::bucket(told, window, told),
                })
            }
        }
    }

    /// The world of a seed, whose clients know of the API what the scenario says.
    pub fn world(&self, seed: u64) -> World {
        let model = ApiModel {
            seed,
            ..self.model.clone()
        };
        let mut world = World::new(model.clone());
        for (resource, unit) in told(&model) {
            world.resource(self.told(resource).learn(self.learn), unit);
        }
        world.tells(self.tells).keeps_trace(false);
        for change in &self.changes {
            world.limit_at(change.at.0, &change.limit, change.quota);
        }
        let run = world.add_run(Settings {
            order: self.order,
            max_concurrent: self.max_concurrent,
            seed,
            ..Settings::default()
        });
        let mut number = 0;
        for _ in 0..self.rounds {
            for block in &self.blocks {
                for _ in 0..block.calls {
                    world.call(run, block.call(seed, number));
                    number += 1;
                }
            }
        }
        world
    }
}

impl Outcome {
    /// The makespan as a multiple of the optimum.
    pub fn ratio(&self) -> f64 {
        self.report.makespan.as_secs_f64() / self.optimum.as_secs_f64()
    }

    /// Refusals per 1,000 calls.
    pub fn refusals_per_thousand(&self) -> f64 {
        self.report.refusals as f64 * 1_000.0 / self.report.calls.len() as f64
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ratio, refusals) = (self.ratio(), self.refusals_per_thousand());
        write!(
            f,
            "{ratio:.3} × the optimum, {refusals:.1} refusals per 1,000 calls"
        )
    }
}

impl Block {
    fn call(&self, seed: u64, number: u64) -> Call {
        let mut draw = Draw::new(seed, number, 0, About::Call);
        let prompt = self.prompt.pick(draw.unit());
        let max_tokens = self.max_tokens.pick(draw.unit());
        let used = whole_units(self.used.pick(draw.unit()) * max_tokens as f64);
        Call {
            prompt_tokens: prompt,
            bound_tokens: prompt + max_tokens,
            usage_tokens: prompt + used.min(max_tokens),
            model: self.model,
        }
    }
}

impl Range {
    fn pick(self, chance: f64) -> u64 {
        match self {
            Range::Exactly(number) => number.into(),
            Range::Between { min, max } => {
                let (min, max) = (f64::from(min.max(1)), f64::from(max.max(1)));
                whole_units(min * (max / min).powf(chance))
            }
        }
    }
}

impl Default for Range {
    fn default() -> Self {
        Range::Exactly(0)
    }
}

impl Share {
    fn pick(self, chance: f64) -> f64 {
        match self {
            Share::Exactly(share) => share,
            Share::Between { min, max } => min + (max - min) * chance,
        }
    }
}

#[expect(clippy::cast_sign_loss, reason = "what is below zero becomes zero")]
fn whole_units(number: f64) -> u64 {
    number.round() as u64
}

fn whole() -> Share {
    Share::Exactly(1.0)
}

fn once() -> u32 {
    1
}
