//! What is sent, measured: the numbers from which a cost is made.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::Api;
use crate::body::{self, Body};
use crate::prompt::Prompt;
use crate::source::Path;

/// A request, before it is sent.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The HTTP method, such as `POST`.
    pub method: &'a str,
    /// The path below the base URL, such as `/v1/chat/completions`; a query does no harm.
    pub path: &'a str,
    /// The body; empty if there is none.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// A request with a body.
    pub fn post(path: &'a str, body: &'a [u8]) -> Request<'a> {
        Request::new("POST", path, body)
    }

    /// A request by any method.
    pub fn new(method: &'a str, path: &'a str, body: &'a [u8]) -> Request<'a> {
        Request { method, path, body }
    }
}

/// Where requests say what they ask for. The defaults are those of OpenAI-compatible APIs; a list that is
/// given takes the place of the default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RequestMap {
    /// The model.
    pub model: Vec<Path>,
    /// Messages or inputs; each object in them is a message.
    pub messages: Vec<Path>,
    /// Text that is no message of its own.
    pub text: Vec<Path>,
    /// What the model reads as JSON.
    pub json: Vec<Path>,
    /// The most tokens of one answer; the largest counts.
    pub answer_max: Vec<Path>,
    /// How many answers; the largest counts.
    pub answers: Vec<Path>,
    /// Lists of inputs, each counted as one.
    pub inputs: Vec<Path>,
    /// Marks of a prompt of which the server may keep a part in a cache. Default: there are none.
    pub cached: Vec<Path>,
}

impl Api {
    /// The fields at the top of a request's body from which it is measured; `None`: all of them, for the
    /// length of the body counts.
    ///
    /// ```
    /// use rate_limited_apis::Api;
    ///
    /// let fields = Api::named("openai")?.request_fields().expect("not all count");
    /// assert!(fields.contains(&"messages") && !fields.contains(&"temperature"));
    /// # Ok::<(), rate_limited_apis::UnknownApi>(())
    /// ```
    pub fn request_fields(&self) -> Option<Vec<&str>> {
        let mut costs = self.resources.iter().map(|it| &it.cost);
        if costs.any(|cost| cost.contains_key(&Measure::Bytes)) {
            return None;
        }
        let map = &self.request;
        let lists = [
            &map.model,
            &map.messages,
            &map.text,
            &map.json,
            &map.answer_max,
            &map.answers,
            &map.inputs,
            &map.cached,
        ];
        let fields = lists.into_iter().flatten().filter_map(Path::field);
        let fields: BTreeSet<&str> = fields.chain([GRAPHQL]).collect();
        Some(fields.into_iter().collect())
    }
}

/// The field of a GraphQL request that tells queries from mutations.
const GRAPHQL: &str = "query";

impl Default for RequestMap {
    fn default() -> RequestMap {
        let paths = |names: &[&str]| names.iter().filter_map(|name| name.parse().ok()).collect();
        RequestMap {
            model: paths(&["model"]),
            messages: paths(&["messages", "input", "prompt"]),
            text: paths(&["system", "instructions"]),
            json: paths(&["tools", "functions", "response_format"]),
            answer_max: paths(&["max_tokens", "max_completion_tokens", "max_output_tokens"]),
            answers: paths(&["n", "best_of"]),
            inputs: paths(&["input", "inputs", "texts", "images", "documents"]),
            cached: Vec::new(),
        }
    }
}

/// What a cost is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Measure {
    /// 1 for each request.
    Request,
    /// The tokens that the prompt is expected to have ([`Prompt::tokens`]).
    Prompt,
    /// The most tokens that all answers may have.
    Answer,
    /// How many answers, or images, are asked for.
    Answers,
    /// How many inputs are sent.
    Inputs,
    /// The characters of the prompt.
    Characters,
    /// The bytes of the body.
    Bytes,
    /// 1 for a request that only reads (`GET`, `HEAD`, `OPTIONS`).
    Read,
    /// 1 for a request by any other method.
    Write,
    /// 1 for a GraphQL query.
    Query,
    /// 1 for a GraphQL mutation.
    Mutation,
}

/// A sum of measures with weights; the empty sum is 0.
pub type Weights = BTreeMap<Measure, f64>;

