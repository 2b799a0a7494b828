//! The options of `plan`.

use std::time::Duration;

use clap::Args;

use crate::args::{RunArgs, count, share_below_one, some_time};
use crate::pages::help;

/// Say what a run will come to: its end, its costs, which limit binds. Nothing is sent, no key is needed.
///
/// It takes the options of `run`, also those that only matter there, so that one word of a command line makes a plan
/// of a run. The same scheduler runs on virtual time. What is not known before is
/// assumed: how long answers take and are. Where a journal is, what is left is planned, after what was used.
#[derive(Debug, Args)]
#[command(after_help = help::AS_RUN, after_long_help = help::of_plan(HELP))]
pub(crate) struct PlanArgs {
    /// Print the plan as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) expected: ExpectedArgs,
}

/// What is expected of answers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Expected")]
pub(crate) struct ExpectedArgs {
    /// How long an answer takes
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = some_time)]
    pub(crate) latency: Duration,
    /// The tokens of an answer [default: as many as it may have, which is the worst case]
    ///
    /// A trial tells: run the first hundred requests with --first 100.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count)]
    pub(crate) answer_tokens: Option<u64>,
    /// The share of attempts that fail and are tried again, from 0 to below 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, allow_negative_numbers = true, value_parser = share_below_one)]
    pub(crate) failure_rate: f64,
}

const HELP: &str = "\
Exit codes:
    0  the plan is made
    2  bad usage or bad input, or no request could ever be sent";
