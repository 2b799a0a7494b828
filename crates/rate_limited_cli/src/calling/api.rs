//! The API of a run: a real one, or the simulated one inside.

use rate_limited::http::{BuildError, Client, ClientBuilder, Key};

use crate::args::{ApiArgs, RunArgs};
use crate::calling::backend::Backend;
use crate::calling::call::Caller;
use crate::calling::gate::Gate;
use crate::calling::header::{self, Header};
use crate::calling::key::{self, BaseUrl};
use crate::calling::meters::Meters;
use crate::calling::pool::Pool;
use crate::calling::preset::{Preset, Route};
use crate::refusal::Refusal;
#[cfg(feature = "simulate")]
use crate::simulation::{self, Simulation};
use crate::values::limit::Limit;

/// Where requests will go, known before anything is sent.
pub(crate) enum Address {
    Real {
        base_url: BaseUrl,
        key: Option<Key>,
        preset: Option<Preset>,
    },
    /// Several keys of one or more accounts.
    Pool(Pool, Option<Preset>),
    #[cfg(feature = "simulate")]
    Simulated,
}

impl Address {
    /// The address that the command line and the environment name.
    ///
    /// # Errors
    /// No key where one is needed, or one that cannot be used.
    pub(crate) fn of(args: &RunArgs, preset: Option<Preset>) -> Result<Address, Refusal> {
        #[cfg(feature = "simulate")]
        if args.simulate {
            return Ok(Address::Simulated);
        }
        if let Some(preset) = preset {
            header::check(preset.api(), &args.api.headers)?;
        }
        if let Some(path) = &args.api.pool {
            let pool = Pool::load(path, &args.api, preset)?;
            for member in &pool.members {
                let client = client(
                    &member.base_url.value,
                    member.key.clone(),
                    preset,
                    &args.api,
                );
                let client = client.map_err(|error| unusable(error, &member.base_url));
                client.map_err(|error| pool.refusal(member, &error))?;
            }
            return Ok(Address::Pool(pool, preset));
        }
        let base_url = key::base_url(&args.api, preset)?;
        let key = key::key(&args.api, preset, &base_url)?;
        // What is wrong with the URL is told before a long input is looked through.
        let client = client(&base_url.value, key.clone(), preset, &args.api);
        client.map_err(|error| unusable(error, &base_url))?;
        Ok(Address::Real {
            base_url,
            key,
            preset,
        })
    }

    /// What tells the API from others, without secrets. All simulated ones are one.
    pub(crate) fn name(&self) -> String {
        match self {
            // One that holds a name or a password was refused.
            Address::Real { base_url, .. } => base_url.shown().to_owned(),
            Address::Pool(pool, _) => pool.identity(),
            #[cfg(feature = "simulate")]
            Address::Simulated => "the simulated API".to_owned(),
        }
    }

    /// What limits the run, account by account where there is a pool.
    ///
    /// # Errors
    /// The API has no such tier, or does not know what a limit is on.
    pub(crate) fn meters(&self, args: &RunArgs, preset: Option<Preset>) -> Result<Meters, Refusal> {
        let Address::Pool(pool, _) = self else {
            return Meters::new(&self.limits(args.limits.all()?, &args.api)?, preset);
        };
        let mut accounts = Vec::new();
        for (account, told) in &pool.accounts {
            accounts.push((account.clone(), self.limits(told.clone(), &args.api)?));
        }
        let members = pool.members.iter();
        let members = members.map(|member| (member.name.clone(), member.account.clone()));
        Meters::of_pool(&accounts, members.collect(), preset)
    }

    /// The limits of the run, or of an account: those that were told, and of what nobody told those of the API's
    /// description; a simulated API knows its own.
    ///
    /// # Errors
    /// The API has no such tier.
    pub(crate) fn limits(&self, told: Vec<Limit>, args: &ApiArgs) -> Result<Vec<Limit>, Refusal> {
        match self {
            #[cfg(feature = "simulate")]
            Address::Simulated if told.is_empty() => Ok(simulation::limits()),
            Address::Real {
                preset: Some(preset),
                ..
            }
            | Address::Pool(_, Some(preset)) => described(*preset, told, args),
            _ => Ok(told),
        }
    }

