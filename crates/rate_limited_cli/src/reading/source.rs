//! The input, looked at before anything is sent.

use std::ffi::OsString;
use std::io::{self, BufReader};
use std::path::Path;

use crate::args::RunArgs;
use rate_limited::{Amount, Load};

use crate::asking::rows::{self, Form};
use crate::calling::meters::Meters;
use crate::calling::parts::Parts;
use crate::calling::preset::{Preset, Route};
use crate::calling::shares::Shares;
use crate::reading::bad_line::{BadLine, BadLinePolicy};
use crate::reading::feed::{FeedOptions, Items};
use crate::reading::input::{InputError, Reader};
use crate::reading::line::Glance;
use crate::reading::raw_lines::Behind;
use crate::reading::request::Request;
use crate::reading::scan::{Scan, Watch, scan_file_watched};
use crate::reading::too_large::TooLarge;
use crate::recording::census::{Census, Surveyed};
use crate::recording::plan::{Fate, Follower};
use crate::refusal::Refusal;
use crate::running::bill::{Bill, unpriced_told};
use crate::running::run;
use crate::writing::output::OutputTarget;
use crate::writing::prefix::Mark;

/// In so many steps a list is kept for a look ahead, unless its calls are large.
const LOAD_STEPS: usize = 4_096;

/// Where the requests come from.
#[derive(Debug)]
pub(crate) enum Source {
    File(Box<Scan>),
    Stdin(Form),
}

/// What a look at the input finds.
#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) source: Source,
    /// Known for a file.
    pub(crate) totals: Option<Totals>,
    /// Requests of a file that can never be sent, if there are any.
    pub(crate) too_large: Option<TooLarge>,
    /// What a journal knows of a file.
    pub(crate) surveyed: Option<Surveyed>,
    /// What is to be sent, for a look ahead.
    pub(crate) load: Option<Load>,
    /// How it is spread over models, where they have limits for themselves.
    pub(crate) shares: Option<Shares>,
}

/// How much this run has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    /// The most tokens that they are expected to take.
    pub(crate) tokens: u64,
    /// What they cost at most, where there is a bound on that.
    pub(crate) cost: Amount,
}

impl Source {
    /// Looks at the input: a file is read from beginning to end, and matched with the calls of its journal.
    ///
    /// # Errors
    /// A file that cannot be read, has bad lines where they are not wanted, or has no requests, or none
    /// that the limits ever let pass; a journal that cannot be read.
    pub(crate) fn look(
        args: &RunArgs,
        options: FeedOptions,
        meters: &Meters,
        census: Option<Census<'_>>,
    ) -> Result<Looked, Refusal> {
        if is_stdin(&args.input) {
            return Ok(Looked {
                source: Source::Stdin(options.form),
                totals: None,
                too_large: None,
                surveyed: None,
                load: None,
                shares: None,
            });
        }
        let (policy, form) = (options.policy, options.form.clone());
        let mut survey = Survey {
            options,
            census,
            seen: 0,
            totals: Totals::default(),
            too_large: TooLarge::under(meters),
            unpriced: None,
            is_wanted: true,
            // Limits that cannot be metered are refused when the runner is made.
            load: run::outlook(args, meters)
                .ok()
                .map(|it| it.load(LOAD_STEPS)),
            shares: parted(meters).map(|_| Shares::default()),
            meters,
        };
        let scan = scan_file_watched(&args.input, policy, &form, &mut survey)?;
        let Survey {
            census,
            seen,
            mut totals,
            too_large,
            unpriced,
            load,
            shares,
            ..
        } = survey;
        if let Some(unpriced) = unpriced {
            return Err(Refusal::Cost(unpriced));
        }
        let surveyed = census.map(Census::end).transpose()?;
        let too_large = too_large.filter(|found| found.requests > 0);
        let nothing_fits = too_large.as_ref().filter(|it| it.requests == seen);
        if let Some(found) = nothing_fits {
            return Err(Refusal::NothingFits(Box::new(found.clone())));
        }
        // Lines whose name an earlier one has were counted before that was known.
        totals.requests = totals.requests.min(scan.requests);
        let recorded = if policy == BadLinePolicy::Record {
            scan.bad_total
        } else {
            0
        };
        if scan.requests + recorded == 0 {
            return Err(Refusal::Empty(args.input.display().to_string()));
        }
        Ok(Looked {
            source: Source::File(Box::new(scan)),
            totals: Some(totals),
            too_large,
            surveyed,
            load,
            shares,
        })
    }

    /// The name, for people.
    pub(crate) fn name(&self) -> String {
        match self {
            Source::File(scan) => scan.path().display().to_string(),
            Source::Stdin(_) => "standard input".to_owned(),
        }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Source::File(scan) => Some(scan.path()),
            Source::Stdin(_) => None,
        }
    }

    /// The lines: from the beginning, or those that the survey did not find done.
    ///
    /// # Errors
    /// The file is not the one that was looked at.
    pub(crate) fn items(&self, plan: Option<(Follower, Mark)>) -> Result<Items, InputError> {
        let scan = match self {
            Source::File(scan) => scan,
            Source::Stdin(form) => {
                let stdin = BufReader::new(io::stdin());
                return Ok(Box::new(Reader::stream_of(stdin, "-", form)));
            }
        };
        let reader = Reader::open(scan)?;
        let Some((plan, mark)) = plan else {
            return Ok(Box::new(reader));
        };
        let path = scan.path().to_owned();
        let resumed = reader.resume(plan, mark);
        let resumed = resumed.map_err(|source| InputError::Open { path, source })?;
        Ok(Box::new(resumed))
    }
}

