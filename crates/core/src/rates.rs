//! Exchange rates that the user supplies: Capsule knows none of its own.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::money::{Currency, Money};

/// Rates of one day. Without one between two currencies, their amounts are neither compared nor added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// The day they held on.
    pub as_of: Option<Date>,
    /// What one unit of a currency is worth in another.
    of: Vec<(Currency, Money)>,
}

impl Rates {
    /// None yet, to be of this day.
    pub fn of(day: Option<Date>) -> Self {
        Rates { as_of: day, of: Vec::new() }
    }

    /// Adds a rate written as `EUR=1.08 USD`: one euro is 1.08 dollars. The way back follows from it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] that says how to write one.
    pub fn add(&mut self, text: &str) -> Result<()> {
        let bad = |why: String| {
            Error::new(ErrorKind::Invalid, format!("`{text}` is not an exchange rate: {why}."))
                .with_hint("Write what one unit is worth, such as `EUR=1.08 USD`.")
        };
        let (from, worth) = text.split_once('=').ok_or_else(|| bad("there is no `=`".to_owned()))?;
        let (amount, to) =
            worth.trim().split_once(' ').ok_or_else(|| bad("the second currency is missing".to_owned()))?;
        let from: Currency = from.trim().parse().map_err(|error: crate::MoneyError| bad(error.to_string()))?;
        let to: Currency = to.trim().parse().map_err(|error: crate::MoneyError| bad(error.to_string()))?;
        let worth = Money::parse(amount, to).map_err(|_| bad(format!("`{amount}` is not a number")))?;
        if worth.amount().is_sign_negative() || worth.amount().is_zero() {
            return Err(bad("it is not above zero".to_owned()));
        }
        if from == to {
            return Err(bad("it is between a currency and itself".to_owned()));
        }
        self.of.retain(|(known, worth)| (*known, worth.currency()) != (from, to));
        self.of.push((from, worth));
        Ok(())
    }

    /// The amount in another currency; `None` without a rate.
    pub fn convert(&self, money: Money, to: Currency) -> Option<Money> {
        let from = money.currency();
        if from == to {
            return Some(money);
        }
        let worth = |one: Currency, other: Currency| {
            let found = self.of.iter().find(|(from, worth)| (*from, worth.currency()) == (one, other));
            found.map(|(_, worth)| worth.amount())
        };
        let amount = match (worth(from, to), worth(to, from)) {
            (Some(rate), _) => money.amount().checked_mul(rate)?,
            (None, Some(rate)) => money.amount().checked_div(rate)?,
            (None, None) => return None,
        };
        Some(Money::new(amount, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_works_both_ways_and_only_between_its_two() {
        let mut rates = Rates::default();
        rates.add("EUR=1.25 USD").unwrap();
        let of = |amount: &str, currency| Money::parse(amount, currency).unwrap();
        assert_eq!(rates.convert(of("4", Currency::EUR), Currency::USD), Some(of("5", Currency::USD)));
        assert_eq!(rates.convert(of("5", Currency::USD), Currency::EUR), Some(of("4", Currency::EUR)));
        assert_eq!(rates.convert(of("1", Currency::USD), "CHF".parse().unwrap()), None);
        assert_eq!(rates.convert(of("1", Currency::USD), Currency::USD), Some(of("1", Currency::USD)));
    }

    #[test]
    fn what_is_no_rate_is_refused_with_the_reason() {
        for (text, why) in [
            ("EUR", "no `=`"),
            ("EUR=1.08", "second currency"),
            ("EURO=1.08 USD", "no currency code"),
            ("EUO=1.08 USD", "`EUO` is no currency code"),
            ("EUR=x USD", "not a number"),
            ("EUR=0 USD", "above zero"),
            ("EUR=1 EUR", "itself"),
        ] {
            let error = Rates::default().add(text).unwrap_err();
            assert!(error.message().contains(why), "{text}: {}", error.message());
        }
    }
}
