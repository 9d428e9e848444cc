//! Servers: what is ordered and what is there.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::catalog::PlanKind;
use crate::error::{Error, ErrorKind, Result};
use crate::tags::Tags;

/// A provider's short name, such as `digitalocean`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProviderId(Cow<'static, str>);

impl ProviderId {
    /// A provider known at compile time.
    pub const fn new(name: &'static str) -> Self {
        ProviderId(Cow::Borrowed(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for ProviderId {
    fn from(name: &'static str) -> Self {
        ProviderId::new(name)
    }
}

impl From<String> for ProviderId {
    fn from(name: String) -> Self {
        ProviderId(Cow::Owned(name))
    }
}

impl From<&ProviderId> for ProviderId {
    fn from(id: &ProviderId) -> Self {
        id.clone()
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a server is and what the vendor calls it; prints `vultr/ewr/4f0e...`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId {
    /// Which cloud.
    pub provider: ProviderId,
    /// The vendor's region code.
    pub region: String,
    /// The vendor's id, unique in that region.
    pub native: String,
}

impl InstanceId {
    /// The id from its three parts.
    pub fn new(provider: impl Into<ProviderId>, region: impl Into<String>, native: impl Into<String>) -> Self {
        InstanceId { provider: provider.into(), region: region.into(), native: native.into() }
    }

    /// The id of a thing that belongs to an account or a project, and to no region.
    pub fn global(provider: impl Into<ProviderId>, native: impl Into<String>) -> Self {
        InstanceId::new(provider, "global", native)
    }

    /// What to say of a server that has to be there and is not, by the look that told.
    pub fn not_there(&self, operation: &'static str) -> Error {
        Error::new(ErrorKind::NotFound, format!("There is no server {self}."))
            .with_provider(&self.provider)
            .with_operation(operation)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.provider, self.region, self.native)
    }
}

impl FromStr for InstanceId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(provider), Some(region), Some(native))
                if !provider.is_empty() && !region.is_empty() && !native.is_empty() =>
            {
                Ok(InstanceId::new(provider.to_owned(), region, native))
            }
            _ => Err(Error::new(ErrorKind::Invalid, format!("`{text}` is not a server id."))
                .with_hint("Ids look like PROVIDER/REGION/NATIVE-ID; `capsule list` shows them.")),
        }
    }
}

impl Serialize for InstanceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InstanceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// One word for the state of a server, the same at every vendor; the vendor's own stays in
/// [`Instance::native_status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceStatus {
    /// Ordered, building, starting, rebuilding or resizing.
    Provisioning,
    /// On; also while it reboots or shuts down, until it is off.
    Running,
    /// Off. Most vendors bill it all the same.
    Stopped,
    /// The vendor accepted its end but has not said that it is gone.
    Deleting,
    /// It will not become a working server.
    Failed,
    /// A word that Capsule does not know.
    Unknown,
}

impl InstanceStatus {
    /// The word as JSON and tables show it.
    pub fn as_str(self) -> &'static str {
        match self {
            InstanceStatus::Provisioning => "provisioning",
            InstanceStatus::Running => "running",
            InstanceStatus::Stopped => "stopped",
            InstanceStatus::Deleting => "deleting",
            InstanceStatus::Failed => "failed",
            InstanceStatus::Unknown => "unknown",
        }
    }
}

impl fmt::Display for InstanceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for InstanceStatus {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        use InstanceStatus::*;
        let all = [Provisioning, Running, Stopped, Deleting, Failed, Unknown];
        all.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("`{text}` is not a status."))
                .with_hint("The words are provisioning, running, stopped, deleting, failed and unknown.")
        })
    }
}

/// Addresses of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Reachable from the internet, in the vendor's order.
    pub public_v4: Vec<Ipv4Addr>,
    /// Reachable from the internet.
    pub public_v6: Vec<Ipv6Addr>,
    /// Reachable inside the vendor's network.
    pub private: Vec<IpAddr>,
}

impl Addresses {
    /// The address to reach the server by: public IPv4 first, then IPv6.
    pub fn primary(&self) -> Option<IpAddr> {
        self.public_v4.first().copied().map(IpAddr::V4).or_else(|| self.public_v6.first().copied().map(IpAddr::V6))
    }
}

/// The vendor's own body of one server, byte for byte where it is JSON.
///
/// Its Debug shows the length alone: bodies can hold first passwords.
#[derive(Clone)]
pub struct RawBody(Option<Box<RawValue>>);

impl RawBody {
    /// Keeps a piece of a reply as it stands.
    pub fn new(raw: Box<RawValue>) -> Self {
        RawBody(Some(raw))
    }

    /// An empty object.
    pub fn empty() -> Self {
        RawBody(None)
    }

    /// For vendors whose replies are not JSON: the driver's faithful rendering of them.
    pub fn from_value(value: &serde_json::Value) -> Self {
        RawBody(Some(serde_json::value::to_raw_value(value).expect("a JSON value can be written")))
    }

