//! `Filter.N`: which of many things an answer shows.

use super::error::AwsError;
use super::query::Params;

/// The filters of one call: all must hold, each for one of its values.
#[derive(Debug)]
pub(super) struct Filters(Vec<(String, Vec<String>)>);

impl Filters {
    /// Reads `Filter.N.Name` and `Filter.N.Value.M`. `known` are the names that the action takes here; `tag:KEY` is
    /// known everywhere.
    pub(super) fn read(params: &Params, known: &[&str]) -> Result<Filters, AwsError> {
        let mut filters = Vec::new();
        for filter in params.members("Filter") {
            let name = filter.required("Name").map_err(|_| AwsError::missing("Filter.Name"))?;
            if !known.contains(&name) && !name.starts_with("tag:") {
                return Err(AwsError::invalid(format!("The filter '{name}' is invalid")));
            }
            let values: Vec<String> = filter.texts("Value").into_iter().map(str::to_owned).collect();
            if values.is_empty() {
                return Err(AwsError::bad("InvalidParameterValue", format!("The filter '{name}' has no value")));
            }
            filters.push((name.to_owned(), values));
        }
        Ok(Filters(filters))
    }

    /// Whether a thing passes; `values_of` tells all the values that it has under a filter's name.
    pub(super) fn pass(&self, values_of: impl Fn(&str) -> Vec<String>) -> bool {
        self.0.iter().all(|(name, patterns)| {
            let values = values_of(name);
            patterns.iter().any(|pattern| values.iter().any(|value| matches(pattern, value)))
        })
    }
}

/// Whether `text` has the form of `pattern`: `*` is any text, `?` any character, a backslash takes the next literally.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    #[derive(PartialEq)]
    enum Piece {
        Many,
        One,
        Literal(char),
    }
    let mut pieces = Vec::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        pieces.push(match letter {
            '*' => Piece::Many,
            '?' => Piece::One,
            '\\' => Piece::Literal(letters.next().unwrap_or('\\')),
            other => Piece::Literal(other),
        });
    }
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last `*` takes one character more: linear memory, no exponential patterns.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pieces.get(p) {
            Some(Piece::Many) => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(piece) if *piece == Piece::One || *piece == Piece::Literal(text[t]) => (p, t) = (p + 1, t + 1),
            _ => match retry {
                Some((after, taken)) => {
                    (p, t) = (after, taken + 1);
                    retry = Some((after, taken + 1));
                }
                None => return false,
            },
        }
    }
    pieces[p..].iter().all(|piece| *piece == Piece::Many)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_documented() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("a", "b", false),
            ("*", "", true),
            ("debian-12-amd64-*", "debian-12-amd64-20260101", true),
            ("debian-12-amd64-*", "debian-12-arm64-20260101", false),
            ("ubuntu/*-24.04-*-server-*", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-1", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a\\*c", "abc", false),
            ("a\\*c", "a*c", true),
            ("*a*b", "xxaxxabxb", true),
            ("*a*b", "xxaxxabx", false),
            ("**", "anything", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn filters_are_and_over_names_and_or_over_values() {
        let form =
            "Filter.1.Name=state&Filter.1.Value.1=on&Filter.1.Value.2=off&Filter.2.Name=tag:env&Filter.2.Value.1=p*";
        let filters = Filters::read(&Params::parse(form.as_bytes()).unwrap(), &["state"]).unwrap();
        let thing = |state: &'static str, env: Option<&'static str>| {
            filters.pass(|name| match name {
                "state" => vec![state.to_owned()],
                _ => env.map(str::to_owned).into_iter().collect(),
            })
        };
        assert!(thing("on", Some("prod")) && thing("off", Some("p")));
        assert!(!thing("gone", Some("prod")) && !thing("on", Some("dev")) && !thing("on", None));
    }

    #[test]
    fn unknown_and_empty_filters_are_refused() {
        for form in ["Filter.1.Name=nonsense&Filter.1.Value.1=x", "Filter.1.Name=state", "Filter.1.Value.1=x"] {
            assert!(Filters::read(&Params::parse(form.as_bytes()).unwrap(), &["state"]).is_err(), "{form}");
        }
    }
}
