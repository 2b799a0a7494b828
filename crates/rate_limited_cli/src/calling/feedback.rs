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
        let answer = match end {
            Ok(reply) => Some(&reply.answer),
            Err(error) => answer_of(error),
        };
        let readings = answer.map(|answer| &*answer.readings).unwrap_or_default();
        let told = readings.iter().filter_map(|reading| {
            Some((self.of_api(reading.resource, resources)?, reading.told()))
        });
        told.collect()
    }
}

fn answer_of<'a>(error: &'a (dyn Error + Send + Sync + 'static)) -> Option<&'a Answer> {
    error.downcast_ref::<CallError>()?.http()?.answer()
}
