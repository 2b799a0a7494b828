//! Reads an answer: what it means, how long to wait, how the resources stand, what was used.

use std::time::Duration;

use rate_limited_core::{Amount, ResourceId};

use crate::answer::{Answer, View};
use crate::api::{Answers, Api};
use crate::body::Body;
use crate::class::Class;
use crate::feedback::Reading;
use crate::moment::{Moment, WAIT_MAX};
use crate::resource::Settlement;
use crate::rule::Rule;
use crate::unit::Unit;
use crate::wait::{Wait, origin};

/// No honest error is longer than this; a longer one is judged by its status alone.
const ERROR_BYTES_MAX: usize = 1 << 20;

/// What an answer says.
///
/// ```
/// use rate_limited_apis::{Answer, Api, Class, Moment};
/// use rate_limited_core::Amount;
/// use std::time::Duration;
///
/// let headers = [
///     ("x-ratelimit-limit-tokens", "160000"),
///     ("x-ratelimit-remaining-tokens", "159976"),
///     ("x-ratelimit-reset-tokens", "9ms"),
/// ];
/// let body = br#"{"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}}"#;
/// let now = Moment::from_seconds(1_795_000_000);
/// let feedback = Api::named("openai")?.read(&Answer::new(200, &headers, body), now);
///
/// assert_eq!(feedback.class, Class::Success);
/// let tokens = &feedback.readings[0];
/// assert_eq!((tokens.resource, tokens.remaining), ("tokens", Some(Amount::units(159_976))));
/// assert_eq!(tokens.reset.map(|reset| reset.after), Some(Duration::from_millis(9)));
/// # Ok::<(), rate_limited_apis::UnknownApi>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Feedback<'api> {
    /// What it means.
    pub class: Class,
    /// The status; of a refusal with a status of success, the one that it stands for.
    pub status: u16,
    /// The resource that a refusal speaks of, if it does.
    pub resource: Option<&'api str>,
    /// How long to wait, if it says.
    pub wait: Option<Wait>,
    /// The code of an error.
    pub code: Option<String>,
    /// The message of an error. It is foreign text: it may be long, or hold what was sent.
    pub message: Option<String>,
    /// What the error means and what to do, if the API's description says.
    pub why: Option<&'api str>,
    /// How the resources stand, as far as it tells.
    pub readings: Vec<Reading<'api>>,
    /// What a good answer says was used, by unit.
    pub usage: Vec<(Unit, Amount)>,
    /// What a good answer was charged for, by resource: only of those that are not charged by estimate.
    pub charges: Vec<(&'api str, Amount)>,
    /// The model that a good answer names; see [`is_same_model`](crate::is_same_model). It is foreign text.
    pub model: Option<String>,
    /// Fields that are there and cannot be read: to be warned of once.
    pub unreadable: Vec<String>,
}

impl Feedback<'_> {
    /// The class as the scheduler has it. `id_of` names the resource that the refusal speaks of.
    pub fn kind(&self, id_of: impl FnOnce(&str) -> Option<ResourceId>) -> rate_limited_core::Class {
        let wait = self.wait.as_ref().map(|wait| wait.after);
        self.class.kind(self.resource.and_then(id_of), wait)
    }

    /// What was used of a unit, if the answer says.
    pub fn used(&self, unit: Unit) -> Option<Amount> {
        let found = self.usage.iter().find(|(known, _)| *known == unit);
        found.map(|(_, amount)| *amount)
    }
}

