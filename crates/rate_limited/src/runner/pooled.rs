//! Runners with a pool.

use super::{Runner, State};
use crate::blueprint::{Answering, Blueprint};
use crate::pool::{Member, Parts};
use crate::result::SharedError;
use std::error::Error;
use std::future::Future;

impl<Req, Resp> Runner<Req, Resp>
where
    Req: Clone + Send + 'static,
    Resp: Send + 'static,
{
    /// A runner whose attempts take one of several members each: keys of one or more accounts. The function is called
    /// with what the [member](Member::new) was given, and the request.
    ///
    /// The member with most room takes the next call, and what a call costs of its account alone; another attempt of
    /// the call may go to another one. [`Resource`](crate::Resource)s of the runner itself are taken by all of
    /// them. A member whose answers are [`Class::Fatal`](crate::Class::Fatal) is dropped: its calls go to others
    /// and lose nothing, and only when none is left the run stops. [`View::members`](crate::View::members) tells how
    /// each of them stands.
    ///
    /// Members that cannot be a pool are reported by the first `schedule` or `run`: none or more than 255,
    /// two of one name, or two quotas of one resource in one account.
    ///
    /// ```
    /// use rate_limited::{Member, Resource, Runner};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ask = |key: &'static str, n: u32| async move { Ok::<_, std::io::Error>((key, n * n)) };
    /// let member = |name, key, rpm: u32| {
    ///     Member::new(name, key).resource(Resource::per_minute("requests", rpm))
    /// };
    /// let mut runner = Runner::pool([member("small", "key 1", 2), member("large", "key 2", 4)], ask);
    /// for n in 0..6 {
    ///     runner.schedule(n)?;
    /// }
    /// let results = runner.run_blocking()?;
    /// let by = |key| results.iter().filter(|call| call.value.is_some_and(|it| it.0 == key)).count();
    /// assert_eq!((by("key 1"), by("key 2")), (2, 4));
    /// # Ok(())
    /// # }
    /// ```
    pub fn pool<M, F, Fut, E>(
        members: impl IntoIterator<Item = Member<M, Req, Resp>>,
        function: F,
    ) -> Runner<Req, Resp>
    where
        M: Clone + Send + Sync + 'static,
        F: Fn(M, Req) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Resp, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let parts = Parts::of(members.into_iter().collect());
        let (parts, error) = match parts {
            Ok(parts) => (parts, None),
            Err(error) => (Parts::nobody(), Some(error)),
        };
        let with = parts.with;
        let mut blueprint = Blueprint::new(answering(move |member: usize, request| {
            function(with[member].clone(), request)
        }));
        (blueprint.members, blueprint.resources) = (parts.seats, parts.resources);
        let mut runner = Runner::of(blueprint);
        if let Some(error) = error {
            runner.state = State::Broken(error);
        }
        runner
    }
}

/// A function as a blueprint has it.
pub(super) fn answering<Req, Resp, F, Fut, E>(
    function: F,
) -> Box<dyn Fn(usize, Req) -> Answering<Resp> + Send + Sync>
where
    F: Fn(usize, Req) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Resp, E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    Box::new(move |member, request| {
        let answer = function(member, request);
        Box::pin(async move {
            answer
                .await
                .map_err(|error| SharedError::from(error.into()))
        })
    })
}
