//! What tokens cost, and money as the command line has it.

use rate_limited::Amount;

use crate::values::decimal::Decimal;
use crate::values::text::quoted;

pub(crate) use rate_limited_apis::{MICROS_PER_DOLLAR, Prices};

/// Prices as `--price` has them.
pub(crate) fn parse_prices(text: &str) -> Result<Prices, String> {
    let mut prices = Prices::default();
    for part in text.split(',') {
        let (name, number) = part.split_once('=').unwrap_or((part, ""));
        let place = match name.trim() {
            "input" => &mut prices.input,
            "output" => &mut prices.output,
            "request" => &mut prices.request,
            name => {
                return Err(format!(
                    "{} is no price: write for example input=0.15,output=0.60, in dollars for a million \
                     tokens, and request=0.005 for what each request costs",
                    quoted(name)
                ));
            }
        };
        let number = number.trim();
        let is_plain = Decimal::parse(number.trim_start_matches('$')).is_ok();
        let price = number
            .trim_start_matches('$')
            .parse()
            .ok()
            .filter(|_| is_plain);
        let price = price.ok_or_else(|| {
            format!(
                "the price {} is not a number of dollars such as 0.15",
                quoted(number)
            )
        })?;
        if place.replace(price).is_some() {
            return Err(format!("{} has two prices: keep one", quoted(name)));
        }
    }
    Ok(prices)
}

/// Reads an amount of dollars above zero: `5`, `0.50`, `$12`.
pub(crate) fn parse(text: &str) -> Result<Amount, String> {
    let number = Decimal::parse(text.trim().trim_start_matches('$'));
    let micros = number.and_then(|number| number.times(MICROS_PER_DOLLAR.into()));
    let micros = micros.ok().and_then(|micros| i64::try_from(micros).ok());
    match micros {
        Some(micros) if micros > 0 => Ok(Amount::from_micros(micros)),
        _ => Err(format!(
            "{} is not an amount of dollars above zero, such as 5.00",
            quoted(text)
        )),
    }
}

/// Money for people: two places, or as many as small sums need.
pub(crate) fn shown(amount: Amount) -> String {
    let dollars = amount.as_micros() as f64 / f64::from(MICROS_PER_DOLLAR);
    let places = match dollars.abs() {
        0.0 => 2,
        sum if sum < 0.001 => 6,
        sum if sum < 1.0 => 4,
        _ => 2,
    };
    format!("${dollars:.places$}")
}

#[cfg(test)]
mod tests {
    use super::{parse, parse_prices, shown};
    use rate_limited_apis::tokens_cost as cost;

    #[test]
    fn prices_are_told_by_name() {
        let prices = parse_prices("input=0.15, output=$0.60").expect("two prices");
        assert_eq!(
            (prices.input, prices.output, prices.request),
            (Some(0.15), Some(0.6), None)
        );
        for (text, told) in [
            ("", "'' is no price"),
            ("0.15", "'0.15' is no price"),
            ("input", "the price '' is not a number"),
            ("input=-1", "the price '-1' is not"),
            ("input=nan", "the price 'nan' is not"),
            ("input=1,input=2", "'input' has two prices"),
        ] {
            let fault = parse_prices(text).expect_err(text);
            assert!(fault.starts_with(told), "{fault}");
        }
    }

    #[test]
    fn money_is_exact_to_the_billionth_and_rounded_up() {
        assert_eq!(parse("5").map(shown), Ok("$5.00".to_owned()));
        assert_eq!(parse("$0.0305").map(shown), Ok("$0.0305".to_owned()));
        assert!(
            ["0", "-1", "", "1e3", "0.0000000001"]
                .iter()
                .all(|text| parse(text).is_err())
        );
        assert_eq!(cost(1.0, 0.0375).as_micros(), 38);
        assert_eq!(cost(2e6, 1.5), parse("3").expect("money"));
        assert_eq!(shown(cost(3.0, 0.15)), "$0.000000");
        assert_eq!(shown(cost(300.0, 0.15)), "$0.000045");
    }
}
