//! What a request is expected to take of each resource.

use rate_limited_core::Amount;

use crate::answer::View;
use crate::api::Api;
use crate::endpoint::Endpoint;
use crate::request::{Measure, Request, Sizes};
use crate::resource::{Join, Key, Resource};

/// What a request is expected to take of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost<'api> {
    /// The resource.
    pub resource: &'api str,
    /// The partition of it, as far as the request tells; `None`: it has none, or the answer tells.
    pub key: Option<String>,
    /// How much, rounded up.
    pub amount: Amount,
}

impl Api {
    /// Measures a request.
    ///
    /// ```
    /// use rate_limited_apis::{Api, Request};
    ///
    /// let body = br#"{"model": "m", "messages": [{"role": "user", "content": "Hello, cat!"}], "n": 2}"#;
    /// let sizes = Api::named("openai")?.sizes(&Request::post("/v1/chat/completions", body));
    /// // 11 characters are 3 tokens; 4 for the message, 4 for the request.
    /// assert_eq!(sizes.prompt.tokens(), 3 + 4 + 4);
    /// assert_eq!(sizes.answer_tokens(100), 200);
    /// # Ok::<(), rate_limited_apis::UnknownApi>(())
    /// ```
    pub fn sizes(&self, request: &Request<'_>) -> Sizes {
        let mut sizes = Sizes::of(request, &self.request);
        if sizes.model.is_none() {
            let endpoint = self.endpoint(request);
            let found = endpoint.and_then(|endpoint| endpoint.path.find(request.path));
            sizes.model = found.flatten().map(str::to_owned);
        }
        sizes
    }

    /// What a request is expected to take of each resource that it touches. `answer_default`: the most
    /// tokens of one answer where the request sets no bound.
    ///
    /// A request to a path that is not known touches the resources that are for all.
    ///
    /// ```
    /// use rate_limited_apis::{Api, Request};
    /// use rate_limited_core::Amount;
    ///
    /// let body = br#"{"model": "claude-fable-5", "max_tokens": 1000, "messages": []}"#;
    /// let costs = Api::named("anthropic")?.costs(&Request::post("/v1/messages", body), 4_096);
    /// let output = costs.iter().find(|cost| cost.resource == "output_tokens").expect("is metered");
    /// assert_eq!(output.amount, Amount::units(1_000));
    /// assert_eq!(output.key.as_deref(), Some("claude-fable-5"));
    /// # Ok::<(), rate_limited_apis::UnknownApi>(())
    /// ```
    pub fn costs(&self, request: &Request<'_>, answer_default: u64) -> Vec<Cost<'_>> {
        let sizes = self.sizes(request);
        let endpoint = self.endpoint(request);
        let class = endpoint.map(|endpoint| endpoint.class.as_str());
        let answer = if generates(endpoint, &sizes) {
            sizes.answer_tokens(answer_default)
        } else {
            0
        };
        let touched = self
            .resources
            .iter()
            .filter(|resource| resource.is_for(class, sizes.model.as_deref()));
        touched
            .map(|resource| Cost {
                resource: &resource.name,
                key: self.key(resource, &sizes, class, request.path),
                amount: resource.cost_of(&sizes, answer),
            })
            .collect()
    }

    /// The partition that a request belongs to, as far as it tells.
    pub(crate) fn key(
        &self,
        resource: &Resource,
        sizes: &Sizes,
        endpoint: Option<&str>,
        path: &str,
    ) -> Option<String> {
        let parts = resource.key.iter().filter_map(|key| match key {
            Key::Model => sizes
                .model
                .as_deref()
                .map(|model| self.pool(model).to_owned()),
            Key::Endpoint => endpoint.map(str::to_owned),
            Key::Path => Some(without_ids(path)),
            Key::Learnt(_) => None,
        });
        let parts: Vec<String> = parts.collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }

    /// Whether an answer that names this partition speaks of another resource than this one. One that names none
    /// speaks of the first that has a name.
    pub(crate) fn is_of_another(&self, resource: &Resource, named: Option<&str>) -> bool {
        let Some(ours) = resource.part.as_deref() else {
            return false;
        };
        let first = || self.resources.iter().find_map(|it| it.part.as_deref());
        named.or_else(first) != Some(ours)
    }
}

/// A path without its query, in which `*` stands for what looks like an id.
pub(crate) fn without_ids(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let part = |part| if is_id(part) { "*" } else { part };
    let parts: Vec<&str> = path.split('/').map(part).collect();
    parts.join("/")
}

/// Whether a part of a path looks like an id: it has a digit, and is no version such as `v1`.
fn is_id(part: &str) -> bool {
    let has_digit = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
    let version = part.strip_prefix('v');
    let is_version = version.is_some_and(|rest| {
        rest.starts_with(|first: char| first.is_ascii_digit()) && rest.len() <= 8
    });
    has_digit(part) && !is_version
}

/// Whether a request asks for text.
pub(crate) fn generates(endpoint: Option<&Endpoint>, sizes: &Sizes) -> bool {
    let looks_so = sizes.answer_max.is_some() || sizes.prompt.messages > 0;
    endpoint.map_or(looks_so, |endpoint| endpoint.generates)
}

impl Resource {
    pub(crate) fn cost_of(&self, sizes: &Sizes, answer: u64) -> Amount {
        let part = |(measure, weight): (&Measure, &f64)| sizes.measure(*measure, answer) * weight;
        let parts = self.cost.iter().map(part);
        let cost = match self.cost_is {
            Join::Sum => parts.sum(),
            Join::Largest => parts.fold(0.0, f64::max),
        };
        Amount::cost(cost).unwrap_or(Amount::MAX)
    }

    /// The partition that an answer names.
    pub(crate) fn learnt_key(&self, view: &View<'_>) -> Option<String> {
        view.find(self.learnt_from(), |text| {
            Some(text.trim().to_owned()).filter(|key| !key.is_empty())
        })
    }
}
