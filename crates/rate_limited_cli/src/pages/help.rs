//! What stands below the options in the help: what to type first, how values are written, exit codes.

use crate::exit;

/// What to type first, of all commands.
pub(crate) const FIRST_STEPS: &str = "\
First steps:
  rate-limited apis
      the APIs that are known; an OpenAI-compatible one needs no name
  rate-limited plan in.jsonl --rpm 500 --tpm 90k
      how long it will take, and why; nothing is sent
  rate-limited run in.jsonl -o out.jsonl --rpm 500 --tpm 90k
      runs it; the same again goes on after Ctrl-C or a crash
  rate-limited run --help
      all options, examples, exit codes";

/// What to type first, of `run`.
pub(crate) const EXAMPLES: &str = "\
Examples:
  echo '{\"x\": \"owls\"}' | rate-limited run - --simulate --prompt 'On {{x}}'
      a try-out: no key, no network, no costs
  rate-limited run in.jsonl -o out.jsonl --rpm 500 --tpm 90k
      a file of requests, within the limits of an account
  rate-limited run in.csv -o out.csv --prompt 'Shorten: {{text}}' --model NAME
      a request for each row of a table
  rate-limited run in.jsonl -o out.jsonl --api anthropic --tier start
      another API, with the limits of a plan";

/// What to type first, of `plan`.
pub(crate) const AS_RUN: &str = "\
Example:
  rate-limited plan in.jsonl --rpm 500 --tpm 90k --answer-tokens 200";

/// How what options take is written.
const VALUES: &str = "\
Values:
  DURATION  250ms, 30s, 5m, 6h, 2d, 1h30m
  QUOTA     500, 90k (thousands), 3M (millions)
  WINDOW    a DURATION, or a unit: 500/minute, 10k/day; day@UTC as the clock
  SIZE      512KiB, 64MiB, 1GiB";

/// Below the long help of all commands.
pub(crate) fn of_all() -> String {
    [FIRST_STEPS, exit::HELP].join("\n\n")
}

/// Below the long help of `run`.
pub(crate) fn of_run() -> String {
    [EXAMPLES, VALUES, exit::HELP].join("\n\n")
}

/// Below the long help of `plan`, before its exit codes.
pub(crate) fn of_plan(exit_codes: &str) -> String {
    [AS_RUN, VALUES, exit_codes].join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::{AS_RUN, EXAMPLES, FIRST_STEPS, VALUES};
    use crate::exit;
    use crate::values::{duration, limit::Limit, size};

    #[test]
    fn values_are_read_as_they_are_told() {
        let told = |name: &str| {
            let line = VALUES
                .lines()
                .find_map(|line| line.trim().strip_prefix(name));
            let words = line.expect("told").split([',', ' ', ';']);
            words.filter(|word| word.starts_with(|first: char| first.is_ascii_digit()))
        };
        assert_eq!(
            told("DURATION")
                .filter(|it| duration::parse(it).is_ok())
                .count(),
            6
        );
        assert_eq!(told("SIZE").filter(|it| size::parse(it).is_ok()).count(), 3);
        let read = |limit: String| limit.parse::<Limit>().is_ok();
        assert_eq!(
            told("QUOTA")
                .filter(|it| read(format!("x={it}/1m")))
                .count(),
            3
        );
        assert_eq!(
            told("WINDOW").filter(|it| read(format!("x={it}"))).count(),
            2
        );
        assert!(read("x=1/day@UTC".to_owned()));
    }

    /// What is copied must not be broken.
    #[test]
    fn commands_fit_into_80_columns() {
        for line in [FIRST_STEPS, EXAMPLES, AS_RUN, VALUES, exit::HELP]
            .iter()
            .flat_map(|it| it.lines())
        {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
