//! `rate-limited simulate`: the simulated API on a port.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use rate_limited_sim::Latency;
use rate_limited_sim::http::Server;
use tokio::runtime::Runtime;

use crate::args::SimulateArgs;
use crate::exit::Exit;
use crate::meters::Meters;
use crate::refusal::Refusal;
use crate::say::{complain, say};
use crate::signals::Signals;
use crate::simulation;
use crate::text::counted;

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
    let limits = if args.limits.is_empty() {
        simulation::limits()
    } else {
        args.limits.clone()
    };
    let meters = Meters::new(&limits, None)?;
    let (min, max) = args.latency.unwrap_or(LATENCY);
    let model = simulation::model(args.seed, &meters)
        .latency(Latency::Uniform { min, max })
        .failure_rate(args.failure_rate)
        .headers(!args.no_headers);
    let runtime = Runtime::new().map_err(Refusal::System)?;
    runtime.block_on(async {
        let mut signals = Signals::listen().map_err(Refusal::System)?;
        let port = args.port;
        let server = Server::start(model, (Ipv4Addr::LOCALHOST, port).into())
            .map_err(|source| Refusal::Port { port, source })?;
        greet(&server, &meters);
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

/// The address goes to standard output, for scripts; the rest is for people.
fn greet(server: &Server, meters: &Meters) {
    let url = format!("http://{}/v1", server.addr());
    let mut stdout = io::stdout();
    // Whoever closed standard output does not want the address.
    let _ = writeln!(stdout, "{url}").and_then(|()| stdout.flush());
    say(format_args!("limits: {}; Ctrl-C ends it", meters.written()));
    say("try it:");
    say(format_args!(
        "  curl {url}/chat/completions -d '{{\"messages\": [{{\"role\": \"user\", \"content\": \"A poem, please\"}}]}}'"
    ));
    say(format_args!(
        "  rate-limited run examples/poems.jsonl -o poems.jsonl --base-url {url}"
    ));
}
