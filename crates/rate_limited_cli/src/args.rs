//! The command line.
#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help, which is no Markdown"
)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use rate_limited::Amount;

use clap::{Args, Parser, Subcommand, ValueEnum};

#[cfg(feature = "simulate")]
use rate_limited_sim::http::Dialect;

use crate::asking::row_args::RowArgs;
use crate::calling::header::Header;
use crate::calling::waits::WaitArgs;
use crate::pages::help;
use crate::pages::manual::{CompletionsArgs, ManArgs};
use crate::planning::plan_args::PlanArgs;
use crate::reading::bad_line::BadLinePolicy;
pub(crate) use crate::recording::journal_args::{
    CleanArgs, Durability, JournalArgs, OnChange, OnUnknown, ReportArgs, ReportForm, StatusArgs,
};
use crate::refusal::Refusal;
use crate::running::price::{self, Prices};
use crate::values::duration::{self, DurationError};
use crate::values::limit::Limit;
use crate::values::size;
use crate::values::text::{grouped, quoted};
use crate::writing::reorder::Order;

/// Runs long lists of calls through rate-limited APIs as fast as the limits allow, and never faster.
#[derive(Debug, Parser)]
#[command(
    name = "rate-limited",
    bin_name = "rate-limited",
    version,
    after_help = help::FIRST_STEPS,
    after_long_help = help::of_all()
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Box<RunArgs>),
    Plan(Box<PlanArgs>),
    Apis(ApisArgs),
    Status(StatusArgs),
    Report(ReportArgs),
    Clean(CleanArgs),
    #[cfg(feature = "simulate")]
    Simulate(SimulateArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Run a file of requests through an API: an OpenAI-compatible one, or any that --api names.
///
/// The input has one request a line: in the batch file format (custom_id, method, url, body) or a bare
/// request body. A method is POST, or GET, which has a url and no body. The output has one line for each of them, in the batch output format and in the order
/// of the input. Results go to the output, everything else to standard error.
///
/// A journal beside the output (OUTPUT.journal) records each call before it leaves and each result before
/// it is told. The same command again goes on where the last run stopped, however that ended: what is done
/// is not sent again, and the limits count what was used before.
#[derive(Debug, Args)]
#[command(after_help = help::EXAMPLES, after_long_help = help::of_run())]
pub(crate) struct RunArgs {
    /// The requests, one a line (JSONL), or with --prompt the rows of a table; - is standard input
    ///
    /// A file without requests is refused; an empty standard input is no error (exit code 0).
    pub(crate) input: PathBuf,
    /// Where the results go; - is standard output
    ///
    /// May be left out where the input is standard input (then: standard output) and with --simulate
    /// (then: NAME.simulated.jsonl in the current folder, which later simulations replace, and no journal).
    #[arg(short, long, value_name = "OUTPUT")]
    pub(crate) output: Option<OsString>,
    /// Start a simulated API inside and send the requests there: no key, no network, no costs
    ///
    /// It allows requests=40/5s and tokens=20k/5s, or what --limit, --rpm and --tpm say; a few of its answers fail.
    #[cfg(feature = "simulate")]
    #[arg(long, conflicts_with_all = ["base_url", "key_file", "api", "pool"])]
    pub(crate) simulate: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Write a report at the end: a page with pictures (.html), data (.json) or lines (.txt)
    ///
    /// With a journal it can be had later, too: `rate-limited report OUTPUT`.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Print progress as JSON, one object a second, to standard error, instead of a bar
    ///
    /// Other lines there do not begin with a brace; --quiet leaves them out.
    #[arg(long)]
    pub(crate) json_progress: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
    #[command(flatten)]
    pub(crate) cost: CostArgs,
    #[command(flatten)]
    pub(crate) rows: RowArgs,
    #[command(flatten)]
    pub(crate) lines: LineArgs,
    #[command(flatten)]
    pub(crate) journal: JournalArgs,
}

impl RunArgs {
    /// Whether nothing that may have been done is sent again.
    pub(crate) fn sends_once(&self) -> bool {
        self.journal.on_unknown != OnUnknown::Retry
    }

    #[cfg(feature = "simulate")]
    pub(crate) fn simulates(&self) -> bool {
        self.simulate
    }

    #[cfg(not(feature = "simulate"))]
    #[expect(
        clippy::unused_self,
        reason = "with the feature it depends on the option"
    )]
    pub(crate) fn simulates(&self) -> bool {
        false
    }
}

/// List the APIs that are known, or explain one: its limits, what calls cost, what refusals mean.
#[derive(Debug, Args)]
pub(crate) struct ApisArgs {
    /// The API to explain: a name from the list, or a file that describes one
    #[arg(value_name = "NAME|FILE.toml")]
    pub(crate) api: Option<String>,
}

