//! What a machine's run will come to: a copy of it, played to its end on virtual time.

use crate::account::Guard;
use crate::pacing::Pacing;
use crate::state::State;
use crate::words::window_as_told;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rate_limited_calendar::on_the_wall;
use rate_limited_core::{
    Amount, Assumed, Cost, Input, Limiter, Load, MaxConcurrent, Plan, PlannedResource, Quota,
    ResourceId, ScheduleError, Scheduler, Time,
};
use rate_limited_report::{
    Advice, Foretold, LIMIT_WIDTH, amount, assumed_told, counted, grouped, limit_told, never_told,
    plan_lines,
};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

/// How long an answer takes of which nothing is known; as in the command.
const LATENCY: Duration = Duration::from_secs(2);

/// After so many attempts their failures are taken to go on.
const ATTEMPTS_ENOUGH: u64 = 16;

/// The largest share of attempts that is taken to fail.
const FAILURE_RATE_MAX: f64 = 0.9;

/// What of its reservation a resource must leave idle to be worth a word: half.
const IDLE: f64 = 0.5;

/// A machine's run as it stood at a moment, to plan with. Nothing that is done with it changes the run.
#[pyclass(frozen, module = "rate_limited._native")]
pub(crate) struct Outlook(Mutex<Copied>);

struct Copied {
    scheduler: Scheduler,
    limiter: Limiter,
    now: Time,
    resources: Vec<ResourceId>,
    /// Of each resource that follows a calendar the end of its present window.
    window_ends: Vec<Option<SystemTime>>,
    /// The number of each unfinished call, by the index of its id.
    numbers: Vec<u64>,
    next: u64,
    /// Calls that could never run, and what they are above.
    never: Vec<(u64, ResourceId)>,
    latencies: Vec<Duration>,
    attempts: u64,
    failures: u64,
    /// Of each resource what calls cost at most, and what they used.
    used: Vec<(f64, f64)>,
    pacing: Option<Pacing>,
}

/// How a limit is shown, and whether it is money, in thousandths of a dollar.
type Shown = (String, bool);

/// What is assumed of answers, and where that is from.
struct Expected {
    assumed: Assumed,
    latency: (Duration, &'static str),
    failures: (f64, &'static str),
}

impl Outlook {
    /// A copy of a machine; one that is not running is taken to begin.
    pub(crate) fn of(state: &State, limiter: &mut Guard, now: Time) -> Outlook {
        let resources = state.resources.iter();
        let window_ends = resources.map(|id| limiter.window_end(*id)).collect();
        let mut copied = Copied {
            scheduler: state.scheduler.as_ref().expect("it is there").clone(),
            limiter: Limiter::clone(limiter),
            now,
            resources: state.resources.clone(),
            window_ends,
            numbers: state.numbers.clone(),
            next: state.scheduled,
            never: Vec::new(),
            latencies: state.witness.latencies(),
            attempts: 0,
            failures: 0,
            used: state.used.clone(),
            pacing: state.pacing,
        };
        let progress = copied.scheduler.progress();
        copied.attempts = progress.attempts.saturating_sub(progress.in_flight);
        copied.failures = progress.failures + progress.invalid;
        if state.over.is_some() {
            copied.handle(Input::Resume);
        }
        copied.handle(Input::Unpause);
        for (costs, number) in &state.last {
            copied.schedule(costs, *number);
        }
        Outlook(Mutex::new(copied))
    }
}

#[pymethods]
impl Outlook {
    /// Adds a call with its cost of each resource; its number follows those of the machine. `keys`: whose part of each
    /// it takes.
    #[pyo3(signature = (costs, keys=None))]
    fn add(&self, costs: Vec<f64>, keys: Option<Vec<Option<String>>>) -> PyResult<()> {
        let copied = &mut *crate::account::lock(&self.0);
        let mut all = Vec::with_capacity(costs.len());
        let mut keys = keys.unwrap_or_default().into_iter();
        for (resource, units) in copied.resources.iter().zip(costs) {
            let amount = Amount::cost(units);
            let amount = amount.map_err(|error| PyValueError::new_err(error.to_string()))?;
            let key = keys.next().flatten().filter(|key| !key.is_empty());
            let resource = key.map_or(*resource, |key| copied.limiter.partition(*resource, &key));
            all.push(Cost::new(resource, amount));
        }
        all.extend(copied.pacing.map(|pacing| pacing.cost()));
        let number = copied.next;
        copied.next += 1;
        copied.schedule(&all, number);
        Ok(())
    }

    /// Plays it to the end; gives the plan in words and as data. `base`: the number of the first call, which is
    /// call 0 there. What is None is assumed as the run so far tells.
    #[pyo3(signature = (base, quotas, latency=None, failure_rate=None))]
    fn plan<'py>(
        &self,
        py: Python<'py>,
        base: u64,
        quotas: Vec<Shown>,
        latency: Option<f64>,
        failure_rate: Option<f64>,
    ) -> PyResult<(String, Bound<'py, PyDict>)> {
        let latency = latency.map(Duration::try_from_secs_f64).transpose();
        let latency = latency.map_err(|_| PyValueError::new_err("the latency is no time"))?;
        let told = py.detach(|| {
            let copied = &mut *crate::account::lock(&self.0);
            let longer = copied.pace();
            let expected = copied.expected(latency, failure_rate);
            Told::new(copied, base, quotas, (expected, longer))
        });
        Ok((told.text(), told.data(py)?))
    }
}

impl Copied {
    fn handle(&mut self, input: Input) {
        self.scheduler.handle(&mut self.limiter, input, self.now);
    }

