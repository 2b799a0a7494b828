//! Money: what a call costs at most, and what its answer has cost.

use crate::api::{Api, asks_for_text, request};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rate_limited_apis::{self as apis, Answer, Charge, Moment, Priced, Prices, Unpriced};
use rate_limited_core::Amount;
use std::time::SystemTime;

/// What calls cost, by the prices of tokens and by the description of their API.
#[pyclass(frozen, module = "rate_limited._native")]
pub(crate) struct Bill {
    prices: Prices,
    api: Py<Api>,
}

#[pymethods]
impl Bill {
    /// Prices in dollars: of a million tokens of prompts and of answers, and of a request. Those that are None are
    /// those of the API, which also says how its requests are read.
    #[new]
    #[pyo3(signature = (api, input=None, output=None, request=None))]
    fn new(api: Py<Api>, input: Option<f64>, output: Option<f64>, request: Option<f64>) -> Bill {
        let prices = Prices {
            input,
            output,
            request,
        };
        Bill { prices, api }
    }

    /// What a call costs at most, in thousandths of a dollar. Raises `ValueError` where that is not known.
    fn bound(&self, endpoint: Option<&str>, body: &[u8]) -> PyResult<f64> {
        let charge = self.charge(endpoint, body);
        let charge = charge.map_err(|why| PyValueError::new_err(told(&why)))?;
        Ok(charge.bound.as_units())
    }

    /// What the answer of a call says that it has cost, in thousandths of a dollar; None: it does not say.
    fn used(
        &self,
        endpoint: Option<&str>,
        body: &[u8],
        headers: Vec<(String, String)>,
        answer: &[u8],
    ) -> Option<f64> {
        let charge = self.charge(endpoint, body).ok()?;
        let answer = Answer::new(200, &headers, answer);
        let told = self.api().read(&answer, Moment::from(SystemTime::now()));
        charge.used(|unit| told.used(unit)).map(Amount::as_units)
    }

    /// The fields at the top of answers that `used` has to see.
    fn answer_fields(&self) -> Vec<&str> {
        self.api().answer_fields()
    }

    /// Whether the price of prompts is known without a model.
    fn has_prices(&self) -> bool {
        self.prices.input.is_some() || !self.api().prices.is_empty()
    }
}

impl Bill {
    fn api(&self) -> &apis::Api {
        self.api.get().get()
    }

    fn charge(&self, endpoint: Option<&str>, body: &[u8]) -> Result<Charge, Unpriced> {
        let api = self.api();
        let sent = match endpoint {
            Some(endpoint) => request(endpoint, body),
            None => request(api.path(asks_for_text(api, body)).unwrap_or_default(), body),
        };
        let (endpoint, sizes) = (api.endpoint(&sent), api.sizes(&sent));
        let generates = endpoint.map_or_else(|| asks_for_text(api, body), |it| it.generates);
        let priced = Priced {
            body,
            model: sizes.model.as_deref(),
            class: endpoint.map(|endpoint| endpoint.class.as_str()),
            generates,
            answer_max: sizes.answer_max,
            answers: sizes.answers,
            token_ids: sizes.prompt.token_ids,
        };
        Charge::of(&priced, self.prices, Some(api))
    }
}

/// Why the cost of a call is not known, and what is to be done.
fn told(why: &Unpriced) -> String {
    let remedy = match why {
        Unpriced::Price { of, .. } => {
            format!(": tell prices={{{of:?}: …}} (dollars for a million)")
        }
        Unpriced::Endless => ": set max_tokens".to_owned(),
        _ => String::new(),
    };
    format!("what the call costs at most is not known, and max_cost is told: {why}{remedy}")
}
