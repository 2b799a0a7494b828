//! Each API that the server speaks like: what a good answer, a refusal and a failure look like.
//! The calls are data, in `tests/dialects.toml`.

use crate::http::{Answer, send};
use rate_limited_sim::http::{Dialect, Server};
use rate_limited_sim::{ApiModel, Limit};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

const WINDOW: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Calls {
    calls: Vec<Case>,
}

/// A call to an API that has room for one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    api: String,
    limit: Room,
    method: String,
    path: String,
    #[serde(default)]
    body: String,
    /// What its answer has.
    good: Vec<Seen>,
    /// The status of the refusal of the same call.
    status: u16,
    /// What that has.
    #[serde(default)]
    refused: Vec<Seen>,
    /// The status of an overload.
    #[serde(default = "unavailable")]
    overloaded: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Room {
    name: String,
    quota: u64,
}

/// Something in an answer: at a place of the body, or in a header.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    at: Option<String>,
    header: Option<String>,
    is: Option<String>,
    begins: Option<String>,
    /// What stands behind the number.
    #[serde(default)]
    unit: String,
    from: Option<f64>,
    to: Option<f64>,
    #[serde(default)]
    epoch: bool,
    #[serde(default)]
    absent: bool,
}

fn unavailable() -> u16 {
    503
}

fn cases() -> Vec<Case> {
    let calls: Calls = toml::from_str(include_str!("../dialects.toml")).unwrap();
    calls.calls
}

impl Case {
    fn dialect(&self) -> Dialect {
        self.api.parse().unwrap()
    }

    /// The API with room for one call.
    fn model(&self) -> ApiModel {
        let Room { name, quota } = &self.limit;
        ApiModel::new(7).limit(self.dialect().limit(name, *quota, WINDOW).unwrap())
    }

    async fn call(&self, server: &Server) -> Answer {
        call(server, &self.method, &self.path, &self.body).await
    }
}

