//! The limits that a plan is made with: what was told, and the same with one of them changed.

use rate_limited::PlannedResource;

use crate::args::RunArgs;
use crate::calling::api;
use crate::calling::key;
use crate::calling::meter::Meter;
use crate::calling::meters::{Meters, adopted};
use crate::calling::pool::Outline;
use crate::calling::preset::Preset;
use crate::refusal::Refusal;
use crate::running::bill::Bill;
use crate::values::limit::Limit;

/// Limits that were told: of one key, or account by account.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    told: Told,
    preset: Option<Preset>,
}

#[derive(Clone, Debug)]
enum Told {
    Alone(Vec<Limit>),
    Pool(Outline),
}

impl Limits {
    /// Those that the command line tells, or its pool, and the API. No key is needed for that.
    ///
    /// # Errors
    /// A pool that is none; a tier that the API has not.
    pub(crate) fn told(args: &RunArgs, preset: Option<Preset>) -> Result<Limits, Refusal> {
        let Some(path) = &args.api.pool else {
            let limits = api::limits(preset, args.limits.all()?, args)?;
            let told = Told::Alone(limits);
            return Ok(Limits { told, preset });
        };
        let mut outline = Outline::load(path)?;
        for (_, limits) in &mut outline.accounts {
            *limits = api::limits(preset, std::mem::take(limits), args)?;
        }
        let told = Told::Pool(outline);
        Ok(Limits { told, preset })
    }

    /// What tells the API from others, as [`Address::name`](api::Address::name) has it.
    ///
    /// # Errors
    /// It is not known where it is.
    pub(crate) fn api(&self, args: &RunArgs) -> Result<String, Refusal> {
        #[cfg(feature = "simulate")]
        if args.simulate {
            return Ok(api::Address::Simulated.name());
        }
        match &self.told {
            Told::Alone(_) => {
                let base_url = key::base_url(&args.api, self.preset)?;
                Ok(base_url.shown().to_owned())
            }
            Told::Pool(outline) => outline.identity(&args.api, self.preset),
        }
    }

    /// Their meters, as a run has them.
    ///
    /// # Errors
    /// A limit on what is not metered.
    pub(crate) fn meters(&self, bill: Option<Bill>) -> Result<Meters, Refusal> {
        let meters = match &self.told {
            Told::Alone(limits) => Meters::new(limits, self.preset)?,
            Told::Pool(Outline {
                accounts, members, ..
            }) => Meters::of_pool(accounts, members.clone(), self.preset)?,
        };
        Ok(meters.with_bill(bill))
    }

    /// The same with twice the limit that a resource of a plan has; and that one as it then is.
    pub(crate) fn doubled(&self, planned: &PlannedResource) -> Option<(Limits, String)> {
        let meters = self.meters(None).ok()?;
        let binding = meters.limit_of_planned(planned)?;
        let whole = planned.part_of.unwrap_or(planned.resource);
        let account = meters.get(whole.index()).and_then(Meter::account);
        let mut more = self.clone();
        let (limits, whose) = match (&mut more.told, account) {
            (Told::Alone(limits), _) => (limits, String::new()),
            (Told::Pool(outline), Some(account)) => {
                let mut accounts = outline.accounts.iter_mut();
                let (_, limits) = accounts.find(|(name, _)| name == account)?;
                (limits, format!(" of {account}"))
            }
            (Told::Pool(_), None) => return None,
        };
        let is_it = |limit: &&mut Limit| adopted(limit, self.preset) == *binding;
        let limit = limits.iter_mut().find(is_it)?;
        limit.quota_micros = limit.quota_micros.checked_mul(2)?;
        let shown = format!("{limit}{whose}");
        Some((more, shown))
    }
}
