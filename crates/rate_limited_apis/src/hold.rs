//! What is held back for a request until its answer is there.

use rate_limited_core::Amount;

use crate::api::Api;
use crate::cost::{Cost, generates};
use crate::request::{Measure, Request, Sizes};
use crate::resource::{Resource, Settlement};

/// The most of a quota that a guess holds back, as a divisor.
///
/// The answers that come show how long they really are. Were the first one to hold back the whole quota,
/// the second one would have to wait until nothing counts any more.
const GUESS_SHARE: i64 = 16;

/// How long the answers to a request may be that sets no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unbounded {
    /// So many tokens each.
    Answer(u64),
    /// What the context of the model has left: so many tokens for prompt and answer together. That is a
    /// guess, of which no more is held back than 1/16 of the quota, or the prompt if that is more.
    Context(u64),
}

impl Api {
    /// What to hold back for a request of each resource that it touches: its [cost](Api::costs), but for
    /// what is a guess alone.
    ///
    /// `quota_of`: the quotas that are in force. Of a resource without one a guess is held back whole.
    ///
    /// - An answer of unknown length, see [`Unbounded`].
    /// - The bound of an answer where the server counts what it has really written
    ///   ([`Settlement::After`]): 1/16 of the quota at most.
    /// - A prompt of which a part may lie in a cache, where the server then counts less: the quota at most.
    ///
    /// ```
    /// use rate_limited_apis::{Api, Request, Unbounded};
    /// use rate_limited_core::Amount;
    ///
    /// let body = br#"{"model": "m", "max_tokens": 20000, "messages": []}"#;
    /// let quota_of = |_: &str| Some(Amount::units(8_000));
    /// let request = Request::post("/v1/messages", body);
    /// let held = Api::named("anthropic")?.holds(&request, Unbounded::Answer(1_024), &quota_of);
    /// let output = held.iter().find(|cost| cost.resource == "output_tokens").expect("is metered");
    /// assert_eq!(output.amount, Amount::units(500));
    /// # Ok::<(), rate_limited_apis::UnknownApi>(())
    /// ```
    pub fn holds(
        &self,
        request: &Request<'_>,
        unbounded: Unbounded,
        quota_of: &dyn Fn(&str) -> Option<Amount>,
    ) -> Vec<Cost<'_>> {
        let sizes = self.sizes(request);
        let endpoint = self.endpoint(request);
        let class = endpoint.map(|endpoint| endpoint.class.as_str());
        let answer = if generates(endpoint, &sizes) {
            Answer::of(&sizes, unbounded)
        } else {
            Answer::Known(0)
        };
        let touched = self.resources.iter();
        let touched = touched.filter(|it| it.is_for(class, sizes.model.as_deref()));
        touched
            .map(|resource| Cost {
                resource: &resource.name,
                key: self.key(resource, &sizes, class, request.path),
                amount: resource.hold(&sizes, answer, quota_of(&resource.name)),
            })
            .collect()
    }
}

/// The tokens of all answers to a request.
#[derive(Clone, Copy)]
enum Answer {
    /// At most so many.
    Known(u64),
    /// So many if they fill the context, which is that long.
    Guess { most: u64, context: u64 },
}

impl Answer {
    fn of(sizes: &Sizes, unbounded: Unbounded) -> Answer {
        // To ask for nothing at all is how some clients write that they set no bound.
        let bound = sizes.answer_max.filter(|most| *most > 0);
        match (bound, unbounded) {
            (Some(most), _) | (None, Unbounded::Answer(most)) => {
                Answer::Known(most.saturating_mul(sizes.answers))
            }
            (None, Unbounded::Context(context)) => {
                let left = context.saturating_sub(sizes.prompt.tokens());
                let most = left.saturating_mul(sizes.answers);
                Answer::Guess { most, context }
            }
        }
    }
}

