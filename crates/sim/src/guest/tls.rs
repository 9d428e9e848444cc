//! Certificates, derived: the same world and server have the same ones in every process, so that they can be pinned.
//!
//! The keys are no secret to anyone who knows a world's seed. They guard a simulation.

use std::sync::Arc;
use std::time::Duration;

use capsule_core::{Error, ErrorKind, Result};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

use super::{Guest, LOCAL_DOMAIN, Trouble};
use crate::machine::later;

const DAY_MS: u64 = 24 * 3_600_000;
/// How long a certificate of the authority holds, and after how long the next one is made.
const CERTIFIED: (u64, u64) = (90 * DAY_MS, 60 * DAY_MS);
/// How long one holds that a node signs itself.
const SELF_SIGNED: u64 = 3650 * DAY_MS;

/// What a node shows to someone who asks for `name` at `now`.
pub(super) fn server_config(guest: &Guest, name: Option<&str>, now: Timestamp) -> Result<Arc<ServerConfig>> {
    let (chain, key) = certificate(guest, name, now).map_err(|error| broken(&error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|error| broken(&error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The certificate of the authority that signs for names in the world of that seed, in DER.
pub(crate) fn authority(seed: u64) -> Result<Vec<u8>> {
    let key = key(&format!("authority of {seed}")).map_err(|error| broken(&error))?;
    let certificate = authority_params().self_signed(&key).map_err(|error| broken(&error))?;
    Ok(certificate.der().to_vec())
}

fn broken(error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Protocol, format!("The simulated node's certificate cannot be made: {error}."))
}

type Shown = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn certificate(guest: &Guest, asked: Option<&str>, now: Timestamp) -> std::result::Result<Shown, rcgen::Error> {
    let machine = guest.machine();
    let settings = guest.settings_at(now);
    let domain = settings.as_ref().and_then(|settings| settings.told.domain.clone());
    let named = asked.filter(|asked| domain.as_deref().is_some_and(|domain| domain.eq_ignore_ascii_case(asked)));
    let name = named.unwrap_or(LOCAL_DOMAIN).to_ascii_lowercase();
    let generation = u8::from(guest.has(Trouble::NewCertificate));
    let whose = format!("{} {} {name} {generation} of {}", machine.provider, machine.id, guest.seed);
    let key = key(&whose)?;
    let up = guest.up_at().unwrap_or(machine.born_at);
    let certified = named.and(settings.as_ref()).and_then(|settings| guest.certified_at(settings));
    let certified = certified.filter(|at| *at <= now);
    let (from, until) = match certified {
        _ if guest.has(Trouble::ExpiredCertificate) => (up - SignedDuration::from_hours(90 * 24), up),
        Some(first) => {
            let (holds, renewed) = CERTIFIED;
            let age = u64::try_from(now.duration_since(first).as_millis()).unwrap_or(0);
            let from = later(first, age / renewed * renewed);
            (from, later(from, holds))
        }
        None => (up, later(up, SELF_SIGNED)),
    };
    let mut params = CertificateParams::new(vec![name.clone()])?;
    params.distinguished_name = called(&name);
    params.not_before = date_time_ymd(1970, 1, 1) + since_epoch(from);
    params.not_after = date_time_ymd(1970, 1, 1) + since_epoch(until);
    params.serial_number = Some(serial(&format!("{whose} {from}")));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = match certified {
        Some(_) => {
            let issuer = Issuer::new(authority_params(), self::key(&format!("authority of {}", guest.seed))?);
            params.signed_by(&key, &issuer)?
        }
        None => params.self_signed(&key)?,
    };
    let der = PrivatePkcs8KeyDer::from(key.serialize_der());
    Ok((vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(der)))
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = called("Capsule sandbox");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params.serial_number = Some(SerialNumber::from(1u64));
    params
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

fn serial(of: &str) -> SerialNumber {
    let mut bytes: Vec<u8> = Sha256::digest(of)[..16].to_vec();
    // A positive number of full length.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

/// An Ed25519 key: its signatures are the same every time, and so are certificates.
fn key(of: &str) -> std::result::Result<KeyPair, rcgen::Error> {
    /// What stands before the 32 bytes of the key in PKCS #8 (RFC 8410, section 7).
    const HEAD: [u8; 16] =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let seed = Sha256::digest(format!("capsule sandbox: {of}"));
    let der: Vec<u8> = HEAD.iter().chain(seed.iter()).copied().collect();
    KeyPair::try_from(&PrivatePkcs8KeyDer::from(der))
}

/// Whole seconds after 1970: what certificates count in.
fn since_epoch(at: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0))
}
