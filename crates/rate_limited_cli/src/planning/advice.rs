//! What would make a run shorter: the plan made again with one thing changed.

use rate_limited::{Assumed, Plan, PlannedResource};
use rate_limited_report::Advice;

use crate::args::Concurrency;
use crate::planning::command::Work;
use crate::planning::plan_args::PlanArgs;
use crate::planning::plan_limits::Limits;
use crate::values::text::grouped;

/// The one change that would make the run shortest, if any is worth it.
pub(crate) fn of(
    args: &PlanArgs,
    work: &Work<'_>,
    plan: &Plan,
    assumed: &Assumed,
    limits: &Limits,
) -> Option<Advice> {
    let smaller = smaller_answers(args, work, assumed, limits);
    let wider = match plan.binding() {
        Some(binding) => higher_limit(args, work, assumed, (limits, binding)),
        None => more_in_flight(args, work, plan, assumed, limits),
    };
    Advice::best(plan.finish, [smaller, wider].into_iter().flatten())
}

/// Lower bounds on answers: what is reserved for nothing.
fn smaller_answers(
    args: &PlanArgs,
    work: &Work<'_>,
    assumed: &Assumed,
    limits: &Limits,
) -> Option<Advice> {
    let told = args.expected.answer_tokens?;
    if work.answers >= work.answers_max {
        return None;
    }
    let meters = limits.meters(work.bill().cloned()).ok()?;
    let outlook = work.outlook(&args.run, &meters, args.run.limits.max_concurrent)?;
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
    (limits, binding): (&Limits, &PlannedResource),
) -> Option<Advice> {
    let (limits, shown) = limits.doubled(binding)?;
    let change = format!("twice the limit ({shown})");
    let meters = limits.meters(work.bill().cloned()).ok()?;
    let outlook = work.outlook(&args.run, &meters, args.run.limits.max_concurrent)?;
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
    limits: &Limits,
) -> Option<Advice> {
    let Concurrency::Fixed(told) = args.run.limits.max_concurrent else {
        return None;
    };
    if plan.concurrency_binds.is_zero() {
        return None;
    }
    let meters = limits.meters(work.bill().cloned()).ok()?;
    let outlook = work.outlook(&args.run, &meters, Concurrency::Auto)?;
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
