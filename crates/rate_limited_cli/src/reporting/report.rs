//! `rate-limited status`: how far a run came, by its journal.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use rate_limited_store::{Digest, Peeked, peek, verify};

use crate::args::StatusArgs;
use crate::exit::Exit;
use crate::reading::input::{Item, Reader};
use crate::recording::identity::Identity;
use crate::recording::journal::{self, UnknownCalls, lost};
use crate::refusal::Refusal;
use crate::telling::say::fitted;
use crate::values::text::{counted, grouped, shortened};

/// The most characters of a note that are shown.
const NOTE_CHARS_MAX: usize = 500;

/// Says how far the run came that the command line names.
pub(crate) fn status(args: &StatusArgs) -> Exit {
    Exit::printing(try_status(args).map(|lines| fitted(lines.join("\n") + "\n")))
}

fn try_status(args: &StatusArgs) -> Result<Vec<String>, Refusal> {
    let path = journal::named(&args.path)?;
    let peeked = peek(&path)?;
    let mut lines = vec![format!("journal: {}", path.display())];
    lines.extend(job(&peeked.job));
    lines.extend(calls(&peeked));
    lines.extend(unknown(&peeked));
    if peeked.lost > 0 {
        lines.push(lost(peeked.lost));
    }
    lines.push(match &peeked.holder {
        Some(holder) => format!("in use by {}", shortened(holder, NOTE_CHARS_MAX)),
        None => "not in use".to_owned(),
    });
    if args.verify {
        let verified = verify(&path)?;
        lines.push(format!(
            "verified: {} as written",
            counted(verified.results, "result is", "results are")
        ));
    }
    Ok(lines)
}

/// What was noted of the job.
fn job(job: &BTreeMap<String, String>) -> Vec<String> {
    let names = ["input", "output", "api", "limits"];
    let noted = names.iter().filter_map(|name| {
        let value = job.get(*name).filter(|value| !value.is_empty())?;
        Some(format!("{name}: {}", shortened(value, NOTE_CHARS_MAX)))
    });
    noted.collect()
}

fn calls(peeked: &Peeked) -> Vec<String> {
    let counts = peeked.counts;
    let of = peeked.job.get("requests");
    let of = of.and_then(|requests| requests.parse().ok());
    // The journal may have calls that the input has no more.
    let of = of.filter(|requests| counts.done + counts.failed <= *requests);
    let of = of.map_or_else(String::new, |requests| format!(" of {}", grouped(requests)));
    let mut lines = vec![format!(
        "{}{of} succeeded, {} failed",
        grouped(counts.done),
        grouped(counts.failed)
    )];
    if counts.unfinished > 0 {
        let in_flight = if peeked.holder.is_some() {
            "in flight"
        } else {
            "unknown: in flight when the run died, they may have been answered"
        };
        lines.push(format!(
            "{} begun and not over, {} of them {in_flight}",
            grouped(counts.unfinished),
            grouped(counts.unknown)
        ));
    }
    lines
}

/// The names of the calls that were in flight when the run died, as far as the input still tells them.
fn unknown(peeked: &Peeked) -> Option<String> {
    if peeked.unknown.is_empty() || peeked.holder.is_some() {
        return None;
    }
    let input = peeked.job.get("input")?;
    let identity = Identity::new(peeked.job.get("api")?, None);
    let keys: HashSet<Digest> = peeked.unknown.iter().copied().collect();
    let source = File::open(Path::new(input)).ok()?;
    if !source.metadata().ok()?.is_file() {
        return None;
    }
    let mut calls = UnknownCalls::default();
    for item in Reader::stream(BufReader::new(source), input) {
        let Ok(Item::Request(request)) = item else {
            continue;
        };
        let (id, path) = (request.custom_id.as_deref(), request.url_path.as_deref());
        let keyed = identity.keyed(id, path, &request.body);
        if keys.contains(&keyed.key) {
            calls.add(&request.record_id());
        }
    }
    (calls.total > 0).then(|| format!("unknown: {}", calls.names()))
}
