//! What is known of the API of a run: a built-in description, or one's own file.

use std::path::Path;
use std::sync::Arc;

use rate_limited::Amount;
use rate_limited::http::{Api, Unit};
use rate_limited_apis::{Kind, Likeness, Request as Sent, Resource};

use crate::args::ApiArgs;
use crate::calling::parts::Cost;
use crate::reading::estimate;
use crate::reading::request::Request;
use crate::refusal::Refusal;
use crate::values::limit::Limit;

/// The API that the command line names with `--api`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preset(&'static Api);

impl Preset {
    /// The API of this name, or the one that a file describes.
    ///
    /// # Errors
    /// No API has the name; the file cannot be read, or is no description.
    pub(crate) fn named(name: &str) -> Result<Preset, Refusal> {
        if !is_path(name) {
            return Ok(Preset(Api::named(name).map_err(Refusal::UnknownApi)?));
        }
        let api = Api::load(name).map_err(|error| Refusal::Description {
            path: name.to_owned(),
            error: Box::new(error),
        })?;
        // It is used until the process ends.
        Ok(Preset(Box::leak(Box::new(api))))
    }

    pub(crate) fn api(self) -> &'static Api {
        self.0
    }

    /// The metered resource of this name.
    pub(crate) fn resource(self, name: &str) -> Option<&'static Resource> {
        self.0.resource(name)
    }

    /// Whether its calls take tokens: it meters them, or its answers tell them.
    fn knows_tokens(self) -> bool {
        let metered = self.0.resources.iter().map(|it| it.unit);
        let mut units = metered.chain(self.0.usage.keys().copied());
        units.any(|unit| matches!(unit, Unit::Tokens | Unit::InputTokens | Unit::OutputTokens))
    }

    /// The names of what it meters, for people.
    pub(crate) fn resources(self) -> String {
        let names: Vec<_> = self.0.resources.iter().map(|it| &*it.name).collect();
        names.join(", ")
    }

    /// The limits that hold where the user tells none: those of the tier, or those that all users have.
    ///
    /// # Errors
    /// The API has no such tier.
    pub(crate) fn limits(self, args: &ApiArgs) -> Result<Vec<Limit>, Refusal> {
        let known: Vec<_> = if let Some(tier) = &args.tier {
            let limits = self.0.tier_limits(tier);
            let limits = limits.ok_or_else(|| self.no_tier(tier))?.into_iter();
            match args.model.as_deref() {
                // Who names the model has no other.
                Some(model) => {
                    let of_model = self.0.limits(tier, Some(model)).unwrap_or_default();
                    let all = of_model.into_iter();
                    all.map(|(name, limit)| (name, None, limit)).collect()
                }
                None => limits.map(|it| (it.resource, it.key, it.limit)).collect(),
            }
        } else {
            let of_all = self.0.resources.iter();
            let of_all = of_all.filter_map(|it| Some((it.name.as_str(), None, it.limit?)));
            of_all.collect()
        };
        let limit = |(name, key, quota): (&str, Option<&str>, f64)| {
            let resource = self.resource(name)?;
            // How many at once is no quota of a window, and a budget has none.
            let window = match resource.kind {
                Some(Kind::Slots | Kind::Budget) => None,
                _ => resource.window,
            }?;
            let quota = match resource.kind {
                Some(Kind::Spacing) => Amount::units(1),
                _ => Amount::cost(quota).ok()?,
            };
            Some(Limit {
                name: name.to_owned(),
                key: key.map(str::to_owned),
                quota_micros: quota.as_micros(),
                window,
                calendar: resource.calendar(),
            })
        };
        Ok(known.into_iter().filter_map(limit).collect())
    }

    /// The path for requests that are made of rows: that of the first kind of call that writes text, else of
    /// the first one.
    ///
    /// # Errors
    /// It has the name of a model in it, and none is told.
    pub(crate) fn path_of_rows(self, model: Option<&str>) -> Result<String, Refusal> {
        let all = || self.0.endpoints.iter();
        let writing = all().filter(|it| it.generates).chain(all());
        let mut paths = writing.map(|it| it.path.as_str());
        let path = paths.find(|path| !path.contains('*')).unwrap_or("/");
        if !path.contains(MODEL) {
            return Ok(path.to_owned());
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:@".contains(&byte);
        match model {
            Some(model) if !model.bytes().all(is_plain) => Err(Refusal::Rows(format!(
                "--model {} cannot be put into the path {path}: give the name alone, such as gemini-2.5-flash",
                crate::values::text::quoted(model)
            ))),
            Some(model) => Ok(path.replace(MODEL, model)),
            None => Err(Refusal::Rows(format!(
                "{} has the name of the model in its path {path}: pass --model NAME",
                self.0.title
            ))),
        }
    }

    fn no_tier(self, tier: &str) -> Refusal {
        let mut tiers: Vec<&str> = self.0.tiers.iter().map(|it| it.name.as_str()).collect();
        tiers.dedup();
        Refusal::UnknownTier {
            api: self.0.name.clone(),
            tier: tier.to_owned(),
            known: tiers.join(", "),
        }
    }
}

