//! Each kind of limit against its definition, over random requests at random moments.

use crate::brute;
use proptest::prelude::*;
use rate_limited_sim::{Anchor, ApiModel, Arrival, Counted, Limit, Request, SimulatedApi};
use std::time::Duration;

/// A short window makes a few dozen requests meet many boundaries.
const WINDOW: Duration = Duration::from_nanos(100);

fn limits() -> impl Strategy<Value = Limit> {
    (1_u64..20, 1_u64..30, 0_u64..250, 0..5).prop_map(|(quota, burst, moment, kind)| {
        let limit = Limit::tokens(quota, WINDOW);
        match kind {
            0 => limit,
            1 => limit.fixed(Anchor::FirstRequest),
            2 => limit.fixed(Anchor::Aligned),
            3 => limit.fixed(Anchor::At(Duration::from_nanos(moment))),
            _ => limit.bucket(burst),
        }
    })
}

/// Gaps and amounts.
fn requests() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0_u64..60, 0_u64..12), 1..60)
}

fn tokens(amount: u64) -> Request {
    Request {
        bound_tokens: amount,
        ..Request::default()
    }
}

proptest! {
    #[test]
    fn a_request_is_accepted_if_and_only_if_it_fits(limit in limits(), requests in requests()) {
        let mut api = SimulatedApi::new(ApiModel::new(0).limit(limit.clone()));
        let (mut charges, mut now) = (Vec::new(), 0);
        for (gap, amount) in requests {
            now += gap;
            let fits = brute::allows(&limit, &charges, amount, now);
            match api.arrive(now, &tokens(amount)) {
                Arrival::Accepted { .. } => {
                    prop_assert!(fits, "{amount} at {now} after {charges:?}");
                    charges.push((now, amount));
                }
                Arrival::Refused { retry_after, .. } => {
                    prop_assert!(!fits, "{amount} at {now} after {charges:?}");
                    check_retry_after(&limit, &charges, amount, now, retry_after)?;
                }
            }
        }
        prop_assert!(api.stats().limits[0].worst_window <= 1.0);
    }

    #[test]
    fn what_is_told_to_remain_fits_and_no_more(limit in limits(), requests in requests()) {
        let mut api = SimulatedApi::new(ApiModel::new(0).limit(limit.clone()));
        let (mut charges, mut now) = (Vec::new(), 0);
        for (gap, amount) in requests {
            now += gap;
            if let Arrival::Accepted { .. } = api.arrive(now, &tokens(amount)) {
                charges.push((now, amount));
            }
            let view = api.limits_view(now).remove(0);
            prop_assert!(brute::allows(&limit, &charges, view.remaining, now));
            prop_assert!(!brute::allows(&limit, &charges, view.remaining + 1, now));
            let whole = now + u64::try_from(view.reset.as_nanos()).unwrap();
            prop_assert!(brute::allows(&limit, &charges, limit.capacity(), whole));
        }
    }

    #[test]
    fn counted_at_completion_it_refuses_only_when_full(limit in limits(), requests in requests()) {
        let limit = limit.counted(Counted::Completion);
        let mut api = SimulatedApi::new(ApiModel::new(0).limit(limit.clone()));
        let (mut charges, mut now) = (Vec::new(), 0);
        for (gap, amount) in requests {
            now += gap;
            // Less than one unit of room is room too: asked in a unit a million times smaller.
            let open = brute::allows(&finer(&limit), &finer_charges(&charges), 1, now);
            match api.arrive(now, &tokens(amount)) {
                Arrival::Accepted { ticket, .. } => {
                    prop_assert!(open, "{amount} at {now} after {charges:?}");
                    now += 7;
                    api.complete(now, ticket);
                    charges.push((now, amount));
                }
                Arrival::Refused { .. } => prop_assert!(!open, "{amount} at {now} after {charges:?}"),
            }
        }
    }
}

fn check_retry_after(
    limit: &Limit,
    charges: &[(u64, u64)],
    amount: u64,
    now: u64,
    retry_after: Option<Duration>,
) -> Result<(), TestCaseError> {
    let Some(wait) = retry_after else {
        prop_assert!(amount > limit.capacity());
        return Ok(());
    };
    let then = now + u64::try_from(wait.as_nanos()).unwrap();
    prop_assert!(
        brute::allows(limit, charges, amount, then),
        "{amount} at {then} after {charges:?}"
    );
    prop_assert!(
        !brute::allows(limit, charges, amount, then - 1),
        "told {then}, fits before"
    );
    Ok(())
}

const FINER: u64 = 1_000_000;

fn finer(limit: &Limit) -> Limit {
    let finer = Limit::tokens(limit.quota() * FINER, limit.window());
    match limit.kind() {
        rate_limited_sim::Kind::Fixed(anchor) => finer.fixed(anchor),
        rate_limited_sim::Kind::Bucket { burst } => finer.bucket(burst * FINER),
        _ => finer,
    }
}

fn finer_charges(charges: &[(u64, u64)]) -> Vec<(u64, u64)> {
    charges
        .iter()
        .map(|(at, amount)| (*at, amount * FINER))
        .collect()
}
