//! The shared part under every order in which threads meet that a random scheduler finds.
//!
//! The product's own files are compiled here a second time, on locks that hand over to the scheduler of the
//! test at every step. A wake-up that is lost leaves all threads blocked, which it reports.

#[expect(dead_code, reason = "the limiter and the driver use the rest")]
#[path = "../../src/account/mod.rs"]
mod account;

#[cfg_attr(
    feature = "calendar",
    expect(dead_code, reason = "nothing follows a calendar here")
)]
#[path = "../../src/calendars.rs"]
mod calendars;

/// The locks that `account` is built on.
mod sync {
    pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;
}

/// A time that goes on when somebody sleeps.
mod clock {
    use rate_limited_core::Time;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, SystemTime};

    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Clock(&'static AtomicU64);

    impl Clock {
        pub(crate) fn new() -> Clock {
            Clock(Box::leak(Box::default()))
        }

        pub(crate) fn now(self) -> Time {
            Time::PROCESS_START + Duration::from_nanos(self.0.load(Ordering::SeqCst))
        }

        pub(crate) fn wall(self) -> SystemTime {
            SystemTime::UNIX_EPOCH + self.now().since(Time::PROCESS_START)
        }

        pub(crate) fn sleep_until(self, until: Time) {
            let nanos = until.since(Time::PROCESS_START).as_nanos();
            let nanos = u64::try_from(nanos).expect("a test is short");
            self.0.fetch_max(nanos, Ordering::SeqCst);
        }
    }
}

use account::{Account, Answer, Ticket, Watch};
use clock::Clock;
use rate_limited_core::{
    Amount, AtOnce, Class, Cost, Input, Outcome, Output, Quota, Resource, ResourceId, Scheduler,
    Settings, Time,
};
use shuttle::future::block_on;
use shuttle::sync::Arc;
use shuttle::thread;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(1);
const QUOTA: u32 = 2;
const ORDERS: usize = 1_500;

/// What was sent when; a lock that no thread waits for.
type Log = std::sync::Arc<std::sync::Mutex<Vec<Time>>>;

#[derive(Clone)]
struct World {
    account: Arc<Account>,
    clock: Clock,
    cost: Cost,
    log: Log,
}

impl World {
    fn new() -> World {
        let clock = Clock::new();
        let account = Account::new(clock);
        let quota = Quota::per(Amount::units(QUOTA), WINDOW);
        let resource = Resource::new("r", quota).guard(Duration::ZERO);
        let id: ResourceId = account.open().add(resource).expect("a sound quota");
        World {
            account,
            clock,
            cost: Cost::new(id, Amount::units(1)),
            log: Log::default(),
        }
    }

    fn note_sent(&self) {
        self.log.lock().expect("sound").push(self.clock.now());
    }

    fn set_alarm(&self) {
        let World { account, clock, .. } = self.clone();
        thread::spawn(move || {
            block_on(poll_fn(|context| {
                match account.open().watch(context.waker()) {
                    Watch::Over => Poll::Ready(()),
                    Watch::Until(until) => {
                        if let Some(until) = until {
                            clock.sleep_until(until);
                            context.waker().wake_by_ref();
                        }
                        Poll::Pending
                    }
                }
            }));
        });
    }

    async fn acquire(&self) -> Answer {
        let mut ticket = Ticket::new(&self.account, &[self.cost]).expect("a sound cost");
        let set = |_: &Arc<Account>| -> Result<(), Infallible> {
            self.set_alarm();
            Ok(())
        };
        let answer = poll_fn(|context| ticket.poll(context.waker(), set)).await;
        answer.expect("no error is possible")
    }

    /// Asks, sends and settles.
    fn handler(&self) {
        let Answer::Granted(attempt) = block_on(self.acquire()) else {
            panic!("it fits")
        };
        // What counts is charged at the moment of this report, or before it at this moment.
        let mut books = self.account.open();
        books.report([Input::Sent { attempt }]);
        self.note_sent();
        drop(books);
        let outcome = Outcome::new(Class::Success);
        self.account
            .open()
            .report([Input::Finished { attempt, outcome }]);
    }

