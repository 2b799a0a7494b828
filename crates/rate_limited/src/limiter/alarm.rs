//! The one task that looks at the clock while somebody waits.

use crate::account::{Account, Watch};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep, sleep};

/// Sleeps until something can be granted, grants it, and ends when nobody waits.
///
/// It is a task of its own, not one of those who wait: a future that is held and not polled would keep all
/// others waiting.
pub(super) struct Alarm {
    account: Arc<Account>,
    sleep: Option<Pin<Box<Sleep>>>,
    is_over: bool,
}

impl Alarm {
    pub(super) fn new(account: &Arc<Account>) -> Alarm {
        Alarm {
            account: Arc::clone(account),
            sleep: None,
            is_over: false,
        }
    }
}

impl Future for Alarm {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut books = self.account.open();
        let watch = books.watch(context.waker());
        let look_again = books.calendars().look_again();
        drop(books);
        let until = match watch {
            Watch::Over => {
                self.is_over = true;
                return Poll::Ready(());
            }
            Watch::Until(None) => return Poll::Pending,
            Watch::Until(Some(until)) => until,
        };
        let left = until.since(self.account.clock().now());
        let left = look_again.map_or(left, |look| left.min(look));
        let timer = self.sleep.get_or_insert_with(|| Box::pin(sleep(left)));
        timer.as_mut().reset(Instant::now() + left);
        if timer.as_mut().poll(context).is_ready() {
            // Others of the runtime get a turn first.
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Alarm {
    /// Its runtime is shut down; somebody on another one may still wait.
    fn drop(&mut self) {
        if !self.is_over {
            self.account.open().alarm_is_gone();
        }
    }
}