/// What is looked for in an input.
struct Survey<'a> {
    options: FeedOptions,
    census: Option<Census<'a>>,
    /// Requests so far, at most as many as are wanted.
    seen: u64,
    totals: Totals,
    too_large: Option<TooLarge>,
    /// The first request of which it is not known what it costs at most.
    unpriced: Option<String>,
    load: Option<Load>,
    shares: Option<Shares>,
    meters: &'a Meters,
    /// Whether the request at which a glance was had last belongs to the run.
    is_wanted: bool,
}

impl Watch for Survey<'_> {
    fn glance(&mut self, glance: &Glance<'_>, behind: Behind) -> bool {
        let is_one = self.seen < self.options.first.unwrap_or(u64::MAX);
        self.seen += u64::from(is_one);
        let fate = match &mut self.census {
            Some(census) => census.request(glance, behind),
            None => Some(Fate::Run),
        };
        let is_sent = matches!(fate, Some(Fate::Run | Fate::Last));
        self.is_wanted = is_one && is_sent;
        // A line that was answered once has a shape that can be sent.
        fate == Some(Fate::Over)
    }

    fn request(&mut self, request: &Request) {
        if !self.is_wanted {
            return;
        }
        let route = &self.options.route;
        let (costs, tokens) = self.options.measured(request);
        self.totals.tokens = self.totals.tokens.saturating_add(tokens);
        self.totals.requests += 1;
        let mut bound = None;
        if let Some(bill) = &self.options.bill {
            match bill.charge(request, route) {
                Ok(charge) => {
                    bound = Some(charge.bound);
                    self.totals.cost = self.totals.cost + charge.bound;
                }
                Err(why) if self.unpriced.is_none() => {
                    self.unpriced = Some(unpriced_told(&why, request.line));
                }
                Err(_) => {}
            }
        }
        if let Some(load) = &mut self.load {
            let amounts = self.meters.amounts(tokens, &costs, bound);
            let keys = self.meters.keys(request.model.as_deref(), &costs);
            load.add_parts(&amounts, &keys);
        }
        if let Some((shares, parts)) = self.shares.as_mut().zip(parted(self.meters)) {
            shares.add(parts.key(request.model.as_deref(), &costs), tokens);
        }
        if let Some(too_large) = &mut self.too_large {
            too_large.look(request.line, tokens);
        }
    }

    fn bad_line(&mut self, bad: &BadLine, behind: Behind) {
        if let Some(census) = &mut self.census {
            census.bad_line(bad, behind);
        }
    }
}

/// What tells the parts of the first limit apart that has any.
fn parted(meters: &Meters) -> Option<&Parts> {
    meters.parts().find(|parts| parts.are_there())
}

/// As [`options`], where prices may be told without a bound.
///
/// # Errors
/// A bound on costs without prices.
pub(crate) fn options_priced(
    args: &RunArgs,
    preset: Option<Preset>,
    form: Form,
) -> Result<FeedOptions, Refusal> {
    let price = args.cost.price.filter(|_| args.cost.max_cost.is_some());
    let bill = Bill::of(args.cost.max_cost, price, preset)?;
    Ok(options_with(args, preset, form, bill))
}

/// What is done with lines, and with how many.
///
/// # Errors
/// A bound on costs without prices.
pub(crate) fn options(
    args: &RunArgs,
    preset: Option<Preset>,
    form: Form,
) -> Result<FeedOptions, Refusal> {
    let bill = Bill::of(args.cost.max_cost, args.cost.price, preset)?;
    Ok(options_with(args, preset, form, bill))
}

fn options_with(
    args: &RunArgs,
    preset: Option<Preset>,
    form: Form,
    bill: Option<Bill>,
) -> FeedOptions {
    let policy = if is_stdin(&args.input) {
        BadLinePolicy::Record
    } else {
        BadLinePolicy::Fail
    };
    FeedOptions {
        policy: args.lines.on_bad_line.unwrap_or(policy),
        answer_default: args.limits.max_tokens_default,
        route: Route::new(preset, args.api.endpoint.as_deref()),
        first: args.lines.first,
        bill,
        form,
    }
}

/// Where the results go.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) output: OutputTarget,
    /// Whether nobody named it: only simulations write such a file, and their results are worth nothing.
    pub(crate) is_worthless: bool,
}

/// Where the results go.
///
/// # Errors
/// Nobody said it, and a file is too precious to guess.
pub(crate) fn target(args: &RunArgs) -> Result<Target, Refusal> {
    let told = |output| Target {
        output,
        is_worthless: false,
    };
    match &args.output {
        Some(output) if output.is_empty() => Err(Refusal::NoOutput),
        Some(output) => Ok(told(output.clone().into())),
        None if is_stdin(&args.input) => Ok(told(OutputTarget::Stdout)),
        None if args.simulates() => {
            let name = args.input.file_stem();
            let mut name = name.map_or_else(OsString::new, OsString::from);
            name.push(".simulated.");
            name.push(rows::ending(args));
            Ok(Target {
                output: OutputTarget::File(name.into()),
                // Who names a journal wants to go on with it.
                is_worthless: args.journal.path.is_none(),
            })
        }
        None => Err(Refusal::NoOutput),
    }
}

pub(crate) fn is_stdin(input: &Path) -> bool {
    input == Path::new("-")
}
