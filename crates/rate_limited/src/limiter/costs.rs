//! What a call takes, by the names of the resources.

use super::error::CostError;
use crate::account::Guard;
use crate::units::Units;
use rate_limited_core::{Amount, AmountError, Cost};

/// What a call takes of which resource: `()`, one pair of a name and a number, or a list of them.
///
/// ```
/// use rate_limited::{Limiter, Resource};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let limiter = Limiter::new([
///     Resource::per_minute("requests", 60),
///     Resource::per_minute("images", 5).cost(|()| 0),
/// ])?;
/// limiter.try_acquire(())?.settle(())?; // a request, and no image, as declared
/// limiter.try_acquire(("images", 2))?.settle(())?; // a request and two images
/// limiter.try_acquire([("requests", 0), ("images", 1)])?.settle(())?; // an image, and no request
/// assert_eq!(limiter.view()[1].charged.to_string(), "3");
/// # Ok(())
/// # }
/// ```
pub trait Costs {
    /// Tells each name with its amount.
    fn tell(self, each: &mut dyn FnMut(&str, Result<Amount, AmountError>));
}

impl Costs for () {
    fn tell(self, _: &mut dyn FnMut(&str, Result<Amount, AmountError>)) {}
}

impl<Name: AsRef<str>, Number: Units> Costs for (Name, Number) {
    fn tell(self, each: &mut dyn FnMut(&str, Result<Amount, AmountError>)) {
        each(self.0.as_ref(), self.1.units());
    }
}

impl<Pair: Costs, const N: usize> Costs for [Pair; N] {
    fn tell(self, each: &mut dyn FnMut(&str, Result<Amount, AmountError>)) {
        for pair in self {
            pair.tell(each);
        }
    }
}

impl<Pair: Costs> Costs for Vec<Pair> {
    fn tell(self, each: &mut dyn FnMut(&str, Result<Amount, AmountError>)) {
        for pair in self {
            pair.tell(each);
        }
    }
}

/// What was told, before the books are opened: nothing foreign runs under their lock.
pub(crate) struct Told(Vec<(String, Result<Amount, AmountError>)>);

impl Told {
    pub(crate) fn new(costs: impl Costs) -> Told {
        let mut told = Vec::new();
        costs.tell(&mut |name, amount| told.push((name.to_owned(), amount)));
        Told(told)
    }

    /// What a call takes: what it names, and of the rest what is usual.
    pub(super) fn costs(&self, books: &Guard<'_>) -> Result<Vec<Cost>, CostError> {
        let mut costs = self.named(books)?;
        for usual in books.defaults() {
            if costs.iter().all(|cost| cost.resource != usual.resource) {
                costs.push(*usual);
            }
        }
        costs.retain(|cost| cost.amount > Amount::ZERO);
        Ok(costs)
    }

    /// What is named, as the core takes it.
    pub(super) fn named(&self, books: &Guard<'_>) -> Result<Vec<Cost>, CostError> {
        let named = self.0.iter();
        named
            .map(|(name, amount)| cost(books, name, *amount))
            .collect()
    }
}

fn cost(
    books: &Guard<'_>,
    name: &str,
    amount: Result<Amount, AmountError>,
) -> Result<Cost, CostError> {
    let Some(resource) = books.find(name) else {
        let known = books.resources().map(|id| books.name(id).to_owned());
        return Err(CostError::Unknown {
            resource: name.to_owned(),
            known: known.collect(),
        });
    };
    let amount = amount.map_err(|reason| CostError::Amount {
        resource: name.to_owned(),
        reason,
    })?;
    Ok(Cost::new(resource, amount))
}
