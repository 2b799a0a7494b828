//! How much of a resource: integers of a millionth of its unit.

use crate::error::AmountError;

/// An amount of a resource, in millionths of its unit.
///
/// Integers neither drift nor lose what they round: a thousand times 0.1 is exactly 100. Costs round
/// up, usage rounds to nearest. The largest amount is 9,223,372,036,854 units.
///
/// ```
/// use rate_limited_core::Amount;
///
/// let tenth = Amount::cost(0.1)?;
/// assert_eq!(tenth, Amount::from_micros(100_000));
/// assert_eq!(Amount::units(3) + tenth, Amount::cost(3.1)?);
/// assert!(Amount::cost(f64::NAN).is_err());
/// assert!(Amount::cost(-1.0).is_err());
/// # Ok::<(), rate_limited_core::AmountError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(i64);

const MICROS: i64 = 1_000_000;

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount(0);

    /// The largest amount: 9,223,372,036,854 units.
    pub const MAX: Amount = Amount(i64::MAX);

    /// Whole units; more than [`Amount::MAX`] becomes [`Amount::MAX`].
    pub const fn units(units: u32) -> Amount {
        Amount((units as i64).saturating_mul(MICROS))
    }

    /// Millionths of a unit.
    pub const fn from_micros(micros: i64) -> Amount {
        Amount(micros)
    }

    /// Millionths of a unit.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// A cost expected by the caller, rounded up to the next millionth.
    ///
    /// # Errors
    /// NaN, a negative value and more than [`Amount::MAX`] are refused; -0.0 is 0.
    pub fn cost(units: f64) -> Result<Amount, AmountError> {
        Self::rounded(units, f64::ceil)
    }

    /// A usage reported after the call, rounded to the nearest millionth.
    ///
    /// # Errors
    /// NaN, a negative value and more than [`Amount::MAX`] are refused; -0.0 is 0.
    pub fn usage(units: f64) -> Result<Amount, AmountError> {
        Self::rounded(units, f64::round)
    }

    /// A count of whole units.
    ///
    /// # Errors
    /// More than [`Amount::MAX`] is refused.
    pub fn count(units: u64) -> Result<Amount, AmountError> {
        i64::try_from(units)
            .ok()
            .and_then(|units| units.checked_mul(MICROS))
            .map(Amount)
            .ok_or(AmountError::TooLarge)
    }

    /// The amount in units, for people: what is below 2⁻⁵³ of it is lost.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a figure to show, never to count with"
    )]
    pub fn as_units(self) -> f64 {
        self.0 as f64 / MICROS as f64
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "range checked"
    )]
    fn rounded(units: f64, round: fn(f64) -> f64) -> Result<Amount, AmountError> {
        if units.is_nan() {
            return Err(AmountError::NotANumber);
        }
        if units < 0.0 {
            return Err(AmountError::Negative);
        }
        // A decimal such as 3.1 lies a hair above or below its millionths: the product is first freed
        // of that error, or rounding up would add a millionth to most decimals.
        let micros = units * MICROS as f64;
        let near = micros.round();
        let micros = if (micros - near).abs() <= near * f64::EPSILON {
            near
        } else {
            round(micros)
        };
        if micros >= i64::MAX as f64 {
            return Err(AmountError::TooLarge);
        }
        Ok(Amount(micros as i64))
    }
}

impl core::ops::Add for Amount {
    type Output = Amount;

    /// Stops at [`Amount::MAX`] instead of wrapping.
    fn add(self, other: Amount) -> Amount {
        Amount(self.0.saturating_add(other.0))
    }
}

impl core::fmt::Display for Amount {
    /// Units with their fraction, as short as it can be written: `12000`, `0.25`.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (whole, part) = (self.0 / MICROS, (self.0 % MICROS).unsigned_abs());
        if part == 0 {
            return write!(f, "{whole}");
        }
        let sign = if self.0 < 0 && whole == 0 { "-" } else { "" };
        let digits = format!("{part:06}");
        write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl core::fmt::Debug for Amount {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}
