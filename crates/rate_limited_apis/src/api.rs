//! An API as data.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::built_in;
use crate::endpoint::Endpoint;
use crate::error::{DescriptionError, UnknownApi};
use crate::lenient::{one_or_many, some_duration};
use crate::request::{Request, RequestMap};
use crate::resource::Resource;
use crate::rule::{Disguise, Rule};
use crate::source::Source;
use crate::tier::{Pool, Price, Tier, TierLimit, is_among};
use crate::unit::Unit;
use crate::usage::Formula;
use crate::wait::Hint;

/// An API: what it limits, what it charges, what it says in its headers and its errors.
///
/// It is read from TOML, the same for those that are compiled in and for one's own:
///
/// ```
/// use rate_limited_apis::Api;
///
/// let api = Api::from_toml(r#"
///     name = "weather"
///     title = "Weather of the world"
///     as_of = "2026-11-24"
///     source = "https://weather.example/docs/limits"
///     base_url = "https://weather.example/v1"
///     auth = { header = "x-api-key" }
///     key_env = "WEATHER_KEY"
///
///     [[resources]]
///     name = "requests"
///     unit = "requests"
///     kind = "fixed"
///     window = "1h"
///     limit = 1000
///     cost = { request = 1 }
///     feedback = { remaining = "header:x-left", reset = { from = "header:x-reset", format = "epoch" } }
///
///     [[rules]]
///     status = 403
///     when = { at = "error", has = "too fast" }
///     class = "throttled"
/// "#)?;
/// assert_eq!(api.resources[0].limit, Some(1_000.0));
/// # Ok::<(), rate_limited_apis::DescriptionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Api {
    /// The name, in small letters, digits and `_`.
    pub name: String,
    /// The name for people.
    pub title: String,
    /// When its facts were read, as a date.
    pub as_of: String,
    /// Where they come from.
    #[serde(deserialize_with = "one_or_many")]
    pub source: Vec<String>,
    /// Nobody has tried it. Default: no.
    #[serde(default)]
    pub untested: bool,
    /// A built-in API of the same family: its rules, disguises, usage, waits, and the places of codes, messages
    /// and requests hold where this one says nothing else. Its rules come after one's own.
    pub like: Option<String>,
    /// Where it is; parts in braces are to be filled in. Default: the user says.
    pub base_url: Option<String>,
    /// How the key is sent. Default: there is none.
    pub auth: Option<Auth>,
    /// The variable of the environment that its own clients read the key from. Default: there is none.
    pub key_env: Option<String>,
    /// What its paths do. A path that fits none has no class.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// Headers that it asks for beside the key.
    #[serde(default)]
    pub headers: Vec<Courtesy>,
    /// The header by which it recognises a call that is sent again. Default: it has none.
    pub idempotency_header: Option<String>,
    /// How long one attempt may take. Default: as the user or the runner says.
    #[serde(default, deserialize_with = "some_duration")]
    pub attempt_timeout: Option<Duration>,
    /// What its good answers are. Default: JSON or not.
    #[serde(default)]
    pub answers: Answers,
    /// Whether models have names of its users' own there, as deployments have: then what an answer names is no
    /// other model than was asked for. Default: no.
    #[serde(default)]
    pub renames_models: bool,
    /// What it meters.
    #[serde(default)]
    pub resources: Vec<Resource>,
    /// Where requests say what they ask for. Default: as OpenAI-compatible APIs have it.
    #[serde(default)]
    pub request: RequestMap,
    /// What answers say was used, by unit.
    #[serde(default)]
    pub usage: BTreeMap<Unit, Formula>,
    /// Refusals with a status of success.
    #[serde(default)]
    pub disguised: Vec<Disguise>,
    /// The classifier; the first rule that applies decides.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Where refusals tell how long to wait. Default: `retry-after-ms`, then `Retry-After`.
    #[serde(default)]
    pub waits: Vec<Hint>,
    /// Where errors tell their code. Default: `error.code`, `error.type`, `code`, `type`.
    #[serde(default, deserialize_with = "one_or_many")]
    pub code: Vec<Source>,
    /// Where errors tell their message. Default: `error.message`, `message`, `detail`, `error`,
    /// `errors[].message`.
    #[serde(default, deserialize_with = "one_or_many")]
    pub message: Vec<Source>,
    /// Models that share their quotas.
    #[serde(default)]
    pub pools: Vec<Pool>,
    /// Named sets of limits.
    #[serde(default)]
    pub tiers: Vec<Tier>,
    /// Prices; what is left out is unknown.
    #[serde(default)]
    pub prices: Vec<Price>,
    /// What else is known, for people.
    #[serde(default, deserialize_with = "one_or_many")]
    pub notes: Vec<String>,
}

