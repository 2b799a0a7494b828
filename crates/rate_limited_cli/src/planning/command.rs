//! `rate-limited plan`: what a run will come to, before anything is sent.

use std::io::{self, BufReader};

use rate_limited::http::Unit;
use rate_limited::{Amount, Assumed, Load, Outlook};
use rate_limited_report::never_told;

use crate::args::{Concurrency, RunArgs};
use crate::asking::rows::Form;
use crate::calling::meters::Meters;
use crate::calling::preset::Preset;
use crate::exit::Exit;
use crate::planning::advice;
use crate::planning::plan_args::PlanArgs;
use crate::planning::plan_limits::Limits;
use crate::planning::plan_told::Told;
use crate::reading::bad_line::{BadLine, BadLinePolicy};
use crate::reading::feed::FeedOptions;
use crate::reading::input::{Item, Reader};
use crate::reading::line::Glance;
use crate::reading::raw_lines::Behind;
use crate::reading::request::Request;
use crate::reading::scan::{Watch, scan_file_watched};
use crate::reading::source;
use crate::recording::earlier::{Asked, Earlier};
use crate::refusal::Refusal;
use crate::running::bill::{Bill, unpriced_told};
use crate::running::run;
use crate::telling::say::fitted;
use crate::writing::output::OutputTarget;

/// Longer lists are planned in steps of several calls.
const STEPS: usize = 200_000;

/// The lines of requests that can never be sent, as far as they are kept.
const LINES_KEPT: usize = 1_000;

/// Plans what the command line says.
pub(crate) fn plan(args: &PlanArgs) -> Exit {
    Exit::printing(text(args))
}

fn text(args: &PlanArgs) -> Result<String, Refusal> {
    let run = &args.run;
    let preset = run.api.api.as_deref().map(Preset::named).transpose()?;
    let output = run.output.clone().map_or(OutputTarget::Stdout, Into::into);
    let form = Form::of(run, preset, &output)?;
    let prices = Bill::priced(run.cost.price, preset);
    let mut options = source::options_priced(run, preset, form)?;
    let limits = Limits::told(run, preset)?;
    let meters = limits.meters(options.bill.clone())?;
    options.bill = options.bill.or(prices);
    let outlook = run::outlook(run, &meters).map_err(|error| Refusal::Run(error.into()))?;
    let earlier = Earlier::of(run, &meters, || limits.api(run))?;
    let outlook = match &earlier {
        Some(earlier) => earlier.outlook(outlook),
        None => outlook,
    };
    let mut work = Work::new(args, &outlook, &meters, options);
    work.earlier = earlier;
    work.read(args)?;
    work.check(args)?;
    let assumed = work.assumed(args, &outlook);
    let plan = outlook.plan(&work.load, &assumed);
    let advice = advice::of(args, &work, &plan, &assumed, &limits);
    let told = Told {
        args,
        work: &work,
        plan: &plan,
        meters: &meters,
        advice: advice.as_ref(),
    };
    Ok(if args.json {
        told.json()
    } else {
        fitted(told.text())
    })
}

/// What is to be done, in sums.
pub(crate) struct Work<'a> {
    meters: &'a Meters,
    options: FeedOptions,
    answer_tokens: Option<u64>,
    /// Requests that were seen, at most as many as are wanted.
    seen: u64,
    is_wanted: bool,
    pub(crate) load: Load,
    /// The same calls, did each reserve only what it is expected to use.
    pub(crate) lean: Load,
    pub(crate) prompts: u64,
    /// The most tokens that answers may have.
    pub(crate) answers_max: u64,
    /// The tokens that they are expected to have.
    pub(crate) answers: u64,
    pub(crate) cost: Cost,
    pub(crate) never: Never,
    /// What earlier runs have done of it.
    pub(crate) earlier: Option<Earlier>,
}

/// What requests cost.
#[derive(Debug, Default)]
pub(crate) struct Cost {
    /// Whether prices are known.
    pub(crate) is_known: bool,
    pub(crate) most: Amount,
    pub(crate) expected: Amount,
    /// Why it is not known of some.
    pub(crate) unpriced: Option<String>,
}

