//! The parts of the command `rate-limited`: what it reads, what it writes, what it estimates.
//!
//! The crate exists for the command; as a library it promises nothing from one version to the next.
//!
//! | module | what it holds |
//! |---|---|
//! | [`limit`], [`duration`], `size` | the values of options |
//! | [`input`], [`scan`], [`request`], [`bad_line`] | from lines to requests |
//! | `row_args`, `rows`, `header`, `csv_lines`, `template`, `maker`, `body` | from rows of a table, and a prompt, to requests |
//! | [`row`], `answer_text` | from answers to rows of a table |
//! | [`record`], [`output`], [`sink`], [`reorder`] | from results to lines, in order |
//! | [`estimate`] | the tokens that a request may take |
//! | `args`, `refusal`, `exit` | the command line, what is refused, the exit codes |
//! | `run`, `execute`, `state`, `files` | a run: prepared, carried out, shared by its parts |
//! | `source`, `feed`, `job`, `too_large` | the input on its way to the runner |
//! | `journal`, `identity` | where a run is recorded, and what requests are known by there |
//! | `prepare`, `census`, `plan`, `recall` | the input matched with the journal: what becomes of each line |
//! | `prefix`, `so_far`, `recorded` | how much of an output stays, and lines that are only in the journal |
//! | `api`, `backend`, `pool`, `preset`, `key`, `header`, `waits`, `call`, `gate`, `meter`, `meters`, `untold`, `parts`, `shares`, `work`, `feedback`, `names` | one attempt, and what it is limited by |
//! | `schema`, `verdict`, `tally`, `outlet`, `stop`, `signals`, `patience`, `ending`, `again` | what came of the calls, and of the run |
//! | `opening`, `progress`, `progress_json`, `members`, `status`, `standing`, `forecast`, `latencies`, `binding`, `found`, `warnings`, `say`, `when` | what people are told |
//! | `bill`, `price` | what calls cost, and the most that a run may |
//! | `observer`, `reports`, `examples` | what is counted of a run, and the reports made of it: the command `report` |
//! | `planning`, `plan_args`, `plan_limits`, `earlier`, `journal_args`, `plan_told`, `advice` | the command `plan` |
//! | `report`, `clean`, `apis` | the commands `status`, `clean` and `apis` |
//! | `manual`, `reference` | man pages, what shells complete, and a page of Markdown |
//! | `simulation`, `serve` (feature `simulate`) | the simulated API |

mod advice;
mod again;
mod answer_text;
mod api;
mod apis;
mod args;
mod backend;
pub mod bad_line;
mod bill;
mod binding;
mod body;
mod call;
mod census;
mod clean;
mod csv_lines;
mod decimal;
pub mod duration;
mod earlier;
mod ending;
pub mod estimate;
mod examples;
mod execute;
mod exit;
mod feed;
mod feedback;
mod files;
mod forecast;
mod found;
mod gate;
mod header;
mod identity;
pub mod input;
mod job;
mod journal;
mod journal_args;
mod judge;
mod key;
mod latencies;
pub mod limit;
mod line;
mod maker;
mod manual;
mod members;
mod meter;
mod meters;
mod names;
mod observer;
mod offsets;
mod opening;
mod outlet;
pub mod output;
mod parts;
mod patience;
mod plan;
mod plan_args;
mod plan_limits;
mod plan_told;
mod planning;
mod pool;
mod prefix;
mod prepare;
mod preset;
mod price;
mod progress;
mod progress_json;
mod raw_lines;
mod recall;
pub mod record;
mod recorded;
mod reference;
mod refusal;
pub mod reorder;
mod repeats;
mod report;
mod reports;
pub mod request;
pub mod row;
mod row_args;
mod rows;
mod run;
mod say;
pub mod scan;
mod schema;
mod scratch;
mod seen;
#[cfg(feature = "simulate")]
mod serve;
mod shape;
mod shares;
mod signals;
#[cfg(feature = "simulate")]
mod simulation;
pub mod sink;
mod size;
mod so_far;
mod source;
mod spill;
mod stamp;
mod standing;
mod state;
mod status;
mod stop;
mod table_header;
mod tally;
mod template;
mod text;
mod too_large;
mod untold;
mod verdict;
mod waits;
mod warnings;
mod when;
mod work;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;

use crate::args::{Cli, Command};
use crate::exit::Exit;

/// Runs the command line `args`, whose first item is the name of the program, and gives the exit code.
///
/// ```
/// assert_eq!(rate_limited_cli::main(["rate-limited", "--version"]), 0);
/// assert_eq!(rate_limited_cli::main(["rate-limited", "run", "no-such-file.jsonl", "-o", "-"]), 2);
/// ```
pub fn main<I, T>(args: I) -> i32
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors. If they cannot be printed there is nobody to tell.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Refused.code()
            } else {
                0
            };
        }
    };
    let exit = catch_unwind(AssertUnwindSafe(|| command(&cli.command)));
    exit.unwrap_or_else(|_| {
        say::complain("a fault of rate-limited itself; what is in the output so far is right");
        Exit::Internal
    })
    .code()
}

fn command(command: &Command) -> Exit {
    match command {
        Command::Run(args) => run::run(args),
        Command::Plan(args) => planning::plan(args),
        Command::Apis(args) => apis::apis(args),
        Command::Status(args) => report::status(args),
        Command::Report(args) => reports::report(args),
        Command::Clean(args) => clean::clean(args),
        Command::Completions(args) => manual::completions(args),
        Command::Man(args) => manual::man(args),
        #[cfg(feature = "simulate")]
        Command::Simulate(args) => serve::serve(args),
    }
}