    /// The JSON text.
    pub fn get(&self) -> &str {
        self.0.as_deref().map_or("{}", RawValue::get)
    }
}

impl Serialize for RawBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(raw) => raw.serialize(serializer),
            None => serializer.serialize_map(Some(0))?.end(),
        }
    }
}

/// An item of a reply, typed and as it stands there. It is read twice: where bodies are not wanted
/// ([`crate::Settings::lean`]), the item alone is read instead.
pub struct Bodied<'a, T>(pub T, pub &'a RawValue);

impl<'de: 'a, 'a, T: Deserialize<'a>> Deserialize<'de> for Bodied<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'a RawValue>::deserialize(deserializer)?;
        let item = serde_json::from_str(raw.get()).map_err(D::Error::custom)?;
        Ok(Bodied(item, raw))
    }
}

impl fmt::Debug for RawBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.get().len())
    }
}

/// A server that the vendor shows us.
///
/// Its JSON has the eight keys `id name provider status ip_address region created_at metadata`, and further ones.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Where it is and what the vendor calls it.
    pub id: InstanceId,
    /// Its name at the vendor. Vendors allow doubles.
    pub name: String,
    /// Its state in our words.
    pub status: InstanceStatus,
    /// Its state in the vendor's words.
    pub native_status: String,
    /// What the vendor says went wrong, when [`status`](Instance::status) is `Failed`.
    pub fault: Option<String>,
    /// The plan's id, empty where the vendor does not tell.
    pub plan: String,
    /// What it boots, as the vendor says it.
    pub image: Option<String>,
    /// Its addresses.
    pub addresses: Addresses,
    /// Its tags, ours among them.
    pub tags: Tags,
    /// When the vendor made it.
    pub created_at: Option<Timestamp>,
    /// The vendor's body, untouched.
    pub metadata: RawBody,
}

impl Instance {
    /// Whether this installation made it.
    pub fn is_owned_by(&self, owner: &OwnerId) -> bool {
        self.tags.owner() == Some(owner.as_str())
    }
}

impl Serialize for Instance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Instance", 14)?;
        out.serialize_field("id", &self.id)?;
        out.serialize_field("name", &self.name)?;
        out.serialize_field("provider", &self.id.provider)?;
        out.serialize_field("status", &self.status)?;
        out.serialize_field("ip_address", &self.addresses.primary())?;
        out.serialize_field("region", &self.id.region)?;
        out.serialize_field("created_at", &self.created_at)?;
        out.serialize_field("native_id", &self.id.native)?;
        out.serialize_field("native_status", &self.native_status)?;
        out.serialize_field("fault", &self.fault)?;
        out.serialize_field("plan", &self.plan)?;
        out.serialize_field("image", &self.image)?;
        out.serialize_field("addresses", &self.addresses)?;
        out.serialize_field("tags", &self.tags)?;
        out.serialize_field("metadata", &self.metadata)?;
        out.end()
    }
}

/// Which installation of Capsule a server belongs to: 16 lower-case letters and digits, made once per home.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnerId(String);

/// What makes one create findable: 26 lower-case letters and digits, made and journaled before the create is sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

macro_rules! random_word {
    ($name:ident, $length:literal, $what:literal) => {
        impl $name {
            /// A new one, from the operating system's random numbers.
            pub fn random() -> Self {
                $name(random_word($length))
            }

            /// The word itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                let good = text.len() == $length && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
                good.then(|| $name(text.to_owned())).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Invalid,
                        format!(concat!("`{}` is not ", $what, ": {} lower-case letters and digits."), text, $length),
                    )
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

random_word!(OwnerId, 16, "an installation id");
random_word!(Token, 26, "a token");

fn random_word(length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut bytes = vec![0u8; length];
    getrandom::fill(&mut bytes).expect("the operating system has random numbers");
    bytes.into_iter().map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).collect()
}

/// How a key gets onto a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SshKey {
    /// An OpenSSH public key line; the driver makes sure that the vendor has it, by fingerprint.
    Public(String),
    /// The vendor's own id, name or fingerprint of a key that it has.
    Existing(String),
}

/// One kind of server to create: everything but name and token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSpec {
    /// The vendor's plan id.
    pub plan: String,
    /// The vendor's region code.
    pub region: String,
    /// The vendor's image id, as [`crate::Image::id`].
    pub image: String,
    /// Root disk, where [`crate::Plan::disk_elastic`]; `None` for the vendor's or image's default.
    pub disk_gib: Option<u64>,
    /// Keys to log in with.
    pub ssh_keys: Vec<SshKey>,
    /// Text for cloud-init, not yet encoded.
    pub user_data: Option<String>,
    /// The user's tags. The driver adds ours by [`Tags::at_birth`].
    pub tags: Tags,
}

/// One call of create: as many servers of one kind as there are names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What finds them again.
    pub token: Token,
    /// Whether a call under this token was sent before, and made no whole server: what it left half made is gone on with.
    #[serde(default)]
    pub again: bool,
    /// Whose they are.
    pub owner: OwnerId,
    /// Their names, at least one, all different, at most [`crate::Capabilities::batch`].
    pub names: Vec<String>,
    /// What they are.
    pub spec: InstanceSpec,
}

