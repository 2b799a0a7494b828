//! `rate-limited simulate`: the simulated API on a port.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use rate_limited_sim::http::{Dialect, Server};
use rate_limited_sim::{ApiModel, Latency};
use tokio::runtime::Runtime;

use crate::args::SimulateArgs;
use crate::calling::meters::Meters;
use crate::calling::preset::Preset;
use crate::exit::Exit;
use crate::refusal::Refusal;
use crate::running::signals::Signals;
use crate::simulation;
use crate::telling::say::{complain, say, tell};
use crate::values::limit::Limit;
use crate::values::text::counted;

const LATENCY: (Duration, Duration) = (Duration::from_millis(400), Duration::from_millis(1_600));

/// Serves until a signal comes.
pub(crate) fn serve(args: &SimulateArgs) -> Exit {
    match try_serve(args) {
        Ok(()) => Exit::Success,
        Err(refusal) => {
            complain(refusal);
            Exit::Refused
        }
    }
}

fn try_serve(args: &SimulateArgs) -> Result<(), Refusal> {
    let stage = Stage::of(args)?;
    let runtime = Runtime::new().map_err(Refusal::System)?;
    runtime.block_on(async {
        let mut signals = Signals::listen().map_err(Refusal::System)?;
        let port = args.port;
        let addr = (Ipv4Addr::LOCALHOST, port).into();
        let server = Server::start_as(stage.dialect(), stage.model.clone(), addr)
            .map_err(|source| Refusal::Port { port, source })?;
        stage.greet(&server);
        signals.next().await;
        let stats = server.stats();
        say(format_args!(
            "{} came, {} refused",
            counted(stats.arrivals, "request", "requests"),
            counted(stats.refusals, "was", "were")
        ));
        server.shutdown().await;
        Ok(())
    })
}

/// What is simulated.
struct Stage {
    api: Option<Dialect>,
    model: ApiModel,
    limits: Vec<Limit>,
}

impl Stage {
    fn of(args: &SimulateArgs) -> Result<Stage, Refusal> {
        let (min, max) = args.latency.unwrap_or(LATENCY);
        let limits = if args.limits.is_empty() && args.api.is_none() {
            simulation::limits()
        } else {
            args.limits.clone()
        };
        let model = match args.api {
            Some(dialect) => simulation::model_of(dialect, args.seed, &limits)?,
            None => simulation::model(args.seed, &Meters::new(&limits, None)?)?,
        };
        Ok(Stage {
            api: args.api,
            model: model
                .latency(Latency::Uniform { min, max })
                .failure_rate(args.failure_rate)
                .headers(!args.no_headers),
            limits,
        })
    }

    fn dialect(&self) -> Dialect {
        self.api.unwrap_or_default()
    }

    /// The address goes to standard output, for scripts; the rest is for people.
    fn greet(&self, server: &Server) {
        let url = format!("http://{}{}", server.addr(), self.dialect().base_path());
        let mut stdout = io::stdout();
        // Whoever closed standard output does not want the address.
        let _ = writeln!(stdout, "{url}").and_then(|()| stdout.flush());
        let limits: Vec<_> = self.limits.iter().map(Limit::to_string).collect();
        let limits = if limits.is_empty() {
            "none".to_owned()
        } else {
            limits.join(", ")
        };
        tell(format_args!("limits: {limits}; Ctrl-C ends it"));
        say("try it:");
        match self.api {
            None => {
                say(format_args!(
                    "  curl {url}/chat/completions -d '{{\"messages\": [{{\"role\": \"user\", \"content\": \"A poem, please\"}}]}}'"
                ));
                say(format_args!(
                    "  rate-limited run examples/poems.jsonl -o poems.jsonl --base-url {url}"
                ));
            }
            Some(dialect) => say(format_args!(
                "  rate-limited run requests.jsonl -o results.jsonl --api {} --base-url {url}",
                described(dialect)
            )),
        }
    }
}

/// What `run --api` takes for the API: its name, or a file where its description is a sample.
fn described(dialect: Dialect) -> String {
    let name = dialect.name();
    match Preset::named(name) {
        Ok(_) => name.to_owned(),
        Err(_) => format!("examples/apis/{name}.toml"),
    }
}
