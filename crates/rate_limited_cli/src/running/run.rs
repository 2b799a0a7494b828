//! `rate-limited run`: from a list of requests to a list of results.

use std::fs::File;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rate_limited::journal::{JournalError, Recording, Seen};
use rate_limited::{Assumed, ConfigError, Finished, Order, Outlook, Runner, SharedError};
use rate_limited_store::{Past, Walk, remove};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::args::{Concurrency, RunArgs, Schedule};
use crate::asking::schema::Schema;
use crate::calling::api::{Afterword, Api};
use crate::calling::call::{self, CallError, Caller, Reply};
use crate::calling::meters::Meters;
use crate::exit::Exit;
use crate::reading::feed::{Feed, FeedOptions, Items};
use crate::reading::source::{Looked, Source};
use crate::recording::journal::RunJournal;
use crate::recording::plan::Follower;
use crate::recording::prepare::{Kept, Prepared};
use crate::recording::recall::Recall;
use crate::refusal::Refusal;
use crate::reporting::observer::Observer;
use crate::reporting::reports::{self, ReportFile};
use crate::running::ending::Ending;
use crate::running::execute::execute;
use crate::running::files;
use crate::running::job::{Entry, Job};
use crate::running::patience;
use crate::running::signals::{self, Signals};
use crate::running::state::State;
use crate::running::stop::Stopper;
use crate::running::verdict;
use crate::telling::opening::{Opening, Rest};
use crate::telling::progress::Progress;
use crate::telling::say::{complain, tell};
use crate::telling::warnings::Warnings;
use crate::writing::output::OutputTarget;
use crate::writing::prefix::{Origin, Prefix};
use crate::writing::recorded::Recorded;
use crate::writing::reorder::{self, OrderedWriter};
use crate::writing::row::Table;
use crate::writing::sink::Sink;
use crate::writing::so_far::SoFar;

/// After this many steps the rest is taken to go on as before, where an estimate has to do.
const STEPS_MAX: u64 = 8_192;

/// Runs what the command line says.
pub(crate) fn run(args: &RunArgs) -> Exit {
    match try_run(args) {
        Ok(exit) => exit,
        Err(refusal) => {
            complain(&refusal);
            refusal.exit()
        }
    }
}

fn try_run(args: &RunArgs) -> Result<Exit, Refusal> {
    files::make_room()?;
    let report = ReportFile::wanted(args)?;
    let runtime = Runtime::new().map_err(Refusal::System)?;
    let exit = runtime.block_on(async {
        // The journal may run into such a limit, too.
        signals::survive_large_files();
        let (started, after) = Prepared::new(args)?.start()?;
        let exit = started.carry_out(report).await?;
        if !args.quiet {
            after.say();
        }
        Ok(exit)
    });
    // Whatever still runs there belongs to nobody.
    runtime.shutdown_background();
    exit
}

/// A run of which all is open.
struct Started<'a> {
    args: &'a RunArgs,
    options: FeedOptions,
    target: OutputTarget,
    meters: Arc<Meters>,
    schema: Option<Schema>,
    looked: Looked,
    journal: Option<RunJournal>,
    caller: Caller,
    items: Items,
    recall: Recall,
    writer: OrderedWriter,
    so_far: Option<SoFar>,
    signals: Signals,
}

impl<'a> Prepared<'a> {
    /// Opens what is to be written, and says what will be done.
    fn start(self) -> Result<(Started<'a>, Afterword), Refusal> {
        let job = self.job();
        let Prepared {
            args,
            options,
            target,
            existing,
            address,
            meters,
            schema,
            looked,
            journal,
        } = self;
        let (mut journal, origin) = opened(journal, args, &meters)?;
        let api = address.connect(&args.api, &options.route, &meters)?;
        let (items, recall) = lines(&looked, journal.as_ref())?;
        if target.is_named_pipe() && !args.quiet {
            tell(format_args!(
                "the output {target} is a pipe: waiting until something reads it"
            ));
        }
        let sink = target.open(Some(&args.input), existing)?;
        if let Some(journal) = &mut journal {
            journal.begin(&job)?;
        }
        let (writer, so_far) = output(
            args,
            (sink, options.form.table()),
            &target,
            origin,
            journal.as_ref(),
            &looked,
        )?;
        // Not before: opening a pipe may wait for ever, and then signals have to end the process.
        let signals = Signals::listen().map_err(Refusal::System)?;
        if !args.quiet {
            opening(args, &looked, &api, (&meters, journal.as_ref())).say();
            journal.iter().flat_map(RunJournal::told).for_each(tell);
            looked.too_large.iter().for_each(tell);
        }
        let started = Started {
            args,
            options,
            target,
            meters,
            schema,
            looked,
            journal,
            caller: api.caller,
            items,
            recall,
            writer,
            so_far,
            signals,
        };
        Ok((started, api.after))
    }

