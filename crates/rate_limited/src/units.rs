//! Numbers that say how much of a resource.

use rate_limited_core::{Amount, AmountError};

/// A number of units: what cost and usage functions may return, and quotas may be.
///
/// ```
/// use rate_limited::Units;
///
/// assert_eq!(90_000_u32.units().map(|amount| amount.to_string()), Ok("90000".into()));
/// assert_eq!(0.25.units().map(|amount| amount.to_string()), Ok("0.25".into()));
/// assert!(f64::NAN.units().is_err());
/// ```
pub trait Units {
    /// The amount; fractions are rounded up to a millionth.
    ///
    /// # Errors
    /// NaN, a negative value, and more than [`Amount::MAX`].
    fn units(self) -> Result<Amount, AmountError>;
}

impl Units for f64 {
    fn units(self) -> Result<Amount, AmountError> {
        Amount::cost(self)
    }
}

impl Units for f32 {
    fn units(self) -> Result<Amount, AmountError> {
        Amount::cost(self.into())
    }
}

impl Units for Amount {
    fn units(self) -> Result<Amount, AmountError> {
        if self < Amount::ZERO {
            Err(AmountError::Negative)
        } else {
            Ok(self)
        }
    }
}

macro_rules! whole_units {
    ($($number:ty),*) => {$(
        impl Units for $number {
            fn units(self) -> Result<Amount, AmountError> {
                Amount::count(u64::try_from(self).map_err(|_| AmountError::Negative)?)
            }
        }
    )*};
}

whole_units!(u8, u16, u32, u64, usize, i32, i64);
