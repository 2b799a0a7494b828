//! Who has a limit for himself: each model, or whatever the description of the API says.

use std::borrow::Cow;
use std::sync::Arc;

use rate_limited::{Quota, Resource};
use rate_limited_apis as apis;

use crate::calling::call::Reply;
use crate::calling::named::Named;
use crate::running::job::Job;
use crate::values::limit::Limit;

/// What a request is expected to take of a resource of the API.
pub(crate) type Cost = apis::Cost<'static>;

/// The parts of a resource: of each of them a run keeps books of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    by: By,
    /// The limits that were told for single keys, of those that fit one key the first first.
    told: Vec<Limit>,
}

/// What tells parts apart.
#[derive(Clone, Debug, Default)]
enum By {
    /// There is one limit for all.
    #[default]
    Nothing,
    /// The model of the request's body.
    Model,
    /// What the description of the API says of the resource.
    Described(&'static apis::Resource),
    /// What the answers name.
    Named(Arc<Named>),
}

impl Parts {
    /// The parts of a resource, with the limits that were told for single ones.
    pub(crate) fn new(spec: Option<&'static apis::Resource>, mut told: Vec<Limit>) -> Parts {
        // A name stands before a pattern, and a long pattern before a short one.
        told.sort_by_key(|limit| {
            let key = limit.key.as_deref().unwrap_or_default();
            (key.contains('*'), std::cmp::Reverse(key.len()))
        });
        let by = match spec {
            Some(spec) if spec.has_parts() => By::Described(spec),
            Some(spec) if spec.names_parts() => By::Named(Arc::new(Named::new(spec))),
            None if !told.is_empty() => By::Model,
            _ => By::Nothing,
        };
        Parts { by, told }
    }

    /// Whether there are any.
    pub(crate) fn are_there(&self) -> bool {
        !matches!(self.by, By::Nothing)
    }

    /// The limits that were told for single ones.
    pub(crate) fn told(&self) -> &[Limit] {
        &self.told
    }

    /// The limit that was told for a key.
    pub(crate) fn limit_of(&self, key: &str) -> Option<&Limit> {
        self.told.iter().find(|limit| limit.is_for(key))
    }

    /// The part that a request takes from, of this model and with these costs; empty: of none, or of one that only its
    /// answer names.
    pub(crate) fn key<'a>(&self, model: Option<&'a str>, costs: &'a [Cost]) -> &'a str {
        let described = |spec: &apis::Resource| {
            let cost = costs.iter().find(|cost| cost.resource == spec.name);
            cost.and_then(|cost| cost.key.as_deref())
        };
        let key = match &self.by {
            By::Nothing | By::Named(_) => None,
            By::Model => model,
            By::Described(spec) => described(spec),
        };
        key.unwrap_or_default()
    }

    /// What the parts are, of so many: `models`.
    pub(crate) fn word(&self) -> &'static str {
        match &self.by {
            By::Named(_) => "kinds of calls",
            By::Described(spec) if !spec.key.contains(&apis::Key::Model) => "kinds of calls",
            _ => "models",
        }
    }

    /// The same resource with its parts.
    pub(crate) fn of(
        &self,
        resource: Resource<Arc<Job>, Reply>,
        quota: impl Fn(&Limit) -> Quota,
    ) -> Resource<Arc<Job>, Reply> {
        if !self.are_there() {
            return resource;
        }
        let resource = if let By::Named(named) = &self.by {
            named.of(resource)
        } else {
            let parts = self.clone();
            resource.partition(move |job: &Arc<Job>| Cow::Borrowed(job.key(&parts)))
        };
        self.told.iter().fold(resource, |resource, limit| {
            resource.quota_for(limit.key.clone().unwrap_or_default(), quota(limit))
        })
    }
}
