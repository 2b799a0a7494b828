//! Pools: several keys of several accounts behind one list of calls.

use crate::blueprint::Seat;
use crate::error::ConfigError;
use crate::resource::Resource;

/// The most members of a pool.
const MEMBERS_MAX: usize = 255;

/// A member of a [pool](crate::Runner::pool): what its attempts are made with, such as a client with a key, and the
/// account whose limits hold for it.
///
/// ```
/// use rate_limited::{Member, Resource};
///
/// # struct Client;
/// # impl Client { fn with_key_of(_: &str) -> Client { Client } }
/// let first: Member<Client, String, String> = Member::new("first", Client::with_key_of("FIRST_KEY"))
///     .account("team")
///     .resource(Resource::per_minute("requests", 500));
/// let second: Member<Client, String, String> =
///     Member::new("second", Client::with_key_of("SECOND_KEY")).account("team");
/// # drop((first, second));
/// ```
pub struct Member<M, Req, Resp> {
    name: String,
    account: Option<String>,
    with: M,
    resources: Vec<Resource<Req, Resp>>,
}

impl<M, Req, Resp> std::fmt::Debug for Member<M, Req, Resp> {
    /// Without what it sends with, which may be a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member")
            .field("name", &self.name)
            .field("account", &self.account)
            .field("resources", &self.resources)
            .finish_non_exhaustive()
    }
}

impl<M, Req, Resp> Member<M, Req, Resp> {
    /// A member whose attempts are made `with` this, without limits. Its name is shown, and never what it is made
    /// with.
    pub fn new(name: impl Into<String>, with: M) -> Member<M, Req, Resp> {
        Member {
            name: name.into(),
            account: None,
            with,
            resources: Vec::new(),
        }
    }

    /// The account that it takes from: members of one account share its resources, whichever of them tells those.
    /// Default: one of its own, of its name.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Adds a resource of its account. In views and messages it has the account's name behind its own:
    /// `requests@team`.
    #[must_use]
    pub fn resource(mut self, resource: Resource<Req, Resp>) -> Self {
        self.resources.push(resource);
        self
    }
}

/// The members of a pool, taken apart.
pub(crate) struct Parts<M, Req, Resp> {
    pub(crate) seats: Vec<Seat>,
    pub(crate) with: Vec<M>,
    /// Account by account.
    pub(crate) resources: Vec<Resource<Req, Resp>>,
}

impl<M, Req, Resp> Parts<M, Req, Resp> {
    pub(crate) fn nobody() -> Self {
        Parts {
            seats: Vec::new(),
            with: Vec::new(),
            resources: Vec::new(),
        }
    }

    pub(crate) fn of(members: Vec<Member<M, Req, Resp>>) -> Result<Self, ConfigError> {
        if members.is_empty() || members.len() > MEMBERS_MAX {
            let members = members.len();
            return Err(ConfigError::Members { members });
        }
        let mut parts = Parts::nobody();
        for member in members {
            parts.add(member)?;
        }
        // The core wants what a call costs account by account.
        let seats = &parts.seats;
        let first_of = |account: Option<&str>| {
            let seat = seats
                .iter()
                .position(|seat| Some(&*seat.account) == account);
            seat.unwrap_or_default()
        };
        parts
            .resources
            .sort_by_key(|resource| first_of(resource.account()));
        Ok(parts)
    }

    fn add(&mut self, member: Member<M, Req, Resp>) -> Result<(), ConfigError> {
        let Member {
            name,
            account,
            with,
            resources,
        } = member;
        if self.seats.iter().any(|seat| seat.name == name) {
            return Err(ConfigError::SameMember { member: name });
        }
        let account = account.unwrap_or_else(|| name.clone());
        for resource in resources {
            let resource = resource.of_account(&account);
            let same = |known: &&Resource<Req, Resp>| {
                known.account() == resource.account() && known.name() == resource.name()
            };
            match self.resources.iter().find(same) {
                None => self.resources.push(resource),
                Some(known)
                    if known.declaration()? == resource.declaration()?
                        && known.follows() == resource.follows() => {}
                Some(_) => {
                    return Err(ConfigError::OtherQuota {
                        account,
                        resource: resource.name().to_owned(),
                    });
                }
            }
        }
        self.seats.push(Seat { name, account });
        self.with.push(with);
        Ok(())
    }
}