    fn schedule(&mut self, costs: &[Cost], number: u64) {
        match self.scheduler.schedule(&mut self.limiter, costs, self.now) {
            Ok(id) => {
                if self.numbers.len() <= id.index() {
                    self.numbers.resize(id.index() + 1, 0);
                }
                self.numbers[id.index()] = number;
            }
            Err(ScheduleError::NeverFits { resource, .. }) => self.never.push((number, resource)),
            // It has no other fault: its resources are known.
            Err(_) => {}
        }
    }

    /// Keeps the distance of the first calls if they are all; else says by how many seconds at most the run is
    /// longer.
    fn pace(&mut self) -> f64 {
        let Some(pacing) = self.pacing else {
            return 0.0;
        };
        let (quota, seconds) = pacing.foreseen(self.scheduler.progress().waiting);
        let set = self.limiter.set_quota(pacing.resource(), quota, self.now);
        debug_assert!(set.is_ok(), "the resource and its kind are known");
        seconds
    }

    fn expected(&self, latency: Option<Duration>, failure_rate: Option<f64>) -> Expected {
        let (latencies, of_latency) = match latency {
            Some(latency) => (vec![latency], "latency="),
            None if self.latencies.is_empty() => (vec![LATENCY], "latency="),
            None => (self.latencies.clone(), "in the mean, as those so far"),
        };
        let (rate, of_rate) = match failure_rate {
            Some(rate) => (rate, "failure_rate="),
            None if self.attempts < ATTEMPTS_ENOUGH => (0.0, "failure_rate="),
            None => {
                let rate = self.failures as f64 / self.attempts as f64;
                (rate.min(FAILURE_RATE_MAX), "as so far")
            }
        };
        let mean = latencies.iter().sum::<Duration>() / (latencies.len() as u32).max(1);
        let used = self.resources.iter().zip(&self.used);
        let used = used.filter(|(_, (bound, _))| *bound > 0.0);
        let assumed = Assumed {
            latencies,
            failure_rate: rate,
            used: used
                .map(|(id, (bound, used))| (*id, used / bound))
                .collect(),
            ..Assumed::default()
        };
        Expected {
            assumed,
            latency: (mean, of_latency),
            failures: (rate, of_rate),
        }
    }

    fn play(&self, scheduler: &Scheduler, limiter: &Limiter, assumed: &Assumed) -> Plan {
        let none = Load::new(limiter, scheduler.settings(), 1);
        scheduler.plan(limiter, &none, assumed, self.now)
    }

    /// The plan again with another quota of one resource; `None`: it cannot be.
    fn with_quota(&self, id: ResourceId, times: f64, assumed: &Assumed) -> Option<Plan> {
        let mut limiter = self.limiter.clone();
        let old = *limiter.view(id, self.now).resource.quota();
        let more = |amount: Amount| Amount::cost(amount.as_units() * times).ok();
        let quota = match old {
            Quota::SlidingWindow { amount, window } => Quota::per(more(amount)?, window),
            Quota::TokenBucket { amount, per, burst } => {
                Quota::bucket(more(amount)?, per, more(burst)?)
            }
            Quota::FixedWindow { amount, .. } => old.with_limit(more(amount)?),
            _ => return None,
        };
        limiter.set_quota(id, quota, self.now).ok()?;
        Some(self.play(&self.scheduler, &limiter, assumed))
    }

