//! The waiting calls, and which of them is asked next.
//!
//! The first few thousand lie in *classes*: calls that need the same resources, the same one of them
//! most, and the same power of two of its quota; about 64 at most, and one for each further set of
//! resources. Each class is a line in order of rank, and only the heads of the lines are ever asked, so
//! that choosing costs the same whether ten calls wait or ten million. The rest wait in a backlog of four bytes each.
//!
//! Which head goes first:
//! - in order: the one of the lowest rank;
//! - packed: each class collects credit in proportion to its length, and pays for each dispatch. So
//!   every stretch of dispatches has the mix of what waits, whatever the order of scheduling was: big
//!   calls run beside small ones and no limit idles while another one binds. (Stride scheduling:
//!   Waldspurger, Weihl, 1995; here with tickets by length.)
//!
//! The *rank* of a call is the number of its scheduling. A call that comes back for another attempt
//! gets the number of calls begun so far, so that "begun so far minus rank" is for every call the number
//! of later ones that have overtaken it. Calls that come back again and again begin only once; against
//! those, the attempts since a call came into the look-ahead are counted too.

use crate::call::{Calls, State};
use crate::event::{Cost, ResourceId};
use crate::ledger::Blocked;
use crate::limiter::{Limiter, Obstacle};
use crate::settings::Order;
use crate::time::Time;
use std::collections::VecDeque;

/// From so many classes on, calls of further kinds join the line of calls that take the same resources,
/// if there is one.
const CLASSES_MAX: usize = 64;

/// Credit is kept within this many dispatches, so that a class that was blocked for long does not
/// keep all others waiting for as long afterwards.
const CREDIT_DISPATCHES_MAX: i64 = 256;

#[derive(Clone, Debug)]
pub(crate) struct Queue {
    order: Order,
    look_ahead: usize,
    backlog: VecDeque<u32>,
    classes: Vec<Class>,
    /// Entries in classes, those of calls that are gone included.
    inside: usize,
    /// Attempts dispatched so far.
    dispatched: u64,
    /// Calls that have gone since the lines were swept last.
    gone: usize,
    /// Whether calls may lie in lines of calls that take other resources.
    mixed: bool,
}

/// So many calls that are gone may lie in the lines, whatever waits.
const GONE_MAX: usize = 1_024;

#[derive(Clone, Debug)]
struct Class {
    kind: Kind,
    line: VecDeque<Entry>,
    credit: i64,
    /// What stood in the way of its head when that was asked last.
    obstacle: Option<Obstacle>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    /// The resource of which the calls take the largest share.
    resource: ResourceId,
    /// By how many halvings that share is below the whole quota.
    halvings: u8,
    /// A digest of all resources that the calls take.
    resources: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    rank: u64,
    call: u32,
    /// The attempts that were dispatched before it came here, and those that were to go before it then.
    entered: u64,
}

/// A head that is to be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) call: u32,
    pub(crate) rank: u64,
    class: usize,
}

impl Queue {
    pub(crate) fn new(order: Order, look_ahead: u32) -> Queue {
        Queue {
            order,
            look_ahead: look_ahead.max(1) as usize,
            backlog: VecDeque::new(),
            classes: Vec::new(),
            inside: 0,
            dispatched: 0,
            gone: 0,
            mixed: false,
        }
    }

    /// A call is gone that waits here; it is taken out when it is met, or when many are gone.
    pub(crate) fn note_gone(&mut self) {
        self.gone += 1;
    }

    /// A call that waits here takes from another part of a resource now; it changes its line before the next is asked.
    pub(crate) fn note_moved(&mut self) {
        self.mixed = true;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inside == 0 && self.backlog.is_empty()
    }

    /// Adds a call that is scheduled for the first time: its rank is above all others.
    pub(crate) fn push(&mut self, call: u32, calls: &Calls, limiter: &Limiter) {
        if self.inside < self.look_ahead && self.backlog.is_empty() {
            self.enter(call, calls, limiter);
        } else {
            self.backlog.push_back(call);
        }
    }

    /// Adds a call that comes back.
    pub(crate) fn enter(&mut self, call: u32, calls: &Calls, limiter: &Limiter) {
        let Call { costs, rank } = Call::of(call, calls);
        let entry = Entry {
            rank,
            call,
            entered: self.dispatched + self.inside as u64,
        };
        self.line_up(entry, Kind::of(costs, limiter));
        self.inside += 1;
    }

