//! The input, looked at before anything is sent.

use std::ffi::OsString;
use std::io::{self, BufReader};
use std::path::Path;

use crate::args::RunArgs;
use crate::bad_line::BadLinePolicy;
use crate::estimate;
use crate::feed::FeedOptions;
use crate::input::{InputError, Item, Reader};
use crate::meters::Meters;
use crate::output::OutputTarget;
use crate::refusal::Refusal;
use crate::scan::{Scan, scan_file_each};
use crate::too_large::TooLarge;

/// Where the requests come from.
#[derive(Debug)]
pub(crate) enum Source {
    File(Box<Scan>),
    Stdin,
}

/// What a look at the input finds.
#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) source: Source,
    /// Known for a file.
    pub(crate) totals: Option<Totals>,
    /// Requests of a file that can never be sent, if there are any.
    pub(crate) too_large: Option<TooLarge>,
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    /// The most tokens that they are expected to take.
    pub(crate) tokens: u64,
}

impl Source {
    /// Looks at the input: a file is read from beginning to end.
    ///
    /// # Errors
    /// A file that cannot be read, has bad lines where they are not wanted, or has no requests, or none
    /// that the limits ever let pass.
    pub(crate) fn look(
        args: &RunArgs,
        options: FeedOptions,
        meters: &Meters,
    ) -> Result<Looked, Refusal> {
        if is_stdin(&args.input) {
            return Ok(Looked {
                source: Source::Stdin,
                totals: None,
                too_large: None,
            });
        }
        let mut too_large = TooLarge::under(meters);
        let mut totals = Totals::default();
        let first = options.first.unwrap_or(u64::MAX);
        let scan = scan_file_each(&args.input, options.policy, |request| {
            if totals.requests < first {
                let tokens = estimate::tokens_max(request, options.answer_default);
                totals.tokens = totals.tokens.saturating_add(tokens);
                totals.requests += 1;
                if let Some(too_large) = &mut too_large {
                    too_large.look(request.line, tokens);
                }
            }
        })?;
        let too_large = too_large.filter(|found| found.requests > 0);
        if let Some(found) = too_large
            .clone()
            .filter(|it| it.requests == totals.requests)
        {
            return Err(Refusal::NothingFits(Box::new(found)));
        }
        // Lines whose name an earlier one has were counted before that was known.
        totals.requests = totals.requests.min(scan.requests);
        let recorded = if options.policy == BadLinePolicy::Record {
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
        })
    }

    /// The name, for people.
    pub(crate) fn name(&self) -> String {
        match self {
            Source::File(scan) => scan.path().display().to_string(),
            Source::Stdin => "standard input".to_owned(),
        }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Source::File(scan) => Some(scan.path()),
            Source::Stdin => None,
        }
    }

    /// The lines, from the beginning.
    ///
    /// # Errors
    /// The file is not the one that was looked at.
    pub(crate) fn items(
        &self,
    ) -> Result<Box<dyn Iterator<Item = Result<Item, InputError>> + Send>, InputError> {
        Ok(match self {
            Source::File(scan) => Box::new(Reader::open(scan)?),
            Source::Stdin => Box::new(Reader::stream(BufReader::new(io::stdin()), "-")),
        })
    }
}

/// What is done with lines, and with how many.
pub(crate) fn options(args: &RunArgs) -> FeedOptions {
    let policy = if is_stdin(&args.input) {
        BadLinePolicy::Record
    } else {
        BadLinePolicy::Fail
    };
    FeedOptions {
        policy: args.lines.on_bad_line.unwrap_or(policy),
        answer_default: args.limits.max_tokens_default,
        first: args.lines.first,
    }
}

/// Where the results go, and whether a file that is there may be replaced.
///
/// # Errors
/// Nobody said it, and a file is too precious to guess.
pub(crate) fn target(args: &RunArgs) -> Result<(OutputTarget, bool), Refusal> {
    let overwrite = args.lines.overwrite;
    match &args.output {
        Some(output) if output.is_empty() => Err(Refusal::NoOutput),
        Some(output) => Ok((output.clone().into(), overwrite)),
        None if is_stdin(&args.input) => Ok((OutputTarget::Stdout, overwrite)),
        // Only simulations write files of this name, and their results are worth nothing.
        None if args.simulates() => {
            let mut name = args
                .input
                .file_stem()
                .map_or_else(OsString::new, OsString::from);
            name.push(".simulated.jsonl");
            Ok((OutputTarget::File(name.into()), true))
        }
        None => Err(Refusal::NoOutput),
    }
}

fn is_stdin(input: &Path) -> bool {
    input == Path::new("-")
}