impl Api {
    /// Reads an answer that came at `now`. It never fails, whatever the answer is.
    ///
    /// Moments in it are measured from its own `Date` where it has one, so that a skewed clock does no harm.
    pub fn read(&self, answer: &Answer<'_>, now: Moment) -> Feedback<'_> {
        let now = origin(answer.headers, now);
        let success = (200..=299).contains(&answer.status);
        let readable = success || answer.body.len() <= ERROR_BYTES_MAX;
        let body = Body::parse(if readable { answer.body } else { b"" });
        let (body, broken) = match body {
            Ok(body) => (body, None),
            Err(why) => (Body::default(), Some(why)),
        };
        let mut view = View {
            status: answer.status,
            headers: answer.headers,
            body,
        };
        if let Some(why) = broken.filter(|_| success && self.answers == Answers::Json) {
            return self.bad_answer(answer, &view, now, &why);
        }
        if success {
            let disguise = self.disguised.iter().find_map(|known| known.status(&view));
            view.status = disguise.unwrap_or(answer.status);
        }
        let rule = self.rules.iter().find(|rule| rule.applies(&view));
        let class = rule.map_or(Class::of_status(view.status), |rule| rule.class);
        let mut feedback = self.stand(&view, now);
        feedback.class = class;
        if class == Class::Success {
            self.count(&view, &mut feedback);
            return feedback;
        }
        if rule.is_none() && !answer.repeatable && leaves_open(class, view.status) {
            feedback.class = Class::DeliveryUnknown;
        }
        feedback.resource = rule.and_then(|rule| rule.resource.as_deref());
        feedback.why = rule.and_then(|rule| rule.why.as_deref());
        feedback.wait = self.wait(&view, class, rule, now);
        let words = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        feedback.code = view.find(&self.code, words);
        feedback.message = view.find(&self.message, words);
        feedback
    }

    /// The class of an attempt that brought no answer. `sent`: whether the request had left.
    ///
    /// ```
    /// use rate_limited_apis::{Api, Class};
    ///
    /// let lost = Api::no_answer(true, false);
    /// assert_eq!(lost, Class::DeliveryUnknown);
    /// assert_eq!(Api::no_answer(false, false), Class::Transient);
    /// ```
    pub fn no_answer(sent: bool, repeatable: bool) -> Class {
        if sent && !repeatable {
            Class::DeliveryUnknown
        } else {
            Class::Transient
        }
    }

    /// How the resources stand; the rest is still empty.
    fn stand(&self, view: &View<'_>, now: Moment) -> Feedback<'_> {
        let (mut readings, mut unreadable) = (Vec::new(), Vec::new());
        for resource in &self.resources {
            let mut told = resource.feedback.read(resource, view, now, &mut unreadable);
            if !told.is_empty() {
                let key = resource.learnt_key(view);
                if self.is_of_another(resource, key.as_deref()) {
                    continue;
                }
                for reading in &mut told {
                    reading.key = reading.key.take().or_else(|| key.clone());
                }
            }
            readings.append(&mut told);
        }
        unreadable.sort_unstable();
        unreadable.dedup();
        Feedback {
            class: Class::Success,
            status: view.status,
            resource: None,
            wait: None,
            code: None,
            message: None,
            why: None,
            readings,
            usage: Vec::new(),
            charges: Vec::new(),
            model: None,
            unreadable,
        }
    }

    /// What a good answer used, what it was charged for, and by which model.
    fn count<'api>(&'api self, view: &View<'_>, feedback: &mut Feedback<'api>) {
        let used = |(unit, formula): (&Unit, &crate::Formula)| Some((*unit, formula.of(view)?));
        feedback.usage = self.usage.iter().filter_map(used).collect();
        feedback.model = self.answering_model(view);
        for resource in &self.resources {
            let name = resource.name.as_str();
            let charge = match resource.settlement {
                None | Some(Settlement::Keep) => None,
                Some(Settlement::Told) => {
                    let mut readings = feedback.readings.iter();
                    readings
                        .find(|reading| reading.resource == name)
                        .and_then(|reading| reading.cost)
                }
                Some(Settlement::Usage | Settlement::After) => match &resource.usage {
                    Some(formula) => formula.of(view),
                    None => feedback.used(resource.unit),
                },
            };
            feedback.charges.extend(charge.map(|charge| (name, charge)));
        }
    }

    fn wait(
        &self,
        view: &View<'_>,
        class: Class,
        rule: Option<&Rule>,
        now: Moment,
    ) -> Option<Wait> {
        let mut hints = self.waits.iter().filter_map(|hint| hint.wait(view, now));
        match class {
            Class::Success | Class::Fatal | Class::BadCall => None,
            Class::Exhausted => {
                let calendar = rule.and_then(|rule| rule.until.as_ref());
                let ends = calendar.and_then(|anchor| anchor.ends(now, Duration::ZERO));
                let until = ends.map(|(end, _)| Wait {
                    after: now.until(end).min(WAIT_MAX),
                    parks: true,
                });
                hints.chain(until).max_by_key(|wait| wait.after)
            }
            _ => hints.next().or_else(|| {
                let after = rule.and_then(|rule| rule.wait)?;
                Some(Wait {
                    after,
                    parks: false,
                })
            }),
        }
    }

    /// An answer with a status of success that is not what the API answers.
    fn bad_answer(
        &self,
        answer: &Answer<'_>,
        view: &View<'_>,
        now: Moment,
        why: &str,
    ) -> Feedback<'_> {
        Feedback {
            class: Api::no_answer(true, answer.repeatable),
            code: Some("bad_answer".to_owned()),
            message: Some(format!("the answer is not usable: {why}")),
            ..self.stand(view, now)
        }
    }
}

/// Whether a failure leaves open if the call was carried out.
fn leaves_open(class: Class, status: u16) -> bool {
    matches!(class, Class::Transient | Class::Overloaded) && !matches!(status, 409 | 425 | 529)
}
