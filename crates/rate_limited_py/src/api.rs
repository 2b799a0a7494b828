//! The description of an API: what calls take of its limits, and what answers say they took.

use crate::answers::{meaning, named};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rate_limited_apis::{self as apis, Answer, Kind, Moment, Request, Unbounded};
use rate_limited_core::{Amount, Time};
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// The names of the APIs that are described here.
#[pyfunction]
pub(crate) fn api_names() -> Vec<&'static str> {
    let all = apis::Api::built_in();
    all.map(|api| api.name.as_str()).collect()
}

/// A description, compiled in or read from a text.
#[pyclass(frozen, module = "rate_limited._native")]
pub(crate) struct Api(Known);

type Meter<'a> = (&'a str, &'static str, Option<f64>, bool, bool, bool, bool);

enum Known {
    BuiltIn(&'static apis::Api),
    Own(Box<apis::Api>),
}

impl Api {
    pub(crate) fn get(&self) -> &apis::Api {
        match &self.0 {
            Known::BuiltIn(api) => api,
            Known::Own(api) => api,
        }
    }
}

#[pymethods]
impl Api {
    /// Reads a description from TOML. Raises `ValueError` where it is none.
    #[new]
    fn new(text: &str) -> PyResult<Api> {
        let api = apis::Api::from_toml(text);
        let api = api.map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Api(Known::Own(Box::new(api))))
    }

    /// The description of this name. Raises `KeyError` where there is none.
    #[staticmethod]
    fn named(name: &str) -> PyResult<Api> {
        Ok(Api(Known::BuiltIn(named(name)?)))
    }

    #[getter]
    fn name(&self) -> &str {
        &self.get().name
    }

    /// Where the API is, if it is always there.
    #[getter]
    fn base_url(&self) -> Option<&str> {
        self.get().base_url.as_deref()
    }

    /// The environment variable that usually holds its key.
    #[getter]
    fn key_env(&self) -> Option<&str> {
        self.get().key_env.as_deref()
    }

    /// All that is known, for people.
    fn explain(&self) -> String {
        self.get().explain()
    }

    /// The names of its tiers, each once.
    fn tiers(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for tier in &self.get().tiers {
            if !names.contains(&tier.name.as_str()) {
                names.push(&tier.name);
            }
        }
        names
    }