/// What the API allows.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// A limit of the API, such as requests=3500/1m or tokens=90k/1m; repeatable
    ///
    /// NAME is requests (each call takes 1) or tokens (each call takes its prompt and its longest
    /// answer, corrected to what the API says it used); with --api any that it meters, and it then
    /// replaces what the description says. One NAME may have limits for several windows. NAME[MODEL] is for
    /// one model, in which one * stands for any text: requests[gpt-4o*]=50/1m. Where the API has its limits for
    /// each model, each has those without brackets for itself; without --api all share them.
    ///
    /// A window slides, unless an @ and a time zone stand behind it: requests=1000/day@America/Los_Angeles is back at
    /// midnight there, "requests=1000/day@09:00 Europe/Berlin" at nine, tokens=5M/month@UTC on the first of the month,
    /// requests=60/minute@UTC with each minute of the clock. Changes to summer time and clocks that are set are heeded.
    #[arg(long = "limit", value_name = "NAME=QUOTA/WINDOW")]
    pub(crate) limits: Vec<Limit>,
    /// Requests per minute: short for --limit requests=N/1m
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = Limit::requests_per_minute)]
    pub(crate) rpm: Option<Limit>,
    /// Tokens per minute, such as 90k: short for --limit tokens=N/1m
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = Limit::tokens_per_minute)]
    pub(crate) tpm: Option<Limit>,
    /// How many calls may be in flight at once; auto finds out, from 64 upwards
    #[arg(long, value_name = "N|auto", default_value = "auto", allow_negative_numbers = true, value_parser = concurrency)]
    pub(crate) max_concurrent: Concurrency,
    /// The answer tokens to reserve for a request that has no limit of its own, such as max_tokens
    ///
    /// What the API then really used is settled; too small a number may cause refusals.
    #[arg(long, value_name = "N", default_value_t = 1_024, allow_negative_numbers = true, value_parser = count)]
    pub(crate) max_tokens_default: u64,
}

impl LimitArgs {
    /// All limits that were told, in whichever form.
    ///
    /// # Errors
    /// Two are for one resource and window.
    pub(crate) fn all(&self) -> Result<Vec<Limit>, Refusal> {
        let long = self
            .limits
            .iter()
            .map(|limit| (format!("--limit {limit}"), limit));
        let short = [("--rpm", &self.rpm), ("--tpm", &self.tpm)];
        let short = short.into_iter().filter_map(|(option, limit)| {
            let limit = limit.as_ref()?;
            Some((format!("{option} {}", limit.quota_written()), limit))
        });
        let told: Vec<_> = long.chain(short).collect();
        for (place, (second, limit)) in told.iter().enumerate() {
            let same = |(_, other): &&(String, &Limit)| other.is_beside(limit);
            if let Some((first, _)) = told[..place].iter().find(same) {
                let [first, second] = [first, second].map(Clone::clone);
                return Err(Refusal::Twice { first, second });
            }
        }
        Ok(told.into_iter().map(|(_, limit)| limit.clone()).collect())
    }
}

/// Where the API is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "API")]
pub(crate) struct ApiArgs {
    /// The API: one that `rate-limited apis` lists, or a file that describes one
    ///
    /// Its description says where it is, how the key is sent, what calls cost, what is charged, and
    /// what its refusals mean. Without it: an OpenAI-compatible API that charges the tokens it used.
    #[arg(long, value_name = "NAME|FILE.toml")]
    pub(crate) api: Option<String>,
    /// The plan of your account, whose limits the API's description has: `rate-limited apis NAME` lists them
    #[arg(long, value_name = "NAME", requires = "api")]
    pub(crate) tier: Option<String>,
    /// The model that is asked with --prompt, and for which the limits of the tier are taken
    ///
    /// Without --prompt requests name theirs themselves.
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Where the API is, such as http://localhost:8000/v1 [env: RATE_LIMITED_BASE_URL, OPENAI_BASE_URL] [default: that of the API]
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// The path for requests that have no url of their own
    ///
    /// Default: that of the API, such as /v1/chat/completions, and /v1/embeddings for bodies with nothing
    /// but an input.
    #[arg(long, value_name = "PATH", value_parser = endpoint)]
    pub(crate) endpoint: Option<String>,
    /// The environment variable that holds the key [default: that of the API, such as OPENAI_API_KEY]
    #[arg(long, value_name = "NAME", conflicts_with = "key_file", value_parser = variable_name)]
    pub(crate) key_env: Option<String>,
    /// A file that holds the key; keys are never taken from arguments
    #[arg(long, value_name = "PATH")]
    pub(crate) key_file: Option<PathBuf>,
    /// A file that lists several keys of one or more accounts, each with its limits
    ///
    /// Each [[member]] of it has a name, a key_env or key_file, and, where they are its own, a base_url, a model that
    /// takes the place of that of requests, limits such as requests=500/1m, and an account: members of one account
    /// share its limits. The member with most room takes the next call. One whose key is bad or exhausted is
    /// dropped and told, and its calls go to others. --base-url is that of members without one.
    #[arg(long, value_name = "FILE.toml", conflicts_with_all = ["key_env", "key_file", "limits", "rpm", "tpm"])]
    pub(crate) pool: Option<PathBuf>,
    /// A header for every request, such as "Notion-Version: 2026-03-11"; repeatable
    ///
    /// One of the client's own, such as User-Agent, is replaced. Not for keys.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = Header::from_str)]
    pub(crate) headers: Vec<Header>,
    /// The longest answer that is read, such as 64MiB; a longer one fails its call
    #[arg(long, value_name = "SIZE", default_value = "64MiB", allow_negative_numbers = true, value_parser = size::parse)]
    pub(crate) max_answer: u64,
    #[command(flatten)]
    pub(crate) waits: WaitArgs,
}