    /// Asks, looks once, and goes away.
    fn impatient(&self) {
        block_on(async {
            let mut asked = pin!(self.acquire());
            poll_fn(|context| {
                let answer = asked.as_mut().poll(context);
                if let Poll::Ready(Answer::Granted(attempt)) = answer {
                    self.account.open().report([Input::Unsent { attempt }]);
                }
                Poll::Ready(())
            })
            .await;
        });
    }

    /// Takes what is there, and does not send.
    fn shedder(&self) {
        let tried = self.account.open().take_at_once(&[self.cost]);
        if let AtOnce::Dispatched { attempt, .. } = tried.expect("a sound cost") {
            thread::yield_now();
            self.account.open().report([Input::Unsent { attempt }]);
        }
    }

    /// A run of so many calls, as a driver runs it.
    fn runner(&self, calls: u32) {
        block_on(async {
            let mut books = self.account.open();
            let mut scheduler = Scheduler::new(&mut books, Settings::default(), self.clock.now());
            let bell = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
            books.hang_bell(scheduler.id(), bell);
            for _ in 0..calls {
                let scheduled = scheduler.schedule(&mut books, &[self.cost], self.clock.now());
                scheduled.expect("a sound cost");
            }
            drop(books);
            Run {
                world: self,
                scheduler: &mut scheduler,
            }
            .await;
            let mut books = self.account.open();
            books.take_bell(scheduler.id());
            scheduler.leave(&mut books, self.clock.now());
        });
    }

    fn check(&self) {
        let mut log = self.log.lock().expect("sound").clone();
        log.sort_unstable();
        for times in log.windows(QUOTA as usize + 1) {
            let between = times[QUOTA as usize].since(times[0]);
            assert!(between >= WINDOW, "{QUOTA} + 1 within {between:?}");
        }
        let view = self
            .account
            .open()
            .view(self.cost.resource, self.clock.now());
        assert_eq!(view.held, Amount::ZERO, "it leaks");
    }
}

struct Run<'a> {
    world: &'a World,
    scheduler: &'a mut Scheduler,
}

impl Future for Run<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Run { world, scheduler } = &mut *self;
        loop {
            let now = world.clock.now();
            let mut books = world.account.open_by(scheduler.id());
            match scheduler.poll(&mut books, now) {
                Output::Dispatch { attempt, .. } => {
                    scheduler.handle(&mut books, Input::Sent { attempt }, world.clock.now());
                    world.note_sent();
                    drop(books);
                    let outcome = Outcome::new(Class::Success);
                    let finished = Input::Finished { attempt, outcome };
                    let mut books = world.account.open_by(scheduler.id());
                    scheduler.handle(&mut books, finished, world.clock.now());
                }
                Output::Wait(wait) => {
                    if let Some(until) = wait.until {
                        world.clock.sleep_until(until);
                        context.waker().wake_by_ref();
                    }
                    return Poll::Pending;
                }
                Output::Idle => return Poll::Ready(()),
                _ => {}
            }
        }
    }
}

/// Runs these parts on threads, in many orders.
fn in_many_orders(parts: &'static [fn(&World)]) {
    let play = move || {
        let world = World::new();
        let threads: Vec<_> = parts
            .iter()
            .map(|part| {
                let world = world.clone();
                thread::spawn(move || part(&world))
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
        world.check();
    };
    shuttle::check_random(play, ORDERS);
    shuttle::check_pct(play, ORDERS, 3);
}

#[test]
fn handlers_alone() {
    in_many_orders(&[
        World::handler,
        World::handler,
        World::handler,
        World::handler,
    ]);
}

#[test]
fn handlers_that_go_away_leave_nothing() {
    in_many_orders(&[
        World::handler,
        World::impatient,
        World::handler,
        World::impatient,
        World::handler,
    ]);
}

#[test]
fn handlers_and_load_that_is_shed() {
    in_many_orders(&[
        World::shedder,
        World::handler,
        World::handler,
        World::shedder,
        World::handler,
    ]);
}

#[test]
fn handlers_and_two_runs() {
    in_many_orders(&[
        |world| world.runner(2),
        World::handler,
        World::impatient,
        World::handler,
        |world| world.runner(3),
    ]);
}
