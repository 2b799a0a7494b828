//! Requests that no limit lets pass, found before anything is sent.

use std::fmt;

use crate::calling::meters::Meters;
use crate::values::limit::Limit;
use crate::values::text::{counted, grouped};

/// The line numbers that a message shows.
const LINES_SHOWN: usize = 5;

/// Requests that may take more tokens than a limit ever has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge {
    limit: Limit,
    /// How many there are.
    pub(crate) requests: u64,
    /// What the smallest of them may take.
    least: u64,
    lines: Vec<u64>,
}

impl TooLarge {
    /// None so far; `None` where no limit is on tokens.
    pub(crate) fn under(meters: &Meters) -> Option<TooLarge> {
        let limit = meters.fewest_tokens()?.limit.clone();
        Some(TooLarge {
            limit,
            requests: 0,
            least: u64::MAX,
            lines: Vec::new(),
        })
    }

    /// Looks at the request of a line.
    pub(crate) fn look(&mut self, line: u64, tokens: u64) {
        let micros = u128::from(self.limit.quota_micros.unsigned_abs());
        if u128::from(tokens) * 1_000_000 <= micros {
            return;
        }
        self.requests += 1;
        self.least = self.least.min(tokens);
        if self.lines.len() < LINES_SHOWN {
            self.lines.push(line);
        }
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.lines.iter().map(|line| grouped(*line)).collect();
        let more = if self.requests > lines.len() as u64 {
            ", …"
        } else {
            ""
        };
        write!(
            f,
            "{} above the limit {} and can never be sent (line {}{more}); the smallest may take {} tokens",
            counted(self.requests, "request is", "requests are"),
            self.limit,
            lines.join(", "),
            grouped(self.least)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::TooLarge;
    use crate::calling::meters::Meters;

    #[test]
    fn the_first_lines_are_named() {
        let limit = "tokens=10/1s".parse().expect("a limit");
        let meters = Meters::new(&[limit], None).expect("known");
        let mut found = TooLarge::under(&meters).expect("tokens");
        for (line, tokens) in [
            (1, 10),
            (2, 12),
            (3, 11),
            (4, 13),
            (5, 99),
            (6, 99),
            (7, 99),
        ] {
            found.look(line, tokens);
        }
        assert_eq!(
            found.to_string(),
            "6 requests are above the limit tokens=10/1s and can never be sent (line 2, 3, 4, 5, 6, …); \
             the smallest may take 11 tokens"
        );
    }
}
