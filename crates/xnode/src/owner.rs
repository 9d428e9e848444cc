//! Whose an xNode is: an Ethereum address.

use std::fmt;
use std::str::FromStr;

use capsule_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};

use crate::config::shown;

/// The wallet that owns an xNode; prints `eth:` and 40 lower-case hexadecimal digits.
///
/// The node compares this very text with the address that signed a login: with `0x` or in mixed case it would lock its
/// owner out. So every spelling is read, and only this one is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Owner([u8; 20]);

impl Owner {
    /// The owner whose address is this.
    pub fn from_address(address: [u8; 20]) -> Self {
        Owner(address)
    }

    /// The address as wallets show it: `0x` and the checksum in the letters' case (EIP-55).
    pub fn checksummed(&self) -> String {
        let digits = hex(&self.0);
        let hash = hex(&Keccak256::digest(digits.as_bytes()));
        let cased = digits.chars().zip(hash.chars()).map(|(digit, check)| match check {
            '8'..='9' | 'a'..='f' => digit.to_ascii_uppercase(),
            _ => digit,
        });
        cased.fold("0x".to_owned(), |mut address, digit| {
            address.push(digit);
            address
        })
    }
}

/// Reads `eth:` or `0x` or both before 40 hexadecimal digits.
///
/// # Errors
/// [`ErrorKind::Invalid`] for another shape, and for mixed case that is not the checksum of EIP-55: that is a typing error.
impl FromStr for Owner {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let bare = text.strip_prefix("eth:").unwrap_or(text);
        let digits = bare.strip_prefix("0x").unwrap_or(bare);
        if digits.len() == text.len() {
            return Err(refused(text, "has neither `eth:` nor `0x` in front"));
        }
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(refused(text, "holds something that is not a hexadecimal digit"));
        }
        if digits.len() != 40 {
            return Err(refused(text, &format!("has {} digits instead of 40", digits.len())));
        }
        let mut address = [0; 20];
        for (byte, pair) in address.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).expect("hexadecimal digits are ASCII");
            *byte = u8::from_str_radix(pair, 16).expect("two hexadecimal digits were seen");
        }
        let owner = Owner(address);
        let mixed = digits.bytes().any(|b| b.is_ascii_lowercase()) && digits.bytes().any(|b| b.is_ascii_uppercase());
        if mixed && owner.checksummed()[2..] != *digits {
            // The right checksum of these digits is not named: it would make a typing error look good.
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("owner {} does not match its own checksum, so a character of it is wrong.", shown(text)),
            )
            .with_hint("Copy the address from the wallet again."));
        }
        Ok(owner)
    }
}

fn refused(text: &str, why: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("owner {} {why}.", shown(text)))
        .with_hint("Write the owner as eth: and the 40 hexadecimal digits of the wallet's address.")
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "eth:{}", hex(&self.0))
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Owner {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Owner> for String {
    fn from(owner: Owner) -> String {
        owner.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples that EIP-55 itself gives.
    const CHECKSUMMED: [&str; 8] = [
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x27b1fdb04752bbc536007a920d24acb045561c26",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ];

    #[test]
    fn every_spelling_has_one_normal_form() {
        for address in CHECKSUMMED {
            let digits = &address[2..];
            let normal = format!("eth:{}", digits.to_lowercase());
            let upper = format!("eth:{}", digits.to_uppercase());
            for text in [address, &format!("eth:{address}"), &format!("eth:{digits}"), &normal, &upper] {
                let owner: Owner = text.parse().unwrap();
                assert_eq!(owner.to_string(), normal, "{text}");
                assert_eq!(owner.checksummed(), address, "{text}");
            }
        }
    }

    #[test]
    fn a_wrong_checksum_is_refused_and_the_right_one_not_named() {
        let error = "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed".parse::<Owner>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains("checksum"), "{error}");
        assert!(!format!("{error:?}").contains("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"));
        // One digit off in a copied address.
        assert!("eth:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAee".parse::<Owner>().is_err());
    }

    #[test]
    fn other_shapes_are_refused() {
        let digits = "de709f2102306220921060314715629080e2fb77";
        for text in [
            "",
            "eth:",
            "0x",
            digits,
            &format!("ETH:{digits}"),
            &format!("ethereum:{digits}"),
            &format!("eth: {digits}"),
            &format!("eth:{digits}\n"),
            &format!("eth:{}", &digits[1..]),
            &format!("eth:{digits}7"),
            &format!("0x0x{digits}"),
            "regex:.*",
            "eth:$(reboot)2306220921060314715629080e2fb77",
            "eth:dé709f2102306220921060314715629080e2fb77",
        ] {
            let error = text.parse::<Owner>().expect_err(text);
            assert!(error.message().starts_with("owner ") && error.hint().is_some(), "{error:?}");
        }
    }

    #[test]
    fn json_holds_the_normal_form() {
        let owner: Owner = serde_json::from_str(r#""0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed""#).unwrap();
        assert_eq!(serde_json::to_string(&owner).unwrap(), r#""eth:5aaeb6053f3e94c9b9a09f33669435e7ef1beaed""#);
        assert!(serde_json::from_str::<Owner>(r#""eth:1""#).is_err());
    }
}
