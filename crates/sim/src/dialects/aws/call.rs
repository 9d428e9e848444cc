//! One authenticated call, and what every action needs of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;

use super::error::AwsError;
use super::query::Params;
use super::{PACE, data};
use crate::machine::MachineKind;
use crate::world::View;

/// One authenticated call.
#[derive(Debug)]
pub(super) struct Call<'c, 'w> {
    pub(super) params: &'c Params,
    pub(super) view: &'c mut View<'w>,
    /// The account's name in the world.
    pub(super) account: String,
    /// How many servers it may have in a region.
    pub(super) machine_limit: u32,
    /// The region of the credential scope.
    pub(super) region: String,
}

impl Call<'_, '_> {
    /// The account's twelve digits.
    pub(super) fn owner(&self) -> &'static str {
        owner(&self.account)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.view.now()
    }

    /// A natural time at the speed of this world.
    pub(super) fn scaled_ms(&self, ms: u64) -> u64 {
        ms * self.view.pace(MachineKind::Virtual).starting_ms / PACE.starting_ms
    }

    /// The id of something new.
    pub(super) fn fresh_id(&mut self, prefix: &str) -> String {
        format!("{prefix}-0{}", self.view.hex(16))
    }

    /// The region's default VPC.
    pub(super) fn vpc(&self) -> String {
        data::id("vpc", &[&self.account, &self.region])
    }

    /// The default security group of the default VPC.
    pub(super) fn default_group(&self) -> String {
        data::id("sg", &[&self.account, &self.region])
    }

    /// The default subnet of a zone.
    pub(super) fn subnet(&self, zone: &str) -> String {
        data::id("subnet", &[&self.account, zone])
    }
}

/// An account's twelve digits.
pub(super) fn owner(account: &str) -> &'static str {
    if account == "sandbox" { "123456789012" } else { "210987654321" }
}

/// The vendor's spelling of a moment.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// A part of a list.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

/// The part of `all` that `MaxResults` and `NextToken` ask for, of those that `keep` keeps. `all` must have the same
/// order at every call, so that a token, which is a place in it, stays true while things come and go.
pub(super) fn page<T>(
    params: &Params,
    limits: std::ops::RangeInclusive<i64>,
    all: impl IntoIterator<Item = T>,
    keep: impl Fn(&T) -> bool,
) -> Result<Page<T>, AwsError> {
    let max = match params.number("MaxResults")? {
        None => *limits.end(),
        Some(max) if limits.contains(&max) => max,
        Some(max) => {
            return Err(AwsError::invalid(format!(
                "Value ( {max} ) for parameter maxResults is invalid. Expecting a value between {} and {}.",
                limits.start(),
                limits.end()
            )));
        }
    };
    let start = match params.text("NextToken").filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => read_token(token)?,
    };
    let mut kept = all.into_iter().enumerate().skip(start).filter(|(_, item)| keep(item));
    let mut items = Vec::new();
    let mut next = None;
    for (place, item) in kept.by_ref() {
        if i64::try_from(items.len()).unwrap_or(i64::MAX) == max {
            next = Some(BASE64.encode(format!("from:{place}")));
            break;
        }
        items.push(item);
    }
    Ok(Page { items, next })
}

fn read_token(token: &str) -> Result<usize, AwsError> {
    BASE64
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.strip_prefix("from:")?.parse().ok())
        .ok_or_else(|| AwsError::bad("InvalidNextToken", "The specified NextToken is not valid."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(form: &str, token: Option<String>) -> Result<Page<u32>, AwsError> {
        let form = token.map_or(form.to_owned(), |token| {
            url::form_urlencoded::Serializer::new(format!("{form}&")).append_pair("NextToken", &token).finish()
        });
        page(&Params::parse(form.as_bytes()).unwrap(), 5..=1000, 0..20, |n| n % 2 == 0)
    }

    #[test]
    fn pages_follow_each_other_without_gap() {
        let first = pages("MaxResults=7", None).unwrap();
        assert_eq!(first.items, [0, 2, 4, 6, 8, 10, 12]);
        let second = pages("MaxResults=7", first.next).unwrap();
        assert_eq!((second.items, second.next), (vec![14, 16, 18], None));
        assert_eq!(pages("", None).unwrap().items.len(), 10);
    }

    #[test]
    fn bad_sizes_and_tokens_are_refused() {
        assert_eq!(pages("MaxResults=4", None).unwrap_err().code, "InvalidParameterValue");
        assert_eq!(pages("MaxResults=1001", None).unwrap_err().code, "InvalidParameterValue");
        assert_eq!(pages("MaxResults=5", Some("nonsense".to_owned())).unwrap_err().code, "InvalidNextToken");
    }
}
