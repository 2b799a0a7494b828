//! A report as one page: no script, nothing from elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::report::{Named, Report, Slice};
use crate::svg::{self, Series};
use crate::text::{self, most_frequent};
use crate::words::{counted, escaped, grouped, moment, percent, time, whole};

/// How a page begins.
pub(crate) const BEGINS: &str = "<!doctype html>\n<!-- rate-limited report -->\n";

const STYLE: &str = include_str!("style.css");

/// What a page may load: nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Rows of a table of codes.
const CODES_SHOWN: usize = 12;

/// The page of a report.
pub(crate) fn of(report: &Report) -> String {
    let title = escaped(&report.title);
    let parts = [
        head(report),
        tiles(report),
        notes(report),
        limits(report),
        flow(report),
        latency(report),
        attempts(report),
        calls(report),
        examples(report),
    ];
    format!(
        "{BEGINS}<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <meta name=\"referrer\" content=\"no-referrer\"/>\
         <title>{title} · rate-limited</title>\n<style>\n{STYLE}</style></head>\n<body>\n{}\
         <footer>Made by rate-limited. Times are times of running. Quantiles are within 1.6 %.</footer>\n\
         </body></html>\n",
        parts.concat()
    )
}

fn head(report: &Report) -> String {
    let began = report
        .began_unix_ms
        .map(|it| format!(", begun {}", moment(it)));
    let earlier = text::earlier(report).map(|it| format!("; {it}"));
    format!(
        "<header><h1>{}</h1><p class=\"soft\">{}{}{}</p></header>\n",
        escaped(&report.title),
        escaped(&text::calls(report)),
        began.unwrap_or_default(),
        earlier.unwrap_or_default()
    )
}

fn tiles(report: &Report) -> String {
    let calls = &report.calls;
    let rate = |count: u64| count as f64 * 60_000.0 / (report.elapsed_ms.max(1) as f64);
    let attempts = &report.attempts;
    let refused = attempts.by_outcome.get("refused").copied().unwrap_or(0);
    let mut tiles = vec![
        (grouped(calls.succeeded), "succeeded".to_owned()),
        (grouped(calls.failed), "failed".to_owned()),
        (
            grouped(attempts.total),
            format!(
                "attempts, {}",
                counted(attempts.retries, "retry", "retries")
            ),
        ),
        (grouped(refused), "refused".to_owned()),
        (
            whole(rate(report.latency.answers)),
            "good answers a minute".to_owned(),
        ),
    ];
    if report.latency.answers > 0 {
        let unbroken = |ms| time(ms).replace(' ', "\u{a0}");
        let [p95, p99] = [report.latency.p95_ms, report.latency.p99_ms].map(unbroken);
        let told = format!("p50 latency; p95 {p95}, p99 {p99}");
        tiles.push((time(report.latency.p50_ms), told));
    }
    tiles.extend(report.cost.map(|cost| {
        let most = text::money(cost.most_dollars);
        (text::money(cost.dollars), format!("cost, of {most}"))
    }));
    if report.tokens > 0 {
        tiles.push((grouped(report.tokens), "tokens used".to_owned()));
    }
    let tile = |(number, what): (String, String)| {
        format!("<div class=\"tile\"><b>{number}</b><span class=\"soft\">{what}</span></div>")
    };
    let tiles: String = tiles.into_iter().map(tile).collect();
    format!("<div class=\"tiles\">{tiles}</div>\n")
}

fn notes(report: &Report) -> String {
    let note = |note: &String| format!("<section class=\"note\">{}</section>\n", escaped(note));
    report.notes.iter().map(note).collect()
}

/// Each limit over the time, against its quota.
fn limits(report: &Report) -> String {
    if report.limits.is_empty() || report.timeline.is_empty() {
        return String::new();
    }
    let mut body = String::from(
        "<p class=\"legend soft\"><span><i class=\"key pale\"></i>most in a slice</span>\
         <span><i class=\"key line\"></i>average</span> the upper edge is the whole quota</p>",
    );
    for (place, limit) in report.limits.iter().enumerate() {
        let share = |slice: &Slice| slice.shares.get(place).copied().unwrap_or_default();
        let [mean, most] = [
            report.timeline.iter().map(|slice| share(slice).0).collect(),
            report.timeline.iter().map(|slice| share(slice).1).collect(),
        ];
        let told = format!(
            "{} used on average, {} at most",
            percent(limit.mean_share),
            percent(limit.peak_share)
        );
        let label = format!("use of {} over the time: {told}", limit.name);
        let picture = svg::chart(
            &label,
            &[series("pale", most)],
            &[series("mean", mean)],
            &marks(report),
            1.0,
        );
        let caption = format!(
            "<b>{}</b> {}: {told}",
            escaped(&limit.name),
            escaped(&limit.quota)
        );
        body += &figure(&caption, &picture, &time_axis(report));
    }
    section("Limits", &body)
}

