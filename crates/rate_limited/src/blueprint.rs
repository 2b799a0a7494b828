//! What a runner was told: the function, the resources and the rules.

use crate::error::ScheduleError;
use crate::resource::Resource;
use crate::result::SharedError;
use rate_limited_core::{Amount, Class, Cost, Feedback, Limiter, ResourceId};
use std::borrow::Cow;
use std::error::Error;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::OnceLock;

pub(crate) type Answering<Resp> = Pin<Box<dyn Future<Output = Result<Resp, SharedError>> + Send>>;
/// It is told which member of the pool the attempt takes, by its place; 0 without a pool.
type Function<Req, Resp> = Box<dyn Fn(usize, Req) -> Answering<Resp> + Send + Sync>;
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
    /// The members of the pool; none without one.
    pub(crate) members: Vec<Seat>,
    /// The ids of the resources, once the limiter knows them.
    bound: OnceLock<Bound>,
}

/// A member of a pool, apart from what its user gave it to send with.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) name: String,
    pub(crate) account: String,
}

/// Whose parts a call takes of resources, by the places of their costs.
pub(crate) struct Keys<'a>(Vec<(usize, Cow<'a, str>)>);

impl Keys<'_> {
    /// Takes the costs of the parts that the limiter has for the keys.
    pub(crate) fn choose(&self, limiter: &mut Limiter, costs: &mut [Cost]) {
        for (place, key) in &self.0 {
            let cost = &mut costs[*place];
            cost.resource = limiter.partition(cost.resource, key);
        }
    }
}

struct Bound {
    /// Of each resource, in their order.
    ids: Vec<ResourceId>,
    /// By name, for each member; without a pool there is one.
    by_member: Vec<Resources>,
}

impl<Req, Resp> Blueprint<Req, Resp> {
    pub(crate) fn new(function: Function<Req, Resp>) -> Blueprint<Req, Resp> {
        Blueprint {
            function,
            resources: Vec::new(),
            validators: Vec::new(),
            classify: Box::new(|_, _| Class::Failure),
            feedback: None,
            members: Vec::new(),
            bound: OnceLock::new(),
        }
    }

    pub(crate) fn call(&self, member: usize, request: Req) -> Answering<Resp> {
        (self.function)(member, request)
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
        member: usize,
        end: Result<&Resp, &(dyn Error + Send + Sync + 'static)>,
    ) -> Vec<(ResourceId, Feedback)> {
        let (Some(read), Some(ids)) = (&self.feedback, self.known_to(member)) else {
            return Vec::new();
        };
        catch_unwind(AssertUnwindSafe(|| read(end, ids))).unwrap_or_default()
    }

    pub(crate) fn class_of(
        &self,
        member: usize,
        error: &(dyn Error + Send + Sync + 'static),
    ) -> Class {
        static NONE: Resources = Resources(Vec::new());
        (self.classify)(error, self.known_to(member).unwrap_or(&NONE))
    }

    /// The resources that a member takes from.
    fn known_to(&self, member: usize) -> Option<&Resources> {
        self.bound.get()?.by_member.get(member)
    }

    /// Notes the ids that the limiter gave to the resources, in their order.
    pub(crate) fn name_ids(&self, ids: Vec<ResourceId>) {
        let takes = |account: Option<&str>| {
            let resources = self.resources.iter().zip(&ids);
            let taken =
                resources.filter(|(it, _)| it.account().is_none() || it.account() == account);
            Resources(
                taken
                    .map(|(resource, id)| (resource.name().to_owned(), *id))
                    .collect(),
            )
        };
        let mut by_member: Vec<_> = self
            .members
            .iter()
            .map(|member| takes(Some(&member.account)))
            .collect();
        if by_member.is_empty() {
            by_member.push(takes(None));
        }
        // A blueprint is built into one engine only.
        let _ = self.bound.set(Bound { ids, by_member });
    }

    /// Puts what a call takes of the resources that it takes from into `costs`, and says of whose parts. One of which
    /// it takes nothing is left out, unless its real usage is told only afterwards.
    pub(crate) fn costs<'a>(
        &self,
        request: &'a Req,
        costs: &mut Vec<Cost>,
    ) -> Result<Keys<'a>, ScheduleError> {
        let ids = self.bound.get().map_or(&[][..], |bound| &bound.ids);
        costs.clear();
        let mut keys = Vec::new();
        for (resource, id) in self.resources.iter().zip(ids) {
            let amount = catch_unwind(AssertUnwindSafe(|| resource.cost_of(request)));
            let amount = amount.map_err(|_| ScheduleError::Panicked {
                resource: resource.name().to_owned(),
            })?;
            let amount = amount.map_err(|reason| ScheduleError::Cost {
                resource: resource.name().to_owned(),
                reason,
            })?;
            if amount > Amount::ZERO || resource.tells_usage() {
                let key = catch_unwind(AssertUnwindSafe(|| resource.key_of(request)));
                let key = key.map_err(|_| ScheduleError::Panicked {
                    resource: resource.name().to_owned(),
                })?;
                keys.extend(key.map(|key| (costs.len(), key)));
                costs.push(Cost::new(*id, amount));
            }
        }
        Ok(Keys(keys))
    }