    /// Puts a call into the line of its kind, by rank.
    fn line_up(&mut self, entry: Entry, kind: Kind) {
        let class = self.class_for(kind);
        let line = &mut self.classes[class].line;
        let place = if line.back().is_none_or(|last| last.rank <= entry.rank) {
            line.len()
        } else {
            line.partition_point(|other| other.rank <= entry.rank)
        };
        line.insert(place, entry);
        if place == 0 {
            self.classes[class].obstacle = None;
        }
    }

    /// Puts calls that take other resources than when they came into the lines where they belong.
    fn sort_anew(&mut self, calls: &Calls, limiter: &Limiter) {
        self.mixed = false;
        let mut moved = Vec::new();
        for class in &mut self.classes {
            let before = class.line.len();
            class.line.retain(|entry| {
                let kind = Kind::of(Call::of(entry.call, calls).costs, limiter);
                let stays = kind == class.kind;
                if !stays {
                    moved.push((*entry, kind));
                }
                stays
            });
            if class.line.len() < before {
                class.obstacle = None;
            }
        }
        for (entry, kind) in moved {
            self.line_up(entry, kind);
        }
    }

    /// Lets calls of the backlog into the look-ahead, and calls that are gone out of it.
    pub(crate) fn tidy(&mut self, calls: &mut Calls, limiter: &Limiter) {
        if self.mixed {
            self.sort_anew(calls, limiter);
        }
        for class in &mut self.classes {
            while class
                .line
                .front()
                .is_some_and(|head| calls.get(head.call).state == State::Gone)
            {
                let gone = class.line.pop_front().expect("it has a front");
                class.obstacle = None;
                self.inside -= 1;
                calls.release(gone.call);
            }
        }
        if self.gone > GONE_MAX && 2 * self.gone > self.inside + self.backlog.len() {
            self.sweep(calls);
        }
        while self.inside < self.look_ahead {
            let Some(call) = self.backlog.pop_front() else {
                break;
            };
            if calls.get(call).state == State::Gone {
                calls.release(call);
            } else {
                self.enter(call, calls, limiter);
            }
        }
    }

    /// Takes out all calls that are gone: behind a head that waits for long nobody would meet them.
    fn sweep(&mut self, calls: &mut Calls) {
        self.gone = 0;
        let mut stays = |call: u32| {
            let gone = calls.get(call).state == State::Gone;
            if gone {
                calls.release(call);
            }
            !gone
        };
        for class in &mut self.classes {
            class.line.retain(|entry| stays(entry.call));
        }
        self.backlog.retain(|call| stays(*call));
        self.inside = self.classes.iter().map(|class| class.line.len()).sum();
    }

    /// The call that has waited longest, by rank.
    pub(crate) fn oldest(&self) -> Option<Head> {
        self.heads().min_by_key(|head| head.rank)
    }

    /// The head that has been overtaken too often: by `most` calls that were scheduled later, or by `most`
    /// attempts of any calls beyond those that were ahead of it when it came into the look-ahead.
    pub(crate) fn overtaken(&self, started: u64, most: u64) -> Option<Head> {
        let oldest = self.oldest()?;
        if started.saturating_sub(oldest.rank) >= most {
            return Some(oldest);
        }
        let heads = self.classes.iter().enumerate();
        let waited = heads.filter_map(|(index, class)| {
            let entered = class.line.front()?.entered;
            Some((entered, class.head(index)?))
        });
        let (entered, head) = waited.min_by_key(|(entered, _)| *entered)?;
        (self.dispatched.saturating_sub(entered) >= most).then_some(head)
    }

    /// The head that this call is, if it is one.
    pub(crate) fn head_of(&self, call: u32) -> Option<Head> {
        self.heads().find(|head| head.call == call)
    }

    /// Whether what stood in the way of a head still does.
    pub(crate) fn is_blocked(&mut self, head: Head, limiter: &Limiter, now: Time) -> bool {
        self.classes[head.class].is_blocked(limiter, now)
    }

    /// The next head to ask, of those whose obstacle does not stand any more.
    pub(crate) fn next(&mut self, limiter: &Limiter, now: Time) -> Option<Head> {
        let mut best: Option<(i64, Head)> = None;
        for (index, class) in self.classes.iter_mut().enumerate() {
            let Some(head) = class.head(index) else {
                continue;
            };
            if class.is_blocked(limiter, now) {
                continue;
            }
            let merit = match self.order {
                Order::InOrder => -i64::try_from(head.rank).unwrap_or(i64::MAX),
                Order::Packed => class.credit + class.line.len() as i64,
            };
            let better = |(former, other): &(i64, Head)| (merit, other.rank) > (*former, head.rank);
            if best.as_ref().is_none_or(better) {
                best = Some((merit, head));
            }
        }
        best.map(|(_, head)| head)
    }