impl Seen {
    #[track_caller]
    fn check(&self, api: &str, answer: &Answer) {
        let found = match (&self.at, &self.header) {
            (Some(place), None) => answer.body.pointer(place).map(shown),
            (None, Some(name)) => answer.header(name).map(str::to_owned),
            _ => panic!("{api}: either at or header"),
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let zero = if self.epoch {
            now.unwrap().as_secs_f64().floor()
        } else {
            0.0
        };
        let is_right = match (&found, self.from, self.to) {
            (None, ..) => self.absent,
            (Some(_), ..) if self.absent => false,
            (Some(text), Some(from), Some(to)) => {
                let number = text.strip_suffix(&self.unit).unwrap_or("none");
                let number: f64 = number.parse().unwrap_or(f64::NAN);
                (zero + from..=zero + to).contains(&number)
            }
            (Some(text), ..) => {
                let is = self.is.as_ref().is_none_or(|is| is == text);
                is && self
                    .begins
                    .as_ref()
                    .is_none_or(|begins| text.starts_with(begins))
            }
        };
        let what = self.at.as_ref().or(self.header.as_ref());
        let (head, body) = (&answer.head, &answer.body);
        assert!(is_right, "{api}: {what:?} is {found:?} in\n{head}\n{body}");
    }
}

fn shown(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

async fn call(server: &Server, method: &str, path: &str, body: &str) -> Answer {
    let [method, path, body] = [method, path, body].map(str::to_owned);
    let addr = server.addr();
    let sent = tokio::task::spawn_blocking(move || send(addr, &method, &path, &body));
    sent.await.unwrap()
}

async fn post(server: &Server, path: &str, body: Value) -> Answer {
    call(server, "POST", path, &body.to_string()).await
}

fn start(dialect: Dialect, model: ApiModel) -> Server {
    Server::start_as(dialect, model, ([127, 0, 0, 1], 0).into()).unwrap()
}

#[tokio::test]
async fn each_api_answers_and_refuses_in_its_own_words() {
    for case in cases() {
        let server = start(case.dialect(), case.model());
        let good = case.call(&server).await;
        assert_eq!(good.status(), "200", "{}: {}", case.api, good.body);
        case.good
            .iter()
            .for_each(|seen| seen.check(&case.api, &good));
        let refused = case.call(&server).await;
        let status = case.status.to_string();
        assert_eq!(refused.status(), status, "{}: {}", case.api, refused.body);
        case.refused
            .iter()
            .for_each(|seen| seen.check(&case.api, &refused));
        assert_eq!(server.stats().refusals, 1, "{}", case.api);
    }
}

#[tokio::test]
async fn each_api_fails_in_its_own_words() {
    for case in cases() {
        let server = start(case.dialect(), ApiModel::new(7).failure_rate(1.0));
        let failed = case.call(&server).await;
        let status = case.overloaded.to_string();
        assert_eq!(failed.status(), status, "{}: {}", case.api, failed.body);
        if case.method == "POST" {
            let bad = post(&server, &case.path, json!([])).await;
            let is_refused = bad.status() == "400" || bad.body["ok"] == false;
            assert!(is_refused, "{}: {}", case.api, bad.body);
        }
    }
}

#[tokio::test]
async fn what_an_api_does_not_tell_is_in_no_body_either() {
    for case in cases() {
        let model = case.model().headers(false).retry_after(false);
        let server = start(case.dialect(), model);
        for _ in 0..2 {
            let answer = case.call(&server).await;
            let body = answer.body.to_string();
            for word in ["ratelimit-", "rate-limit-", "retry-after"] {
                assert!(!answer.head.contains(word), "{}: {}", case.api, answer.head);
            }
            for word in ["throttleStatus", "resetAt", "retryDelay", "quotaValue"] {
                assert!(!body.contains(word), "{}: {body}", case.api);
            }
        }
    }
}

/// Each limit of each API can be told, counts something, and all have a case.
#[test]
fn every_name_is_an_api_with_limits() {
    let tried: Vec<_> = cases().into_iter().map(|case| case.api).collect();
    for name in Dialect::names() {
        let dialect: Dialect = name.parse().unwrap();
        assert_eq!(dialect.name(), name);
        let limits: Vec<_> = dialect.limit_names().collect();
        assert!(
            tried.iter().any(|tried| tried == name) || limits.is_empty(),
            "{name} has no case"
        );
        for limit in limits {
            let known = dialect.limit(limit, 5, WINDOW);
            assert_eq!(known.as_ref().map(Limit::name), Some(limit));
        }
        assert!(dialect.limit("cats", 5, WINDOW).is_none());
    }
    assert_eq!(Dialect::default().name(), "compatible");
    let error = "grok".parse::<Dialect>().unwrap_err().to_string();
    assert!(
        error.contains("\"grok\"") && error.contains("openai, azure_openai"),
        "{error}"
    );
}

#[tokio::test]
async fn limits_of_one_kind_of_call_leave_the_others_alone() {
    let cohere: Dialect = "cohere".parse().unwrap();
    let limit = |name| cohere.limit(name, 1, WINDOW).unwrap();
    let model = ApiModel::new(7)
        .limit(limit("chat_requests"))
        .limit(limit("rerank_requests"));
    let server = start(cohere, model);
    let rerank = ("/v2/rerank", json!({ "query": "q", "documents": ["a"] }));
    let chat = (
        "/v2/chat",
        json!({ "messages": [{ "role": "user", "content": "Hi" }] }),
    );
    let embed = ("/v2/embed", json!({ "texts": ["a"] }));
    for (sent, status) in [
        (&chat, "200"),
        (&rerank, "200"),
        (&chat, "429"),
        (&rerank, "429"),
        (&embed, "200"),
    ] {
        let (path, body) = sent.clone();
        assert_eq!(post(&server, path, body).await.status(), status, "{path}");
    }
    let work: Vec<_> = server
        .stats()
        .limits
        .iter()
        .map(|limit| limit.work)
        .collect();
    assert_eq!(work, [1, 1]);
}

#[tokio::test]
async fn the_refund_of_a_query_comes_back_at_its_end() {
    let shopify: Dialect = "shopify_graphql".parse().unwrap();
    let limit = shopify
        .limit("points", 10, Duration::from_secs(3_600))
        .unwrap();
    let server = start(shopify, ApiModel::new(7).limit(limit));
    let query = json!({ "query": "{ orders(first: 59) { id } }" });
    let answer = post(&server, "/admin/api/2026-10/graphql.json", query).await;
    let cost = &answer.body["extensions"]["cost"];
    let left = cost["throttleStatus"]["currentlyAvailable"]
        .as_u64()
        .unwrap();
    assert_eq!(left, 100 - cost["actualQueryCost"].as_u64().unwrap());
}