/// What was in flight and waited, and what attempts came to.
fn flow(report: &Report) -> String {
    if report.timeline.is_empty() {
        return String::new();
    }
    let of = |value: fn(&Slice) -> f64| report.timeline.iter().map(value).collect::<Vec<_>>();
    let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let (flight, flight_most) = (of(|it| it.in_flight), of(|it| it.in_flight_most));
    let top = most(&flight_most).max(1.0);
    let told = format!("{} at most", whole(top));
    let picture = svg::chart(
        &format!("calls in flight over the time: {told}"),
        &[series("pale", flight_most)],
        &[series("mean", flight)],
        &marks(report),
        top,
    );
    let mut body = figure(
        &format!("<b>in flight</b>: {told}"),
        &picture,
        &time_axis(report),
    );
    let waiting = of(|it| it.waiting);
    let top = most(&waiting).max(1.0);
    let told = format!("{} at most", whole(top));
    let picture = svg::chart(
        &format!("calls that wait, over the time: {told}"),
        &[],
        &[series("waiting", waiting)],
        &marks(report),
        top,
    );
    let caption = format!("<b>queue</b>, calls that were read and wait: {told}");
    body += &figure(&caption, &picture, &time_axis(report));
    body += &ends(report);
    section("Over the time", &body)
}

fn ends(report: &Report) -> String {
    let bar = |slice: &Slice| {
        let counts = [slice.succeeded, slice.refused, slice.failed];
        let told = format!(
            "from {}: {} succeeded, {} refused, {} failed",
            time(slice.from_ms as f64),
            grouped(counts[0]),
            grouped(counts[1]),
            grouped(counts[2])
        );
        (counts.map(|count| count as f64).to_vec(), told)
    };
    let bars: Vec<_> = report.timeline.iter().map(bar).collect();
    let top = bars.iter().map(|(values, _)| values.iter().sum::<f64>());
    let top = top.fold(1.0, f64::max);
    let width = report
        .timeline
        .get(1)
        .map_or(report.elapsed_ms, |it| it.from_ms);
    let caption = format!(
        "<b>attempts that ended</b>, at most {} in {} \
         <span class=\"legend\"><span><i class=\"key good\"></i>succeeded</span>\
         <span><i class=\"key refused\"></i>refused</span><span><i class=\"key failed\"></i>failed</span></span>",
        whole(top),
        time(width as f64)
    );
    let label = "attempts that ended, over the time, by what they came to";
    let picture = svg::bars(label, &["good", "refused", "failed"], &bars, top);
    figure(&caption, &picture, &time_axis(report))
}

fn latency(report: &Report) -> String {
    let latency = &report.latency;
    let Some((first, last)) = latency.histogram.first().zip(latency.histogram.last()) else {
        return String::new();
    };
    let top = latency
        .histogram
        .iter()
        .map(|bar| bar.count)
        .max()
        .unwrap_or(1);
    let bars: Vec<_> = latency
        .histogram
        .iter()
        .map(|bar| {
            let [from, to] = [bar.from_ms, bar.to_ms].map(time);
            let told = format!("{from} to {to}: {}", grouped(bar.count));
            (vec![bar.count as f64], told)
        })
        .collect();
    let [mean, p50, p95, p99, longest] = [
        latency.mean_ms,
        latency.p50_ms,
        latency.p95_ms,
        latency.p99_ms,
        latency.longest_ms,
    ]
    .map(time);
    let told = format!("p50 {p50}, p95 {p95}, p99 {p99}, longest {longest}, mean {mean}");
    let picture = svg::bars(
        &format!("distribution of latencies: {told}"),
        &["good"],
        &bars,
        top as f64,
    );
    let middle = (first.from_ms.max(0.001) * last.to_ms).sqrt();
    let axis = axis(&[first.from_ms, middle, last.to_ms].map(time));
    let answers = counted(latency.answers, "good answer", "good answers");
    let caption = format!("{answers}: <b>{told}</b>; the axis is logarithmic");
    section("Latency of an attempt", &figure(&caption, &picture, &axis))
}

fn attempts(report: &Report) -> String {
    let attempts = &report.attempts;
    let mut tables = String::new();
    let outcomes: Vec<_> = most_frequent(&attempts.by_outcome)
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count, class_of(name)))
        .collect();
    tables += &counts("What attempts came to", "attempts", &outcomes);
    let per_call: Vec<_> = attempts
        .per_call
        .iter()
        .map(|(of, calls)| {
            let more = if *of >= 16 { " or more" } else { "" };
            let name = format!("{}{more}", counted(u64::from(*of), "attempt", "attempts"));
            (name, *calls, "good")
        })
        .collect();
    tables += &counts("Attempts per call", "calls", &per_call);
    tables += &codes(
        "Refusals by code",
        "attempts",
        "refused",
        &attempts.refused_by_code,
    );
    tables += &codes(
        "Failures by code",
        "attempts",
        "failed",
        &attempts.failed_by_code,
    );
    tables += &codes(
        "Failed calls by code",
        "calls",
        "failed",
        &report.calls.failed_by_code,
    );
    if tables.is_empty() {
        return tables;
    }
    section(
        "Attempts",
        &format!("<div class=\"columns\">{tables}</div>"),
    )
}