    /// Gets ready to send. To be called inside the runtime.
    ///
    /// # Errors
    /// The client cannot be set up, or the simulated API not be started.
    pub(crate) fn connect(
        self,
        args: &ApiArgs,
        route: &Route,
        #[cfg_attr(not(feature = "simulate"), expect(unused_variables))] meters: &Meters,
    ) -> Result<Api, Refusal> {
        let route = route.clone();
        match self {
            Address::Real {
                base_url,
                key,
                preset,
            } => Ok(Api {
                caller: {
                    let client = client(&base_url.value, key, preset, args)?;
                    Caller::new(vec![Backend::new(client, Some(Gate::new()))], route)
                },
                shown: base_url.shown().to_owned(),
                after: Afterword::NONE,
            }),
            Address::Pool(pool, preset) => {
                let shown = pool.shown();
                let mut backends = Vec::new();
                for member in pool.members {
                    let client = client(&member.base_url.value, member.key, preset, args)?;
                    backends.push(Backend {
                        model: member.model,
                        ..Backend::new(client, Some(Gate::new()))
                    });
                }
                Ok(Api {
                    caller: Caller::new(backends, route),
                    shown,
                    after: Afterword::NONE,
                })
            }
            #[cfg(feature = "simulate")]
            Address::Simulated => {
                let simulation = Simulation::start(meters)?;
                let builder = builder(&simulation.base_url(), args).proxy_from_env(false);
                let client = builder.build().map_err(Refusal::Client)?;
                Ok(Api {
                    caller: Caller::new(vec![Backend::new(client, None)], route),
                    shown: "the simulated API".to_owned(),
                    after: Afterword(Some(simulation)),
                })
            }
        }
    }
}

/// The limits of a run that is not begun, and needs no key for that.
///
/// # Errors
/// The API has no such tier.
pub(crate) fn limits(
    preset: Option<Preset>,
    told: Vec<Limit>,
    args: &RunArgs,
) -> Result<Vec<Limit>, Refusal> {
    #[cfg(feature = "simulate")]
    if args.simulate {
        return Address::Simulated.limits(told, &args.api);
    }
    match preset {
        Some(preset) => described(preset, told, &args.api),
        None => Ok(told),
    }
}

/// The limits that were told, and of what nobody told those of the API's description.
fn described(preset: Preset, told: Vec<Limit>, args: &ApiArgs) -> Result<Vec<Limit>, Refusal> {
    let mut limits = preset.limits(args)?;
    // A limit for one model leaves those of the others as they are.
    let replaces = |limit: &Limit, known: &Limit| {
        limit.name == known.name && (limit.key.is_none() || limit.is_beside(known))
    };
    limits.retain(|known| !told.iter().any(|limit| replaces(limit, known)));
    Ok([told, limits].concat())
}

/// An API that can be called.
pub(crate) struct Api {
    pub(crate) caller: Caller,
    /// Where it is, without secrets.
    pub(crate) shown: String,
    pub(crate) after: Afterword,
}

/// What the simulated API says after a run; a real one says nothing.
pub(crate) struct Afterword(#[cfg(feature = "simulate")] Option<Simulation>);

impl Afterword {
    const NONE: Afterword = Afterword(
        #[cfg(feature = "simulate")]
        None,
    );

    /// Says it.
    #[cfg_attr(not(feature = "simulate"), expect(clippy::unused_self))]
    pub(crate) fn say(&self) {
        #[cfg(feature = "simulate")]
        if let Some(simulation) = &self.0 {
            crate::telling::say::tell(simulation.report());
        }
    }
}

fn client(
    base_url: &str,
    key: Option<Key>,
    preset: Option<Preset>,
    args: &ApiArgs,
) -> Result<Client, Refusal> {
    let mut builder = builder(base_url, args);
    if let Some(preset) = preset {
        builder = builder.api(preset.api());
    }
    if let Some(key) = key {
        builder = builder.key(key);
    }
    for Header { name, value } in &args.headers {
        builder = builder.header(name, value);
    }
    builder.build().map_err(Refusal::Client)
}

fn builder(base_url: &str, args: &ApiArgs) -> ClientBuilder {
    let max_answer = usize::try_from(args.max_answer).unwrap_or(usize::MAX);
    let builder = Client::builder(base_url).body_bytes_max(max_answer);
    args.waits.tell(builder)
}

/// Says of a base URL that cannot be used what it is and where it comes from.
fn unusable(error: Refusal, base_url: &BaseUrl) -> Refusal {
    match error {
        Refusal::Client(BuildError::BaseUrl { reason }) => Refusal::BaseUrl {
            shown: base_url.shown().to_owned(),
            source_name: base_url.source,
            reason,
        },
        error => error,
    }
}
