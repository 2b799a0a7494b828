//! What would make a run shorter: the plan made again with one thing changed.

use rate_limited::{Assumed, Plan};
use rate_limited_report::Advice;

use crate::args::Concurrency;
use crate::limit::Limit;
use crate::meters::Meters;
use crate::plan_args::PlanArgs;
use crate::planning::Work;
use crate::preset::Preset;
use crate::run;
use crate::text::grouped;

/// The one change that would make the run shortest, if any is worth it.
pub(crate) fn of(
    args: &PlanArgs,
    work: &Work<'_>,
    plan: &Plan,
    assumed: &Assumed,
    limits: &[Limit],
    preset: Option<Preset>,
) -> Option<Advice> {
    let smaller = smaller_answers(args, work, assumed, limits, preset);
    let wider = match plan.binding() {
        Some(binding) => higher_limit(
            args,
            work,
            assumed,
            (limits, binding.resource.index()),
            preset,
        ),
        None => more_in_flight(args, work, plan, assumed, limits, preset),
    };
    Advice::best(plan.finish, [smaller, wider].into_iter().flatten())
}

/// Lower bounds on answers: what is reserved for nothing.
fn smaller_answers(
    args: &PlanArgs,
    work: &Work<'_>,
    assumed: &Assumed,
    limits: &[Limit],
    preset: Option<Preset>,
) -> Option<Advice> {
    let told = args.expected.answer_tokens?;
    if work.answers >= work.answers_max {
        return None;
    }
    let meters = meters(limits, work, preset)?;
    let outlook = run::outlook(&args.run, &meters).ok()?;
    let assumed = Assumed {
        used: Vec::new(),
        ..assumed.clone()
    };
    let calls = work.load.calls().max(1);
    let [mean, most, used] = [
        work.answers_max / calls,
        work.prompts + work.answers_max,
        work.prompts + work.answers,
    ];
    let times = most as f64 / used.max(1) as f64;
    let change = format!(
        "max_tokens (or the default of {}): {} an answer in the mean reserve {times:.1} × what calls use; with {}",
        grouped(args.run.limits.max_tokens_default),
        grouped(mean),
        grouped(told),
    );
    Some(Advice {
        change,
        finish: outlook.plan(&work.lean, &assumed).finish,
    })
}

/// Twice the limit that binds.
fn higher_limit(
    args: &PlanArgs,
    work: &Work<'_>,
    assumed: &Assumed,
    (limits, binding): (&[Limit], usize),
    preset: Option<Preset>,
) -> Option<Advice> {
    let mut limits = limits.to_vec();
    let limit = limits.get_mut(binding)?;
    limit.quota_micros = limit.quota_micros.checked_mul(2)?;
    let change = format!("twice the limit ({limit})");
    let outlook = run::outlook(&args.run, &meters(&limits, work, preset)?).ok()?;
    Some(Advice {
        change,
        finish: outlook.plan(&work.load, assumed).finish,
    })
}

/// More calls in flight, where their number was told.
fn more_in_flight(
    args: &PlanArgs,
    work: &Work<'_>,
    plan: &Plan,
    assumed: &Assumed,
    limits: &[Limit],
    preset: Option<Preset>,
) -> Option<Advice> {
    let Concurrency::Fixed(told) = args.run.limits.max_concurrent else {
        return None;
    };
    if plan.concurrency_binds.is_zero() {
        return None;
    }
    let meters = meters(limits, work, preset)?;
    let outlook = run::outlook_of(&args.run, &meters, Concurrency::Auto).ok()?;
    let freely = outlook.plan(&work.load, assumed);
    Some(Advice {
        change: format!(
            "--max-concurrent: {} in flight bind; with auto {} would be",
            grouped(told.into()),
            grouped(freely.in_flight_max)
        ),
        finish: freely.finish,
    })
}

fn meters(limits: &[Limit], work: &Work<'_>, preset: Option<Preset>) -> Option<Meters> {
    let meters = Meters::new(limits, preset).ok()?;
    Some(meters.with_bill(work.bill().cloned()))
}