    /// How a resource of a plan is shown, and which one of the runner's it is or is a part of.
    fn shown(
        &self,
        planned: &PlannedResource,
        quotas: &[Shown],
        limiter: &mut Limiter,
    ) -> (Shown, usize) {
        let whole = planned.part_of.unwrap_or(planned.resource);
        let place = self.resources.iter().position(|id| *id == whole);
        let place = place.unwrap_or_default();
        let written = self.written(planned.resource, quotas, limiter);
        let is_money = quotas.get(place).is_some_and(|it| it.1);
        ((written.unwrap_or_default(), is_money), place)
    }

    /// A limit as it is shown: one of a part under its own name, and with its own quota if it has one. `limiter`: a
    /// copy of the plan's, which is looked at.
    fn written(&self, id: ResourceId, quotas: &[Shown], limiter: &mut Limiter) -> Option<String> {
        let view = limiter.view(id, self.now);
        let whole = view.part_of.unwrap_or(id);
        let place = self.resources.iter().position(|known| *known == whole)?;
        let (shown, _) = quotas.get(place)?;
        if view.part_of.is_none() {
            return Some(shown.clone());
        }
        let name = known_name(view.resource.name());
        let quota = *view.resource.quota();
        let of_whole = limiter.view(whole, self.now).resource;
        let told = shown.strip_prefix(known_name(of_whole.name()).as_str());
        if quota == *of_whole.quota() {
            return Some(format!("{name}{}", told.unwrap_or_default()));
        }
        let units = amount(quota.limit().unwrap_or_default().as_units());
        let window = match (self.window_ends.get(place), told?.split_once('/')) {
            (Some(Some(_)), Some((_, calendar))) => calendar.to_owned(),
            _ => window_as_told(quota.window().as_secs_f64()),
        };
        Some(format!("{name}={units}/{window}"))
    }

    /// What would make the run shorter.
    fn advice(&self, plan: &Plan, quotas: &[Shown], assumed: &Assumed) -> Option<Advice> {
        let wider = match plan.binding() {
            Some(binding) => self.higher_limit(binding, quotas, assumed),
            None => self.more_in_flight(plan, assumed),
        };
        let all = plan.resources.iter();
        let leaner = all.filter_map(|resource| self.smaller_bounds(resource, assumed));
        Advice::best(plan.finish, leaner.chain(wider))
    }

    fn higher_limit(
        &self,
        binding: &PlannedResource,
        quotas: &[Shown],
        assumed: &Assumed,
    ) -> Option<Advice> {
        let finish = self.with_quota(binding.resource, 2.0, assumed)?.finish;
        let limit = self.written(binding.resource, quotas, &mut self.limiter.clone())?;
        Some(Advice {
            change: format!("twice the limit of {limit}"),
            finish,
        })
    }

    fn more_in_flight(&self, plan: &Plan, assumed: &Assumed) -> Option<Advice> {
        let MaxConcurrent::Fixed(told) = self.scheduler.settings().max_concurrent else {
            return None;
        };
        if plan.concurrency_binds.is_zero() {
            return None;
        }
        let mut scheduler = self.scheduler.clone();
        let max_concurrent = MaxConcurrent::default();
        let input = Input::SetMaxConcurrent { max_concurrent };
        scheduler.handle(&mut self.limiter.clone(), input, self.now);
        let freely = self.play(&scheduler, &self.limiter, assumed);
        Some(Advice {
            change: format!(
                "max_concurrent: {told} in flight bind; with \"auto\" {} would be",
                freely.in_flight_max
            ),
            finish: freely.finish,
        })
    }