    /// Whether an answer shows that calls may take from other parts of resources than it seemed. A function that panics
    /// shows nothing.
    pub(crate) fn hears_parts(
        &self,
        request: &Req,
        end: Result<&Resp, &(dyn Error + Send + Sync + 'static)>,
    ) -> bool {
        let hears = |resource: &Resource<Req, Resp>| {
            let heard = catch_unwind(AssertUnwindSafe(|| resource.hears_parts(request, end)));
            heard.unwrap_or_default()
        };
        let named = self.resources.iter().filter(|it| it.names_parts());
        // Each of them hears it.
        named.map(hears).fold(false, |any, heard| any | heard)
    }

    /// Of the resources whose parts answers name, those that a call takes from as far as it is known; empty: the
    /// resource itself.
    pub(crate) fn named_parts<'a>(
        &'a self,
        request: &'a Req,
    ) -> impl Iterator<Item = (ResourceId, Cow<'a, str>)> {
        let ids = self.bound.get().map_or(&[][..], |bound| &bound.ids);
        let named = self.resources.iter().zip(ids);
        let named = named.filter(|(resource, _)| resource.names_parts());
        named.filter_map(|(resource, id)| {
            let key = catch_unwind(AssertUnwindSafe(|| resource.key_of(request)));
            Some((*id, key.ok()?.unwrap_or_default()))
        })
    }

    /// What a call has really taken, where its answer tells.
    pub(crate) fn usage(&self, member: usize, request: &Req, answer: &Resp) -> Vec<Cost> {
        self.told(member, |resource| resource.usage_of(request, answer))
    }

    /// What a failed attempt has really taken, where its error tells.
    pub(crate) fn failed_usage(
        &self,
        member: usize,
        request: &Req,
        error: &(dyn Error + Send + Sync + 'static),
    ) -> Vec<Cost> {
        self.told(member, |resource| resource.failed_usage_of(request, error))
    }

    /// What is told of each resource of a member. A function that panics tells nothing.
    fn told(
        &self,
        member: usize,
        told: impl Fn(&Resource<Req, Resp>) -> Option<Amount>,
    ) -> Vec<Cost> {
        if !self.resources.iter().any(Resource::tells_anything) {
            return Vec::new();
        }
        let ids = self.bound.get().map_or(&[][..], |bound| &bound.ids);
        let account = self.members.get(member).map(|member| &*member.account);
        let usage = |(resource, id): (&Resource<Req, Resp>, &ResourceId)| {
            if resource.account().is_some() && resource.account() != account {
                return None;
            }
            let amount = catch_unwind(AssertUnwindSafe(|| told(resource)));
            amount.ok().flatten().map(|amount| Cost::new(*id, amount))
        };
        self.resources.iter().zip(ids).filter_map(usage).collect()
    }
}
