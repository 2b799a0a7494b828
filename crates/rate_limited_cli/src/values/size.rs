//! Sizes in bytes as people write and read them: `16MiB`.

use crate::values::decimal::{Decimal, DecimalFault};
use crate::values::text::{grouped, quoted};

/// The units, large to small.
const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// The smallest and the largest size that is taken.
const RANGE: std::ops::RangeInclusive<u64> = 1 << 10..=1 << 32;

/// Reads a number and a unit.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let unit = |(name, bytes): &(&str, u64)| {
        let ending = text.len().checked_sub(name.len())?;
        let (number, end) = text.split_at_checked(ending)?;
        end.eq_ignore_ascii_case(name)
            .then(|| (number.trim_end(), *bytes))
    };
    let Some((number, unit)) = UNITS.iter().find_map(unit) else {
        return Err(format!(
            "{} has no unit: write for example 16MiB, or a number with KiB or GiB",
            quoted(text)
        ));
    };
    let bytes = Decimal::parse(number).and_then(|number| number.times(unit.into()));
    let bytes = match bytes {
        Err(DecimalFault::NotANumber | DecimalFault::TooFine) => {
            return Err(format!(
                "{} is not a size: write for example 16MiB",
                quoted(text)
            ));
        }
        Err(DecimalFault::TooLarge) => None,
        Ok(bytes) => u64::try_from(bytes).ok(),
    };
    bytes
        .filter(|bytes| RANGE.contains(bytes))
        .ok_or_else(|| format!("{} is not between 1KiB and 4GiB", quoted(text)))
}

/// A size for people, in the largest unit that it is a whole number of.
pub(crate) fn shown(bytes: u64) -> String {
    let whole = |(_, unit): &&(&str, u64)| bytes.is_multiple_of(*unit);
    match UNITS.iter().find(whole) {
        Some((name, unit)) => format!("{} {name}", grouped(bytes / unit)),
        None => format!("{} bytes", grouped(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, shown};

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse("16MiB"), Ok(16 << 20));
        assert_eq!(parse("1.5 kib"), Ok(1_536));
        assert_eq!(
            [16 << 20, 1_536, 3 << 10].map(shown),
            ["16 MiB", "1,536 bytes", "3 KiB"]
        );
    }

    #[test]
    fn everything_else_is_refused() {
        let no_unit = "has no unit: write for example 16MiB, or a number with KiB or GiB";
        for (text, told) in [
            ("", no_unit),
            ("16", no_unit),
            ("éB", no_unit),
            ("-1MiB", "is not a size: write for example 16MiB"),
            ("0MiB", "is not between 1KiB and 4GiB"),
            ("99999999999999999999GiB", "is not between 1KiB and 4GiB"),
        ] {
            assert_eq!(parse(text), Err(format!("'{text}' {told}")));
        }
    }
}
