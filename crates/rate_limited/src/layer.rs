//! The limiter as a layer of [tower]: each request of a service takes quota first.
//!
//! [tower]: https://docs.rs/tower
//!
//! What a request takes is known only with the request. So a service that is ready holds no quota, and idle
//! clones of it keep nothing from anybody: quota is taken in the response's future, in the limiter's line, or
//! not at all where the layer [sheds](LimitLayer::shed). Readiness is that of the service below. To bound how
//! many requests wait, put a limit on concurrency around this layer.
//!
//! ```
//! use rate_limited::layer::LimitLayer;
//! use rate_limited::{Limiter, Reservation, Resource};
//! use std::time::Duration;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! #[derive(Clone)]
//! struct Ask { max_tokens: u32 }
//! struct Answer { status: u16, tokens: u32 }
//! # async fn send(ask: Ask) -> Result<Answer, std::io::Error> { Ok(Answer { status: 200, tokens: ask.max_tokens / 4 }) }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let limiter = Limiter::new([
//!     Resource::per_minute("requests", 60),
//!     Resource::per_minute("tokens", 9_000),
//! ])?;
//! let settle = |answer: Result<&Answer, &std::io::Error>, reservation: Reservation| match answer {
//!     Ok(answer) if answer.status == 429 => reservation.refused(Some(Duration::from_secs(1))),
//!     Ok(answer) => reservation.settle(("tokens", answer.tokens)).expect("a limiter with tokens"),
//!     Err(_) => reservation.failed(),
//! };
//! let layer = LimitLayer::new(&limiter, |ask: &Ask| ("tokens", ask.max_tokens)).settle(settle);
//! let client = ServiceBuilder::new().layer(layer).service(service_fn(send));
//!
//! client.oneshot(Ask { max_tokens: 400 }).await?;
//! assert_eq!(limiter.view()[1].charged.to_string(), "100");
//! # Ok(())
//! # }
//! ```

use crate::limiter::{Costs, Limiter, Reservation};
use crate::sent;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Any error of a service, as tower's own layers have it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A layer that lets a request go when the limiter has what it takes.
#[derive(Clone)]
pub struct LimitLayer<Cost, End = AsReserved> {
    limiter: Limiter,
    cost: Cost,
    end: End,
    sheds: bool,
}

/// A service behind a limiter; made by [`LimitLayer`].
#[derive(Clone)]
pub struct LimitService<Inner, Cost, End = AsReserved> {
    inner: Inner,
    layer: LimitLayer<Cost, End>,
}

/// Settles each request as it was reserved.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsReserved;

/// What is made of an answer: a function of it and of the reservation, or [`AsReserved`].
pub trait Settle<Answer, Error> {
    /// Settles the reservation; dropped instead, it counts as used.
    fn settle(&self, answer: Result<&Answer, &Error>, reservation: Reservation);
}

impl<Answer, Error> Settle<Answer, Error> for AsReserved {
    fn settle(&self, _: Result<&Answer, &Error>, reservation: Reservation) {
        drop(reservation);
    }
}

impl<Answer, Error, F> Settle<Answer, Error> for F
where
    F: Fn(Result<&Answer, &Error>, Reservation),
{
    fn settle(&self, answer: Result<&Answer, &Error>, reservation: Reservation) {
        self(answer, reservation);
    }
}

impl<Cost> LimitLayer<Cost> {
    /// A layer whose requests take what `cost` says, and wait until they can have it.
    pub fn new<Request, Taken>(limiter: &Limiter, cost: Cost) -> LimitLayer<Cost>
    where
        Cost: Fn(&Request) -> Taken,
        Taken: Costs,
    {
        LimitLayer {
            limiter: limiter.clone(),
            cost,
            end: AsReserved,
            sheds: false,
        }
    }
}

impl<Cost, End> LimitLayer<Cost, End> {
    /// What becomes of the reservation when the answer is there: what was used, or whether it was refused.
    /// Default: it counts as reserved.
    #[must_use]
    pub fn settle<Answer, Error, F>(self, end: F) -> LimitLayer<Cost, F>
    where
        F: Fn(Result<&Answer, &Error>, Reservation),
    {
        LimitLayer {
            limiter: self.limiter,
            cost: self.cost,
            end,
            sheds: self.sheds,
        }
    }

    /// A request that cannot go at once fails with [`NotUntil`](crate::NotUntil). Default: it waits.
    #[must_use]
    pub fn shed(self) -> Self {
        LimitLayer {
            sheds: true,
            ..self
        }
    }
}

impl<Inner, Cost: Clone, End: Clone> Layer<Inner> for LimitLayer<Cost, End> {
    type Service = LimitService<Inner, Cost, End>;

    fn layer(&self, inner: Inner) -> Self::Service {
        LimitService {
            inner,
            layer: self.clone(),
        }
    }
}

impl<Inner, Cost, End, Taken, Request> Service<Request> for LimitService<Inner, Cost, End>
where
    Inner: Service<Request> + Clone + Send + 'static,
    Inner::Future: Send + 'static,
    Inner::Response: Send + 'static,
    Inner::Error: Into<BoxError> + Send + 'static,
    Cost: Fn(&Request) -> Taken,
    Taken: Costs,
    End: Settle<Inner::Response, Inner::Error> + Clone + Send + 'static,
    Request: Send + 'static,
{
    type Response = Inner::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Inner::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The one that is ready is called; its clone has to become ready first.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let end = self.layer.end.clone();
        let taking = self.layer.take(&request);
        Box::pin(async move {
            let reservation = taking.await?;
            let signal = reservation.signal();
            let mut answering = pin!(inner.call(request));
            let answer =
                poll_fn(|context| sent::during(&signal, || answering.as_mut().poll(context)));
            let answer = answer.await;
            end.settle(answer.as_ref(), reservation);
            answer.map_err(Into::into)
        })
    }
}

impl<Cost, End> LimitLayer<Cost, End> {
    /// Takes what a request costs, in the line or at once.
    fn take<Request, Taken>(
        &self,
        request: &Request,
    ) -> impl Future<Output = Result<Reservation, BoxError>>
    + Send
    + 'static
    + use<Request, Taken, Cost, End>
    where
        Cost: Fn(&Request) -> Taken,
        Taken: Costs,
    {
        let told = crate::limiter::Told::new((self.cost)(request));
        let (limiter, sheds) = (self.limiter.clone(), self.sheds);
        async move {
            if sheds {
                Ok(limiter.try_take(&told)?)
            } else {
                Ok(limiter.take(&told).await?)
            }
        }
    }
}

impl<Cost, End> fmt::Debug for LimitLayer<Cost, End> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitLayer")
            .field("sheds", &self.sheds)
            .finish_non_exhaustive()
    }
}

impl<Inner: fmt::Debug, Cost, End> fmt::Debug for LimitService<Inner, Cost, End> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitService")
            .field("inner", &self.inner)
            .field("layer", &self.layer)
            .finish()
    }
}