impl Resource {
    fn hold(&self, sizes: &Sizes, answer: Answer, quota: Option<Amount>) -> Amount {
        let quota = quota.unwrap_or(Amount::MAX);
        let least = Amount::units(1).min(quota);
        let share = Amount::from_micros(quota.as_micros() / GUESS_SHARE).max(least);
        let held = match answer {
            Answer::Known(most) => self.cost_of(sizes, most),
            Answer::Guess { most, context } => {
                let prompt = self.cost_of(sizes, 0);
                let context = u32::try_from(context).map_or(Amount::MAX, Amount::units);
                let guess = self.cost_of(sizes, most).min(share);
                // No prompt is longer than the context, whatever its estimate says.
                let prompt = if self.counts(Measure::Answer) {
                    prompt.min(context)
                } else {
                    prompt
                };
                prompt.max(guess)
            }
        };
        if self.settlement == Some(Settlement::After) && self.counts(Measure::Answer) {
            return held.min(share);
        }
        if sizes.cached
            && self.settlement == Some(Settlement::Usage)
            && self.counts(Measure::Prompt)
        {
            return held.min(quota);
        }
        held
    }

    fn counts(&self, measure: Measure) -> bool {
        self.cost.contains_key(&measure)
    }
}

#[cfg(test)]
mod tests {
    use super::Unbounded;
    use crate::{Api, Request};
    use rate_limited_core::Amount;

    fn held(api: &str, resource: &str, body: &str, unbounded: Unbounded, quota: u32) -> Amount {
        let api = Api::named(api).unwrap();
        let path = api.path(true).unwrap();
        let request = Request::post(path, body.as_bytes());
        let held = api.holds(&request, unbounded, &|_| Some(Amount::units(quota)));
        let found = held.iter().find(|cost| cost.resource == resource);
        found.unwrap().amount
    }

    #[test]
    fn a_guess_is_capped_at_a_share_of_the_quota_and_an_order_is_not() {
        let tokens = |rest: &str, words: usize| {
            let text = "abcd".repeat(words);
            let body = format!(r#"{{"messages":[{{"content":"{text}"}}]{rest}}}"#);
            let context = Unbounded::Context(128_000);
            held("openai_compatible", "tokens", &body, context, 16_000)
        };
        for (rest, words, want) in [
            ("", 1, 1_000),
            (r#","n":8"#, 1, 1_000),
            (r#","max_tokens":0"#, 1, 1_000),
            (r#","max_tokens":null"#, 1, 1_000),
            (r#","max_tokens":10000"#, 1, 10_009),
            (r#","max_tokens":20000"#, 1, 20_009),
            ("", 2_000, 2_008),
            ("", 20_000, 20_008),
            ("", 200_000, 128_000),
        ] {
            assert_eq!(tokens(rest, words), Amount::units(want), "{rest} {words}");
        }
    }

    #[test]
    fn a_default_bound_is_no_guess() {
        // What OpenAI charges is the larger of prompt and answers.
        for (api, want) in [("openai_compatible", 2_052), ("openai", 2_048)] {
            let answer = Unbounded::Answer(1_024);
            let held = held(api, "tokens", r#"{"messages":[],"n":2}"#, answer, 1_000);
            assert_eq!(held, Amount::units(want), "{api}");
        }
    }

    #[test]
    fn bounds_and_caches_hold_back_no_more_than_they_may_cost() {
        let text = "abcd".repeat(10_000);
        for (resource, rest, want) in [
            ("output_tokens", r#","max_tokens":100"#, 100),
            ("output_tokens", r#","max_tokens":20000"#, 500),
            ("input_tokens", "", 10_008),
            (
                "input_tokens",
                r#","cache_control":{"type":"ephemeral"}"#,
                8_000,
            ),
            ("input_tokens", r#","cache_control":null"#, 10_008),
            ("input_tokens", r#","system":[{"cache_control":{}}]"#, 8_000),
        ] {
            let body = format!(r#"{{"messages":[{{"content":"{text}"}}]{rest}}}"#);
            let held = held(
                "anthropic",
                resource,
                &body,
                Unbounded::Answer(1_024),
                8_000,
            );
            assert_eq!(held, Amount::units(want), "{resource} {rest}");
        }
    }
}
