//! Formulas of costs and usages, beyond what the built-in APIs need.

use rate_limited_apis::{Answer, Api, Headers, Moment, Request, Unit};
use rate_limited_core::Amount;

const HEAD: &str = "name = 'x'\ntitle = 'X'\nas_of = '2026-11-24'\nsource = 'x.example'\n";

fn api(rest: &str) -> Api {
    Api::from_toml(&format!("{HEAD}{rest}")).expect("is sound")
}

#[test]
fn usage_is_a_weighted_sum_and_never_negative() {
    let api = api("[usage]\ninput_tokens = { 'usage.in' = 1, 'usage.cached' = -0.9 }");
    let no_headers: &dyn Headers = &[("", ""); 0];
    let check = |usage: &str, want: Option<f64>| {
        let body = format!(r#"{{"usage":{usage}}}"#);
        let told = api.read(
            &Answer::new(200, no_headers, body.as_bytes()),
            Moment::default(),
        );
        let want = want.map(|want| Amount::usage(want).unwrap());
        assert_eq!(told.used(Unit::InputTokens), want, "{usage}");
    };
    check(r#"{"in":100,"cached":50}"#, Some(55.0));
    check(r#"{"in":100}"#, Some(100.0));
    check(r#"{"in":100,"cached":null}"#, Some(100.0));
    check(r#"{"in":1,"cached":50}"#, Some(0.0));
    check(r#"{"cached":50}"#, None);
    check(r#"{"in":100,"cached":"50"}"#, None);
    check(r#"{"in":[100]}"#, None);
    check(r#"{"in":1e300}"#, None);
    check("7", None);
}

#[test]
fn costs_are_weighted_sums() {
    let resource = "[[resources]]\nname = 'r'\nunit = 'points'\n";
    let check = |cost: &str, body: &str, want: f64| {
        let api = api(&format!("{resource}cost = {cost}"));
        let costs = api.costs(&Request::post("/", body.as_bytes()), 50);
        assert_eq!(
            costs[0].amount,
            Amount::cost(want).unwrap(),
            "{cost} {body}"
        );
    };
    check("{ request = 2, bytes = 0.5 }", "{}", 3.0);
    check("{ inputs = 1 }", r#"{"input":["a","b"]}"#, 2.0);
    check("{ inputs = 1 }", r#"{"input":"a"}"#, 1.0);
    check("{ inputs = 1 }", r#"{"input":[1,2,3]}"#, 1.0);
    check("{ inputs = 1 }", r#"{"input":[[1,2],[3]]}"#, 2.0);
    check("{ inputs = 1 }", r#"{"input":null}"#, 0.0);
    check("{ characters = 1 }", r#"{"input":"h\u00e9"}"#, 2.0);
    check(
        "{ prompt = 1, answer = 5 }",
        r#"{"messages":[{"content":"abcd"}],"n":2}"#,
        509.0,
    );
    check(
        "{ answer = 1 }",
        r#"{"max_tokens":7.2,"max_completion_tokens":3}"#,
        8.0,
    );
    check(
        "{ answer = 1 }",
        r#"{"max_tokens":"many","prompt":"x"}"#,
        0.0,
    );
    let api = api(&format!("{resource}cost = {{ answer = 1e12 }}"));
    let costs = api.costs(&Request::post("/", br#"{"max_tokens":1e30}"#), 50);
    assert_eq!(
        costs[0].amount,
        Amount::MAX,
        "what is beyond all bounds never fits"
    );
}
