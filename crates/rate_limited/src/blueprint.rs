//! What a runner was told: the function, the resources and the rules.

use crate::error::ScheduleError;
use crate::resource::Resource;
use crate::result::SharedError;
use rate_limited_core::{Amount, Class, Cost, Feedback, ResourceId};
use std::error::Error;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::OnceLock;

pub(crate) type Answering<Resp> = Pin<Box<dyn Future<Output = Result<Resp, SharedError>> + Send>>;
type Function<Req, Resp> = Box<dyn Fn(Req) -> Answering<Resp> + Send + Sync>;
type Validator<Resp> = Box<dyn Fn(&Resp) -> bool + Send + Sync>;
type Classifier =
    Box<dyn Fn(&(dyn Error + Send + Sync + 'static), &Resources) -> Class + Send + Sync>;

/// Tells the limits that an answer or an error names.
type FeedbackReader<Resp> = Box<
    dyn Fn(
            Result<&Resp, &(dyn Error + Send + Sync + 'static)>,
            &Resources,
        ) -> Vec<(ResourceId, Feedback)>
        + Send
        + Sync,
>;

/// The resources of a runner by name, for classifiers whose errors name one.
#[derive(Clone, Debug, Default)]
pub struct Resources(Vec<(String, ResourceId)>);

impl Resources {
    /// The resource of this name.
    pub fn find(&self, name: &str) -> Option<ResourceId> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, id)| *id)
    }
}

pub(crate) struct Blueprint<Req, Resp> {
    pub(crate) function: Function<Req, Resp>,
    pub(crate) resources: Vec<Resource<Req, Resp>>,
    pub(crate) validators: Vec<Validator<Resp>>,
    pub(crate) classify: Classifier,
    pub(crate) feedback: Option<FeedbackReader<Resp>>,
    /// The ids of the resources, once the limiter knows them.
    pub(crate) ids: OnceLock<Resources>,
}

impl<Req, Resp> Blueprint<Req, Resp> {
    pub(crate) fn new(function: Function<Req, Resp>) -> Blueprint<Req, Resp> {
        Blueprint {
            function,
            resources: Vec::new(),
            validators: Vec::new(),
            classify: Box::new(|_, _| Class::Failure),
            feedback: None,
            ids: OnceLock::new(),
        }
    }

    pub(crate) fn call(&self, request: Req) -> Answering<Resp> {
        (self.function)(request)
    }

    /// Whether all validators accept; the first that does not ends the asking. One that panics does
    /// not accept.
    pub(crate) fn is_valid(&self, answer: &Resp) -> bool {
        self.validators
            .iter()
            .all(|validator| catch_unwind(AssertUnwindSafe(|| validator(answer))).unwrap_or(false))
    }

    /// The limits that an answer or an error names. A function that panics names none.
    pub(crate) fn feedback(
        &self,
        end: Result<&Resp, &(dyn Error + Send + Sync + 'static)>,
    ) -> Vec<(ResourceId, Feedback)> {
        let (Some(read), Some(ids)) = (&self.feedback, self.ids.get()) else {
            return Vec::new();
        };
        catch_unwind(AssertUnwindSafe(|| read(end, ids))).unwrap_or_default()
    }

    pub(crate) fn class_of(&self, error: &(dyn Error + Send + Sync + 'static)) -> Class {
        static NONE: Resources = Resources(Vec::new());
        (self.classify)(error, self.ids.get().unwrap_or(&NONE))
    }

    /// Notes the ids that the limiter gave to the resources, in their order.
    pub(crate) fn name_ids(&self, ids: &[ResourceId]) {
        let names = self
            .resources
            .iter()
            .map(|resource| resource.name().to_owned());
        // A blueprint is built into one engine only.
        let _ = self
            .ids
            .set(Resources(names.zip(ids.iter().copied()).collect()));
    }

    /// What a call takes of the resources that it takes from. One of which it takes nothing is left
    /// out, unless its real usage is told only afterwards.
    pub(crate) fn costs(&self, request: &Req) -> Result<Vec<Cost>, ScheduleError> {
        let ids = self.ids.get().map_or(&[][..], |ids| &ids.0);
        let mut costs = Vec::with_capacity(ids.len());
        for (resource, (name, id)) in self.resources.iter().zip(ids) {
            let amount = catch_unwind(AssertUnwindSafe(|| resource.cost_of(request)));
            let amount = amount.map_err(|_| ScheduleError::Panicked {
                resource: name.clone(),
            })?;
            let amount = amount.map_err(|reason| ScheduleError::Cost {
                resource: name.clone(),
                reason,
            })?;
            if amount > Amount::ZERO || resource.tells_usage() {
                costs.push(Cost::new(*id, amount));
            }
        }
        Ok(costs)
    }

    /// What a call has really taken, where its answer tells.
    pub(crate) fn usage(&self, request: &Req, answer: &Resp) -> Vec<Cost> {
        self.told(|resource| resource.usage_of(request, answer))
    }

    /// What a failed attempt has really taken, where its error tells.
    pub(crate) fn failed_usage(
        &self,
        request: &Req,
        error: &(dyn Error + Send + Sync + 'static),
    ) -> Vec<Cost> {
        self.told(|resource| resource.failed_usage_of(request, error))
    }

    /// What is told of each resource. A function that panics tells nothing.
    fn told(&self, told: impl Fn(&Resource<Req, Resp>) -> Option<Amount>) -> Vec<Cost> {
        let ids = self.ids.get().map_or(&[][..], |ids| &ids.0);
        let usage = |(resource, (_, id)): (&Resource<Req, Resp>, &(String, ResourceId))| {
            let amount = catch_unwind(AssertUnwindSafe(|| told(resource)));
            amount.ok().flatten().map(|amount| Cost::new(*id, amount))
        };
        self.resources.iter().zip(ids).filter_map(usage).collect()
    }
}