/// Where a path has the name of the model.
const MODEL: &str = "{model}";

/// An amount in whole units, rounded up.
fn whole(amount: Amount) -> u64 {
    let micros = amount.as_micros().max(0).unsigned_abs();
    micros.div_ceil(1_000_000)
}

/// Whether it names a file, not one of the built-in APIs.
fn is_path(name: &str) -> bool {
    let is_toml = Path::new(name).extension().is_some_and(|it| it == "toml");
    is_toml || name.contains(std::path::is_separator)
}

/// What is in a request.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) model: Option<String>,
    /// The class of its endpoint.
    pub(crate) class: Option<&'static str>,
    /// The most tokens of one answer, if it says.
    pub(crate) answer_max: Option<u64>,
    /// How many answers it asks for.
    pub(crate) answers: u64,
    /// Tokens that it gives as numbers.
    pub(crate) token_ids: u64,
    /// Whether it is answered in words.
    pub(crate) generates: bool,
}

/// Where requests go that do not say it themselves, and what they cost there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    preset: Option<Preset>,
    /// The path that the command line names.
    endpoint: Option<Arc<str>>,
}

impl Route {
    pub(crate) fn new(preset: Option<Preset>, endpoint: Option<&str>) -> Route {
        Route {
            preset,
            endpoint: endpoint.map(Arc::from),
        }
    }

    /// The path of a request.
    pub(crate) fn path<'a>(&'a self, request: &'a Request) -> &'a str {
        let told = request.url_path.as_deref().or(self.endpoint.as_deref());
        let of_api = || self.preset?.0.path(request.generates);
        told.or_else(of_api).unwrap_or(if request.generates {
            "/v1/chat/completions"
        } else {
            "/v1/embeddings"
        })
    }

    /// What is in a request.
    pub(crate) fn measured(&self, request: &Request) -> Measured {
        let path = self.path(request);
        let sent = Sent::post(path, &request.body);
        let Some(preset) = self.preset else {
            return Measured {
                model: request.model.clone(),
                class: None,
                answer_max: request.max_tokens,
                answers: request.n,
                token_ids: request.prompt.token_ids,
                generates: request.generates,
            };
        };
        let endpoint = preset.0.endpoint(&sent);
        let sizes = preset.0.sizes(&sent);
        Measured {
            class: endpoint.map(|endpoint| endpoint.class.as_str()),
            answer_max: sizes.answer_max,
            answers: sizes.answers,
            token_ids: sizes.prompt.token_ids,
            generates: endpoint.map_or(request.generates, |endpoint| endpoint.generates),
            model: sizes.model,
        }
    }

    /// What a request is expected to take of each resource of the API that it touches; nothing where no
    /// API is named. `answer_default`: the most tokens of an answer where the request sets no bound.
    pub(crate) fn costs(&self, request: &Request, answer_default: u64) -> Vec<Cost> {
        let Some(preset) = self.preset else {
            return Vec::new();
        };
        preset.0.costs(&self.sent(request), answer_default)
    }