fn class_of(outcome: &str) -> &'static str {
    match outcome {
        "succeeded" => "good",
        "refused" => "refused",
        _ => "failed",
    }
}

fn codes(title: &str, of: &str, class: &'static str, codes: &BTreeMap<String, u64>) -> String {
    let rows: Vec<_> = most_frequent(codes)
        .into_iter()
        .take(CODES_SHOWN)
        .map(|(code, count)| (code.to_owned(), count, class))
        .collect();
    counts(title, of, &rows)
}

/// A table of names, numbers and bars.
fn counts(title: &str, of: &str, rows: &[(String, u64, &str)]) -> String {
    let Some(most) = rows.iter().map(|(_, count, _)| *count).max() else {
        return String::new();
    };
    let mut table = format!(
        "<div><h3 class=\"soft\">{title}</h3><table><tr><th></th><th class=\"number\">{of}</th><th></th></tr>"
    );
    for (name, count, class) in rows {
        let width = *count as f64 * 100.0 / (most.max(1) as f64);
        let _ = write!(
            table,
            "<tr><td>{}</td><td class=\"number\">{}</td>\
             <td class=\"bar\"><div class=\"{class}\" style=\"width:{width:.1}%\"></div></td></tr>",
            escaped(name),
            grouped(*count)
        );
    }
    table + "</table></div>"
}

fn calls(report: &Report) -> String {
    let tables = [
        named("Slowest calls", &report.slowest),
        named("Calls with most attempts", &report.most_retried),
    ]
    .concat();
    if tables.is_empty() {
        return tables;
    }
    section(
        "Calls that stand out",
        &format!("<div class=\"columns\">{tables}</div>"),
    )
}

fn named(title: &str, calls: &[Named]) -> String {
    if calls.is_empty() {
        return String::new();
    }
    let mut table = format!(
        "<div><h3 class=\"soft\">{title}</h3><table><tr><th>call</th><th class=\"number\">attempts</th>\
         <th class=\"number\">time</th><th>error</th></tr>"
    );
    for call in calls {
        let _ = write!(
            table,
            "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td></tr>",
            escaped(&call.call),
            grouped(call.attempts.into()),
            time(call.took_ms),
            escaped(call.code.as_deref().unwrap_or(""))
        );
    }
    table + "</table></div>"
}

fn examples(report: &Report) -> String {
    if report.examples.is_empty() {
        return String::new();
    }
    let mut table =
        String::from("<table><tr><th>call</th><th>code</th><th>what the error said</th></tr>");
    for example in &report.examples {
        let [call, code, text] =
            [&example.call, &example.code, &example.text].map(|it| escaped(it));
        let _ = write!(
            table,
            "<tr><td>{call}</td><td>{code}</td><td>{text}</td></tr>"
        );
    }
    section("Examples", &(table + "</table>"))
}

fn section(title: &str, body: &str) -> String {
    format!("<section><h2>{title}</h2>{body}</section>\n")
}

fn figure(caption: &str, picture: &str, axis: &str) -> String {
    format!("<figure><figcaption>{caption}</figcaption>{picture}{axis}</figure>")
}

fn series(class: &str, values: Vec<f64>) -> Series<'_> {
    Series { class, values }
}

/// The time that the slices of the timeline span.
fn span_ms(report: &Report) -> f64 {
    let slices = &report.timeline;
    let width = slices.get(1).map_or(report.elapsed_ms, |it| it.from_ms);
    (width as f64 * slices.len() as f64).max(1.0)
}

/// Where later runs begin.
fn marks(report: &Report) -> Vec<f64> {
    let span = span_ms(report);
    let later = report.runs_began_ms.iter().skip(1);
    later.map(|began| (*began as f64 / span).min(1.0)).collect()
}

fn time_axis(report: &Report) -> String {
    let span = span_ms(report);
    let ticks = [0.25, 0.5, 0.75, 1.0].map(|part| time(span * part));
    axis(&[&["0".to_owned()][..], &ticks].concat())
}

fn axis(ticks: &[String]) -> String {
    let ticks = ticks
        .iter()
        .map(|tick| format!("<span>{}</span>", escaped(tick)));
    format!(
        "<div class=\"axis\" aria-hidden=\"true\">{}</div>",
        ticks.collect::<String>()
    )
}
