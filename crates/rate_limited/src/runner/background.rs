//! Runs in the background: results as a stream, calls that come one by one.

use super::{Finished, Runner, State};
use crate::error::{ConfigError, RunError};
use crate::inputs::Inputs;
use crate::results::Results;
use crate::running::Running;
use rate_limited_core::MaxConcurrent;

/// The smallest buffer of a stream that is not told.
const BUFFER_MIN: usize = 1_024;

impl<Req, Resp> Runner<Req, Resp>
where
    Req: Clone + Send + 'static,
    Resp: Send + 'static,
{
    /// Runs `inputs` in the background and gives the results in the order of scheduling, as they come.
    ///
    /// Memory stays bounded: where results are not taken, or wait for an earlier one, no more requests are
    /// taken ([`Runner::buffer`]). The run ends when the stream is dropped; what is in flight then counts as
    /// used.
    ///
    /// # Errors
    /// Resources that cannot be metered as declared; [`RunError::OutsideRuntime`].
    ///
    /// ```
    /// use rate_limited::{Inputs, Resource, Runner};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rate_limited::RunError> {
    /// let runner = Runner::new(|n: u64| async move { Ok::<_, std::io::Error>(n * n) })
    ///     .resource(Resource::per_minute("requests", 3_500));
    /// let mut squares = runner.stream(Inputs::iterate(0..1_000))?;
    /// let mut sum = 0;
    /// while let Some(call) = squares.next().await {
    ///     sum += call.result.value.unwrap_or(0);
    /// }
    /// assert_eq!(sum, 332_833_500);
    /// assert_eq!(squares.summary().await?.progress.done, 1_000);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream(mut self, inputs: Inputs<Req>) -> Result<Results<Req, Resp>, RunError> {
        let runtime = runtime()?;
        let buffer = self.buffer.unwrap_or_else(|| {
            let (MaxConcurrent::Fixed(most) | MaxConcurrent::Auto { most, .. }) =
                self.settings.max_concurrent
            else {
                return BUFFER_MIN;
            };
            (most as usize).saturating_mul(4).max(BUFFER_MIN)
        });
        let (first, fed) = (self.base, self.driver()?.scheduled());
        let (results, room, sink) = Results::new(first, fed, buffer);
        let task = runtime.spawn(async move {
            let each = |finished| {
                // Whoever dropped the stream does not want it.
                let _ = sink.send(finished);
            };
            self.run_each(inputs.within(&room), each).await
        });
        Ok(results.of(task))
    }

    /// Runs in the background, for calls that come one by one: a service's. The run ends when all clones of
    /// what is returned are gone and its calls are over, or when it is [told to](Running::handle).
    ///
    /// Failures do not stop it however long they go on: [`Runner::stall_limit`] does not apply.
    ///
    /// # Errors
    /// Resources that cannot be metered as declared; calls that were scheduled before, as nobody would get
    /// their results; [`RunError::OutsideRuntime`].
    ///
    /// ```
    /// use rate_limited::{Resource, Runner};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rate_limited::RunError> {
    /// let runner = Runner::new(|n: u32| async move { Ok::<_, std::io::Error>(n * n) })
    ///     .resource(Resource::per_minute("requests", 3_500))
    ///     .start()?;
    /// // In any task, as often as wanted:
    /// let nine = runner.clone().submit(3).await;
    /// assert_eq!(nine.value, Some(9));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "submit")]
    pub fn start(mut self) -> Result<Running<Req, Resp>, RunError> {
        let runtime = runtime()?;
        if matches!(self.state, State::Ready(_)) {
            return Err(ConfigError::TooLate.into());
        }
        self.settings.stall_limit = None;
        self.driver()?;
        let (running, inputs, replies) = Running::new(self.handle());
        runtime.spawn(async move {
            let each =
                |finished: Finished<Req, Resp>| replies.tell(finished.index, finished.result);
            let end = self.run_each(inputs, each).await;
            replies.end(end);
        });
        Ok(running)
    }
}

fn runtime() -> Result<tokio::runtime::Handle, RunError> {
    tokio::runtime::Handle::try_current().map_err(|_| RunError::OutsideRuntime)
}
