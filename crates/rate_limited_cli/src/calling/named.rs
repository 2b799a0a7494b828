//! Parts of a resource that only the answers of the API name.

use std::borrow::Cow;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rate_limited::Resource;
use rate_limited_apis::{self as apis, NamedParts};

use crate::calling::call::Reply;
use crate::calling::feedback::answer_to;
use crate::running::job::Job;

/// What the answers of a run have named so far, of one resource.
#[derive(Debug)]
pub(crate) struct Named {
    spec: &'static apis::Resource,
    parts: Mutex<NamedParts>,
}

impl Named {
    pub(crate) fn new(spec: &'static apis::Resource) -> Named {
        Named {
            spec,
            parts: Mutex::default(),
        }
    }

    /// The same resource, with parts as they become known.
    pub(crate) fn of(
        self: &Arc<Self>,
        resource: Resource<Arc<Job>, Reply>,
    ) -> Resource<Arc<Job>, Reply> {
        let (named, heard) = (Arc::clone(self), Arc::clone(self));
        resource
            .partition(move |job: &Arc<Job>| named.part(job))
            .named_by_answers(move |job, end| heard.hears(job, end))
    }

    /// The part that a job takes from; empty: nothing is known of calls like it.
    fn part(&self, job: &Job) -> Cow<'static, str> {
        let parts = self.lock();
        let part = job.likeness().and_then(|like| parts.part(like));
        part.map(str::to_owned).unwrap_or_default().into()
    }

    /// Whether an answer shows that calls may take from other parts than it seemed.
    fn hears(&self, job: &Job, end: Result<&Reply, &(dyn Error + Send + Sync + 'static)>) -> bool {
        let readings = answer_to(end).map(|answer| &*answer.readings);
        let mut readings = readings.unwrap_or_default().iter();
        let ours = readings.find(|reading| reading.resource == self.spec.name);
        let named = ours.and_then(|reading| reading.key.as_deref());
        let named = job.likeness().zip(named);
        named.is_some_and(|(like, name)| self.lock().learn(like, name))
    }

    fn lock(&self) -> MutexGuard<'_, NamedParts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
