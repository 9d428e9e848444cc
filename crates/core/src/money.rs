//! Exact money. No floats: vendors' JSON prices are read as text.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A code of ISO 4217, such as `USD`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

impl Currency {
    /// United States dollar.
    pub const USD: Currency = Currency(*b"USD");
    /// Euro.
    pub const EUR: Currency = Currency(*b"EUR");

    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII letters are let in")
    }
}

impl FromStr for Currency {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let unknown = || MoneyError::NotACurrency(text.to_owned());
        let code = text.to_ascii_uppercase();
        let letters = code.as_bytes().try_into().map_err(|_| unknown())?;
        iso_currency::Currency::from_code(&code).map(|_| Currency(letters)).ok_or_else(unknown)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Why a sum could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MoneyError {
    /// Two amounts of different currencies met.
    Mixed(Currency, Currency),
    /// The result does not fit 96 bits.
    Overflow,
    /// This is not a decimal number.
    NotANumber(String),
    /// This is no currency code.
    NotACurrency(String),
}

impl fmt::Display for MoneyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MoneyError::Mixed(a, b) => write!(f, "{a} and {b} cannot be added or compared without an exchange rate"),
            MoneyError::Overflow => f.write_str("the amount is too large"),
            MoneyError::NotANumber(text) => write!(f, "`{text}` is not a decimal number"),
            MoneyError::NotACurrency(text) => write!(f, "`{text}` is no currency code of ISO 4217, such as USD or EUR"),
        }
    }
}

impl std::error::Error for MoneyError {}

/// An exact amount in one currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    #[serde(with = "decimal_text")]
    amount: Decimal,
    currency: Currency,
}

impl Money {
    /// `amount` of `currency`.
    pub fn new(amount: Decimal, currency: Currency) -> Self {
        Money { amount: amount.normalize(), currency }
    }

    /// `units` divided by ten so often: `constant(744, 5, USD)` is 0.00744 USD. For tables of facts.
    pub const fn constant(units: u32, places: u32, currency: Currency) -> Self {
        Money { amount: Decimal::from_parts(units, 0, 0, false, places), currency }
    }

    /// Reads a number as a vendor writes it: `0.00744`, `5`, `1e-3`.
    ///
    /// # Errors
    /// [`MoneyError::NotANumber`].
    pub fn parse(amount: &str, currency: Currency) -> Result<Self, MoneyError> {
        parse_decimal(amount).map(|amount| Money::new(amount, currency))
    }

    /// Nothing, in `currency`.
    pub fn zero(currency: Currency) -> Self {
        Money { amount: Decimal::ZERO, currency }
    }

    /// The number.
    pub fn amount(&self) -> Decimal {
        self.amount
    }

    /// The currency.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// The sum.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`] or [`MoneyError::Overflow`].
    pub fn checked_add(self, other: Money) -> Result<Money, MoneyError> {
        self.same(other)?;
        self.amount.checked_add(other.amount).map(|sum| Money::new(sum, self.currency)).ok_or(MoneyError::Overflow)
    }

    /// The difference, below zero where `other` is the larger.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`] or [`MoneyError::Overflow`].
    pub fn checked_sub(self, other: Money) -> Result<Money, MoneyError> {
        self.same(other)?;
        let difference = self.amount.checked_sub(other.amount);
        difference.map(|amount| Money::new(amount, self.currency)).ok_or(MoneyError::Overflow)
    }

    /// `self` times a number.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn checked_mul(self, by: impl Into<Decimal>) -> Result<Money, MoneyError> {
        self.amount.checked_mul(by.into()).map(|product| Money::new(product, self.currency)).ok_or(MoneyError::Overflow)
    }

    /// `self` divided by a number, to 28 digits.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`], also for zero.
    pub fn checked_div(self, by: impl Into<Decimal>) -> Result<Money, MoneyError> {
        self.amount.checked_div(by.into()).map(|part| Money::new(part, self.currency)).ok_or(MoneyError::Overflow)
    }

    /// Which of two amounts is the larger.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`].
    pub fn checked_cmp(self, other: Money) -> Result<Ordering, MoneyError> {
        self.same(other)?;
        Ok(self.amount.cmp(&other.amount))
    }

    /// The smaller of two amounts.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`].
    pub fn checked_min(self, other: Money) -> Result<Money, MoneyError> {
        Ok(if self.checked_cmp(other)? == Ordering::Greater { other } else { self })
    }

    /// The larger of two amounts.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`].
    pub fn checked_max(self, other: Money) -> Result<Money, MoneyError> {
        Ok(if self.checked_cmp(other)? == Ordering::Less { other } else { self })
    }

    /// Rounded half away from zero to so many decimal places.
    pub fn round(self, places: u32) -> Money {
        Money::new(self.amount.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero), self.currency)
    }

    fn same(self, other: Money) -> Result<(), MoneyError> {
        if self.currency == other.currency { Ok(()) } else { Err(MoneyError::Mixed(self.currency, other.currency)) }
    }
}

