//! What a run will do, said before it begins.

use crate::args::Concurrency;
use crate::duration::Human;
use crate::meters::{Meters, Work};
use crate::say::say;
use crate::source::Totals;
use crate::text::{counted, grouped};

/// What the opening speaks of.
pub(crate) struct Opening<'a> {
    pub(crate) input: String,
    /// Where the requests go, without secrets.
    pub(crate) api: &'a str,
    pub(crate) totals: Option<Totals>,
    pub(crate) meters: &'a Meters,
    pub(crate) max_concurrent: Concurrency,
}

impl Opening<'_> {
    /// Says it.
    pub(crate) fn say(&self) {
        say(self.work());
        say(self.limits());
    }

    fn work(&self) -> String {
        let Opening {
            input, api, totals, ..
        } = self;
        match totals {
            Some(Totals { requests, tokens }) => format!(
                "{} from {input} to {api}, at most {}",
                counted(*requests, "request", "requests"),
                counted(*tokens, "token", "tokens")
            ),
            None => format!("requests from {input} to {api}"),
        }
    }

    fn limits(&self) -> String {
        let slots = match self.max_concurrent {
            Concurrency::Auto => "in flight: auto".to_owned(),
            Concurrency::Fixed(number) => format!("in flight: {}", grouped(number.into())),
        };
        let limits = self.meters.written();
        if limits.is_empty() {
            return format!("no limits told (--limit, --rpm, --tpm); {slots}");
        }
        match self.time() {
            Some(time) => format!("limits: {limits}; {slots}; {time}"),
            None => format!("limits: {limits}; {slots}"),
        }
    }

    /// How long the limits alone make the run, should all answers be as long as they may be.
    fn time(&self) -> Option<String> {
        let totals = self.totals?;
        let work = Work::new(totals.requests, totals.tokens);
        Some(match self.meters.binding(work) {
            Some((meter, time)) => {
                format!(
                    "by the limits alone about {} ({} bind)",
                    Human(time),
                    meter.name
                )
            }
            None => "all of it fits at once".to_owned(),
        })
    }
}
