//! Plays a scenario and prints what happened, an event a line: `seconds,call,attempt,what`.
//!
//! ```console
//! $ cargo run -p rate_limited_sim --example events -- scenarios/blocks_sliding.toml
//! ```
//!
//! Behind the file may stand a seed (default: 0), and the longest delay on the way to the API in milliseconds
//! (default: that of a [world](rate_limited_sim::world::World::network_delay)). `tools/pictures` draws from this.

#![expect(clippy::print_stdout, reason = "an example shows its results there")]

use rate_limited_sim::Scenario;
use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let file = args
        .next()
        .ok_or("a scenario is missing: name a file of scenarios/")?;
    let seed = args.next().map_or(Ok(0), |seed| seed.parse())?;
    let scenario = Scenario::from_toml(&std::fs::read_to_string(file)?)?;
    let mut world = scenario.world(seed);
    world.keeps_trace(true);
    if let Some(delay) = args.next() {
        world.network_delay(Duration::from_millis(delay.parse()?));
    }
    let mut lines = String::new();
    for event in world.run()?.trace {
        let seconds = Duration::from_nanos(event.at).as_secs_f64();
        let what = format!("{:?}", event.what).to_lowercase();
        writeln!(lines, "{seconds:.6},{},{},{what}", event.call, event.number)?;
    }
    print!("{lines}");
    Ok(())
}