/// `0.0149 USD`; a precision such as `{:.2}` rounds and pads the number.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match f.precision() {
            Some(places) => {
                write!(f, "{:.places$} {}", self.round(u32::try_from(places).unwrap_or(28)).amount, self.currency)
            }
            None => write!(f, "{} {}", self.amount, self.currency),
        }
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn parse_decimal(text: &str) -> Result<Decimal, MoneyError> {
    let text = text.trim();
    // Vendors' float noise has up to 17 digits; what exceeds 28 is rounded by `from_str`.
    Decimal::from_str(text)
        .or_else(|_| Decimal::from_scientific(text))
        .map_err(|_| MoneyError::NotANumber(text.to_owned()))
}

/// A decimal as text in our JSON; read from text or from a number of any JSON without passing through a float.
///
/// For use with `#[serde(with = "...")]`; [`option`](decimal_text::option) does the same for what may be absent or null.
pub mod decimal_text {
    use super::*;

    /// Writes the decimal as a JSON string.
    pub fn serialize<S: Serializer>(value: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    /// Reads a JSON string or number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        let raw = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
        from_raw(raw.get()).map_err(D::Error::custom)
    }

    fn from_raw(raw: &str) -> Result<Decimal, MoneyError> {
        parse_decimal(raw.trim().trim_matches('"'))
    }

    /// The same for `Option<Decimal>`; null and (with `#[serde(default)]`) absence are `None`.
    pub mod option {
        use super::*;

        /// Writes a JSON string or null.
        pub fn serialize<S: Serializer>(value: &Option<Decimal>, serializer: S) -> Result<S::Ok, S::Error> {
            match value {
                Some(value) => serializer.collect_str(value),
                None => serializer.serialize_none(),
            }
        }

        /// Reads a JSON string, number or null.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
            let raw = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
            if raw.get().trim() == "null" {
                return Ok(None);
            }
            from_raw(raw.get()).map(Some).map_err(D::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Money {
        Money::parse(text, Currency::USD).unwrap()
    }

    #[test]
    fn only_codes_of_the_standard_are_currencies() {
        assert_eq!("usd".parse(), Ok(Currency::USD));
        for text in ["", "US", "USDT", "USE", "ÜSD", "U$D", "1"] {
            assert_eq!(text.parse::<Currency>(), Err(MoneyError::NotACurrency(text.to_owned())));
        }
    }

    #[test]
    fn currencies_never_mix() {
        let euro = Money::parse("1", Currency::EUR).unwrap();
        assert_eq!(usd("1").checked_add(euro), Err(MoneyError::Mixed(Currency::USD, Currency::EUR)));
        assert!(usd("1").checked_cmp(euro).is_err());
    }

    #[test]
    fn vendor_numbers_are_read_as_text() {
        #[derive(Deserialize)]
        struct Size {
            #[serde(with = "decimal_text")]
            price_hourly: Decimal,
            #[serde(with = "decimal_text::option", default)]
            price_monthly: Option<Decimal>,
        }
        let size: Size = serde_json::from_str(r#"{"price_hourly":0.00743999984115362,"price_monthly":null}"#).unwrap();
        assert_eq!(size.price_hourly.to_string(), "0.00743999984115362");
        assert_eq!(size.price_monthly, None);
        let text: Size = serde_json::from_str(r#"{"price_hourly":"1e-3"}"#).unwrap();
        assert_eq!(text.price_hourly.to_string(), "0.001");
    }

    #[test]
    fn money_prints_for_people_and_machines() {
        assert_eq!(format!("{:.2}", usd("5")), "5.00 USD");
        assert_eq!(usd("0.00744").to_string(), "0.00744 USD");
        let json = serde_json::to_string(&usd("0.00744")).unwrap();
        assert_eq!(json, r#"{"amount":"0.00744","currency":"USD"}"#);
        assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), usd("0.00744"));
    }
}