/// How the key is sent: in a header, or in the query.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Auth {
    /// The header.
    pub header: Option<String>,
    /// What stands before the key in the header, its blank included. Default: nothing.
    #[serde(default)]
    pub prefix: String,
    /// The parameter of the query.
    pub query: Option<String>,
}

/// A header that an API asks for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Courtesy {
    /// The name.
    pub name: String,
    /// The value. Default: the user's own.
    pub value: Option<String>,
    /// What it is for.
    pub why: String,
}

/// What good answers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answers {
    /// Always a JSON object or list: anything else is a failed attempt.
    Json,
    /// Anything.
    #[default]
    Any,
}

impl Api {
    /// Reads a description.
    ///
    /// # Errors
    /// It is no TOML, has an unknown field or a value out of range; the message names the field, the value and
    /// what to do.
    pub fn from_toml(text: &str) -> Result<Api, DescriptionError> {
        let read: Result<Api, _> = toml::from_str(text);
        let mut api = read.map_err(|error| DescriptionError::Toml {
            text: error.to_string().trim_end().to_owned(),
        })?;
        api.check()?;
        if let Some(family) = &api.like {
            let family = built_in::named(family).map_err(|unknown| DescriptionError::Value {
                field: "like".into(),
                value: format!("{family:?}"),
                next: unknown.to_string(),
            })?;
            api.follow(family);
        }
        api.fill();
        Ok(api)
    }