    /// What the journal notes of the run, for people: no secrets.
    fn job(&self) -> Vec<(String, String)> {
        let Looked {
            source,
            totals,
            surveyed,
            ..
        } = &self.looked;
        let before = surveyed.as_ref().map_or(0, |it| it.before.total());
        let requests = totals.map(|totals| totals.requests + before);
        let whole = |path: &Path| {
            let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            whole.display().to_string()
        };
        let job = [
            ("input", source.path().map(whole)),
            ("requests", requests.map(|number| number.to_string())),
            ("output", self.target.path().map(whole)),
            ("api", Some(self.address.name())),
            ("limits", Some(self.meters.written())),
        ];
        let noted = |(name, value): (&str, Option<String>)| {
            let value = value.unwrap_or_default();
            (name.to_owned(), value)
        };
        job.into_iter().map(noted).collect()
    }
}

impl Started<'_> {
    /// Runs to the end, and says how that was.
    async fn carry_out(self, report: Option<ReportFile>) -> Result<Exit, Refusal> {
        let args = self.args;
        let observer = match &self.journal {
            Some(it) => Observer::beside(it.journal.path(), it.is_empty()),
            None => Observer::default(),
        };
        let observer = Arc::new(observer);
        let caller = self.caller.bounds(args.pace.timeout, args.api.max_answer);
        let caller = caller.once(args.sends_once());
        let caller = if args.quiet {
            caller
        } else {
            caller.warning(Warnings::aloud())
        };
        let caller = caller.checking(self.schema).observed_by(&observer);
        let caller = caller.known_by(self.journal.as_ref().map(|it| it.journal.identity()));
        let caller = Arc::new(caller);
        let runner = runner(args, &self.meters, &caller, self.journal.as_ref());
        let handle = runner.handle();
        let stopper = Stopper::new(handle.clone(), args.pace.grace, self.journal.is_some());
        let scale = (self.meters, self.looked.totals);
        let state = State::new(scale, caller, (handle, stopper), self.writer);
        let state = state.with_load(self.looked.load);
        let has_rows = self.options.form.rows().is_some();
        let surveyed = self.looked.surveyed.unwrap_or_default();
        let state = state.behind(&surveyed, self.options.policy);
        let state = state.observed_by(observer);
        let state = Arc::new(state.with_output(self.so_far));
        let taken = surveyed.covered.input.requests;
        let feed = Feed::new(
            self.items,
            self.options,
            taken,
            self.recall,
            Arc::clone(&state),
        );
        let to_stdout = self.target == OutputTarget::Stdout;
        let watch = Watch::start(args, &state, self.signals, to_stdout);
        let source = self.looked.source;
        let journal = self.journal.as_ref().map(|journal| &*journal.journal);
        let done = execute(runner, feed, &state, source.path().is_some(), journal).await?;
        drop(watch);
        state.observer.ends(&state);
        let report = report.map(|file| (file, reports::of_run(&state, &self.target)));
        let exit = Ending {
            state: &state,
            done,
            input: source.path().map(Path::to_owned),
            has_rows,
            output: self.target,
            journal: journal.map(|journal| journal.path().to_owned()),
            on_unknown: args.journal.on_unknown,
        }
        .close(args.quiet);
        if let Some((file, report)) = report {
            file.write_at_the_end(&report, args.quiet);
        }
        Ok(exit)
    }
}

