//! What a run will do, said before it begins.

use std::time::Duration;

use crate::args::{Concurrency, OnUnknown};
use crate::calling::meters::Meters;
use crate::calling::shares::Shares;
use crate::calling::work::Work;
use crate::reading::source::Totals;
use crate::recording::census::Surveyed;
use crate::recording::journal::UnknownCalls;
use crate::running::price;
use crate::telling::say::tell;
use crate::values::duration::Human;
use crate::values::text::{counted, grouped};

/// What the opening speaks of.
pub(crate) struct Opening<'a> {
    pub(crate) input: String,
    /// Where the requests go, without secrets.
    pub(crate) api: &'a str,
    pub(crate) totals: Option<Totals>,
    /// What the journal knows of the requests.
    pub(crate) surveyed: Option<&'a Surveyed>,
    pub(crate) on_unknown: OnUnknown,
    pub(crate) meters: &'a Meters,
    /// How the work is spread over models, where they have limits for themselves.
    pub(crate) shares: Option<&'a Shares>,
    pub(crate) max_concurrent: Concurrency,
    /// What the limits make of what is left, after what earlier runs took of them.
    pub(crate) rest: Option<Rest>,
}

/// How long what is left of a run takes by its limits alone.
#[derive(Debug)]
pub(crate) struct Rest {
    pub(crate) time: Duration,
    /// The limit that binds.
    pub(crate) binding: Option<String>,
}

impl Rest {
    fn told(&self) -> String {
        let Some(binding) = &self.binding else {
            return "all that is left fits at once".to_owned();
        };
        let time = Human(self.time);
        format!(
            "by the limits alone about {time} for what is left, after what was taken of them before ({binding} bind)"
        )
    }
}

impl Opening<'_> {
    /// Says it.
    pub(crate) fn say(&self) {
        tell(self.work());
        if !self.is_over() {
            tell(self.limits());
            self.cost().iter().for_each(tell);
        }
        self.unknown().iter().for_each(tell);
    }

    /// Whether earlier runs have left nothing to be sent.
    fn is_over(&self) -> bool {
        let before = self.surveyed.map_or(0, |it| it.before.total());
        before > 0 && self.totals.is_some_and(|totals| totals.requests == 0)
    }

    /// The calls that were in flight when an earlier run died.
    fn unknown(&self) -> Option<String> {
        let surveyed = self.surveyed?;
        told_of_unknown(&surveyed.unknown, self.on_unknown)
    }

    fn work(&self) -> String {
        let Opening {
            input, api, totals, ..
        } = self;
        let before = self.surveyed.map_or(0, |it| it.before.total());
        match totals {
            Some(_) if self.is_over() => format!(
                "{} from {input} to {api}: nothing is left to be sent",
                counted(before, "request", "requests")
            ),
            Some(Totals {
                requests, tokens, ..
            }) if before > 0 => format!(
                "{} from {input} to {api}: {} done before, {} to be sent{}",
                counted(before + requests, "request", "requests"),
                grouped(before),
                grouped(*requests),
                at_most(*tokens)
            ),
            Some(Totals {
                requests, tokens, ..
            }) => format!(
                "{} from {input} to {api}{}",
                counted(*requests, "request", "requests"),
                at_most(*tokens)
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
        let each = self.each();
        if limits.is_empty() {
            return format!(
                "no limits told (--limit, --rpm, --tpm): they are found out{each}; {slots}"
            );
        }
        let found_out = match self.meters.found_out() {
            accounts if accounts.is_empty() => String::new(),
            accounts => format!(", those of {} are found out", accounts.join(", ")),
        };
        match self.time() {
            Some(time) => format!("limits: {limits}{each}{found_out}; {slots}; {time}"),
            None => format!("limits: {limits}{each}{found_out}; {slots}"),
        }
    }

    /// Who has the limits for himself, where there are several.
    fn each(&self) -> String {
        let parts = self.meters.parts().find(|parts| parts.are_there());
        match (self.shares, parts) {
            (Some(shares), Some(parts)) if shares.count() > 1 => {
                format!(
                    " for each of {} {}",
                    grouped(shares.count() as u64),
                    parts.word()
                )
            }
            _ => String::new(),
        }
    }

    /// What the run may cost.
    fn cost(&self) -> Option<String> {
        let most = price::shown(self.meters.bill()?.most);
        Some(match self.totals {
            Some(totals) => format!(
                "cost: at most {most}; all that is to be sent may cost {} if every answer is as long as it may be",
                price::shown(totals.cost)
            ),
            None => format!("cost: at most {most}"),
        })
    }

    /// How long the limits alone make the run, should all answers be as long as they may be.
    fn time(&self) -> Option<String> {
        if let Some(rest) = &self.rest {
            return Some(rest.told());
        }
        let totals = self.totals?;
        let work = Work::new(totals.requests, totals.tokens);
        let binding = match self.shares {
            Some(shares) => self.meters.binding_of(shares),
            None => self.meters.binding(work),
        };
        Some(match binding {
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

/// The tokens of a run; nothing where calls have none.
fn at_most(tokens: u64) -> String {
    match tokens {
        0 => String::new(),
        tokens => format!(", at most {}", counted(tokens, "token", "tokens")),
    }
}

/// What is said of calls that were in flight when an earlier run died; `None` if there are none.
pub(crate) fn told_of_unknown(unknown: &UnknownCalls, on_unknown: OnUnknown) -> Option<String> {
    if unknown.total == 0 {
        return None;
    }
    let what = match on_unknown {
        OnUnknown::Skip => "left alone",
        _ => "sent again",
    };
    let (calls, are) = if unknown.total == 1 {
        ("call was", "is")
    } else {
        ("calls were", "are")
    };
    Some(format!(
        "{} {calls} in flight when an earlier run died, may have been answered, and {are} {what}: {}",
        grouped(unknown.total),
        unknown.names()
    ))
}
