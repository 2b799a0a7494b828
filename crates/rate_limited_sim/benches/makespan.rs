//! How near to the optimum each scenario ends, on virtual time: `cargo bench -p rate_limited_sim`; with
//! `--bench makespan -- NAME` only those whose names have that in them.

#![expect(
    clippy::print_stdout,
    reason = "a benchmark reports on standard output"
)]

use rate_limited_sim::Scenario;
use std::path::Path;

const SEEDS: u64 = 5;

fn main() {
    let wanted: Vec<_> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of scenarios")
        .map(|entry| entry.expect("a scenario").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    files.sort();
    println!(
        "{:<22} {:>9} {:>9} {:>9}  refusals",
        "scenario", "best", "worst", "at most"
    );
    for file in files {
        let name = file
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part)) {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("a scenario");
        let scenario = Scenario::from_toml(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let plays = (0..SEEDS).map(|seed| scenario.play(seed).expect("a play"));
        let plays: Vec<_> = plays
            .map(|play| (play.ratio(), play.refusals_per_thousand()))
            .collect();
        let best = plays.iter().map(|play| play.0).fold(f64::MAX, f64::min);
        let worst = plays.iter().map(|play| play.0).fold(0.0, f64::max);
        let refusals = plays.iter().map(|play| play.1).fold(0.0, f64::max);
        let bar = scenario.makespan_max;
        println!("{name:<22} {best:>8.3}× {worst:>8.3}× {bar:>8.3}×  {refusals:.1} per 1,000");
    }
}