/// The journal, and whose results the output has.
fn opened(
    kept: Kept,
    args: &RunArgs,
    meters: &Meters,
) -> Result<(Option<RunJournal>, Origin), Refusal> {
    Ok(match kept {
        Kept::Output => (None, Origin::Here),
        Kept::Journal(journal, origin) => (Some(journal), origin),
        Kept::Fresh(path, identity) => {
            remove(&path)?;
            let journal = RunJournal::open(&path, args, meters, identity)?;
            (Some(journal), Origin::Here)
        }
    })
}

/// The lines that are to be read, and what is known of them.
fn lines(looked: &Looked, journal: Option<&RunJournal>) -> Result<(Items, Recall), Refusal> {
    let Some(journal) = journal else {
        return Ok((looked.source.items(None)?, Recall::Nothing));
    };
    let known = Arc::clone(&journal.known);
    let Some(surveyed) = &looked.surveyed else {
        let walk = Box::new(Walk::new(&journal.journal)?);
        return Ok((looked.source.items(None)?, Recall::Walked(walk, known)));
    };
    let follower = || Follower::new(&surveyed.plan);
    let items = looked
        .source
        .items(Some((follower(), surveyed.covered.input)))?;
    Ok((items, Recall::Planned(follower(), known)))
}

/// The writer of the output, and what may stay of it where the input has yet to show that.
fn output(
    args: &RunArgs,
    (sink, table): (Sink, Option<&Table>),
    target: &OutputTarget,
    origin: Origin,
    journal: Option<&RunJournal>,
    looked: &Looked,
) -> Result<(OrderedWriter, Option<SoFar>), Refusal> {
    let writer = OrderedWriter::new(sink, args.lines.order).with_table(table);
    let Some(journal) = journal else {
        return Ok((writer, None));
    };
    let journal = &journal.journal;
    let mut writer = writer.with_records(Some(Recorded::new(Arc::clone(journal))));
    let is_stream = matches!(looked.source, Source::Stdin(_));
    if let (true, reorder::Order::Input, Some(path)) =
        (is_stream, args.lines.order, target.kept_file())
    {
        let prefix = Prefix::new(File::open(path).map_err(Refusal::System)?).of_table(table);
        let so_far = SoFar::new(path.to_owned(), prefix, origin, Arc::clone(journal));
        return Ok((writer, Some(so_far)));
    }
    let covered = looked.surveyed.as_ref().map(|it| it.covered);
    let covered = covered.unwrap_or_default();
    writer.go_on_behind(covered.lines, covered.bytes)?;
    Ok((writer, None))
}

fn runner(
    args: &RunArgs,
    meters: &Arc<Meters>,
    caller: &Arc<Caller>,
    journal: Option<&RunJournal>,
) -> Runner<Arc<Job>, Reply> {
    let (caller, named) = (Arc::clone(caller), Arc::clone(meters));
    let told_by_server = Arc::clone(meters);
    let runner = meters
        .runner(move |member, job| Arc::clone(&caller).call(member, job))
        .classify(move |error, resources| call::class_of(error, &named, resources))
        .validate(|reply: &Reply| reply.fault.is_none())
        .feedback(move |end, resources| told_by_server.feedback(end, resources));
    let runner = paced(runner, args, args.limits.max_concurrent);
    match journal {
        Some(journal) => runner.journal(recording(journal)),
        None => runner,
    }
}

/// All that decides when calls go.
fn paced(
    runner: Runner<Arc<Job>, Reply>,
    args: &RunArgs,
    max_concurrent: Concurrency,
) -> Runner<Arc<Job>, Reply> {
    let order = match args.pace.schedule {
        Schedule::Packed => Order::Packed,
        Schedule::InOrder => Order::InOrder,
    };
    let runner = runner
        .max_retries(args.pace.max_retries)
        .attempt_timeout((!args.sends_once()).then_some(args.pace.timeout))
        .deadline(args.pace.deadline)
        .order(order);
    match max_concurrent {
        Concurrency::Auto => runner,
        Concurrency::Fixed(number) => runner.max_concurrent(number),
    }
}

/// A run without calls, to plan with: it sends nothing.
///
/// # Errors
/// Limits that cannot be metered.
pub(crate) fn outlook(args: &RunArgs, meters: &Meters) -> Result<Outlook, ConfigError> {
    outlook_of(args, meters, args.limits.max_concurrent)
}

