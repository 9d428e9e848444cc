//! Continents, by country.

use std::fmt;
use std::str::FromStr;

use capsule_core::{Error, ErrorKind, Result, nearest};

/// A continent, as far as servers are rented there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Continent {
    /// Africa.
    Africa,
    /// Asia, the Middle East included.
    Asia,
    /// Europe.
    Europe,
    /// North and Central America.
    NorthAmerica,
    /// Australia, New Zealand and the Pacific.
    Oceania,
    /// South America.
    SouthAmerica,
}

use Continent::*;

const WORDS: [(Continent, &str); 6] = [
    (Africa, "africa"),
    (Asia, "asia"),
    (Europe, "europe"),
    (NorthAmerica, "north-america"),
    (Oceania, "oceania"),
    (SouthAmerica, "south-america"),
];

/// The countries in which a vendor has a region, and their neighbours that may come next (ISO 3166 alpha-2).
const COUNTRIES: [(Continent, &str); 6] = [
    (Africa, "ZA KE NG EG MA"),
    (Asia, "AE BH HK ID IL IN JP KR MY PH QA SA SG TH TR TW VN CN"),
    (Europe, "AT BE BG CH CZ DE DK EE ES FI FR GB GR HU IE IT LT LU LV NL NO PL PT RO RS SE SI SK UA"),
    (NorthAmerica, "CA MX US PA CR"),
    (Oceania, "AU NZ"),
    (SouthAmerica, "AR BR CL CO PE"),
];

impl Continent {
    /// Where a country lies; `None` for one in which no vendor is known to have a region.
    pub fn of(country: &str) -> Option<Continent> {
        let country = country.to_ascii_uppercase();
        let holds = |codes: &str| codes.split(' ').any(|code| code == country);
        COUNTRIES.iter().find(|(_, codes)| holds(codes)).map(|(continent, _)| *continent)
    }
}

impl fmt::Display for Continent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = WORDS.iter().find(|(continent, _)| continent == self).map_or("", |(_, word)| word);
        f.pad(word)
    }
}

impl FromStr for Continent {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let word = text.to_ascii_lowercase();
        WORDS.iter().find(|(_, known)| *known == word).map(|(continent, _)| *continent).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("There is no continent `{text}`."))
                .with_hint(nearest::hint(&word, WORDS.iter().map(|(_, known)| *known)))
        })
    }
}
