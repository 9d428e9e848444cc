//! Tags, and how they travel through vendors whose tags are flat words.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, ErrorKind, Result};
use crate::instance::{OwnerId, Token};

/// Key-value labels on a server, in key order.
///
/// There are few on each of many servers, and the smallest map takes several times the room of a list of two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags(Vec<(String, String)>);

/// The tag that marks a server as one installation's own.
pub const OWNER: &str = "capsule-owner";
/// The tag that carries the token a server was created under.
pub const TOKEN: &str = "capsule-token";
/// Keys that users may not set: their meaning is ours.
pub const RESERVED: [&str; 2] = [OWNER, TOKEN];

impl Tags {
    /// No tags.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one `KEY=VALUE`, or `KEY` alone with an empty value.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an empty key, a control character, or a key of ours.
    pub fn parse_pair(text: &str) -> Result<(String, String)> {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        let bad = |why: &str| {
            Error::new(ErrorKind::Invalid, format!("tag `{text}`: {why}.")).with_hint("Write tags as KEY=VALUE.")
        };
        if key.is_empty() {
            return Err(bad("the key is empty"));
        }
        if text.chars().any(char::is_control) {
            return Err(bad("control characters are not allowed"));
        }
        if RESERVED.contains(&key) {
            return Err(bad("this key is reserved for Capsule itself"));
        }
        Ok((key.to_owned(), value.to_owned()))
    }

    /// Sets `key`, replacing what it held.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let (key, value) = (key.into(), value.into());
        match self.place(&key) {
            Ok(there) => self.0[there].1 = value,
            Err(before) => self.0.insert(before, (key, value)),
        }
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.place(key).ok().map(|there| self.0[there].1.as_str())
    }

    fn place(&self, key: &str) -> std::result::Result<usize, usize> {
        self.0.binary_search_by(|(has, _)| has.as_str().cmp(key))
    }

    /// All pairs in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// These tags and the two that make a server ours and findable: what a driver sends at birth.
    pub fn at_birth(&self, owner: &OwnerId, token: &Token) -> Tags {
        let mut tags = self.clone();
        tags.insert(OWNER, owner.as_str());
        tags.insert(TOKEN, token.as_str());
        tags
    }

    /// The installation that a server says it belongs to.
    pub fn owner(&self) -> Option<&str> {
        self.get(OWNER)
    }

    /// Whether the owner's mark is among them.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] for the mark of another installation: a server belongs to one.
    pub fn are_of(&self, owner: &OwnerId) -> Result<bool> {
        match self.owner() {
            None => Ok(false),
            Some(whose) if whose == owner.as_str() => Ok(true),
            Some(whose) => Err(Error::new(ErrorKind::Conflict, format!("It belongs to installation `{whose}`."))
                .with_hint(format!(
                    "Give it up there first: take the tag `{OWNER}` from it at its provider, if that one is no more."
                ))),
        }
    }

    /// The token that a server was created under.
    pub fn token(&self) -> Option<&str> {
        self.get(TOKEN)
    }
}

impl FromIterator<(String, String)> for Tags {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let mut tags = Tags::new();
        pairs.into_iter().for_each(|(key, value)| tags.insert(key, value));
        tags
    }
}

