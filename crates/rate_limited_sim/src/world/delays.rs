//! The times that pass outside of the API, drawn from the seed.

use crate::draw::{About, Draw};
use crate::model::ApiModel;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(super) struct Delays {
    seed: u64,
    /// The longest time from the dispatch until the request leaves.
    pub(super) leaving: Duration,
    /// The longest time on the way, there or back.
    pub(super) way: Duration,
    /// The time that a refusal takes.
    pub(super) refusal: Duration,
}

impl Delays {
    pub(super) fn new(model: &ApiModel) -> Delays {
        let shortest = model.limits.iter().map(|limit| limit.window / 500).min();
        let longest = Duration::from_millis(20);
        Delays {
            seed: model.seed,
            leaving: Duration::ZERO,
            way: shortest.map_or(longest, |way| way.min(longest)),
            refusal: Duration::from_millis(5),
        }
    }

    pub(super) fn leaving(&self, call: u64, number: u32) -> Duration {
        self.draw(call, number, About::Leaving, self.leaving)
    }

    pub(super) fn way_there(&self, call: u64, number: u32) -> Duration {
        self.draw(call, number, About::WayThere, self.way)
    }

    pub(super) fn way_back(&self, call: u64, number: u32) -> Duration {
        self.draw(call, number, About::WayBack, self.way)
    }

    fn draw(&self, call: u64, number: u32, about: About, longest: Duration) -> Duration {
        longest.mul_f64(Draw::new(self.seed, call, number, about).unit())
    }
}
