//! Public keys for logging in.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Error, ErrorKind};

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

    /// What it is called at a vendor: its own comment, if it has one.
    pub fn name(&self) -> &str {
        if self.comment.is_empty() { "capsule" } else { &self.comment }
    }
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
        assert_eq!((bare.name(), named.name()), ("capsule", "me at home"));
    }

    #[test]
    fn what_is_no_public_key_is_not_shown() {
        for text in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl"] {
            let error = text.parse::<PublicKey>().unwrap_err();
            assert!(!format!("{error:?}").contains("PRIVATE"), "{error:?}");
        }
    }
}
