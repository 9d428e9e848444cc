//! Key pairs: public keys that belong to a region.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::call::{Call, moment};
use super::error::AwsError;
use super::filter::Filters;
use super::tags;
use super::xml::Xml;
use crate::world::Resource;

/// The kind of resource.
pub(super) const KEY_PAIR: &str = "key-pair";

#[derive(Debug, Serialize, Deserialize)]
struct KeyPair {
    kind: String,
    fingerprint: String,
    public_key: String,
}

fn all<'c>(call: &'c Call<'_, '_>) -> impl Iterator<Item = &'c Resource> {
    call.view.resources(&call.account, KEY_PAIR).filter(|key| key.region.as_deref() == Some(&call.region))
}

/// The region's key pair of that name.
pub(super) fn find<'c>(call: &'c Call<'_, '_>, name: &str) -> Result<&'c Resource, AwsError> {
    all(call).find(|key| key.name == name).ok_or_else(|| not_found("pair", name))
}

fn not_found(what: &str, name: &str) -> AwsError {
    AwsError::bad("InvalidKeyPair.NotFound", format!("The key {what} '{name}' does not exist"))
}

/// ImportKeyPair.
pub(super) fn import(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let params = call.params;
    let name = params.required("KeyName")?;
    if name.len() > 255 || !name.is_ascii() {
        return Err(AwsError::invalid("Invalid value for KeyName: at most 255 ASCII characters are allowed."));
    }
    let key = read(params.required("PublicKeyMaterial")?)?;
    if find(call, name).is_ok() {
        return Err(AwsError::bad("InvalidKeyPair.Duplicate", format!("The keypair already exists: {name}")));
    }
    let given = tags::at_birth(params, "key-pair")?;
    let fingerprint = key.fingerprint.clone();
    let id = call.fresh_id("key");
    let mut resource = Resource::new(&call.account, &id, name, call.now(), json!(key));
    resource.region = Some(call.region.clone());
    resource.tags.clone_from(&given);
    call.view.put_resource(KEY_PAIR, resource);
    let mut xml = Xml::default();
    xml.text("keyName", name).text("keyFingerprint", fingerprint).text("keyPairId", id);
    tags::set(&mut xml, &given);
    Ok(xml)
}

/// Reads an OpenSSH line, which arrives in base64 once more.
fn read(material: &str) -> Result<KeyPair, AwsError> {
    let bad = || AwsError::bad("InvalidKey.Format", "Key is not in valid OpenSSH public key format");
    let line = BASE64.decode(material).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(bad)?;
    let mut words = line.split_whitespace();
    let (word, body) = (words.next().ok_or_else(bad)?, words.next().ok_or_else(bad)?);
    let kind = match word {
        "ssh-ed25519" => "ed25519",
        "ssh-rsa" => "rsa",
        _ => return Err(bad()),
    };
    let blob = BASE64.decode(body).map_err(|_| bad())?;
    // The blob begins with the length and the text of its own kind.
    let length = u32::try_from(word.len()).map_err(|_| bad())?;
    if !blob.starts_with(&[&length.to_be_bytes()[..], word.as_bytes()].concat()) {
        return Err(bad());
    }
    let fingerprint = if kind == "ed25519" {
        STANDARD_NO_PAD.encode(Sha256::digest(&blob))
    } else {
        // RSA keys get an MD5 of another encoding; what matters here is the look of it.
        let digest = Sha256::digest(&blob);
        digest[..16].iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
    };
    Ok(KeyPair { kind: kind.to_owned(), fingerprint, public_key: line.trim().to_owned() })
}

/// DescribeKeyPairs: a name or id that is asked for and missing is an error.
pub(super) fn describe(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let call = &*call;
    let params = call.params;
    let filters = Filters::read(params, &["key-name", "key-pair-id", "fingerprint", "tag-key"])?;
    let (names, ids) = (params.texts("KeyName"), params.texts("KeyPairId"));
    for name in &names {
        find(call, name)?;
    }
    if let Some(missing) = ids.iter().find(|id| !all(call).any(|key| key.id == **id)) {
        return Err(not_found("pair ID", missing));
    }
    let with_key = params.flag("IncludePublicKey")?;
    let asked = |key: &&Resource| {
        (names.is_empty() && ids.is_empty()) || names.contains(&key.name.as_str()) || ids.contains(&key.id.as_str())
    };
    let passes = |key: &&Resource| {
        filters.pass(|name| match name {
            "key-name" => vec![key.name.clone()],
            "key-pair-id" => vec![key.id.clone()],
            "fingerprint" => vec![key.data["fingerprint"].as_str().unwrap_or_default().to_owned()],
            tag => tags::values(&key.tags, tag),
        })
    };
    let mut xml = Xml::default();
    xml.set("keySet", all(call).filter(asked).filter(passes), |xml, key| {
        let text = |name: &str| key.data[name].as_str().unwrap_or_default();
        xml.text("keyPairId", &key.id).text("keyName", &key.name).text("keyFingerprint", text("fingerprint"));
        xml.text("keyType", text("kind")).text("createTime", moment(key.born_at));
        xml.maybe("publicKey", with_key.then(|| text("public_key")));
        tags::set(xml, &key.tags);
    });
    Ok(xml)
}

/// DeleteKeyPair: a missing one is fine.
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let (name, id) = (call.params.text("KeyName"), call.params.text("KeyPairId"));
    if name.is_none() && id.is_none() {
        return Err(AwsError::missing("KeyName"));
    }
    let found = all(call).find(|key| Some(key.name.as_str()) == name || Some(key.id.as_str()) == id);
    let found = found.map(|key| key.id.clone());
    let (account, now) = (call.account.clone(), call.now());
    if let Some(key) = found.as_ref().and_then(|id| call.view.resource_mut(&account, KEY_PAIR, id)) {
        key.gone_at = Some(now);
    }
    let mut xml = Xml::default();
    xml.text("return", true).maybe("keyPairId", found);
    Ok(xml)
}
