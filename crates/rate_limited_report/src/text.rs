//! A report as a few lines.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::report::{Named, Report};
use crate::words::{counted, grouped, percent, time};

/// How the lines begin.
pub(crate) const BEGINS: &str = "rate-limited report: ";

/// Codes and calls that a line names.
const SHOWN: usize = 5;

/// The lines of a report.
pub(crate) fn of(report: &Report) -> String {
    let mut lines = vec![
        format!("{BEGINS}{}", report.title),
        calls(report),
        attempts(report),
    ];
    lines.extend(earlier(report));
    let latency = &report.latency;
    if latency.answers > 0 {
        let [p50, p95, p99, longest] = [
            latency.p50_ms,
            latency.p95_ms,
            latency.p99_ms,
            latency.longest_ms,
        ]
        .map(time);
        lines.push(format!(
            "latency of good answers: p50 {p50}, p95 {p95}, p99 {p99}, longest {longest}"
        ));
    }
    lines.extend(report.limits.iter().map(|limit| {
        format!(
            "limit {} ({}): {} used on average, {} at most",
            limit.name,
            limit.quota,
            percent(limit.mean_share),
            percent(limit.peak_share)
        )
    }));
    lines.extend(codes("refused", &report.attempts.refused_by_code));
    lines.extend(codes("failed attempts", &report.attempts.failed_by_code));
    lines.extend(codes("failed calls", &report.calls.failed_by_code));
    lines.extend(cost(report));
    lines.extend(named("slowest calls", &report.slowest, |call| {
        time(call.took_ms)
    }));
    lines.extend(named("most attempts", &report.most_retried, |call| {
        grouped(call.attempts.into())
    }));
    lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
    for example in &report.examples {
        lines.push(format!(
            "{} ({}): {}",
            example.call, example.code, example.text
        ));
    }
    lines.join("\n") + "\n"
}

pub(crate) fn calls(report: &Report) -> String {
    let calls = &report.calls;
    let over = calls.succeeded + calls.failed;
    let of = calls.requests.filter(|all| *all > over);
    let all = of.unwrap_or(over);
    let mut line = format!(
        "{}: {} succeeded, {} failed",
        counted(all, "call", "calls"),
        grouped(calls.succeeded),
        grouped(calls.failed)
    );
    if all > over {
        let _ = write!(line, ", {} not over", grouped(all - over));
    } else if calls.unfinished > 0 {
        let _ = write!(line, ", {} not over", grouped(calls.unfinished));
    }
    let _ = write!(line, " in {}", time(report.elapsed_ms as f64));
    if report.runs > 1 {
        let _ = write!(line, " of {} runs", grouped(report.runs));
    }
    line
}

/// What of it is of earlier runs.
pub(crate) fn earlier(report: &Report) -> Option<String> {
    let earlier = report.earlier?;
    Some(format!(
        "of these, {} and {} were in {}",
        counted(earlier.calls, "call", "calls"),
        counted(earlier.attempts, "attempt", "attempts"),
        counted(earlier.runs, "earlier run", "earlier runs")
    ))
}

fn attempts(report: &Report) -> String {
    let attempts = &report.attempts;
    let ends = attempts.by_outcome.iter();
    let ends: Vec<_> = ends
        .map(|(name, count)| format!("{} {name}", grouped(*count)))
        .collect();
    let retries = counted(attempts.retries, "retry", "retries");
    let all = format!(
        "{}, {retries}",
        counted(attempts.total, "attempt", "attempts")
    );
    if ends.is_empty() {
        all
    } else {
        format!("{all}: {}", ends.join(", "))
    }
}

fn codes(what: &str, codes: &BTreeMap<String, u64>) -> Option<String> {
    let told: Vec<_> = most_frequent(codes)
        .into_iter()
        .take(SHOWN)
        .map(|(code, count)| format!("{} × {code}", grouped(count)))
        .collect();
    let more = codes.len().saturating_sub(SHOWN);
    let more = if more > 0 {
        format!(" and {more} other codes")
    } else {
        String::new()
    };
    (!told.is_empty()).then(|| format!("{what}: {}{more}", told.join(", ")))
}

/// The codes, the most frequent ones first.
pub(crate) fn most_frequent(codes: &BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    let mut codes: Vec<_> = codes
        .iter()
        .map(|(code, count)| (code.as_str(), *count))
        .collect();
    codes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    codes
}

/// What it cost and took, where something is known of that.
pub(crate) fn cost(report: &Report) -> Option<String> {
    let tokens = (report.tokens > 0).then(|| counted(report.tokens, "token", "tokens"));
    let cost = report.cost.map(|cost| {
        let [dollars, most] = [cost.dollars, cost.most_dollars].map(money);
        format!("{dollars} of {most} at most")
    });
    let parts: Vec<_> = [cost, tokens].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("used: {}", parts.join(", ")))
}

pub(crate) fn money(dollars: f64) -> String {
    let places = match dollars.abs() {
        0.0 => 2,
        sum if sum < 0.001 => 6,
        sum if sum < 1.0 => 4,
        _ => 2,
    };
    format!("${dollars:.places$}")
}

fn named(what: &str, calls: &[Named], value: impl Fn(&Named) -> String) -> Option<String> {
    let told: Vec<_> = calls
        .iter()
        .take(SHOWN)
        .map(|call| format!("{} ({})", call.call, value(call)))
        .collect();
    (!told.is_empty()).then(|| format!("{what}: {}", told.join(", ")))
}
