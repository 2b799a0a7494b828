//! Models in TOML: what is read, and what is refused with advice.

use rate_limited_sim::{Anchor, ApiModel, Charged, Counted, Latency, Limit};
use std::time::Duration;

const FULL: &str = r#"
seed = 7
latency = { min = "100ms", max = "0.3s" }
failure_rate = 0.25
failures_count = false
refusals_count = true
retry_after = false
headers = false
outage = { from = "10s", to = "1m" }
status = 401

[[limits]]
name = "requests"
quota = 60
window = "1m"

[[limits]]
name = "daily"
unit = "requests"
quota = 1_000
window = "1d"
kind = "fixed"
anchor = "aligned"

[[limits]]
name = "shifted"
unit = "tokens"
quota = 5
window = "1s"
kind = "fixed"
anchor = "250ms"
counted = "completion"
charged = "usage"

[[limits]]
name = "tokens"
quota = 90_000
window = "60s"
kind = "bucket"
burst = 15_000
charged = "reserve"
"#;

#[test]
fn everything_can_be_written() {
    let (ms, secs) = (Duration::from_millis, Duration::from_secs);
    let daily = Limit::requests(1_000, secs(86_400))
        .named("daily")
        .fixed(Anchor::Aligned);
    let shifted = Limit::tokens(5, secs(1))
        .named("shifted")
        .fixed(Anchor::At(ms(250)));
    let expected = ApiModel::new(7)
        .latency(Latency::Uniform {
            min: ms(100),
            max: ms(300),
        })
        .failure_rate(0.25)
        .failures_count(false)
        .refusals_count(true)
        .retry_after(false)
        .headers(false)
        .outage(secs(10)..secs(60))
        .status(401)
        .limit(Limit::requests(60, secs(60)))
        .limit(daily)
        .limit(shifted.counted(Counted::Completion).charged(Charged::Usage))
        .limit(
            Limit::tokens(90_000, secs(60))
                .bucket(15_000)
                .charged(Charged::Reserve),
        );
    assert_eq!(ApiModel::from_toml(FULL).unwrap(), expected);
}

#[test]
fn nothing_need_be_written() {
    assert_eq!(ApiModel::from_toml("").unwrap(), ApiModel::default());
    let constant = ApiModel::from_toml("latency = \"2s\"").unwrap();
    assert_eq!(
        constant,
        ApiModel::new(0).latency(Latency::Constant(Duration::from_secs(2)))
    );
    let bucket = "[[limits]]\nname = \"tokens\"\nquota = 9\nwindow = \"1s\"\nkind = \"bucket\"";
    assert_eq!(
        ApiModel::from_toml(bucket).unwrap().limits()[0].capacity(),
        9
    );
}

#[test]
fn what_cannot_be_meant_is_refused_with_advice() {
    let limit =
        |more: &str| format!("[[limits]]\nname = \"requests\"\nquota = 1\nwindow = \"1s\"\n{more}");
    let cases = [
        ("latncy = \"1s\"".into(), "latncy"),
        ("latency = 3".into(), "a latency is a span"),
        (
            "latency = { min = \"2s\", max = \"1s\" }".into(),
            "swap them",
        ),
        (
            "latency = { median = \"2s\", sigma = -1.0 }".into(),
            "sigma",
        ),
        ("failure_rate = 1.5".into(), "from 0 to 1"),
        ("status = 200".into(), "from 400 to 599"),
        (
            "outage = { from = \"1 fortnight\", to = \"2s\" }".into(),
            "such as 250ms",
        ),
        (limit("burst = 3"), "only kind = \"bucket\""),
        (limit("anchor = \"aligned\""), "only kind = \"fixed\""),
        (
            limit("kind = \"fixed\"\nanchor = \"noon\""),
            "first_request, aligned or a span",
        ),
        (limit("kind = \"bucket\"\nburst = 0"), "above 0"),
        (
            limit("counted = \"completion\"\ncharged = \"reserve\""),
            "choose `usage`",
        ),
        (limit("") + &limit(""), "its own name"),
        (limit("").replace("quota = 1", "quota = 0"), "above 0"),
        (limit("").replace("\"requests\"", "\"daily\""), "add unit"),
    ];
    for (toml, advice) in cases {
        let error = ApiModel::from_toml(&toml).unwrap_err().to_string();
        assert!(error.contains(advice), "{toml}\n{error}");
    }
}

#[test]
#[should_panic(expected = "give numbers above 0")]
fn a_quota_of_zero_cannot_be_built() {
    let _ = Limit::requests(0, Duration::from_secs(1));
}

#[test]
#[should_panic(expected = "its own name")]
fn a_name_cannot_be_built_twice() {
    let limit = Limit::requests(1, Duration::from_secs(1));
    let _ = ApiModel::new(0).limit(limit.clone()).limit(limit);
}
