//! What answers tell of the resources of the run.

use std::error::Error;

use rate_limited::http::{Answer, Means, Reading};
use rate_limited::{Amount, Feedback, Reset, ResourceId, Resources};

use crate::call::{CallError, Reply};
use crate::meters::Meters;

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
            Some((self.of_api(reading.resource, resources)?, feedback(reading)))
        });
        told.collect()
    }
}

fn feedback(reading: &Reading<'_>) -> Feedback {
    Feedback {
        limit: reading.limit,
        // Served although it lies above the limit: what remains says nothing.
        remaining: reading.remaining.filter(|_| !reading.over_limit),
        rounded_to: reading.rounded_to.unwrap_or(Amount::ZERO),
        reset: reading.reset.map(|reset| match reset.means {
            Some(Means::Full) => Reset::Full(reset.after),
            Some(Means::WindowEnd) => Reset::WindowEnd(reset.after),
            _ => Reset::Some(reset.after),
        }),
        window: reading.window,
    }
}

fn answer_of<'a>(error: &'a (dyn Error + Send + Sync + 'static)) -> Option<&'a Answer> {
    error.downcast_ref::<CallError>()?.http()?.answer()
}