/// The same with another bound on calls in flight.
///
/// # Errors
/// Limits that cannot be metered.
pub(crate) fn outlook_of(
    args: &RunArgs,
    meters: &Meters,
    max_concurrent: Concurrency,
) -> Result<Outlook, ConfigError> {
    let sends_nothing = meters.runner(|_, _| async { Err(CallError::HeldBack) });
    paced(sends_nothing, args, max_concurrent).outlook()
}

/// What the runner keeps of each call: the feed has looked it up already.
fn recording(journal: &RunJournal) -> Recording<Arc<Job>, Reply> {
    let look = |job: &Arc<Job>| match job.entry {
        Some(Entry {
            keyed,
            begun,
            is_last: false,
        }) => Ok(Seen::Run(keyed, begun)),
        Some(Entry { keyed, begun, .. }) => Ok(Seen::Last(keyed, begun)),
        None => Err(Arc::new(JournalError::Closed) as SharedError),
    };
    let encode = |finished: &Finished<Arc<Job>, Reply>| {
        let verdict = verdict::of_finished(finished);
        let part = verdict::kept_part(&verdict, &finished.request).to_vec();
        finished.request.keep(verdict);
        Ok(Some(part))
    };
    Recording::of(
        Arc::clone(&journal.journal),
        &journal.known.past,
        look,
        encode,
    )
}

fn opening<'a>(
    args: &RunArgs,
    looked: &'a Looked,
    api: &'a Api,
    (meters, journal): (&'a Meters, Option<&RunJournal>),
) -> Opening<'a> {
    let journal = journal.filter(|journal| !journal.is_empty());
    Opening {
        input: looked.source.name(),
        api: &api.shown,
        totals: looked.totals,
        surveyed: looked.surveyed.as_ref(),
        on_unknown: args.journal.on_unknown,
        meters,
        shares: looked.shares.as_ref(),
        max_concurrent: args.limits.max_concurrent,
        rest: journal.and_then(|journal| rest(args, looked, meters, &journal.known.past)),
    }
}

/// What the limits alone make of what is left, after what was taken of them before.
fn rest(args: &RunArgs, looked: &Looked, meters: &Meters, past: &Past) -> Option<Rest> {
    let assumed = Assumed {
        latencies: vec![Duration::ZERO],
        steps_max: STEPS_MAX,
        ..Assumed::default()
    };
    let sends_nothing = meters.runner(|_, _| async { Err(CallError::HeldBack) });
    // A deadline is no limit of the API.
    let mut runner = paced(sends_nothing, args, args.limits.max_concurrent).deadline(None);
    let outlook = runner.outlook().ok()?.after(past);
    let plan = outlook.plan(looked.load.as_ref()?, &assumed);
    let binding = plan.binding();
    Some(Rest {
        time: plan.finish,
        binding: binding.and_then(|it| meters.name(it.resource.index())),
    })
}

/// What goes on beside a run, until it is dropped.
struct Watch {
    tasks: Vec<JoinHandle<()>>,
    _progress: Option<Progress>,
}

impl Watch {
    fn start(args: &RunArgs, state: &Arc<State>, signals: Signals, stdout_taken: bool) -> Watch {
        let (quiet, stopper) = (args.quiet, Arc::clone(&state.stopper));
        let mut tasks = vec![tokio::spawn(
            async move { stopper.obey(signals, quiet).await },
        )];
        let stopper = Arc::clone(&state.stopper);
        tasks.push(tokio::spawn(
            async move { stopper.halt_after_grace().await },
        ));
        tasks.push(tokio::spawn(Observer::watch(Arc::clone(state))));
        if let Some(deadline) = args.pace.deadline {
            let stopper = Arc::clone(&state.stopper);
            tasks.push(tokio::spawn(async move {
                tokio::time::sleep(deadline).await;
                stopper.drain();
            }));
        }
        if let Some(most) = args.pace.max_wait {
            tasks.push(tokio::spawn(patience::end_when_too_long(
                Arc::clone(state),
                most,
            )));
        }
        let is_json = args.json_progress;
        let progress =
            (is_json || !quiet).then(|| Progress::start(Arc::clone(state), stdout_taken, is_json));
        Watch {
            tasks,
            _progress: progress,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
