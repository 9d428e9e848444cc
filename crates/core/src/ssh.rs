//! Public keys for logging in.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Error, ErrorKind};
use crate::instance::OwnerId;

/// An OpenSSH public key line, such as `ssh-ed25519 AAAA... me@home`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    material: String,
    comment: String,
}

impl PublicKey {
    /// Kind and key without the comment: what makes two lines the same key.
    pub fn material(&self) -> &str {
        &self.material
    }

    /// What it is called at a vendor that an installation gives it to: the installation's mark, and the start of its own
    /// comment in characters that every vendor takes.
    pub fn name_for(&self, owner: &OwnerId) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._@-".contains(c) { c } else { '-' };
        let comment: String = self.comment.chars().take(COMMENT_MAX).map(plain).collect();
        if comment.is_empty() { mark(owner) } else { format!("{}-{comment}", mark(owner)) }
    }
}

/// So much of a comment is part of a key's name.
const COMMENT_MAX: usize = 40;

fn mark(owner: &OwnerId) -> String {
    format!("capsule-{owner}")
}

/// Whether an installation gave the key of this name to its vendor. A key that the user gave it has another name, be it the
/// same key.
pub fn is_named_for(name: &str, owner: &OwnerId) -> bool {
    name.strip_prefix(&mark(owner)).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

impl FromStr for PublicKey {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::Invalid`], without showing the text: it may be a private key, given by mistake.
    fn from_str(line: &str) -> Result<Self, Error> {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some(kind), Some(blob)) if STANDARD.decode(blob).is_ok_and(|bytes| bytes.len() > 16) => {
                Ok(PublicKey { material: format!("{kind} {blob}"), comment: words.collect::<Vec<_>>().join(" ") })
            }
            _ => Err(Error::new(ErrorKind::Invalid, "The ssh key is not a public key line.")
                .with_hint("It looks like `ssh-ed25519 AAAA... me@home` and lies in a file that ends in `.pub`.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn the_comment_is_no_part_of_the_key() {
        let (bare, named): (PublicKey, PublicKey) =
            (KEY.parse().unwrap(), format!(" {KEY}  me at\thome\n").parse().unwrap());
        assert_eq!(bare.material(), named.material());
        let owner: OwnerId = "j9ys81y30wvr2h3m".parse().unwrap();
        assert_eq!(bare.name_for(&owner), "capsule-j9ys81y30wvr2h3m");
        assert_eq!(named.name_for(&owner), "capsule-j9ys81y30wvr2h3m-me-at-home");
    }

    #[test]
    fn only_an_installation_s_own_keys_bear_its_mark() {
        let owner: OwnerId = "j9ys81y30wvr2h3m".parse().unwrap();
        let long: PublicKey = format!("{KEY} {}", "é".repeat(300)).parse().unwrap();
        for name in ["capsule-j9ys81y30wvr2h3m", "capsule-j9ys81y30wvr2h3m-me", &long.name_for(&owner)] {
            assert!(is_named_for(name, &owner) && name.len() < 80 && name.is_ascii(), "{name}");
        }
        for name in ["capsule", "me@home", "capsule-j9ys81y30wvr2h3mx", "capsule-0123456789abcdef-me", ""] {
            assert!(!is_named_for(name, &owner), "{name}");
        }
    }

    #[test]
    fn what_is_no_public_key_is_not_shown() {
        for text in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl"] {
            let error = text.parse::<PublicKey>().unwrap_err();
            assert!(!format!("{error:?}").contains("PRIVATE"), "{error:?}");
        }
    }
}
