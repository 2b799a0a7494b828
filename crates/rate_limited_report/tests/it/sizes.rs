//! Reports stay small, and their numbers are those that were counted.

use std::time::Duration;

use rate_limited_report::{Attempt, Call, Meter, Outcome, Report, Sample, Statistics};

use crate::pages::check_page;

/// Statistics of so many calls, of which every tenth is refused once and every hundredth fails.
pub(crate) fn statistics(calls: u64) -> Statistics {
    let mut statistics = Statistics::default();
    statistics.begins(1_700_000_000_000);
    let mut at = Duration::ZERO;
    for number in 0..calls {
        at = Duration::from_millis(number * 20);
        let took = Duration::from_millis(200 + number * 7_919 % 1_800);
        statistics.leaves(at, false);
        let refused = number % 10 == 3;
        if refused {
            let code = Some("rate_limit_exceeded");
            statistics.attempt(
                at,
                &Attempt {
                    outcome: Outcome::Refused,
                    code,
                    took,
                },
            );
            statistics.leaves(at, true);
        }
        let code = (number % 100 == 7).then(|| format!("code-{number}"));
        let code = code.as_deref();
        let outcome = if code.is_some() {
            Outcome::Rejected
        } else {
            Outcome::Succeeded
        };
        statistics.attempt(
            at,
            &Attempt {
                outcome,
                code,
                took,
            },
        );
        let name = format!("a-very-long-name-of-a-call-<{number}>-{}", "x".repeat(200));
        let attempts = 1 + u32::from(refused);
        statistics.call(&Call {
            name: &name,
            attempts,
            took,
            code,
        });
        if number % 50 == 0 {
            let meter = |name| Meter {
                name,
                quota: "3,500 per 1m".to_owned(),
                share: (number % 1_000) as f64 / 1_000.0,
            };
            let meters = vec![meter("requests"), meter("tokens")];
            statistics.sample(
                at,
                &Sample {
                    in_flight: number % 64,
                    waiting: 4_096,
                    meters,
                },
            );
        }
        statistics.uses(17);
    }
    statistics.ends(at);
    statistics
}

#[test]
fn a_million_calls_take_no_more_room_than_a_thousand() {
    for (calls, failed, refused) in [
        (0, 0, 0),
        (1, 0, 0),
        (1_000, 10, 100),
        (1_000_000, 10_000, 100_000),
    ] {
        let statistics = statistics(calls);
        let json = statistics.to_json();
        assert!(json.len() < 150_000, "{} bytes", json.len());
        let report = Statistics::from_json(&json)
            .expect("it was written so")
            .report("a run");
        assert!(report == statistics.report("a run"), "it is the same again");
        assert_eq!(
            (report.calls.succeeded, report.calls.failed),
            (calls - failed, failed)
        );
        assert_eq!(
            (report.attempts.total, report.attempts.retries),
            (calls + refused, refused)
        );
        let ends: u64 = report.attempts.by_outcome.values().sum();
        let slices = report.timeline.iter();
        let seen: u64 = slices.map(|it| it.succeeded + it.refused + it.failed).sum();
        assert_eq!((ends, seen), (calls + refused, calls + refused));
        assert_eq!(
            report.attempts.refused_by_code.values().sum::<u64>(),
            refused
        );
        assert_eq!(report.calls.failed_by_code.values().sum::<u64>(), failed);
        assert!(report.calls.failed_by_code.len() <= 33);
        assert_eq!(
            report.attempts.per_call.iter().map(|it| it.1).sum::<u64>(),
            calls
        );
        assert_eq!(report.latency.answers, calls - failed);
        let [page, data, lines] = [report.to_html(), report.to_json(), report.to_text()];
        assert!(page.len() < 150_000, "{} bytes", page.len());
        assert!(data.len() < 250_000, "{} bytes", data.len());
        assert!(lines.lines().count() < 20 && lines.len() < 4_000, "{lines}");
        assert!(
            Report::from_json(&data).is_ok_and(|it| it == report),
            "the same again"
        );
        check_page(&page);
    }
}

#[test]
fn a_later_run_goes_on_behind_the_earlier_one() {
    let mut statistics = statistics(500);
    let before = statistics.report("a run");
    assert_eq!(before.elapsed_ms, 499 * 20);
    statistics.begins(1_800_000_000_000);
    let took = Duration::from_secs(1);
    statistics.leaves(took, true);
    statistics.attempt(
        took,
        &Attempt {
            outcome: Outcome::TimedOut,
            code: None,
            took,
        },
    );
    statistics.ends(took * 2);
    let report = statistics.report("a run");
    assert_eq!((report.runs, report.elapsed_ms), (2, 499 * 20 + 2_000));
    assert_eq!(report.began_unix_ms, Some(1_700_000_000_000));
    assert_eq!(report.runs_began_ms, [0, 499 * 20]);
    assert_eq!(report.attempts.total, before.attempts.total + 1);
    assert!(
        report.to_text().contains("in 12 s of 2 runs"),
        "{}",
        report.to_text()
    );
    assert!(report.to_html().contains("class=\"mark\""));
}

#[test]
fn what_is_no_statistics_is_not_gone_on_with() {
    for json in [
        "",
        "{}x",
        "[]",
        "{\"form\":2}",
        "{\"timeline\":{\"width_ms\":0,\"slices\":[]}}",
    ] {
        assert_eq!(Statistics::from_json(json.as_bytes()), None, "{json}");
    }
}
