//! All that is looked at before anything is sent.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rate_limited_store::Census as Numbers;

use crate::args::RunArgs;
use crate::asking::rows::Form;
use crate::asking::schema::Schema;
use crate::calling::api::Address;
use crate::calling::meters::Meters;
use crate::calling::preset::Preset;
use crate::reading::feed::FeedOptions;
use crate::reading::source::{self, Looked, Source, Target};
use crate::recording::census::Census;
use crate::recording::identity::Identity;
use crate::recording::journal::{self, RunJournal, UnknownCalls};
use crate::refusal::Refusal;
use crate::writing::output::{Existing, OutputError, OutputTarget};
use crate::writing::prefix::{self, Origin, Prefix};
use crate::writing::reorder::Order;
use crate::writing::row::Table;

/// A run that is ready to begin.
pub(crate) struct Prepared<'a> {
    pub(crate) args: &'a RunArgs,
    pub(crate) options: FeedOptions,
    pub(crate) target: OutputTarget,
    pub(crate) existing: Existing,
    pub(crate) address: Address,
    pub(crate) meters: Arc<Meters>,
    pub(crate) schema: Option<Schema>,
    pub(crate) looked: Looked,
    pub(crate) journal: Kept,
}

/// What is kept of a run.
pub(crate) enum Kept {
    /// Nothing but its output.
    Output,
    /// A journal that is open; and whose results the output has.
    Journal(RunJournal, Origin),
    /// A journal that is to be made in the place of whatever is there.
    Fresh(PathBuf, Identity),
}

impl Prepared<'_> {
    pub(crate) fn new(args: &RunArgs) -> Result<Prepared<'_>, Refusal> {
        let preset = args.api.api.as_deref().map(Preset::named).transpose()?;
        let Target {
            output,
            is_worthless,
        } = source::target(args)?;
        // That a header can be read says nothing yet of the output, which may be the same file.
        let form = Form::of(args, preset, &output)?;
        let schema = args.lines.schema.as_deref().map(Schema::read).transpose()?;
        let options = source::options(args, preset, form)?;
        let address = Address::of(args, preset)?;
        let meters = address.meters(args, preset)?;
        let meters = meters.with_bill(options.bill.clone());
        let place = journal::place(args, &output, is_worthless)?;
        let existing = match &place {
            _ if args.journal.fresh || is_worthless => Existing::Replaced,
            Some(journal) if journal.symlink_metadata().is_ok() => Existing::Continued,
            // An empty file has nothing to lose, and the journal keeps others away from it.
            Some(_) if output.is_empty_file() => Existing::Continued,
            // What has no journal cannot be gone on with.
            _ => Existing::Refused,
        };
        output.check(Some(&args.input), existing)?;
        let identity = Identity::new(&address.name(), args.api.endpoint.as_deref());
        let journal = match place {
            None => Kept::Output,
            Some(path) => {
                let table = options.form.table();
                keep(&path, args, &meters, identity, (&output, table))?
            }
        };
        let looked = look(args, options.clone(), &meters, &journal, &output)?;
        Ok(Prepared {
            args,
            options,
            target: output,
            existing,
            address,
            meters: Arc::new(meters),
            schema,
            looked,
            journal,
        })
    }
}

/// Opens the journal, or makes sure that it can be made.
fn keep(
    path: &Path,
    args: &RunArgs,
    meters: &Meters,
    identity: Identity,
    (output, table): (&OutputTarget, Option<&Table>),
) -> Result<Kept, Refusal> {
    if args.journal.fresh {
        journal::check_free(path)?;
        return Ok(Kept::Fresh(path.to_owned(), identity));
    }
    if args.journal.repair {
        journal::repair(path)?;
    }
    let journal = RunJournal::open(path, args, meters, identity)?;
    let origin = match output.kept_file() {
        Some(output) => prefix::origin(output, &journal.journal, table)?,
        None => Origin::Here,
    };
    Ok(Kept::Journal(journal, origin))
}

/// Looks at the input, and matches it with the journal.
fn look(
    args: &RunArgs,
    options: FeedOptions,
    meters: &Meters,
    kept: &Kept,
    output: &OutputTarget,
) -> Result<Looked, Refusal> {
    let Kept::Journal(journal, origin) = kept else {
        return Source::look(args, options, meters, None);
    };
    let elsewhere = || {
        Refusal::from(OutputError::Elsewhere {
            output: output.path().unwrap_or(Path::new("-")).to_owned(),
            journal: journal.journal.path().to_owned(),
        })
    };
    if *origin == Origin::Elsewhere {
        return Err(elsewhere());
    }
    let prefix = match output.kept_file() {
        // As they complete, lines have no places at which they could be looked for.
        Some(path) if args.lines.order == Order::Input => {
            let prefix = Prefix::new(File::open(path).map_err(Refusal::System)?);
            Some(prefix.of_table(options.form.table()))
        }
        _ => None,
    };
    let is_stream = source::is_stdin(&args.input);
    let census = if is_stream || journal.is_empty() {
        None
    } else {
        let census = Census::new(journal, prefix, options.policy, options.first)?;
        Some(match origin {
            Origin::Unnamed(witnesses) => census.with_witnesses(witnesses),
            _ => census,
        })
    };
    let looked = Source::look(args, options, meters, census)?;
    let is_proven = looked.surveyed.as_ref().is_some_and(|it| it.is_proven);
    // A stream proves it as it comes, unless its lines have no places.
    let comes = is_stream && args.lines.order == Order::Input;
    if !comes && !origin.allows(is_proven, &journal.journal) {
        return Err(elsewhere());
    }
    let (numbers, unknown) = match &looked.surveyed {
        Some(surveyed) => (surveyed.numbers, surveyed.unknown.clone()),
        None => (Numbers::default(), UnknownCalls::default()),
    };
    let known = &journal.known;
    match known.policy.objection(numbers, known.past.counts.unknown) {
        Some(objection) => Err(Refusal::objection(objection, &unknown)),
        None => Ok(looked),
    }
}