    /// The limits of a tier, or those that all users have, by resource; None: there is no such tier.
    #[pyo3(signature = (tier=None, model=None))]
    fn limits<'py>(
        &self,
        py: Python<'py>,
        tier: Option<&str>,
        model: Option<&str>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let api = self.get();
        let dict = PyDict::new(py);
        if let Some(tier) = tier {
            let Some(limits) = api.limits(tier, model) else {
                return Ok(None);
            };
            for (resource, limit) in limits {
                dict.set_item(resource, limit)?;
            }
        } else {
            for resource in &api.resources {
                if let Some(limit) = resource.limit {
                    dict.set_item(&resource.name, limit)?;
                }
            }
        }
        Ok(Some(dict))
    }

    /// What it meters: name, kind, window in seconds where that is known, whether answers settle it, whether
    /// calls to this endpoint take of it, whether answers tell its limit, and whether each model has it for itself.
    #[pyo3(signature = (endpoint=None))]
    fn meters(&self, endpoint: Option<&str>) -> Vec<Meter<'_>> {
        let api = self.get();
        let paths = match endpoint {
            Some(endpoint) => vec![request(endpoint, b"")],
            None => [true, false]
                .into_iter()
                .map(|generates| request(api.path(generates).unwrap_or_default(), b""))
                .collect(),
        };
        let classes: Vec<_> = paths.iter().map(|path| api.endpoint(path)).collect();
        let touched = |resource: &apis::Resource| {
            resource.endpoints.is_empty()
                || classes
                    .iter()
                    .flatten()
                    .any(|endpoint| resource.endpoints.contains(&endpoint.class))
        };
        let mut meters = Vec::new();
        for it in &api.resources {
            let window = it.window.map(|window| window.as_secs_f64());
            meters.push((
                it.name.as_str(),
                kind(it.kind),
                window,
                it.settles(),
                touched(it),
                tells_limit(it),
                it.has_parts(),
            ));
        }
        meters
    }

    /// The calendar that a resource follows over a window of so many seconds; None: it follows none.
    fn calendar(&self, resource: &str, window: f64) -> Option<String> {
        let spec = self.get().resource(resource)?;
        let is_its_own = spec.window == Duration::try_from_secs_f64(window).ok();
        let calendar = is_its_own.then(|| spec.calendar())?;
        calendar.map(|calendar| calendar.to_string())
    }

    /// The path of calls that ask for text, or do not; None: there is none without a part to fill in.
    fn path(&self, generates: bool) -> Option<&str> {
        self.get().path(generates)
    }

    /// The tokens that the prompt of a request is expected to have.
    fn prompt_tokens(&self, body: &[u8]) -> u64 {
        let sizes = self.get().sizes(&Request::post("", body));
        sizes.prompt.tokens()
    }

    /// What to hold back for a request, of each of the resources that have a quota, and whose part of it that is;
    /// a quota of None is not known.
    ///
    /// `endpoint`: a path, with a method before it that is not POST; None: as the body looks. `answer`: the
    /// most tokens of an answer where the body sets no bound; `context`: those of prompt and answer together,
    /// in place of that.
    #[pyo3(signature = (endpoint, body, quotas, answer, context=None))]
    fn holds(
        &self,
        endpoint: Option<&str>,
        body: &[u8],
        quotas: HashMap<String, Option<f64>>,
        answer: u64,
        context: Option<u64>,
    ) -> HashMap<String, (f64, Option<String>)> {
        let api = self.get();
        let request = match endpoint {
            Some(endpoint) => request(endpoint, body),
            None => request(api.path(asks_for_text(api, body)).unwrap_or_default(), body),
        };
        let unbounded = context.map_or(Unbounded::Answer(answer), Unbounded::Context);
        let quota_of = |name: &str| Amount::cost((*quotas.get(name)?)?).ok();
        let held = api.holds(&request, unbounded, &quota_of);
        let of = |name: &String| held.iter().find(|cost| cost.resource == name);
        let taken = |name: &String| match of(name) {
            Some(cost) => (cost.amount.as_units(), cost.key.clone()),
            None => (0.0, None),
        };
        let names = quotas.keys().cloned();
        names.map(|name| (name.clone(), taken(&name))).collect()
    }

    /// The fields at the top of bodies that `holds` has to see; None: all.
    fn request_fields(&self) -> Option<Vec<&str>> {
        self.get().request_fields()
    }

    /// The fields at the top of answers that `charges` has to see.
    fn answer_fields(&self) -> Vec<&str> {
        self.get().answer_fields()
    }

    /// The fields at the top of answers by which errors with a status of success are known.
    fn disguise_fields(&self) -> Vec<&str> {
        self.get().disguise_fields()
    }

    /// Whether models have names of its users' own there.
    fn renames_models(&self) -> bool {
        self.get().renames_models
    }

    /// What an answer means, as `read_answer` tells it.
    fn read<'py>(
        &self,
        py: Python<'py>,
        status: u16,
        headers: Vec<(String, String)>,
        body: &[u8],
    ) -> PyResult<Bound<'py, PyDict>> {
        meaning(py, self.get(), status, &headers, body)
    }

    /// What a good answer says was charged, by resource.
    fn charges(&self, headers: Vec<(String, String)>, body: &[u8]) -> HashMap<&str, f64> {
        let answer = Answer::new(200, &headers, body);
        let told = self.get().read(&answer, Moment::from(SystemTime::now()));
        let charges = told.charges.into_iter();
        charges
            .map(|(name, amount)| (name, amount.as_units()))
            .collect()
    }

    /// Whether answers tell anything of the resources, and whether some of it stands in their bodies.
    fn tells(&self) -> (bool, bool) {
        let sources = || {
            self.get()
                .resources
                .iter()
                .flat_map(|it| it.feedback.sources())
        };
        let in_body = |source: &apis::Source| !matches!(source, apis::Source::Header(_));
        (sources().next().is_some(), sources().any(in_body))
    }

    /// Where answers tell what is charged of a resource, for messages.
    fn charge_source(&self, resource: &str) -> Option<String> {
        let source = self.get().charge_source(resource)?;
        Some(source.to_string())
    }
}

/// A request to `/path`, or to `METHOD /path`.
pub(crate) fn request<'a>(endpoint: &'a str, body: &'a [u8]) -> Request<'a> {
    match endpoint.trim().split_once(' ') {
        Some((method, path)) => Request::new(method, path.trim_start(), body),
        None => Request::post(endpoint.trim(), body),
    }
}

/// Whether a body that goes to no endpoint in particular asks for text: inputs alone are embedded.
pub(crate) fn asks_for_text(api: &apis::Api, body: &[u8]) -> bool {
    let sizes = api.sizes(&Request::post("", body));
    sizes.answer_max.is_some() || sizes.prompt.messages > 0 || sizes.inputs == 0
}

/// Whether answers name its limit.
fn tells_limit(resource: &apis::Resource) -> bool {
    let it = &resource.feedback;
    let by_parts = !it.used_of.is_empty() || !it.policy.is_empty() || !it.state.is_empty();
    it.limit.is_some() || by_parts
}

fn kind(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Slots) => "slots",
        Some(Kind::Budget) => "budget",
        Some(Kind::Spacing) => "spacing",
        _ => "window",
    }
}

/// A resource as the description has it, with the user's quota: how it comes back, where the windows are
/// the same.
pub(crate) fn quota(
    spec: &apis::Resource,
    quota: Amount,
    window: Duration,
) -> Option<rate_limited_core::Quota> {
    let known = spec.window == Some(window);
    // No window of another kind refuses what a sliding one lets through.
    let other = spec.kind == Some(Kind::Bucket) || spec.slice.is_some();
    if !known || !other {
        return None;
    }
    // Neither needs a calendar.
    spec.quota(quota, Moment::from_seconds(0), &|_| Time::default())
}
