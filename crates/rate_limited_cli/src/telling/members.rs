//! What people are told of the members of a pool: by name, never by key.

use rate_limited::{MemberState, View};

use crate::running::state::State;
use crate::values::text::counted;

/// The members that are known to be dropped: each is told once.
#[derive(Debug, Default)]
pub(crate) struct Dropped(Vec<usize>);

impl Dropped {
    /// What is to be said of members that were dropped since the last look.
    pub(crate) fn news(&mut self, state: &State, view: &View) -> Vec<String> {
        let mut news = Vec::new();
        for (place, member) in view.members.iter().enumerate() {
            if member.dropped && !self.0.contains(&place) {
                self.0.push(place);
                let why = reason(state, place, member);
                news.push(format!(
                    "member {} is dropped: {why}; its calls go to others",
                    member.name
                ));
            }
        }
        news
    }
}

/// How each member did, at the end of a run.
pub(crate) fn told(state: &State) -> Vec<String> {
    let members = state.view().members;
    let told = |(place, member): (usize, &MemberState)| {
        let account = if member.account == member.name {
            String::new()
        } else {
            format!(" of {}", member.account)
        };
        let attempts = counted(member.attempts, "attempt", "attempts");
        let end = if member.dropped {
            format!(", dropped: {}", reason(state, place, member))
        } else {
            String::new()
        };
        format!("member {}{account}: {attempts}{end}", member.name)
    };
    members.iter().enumerate().map(told).collect()
}

fn reason(state: &State, place: usize, member: &MemberState) -> String {
    let first = state.caller.fatal(place).map(str::to_owned);
    let told = || member.error.as_ref().map(ToString::to_string);
    first.or_else(told).unwrap_or_default()
}