    /// Reads a description from a file.
    ///
    /// # Errors
    /// As [`Api::from_toml`], or the file cannot be read.
    pub fn load(path: impl AsRef<Path>) -> Result<Api, DescriptionError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| DescriptionError::Read {
            path: path.to_owned(),
            source,
        })?;
        Api::from_toml(&text)
    }

    /// The APIs that are compiled in, in the order in which to list them.
    ///
    /// ```
    /// use rate_limited_apis::Api;
    ///
    /// assert!(Api::built_in().any(|api| api.name == "anthropic"));
    /// ```
    pub fn built_in() -> impl Iterator<Item = &'static Api> {
        built_in::all()
    }

    /// The API of this name; `-` and `_` are the same, and so are small and large letters.
    ///
    /// # Errors
    /// No API has it; the error has names that are near.
    ///
    /// ```
    /// use rate_limited_apis::Api;
    ///
    /// assert_eq!(Api::named("Azure-OpenAI")?.name, "azure_openai");
    /// let unknown = Api::named("antropic").unwrap_err();
    /// assert_eq!(unknown.to_string(), r#"no API is called "antropic": did you mean "anthropic"?"#);
    /// # Ok::<(), rate_limited_apis::UnknownApi>(())
    /// ```
    pub fn named(name: &str) -> Result<&'static Api, UnknownApi> {
        built_in::named(name)
    }

    /// The resource of this name.
    pub fn resource(&self, name: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.name == name)
    }

    /// The endpoint that a request goes to, if it is known.
    pub fn endpoint(&self, request: &Request<'_>) -> Option<&Endpoint> {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.takes(request))
    }

    /// The path for requests that name none: that of the first kind of call that writes text, or does not,
    /// and is no pattern; of any kind if there is none such.
    ///
    /// ```
    /// use rate_limited_apis::Api;
    ///
    /// let openai = Api::named("openai")?;
    /// assert_eq!(openai.path(true), Some("/chat/completions"));
    /// assert_eq!(openai.path(false), Some("/embeddings"));
    /// # Ok::<(), rate_limited_apis::UnknownApi>(())
    /// ```
    pub fn path(&self, generates: bool) -> Option<&str> {
        let plain = |path: &&str| !path.contains(['*', '{']);
        let all = || self.endpoints.iter();
        let fits = all().filter(|it| it.generates == generates).chain(all());
        fits.map(|it| it.path.as_str()).find(plain)
    }

    /// The limits of a tier for a model, by resource, with those that all users have. `None`: the API has
    /// no such tier.
    ///
    /// ```
    /// use rate_limited_apis::Api;
    ///
    /// let limits = Api::named("github")?.limits("user", None).expect("is a tier");
    /// assert_eq!(limits["primary"], 5_000.0);
    /// # Ok::<(), rate_limited_apis::UnknownApi>(())
    /// ```
    pub fn limits(&self, tier: &str, model: Option<&str>) -> Option<BTreeMap<&str, f64>> {
        let of_name = || self.tiers.iter().filter(|known| known.name == tier);
        of_name().next()?;
        let mut limits: BTreeMap<&str, f64> = self
            .resources
            .iter()
            .filter_map(|resource| Some((resource.name.as_str(), resource.limit?)))
            .collect();
        // What is said of single models stands before what is said of all.
        for for_all in [true, false] {
            let sets = of_name().filter(|set| set.models.is_empty() == for_all);
            for set in sets.filter(|set| is_among(&set.models, model)) {
                limits.extend(
                    set.limits
                        .iter()
                        .map(|(name, limit)| (name.as_str(), *limit)),
                );
            }
        }
        Some(limits)
    }

    /// The limits of a tier, those for single models beside those for all, with those that all users have. Of
    /// several for one resource and key the last counts. `None`: the API has no such tier.
    ///
    /// ```
    /// use rate_limited_apis::Api;
    ///
    /// let limits = Api::named("anthropic")?.tier_limits("start").expect("is a tier");
    /// let of = |key| limits.iter().find(|it| it.resource == "output_tokens" && it.key == key);
    /// assert_eq!(of(None).map(|it| it.limit), Some(400_000.0));
    /// assert_eq!(of(Some("claude-fable-5*")).map(|it| it.limit), Some(100_000.0));
    /// # Ok::<(), rate_limited_apis::UnknownApi>(())
    /// ```
    pub fn tier_limits(&self, tier: &str) -> Option<Vec<TierLimit<'_>>> {
        let of_name = || self.tiers.iter().filter(|known| known.name == tier);
        of_name().next()?;
        let of_all = self.resources.iter().filter_map(|resource| {
            Some(TierLimit {
                resource: &resource.name,
                key: None,
                limit: resource.limit?,
            })
        });
        let mut limits: Vec<_> = of_all.collect();
        for set in of_name() {
            let no_models = set.models.is_empty().then_some(None);
            let keys = set.models.iter().map(|model| Some(self.pool(model)));
            for key in no_models.into_iter().chain(keys) {
                for (resource, limit) in &set.limits {
                    limits.retain(|known| known.resource != resource || known.key != key);
                    limits.push(TierLimit {
                        resource,
                        key,
                        limit: *limit,
                    });
                }
            }
        }
        Some(limits)
    }

    /// The price of one unit in US dollars; `None`: it is not known, which does not mean nothing.
    pub fn price(&self, unit: Unit, model: Option<&str>, endpoint: Option<&str>) -> Option<f64> {
        let fits = |price: &&Price| {
            price.unit == unit
                && is_among(&price.models, model)
                && is_among(&price.endpoints, endpoint)
        };
        self.prices
            .iter()
            .find(fits)
            .map(|price| price.usd / price.per)
    }

    /// The pool that a model shares its quotas with, or the model itself.
    ///
    /// ```
    /// use rate_limited_apis::Api;
    ///
    /// let anthropic = Api::named("anthropic")?;
    /// assert_eq!(anthropic.pool("claude-opus-4-7"), anthropic.pool("claude-opus-4-1"));
    /// assert_eq!(anthropic.pool("claude-fable-5"), "claude-fable-5");
    /// # Ok::<(), rate_limited_apis::UnknownApi>(())
    /// ```
    pub fn pool<'a>(&'a self, model: &'a str) -> &'a str {
        let pool = self
            .pools
            .iter()
            .find(|pool| is_among(&pool.models, Some(model)));
        pool.map_or(model, |pool| &pool.name)
    }

    /// Takes from its family what it does not say itself.
    fn follow(&mut self, family: &Api) {
        let own = |name: &String| self.resources.iter().any(|resource| resource.name == *name);
        let rules = family.rules.iter().cloned().map(|rule| Rule {
            resource: rule.resource.filter(own),
            ..rule
        });
        self.rules.extend(rules);
        if self.disguised.is_empty() {
            self.disguised.clone_from(&family.disguised);
        }
        if self.waits.is_empty() {
            self.waits.clone_from(&family.waits);
        }
        if self.usage.is_empty() {
            self.usage.clone_from(&family.usage);
        }
        if self.request == RequestMap::default() {
            self.request.clone_from(&family.request);
        }
        if self.code.is_empty() {
            self.code.clone_from(&family.code);
        }
        if self.message.is_empty() {
            self.message.clone_from(&family.message);
        }
    }

    /// Fills in what is the same for most.
    fn fill(&mut self) {
        let body = |names: &[&str]| {
            let paths = names.iter().filter_map(|name| name.parse().ok());
            paths.map(Source::Body).collect()
        };
        if self.waits.is_empty() {
            self.waits = Hint::standard();
        }
        if self.code.is_empty() {
            self.code = body(&["error.code", "error.type", "code", "type"]);
        }
        if self.message.is_empty() {
            let names = [
                "error.message",
                "message",
                "detail",
                "error",
                "errors[].message",
            ];
            self.message = body(&names);
        }
    }
}
