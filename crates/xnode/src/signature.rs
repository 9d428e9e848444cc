//! How an owner proves to be one: the wallet signs a text, and the signature names the address that made it (EIP-191).

use capsule_core::{Error, ErrorKind, Result};
use jiff::Timestamp;
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use secrecy::{ExposeSecret, SecretString};
use sha3::{Digest, Keccak256};

use crate::owner::Owner;

/// The name that every xNode answers to. Nodes without a domain of their own are logged into under it.
///
/// A signature for this name opens every such node of its owner, for ever: it is kept like a private key.
pub const LOCAL_DOMAIN: &str = "manager.xnode.local";

/// What the owner's wallet signs to log into the node at `domain`.
pub fn login_text(domain: &str, at: Timestamp) -> String {
    format!("Xnode Auth authenticate {domain} at {}", at.as_second())
}

/// Whether `owner` signed `text` with the wallet's personal-sign. The node itself does not say so at login.
///
/// # Errors
/// [`ErrorKind::Invalid`] when the signature is malformed, and [`ErrorKind::Unauthenticated`] when it is of another wallet or of
/// another text. Neither shows the signature.
pub fn verify(owner: &Owner, text: &str, signature: &SecretString) -> Result<()> {
    let signer = signer(text, signature.expose_secret().trim()).ok_or_else(|| {
        Error::new(ErrorKind::Invalid, format!("The login signature of {owner} is not a personal-sign signature."))
            .with_hint("Paste what the wallet shows: 0x and 130 hexadecimal digits.")
    })?;
    if signer != *owner {
        let message = format!("The login signature is not of {owner} for this text; it would be of {signer}.");
        return Err(Error::new(ErrorKind::Unauthenticated, message)
            .with_hint("Choose the owner's account in the wallet, and sign the text exactly as it is shown."));
    }
    Ok(())
}

/// The address that made `signature` (r, s and v in hexadecimal) over `text`, if it is a signature at all.
fn signer(text: &str, signature: &str) -> Option<Owner> {
    let digits = signature.strip_prefix("0x").unwrap_or(signature);
    if digits.len() != 130 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes = (0..130).step_by(2).map(byte).collect::<Option<Vec<u8>>>()?;
    let (rs, v) = (&bytes[..64], bytes[64]);
    // Wallets write 27 and 28, some hardware 0 and 1.
    let recovery = RecoveryId::from_byte(if v >= 27 { v - 27 } else { v }).filter(|id| !id.is_x_reduced())?;
    let hash = Keccak256::new_with_prefix(format!("\x19Ethereum Signed Message:\n{}", text.len())).chain_update(text);
    let signature = Signature::from_slice(rs).ok()?;
    let key = VerifyingKey::recover_from_prehash(&hash.finalize(), &signature, recovery).ok()?;
    // The address is the tail of the hash of the key's two coordinates.
    let point = key.to_sec1_point(false);
    let hash = Keccak256::digest(&point.as_bytes()[1..]);
    Some(Owner::from_address(hash[12..].try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by eth-account 0.14.0 (`encode_defunct`, `sign_message`) with the key 0x0123456789abcdef, four times over.
    const ADDRESS: &str = "0xFCAd0B19bB29D4674531d6f115237E16AfCE377c";
    const VECTORS: [(&str, &str); 3] = [
        (
            "Xnode Auth authenticate manager.xnode.local at 1764000000",
            "593d483802dacf14c82fe1c08a9ab8a0c348ec35638f648b8722b0d7b34318f6\
             5b29dbefde953e55484f0237133910b69bc3f81e912e03a16d7cf7ff551053fd1c",
        ),
        (
            "Xnode Auth authenticate node.example.org at 1764000001",
            "8ae3a4eaf0384367e06dd6c4d7c1f2c9074ec35a25533cbfaff0f39b4e2b4744\
             532927ead41e63ec9a9ee5cbc9d014eb2658ac4e569acec8107c37d8ed12a76c1c",
        ),
        // Its length counts in bytes.
        (
            "ünïcode 🦀",
            "c89f617fbdd0136f7a0a994a3c979aa09ea8547b55406a43ff11a59518ee5b8a\
             4947d70b69b842210fc8249d3686f43bd50af6c031b3e074136295fbabe940261c",
        ),
    ];

    fn check(owner: &str, text: &str, signature: &str) -> Result<()> {
        verify(&owner.parse().unwrap(), text, &signature.into())
    }

    #[test]
    fn the_text_is_the_one_that_nodes_rebuild() {
        let at = Timestamp::from_millisecond(1_764_000_000_900).unwrap();
        assert_eq!(login_text(LOCAL_DOMAIN, at), VECTORS[0].0);
        assert_eq!(login_text("node.example.org", Timestamp::from_second(1_764_000_001).unwrap()), VECTORS[1].0);
    }

    #[test]
    fn signatures_of_eth_account_verify() {
        for (text, signature) in VECTORS {
            check(ADDRESS, text, signature).unwrap();
            check(ADDRESS, text, &format!(" 0x{}\n", signature.to_uppercase())).unwrap();
            // v as 0 and 1 instead of 27 and 28.
            check(ADDRESS, text, &format!("{}01", &signature[..128])).unwrap();
        }
    }

    #[test]
    fn whatever_is_tampered_with_fails() {
        let (text, signature) = VECTORS[0];
        let other = "0x6A9296CEb89D12e1F53b2Dd5Df45d3ADB3A814c2";
        let late = text.replace("1764000000", "1764000001");
        let flip = |at: usize| {
            let digit = if signature.as_bytes()[at] == b'0' { "1" } else { "0" };
            format!("{}{digit}{}", &signature[..at], &signature[at + 1..])
        };
        assert_eq!(check(other, text, signature).unwrap_err().kind(), ErrorKind::Unauthenticated);
        assert_eq!(check(ADDRESS, &late, signature).unwrap_err().kind(), ErrorKind::Unauthenticated);
        check(ADDRESS, text, &format!("{}1b", &signature[..128])).unwrap_err();
        for at in 0..130 {
            check(ADDRESS, text, &flip(at)).unwrap_err();
        }
    }

    #[test]
    fn what_is_no_signature_is_refused_and_not_shown() {
        let (text, signature) = VECTORS[0];
        let zero = "0".repeat(130);
        for bad in ["", "0x", &signature[..128], &format!("{signature}00"), &format!("{}zz", &signature[..128]), &zero]
        {
            assert_eq!(check(ADDRESS, text, bad).unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
        }
        for (owner, bad) in [(ADDRESS, &signature[..128]), ("0x6A9296CEb89D12e1F53b2Dd5Df45d3ADB3A814c2", signature)] {
            let error = check(owner, text, bad).unwrap_err();
            assert!(!format!("{error:?}").contains(&signature[..16]), "{error:?}");
        }
    }
}
