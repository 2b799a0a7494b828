//! Decimal numbers as the command line has them, kept exact: `1.5`, `1_000_000`.

/// A number that is not negative: `digits` divided by ten to the power of `places`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    digits: u128,
    places: u32,
}

/// Why a number cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecimalFault {
    /// Something else than digits, `_` between digits, and one point.
    NotANumber,
    /// A fraction remains below the unit that was asked for.
    TooFine,
    /// More than any use of this type can hold.
    TooLarge,
}

/// More places than this are below every unit that the command line knows.
const PLACES_MAX: usize = 18;

impl Decimal {
    /// Reads `12`, `1.5` or `1_000_000`; no sign, no exponent, no bare point.
    pub(crate) fn parse(text: &str) -> Result<Decimal, DecimalFault> {
        let (whole, part) = match text.split_once('.') {
            Some((whole, part)) => (digits_of(whole)?, digits_of(part)?),
            None => (digits_of(text)?, String::new()),
        };
        let part = part.trim_end_matches('0');
        if part.len() > PLACES_MAX {
            return Err(DecimalFault::TooFine);
        }
        let places = u32::try_from(part.len()).map_err(|_| DecimalFault::TooFine)?;
        let digits = format!("{whole}{part}")
            .parse()
            .map_err(|_| DecimalFault::TooLarge)?;
        Ok(Decimal { digits, places })
    }

    /// The number times `unit`, as a whole number.
    pub(crate) fn times(self, unit: u128) -> Result<u128, DecimalFault> {
        let product = self
            .digits
            .checked_mul(unit)
            .ok_or(DecimalFault::TooLarge)?;
        let divisor = 10_u128.pow(self.places);
        if product.is_multiple_of(divisor) {
            Ok(product / divisor)
        } else {
            Err(DecimalFault::TooFine)
        }
    }
}

/// The digits of a run of digits in which single `_` may stand between two of them.
fn digits_of(text: &str) -> Result<String, DecimalFault> {
    let grouped_well = text.split('_').all(|group| !group.is_empty());
    if grouped_well
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'_')
    {
        Ok(text.replace('_', ""))
    } else {
        Err(DecimalFault::NotANumber)
    }
}

#[cfg(test)]
mod tests {
    use super::{Decimal, DecimalFault};

    #[test]
    fn numbers_are_exact() {
        for (text, thousandths) in [
            ("0", 0),
            ("1.5", 1_500),
            ("1_000", 1_000_000),
            ("0.1000", 100),
        ] {
            assert_eq!(
                Decimal::parse(text).and_then(|number| number.times(1_000)),
                Ok(thousandths)
            );
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "", ".", "1.", ".5", "-1", "+1", "1e3", "NaN", "inf", "_1", "1__0", "1.2.3", "٣",
        ] {
            assert_eq!(
                Decimal::parse(text),
                Err(DecimalFault::NotANumber),
                "{text}"
            );
        }
        let fine = Decimal::parse("0.0001").expect("a number");
        assert_eq!(fine.times(1_000), Err(DecimalFault::TooFine));
        assert_eq!(
            Decimal::parse("0.1234567890123456789"),
            Err(DecimalFault::TooFine)
        );
        assert_eq!(Decimal::parse(&"9".repeat(40)), Err(DecimalFault::TooLarge));
    }
}