impl Serialize for Tags {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Ok(BTreeMap::<String, String>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// How one vendor spells a tag that is a single word.
#[derive(Debug, Clone, Copy)]
pub struct FlatTags {
    /// What stands between key and value.
    pub separator: char,
    /// Which characters the vendor takes unchanged, beside ASCII letters and digits.
    pub allowed: &'static str,
    /// The character that starts an escape, `XHH` with the byte in hexadecimal. It is itself escaped.
    pub escape: char,
    /// The vendor's limit in characters.
    pub max_length: usize,
}

impl FlatTags {
    /// `key` and `value` as one word of the vendor's alphabet. [`decode`](FlatTags::decode) reads it back.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the result is longer than the vendor allows.
    pub fn encode(&self, key: &str, value: &str) -> Result<String> {
        let mut word = self.escape_part(key);
        if !value.is_empty() {
            word.push(self.separator);
            word.push_str(&self.escape_part(value));
        }
        if word.chars().count() > self.max_length {
            let message = format!(
                "tag `{key}={value}` is longer than the {} characters that this provider takes.",
                self.max_length
            );
            return Err(Error::new(ErrorKind::Invalid, message).with_hint("Shorten the key or the value."));
        }
        Ok(word)
    }

    /// Key and value of a word, whoever wrote it: a foreign tag without separator is a key alone.
    pub fn decode(&self, word: &str) -> (String, String) {
        let (key, value) = word.split_once(self.separator).unwrap_or((word, ""));
        (self.unescape_part(key), self.unescape_part(value))
    }

    /// The words that a server has at the vendor with the owner's mark among them; `None` if it is there already.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] for the mark of another installation.
    pub fn marked<W: Into<String>>(
        &self,
        words: impl IntoIterator<Item = W>,
        owner: &OwnerId,
    ) -> Result<Option<Vec<String>>> {
        let mut words: Vec<String> = words.into_iter().map(Into::into).collect();
        if words.iter().map(|word| self.decode(word)).collect::<Tags>().are_of(owner)? {
            return Ok(None);
        }
        // As they stand there: what somebody else wrote need not be what we would write for the same.
        words.push(self.encode(OWNER, owner.as_str())?);
        Ok(Some(words))
    }

    fn escape_part(&self, part: &str) -> String {
        let mut out = String::with_capacity(part.len());
        for byte in part.bytes() {
            let c = char::from(byte);
            let plain = c.is_ascii_alphanumeric() || (byte.is_ascii() && self.allowed.contains(c));
            if plain && c != self.escape && c != self.separator {
                out.push(c);
            } else {
                write!(out, "{}{byte:02x}", self.escape).expect("writing to a String cannot fail");
            }
        }
        out
    }

    fn unescape_part(&self, part: &str) -> String {
        if !part.contains(self.escape) {
            return part.to_owned();
        }
        let mut bytes = Vec::with_capacity(part.len());
        let mut rest = part;
        while let Some(c) = rest.chars().next() {
            let hex = rest.get(c.len_utf8()..c.len_utf8() + 2).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
            match hex {
                Some(hex) if c == self.escape => {
                    bytes.push(u8::from_str_radix(hex, 16).expect("two hexadecimal digits were seen"));
                    rest = &rest[c.len_utf8() + 2..];
                }
                _ => {
                    bytes.extend_from_slice(&rest.as_bytes()[..c.len_utf8()]);
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        // Foreign tags may hold escapes of their own that are no UTF-8: then the word stands as it was.
        String::from_utf8(bytes).unwrap_or_else(|_| part.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WORDS: FlatTags = FlatTags { separator: ':', allowed: "-_", escape: '_', max_length: 255 };

    proptest! {
        #[test]
        fn what_is_encoded_can_be_read_back(key in "\\PC{1,20}", value in "\\PC{0,20}") {
            let word = FlatTags { max_length: 4096, ..WORDS }.encode(&key, &value).unwrap();
            prop_assert!(word.chars().all(|c| c.is_ascii_alphanumeric() || ":-_".contains(c)));
            prop_assert_eq!(WORDS.decode(&word), (key, value));
        }

        #[test]
        fn foreign_words_never_panic(word in "\\PC{0,40}") {
            WORDS.decode(&word);
        }
    }

    #[test]
    fn reserved_keys_are_refused() {
        assert!(Tags::parse_pair("capsule-owner=me").is_err());
        assert_eq!(Tags::parse_pair("env=prod=eu").unwrap(), ("env".to_owned(), "prod=eu".to_owned()));
    }

    #[test]
    fn marking_leaves_foreign_words_as_they_are_and_takes_nobody_elses_server() {
        let (owner, other) = (OwnerId::random(), OwnerId::random());
        let words = WORDS.marked(["env:prod", "ü b", "a_zz"], &owner).unwrap().unwrap();
        assert_eq!(words[..3], ["env:prod", "ü b", "a_zz"]);
        assert_eq!(words[3], format!("capsule-owner:{owner}"));
        assert_eq!(WORDS.marked(words.clone(), &owner).unwrap(), None);
        assert_eq!(WORDS.marked(words, &other).unwrap_err().kind(), ErrorKind::Conflict);
    }

    #[test]
    fn too_long_a_tag_is_refused() {
        assert!(WORDS.encode("k", &"v".repeat(255)).is_err());
    }
}