/// Requests that can never be sent.
#[derive(Debug, Default)]
pub(crate) struct Never {
    pub(crate) requests: u64,
    /// The first lines of them.
    pub(crate) lines: Vec<u64>,
    /// The places of the limits that they are above.
    pub(crate) above: Vec<usize>,
}

impl<'a> Work<'a> {
    fn new(
        args: &PlanArgs,
        outlook: &Outlook,
        meters: &'a Meters,
        options: FeedOptions,
    ) -> Work<'a> {
        Work {
            meters,
            answer_tokens: args.expected.answer_tokens,
            seen: 0,
            is_wanted: true,
            load: outlook.load(STEPS),
            lean: outlook.load(STEPS),
            prompts: 0,
            answers_max: 0,
            answers: 0,
            cost: Cost {
                is_known: options.bill.is_some(),
                ..Cost::default()
            },
            never: Never::default(),
            earlier: None,
            options,
        }
    }

    fn read(&mut self, args: &PlanArgs) -> Result<(), Refusal> {
        let (policy, form) = (self.options.policy, self.options.form.clone());
        let input = &args.run.input;
        if !source::is_stdin(input) {
            scan_file_watched(input, policy, &form, self)?;
            return Ok(());
        }
        for item in Reader::stream_of(BufReader::new(io::stdin()), "-", &form) {
            match item? {
                Item::Request(request) => {
                    self.count(&Asked {
                        line: request.line,
                        custom_id: request.custom_id.as_deref(),
                        url_path: request.url_path.as_deref(),
                        body: &request.body,
                    });
                    self.request(&request);
                }
                Item::Bad(_) if policy != BadLinePolicy::Fail => {}
                Item::Bad(bad) => return Err(Refusal::Plan(bad.to_string())),
                Item::Over { .. } => {}
            }
        }
        Ok(())
    }

    /// Whether there is anything to plan.
    fn check(&mut self, args: &PlanArgs) -> Result<(), Refusal> {
        if let Some(earlier) = &mut self.earlier {
            earlier.check()?;
        }
        if self.earlier.as_ref().is_some_and(|it| it.total() > 0) && self.never.requests == 0 {
            return Ok(());
        }
        match (self.load.calls(), self.never.requests) {
            (0, 0) => Err(Refusal::Empty(args.run.input.display().to_string())),
            (0, _) => Err(Refusal::Plan(format!(
                "{}: raise the limit if the API allows it, or lower max_tokens in the requests",
                self.never_told().unwrap_or_default()
            ))),
            _ => Ok(()),
        }
    }

    /// Looks whether a request belongs to the run and is still to be sent.
    fn count(&mut self, asked: &Asked<'_>) {
        let is_one = self.seen < self.options.first.unwrap_or(u64::MAX);
        self.seen += u64::from(is_one);
        let is_left = |earlier: &mut Earlier| earlier.leaves(asked);
        self.is_wanted = is_one && self.earlier.as_mut().is_none_or(is_left);
    }

    /// A run that has not begun, with other limits or another bound on calls in flight.
    pub(crate) fn outlook(
        &self,
        args: &RunArgs,
        meters: &Meters,
        max_concurrent: Concurrency,
    ) -> Option<Outlook> {
        let outlook = run::outlook_of(args, meters, max_concurrent).ok()?;
        Some(match &self.earlier {
            Some(earlier) => earlier.outlook(outlook),
            None => outlook,
        })
    }

    /// The tokens of a request's answers: at most, and expected.
    fn answers_of(&self, request: &Request) -> (u64, u64) {
        let measured = self.options.route.measured(request);
        if !measured.generates {
            return (0, 0);
        }
        let one = measured.answer_max.unwrap_or(self.options.answer_default);
        let expected = self.answer_tokens.map_or(one, |told| told.min(one));
        let times = |tokens: u64| tokens.saturating_mul(measured.answers.max(1));
        (times(one), times(expected))
    }

    /// What a request costs: at most, and by the answer that is expected.
    fn charge(&self, request: &Request, prompt: u64, expected: u64) -> Option<Charged> {
        let bill = self.options.bill.as_ref()?;
        let charge = bill.charge(request, &self.options.route);
        let charge = charge.map_err(|why| unpriced_told(&why, request.line));
        Some(charge.map(|charge| {
            let probable = charge.cost(prompt as f64, expected as f64);
            (charge.bound, probable.min(charge.bound))
        }))
    }

    /// What is assumed of answers: of each resource the share of its bound that they use.
    fn assumed(&self, args: &PlanArgs, outlook: &Outlook) -> Assumed {
        let part = |used: u64, most: u64| used as f64 / most.max(1) as f64;
        let share = |unit| match unit {
            Unit::Tokens => part(self.prompts + self.answers, self.prompts + self.answers_max),
            Unit::OutputTokens => part(self.answers, self.answers_max),
            _ => 1.0,
        };
        let bill = self.cost.expected.as_units() / self.cost.most.as_units().max(1e-9);
        let shares = self.meters.slots().into_iter();
        let shares = shares.map(|slot| share(slot.unit()));
        let shares = shares.chain(self.meters.bill().map(|_| bill));
        Assumed {
            latencies: vec![args.expected.latency],
            failure_rate: args.expected.failure_rate,
            used: outlook.resources().into_iter().zip(shares).collect(),
            ..Assumed::default()
        }
    }

    /// The bound on costs, if there is one.
    pub(crate) fn bill(&self) -> Option<&Bill> {
        self.meters.bill()
    }

    /// The requests that can never be sent, in words.
    pub(crate) fn never_told(&self) -> Option<String> {
        self.never.told(self.meters)
    }
}