    /// Takes a head that is dispatched, or that ends without.
    pub(crate) fn take(&mut self, head: Head) {
        self.dispatched += 1;
        let total = self.inside as i64;
        let bound = CREDIT_DISPATCHES_MAX * total;
        for class in &mut self.classes {
            class.credit = (class.credit + class.line.len() as i64).clamp(-bound, bound);
        }
        let class = &mut self.classes[head.class];
        class.credit -= total;
        class.obstacle = None;
        class.line.pop_front();
        self.inside -= 1;
    }

    /// Remembers what stands in the way of a head.
    pub(crate) fn block(&mut self, head: Head, obstacle: Obstacle) {
        self.classes[head.class].obstacle = Some(obstacle);
    }

    /// What keeps the head that will go first from going now, and until when as far as it is known.
    pub(crate) fn first_obstacle(&self) -> Option<Obstacle> {
        let waiting = self.classes.iter().filter(|class| !class.line.is_empty());
        waiting.filter_map(|class| class.obstacle).min_by_key(until)
    }

    fn heads(&self) -> impl Iterator<Item = Head> {
        let classes = self.classes.iter().enumerate();
        classes.filter_map(|(index, class)| class.head(index))
    }

    fn class_for(&mut self, kind: Kind) -> usize {
        if let Some(index) = self.classes.iter().position(|class| class.kind == kind) {
            return index;
        }
        let fresh = Class {
            kind,
            line: VecDeque::new(),
            credit: 0,
            obstacle: None,
        };
        if let Some(index) = self.classes.iter().position(|class| class.line.is_empty()) {
            self.classes[index] = fresh;
            return index;
        }
        if self.classes.len() < CLASSES_MAX {
            self.classes.push(fresh);
            return self.classes.len() - 1;
        }
        // Only calls of the same resources: behind others they would wait for what they do not take.
        let alike =
            |other: Kind| other.resources == kind.resources && other.resource == kind.resource;
        let like = (0..self.classes.len()).filter(|index| alike(self.classes[*index].kind));
        let distance = |index: &usize| self.classes[*index].kind.halvings.abs_diff(kind.halvings);
        like.min_by_key(distance).unwrap_or_else(|| {
            self.classes.push(fresh);
            self.classes.len() - 1
        })
    }
}

impl Class {
    fn head(&self, class: usize) -> Option<Head> {
        self.line.front().map(|entry| Head {
            call: entry.call,
            rank: entry.rank,
            class,
        })
    }

    fn is_blocked(&mut self, limiter: &Limiter, now: Time) -> bool {
        let stands = match self.obstacle {
            None => false,
            Some(Obstacle::Turn(until)) => until > now,
            Some(Obstacle::Resource {
                resource,
                why,
                stamp,
            }) => {
                let passed =
                    matches!(why, Blocked::Until(t) | Blocked::Paused { until: t, .. } if t <= now);
                !passed && limiter.stands(resource, stamp)
            }
            Some(Obstacle::Member { until, stamp, .. }) => {
                until.is_none_or(|until| until > now) && limiter.is_old(stamp)
            }
        };
        if !stands {
            self.obstacle = None;
        }
        stands
    }
}

impl Kind {
    fn of(costs: &[Cost], limiter: &Limiter) -> Kind {
        let (resource, halvings, resources) = limiter.class_of(costs);
        Kind {
            resource,
            halvings,
            resources,
        }
    }
}

/// What the queue needs of a call.
struct Call<'a> {
    costs: &'a [Cost],
    rank: u64,
}

impl Call<'_> {
    fn of(call: u32, calls: &Calls) -> Call<'_> {
        let call = calls.get(call);
        Call {
            costs: call.costs.as_slice(),
            rank: call.rank,
        }
    }
}

/// When an obstacle goes away by itself; `Time::MAX` if that is not known.
fn until(obstacle: &Obstacle) -> Time {
    match *obstacle {
        Obstacle::Turn(until)
        | Obstacle::Resource {
            why: Blocked::Until(until) | Blocked::Paused { until, .. },
            ..
        } => until,
        Obstacle::Member { until, .. } => until.unwrap_or(Time::MAX),
        Obstacle::Resource {
            why: Blocked::Held | Blocked::Never,
            ..
        } => Time::MAX,
    }
}
