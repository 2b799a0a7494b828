//! A plan in words: the lines that each face tells of it.

use std::fmt::Write as _;
use std::time::Duration;

use rate_limited_core::{Amount, Plan, PlannedResource, Stop};

use crate::human::Human;
use crate::words::{counted, grouped, whole};

/// What a change must save of the time to be worth a word.
const WORTH: f64 = 0.05;

/// The most parts of resources that are shown to people.
const PARTS_SHOWN: usize = 12;

/// How many calls are named of those that can never run.
const NAMED: usize = 5;

/// A plan, to be told.
///
/// ```
/// use rate_limited_core::{
///     Amount, Assumed, Limiter, Load, Quota, Resource, Scheduler, Settings, Time,
/// };
/// use rate_limited_report::Foretold;
///
/// let now = Time::PROCESS_START;
/// let mut limiter = Limiter::new(now);
/// limiter.add(Resource::new("requests", Quota::per_minute(Amount::units(60))))?;
/// let scheduler = Scheduler::new(&mut limiter, Settings::default(), now);
/// let mut load = Load::new(&limiter, &Settings::default(), 100_000);
/// for _ in 0..150 {
///     load.add(&[Amount::units(1)]);
/// }
/// let plan = scheduler.plan(&limiter, &load, &Assumed::default(), now);
/// let told = Foretold(&plan);
/// assert_eq!(told.finish(None), "after 2 m 1 s");
/// assert_eq!(told.binding(), "requests for 2 m");
/// # Ok::<(), rate_limited_core::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Foretold<'a>(pub &'a Plan);

impl<'a> Foretold<'a> {
    /// When it is over. `spent`: what is spent where calls are left over that no deadline and no stop leaves.
    pub fn finish(self, spent: Option<&str>) -> String {
        let Plan {
            finish, unfinished, ..
        } = self.0;
        let never = self.0.never_fit.len() as u64;
        let mut told = format!("after {}", Human(*finish));
        let left = unfinished.saturating_sub(never);
        if left > 0 {
            let why = match (self.0.stop, spent) {
                (Some(Stop::Deadline), _) => "the deadline comes first".to_owned(),
                (None, Some(spent)) => format!("the costs would pass {spent}"),
                _ => "the run stops early".to_owned(),
            };
            let calls = counted(left, "call", "calls");
            // Writing to a string cannot fail.
            let _ = write!(told, ", with {calls} not run: {why}");
        }
        if self.0.is_extrapolated {
            told.push_str(", the last part of it by the pace of the first");
        }
        told
    }

    /// The limits that are shown, those of parts that are waited for longest first, and how many are not.
    pub fn limits(self) -> (Vec<&'a PlannedResource>, usize) {
        let (whole, mut parts): (Vec<_>, Vec<_>) =
            self.0.resources.iter().partition(|it| it.part_of.is_none());
        let has_parts =
            |it: &PlannedResource| parts.iter().any(|part| part.part_of == Some(it.resource));
        let is_used = |it: &&PlannedResource| it.reserved > Amount::ZERO || !has_parts(it);
        let mut shown: Vec<_> = whole.into_iter().filter(is_used).collect();
        if parts.len() > PARTS_SHOWN {
            parts.sort_by_key(|it| std::cmp::Reverse((it.binds, it.charged)));
        }
        let left_out = parts.len().saturating_sub(PARTS_SHOWN);
        shown.extend(parts.into_iter().take(PARTS_SHOWN));
        (shown, left_out)
    }

    /// What keeps calls waiting longest: the name of a resource, `in flight`, or nothing.
    pub fn binding_name(&self) -> Option<&str> {
        match self.0.binding() {
            Some(resource) => Some(&resource.name),
            None if self.0.concurrency_binds.is_zero() => None,
            None => Some("in flight"),
        }
    }