/// A request, measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sizes {
    /// The model that the body names.
    pub model: Option<String>,
    /// The text.
    pub prompt: Prompt,
    /// The most tokens of one answer, if the body says.
    pub answer_max: Option<u64>,
    /// How many answers, at least 1.
    pub answers: u64,
    /// How many inputs.
    pub inputs: u64,
    /// Whether a part of the prompt may lie in a cache of the server's.
    pub cached: bool,
    /// The bytes of the body.
    pub bytes: u64,
    /// Whether it only reads.
    pub reads: bool,
    /// Whether it is a GraphQL mutation.
    pub mutates: bool,
}

impl Sizes {
    /// Measures a request. A body that is no JSON has no text.
    pub(crate) fn of(request: &Request<'_>, map: &RequestMap) -> Sizes {
        let body = Body::parse(request.body).unwrap_or_default();
        let all = |paths: &[Path], visit: &mut dyn FnMut(&RawValue)| {
            for path in paths {
                body.each(path, &mut |value| visit(value));
            }
        };
        let largest = |paths: &[Path]| {
            let mut largest = None;
            all(paths, &mut |value| largest = largest.max(count(value)));
            largest
        };
        let mut prompt = Prompt::default();
        all(&map.messages, &mut |value| prompt.value(value));
        all(&map.text, &mut |value| prompt.text_of(value));
        all(&map.json, &mut |value| {
            if value.get() != "null" {
                prompt.json(value);
            }
        });
        let mut inputs = 0;
        all(&map.inputs, &mut |value| inputs += items(value));
        let mut cached = false;
        all(&map.cached, &mut |value| cached |= value.get() != "null");
        let mut model = None;
        all(&map.model, &mut |value| {
            model = model.take().or_else(|| body::text(value).map(Into::into));
        });
        Sizes {
            model,
            prompt,
            answer_max: largest(&map.answer_max),
            answers: largest(&map.answers).unwrap_or(1).max(1),
            inputs,
            cached,
            bytes: request.body.len() as u64,
            reads: ["GET", "HEAD", "OPTIONS"]
                .iter()
                .any(|method| method.eq_ignore_ascii_case(request.method)),
            mutates: is_mutation(&body),
        }
    }

    /// The tokens of all answers together; where the body sets no bound, `default` for each.
    pub fn answer_tokens(&self, default: u64) -> u64 {
        self.answer_max
            .unwrap_or(default)
            .saturating_mul(self.answers)
    }

    pub(crate) fn measure(&self, measure: Measure, answer: u64) -> f64 {
        let size: u64 = match measure {
            Measure::Request => 1,
            Measure::Prompt => self.prompt.tokens(),
            Measure::Answer => answer,
            Measure::Answers => self.answers,
            Measure::Inputs => self.inputs,
            Measure::Characters => self.prompt.chars,
            Measure::Bytes => self.bytes,
            Measure::Read => u64::from(self.reads),
            Measure::Write => u64::from(!self.reads),
            Measure::Query => u64::from(!self.mutates),
            Measure::Mutation => u64::from(self.mutates),
        };
        size as f64
    }
}

/// A whole number, rounded up if it has a fraction; `None` for any other value.
fn count(value: &RawValue) -> Option<u64> {
    let number = value
        .get()
        .parse::<f64>()
        .ok()
        .filter(|number| *number >= 0.0)?;
    #[expect(
        clippy::cast_sign_loss,
        reason = "the cast stops at the ends of the range, which is what a bound needs"
    )]
    let whole = number.ceil() as u64;
    Some(whole)
}

/// How many inputs a value is: the elements of a list, or one; a list of token numbers is one input.
fn items(value: &RawValue) -> u64 {
    let json = value.get();
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(json) else {
        return u64::from(body::is_something(value));
    };
    let tokens = items.first().is_some_and(|item| count(item).is_some());
    if tokens { 1 } else { items.len() as u64 }
}

/// Whether the `query` of a GraphQL request begins with `mutation`, behind comments and blanks.
fn is_mutation(body: &Body<'_>) -> bool {
    let path: Result<Path, _> = GRAPHQL.parse();
    let query = path
        .ok()
        .and_then(|path| body.first(&path))
        .and_then(body::text);
    query.is_some_and(|query| {
        let lines = query.lines().map(str::trim_start);
        let mut code = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        code.next().is_some_and(|line| line.starts_with("mutation"))
    })
}
