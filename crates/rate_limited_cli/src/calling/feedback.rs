//! What answers tell of the resources of the run.

use std::error::Error;

use rate_limited::http::Answer;
use rate_limited::{Feedback, ResourceId, Resources};

use crate::calling::call::{CallError, Reply};
use crate::calling::meters::Meters;

impl Meters {
    /// What an answer tells, good or not, by the resources of the run.
    pub(crate) fn feedback(
        &self,
        end: Result<&Reply, &(dyn Error + Send + Sync + 'static)>,
        resources: &Resources,
    ) -> Vec<(ResourceId, Feedback)> {
        let readings = answer_to(end)
            .map(|answer| &*answer.readings)
            .unwrap_or_default();
        let told = readings.iter().filter_map(|reading| {
            Some((self.of_api(reading.resource, resources)?, reading.told()))
        });
        told.collect()
    }
}

/// The answer, good or not, if there is one.
pub(crate) fn answer_to<'a>(
    end: Result<&'a Reply, &'a (dyn Error + Send + Sync + 'static)>,
) -> Option<&'a Answer> {
    match end {
        Ok(reply) => Some(&reply.answer),
        Err(error) => error.downcast_ref::<CallError>()?.http()?.answer(),
    }
}
