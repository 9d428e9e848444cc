//! Who a request comes from: what `xnode-auth` makes of its three cookies.

use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use sha3::{Digest, Keccak256};

use crate::wire::Request;

/// The cookies of a login: names that the node sets and reads.
pub(super) const COOKIES: [&str; 3] = ["xnode_auth_user", "xnode_auth_signature", "xnode_auth_timestamp"];

/// Whether the cookies of `request` are the owner's, for the host name `domain`.
pub(super) fn is_owner(request: &Request, domain: &str, owner: &str) -> bool {
    if owner == format!("ip:{}", super::CLIENT) {
        return true;
    }
    let [Some(user), Some(signature), Some(timestamp)] = COOKIES.map(|name| cookie(request, name)) else {
        return false;
    };
    let Ok(timestamp) = timestamp.parse::<f64>() else { return false };
    // As JavaScript writes a whole number.
    let text = format!("Xnode Auth authenticate {domain} at {timestamp}");
    user == owner && signer(&text, &signature).is_some_and(|signer| signer == owner)
}

fn cookie(request: &Request, name: &str) -> Option<String> {
    let all = request.headers.get_all(http::header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(own, _)| *own == name)?;
    percent_encoding::percent_decode_str(value).decode_utf8().ok().map(|text| text.trim_matches('"').to_owned())
}

/// The address that signed `text` by personal-sign (EIP-191), as `eth:` and 40 digits in lower case.
pub(super) fn signer(text: &str, signature: &str) -> Option<String> {
    let digits = signature.strip_prefix("0x")?;
    if digits.len() != 130 || !digits.is_ascii() {
        return None;
    }
    let pairs = (0..65).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok());
    let bytes: Vec<u8> = pairs.collect::<Option<_>>()?;
    let recovery = match bytes[64] {
        v @ (0 | 1) => v,
        v @ (27 | 28) => v - 27,
        _ => return None,
    };
    let mut hash = Keccak256::new();
    hash.update(format!("\x19Ethereum Signed Message:\n{}{text}", text.len()));
    let signature = Signature::from_slice(&bytes[..64]).ok()?;
    let key =
        VerifyingKey::recover_from_prehash(&hash.finalize(), &signature, RecoveryId::from_byte(recovery)?).ok()?;
    let address = Keccak256::digest(&key.to_sec1_point(false).as_bytes()[1..]);
    Some(address[12..].iter().fold("eth:".to_owned(), |text, byte| format!("{text}{byte:02x}")))
}

#[cfg(test)]
mod tests {
    use super::signer;

    /// Made by eth-account 0.14.0 with the key 0x0123456789abcdef, four times over.
    #[test]
    fn a_signature_names_its_maker() {
        let text = "Xnode Auth authenticate manager.xnode.local at 1764000000";
        let signature = "0x593d483802dacf14c82fe1c08a9ab8a0c348ec35638f648b8722b0d7b34318f6\
                         5b29dbefde953e55484f0237133910b69bc3f81e912e03a16d7cf7ff551053fd1c";
        let owner = "eth:fcad0b19bb29d4674531d6f115237e16afce377c";
        assert_eq!(signer(text, signature).as_deref(), Some(owner));
        assert_ne!(signer(&text.replace("manager", "Manager"), signature).as_deref(), Some(owner));
        for bad in ["", "0x", "0x00", &signature[2..], &signature[..130], &signature.replace("1c", "zz")] {
            assert_eq!(signer(text, bad), None, "{bad}");
        }
    }
}
