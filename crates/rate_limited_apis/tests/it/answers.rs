//! Recorded shapes: each file of `tests/answers` has answers of one API, and what they must be read as.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rate_limited_apis::parse::{go_duration, rfc3339};
use rate_limited_apis::{Answer, Api, Class, Feedback, Means, Moment, Reading, Request, Unit};
use rate_limited_core::Amount;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// When all answers of the file come.
    #[serde(default = "noon")]
    now: String,
    #[serde(default)]
    answers: Vec<Case>,
    #[serde(default)]
    requests: Vec<RequestCase>,
}

fn noon() -> String {
    "2026-11-24T12:00:00Z".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    what: String,
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    #[serde(default = "yes")]
    repeatable: bool,
    class: Class,
    /// The status that a disguised refusal stands for.
    stands_for: Option<u16>,
    resource: Option<String>,
    wait: Option<String>,
    #[serde(default)]
    parks: bool,
    code: Option<String>,
    #[serde(default)]
    readings: Vec<ReadingCase>,
    #[serde(default)]
    usage: BTreeMap<Unit, f64>,
    #[serde(default)]
    charges: BTreeMap<String, f64>,
    #[serde(default)]
    unreadable: Vec<String>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadingCase {
    resource: String,
    key: Option<String>,
    limit: Option<f64>,
    burst: Option<f64>,
    remaining: Option<f64>,
    used: Option<f64>,
    cost: Option<f64>,
    reset: Option<String>,
    means: Option<Means>,
    window: Option<String>,
    rounded_to: Option<f64>,
    #[serde(default)]
    over_limit: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestCase {
    what: String,
    #[serde(default = "post")]
    method: String,
    path: String,
    #[serde(default)]
    body: String,
    endpoint: Option<String>,
    costs: BTreeMap<String, f64>,
    #[serde(default)]
    keys: BTreeMap<String, String>,
}

fn post() -> String {
    "POST".to_owned()
}

#[test]
fn recorded_answers_are_read_as_they_were_meant() {
    for api in Api::built_in() {
        let file = read(&api.name);
        let of = |class: Class| {
            file.answers
                .iter()
                .filter(|case| case.class == class)
                .count()
        };
        assert!(of(Class::Success) > 0, "{} has no success", api.name);
        assert!(
            of(Class::Success) < file.answers.len(),
            "{} has no refusal",
            api.name
        );
        let tells = |case: &Case| !case.usage.is_empty() || !case.charges.is_empty();
        let used = file.answers.iter().any(tells);
        assert!(used || api.usage.is_empty(), "{} has no usage", api.name);
        check(api, &file);
    }
}

#[test]
fn recorded_answers_of_the_examples() {
    for path in examples() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        if folder().join(format!("{name}.toml")).exists() {
            check(&Api::load(&path).unwrap(), &read(name));
        }
    }
}

#[test]
fn examples_are_sound_and_marked_untested() {
    let paths = examples();
    assert!(paths.len() >= 20, "the examples were not found");
    for path in paths {
        let api = Api::load(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(api.untested, "{}", path.display());
        assert_eq!(path.file_stem().unwrap().to_str(), Some(api.name.as_str()));
        assert!(Api::named(&api.name).is_err(), "{} is built in", api.name);
    }
}

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/apis");
    let entries = fs::read_dir(folder).expect("the examples");
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/answers")
}

fn read(name: &str) -> File {
    let path = folder().join(format!("{name}.toml"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn check(api: &Api, file: &File) {
    let now = rfc3339(&file.now).expect("a moment");
    for case in &file.answers {
        check_answer(api, case, now);
    }
    for case in &file.requests {
        check_request(api, case);
    }
}

#[track_caller]
fn check_answer(api: &Api, case: &Case, now: Moment) {
    let name = format!("{}: {}", api.name, case.what);
    let headers: Vec<(&str, &str)> = case
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let answer =
        Answer::new(case.status, &headers, case.body.as_bytes()).repeatable(case.repeatable);
    let told = api.read(&answer, now);

    assert_eq!(told.class, case.class, "{name}: {told:?}");
    assert_eq!(
        told.status,
        case.stands_for.unwrap_or(case.status),
        "{name}"
    );
    assert_eq!(told.resource, case.resource.as_deref(), "{name}");
    let wait = case
        .wait
        .as_deref()
        .map(|wait| go_duration(wait).expect("a duration"));
    assert_eq!(told.wait.as_ref().map(|wait| wait.after), wait, "{name}");
    assert_eq!(
        told.wait.as_ref().is_some_and(|wait| wait.parks),
        case.parks,
        "{name}: parks"
    );
    if case.code.is_some() {
        assert_eq!(told.code, case.code, "{name}");
    }
    check_readings(&name, &told, &case.readings);
    let usage: BTreeMap<Unit, Amount> = told.usage.iter().copied().collect();
    assert_eq!(usage, amounts(&case.usage), "{name}: usage");
    let charges = told
        .charges
        .iter()
        .map(|(name, amount)| ((*name).to_owned(), *amount));
    assert_eq!(
        charges.collect::<BTreeMap<_, _>>(),
        amounts(&case.charges),
        "{name}: charges"
    );
    assert_eq!(told.unreadable, case.unreadable, "{name}: unreadable");
}

fn check_readings(name: &str, told: &Feedback<'_>, wanted: &[ReadingCase]) {
    assert_eq!(
        told.readings.len(),
        wanted.len(),
        "{name}: {:#?}",
        told.readings
    );
    for (reading, want) in told.readings.iter().zip(wanted) {
        let name = format!("{name}: {}", want.resource);
        let Reading {
            resource,
            key,
            limit,
            burst,
            remaining,
            used,
            cost,
            ..
        } = reading;
        assert_eq!(*resource, want.resource, "{name}");
        assert_eq!(*key, want.key, "{name}: key");
        assert_eq!(*limit, amount(want.limit), "{name}: limit");
        assert_eq!(*burst, amount(want.burst), "{name}: burst");
        assert_eq!(*remaining, amount(want.remaining), "{name}: remaining");
        assert_eq!(*used, amount(want.used), "{name}: used");
        assert_eq!(*cost, amount(want.cost), "{name}: cost");
        let duration =
            |text: &Option<String>| text.as_deref().map(|text| go_duration(text).unwrap());
        let after = reading.reset.map(|reset| reset.after);
        assert_eq!(after, duration(&want.reset), "{name}: reset");
        assert_eq!(
            reading.reset.and_then(|reset| reset.means),
            want.means,
            "{name}: means"
        );
        assert_eq!(reading.window, duration(&want.window), "{name}: window");
        assert_eq!(
            reading.rounded_to,
            amount(want.rounded_to),
            "{name}: rounded_to"
        );
        assert_eq!(reading.over_limit, want.over_limit, "{name}: over_limit");
    }
}

fn check_request(api: &Api, case: &RequestCase) {
    let name = format!("{}: {}", api.name, case.what);
    let request = Request::new(&case.method, &case.path, case.body.as_bytes());
    let class = api
        .endpoint(&request)
        .map(|endpoint| endpoint.class.clone());
    assert_eq!(class, case.endpoint, "{name}: endpoint");
    let costs = api.costs(&request, 1_000);
    let of = |cost: &rate_limited_apis::Cost<'_>| (cost.resource.to_owned(), cost.amount);
    let told: BTreeMap<String, Amount> = costs.iter().map(of).collect();
    assert_eq!(told, amounts(&case.costs), "{name}: costs");
    for (resource, key) in &case.keys {
        let cost = costs
            .iter()
            .find(|cost| cost.resource == resource)
            .expect("a cost");
        assert_eq!(cost.key.as_ref(), Some(key), "{name}: key of {resource}");
    }
}

fn amount(units: Option<f64>) -> Option<Amount> {
    units.map(|units| Amount::usage(units).expect("an amount"))
}

fn amounts<K: Ord + Clone>(units: &BTreeMap<K, f64>) -> BTreeMap<K, Amount> {
    units
        .iter()
        .map(|(key, units)| (key.clone(), Amount::usage(*units).unwrap()))
        .collect()
}

/// What nobody meant, and a moment later everybody sends: never a panic, never a limit of nothing.
#[test]
fn odd_headers_are_left_alone() {
    let api = Api::named("azure_openai").unwrap();
    let check = |value: &str, limit: Option<u32>| {
        let headers = [("x-ratelimit-limit-tokens", value)];
        let told = api.read(&Answer::new(200, &headers, b"{}"), Moment::from_seconds(0));
        let read = told.readings.first().and_then(|reading| reading.limit);
        assert_eq!(read, limit.map(Amount::units), "{value:?}");
        told.unreadable.is_empty()
    };
    assert!(check("30,000", Some(30_000)));
    assert!(check("-1", None), "-1 is unknown, and no garbage");
    assert!(check("0", None), "no server means a limit of nothing");
    assert!(check("", None));
    assert!(!check("NaN", None));
    assert!(!check("1e400", None));
    assert!(!check("99999999999999999999", None));
    let headers = [
        ("x-ratelimit-limit-tokens", "100"),
        ("x-ratelimit-remaining-tokens", "500"),
    ];
    let told = api.read(&Answer::new(200, &headers, b"{}"), Moment::from_seconds(0));
    assert_eq!(
        told.readings[0].remaining,
        Some(Amount::units(100)),
        "more than the limit"
    );
}

/// A skewed clock on either side does no harm: the answer's own `Date` is where its moments count from.
#[test]
fn moments_count_from_the_date_of_the_answer() {
    let api = Api::named("anthropic").unwrap();
    let headers = [
        ("Date", "Wed, 01 Apr 2026 12:00:00 GMT"),
        ("anthropic-ratelimit-requests-remaining", "5"),
        ("anthropic-ratelimit-requests-reset", "2026-04-01T12:00:30Z"),
        ("retry-after", "Wed, 01 Apr 2026 12:00:07 GMT"),
    ];
    for now in [
        "1990-01-01T00:00:00Z",
        "2026-04-01T12:00:00Z",
        "2090-01-01T00:00:00Z",
    ] {
        let told = api.read(&Answer::new(429, &headers, b""), rfc3339(now).unwrap());
        let reset = told.readings[0].reset.expect("a reset");
        assert_eq!(reset.after, Duration::from_secs(30), "{now}");
        assert_eq!(
            told.wait.expect("a wait").after,
            Duration::from_secs(7),
            "{now}"
        );
    }
}
