//! Which calls are alike: the queue keeps them in one line.

use super::Limiter;
use crate::event::{Cost, ResourceId};

impl Limiter {
    /// The largest power-of-two class of the costs: the resource of which they take the largest
    /// share, by how many halvings that share is below the whole quota, and a digest of all resources.
    pub(crate) fn class_of(&self, costs: &[Cost]) -> (ResourceId, u8, u32) {
        if !self.accounts.is_empty() {
            return self.class_among(costs);
        }
        let (resource, halvings) = self.largest_share(costs);
        (resource, halvings, digest(0, costs))
    }

    fn largest_share(&self, costs: &[Cost]) -> (ResourceId, u8) {
        let mut class = (ResourceId::default(), 63);
        for cost in costs {
            let quota = self.ledgers[cost.resource.index()]
                .resource
                .quota()
                .capacity()
                .as_micros();
            let halvings = match cost.amount.as_micros() {
                1.. => (quota / cost.amount.as_micros()).max(1).ilog2() as u8,
                _ => 63,
            };
            if halvings < class.1 {
                class = (cost.resource, halvings);
            }
        }
        class
    }

    /// The class of calls that may go to several accounts: that of the account in which they are smallest, apart
    /// from those that fit into other accounts.
    fn class_among(&self, costs: &[Cost]) -> (ResourceId, u8, u32) {
        let account = |cost: &Cost| self.ledgers[cost.resource.index()].account;
        let mut smallest = (ResourceId::default(), 0);
        let mut resources = 0;
        for part in costs.chunk_by(|one, other| account(one) == account(other)) {
            if self.too_much(part).is_some() {
                continue;
            }
            resources = digest(resources, part);
            let class = self.largest_share(part);
            if class.1 >= smallest.1 {
                smallest = class;
            }
        }
        (smallest.0, smallest.1, resources)
    }
}

/// A digest of the resources that are taken, going on from another one.
fn digest(before: u32, costs: &[Cost]) -> u32 {
    let add = |sum: u32, cost: &Cost| sum.wrapping_mul(31).wrapping_add(cost.resource.0 + 1);
    costs.iter().fold(before, add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Amount;
    use crate::quota::Quota;
    use crate::resource::Resource;
    use crate::time::Time;

    #[test]
    fn a_class_is_that_of_the_account_in_which_the_call_is_smallest() {
        let mut limiter = Limiter::new(Time::PROCESS_START);
        let quota = |units| Quota::per_minute(Amount::units(units));
        let [small, large] = [limiter.account("small"), limiter.account("large")];
        let few = limiter
            .add_to(small, Resource::new("tokens@small", quota(100)))
            .expect("sound");
        let many = limiter
            .add_to(large, Resource::new("tokens@large", quota(6_400)))
            .expect("sound");
        let costs = |units| [few, many].map(|id| Cost::new(id, Amount::units(units)));
        let of = |units| limiter.class_of(&costs(units));
        assert_eq!((of(100).0, of(100).1), (many, 6));
        assert_eq!((of(200).0, of(200).1), (many, 5));
        assert_ne!(
            of(100).2,
            of(101).2,
            "the second fits into one of them only"
        );
    }
}