/// Which servers to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every server that the key can see.
    All,
    /// One installation's.
    Owner(OwnerId),
    /// Those of one create.
    Token(Token),
    /// One installation's that are in these places; whatever lies elsewhere may be shown or not. Where a vendor lists each
    /// place by itself, the others are not asked.
    OwnerIn(OwnerId, BTreeSet<Place>),
    /// Those of one create that was sent to this place.
    TokenIn(Token, Place),
}

/// Where a server is that somebody waits or looks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The vendor's region code.
    pub region: String,
    /// What it is; `None` where that is not known.
    pub kind: Option<PlanKind>,
}

impl Scope {
    /// Whether a server with these tags belongs to it: for vendors that cannot filter themselves.
    pub fn holds(&self, tags: &Tags) -> bool {
        match self {
            Scope::All => true,
            Scope::Owner(owner) | Scope::OwnerIn(owner, _) => tags.owner() == Some(owner.as_str()),
            Scope::Token(token) | Scope::TokenIn(token, _) => tags.token() == Some(token.as_str()),
        }
    }

    /// The token, where it is about one create.
    pub fn token(&self) -> Option<&Token> {
        match self {
            Scope::Token(token) | Scope::TokenIn(token, _) => Some(token),
            Scope::All | Scope::Owner(_) | Scope::OwnerIn(..) => None,
        }
    }

    /// The regions that it is about, each once; `None` for all.
    pub fn regions(&self) -> Option<Vec<String>> {
        match self {
            Scope::All | Scope::Owner(_) | Scope::Token(_) => None,
            Scope::OwnerIn(_, places) => {
                Some(places.iter().map(|place| &place.region).collect::<BTreeSet<_>>().into_iter().cloned().collect())
            }
            Scope::TokenIn(_, place) => Some(vec![place.region.clone()]),
        }
    }

    /// Whether it may be about servers of that kind.
    pub fn spans(&self, kind: PlanKind) -> bool {
        let may_be = |place: &Place| place.kind.is_none_or(|known| known == kind);
        match self {
            Scope::All | Scope::Owner(_) | Scope::Token(_) => true,
            Scope::OwnerIn(_, places) => places.iter().any(may_be),
            Scope::TokenIn(_, place) => may_be(place),
        }
    }

    /// What belongs to it of servers that a vendor listed, each once, and only of `regions` where any are named. A list
    /// that changes while its pages are read shows some servers twice.
    pub fn gather(&self, mut found: Vec<Instance>, regions: &[String]) -> Vec<Instance> {
        let mut seen = HashSet::with_capacity(found.len());
        let wanted = found.iter().map(|instance| {
            self.holds(&instance.tags)
                && (regions.is_empty() || regions.contains(&instance.id.region))
                && seen.insert(instance.id.native.as_str())
        });
        let mut wanted = wanted.collect::<Vec<_>>().into_iter();
        found.retain(|_| wanted.next().unwrap_or(false));
        found
    }
}

/// What to do with the power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// Start.
    On,
    /// Ask the guest to shut down.
    Off,
    /// Cut the power.
    ForceOff,
    /// Restart.
    Reboot,
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Power::On => "start",
            Power::Off => "stop",
            Power::ForceOff => "forced stop",
            Power::Reboot => "reboot",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_locate_themselves() {
        let id: InstanceId = "vultr/ewr/4f0e/1".parse().unwrap();
        assert_eq!((id.region.as_str(), id.native.as_str()), ("ewr", "4f0e/1"));
        assert_eq!(id.to_string(), "vultr/ewr/4f0e/1");
        assert!("vultr/ewr".parse::<InstanceId>().is_err());
    }

    #[test]
    fn tokens_are_words() {
        let token = Token::random();
        assert_eq!(token.as_str().parse::<Token>().unwrap(), token);
        assert!("UPPER".parse::<Token>().is_err());
        assert_ne!(Token::random(), token);
    }

    #[test]
    fn a_server_keeps_the_eight_keys() {
        let instance = Instance {
            id: InstanceId::new("digitalocean", "nyc1", "1"),
            name: "a".into(),
            status: InstanceStatus::Running,
            native_status: "active".into(),
            fault: None,
            plan: "s-1vcpu-1gb".into(),
            image: None,
            addresses: Addresses::default(),
            tags: Tags::new(),
            created_at: None,
            metadata: RawBody::new(RawValue::from_string(r#"{"price":0.00743999984115362}"#.into()).unwrap()),
        };
        let json = serde_json::to_string(&instance).unwrap();
        for key in ["id", "name", "provider", "status", "ip_address", "region", "created_at", "metadata"] {
            assert!(json.contains(&format!("\"{key}\":")), "{key} is missing in {json}");
        }
        assert!(json.contains("0.00743999984115362"), "metadata must stay as it was");
    }
}