    /// Calls that reserve no more than they use: as if the quota were larger by that factor.
    fn smaller_bounds(&self, resource: &PlannedResource, assumed: &Assumed) -> Option<Advice> {
        let id = resource.resource;
        let (_, share) = assumed.used.iter().find(|(known, _)| *known == id)?;
        if *share <= 0.0 || *share > IDLE {
            return None;
        }
        let others = assumed.used.iter().filter(|(known, _)| *known != id);
        let lean = Assumed {
            used: others.copied().collect(),
            ..assumed.clone()
        };
        let finish = self.with_quota(id, 1.0 / share, &lean)?.finish;
        let change = format!(
            "{}: calls reserve {:.1} × what they use; with a lower bound (max_tokens), or learn=True",
            resource.name,
            1.0 / share
        );
        Some(Advice { change, finish })
    }
}

/// A plan on its way to Python.
struct Told {
    plan: Plan,
    /// Of each resource of the plan, parts included: how it is shown, and which one of the runner's it is.
    limits: Vec<(Shown, usize)>,
    /// Of each of the runner's that follows a calendar the end of its present window.
    window_ends: Vec<Option<SystemTime>>,
    never: Vec<u64>,
    above: Vec<String>,
    advice: Option<Advice>,
    expected: Expected,
    concurrency: MaxConcurrent,
    pacing: f64,
}

impl Told {
    fn new(
        copied: &Copied,
        base: u64,
        quotas: Vec<Shown>,
        (expected, pacing): (Expected, f64),
    ) -> Told {
        let mut plan = copied.play(&copied.scheduler, &copied.limiter, &expected.assumed);
        plan.resources.retain(|it| {
            copied
                .resources
                .contains(&it.part_of.unwrap_or(it.resource))
        });
        // In the order in which the runner has them, under the names that it knows.
        let place = |id: ResourceId| copied.resources.iter().position(|known| *known == id);
        plan.resources.sort_by_key(|it| {
            (
                it.part_of.is_some(),
                place(it.part_of.unwrap_or(it.resource)),
            )
        });
        for resource in &mut plan.resources {
            resource.name = known_name(&resource.name);
        }
        let limits = plan.resources.iter();
        let mut limiter = copied.limiter.clone();
        let limits = limits
            .map(|it| copied.shown(it, &quotas, &mut limiter))
            .collect();
        let (mut never, mut above) = (Vec::new(), Vec::new());
        let of = |call: &rate_limited_core::CallId| copied.numbers[call.index()];
        never.extend(plan.never_fit.iter().map(of));
        for (number, id) in &copied.never {
            never.push(*number);
            let quota = copied.written(*id, &quotas, &mut limiter);
            if let Some(quota) = quota.filter(|quota| !above.contains(quota)) {
                above.push(quota);
            }
        }
        if !plan.never_fit.is_empty() && above.is_empty() {
            above.push("a limit that was lowered".to_owned());
        }
        never.sort_unstable();
        for number in &mut never {
            *number = number.saturating_sub(base);
        }
        let advice = copied.advice(&plan, &quotas, &expected.assumed);
        Told {
            plan,
            limits,
            window_ends: copied.window_ends.clone(),
            never,
            above,
            advice,
            expected,
            concurrency: copied.scheduler.settings().max_concurrent,
            pacing,
        }
    }

    fn text(&self) -> String {
        let told = Foretold(&self.plan);
        let calls = self.plan.calls - self.plan.never_fit.len() as u64;
        let calls = counted(calls, "call", "calls");
        let mut lines = vec![("calls", format!("{calls}; nothing is sent"))];
        if !self.never.is_empty() {
            let count = self.never.len() as u64;
            let nouns = ("call", "calls");
            lines.push((
                "",
                never_told(nouns, count, &self.above, "call", &self.never),
            ));
        }
        lines.push(("finish", told.finish(Some("max_cost"))));
        lines.push(("binding", told.binding()));
        let (shown, left_out) = told.limits();
        let known = shown.iter().filter_map(|resource| {
            let mut all = self.plan.resources.iter().zip(&self.limits);
            let (_, (quota, place)) = all.find(|(it, _)| it.resource == resource.resource)?;
            Some((*resource, quota, *place))
        });
        let is_told = |(it, ..): &(&PlannedResource, _, _)| it.utilisation.is_some();
        let widths = known.clone().filter(is_told);
        let width = widths.map(|(_, (shown, _), _)| shown.chars().count()).max();
        let now = SystemTime::now();
        for (line, (resource, quota, place)) in known.enumerate() {
            let name = if line == 0 { "limits" } else { "" };
            let mut told = limit(resource, quota, width.unwrap_or_default());
            let back = self.window_end(place).and_then(|end| on_the_wall(end, now));
            told.extend(back.map(|back| format!("; back at {back}")));
            lines.push((name, told));
        }
        if left_out > 0 {
            let more = counted(left_out as u64, "more part", "more parts");
            lines.push(("", format!("{more}, waited for less (limits names all)")));
        }
        lines.push(("in flight", self.in_flight()));
        lines.push(("assumed", self.assumed()));
        lines.extend(self.advice.as_ref().map(|advice| ("helps", advice.told())));
        plan_lines(lines)
    }

