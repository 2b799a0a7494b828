//! Descriptions: all that are compiled in hold, and faults are told.

use std::time::Duration;

use rate_limited_apis::{Api, DescriptionError, Moment, Request, Unit};
use rate_limited_core::{Amount, Anchor, Counted, Limiter, Quota, Resource, Settlement, Time};

const HEAD: &str = r#"
    name = "x"
    title = "X"
    as_of = "2026-11-24"
    source = "x.example"
"#;

const RESOURCE: &str = r#"
    [[resources]]
    name = "requests"
    unit = "requests"
    window = "1m"
    cost = { request = 1 }
"#;

fn api(rest: &str) -> Result<Api, DescriptionError> {
    Api::from_toml(&format!("{HEAD}{rest}"))
}

#[test]
fn all_built_in_apis_are_sound() {
    assert_eq!(Api::built_in().count(), 24);
    for api in Api::built_in() {
        assert!(api.explain().contains(&api.title), "{}", api.name);
        assert!(
            !api.as_of.is_empty() && !api.source.is_empty(),
            "{}",
            api.name
        );
        assert!(!api.untested, "{}", api.name);
        assert_eq!(Api::named(&api.name), Ok(api));
        // A quota of each resource is one that the scheduler takes.
        for resource in &api.resources {
            let Some(quota) = resource.quota(Amount::units(60), Moment::from_seconds(0), &start)
            else {
                assert!(resource.window.is_none(), "{}: {}", api.name, resource.name);
                continue;
            };
            let mut limiter = Limiter::new(Time::PROCESS_START);
            let declared = resource.declare(quota);
            assert!(limiter.add(declared).is_ok(), "{}", resource.name);
        }
    }
}

fn start(_: Moment) -> Time {
    Time::PROCESS_START
}

