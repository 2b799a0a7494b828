//! `rate-limited run`: from a list of requests to a list of results.

use std::path::Path;
use std::sync::Arc;

use rate_limited::{Order, Runner};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::api::{Address, Api};
use crate::args::{Concurrency, RunArgs, Schedule};
use crate::call::{self, Caller, Reply};
use crate::ending::Ending;
use crate::execute::execute;
use crate::exit::Exit;
use crate::feed::{Feed, FeedOptions};
use crate::job::Job;
use crate::meters::Meters;
use crate::opening::Opening;
use crate::output::OutputTarget;
use crate::progress::Progress;
use crate::refusal::Refusal;
use crate::reorder::OrderedWriter;
use crate::say::{complain, say};
use crate::signals::Signals;
use crate::source::{self, Looked, Source, Totals};
use crate::state::State;
use crate::stop::Stopper;

/// Runs what the command line says.
pub(crate) fn run(args: &RunArgs) -> Exit {
    match Prepared::new(args).and_then(Prepared::run) {
        Ok(exit) => exit,
        Err(refusal) => {
            complain(refusal);
            Exit::Refused
        }
    }
}

/// Everything that was looked at before anything is sent.
struct Prepared<'a> {
    args: &'a RunArgs,
    options: FeedOptions,
    target: OutputTarget,
    overwrite: bool,
    address: Address,
    meters: Arc<Meters>,
    looked: Looked,
}

impl Prepared<'_> {
    fn new(args: &RunArgs) -> Result<Prepared<'_>, Refusal> {
        let options = source::options(args);
        let (target, overwrite) = source::target(args)?;
        let address = Address::of(args)?;
        let meters = Meters::new(&address.limits(args.limits.all()?))?;
        target.check(Some(&args.input), overwrite)?;
        let looked = Source::look(args, options, &meters)?;
        let meters = Arc::new(meters);
        Ok(Prepared {
            args,
            options,
            target,
            overwrite,
            address,
            meters,
            looked,
        })
    }

    fn run(self) -> Result<Exit, Refusal> {
        // Each call in flight is an open file. Where the limit stays, fewer of them are in flight.
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        let runtime = Runtime::new().map_err(Refusal::System)?;
        let exit = runtime.block_on(self.launch());
        // Whatever still runs there belongs to nobody.
        runtime.shutdown_background();
        exit
    }

    async fn launch(self) -> Result<Exit, Refusal> {
        let Prepared {
            args,
            options,
            target,
            overwrite,
            meters,
            looked,
            ..
        } = self;
        let Looked {
            source,
            totals,
            too_large,
        } = looked;
        let api = self.address.connect(&args.api, &meters)?;
        let items = source.items()?;
        if target.is_named_pipe() && !args.quiet {
            say(format_args!(
                "the output {target} is a pipe: waiting until something reads it"
            ));
        }
        let sink = target.open(Some(&args.input), overwrite)?;
        // Not before: opening a pipe may wait for ever, and then signals have to end the process.
        let signals = Signals::listen().map_err(Refusal::System)?;
        if !args.quiet {
            opening(args, &source, &api, totals, &meters).say();
            too_large.iter().for_each(say);
        }
        let Api { caller, after, .. } = api;
        let caller = Arc::new(caller.bounds(args.pace.timeout, args.api.max_answer));
        let runner = runner(args, &meters, &caller);
        let handle = runner.handle();
        let stopper = Stopper::new(handle.clone(), args.pace.grace);
        let writer = OrderedWriter::new(sink, args.lines.order);
        let state = State::new((meters, totals), caller, (handle, stopper), writer);
        let state = Arc::new(state);
        let feed = Feed::new(items, options, Arc::clone(&state));
        let watch = Watch::start(args, &state, signals, target == OutputTarget::Stdout);
        let done = execute(runner, feed, &state, source.path().is_some()).await?;
        drop(watch);
        let exit = Ending {
            state: &state,
            done,
            input: source.path().map(Path::to_owned),
            output: target,
        }
        .close(args.quiet);
        if !args.quiet {
            after.say();
        }
        Ok(exit)
    }
}

fn runner(args: &RunArgs, meters: &Arc<Meters>, caller: &Arc<Caller>) -> Runner<Arc<Job>, Reply> {
    let (caller, named) = (Arc::clone(caller), Arc::clone(meters));
    let order = match args.pace.schedule {
        Schedule::Packed => Order::Packed,
        Schedule::InOrder => Order::InOrder,
    };
    let runner = Runner::new(move |job| Arc::clone(&caller).call(job))
        .classify(move |error, resources| call::class_of(error, &named, resources))
        .max_retries(args.pace.max_retries)
        .attempt_timeout(Some(args.pace.timeout))
        .deadline(args.pace.deadline)
        .order(order);
    let runner = meters.resources().fold(runner, Runner::resource);
    match args.limits.max_concurrent {
        Concurrency::Auto => runner,
        Concurrency::Fixed(number) => runner.max_concurrent(number),
    }
}

fn opening<'a>(
    args: &RunArgs,
    source: &Source,
    api: &'a Api,
    totals: Option<Totals>,
    meters: &'a Meters,
) -> Opening<'a> {
    Opening {
        input: source.name(),
        api: &api.shown,
        totals,
        meters,
        max_concurrent: args.limits.max_concurrent,
    }
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
        if let Some(deadline) = args.pace.deadline {
            let stopper = Arc::clone(&state.stopper);
            tasks.push(tokio::spawn(async move {
                tokio::time::sleep(deadline).await;
                stopper.drain();
            }));
        }
        let progress = (!quiet).then(|| Progress::start(Arc::clone(state), stdout_taken));
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
