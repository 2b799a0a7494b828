//! The parts of the command `rate-limited`: what it reads, what it writes, what it estimates.
//!
//! The crate exists for the command; as a library it promises nothing from one version to the next.
//!
//! | module | what it holds |
//! |---|---|
//! | `args`, `refusal`, `exit` | the command line, what is refused, the exit codes |
//! | [`values`] | what options are given: limits, durations, sizes, decimals |
//! | [`reading`] | from the input to requests: lines, tables, batch files; the tokens that a request may take |
//! | `asking` | from rows of a table and a prompt to requests; answers held to a schema |
//! | `calling` | one attempt: where it goes, and what it is limited by |
//! | [`writing`] | from results to lines of the output, in order |
//! | `recording` | the input matched with the journal: what becomes of each line |
//! | `running` | a run: prepared, carried out, stopped, ended; what calls cost, and the most that they may |
//! | `telling` | what people and machines are told meanwhile |
//! | `reporting` | what is counted of a run; the commands `report`, `status` and `clean` |
//! | `planning` | the command `plan` |
//! | `pages` | man pages, what shells complete, a page of Markdown; the command `apis` |
//! | `simulation`, `serve` (feature `simulate`) | the simulated API |

mod args;
mod asking;
mod calling;
mod exit;
mod pages;
mod planning;
pub mod reading;
mod recording;
mod refusal;
mod reporting;
mod running;
#[cfg(feature = "simulate")]
mod serve;
#[cfg(feature = "simulate")]
mod simulation;
mod telling;
pub mod values;
pub mod writing;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;

use crate::args::{Cli, Command};
use crate::exit::Exit;
use crate::pages::{apis, manual};
use crate::reporting::{clean, report, reports};
use crate::running::run;
use crate::telling::say;

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
        Err(error) if error.use_stderr() => {
            say::tell(usage(&error));
            return Exit::Refused.code();
        }
        Err(help_or_version) => {
            // If it cannot be printed there is nobody to tell.
            let _ = help_or_version.print();
            return 0;
        }
    };
    let exit = catch_unwind(AssertUnwindSafe(|| command(&cli.command)));
    exit.unwrap_or_else(|_| {
        say::complain("a fault of rate-limited itself; what is in the output so far is right");
        Exit::Internal
    })
    .code()
}

/// What is wrong with a command line, with colours where those are wanted.
fn usage(error: &clap::Error) -> String {
    let text = error.render();
    let text = if console::colors_enabled_stderr() {
        text.ansi().to_string()
    } else {
        text.to_string()
    };
    text.trim_end().to_owned()
}

fn command(command: &Command) -> Exit {
    match command {
        Command::Run(args) => run::run(args),
        Command::Plan(args) => planning::command::plan(args),
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