#[track_caller]
fn check(rest: &str, told: &[&str]) {
    let error = api(rest).expect_err("is wrong").to_string();
    for part in told {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

#[test]
fn faults_of_grammar_name_the_place() {
    check("colour = 1", &["line 6", "unknown field `colour`"]);
    check("base_url = 1", &["line 6", "base_url"]);
    check(
        "[[resources]]\nunit = \"apples\"",
        &["unknown variant `apples`", "`requests`"],
    );
    check(
        "[[rules]]\nclass = \"bad\"",
        &["unknown variant `bad`", "`throttled`"],
    );
    check(
        "[[rules]]\nstatus = \"7x\"\nclass = \"fatal\"",
        &["\"7x\" is no status", "\"4xx\""],
    );
    check(
        "[[rules]]\nstatus = 70000\nclass = \"fatal\"",
        &["\"70000\" is no status"],
    );
    check(
        "[[waits]]\nfrom = \"header:\"\nformat = \"seconds\"",
        &["is not the name of a header"],
    );
    check(
        "[[waits]]\nfrom = \"a..b\"\nformat = \"seconds\"",
        &["\"a..b\" is not a path"],
    );
    check(
        "attempt_timeout = \"5\"",
        &["\"5\" is not a duration", "\"90s\""],
    );
    check(
        "[[endpoints]]\nclass = \"x\"\npath = \"chat\"",
        &["\"chat\" is no pattern of a path"],
    );
    check(
        &format!("{RESOURCE}key = \"colour\""),
        &["\"colour\" is no key"],
    );
    check(
        &format!("{RESOURCE}part = \"core\""),
        &["part is \"core\"", "key = \"header:x-part\""],
    );
    check(
        &format!("{RESOURCE}anchor = \"day Mars\""),
        &["\"Mars\" is no known time zone", "UTC"],
    );
    check(
        &format!("{RESOURCE}anchor = \"noon\""),
        &["\"noon\" is no anchor"],
    );
    check(
        &format!("{RESOURCE}feedback = {{ limit = 7 }}"),
        &["a source such as"],
    );
    check("[usage]\ntokens = 7", &["line 7", "integer `7`"]);
    check(
        "attempt_timeout = \"500d\"",
        &["\"500d\" is too long a duration", "400d"],
    );
    assert!(
        Api::from_toml("title = \"X\"")
            .unwrap_err()
            .to_string()
            .contains("missing field `name`")
    );
}

#[test]
fn faults_of_meaning_name_field_value_and_next_step() {
    check(
        "like = \"opnai\"",
        &["like is \"opnai\"", "did you mean \"openai\""],
    );
    check(
        "base_url = \"x.example\"",
        &["base_url is \"x.example\"", "begin with https://"],
    );
    check(
        "auth = { prefix = \"Bearer \" }",
        &["auth is Auth {", "either header or query"],
    );
    check(
        &format!("{RESOURCE}{RESOURCE}"),
        &["resources.name is \"requests\"", "once"],
    );
    check(
        &format!("{RESOURCE}limit = 0"),
        &["resources.requests.limit is 0.0", "above 0"],
    );
    check(
        &format!("{RESOURCE}limit = nan"),
        &["resources.requests.limit is NaN"],
    );
    check(
        &format!("{RESOURCE}slice = \"2m\""),
        &["resources.requests.slice is 120s", "no longer"],
    );
    check(
        &format!("{RESOURCE}kind = \"slots\""),
        &["resources.requests.window is 60s", "leave it out"],
    );
    check(
        &format!("{RESOURCE}endpoints = \"chat\""),
        &["resources.requests.endpoints is \"chat\""],
    );
    check(
        &format!("{RESOURCE}settlement = \"told\""),
        &["settlement is \"told\"", "feedback.cost"],
    );
    check(
        &RESOURCE.replace("1m", "0s"),
        &["resources.requests.window is 0ns"],
    );
    check(
        &RESOURCE.replace("= 1 }", "= -1 }"),
        &["resources.requests.cost is -1.0", "from 0"],
    );
    let no_window = RESOURCE.replace("window = \"1m\"", "kind = \"bucket\"");
    check(
        &no_window,
        &["resources.requests.window is \"missing\"", "\"1m\""],
    );
    check(
        "[[rules]]\nclass = \"fatal\"\nresource = \"x\"",
        &["rules[0].resource is \"x\""],
    );
    check(
        "[[rules]]\nclass = \"exhausted\"\nuntil = \"clock\"",
        &["rules[0].until is", "\"day UTC\""],
    );
    check(
        "[[rules]]\nclass = \"fatal\"\nwhen = { at = \"a\" }",
        &["rules[0].when", "exactly one of"],
    );
    check(
        "[[rules]]\nclass = \"fatal\"\nwhen = { at = \"a\", is = \"x\", has = \"y\" }",
        &["rules[0].when", "exactly one of"],
    );
    check(
        "[[disguised]]\nstatus = 200\nwhen = { at = \"a\", is = \"x\" }",
        &["disguised[0].status is 200"],
    );
    check(
        "[[tiers]]\nname = \"t\"\nlimits = { apples = 1 }",
        &["tiers.t.limits.apples is \"apples\""],
    );
    check(
        "[[prices]]\nunit = \"tokens\"\nusd = -1",
        &["prices.usd is -1.0"],
    );
}

#[test]
fn faults_of_what_has_limits_for_itself_are_told() {
    check(
        &format!("{RESOURCE}[[tiers]]\nname = \"t\"\nmodels = \"a*\"\nlimits = {{ requests = 1 }}"),
        &["tiers.t.limits.requests is [\"a*\"]", "key = \"model\""],
    );
    check(
        &format!(
            "{RESOURCE}[[tiers]]\nname = \"t\"\nmodels = \"a*b*\"\nlimits = {{ requests = 1 }}"
        ),
        &["tiers.t.models is \"a*b*\"", "at most one *"],
    );
    check(
        &format!("{RESOURCE}key = [\"model\", \"model\"]"),
        &["resources.requests.key is Model", "once"],
    );
    check(
        &format!("{RESOURCE}key = \"endpoint\""),
        &["resources.requests.key is \"endpoint\"", "[[endpoints]]"],
    );
    check(
        &format!("{RESOURCE}[[pools]]\nname = \"p\"\nmodels = \"a*\""),
        &["pools.p.models is [\"a*\"]", "key = \"model\""],
    );
    check(
        &format!("{RESOURCE}key = \"model\"\n[[pools]]\nname = \"p\"\nmodels = []"),
        &["pools.p.models is \"empty\"", "name the models"],
    );
    check(
        &format!("{RESOURCE}key = \"model\"\n[[pools]]\nname = \"p*\"\nmodels = \"a\""),
        &["pools.name is \"p*\"", "without *"],
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Api::load("/no/such/file.toml").unwrap_err().to_string();
    assert!(
        error.starts_with("failed to read /no/such/file.toml: "),
        "{error}"
    );
}

#[test]
fn a_family_gives_what_is_left_out() {
    let api = api("like = \"openai\"\n[[rules]]\nstatus = 429\nclass = \"overloaded\"").unwrap();
    let openai = Api::named("openai").unwrap();
    assert_eq!(api.rules.len(), openai.rules.len() + 1);
    assert_eq!(api.usage, openai.usage);
    assert!(api.resources.is_empty(), "limits are never inherited");
    assert!(
        api.rules.iter().all(|rule| rule.resource.is_none()),
        "nor are rules about them"
    );
}

fn is(a: f64, b: f64) -> bool {
    (a - b).abs() < f64::EPSILON
}

#[test]
fn limits_of_tiers() {
    let anthropic = Api::named("anthropic").unwrap();
    let start = |model| anthropic.limits("start", model).unwrap()["input_tokens"];
    let all = [None, Some("claude-opus-4-7"), Some("claude-fable-5")].map(start);
    assert!(
        is(all[0], 2e6) && is(all[1], 2e6) && is(all[2], 5e5),
        "{all:?}"
    );
    assert_eq!(anthropic.limits("platinum", None), None);
    let github = Api::named("github").unwrap();
    let search = |tier| github.limits(tier, None).unwrap()["search"];
    assert!(is(search("anonymous"), 10.0) && is(search("user"), 30.0));
    let points = github.limits("anonymous", None).unwrap()["points"];
    assert!(is(points, 900.0), "{points}: what all have");
    let groq = Api::named("groq").unwrap();
    assert!(
        groq.limits("free", Some("gpt-oss-120b"))
            .unwrap()
            .is_empty(),
        "no guess"
    );
}

#[test]
fn limits_of_tiers_for_single_models_have_their_keys() {
    let api = api(&format!(
        "{RESOURCE}key = \"model\"\nlimit = 7\n\
         [[pools]]\nname = \"big\"\nmodels = \"big-*\"\n\
         [[tiers]]\nname = \"t\"\nmodels = [\"big-1*\", \"small*\"]\nlimits = {{ requests = 1 }}\n\
         [[tiers]]\nname = \"t\"\nmodels = \"small*\"\nlimits = {{ requests = 2 }}\n\
         [[tiers]]\nname = \"u\"\nlimits = {{ requests = 3 }}"
    ));
    let api = api.expect("sound");
    let of = |tier| {
        let limits = api.tier_limits(tier)?.into_iter();
        Some(
            limits
                .map(|it| (it.key, it.limit.to_string()))
                .collect::<Vec<_>>(),
        )
    };
    let expected = [(None, "7"), (Some("big"), "1"), (Some("small*"), "2")];
    let expected = expected.map(|(key, limit)| (key, limit.to_owned()));
    assert_eq!(of("t").expect("is a tier"), expected);
    assert_eq!(of("u").expect("is a tier"), [(None, "3".to_owned())]);
    assert_eq!(of("v"), None);
}

#[test]
fn what_shares_a_limit_has_one_key() {
    let key = |name: &str, resource: &str, path: &str, body: &str| {
        let api = Api::named(name).expect("built in");
        let costs = api.costs(&Request::post(path, body.as_bytes()), 100);
        let found = costs.into_iter().find(|cost| cost.resource == resource);
        found.expect("is metered").key.unwrap_or_default()
    };
    let model = |model: &str| format!("{{\"model\": \"{model}\", \"messages\": []}}");
    for (api, resource, path, body, expected) in [
        (
            "openai",
            "tokens",
            "/v1/chat/completions",
            model("gpt-4o"),
            "gpt-4o",
        ),
        (
            "anthropic",
            "requests",
            "/v1/messages",
            model("claude-opus-4-1"),
            "claude-opus-4",
        ),
        (
            "anthropic",
            "requests",
            "/v1/messages",
            model("claude-opus-4-7"),
            "claude-opus-4",
        ),
        (
            "gemini",
            "requests",
            "/v1beta/models/gemini-2.5-flash:generateContent",
            "{}".to_owned(),
            "gemini-2.5-flash",
        ),
        (
            "groq",
            "requests_per_day",
            "/chat/completions",
            model("llama-3.1-8b"),
            "llama-3.1-8b",
        ),
        (
            "slack",
            "requests",
            "/chat.postMessage",
            "{}".to_owned(),
            "/chat.postMessage",
        ),
        (
            "stripe",
            "endpoint_requests",
            "/v1/customers/cus_9s6XKzk?a=1",
            "{}".to_owned(),
            "/v1/customers/*",
        ),
        ("stripe", "requests", "/v1/customers", "{}".to_owned(), ""),
        ("github", "points", "/repos/o/r/issues", "{}".to_owned(), ""),
    ] {
        assert_eq!(key(api, resource, path, &body), expected, "{api} {path}");
    }
}

#[test]
fn what_has_a_limit_for_itself_is_explained() {
    for (api, expected) in [
        (
            "anthropic",
            &[
                "for each model",
                "Models that share their limits",
                "claude-opus-4: claude-opus-4*",
            ][..],
        ),
        ("slack", &["for each path"]),
        ("groq", &["for each model", "free (llama-3.1-8b*)"]),
    ] {
        let text = Api::named(api).expect("built in").explain();
        for part in expected {
            assert!(text.contains(part), "{api}: {text}");
        }
    }
    let generic = Api::named("generic").expect("built in").explain();
    assert!(!generic.contains("for each"), "{generic}");
}

#[test]
fn prices_are_known_or_unknown() {
    let api = api("[[endpoints]]\nclass = \"search\"\npath = \"/search\"\n\
         [[prices]]\nendpoints = \"search\"\nunit = \"requests\"\nusd = 1\nper = 1000\n\
         [[prices]]\nmodels = \"big-*\"\nunit = \"output_tokens\"\nusd = 15\nper = 1e6");
    let api = api.unwrap();
    assert_eq!(api.price(Unit::Requests, None, Some("search")), Some(0.001));
    assert_eq!(api.price(Unit::Requests, None, None), None);
    assert_eq!(
        api.price(Unit::OutputTokens, Some("big-1"), None),
        Some(15e-6)
    );
    assert_eq!(api.price(Unit::OutputTokens, Some("small"), None), None);
}

#[track_caller]
fn check_quota(api: &str, resource: &str, limit: u32, want: Quota) {
    let resource = Api::named(api).unwrap().resource(resource).unwrap();
    let now = Moment::from_seconds(1_795_521_600); // 2026-11-24 12:00 UTC
    let time_of = |moment: Moment| Time::PROCESS_START + now.until(moment);
    assert_eq!(
        resource.quota(Amount::units(limit), now, &time_of),
        Some(want)
    );
}

#[test]
fn quotas_are_what_the_scheduler_has() {
    let (units, minute) = (Amount::units, Duration::from_secs(60));
    check_quota(
        "openai",
        "tokens",
        500,
        Quota::bucket(units(500), minute, units(500)),
    );
    check_quota("openai", "images", 5, Quota::per(units(5), minute));
    check_quota(
        "azure_openai",
        "requests",
        600,
        Quota::bucket(units(600), minute, units(10)),
    );
    check_quota(
        "anthropic",
        "requests",
        30,
        Quota::bucket(units(30), minute, units(1)),
    );
    check_quota("ollama", "in_flight", 1, Quota::slots(units(1)));
    check_quota(
        "openrouter",
        "credits",
        5,
        Quota::Budget { amount: units(5) },
    );
    let fixed = |amount, window, anchor| Quota::FixedWindow {
        amount,
        window,
        anchor,
    };
    check_quota(
        "azure_openai",
        "tokens",
        9,
        fixed(units(9), minute, Anchor::FirstCall),
    );
    let day = Duration::from_secs(86_400);
    let hours = |hours: u64| Time::PROCESS_START + Duration::from_secs(hours * 3_600);
    let calendar = |end, next| Anchor::Calendar {
        // Before now: as far as this clock of times goes.
        start: Time::PROCESS_START,
        end: hours(end),
        next: hours(next),
    };
    check_quota(
        "gemini",
        "requests_per_day",
        20,
        fixed(units(20), day, calendar(20, 44)),
    );
    check_quota(
        "openrouter",
        "free_requests_per_day",
        50,
        fixed(units(50), day, calendar(12, 36)),
    );
}

#[test]
fn declarations_say_how_it_is_charged() {
    let quota = Quota::per_minute(Amount::units(9));
    let resource = |api: &str, name: &str| {
        Api::named(api)
            .unwrap()
            .resource(name)
            .unwrap()
            .declare(quota)
    };
    assert_eq!(
        resource("anthropic", "output_tokens"),
        Resource::new("output_tokens", quota)
            .counted(Counted::AtCompletion)
            .settlement(Settlement::Usage)
            .learn(true)
    );
    assert_eq!(resource("openai", "tokens"), Resource::new("tokens", quota));
}

#[test]
fn an_explanation_is_readable() {
    let text = Api::named("openrouter").unwrap().explain();
    for part in [
        "openrouter: OpenRouter, as of 2026-11-24",
        "at      https://openrouter.ai/api/v1",
        "key     $OPENROUTER_API_KEY, sent as Authorization: Bearer …",
        "free_requests: 20 requests in 1 min",
        "begins at midnight, UTC",
        "exhausted         the free requests of the day are used up",
        "told by header:x-ratelimit-limit, error.metadata.headers.X-RateLimit-Limit",
        "free: free_requests_per_day 50 (under 10 credits bought)",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    assert!(text.lines().all(|line| line == line.trim_end()));
}