    /// What keeps calls waiting longest, and for how long.
    pub fn binding(self) -> String {
        let slots = self.0.concurrency_binds;
        match self.0.binding() {
            Some(it) => format!("{} for {}", it.name, Human(it.binds)),
            None if slots.is_zero() => "nothing: all of it fits at once".to_owned(),
            None => format!(
                "{} in flight, for {}",
                grouped(self.0.in_flight_max),
                Human(slots)
            ),
        }
    }
}

/// The least width of a limit's text in a plan.
pub const LIMIT_WIDTH: usize = 22;

/// What is taken of a limit, which is `shown` like that, behind its text of at least this `width`.
pub fn limit_told(resource: &PlannedResource, shown: &str, width: usize) -> String {
    let width = width.max(LIMIT_WIDTH);
    let share = resource.utilisation.unwrap_or_default() * 100.0;
    let waits = if resource.binds.is_zero() {
        "never waited for".to_owned()
    } else {
        format!("waited for {}", Human(resource.binds))
    };
    format!(
        "{shown:<width$} {} taken, {share:.0} % of what it lets through; {waits}",
        whole(resource.charged.as_units())
    )
}

/// What is said of calls that are above a limit: how many, which limits, and the first of the `places` where they
/// stand, of which each is a `place` (a line, a call).
pub fn never_told(
    (one, many): (&str, &str),
    calls: u64,
    above: &[String],
    place: &str,
    places: &[u64],
) -> String {
    let shown: Vec<_> = places.iter().take(NAMED).map(|it| grouped(*it)).collect();
    let more = if calls > shown.len() as u64 {
        ", …"
    } else {
        ""
    };
    format!(
        "{} above {} and can never be sent ({place} {}{more})",
        counted(calls, &format!("{one} is"), &format!("{many} are")),
        above.join(" or "),
        shown.join(", "),
    )
}

/// What is assumed of answers: `answers` says what else is of them, `failures` where the last number comes from.
pub fn assumed_told(latency: (Duration, &str), answers: &str, failures: (f64, &str)) -> String {
    let ((latency, of_latency), (rate, of_rate)) = (latency, failures);
    let failures = match rate {
        0.0 => "nothing fails".to_owned(),
        rate => format!("{:.1} % of attempts fail", rate * 100.0),
    };
    format!(
        "answers take {} ({of_latency}){answers}; {failures} ({of_rate})",
        Human(latency)
    )
}

/// One change that would make a run shorter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What to change, in words.
    pub change: String,
    /// How long the run then takes.
    pub finish: Duration,
}

impl Advice {
    /// The change that would make the run shortest, if any is worth a word: one that saves 5 % of the time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rate_limited_report::Advice;
    ///
    /// let advice = |secs| Advice { change: "twice the limit".into(), finish: Duration::from_secs(secs) };
    /// let best = Advice::best(Duration::from_secs(100), [advice(60), advice(50)]);
    /// assert_eq!(best.expect("half the time").told(), "most: twice the limit: 50 s");
    /// assert_eq!(Advice::best(Duration::from_secs(100), [advice(96)]), None);
    /// ```
    pub fn best(finish: Duration, all: impl IntoIterator<Item = Advice>) -> Option<Advice> {
        let worth = finish.mul_f64(1.0 - WORTH);
        let all = all.into_iter().filter(|advice| advice.finish < worth);
        all.min_by_key(|advice| advice.finish)
    }

    /// In words.
    pub fn told(&self) -> String {
        format!("most: {}: {}", self.change, Human(self.finish))
    }
}

/// Lines, each with a word at its beginning that says what it is about; an empty one goes on with the line before.
///
/// ```
/// let lines = [("calls", "12 requests".to_owned()), ("finish", "after 2 s".to_owned())];
/// assert_eq!(rate_limited_report::plan_lines(lines), "calls     12 requests\nfinish    after 2 s\n");
/// ```
pub fn plan_lines<'a>(lines: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut text = String::new();
    for (name, words) in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<9} {words}");
    }
    text
}