    fn window_end(&self, place: usize) -> Option<SystemTime> {
        self.window_ends.get(place).copied().flatten()
    }

    fn in_flight(&self) -> String {
        let most = grouped(self.plan.in_flight_max);
        match self.concurrency {
            MaxConcurrent::Fixed(told) => {
                format!("{most} at most (max_concurrent={told})")
            }
            _ => format!("{most} at most, found out"),
        }
    }

    fn assumed(&self) -> String {
        let Expected {
            latency,
            failures,
            ref assumed,
        } = self.expected;
        let pacing = if self.pacing > 0.0 {
            format!("; pacing adds at most {:.0} s", self.pacing)
        } else {
            String::new()
        };
        // Of limits on requests alone there is nothing to say.
        let calls = Amount::units(u32::try_from(self.plan.calls).unwrap_or(u32::MAX));
        let holds_more = self.plan.resources.iter().any(|it| it.reserved > calls);
        let used = match assumed.used.is_empty() {
            _ if !holds_more => "",
            true => " and use all that is held back for them",
            false => " and use as much of what is held back as those so far",
        };
        assumed_told(latency, used, failures) + &pacing
    }

    fn data<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let plan = &self.plan;
        let dict = PyDict::new(py);
        dict.set_item("calls", plan.calls - plan.never_fit.len() as u64)?;
        dict.set_item("unfinished", plan.unfinished - plan.never_fit.len() as u64)?;
        dict.set_item("never_fit", &self.never)?;
        dict.set_item("seconds", plan.finish.as_secs_f64())?;
        dict.set_item("binding", Foretold(plan).binding_name())?;
        let binds = plan.binding().map_or(plan.concurrency_binds, |it| it.binds);
        dict.set_item("binding_seconds", binds.as_secs_f64())?;
        let limits = plan
            .resources
            .iter()
            .zip(&self.limits)
            .map(|(it, (_, place))| {
                let costs = (it.charged.as_units(), it.reserved.as_units());
                (
                    it.name.as_str(),
                    costs.0,
                    costs.1,
                    it.binds.as_secs_f64(),
                    it.utilisation,
                    self.window_end(*place),
                    *place,
                )
            });
        dict.set_item("limits", limits.collect::<Vec<_>>())?;
        dict.set_item("in_flight", plan.in_flight_max)?;
        dict.set_item("in_flight_seconds", plan.concurrency_binds.as_secs_f64())?;
        dict.set_item("latency", self.expected.latency.0.as_secs_f64())?;
        dict.set_item("failure_rate", self.expected.failures.0)?;
        dict.set_item("extrapolated", plan.is_extrapolated)?;
        let advice = self.advice.as_ref();
        dict.set_item("helps", advice.map(|it| it.change.as_str()))?;
        dict.set_item("helps_seconds", advice.map(|it| it.finish.as_secs_f64()))?;
        Ok(dict)
    }
}

/// The name that the runner knows: without the number by which the process tells resources apart.
fn known_name(name: &str) -> String {
    let (whole, rest) = name.split_once('#').unwrap_or((name, ""));
    let part = rest.find('[').map_or("", |at| &rest[at..]);
    format!("{whole}{part}")
}

/// What is taken of a limit, in words, behind its text of at least this `width`.
fn limit(resource: &PlannedResource, (shown, is_money): &Shown, width: usize) -> String {
    match resource.utilisation {
        _ if *is_money => {
            let dollars = resource.charged.as_units() / 1e3;
            format!("{shown:<0$} ${dollars:.4} spent", width.max(LIMIT_WIDTH))
        }
        None => shown.clone(),
        Some(_) => limit_told(resource, shown, width),
    }
}
