//! Every scenario of the folder, within its bounds, over many seeds.

use rate_limited_sim::Scenario;
use rate_limited_sim::world::End;
use std::path::Path;

/// Plays of each scenario; with those of the folder, more than 500 seeds in all.
const SEEDS: u64 = 25;

pub(crate) fn scenarios() -> Vec<(String, Scenario)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let files = std::fs::read_dir(folder).expect("the folder of scenarios");
    let mut scenarios: Vec<_> = files
        .map(|entry| entry.expect("a scenario").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .map(|path| {
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let text = std::fs::read_to_string(&path).expect("a scenario");
            let scenario = Scenario::from_toml(&text);
            let scenario = scenario.unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, scenario)
        })
        .collect();
    scenarios.sort_by(|one, other| one.0.cmp(&other.0));
    scenarios
}

#[test]
fn every_scenario_stays_within_its_bounds() {
    let scenarios = scenarios();
    assert!(scenarios.len() as u64 * SEEDS >= 500);
    for (name, scenario) in scenarios {
        for seed in 0..SEEDS {
            let outcome = scenario
                .play(seed)
                .unwrap_or_else(|error| panic!("{name} {seed}: {error}"));
            assert!(
                outcome.ratio() <= scenario.makespan_max,
                "{name}, seed {seed}: {outcome}"
            );
            let refusals = outcome.refusals_per_thousand();
            assert!(
                refusals <= scenario.refusals_max,
                "{name}, seed {seed}: {outcome}"
            );
            let undone = outcome
                .report
                .calls
                .iter()
                .filter(|call| call.end != End::Done)
                .count();
            assert_eq!(undone, 0, "{name}, seed {seed}");
        }
    }
}

#[test]
fn a_seed_replays_event_by_event() {
    for (name, scenario) in scenarios() {
        if name == "slow" {
            continue; // 14,000 calls, and nothing in them that the others have not.
        }
        let mut world = scenario.world(3);
        world.keeps_trace(true);
        let (first, second) = (world.run().expect("a play"), world.run().expect("a play"));
        assert!(first.trace == second.trace, "{name}");
        assert_eq!(first.trace_hash, second.trace_hash, "{name}");
        let other = scenario.world(4).run().expect("a play");
        assert_ne!(
            first.trace_hash, other.trace_hash,
            "{name}: another seed, another run"
        );
    }
}
