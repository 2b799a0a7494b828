//! What a request costs at most, and what an answer has cost: the books of `--max-cost`.

use rate_limited::{Amount, Counted, Quota, Resource};
use rate_limited_apis::Priced;
pub(crate) use rate_limited_apis::{Charge, Unpriced};
use std::error::Error;
use std::sync::Arc;

use crate::calling::call::{CallError, Reply};
use crate::calling::preset::{Preset, Route};
use crate::reading::request::Request;
use crate::refusal::Refusal;
use crate::running::job::Job;
use crate::running::price::Prices;
use crate::values::text::quoted;

/// The name of the budget, in the journal too.
const NAME: &str = "max-cost";

/// The most that a run may cost, and what requests cost.
#[derive(Clone, Debug)]
pub(crate) struct Bill {
    pub(crate) most: Amount,
    told: Option<Prices>,
    preset: Option<Preset>,
}

/// What is said of a line of which it is not known what it costs at most, and what is to be done.
pub(crate) fn unpriced_told(why: &Unpriced, line: u64) -> String {
    let why = match why {
        Unpriced::Price { of, model } => {
            let model = model.as_deref().map_or_else(
                || "of a request without a model".to_owned(),
                |model| format!("of {}", quoted(model)),
            );
            format!(
                "the price of {of} tokens {model} is not known: pass --price {of}=… (dollars for a million)"
            )
        }
        Unpriced::Endless => {
            format!("{why}: set max_tokens, or pass --max-tokens with --prompt")
        }
        Unpriced::Outside(what) => format!(
            "it has {}, whose tokens are not in the text of the request",
            quoted(what)
        ),
        _ => why.to_string(),
    };
    format!("what line {line} costs at most is not known, and --max-cost is told: {why}")
}

impl Bill {
    /// The bill of a run; none without `--max-cost`.
    ///
    /// # Errors
    /// Prices that nothing is done with, or none where nobody else knows them.
    pub(crate) fn of(
        most: Option<Amount>,
        told: Option<Prices>,
        preset: Option<Preset>,
    ) -> Result<Option<Bill>, Refusal> {
        let has_prices = preset.is_some_and(|preset| !preset.api().prices.is_empty());
        match (most, told) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Refusal::Cost("--price is for --max-cost: pass both".to_owned())),
            (Some(_), None) if !has_prices => Err(Refusal::Cost(
                "the prices are not known, and --max-cost is told: pass --price input=0.15,output=0.60 (dollars \
                 for a million tokens), with the prices of your model"
                    .to_owned(),
            )),
            (Some(most), told) => Ok(Some(Bill { most, told, preset })),
        }
    }

    /// The prices alone, where they are known: for costs that nothing bounds.
    pub(crate) fn priced(told: Option<Prices>, preset: Option<Preset>) -> Option<Bill> {
        let has_prices = preset.is_some_and(|preset| !preset.api().prices.is_empty());
        (told.is_some() || has_prices).then_some(Bill {
            most: Amount::MAX,
            told,
            preset,
        })
    }

    /// What a request costs.
    ///
    /// # Errors
    /// It is not known what it costs at most.
    pub(crate) fn charge(&self, request: &Request, route: &Route) -> Result<Charge, Unpriced> {
        let measured = route.measured(request);
        let asked = Priced {
            body: &request.body,
            model: measured.model.as_deref(),
            class: measured.class,
            generates: measured.generates,
            answer_max: measured.answer_max,
            answers: measured.answers,
            token_ids: measured.token_ids,
        };
        let api = self.preset.map(Preset::api);
        Charge::of(&asked, self.told.unwrap_or_default(), api)
    }

    /// The budget.
    pub(crate) fn quota(&self) -> (String, Quota) {
        (NAME.to_owned(), Quota::Budget { amount: self.most })
    }

    /// The budget as the runner takes it. A failed attempt counts in full, unless the API has rejected it: nobody
    /// says what it has cost.
    pub(crate) fn resource(&self) -> Resource<Arc<Job>, Reply> {
        let (name, quota) = self.quota();
        let told = |job: &Arc<Job>, reply: &Reply| {
            let used = job.charge.and_then(|charge| used(&charge, reply));
            // What the answer does not tell stays as reserved.
            used.or(job.charge.map(|charge| charge.bound))
                .unwrap_or(Amount::ZERO)
        };
        Resource::new(name, quota)
            .cost(|job: &Arc<Job>| job.charge.map_or(Amount::ZERO, |charge| charge.bound))
            .usage(told)
            .failed_usage(|_, error| is_rejected(error).then_some(Amount::ZERO))
            .counted(Counted::AtDispatch)
    }
}

