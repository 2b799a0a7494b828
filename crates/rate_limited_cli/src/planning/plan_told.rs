//! A plan in words, and as JSON.

use rate_limited::{Amount, Plan, PlannedResource};
use rate_limited_report::{Advice, Foretold, assumed_told, limit_told, plan_lines};
use serde_json::{Value, json};

use crate::args::Concurrency;
use crate::calling::meter::Meter;
use crate::calling::meters::Meters;
use crate::planning::command::Work;
use crate::planning::plan_args::PlanArgs;
use crate::running::price;
use crate::telling::when;
use crate::values::limit::Limit;
use crate::values::text::{counted, grouped};

/// What is told.
pub(crate) struct Told<'a> {
    pub(crate) args: &'a PlanArgs,
    pub(crate) work: &'a Work<'a>,
    pub(crate) plan: &'a Plan,
    pub(crate) meters: &'a Meters,
    pub(crate) advice: Option<&'a Advice>,
}

impl Told<'_> {
    /// For people: a word at the beginning of each line says what it is about.
    pub(crate) fn text(&self) -> String {
        let told = Foretold(self.plan);
        let mut lines = vec![("calls", self.calls())];
        lines.extend(self.work.never_told().map(|it| ("", it)));
        if let Some(earlier) = &self.work.earlier {
            lines.push(("earlier", earlier.told()));
            lines.extend(earlier.goes_on().map(|it| ("", it)));
        }
        lines.extend(self.tokens().map(|it| ("tokens", it)));
        lines.extend(self.cost().map(|it| ("cost", it)));
        lines.push(("finish", told.finish(Some("--max-cost"))));
        lines.push(("binding", told.binding()));
        let (shown, left_out) = told.limits();
        let width = |it: &&PlannedResource| Some(self.written(it)?.chars().count());
        let width = shown.iter().filter_map(width).max().unwrap_or_default();
        for (place, resource) in shown.into_iter().enumerate() {
            let name = if place == 0 { "limits" } else { "" };
            lines.push((name, self.limit(resource, width)));
        }
        if left_out > 0 {
            let more = counted(left_out as u64, "more model", "more models");
            lines.push(("", format!("{more}, waited for less (--json names all)")));
        }
        lines.push(("in flight", self.in_flight()));
        lines.push(("assumed", self.assumed()));
        lines.extend(self.advice.map(|advice| ("helps", advice.told())));
        plan_lines(lines)
    }

    /// For machines: times in seconds, money in dollars.
    pub(crate) fn json(&self) -> String {
        let Told {
            work, plan, meters, ..
        } = self;
        let limits = plan.resources.iter().map(|it| self.limit_json(it));
        let limits: Vec<_> = limits.collect();
        let dollars = |amount: Amount| amount.as_micros() as f64 / 1e9;
        let cost = work.cost.is_known.then(|| {
            json!({
                "expected_dollars": dollars(work.cost.expected),
                "most_dollars": dollars(work.cost.most),
                "unknown": work.cost.unpriced,
            })
        });
        let expected = &self.args.expected;
        let earlier = work.earlier.as_ref().map(|earlier| {
            json!({
                "succeeded": earlier.before.succeeded,
                "failed": earlier.before.failed,
                "left_alone": earlier.left_alone,
            })
        });
        let plan = json!({
            "calls": plan.calls,
            "earlier": earlier,
            "never_fit": {"calls": work.never.requests, "lines": work.never.lines},
            "unfinished": plan.unfinished,
            "prompt_tokens": work.prompts,
            "answer_tokens": {"expected": work.answers, "most": work.answers_max},
            "cost": cost,
            "finish_seconds": plan.finish.as_secs_f64(),
            "binding": Foretold(plan).binding_name(),
            "limits": limits,
            "in_flight": {
                "most": plan.in_flight_max,
                "binds_seconds": plan.concurrency_binds.as_secs_f64(),
            },
            "assumed": {
                "latency_seconds": expected.latency.as_secs_f64(),
                "answer_tokens": expected.answer_tokens,
                "failure_rate": expected.failure_rate,
            },
            "extrapolated": plan.is_extrapolated,
            "helps_most": self.advice.map(|advice| json!({
                "change": advice.change,
                "finish_seconds": advice.finish.as_secs_f64(),
            })),
            "limits_told": meters.written(),
        });
        format!("{plan:#}\n")
    }

    fn calls(&self) -> String {
        let input = match &self.args.run.input {
            input if crate::reading::source::is_stdin(input) => "standard input".to_owned(),
            input => input.display().to_string(),
        };
        let calls = counted(self.plan.calls, "request", "requests");
        if self.work.earlier.is_some() {
            let are = if self.plan.calls == 1 { "is" } else { "are" };
            return format!("{calls} from {input} {are} left; nothing is sent");
        }
        format!("{calls} from {input}; nothing is sent")
    }

    fn tokens(&self) -> Option<String> {
        let Work {
            prompts,
            answers,
            answers_max,
            ..
        } = self.work;
        let [expected, most] = [prompts + answers, prompts + answers_max];
        if most == 0 {
            return None;
        }
        Some(if expected < most {
            format!("about {}, at most {}", grouped(expected), grouped(most))
        } else {
            format!("at most {}", grouped(most))
        })
    }

    fn cost(&self) -> Option<String> {
        let cost = &self.work.cost;
        if !cost.is_known {
            return None;
        }
        if let Some(why) = &cost.unpriced {
            return Some(format!("not known: {why}"));
        }
        let [expected, most] = [cost.expected, cost.most].map(price::shown);
        Some(format!("about {expected}, at most {most}"))
    }

    /// A limit as it was told.
    fn written(&self, resource: &PlannedResource) -> Option<String> {
        let limit = self.meters.limit_of_planned(resource)?;
        let whole = self.meters.get(resource.resource.index());
        Some(whole.map_or_else(|| of_part(limit, resource), Meter::written))
    }

    /// What is taken of a limit, in words, behind its text of at least this `width`.
    fn limit(&self, resource: &PlannedResource, width: usize) -> String {
        let Some(limit) = self.meters.limit_of_planned(resource) else {
            if !self.meters.is_bill(resource.resource.index()) {
                return format!(
                    "{}: not told; the run finds it out, the plan takes none",
                    resource.name
                );
            }
            let [spent, most] = [
                resource.charged,
                self.meters.bill().map_or(Amount::ZERO, |bill| bill.most),
            ]
            .map(price::shown);
            return format!("--max-cost {most}: {spent} spent");
        };
        let written = self.written(resource).unwrap_or_default();
        let told = limit_told(resource, &written, width);
        match limit.window_end().and_then(when::local) {
            Some(back) => format!("{told}; back at {back}"),
            None => told,
        }
    }

    fn limit_json(&self, resource: &PlannedResource) -> Value {
        let end = self
            .meters
            .limit_of_planned(resource)
            .and_then(Limit::window_end);
        json!({
            "resets_at": end.and_then(when::utc),
            "name": resource.name,
            "reserved": resource.reserved.as_units(),
            "charged": resource.charged.as_units(),
            "binds_seconds": resource.binds.as_secs_f64(),
            "utilisation": resource.utilisation,
        })
    }

    fn in_flight(&self) -> String {
        let most = grouped(self.plan.in_flight_max);
        match self.args.run.limits.max_concurrent {
            Concurrency::Auto => format!("{most} at most, found out"),
            Concurrency::Fixed(told) => {
                format!("{most} at most (--max-concurrent {})", grouped(told.into()))
            }
        }
    }

    fn assumed(&self) -> String {
        let expected = &self.args.expected;
        let tokens = match expected.answer_tokens {
            _ if self.work.answers_max == 0 => String::new(),
            Some(tokens) => format!(
                " and have {} (--answer-tokens)",
                counted(tokens, "token", "tokens")
            ),
            None => " and are as long as they may be (--answer-tokens)".to_owned(),
        };
        assumed_told(
            (expected.latency, "--latency"),
            &tokens,
            (expected.failure_rate, "--failure-rate"),
        )
    }
}

/// The limit as it is written, with the model whose part it is.
fn of_part(limit: &Limit, resource: &PlannedResource) -> String {
    match (resource.part_of, limit.to_string().rsplit_once('=')) {
        (Some(_), Some((_, quota))) => format!("{}={quota}", resource.name),
        _ => limit.to_string(),
    }
}