/// How calls are made.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pace")]
pub(crate) struct PaceArgs {
    /// How often a failed call is tried again; refusals by a limit do not count
    ///
    /// Nor do failures during an outage: when too many calls fail, single attempts probe the API until
    /// one succeeds. A run with nothing but failures and refusals stops after 30 minutes.
    #[arg(long, value_name = "N", default_value_t = 5, allow_negative_numbers = true, value_parser = retries)]
    pub(crate) max_retries: u16,
    /// How long one attempt may take
    #[arg(long, value_name = "DURATION", default_value = "600s", value_parser = some_time)]
    pub(crate) timeout: Duration,
    /// How long the whole run may take, such as 6h; calls in flight may then go on for --grace
    ///
    /// What is left at the end is written as not run; the same command again runs it.
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    pub(crate) deadline: Option<Duration>,
    /// End the run when all that is left must wait longer than this, such as 1h
    ///
    /// For limits by the day, and for servers that ask to come back tomorrow: the run says until when, and
    /// the same command again goes on.
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    pub(crate) max_wait: Option<Duration>,
    /// How long calls in flight may go on after the first Ctrl-C or the deadline
    ///
    /// A second Ctrl-C cuts them off at once.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    pub(crate) grace: Duration,
    /// Which of the waiting calls goes first
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub(crate) schedule: Schedule,
}

/// What a run may cost.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cost")]
pub(crate) struct CostArgs {
    /// The most that the run may cost, in dollars, such as 5.00; what a journal knows of earlier runs counts
    ///
    /// Each attempt reserves before it is sent what it may cost at most: every byte of the request as a token, and the
    /// longest answer; the rest comes back when the answer says what was used. What fails counts in full, what the API rejects (4xx) not. So the
    /// sum is never passed, as long as the prices are right. Nothing is sent if a price is not known or a
    /// request has no bound. The run ends with exit code 3 when nothing that is left fits.
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, value_parser = price::parse)]
    pub(crate) max_cost: Option<Amount>,
    /// What a million tokens cost, in dollars, such as input=0.15,output=0.60 [default: what --api knows]
    ///
    /// With request=0.005 each request costs so much besides.
    #[arg(long, value_name = "NAME=DOLLARS,…", value_parser = price::parse_prices)]
    pub(crate) price: Option<Prices>,
}

/// How lines are read and written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Lines")]
pub(crate) struct LineArgs {
    /// Run only the first N requests, for a trial: the run without it goes on from there
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = first)]
    pub(crate) first: Option<u64>,
    /// A JSON Schema that the text of each answer must fit: what does not is asked again, up to --max-retries
    ///
    /// A code block around the JSON does no harm. If no answer fits, the line says what is wrong with the last one, and
    /// has it. Answers that a journal has already are not looked at again.
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
    /// In which order results are written
    #[arg(long, value_name = "ORDER", value_enum, default_value_t)]
    pub(crate) order: Order,
    /// What to do with lines that are no requests [default: fail; for standard input: record]
    #[arg(long, value_name = "POLICY", value_enum, hide_possible_values = false)]
    pub(crate) on_bad_line: Option<BadLinePolicy>,
}

/// Which of the waiting calls goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Schedule {
    /// The mix of large and small calls that keeps every limit busy.
    #[default]
    Packed,
    /// That of the input, as far as the limits allow.
    InOrder,
}

/// How many calls may be in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Concurrency {
    Auto,
    Fixed(u32),
}