    /// What makes a request like others, where only answers name the part of a resource that it takes from.
    pub(crate) fn likeness(&self, request: &Request) -> Option<Likeness> {
        self.preset?.0.likeness(&self.sent(request))
    }

    /// A request as the API gets it.
    fn sent<'a>(&'a self, request: &'a Request) -> Sent<'a> {
        Sent::new(request.method.as_str(), self.path(request), &request.body)
    }

    /// The most tokens that a request is expected to take, of these costs; none where the API has none.
    pub(crate) fn tokens(&self, request: &Request, costs: &[Cost], answer_default: u64) -> u64 {
        match costs.iter().find(|cost| cost.resource == "tokens") {
            Some(cost) => whole(cost.amount),
            None if self.preset.is_some_and(|it| !it.knows_tokens()) => 0,
            None => estimate::tokens_max(request, answer_default),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Preset, Route};
    use crate::reading::input::{Item, Reader};
    use crate::reading::request::Request;

    fn request(line: &str) -> Request {
        match Reader::stream(line.as_bytes(), "-").next() {
            Some(Ok(Item::Request(request))) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn paths_are_those_of_the_request_the_user_or_the_api() {
        let chat = request(r#"{"messages": []}"#);
        let embedding = request(r#"{"input": "cat"}"#);
        let own = request(r#"{"url": "/v1/x", "method": "POST", "body": {"input": "cat"}}"#);
        let preset = |name| Some(Preset::named(name).expect("built in"));
        for (name, chat_path, embedding_path) in [
            ("openai", "/chat/completions", "/embeddings"),
            ("anthropic", "/messages", "/messages/count_tokens"),
            ("voyage", "/embeddings", "/embeddings"),
        ] {
            let route = Route::new(preset(name), None);
            assert_eq!(route.path(&chat), chat_path, "{name}");
            assert_eq!(route.path(&embedding), embedding_path, "{name}");
            assert_eq!(route.path(&own), "/v1/x");
            assert_eq!(Route::new(preset(name), Some("/y")).path(&chat), "/y");
        }
        assert_eq!(Route::default().path(&chat), "/v1/chat/completions");
    }

    #[test]
    fn calls_take_tokens_where_their_api_has_them() {
        let tokens = |name, line| {
            let route = Route::new(Some(Preset::named(name).expect("built in")), None);
            route.tokens(&request(line), &[], 100)
        };
        let line = r#"{"url": "/x", "body": {"title": "x"}}"#;
        assert_eq!((tokens("github", line), tokens("notion", line)), (0, 0));
        assert!(tokens("vllm", line) >= 100 && tokens("cohere", line) >= 100);
    }

    #[test]
    fn what_reads_costs_less_than_what_writes() {
        let route = Route::new(Some(Preset::named("github").expect("built in")), None);
        for (line, expected) in [
            (
                r#"{"method": "GET", "url": "/repos/o/r/issues?page=2"}"#,
                1.0,
            ),
            (
                r#"{"url": "/repos/o/r/issues", "body": {"title": "x"}}"#,
                5.0,
            ),
        ] {
            let costs = route.costs(&request(line), 1_000);
            let points = costs.iter().find(|it| it.resource == "points");
            assert_eq!(
                points.map(|it| it.amount.as_units()),
                Some(expected),
                "{line}"
            );
        }
    }

    #[test]
    fn costs_are_those_of_the_description() {
        let route = Route::new(Some(Preset::named("anthropic").expect("built in")), None);
        let line = r#"{"model": "claude-fable-5", "max_tokens": 100, "messages": []}"#;
        let costs = route.costs(&request(line), 1_000);
        let of = |name| costs.iter().find(|it| it.resource == name);
        assert_eq!(
            of("output_tokens").map(|it| it.amount.as_units()),
            Some(100.0)
        );
        assert_eq!(of("requests").map(|it| it.amount.as_units()), Some(1.0));
        assert_eq!(
            of("requests").and_then(|it| it.key.as_deref()),
            Some("claude-fable-5")
        );
        assert!(Route::default().costs(&request(line), 1_000).is_empty());
    }
}