/// What an answer says that its call has cost.
fn used(charge: &Charge, reply: &Reply) -> Option<Amount> {
    let used = reply.answer.used.iter();
    charge.used(|unit| {
        let mut used = used.clone();
        used.find(|(known, _)| *known == unit)
            .map(|(_, amount)| *amount)
    })
}

/// Whether the API has rejected a request without a look at what it asks: nothing was made that costs.
fn is_rejected(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    const TIMEOUT: u16 = 408;
    let error = error.downcast_ref::<CallError>();
    let answer = error.and_then(|error| error.http()?.answer());
    answer.is_some_and(|answer| (400..500).contains(&answer.status) && answer.status != TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::Bill;
    use crate::calling::preset::{Preset, Route};
    use crate::reading::input::{Item, Reader};
    use crate::reading::request::Request;
    use crate::running::price;

    fn request(line: &str) -> Request {
        match Reader::stream(line.as_bytes(), "-").next() {
            Some(Ok(Item::Request(request))) => request,
            other => panic!("{other:?}"),
        }
    }

    fn bound(line: &str) -> Result<String, String> {
        let prices = price::parse_prices("input=1,output=10").expect("prices");
        let bill = Bill::of(price::parse("5").ok(), Some(prices), None).expect("both are told");
        let charge = bill
            .expect("a bill")
            .charge(&request(line), &Route::default());
        charge
            .map(|charge| (charge.bound.as_micros() / 1_000).to_string())
            .map_err(|why| super::unpriced_told(&why, 1))
    }

    #[test]
    fn a_bound_has_each_byte_and_the_longest_answers() {
        let chat = r#"{"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100}"#;
        // Millionths of a dollar: 68 bytes, 64 tokens of frame, 100 tokens of answer at ten times the price.
        assert_eq!(chat.len(), 68);
        assert_eq!(bound(chat), Ok((68 + 64 + 1_000).to_string()));
        let two = chat.replace("100", "100, \"n\": 2");
        assert_eq!(bound(&two), Ok((two.len() + 64 + 2_000).to_string()));
        let tools = chat.replace("100", r#"100, "tools": [{"type": "function", "image": 1}]"#);
        assert_eq!(
            bound(&tools),
            Ok((tools.len() + 64 + 1_024 + 1_000).to_string())
        );
        let cached = chat.replace("\"Hi\"", r#"[{"text": "Hi", "cache_control": {}}]"#);
        assert_eq!(
            bound(&cached),
            Ok((2 * (cached.len() + 64) + 1_000).to_string())
        );
        assert_eq!(bound(r#"{"input": "cat"}"#), Ok((16 + 64).to_string()));
    }

    #[test]
    fn what_has_no_bound_is_told() {
        for (line, told) in [
            (
                r#"{"messages": []}"#,
                "it sets no limit on its answer: set max_tokens",
            ),
            (
                r#"{"max_tokens": 1, "messages": [{"content": [{"type": "image_url"}]}]}"#,
                "it has 'image_url'",
            ),
            (
                r#"{"max_tokens": 1, "messages": [], "tools": [{"type": "web_search"}]}"#,
                "it has 'tools of the server'",
            ),
        ] {
            let found = bound(line).expect_err(line);
            assert!(
                found.starts_with("what line 1 costs at most is not known") && found.contains(told),
                "{found}"
            );
        }
        let openai = Preset::named("openai").ok();
        assert!(Bill::of(price::parse("5").ok(), None, openai).is_err());
    }
}