/// Serve a simulated API on this machine, until Ctrl-C: an OpenAI-compatible one, or one like --api names.
///
/// It counts, refuses what is above its limits, and says in its headers how they stand. What it has seen is
/// at /stats. Without --api it has limits on requests and tokens in sliding windows, and charges the tokens
/// that were really used.
#[cfg(feature = "simulate")]
#[derive(Debug, Args)]

pub(crate) struct SimulateArgs {
    /// The API to speak like: its paths, its bodies, its limits, what it says of them, how it refuses
    ///
    /// One of: openai, azure_openai, groq, mistral, together, xai, openrouter, deepseek, vllm, llama_cpp,
    /// ollama, anthropic, gemini, voyage, cohere, github, github_graphql, shopify_graphql, stripe, slack,
    /// notion, crossref, generic.
    #[arg(long, value_name = "NAME", value_parser = Dialect::from_str)]
    pub(crate) api: Option<Dialect>,
    /// The port; 0 is any free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub(crate) port: u16,
    /// A limit, such as requests=500/1m or tokens=90k/1m; repeatable [default: requests=40/5s and
    /// tokens=20k/5s; with --api: none]
    #[arg(long = "limit", value_name = "NAME=QUOTA/WINDOW")]
    pub(crate) limits: Vec<Limit>,
    /// How long answers take: a duration, or two for anything between them [default: 400ms-1600ms]
    #[arg(long, value_name = "DURATION", value_parser = latency)]
    pub(crate) latency: Option<(Duration, Duration)>,
    /// The share of requests that fail with a 503, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, allow_negative_numbers = true, value_parser = share)]
    pub(crate) failure_rate: f64,
    /// Tell no limits in headers
    #[arg(long)]
    pub(crate) no_headers: bool,
    /// Where all chance comes from: the same seed gives the same answers
    #[arg(long, value_name = "N", default_value_t = 7, allow_negative_numbers = true, value_parser = count)]
    pub(crate) seed: u64,
}

fn concurrency(text: &str) -> Result<Concurrency, String> {
    match text.parse() {
        _ if text == "auto" => Ok(Concurrency::Auto),
        Ok(0) => Err("with 0 calls in flight nothing runs: give a number from 1, or auto".into()),
        Ok(number) => Ok(Concurrency::Fixed(number)),
        Err(_) => Err(format!(
            "{} is neither auto nor a whole number from 1 to {}",
            quoted(text),
            grouped(u32::MAX.into())
        )),
    }
}

fn first(text: &str) -> Result<u64, String> {
    match count(text)? {
        0 => Err("0 would run nothing: give a number from 1".to_owned()),
        number => Ok(number),
    }
}

fn retries(text: &str) -> Result<u16, String> {
    let number = whole(text, u16::MAX.into())?;
    u16::try_from(number).map_err(|error| error.to_string())
}

pub(crate) fn count(text: &str) -> Result<u64, String> {
    whole(text, u64::MAX)
}

/// A whole number, no sign, at most `most`.
fn whole(text: &str, most: u64) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| *number <= most);
    number.ok_or_else(|| {
        let most = grouped(most);
        format!("{} is not a whole number from 0 to {most}", quoted(text))
    })
}

fn variable_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(['=', '\0']) {
        return Err(format!(
            "{} names no variable: give a name such as OPENAI_API_KEY, not the key",
            quoted(text)
        ));
    }
    Ok(text.to_owned())
}

fn endpoint(text: &str) -> Result<String, String> {
    if text.starts_with('/') && !text.starts_with("//") {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{} is no path: write for example /v1/responses, and the host with --base-url",
        quoted(text)
    ))
}

/// A duration above zero.
pub(crate) fn some_time(text: &str) -> Result<Duration, String> {
    let duration = duration::parse(text).map_err(|error: DurationError| error.to_string())?;
    if duration.is_zero() {
        return Err(format!(
            "{} leaves no time for anything: give more",
            quoted(text)
        ));
    }
    Ok(duration)
}

#[cfg(feature = "simulate")]
fn latency(text: &str) -> Result<(Duration, Duration), String> {
    let parse = |text| duration::parse(text).map_err(|error| error.to_string());
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    let (least, most) = (parse(least)?, parse(most)?);
    if least > most {
        return Err(format!(
            "{} begins with the longer one: swap them",
            quoted(text)
        ));
    }
    Ok((least, most))
}

/// A share of attempts that leaves some of them to succeed.
pub(crate) fn share_below_one(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..1.0).contains(share));
    share.ok_or_else(|| {
        format!(
            "{} is no share of attempts: give a number from 0 to below 1",
            quoted(text)
        )
    })
}

#[cfg(feature = "simulate")]
fn share(text: &str) -> Result<f64, String> {
    let share = text
        .parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{} is no share: give a number from 0 to 1", quoted(text)))
}
