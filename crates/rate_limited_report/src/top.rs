//! The few calls that stand out.

use serde::{Deserialize, Serialize};

use crate::report::Named;
use crate::words;

/// How many are kept.
const KEPT: usize = 10;

/// The calls with the largest values, the largest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Top(Vec<(u64, Named)>);

impl Top {
    pub(crate) fn add(&mut self, value: u64, call: &crate::Call<'_>) {
        let place = self.0.partition_point(|(other, _)| *other >= value);
        if place >= KEPT {
            return;
        }
        let call = Named {
            call: words::name(call.name, words::NAME_CHARS_MAX),
            attempts: call.attempts,
            took_ms: words::short(call.took.as_secs_f64() * 1e3),
            code: call.code.map(words::code),
        };
        self.0.insert(place, (value, call));
        self.0.truncate(KEPT);
    }

    /// Whether a call with this value would be among them.
    pub(crate) fn takes(&self, value: u64) -> bool {
        self.0.len() < KEPT || self.0.last().is_some_and(|(least, _)| *least < value)
    }

    pub(crate) fn calls_mut(&mut self) -> impl Iterator<Item = &mut Named> {
        self.0.iter_mut().map(|(_, call)| call)
    }

    pub(crate) fn told(&self) -> Vec<Named> {
        self.0.iter().map(|(_, call)| call.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{KEPT, Top};
    use crate::Call;

    #[test]
    fn the_largest_stay_and_the_earlier_of_equals() {
        let mut top = Top::default();
        for value in [3_u64, 9, 1, 9, 4].into_iter().cycle().take(40) {
            let name = format!("{value}\u{7}{}", "x".repeat(200));
            let took = Duration::from_millis(value);
            top.add(
                value,
                &Call {
                    name: &name,
                    attempts: 1,
                    took,
                    code: None,
                },
            );
        }
        let told = top.told();
        assert_eq!(told.len(), KEPT);
        assert!(
            told.iter()
                .all(|call| call.call.starts_with('9') && call.call.chars().count() <= 80)
        );
        assert!(told.iter().all(|call| !call.call.contains('\u{7}')));
    }
}