impl Watch for Work<'_> {
    fn glance(&mut self, glance: &Glance<'_>, _: Behind) -> bool {
        self.count(&Asked {
            line: glance.line,
            custom_id: glance.custom_id.as_deref(),
            url_path: glance.url_path.as_deref(),
            body: glance.body.as_bytes(),
        });
        false
    }

    fn request(&mut self, request: &Request) {
        if !self.is_wanted {
            return;
        }
        let (costs, tokens) = self.options.measured(request);
        let (answers_max, answers) = self.answers_of(request);
        let prompt = request.prompt.tokens();
        let charge = self.charge(request, prompt, answers);
        let amounts = self
            .meters
            .amounts(tokens, &costs, bound_of(charge.as_ref()));
        let keys = self.meters.keys(request.model.as_deref(), &costs);
        if let Some(resource) = self.load.add_parts(&amounts, &keys) {
            self.never.add(request.line, resource.index());
            return;
        }
        self.cost.add(charge);
        self.prompts = self.prompts.saturating_add(prompt);
        self.answers_max = self.answers_max.saturating_add(answers_max);
        self.answers = self.answers.saturating_add(answers);
        if answers < answers_max {
            let saved = answers_max - answers;
            let lean = self.meters.lean(&amounts, saved);
            self.lean.add_parts(&lean, &keys);
        } else {
            self.lean.add_parts(&amounts, &keys);
        }
    }

    fn bad_line(&mut self, _: &BadLine, _: Behind) {}
}

/// What a request costs, at most and probably; or why that is not known.
type Charged = Result<(Amount, Amount), String>;

fn bound_of(charge: Option<&Charged>) -> Option<Amount> {
    charge?.as_ref().ok().map(|(bound, _)| *bound)
}

impl Cost {
    fn add(&mut self, charge: Option<Charged>) {
        match charge {
            None => {}
            Some(Ok((bound, probable))) => {
                self.most = self.most + bound;
                self.expected = self.expected + probable;
            }
            Some(Err(why)) => {
                self.unpriced.get_or_insert(why);
            }
        }
    }
}

impl Never {
    fn add(&mut self, line: u64, above: usize) {
        self.requests += 1;
        if self.lines.len() < LINES_KEPT {
            self.lines.push(line);
        }
        if !self.above.contains(&above) {
            self.above.push(above);
        }
    }

    fn told(&self, meters: &Meters) -> Option<String> {
        if self.requests == 0 {
            return None;
        }
        let limit = |place: &usize| {
            let meter = meters.get(*place);
            meter.map_or_else(|| "--max-cost".to_owned(), |meter| meter.limit.to_string())
        };
        let above: Vec<_> = self.above.iter().map(limit).collect();
        Some(never_told(
            ("request", "requests"),
            self.requests,
            &above,
            "line",
            &self.lines,
        ))
    }
}
