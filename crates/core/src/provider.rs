//! What a cloud must be able to do, and what it says about itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::Date;
use secrecy::SecretString;
use serde::Serialize;
use url::Url;

use crate::catalog::{Catalog, PlanKind};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Ledgers, Rate, Transport};
use crate::instance::{Instance, InstanceId, Order, OwnerId, Power, ProviderId, Scope, Token};
use crate::price::Price;
use crate::ssh::{self, PublicKey};
use crate::statement::Statements;
use crate::tariff::Tariff;

/// A cloud that rents servers.
///
/// Every method but [`create`](Provider::create) may safely be called again; making `create` happen once is the
/// journal's work. The bullets under *Behavior* are the trials of the behaviour suite, under the same names.
///
/// # Errors
/// Every method: [`ErrorKind::Unauthenticated`], [`Forbidden`](ErrorKind::Forbidden),
/// [`RateLimited`](ErrorKind::RateLimited), [`Unavailable`](ErrorKind::Unavailable), [`Timeout`](ErrorKind::Timeout),
/// [`Protocol`](ErrorKind::Protocol). An error is never an empty list.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync + 'static {
    /// Who it is. The same at every call.
    fn descriptor(&self) -> &'static Descriptor;

    /// What it can do, as plain data: read by the engine and by tests.
    fn capabilities(&self) -> &'static Capabilities;

    /// A real call: whose key this is, whether it works, and what the account may still do.
    ///
    /// # Behavior
    /// - `verify_names_the_account`
    /// - `verify_refuses_a_wrong_key`: [`ErrorKind::Unauthenticated`]
    async fn verify(&self) -> Result<Account>;

    /// Regions, plans, images, prices and stock in one dated snapshot.
    ///
    /// # Behavior
    /// - `catalog_is_consistent`: each offer names a plan and a region that are in it, and there is an Ubuntu 24.04
    async fn catalog(&self) -> Result<Catalog>;

    /// Whether an order can be sent as it stands: its names, tags, keys, user-data and disk by the vendor's rules.
    ///
    /// Sends nothing. What the vendor alone can tell, such as whether a plan is in stock, is left to
    /// [`create`](Provider::create), which checks the same before it sends anything.
    ///
    /// # Behavior
    /// - `check_takes_a_good_order`
    /// - `check_refuses_a_wrong_name`, `..._user_data`: too long; with the way out, and nothing is sent
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] or [`ErrorKind::Unsupported`], without an HTTP status.
    fn check(&self, order: &Order) -> Result<()>;

    /// Orders one server per name in one call, each carrying the order's tags from birth.
    ///
    /// Answers one instance per name, in any order, or an error that says whether anything may have happened.
    ///
    /// # Behavior
    /// - `create_is_found_by_token`: [`Scope::Token`] lists exactly what was made
    /// - `create_makes_every_name`
    /// - `create_hands_over_user_data`: the first boot gets it byte for byte, up to the limit that the capabilities name
    /// - `create_refuses_an_unknown_plan`, `..._region`, `..._image`: an error with no effect
    async fn create(&self, order: &Order) -> Result<Vec<Instance>>;

    /// The server as it is now; `None` only when the vendor says that it is gone.
    ///
    /// Vendors answer 404 for a server that is too young as well: whoever knows its age concludes nothing from an
    /// absence younger than [`Capabilities::list_lag`]. Where an order is approved first, the driver follows the order.
    ///
    /// # Behavior
    /// - `get_shows_what_was_created`
    /// - `get_missing_is_none`
    async fn get(&self, id: &InstanceId) -> Result<Option<Instance>>;

    /// All pages of all regions that the settings allow, or an error.
    ///
    /// # Behavior
    /// - `list_shows_every_page`
    /// - `list_shows_every_kind`: virtual machines and bare metal in one list
    /// - `list_by_owner_leaves_others_out`
    /// - `list_by_place_shows_what_is_there`: of our servers, and by token
    /// - `list_fails_whole`: one bad page is an error that names it, never a shorter list
    async fn list(&self, scope: &Scope) -> Result<Vec<Instance>>;

    /// Changes the power and returns once the vendor has accepted; poll [`get`](Provider::get) for the result.
    ///
    /// # Behavior
    /// - `stop_ends_stopped`, `start_ends_running`, `reboot_ends_running`, `force_off_ends_stopped`
    /// - `power_to_the_same_state_is_ok`
    /// - `power_on_missing_is_not_found`
    async fn power(&self, id: &InstanceId, to: Power) -> Result<()>;

    /// Asks for the end of a server and of everything that create made beside it. Accepted is not gone: poll
    /// [`get`](Provider::get) until it is `None`, and call this again meanwhile if it left something behind.
    ///
    /// # Behavior
    /// - `delete_ends_in_none`
    /// - `delete_missing_is_ok`
    /// - `delete_leaves_nothing_billed`
    async fn delete(&self, id: &InstanceId) -> Result<()>;

    /// The way to what create made beside servers; `None` where it makes nothing there.
    ///
    /// # Behavior
    /// - `nothing_is_left_over_without_a_way_to_it`: where this is `None`, a server that vanishes leaves nothing there
    fn leftovers(&self) -> Option<&dyn Leftovers>;

    /// The way to what the vendor says that it charges; `None` where its API does not tell, or only for money.
    ///
    /// # Behavior
    /// - `a_statement_grows_with_a_server`
    /// - `a_statement_refuses_a_wrong_key`: [`ErrorKind::Unauthenticated`]
    /// - `a_month_that_ended_is_invoiced`: its lines come to its total, and one of them is the server's
    /// - `an_invoice_refuses_a_wrong_key`: [`ErrorKind::Unauthenticated`]
    fn statements(&self) -> Option<&dyn Statements>;

    /// The way to let servers start what lies on their own disks; `None` where all of them do so from birth.
    ///
    /// # Behavior
    /// - `a_server_can_start_from_its_own_disk`: at once where this is `None`, else once it was asked for
    fn own_loader(&self) -> Option<&dyn OwnLoader>;

    /// The way to the disks of servers that others ordered; `None` where a plan's price has its disk in it.
    ///
    /// # Behavior
    /// - `a_price_without_a_way_to_disks_has_them_in_it`
    fn disks(&self) -> Option<&dyn Disks>;

    /// The way to mark servers that others made; `None` where there are no tags.
    ///
    /// # Behavior
    /// - `a_marked_server_is_listed_as_ours`
    fn marking(&self) -> Option<&dyn Marking>;
}

/// Things that create made beside servers, and that may outlive them: disks, firewalls, SSH keys, words that tag them.
#[async_trait]
pub trait Leftovers: Send + Sync {
    /// Those of one installation that belong to no living server, in all regions that the settings allow, or an error.
    ///
    /// Somebody may be making the server of one at this moment, vendors do not tell which servers were given a key, and a tag
    /// may bear a token and nobody's name: whoever acts on it looks into the journal first, where all of that stands. A key
    /// that the user gave to the vendor is none of them.
    ///
    /// # Behavior
    /// - `leftovers_of_a_vanished_server_are_found`
    /// - `what_belongs_to_a_living_server_is_not_left_over`
    async fn leftovers(&self, owner: &OwnerId) -> Result<Vec<Leftover>>;

    /// Deletes one. A missing one is Ok; one in use is [`ErrorKind::Conflict`].
    ///
    /// # Behavior
    /// - `a_removed_leftover_is_gone`
    /// - `a_key_that_create_gave_away_can_be_taken_back`: and the next create gives it anew
    /// - `a_key_of_somebody_else_is_never_left_over`: be it the same key
    async fn remove(&self, leftover: &Leftover) -> Result<()>;
}

/// A thing without its server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leftover {
    /// Where it is and what the vendor calls it.
    pub id: InstanceId,
    /// What it is.
    pub kind: LeftoverKind,
    /// Its name at the vendor; empty where it has none.
    pub name: String,
    /// Whose it was.
    #[serde(flatten)]
    pub made_for: MadeFor,
    /// Its size, for a disk.
    pub size_gib: Option<u64>,
    /// What it costs, where a rate is known and it costs at all.
    pub price: Option<Price>,
}

impl Leftover {
    /// A key of this name and text, if this installation gave it to its vendor.
    pub fn key(id: InstanceId, name: &str, line: &str, owner: &OwnerId) -> Option<Self> {
        if !ssh::is_named_for(name, owner) {
            return None;
        }
        let key: PublicKey = line.parse().ok()?;
        let made_for = MadeFor::PublicKey(key.material().to_owned());
        Some(Leftover { id, kind: LeftoverKind::SshKey, name: name.to_owned(), made_for, size_gib: None, price: None })
    }

    /// What a provider says that leaves nothing of the kind.
    pub fn unknown(&self) -> Error {
        let message = format!("`{}` is no {} that Capsule leaves at {}.", self.id.native, self.kind, self.id.provider);
        Error::new(ErrorKind::Invalid, message).with_hint("`capsule orphans` shows those that there are.")
    }
}

/// Whose a thing beside servers is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MadeFor {
    /// Of those that the create under this token made.
    Token(Token),
    /// Of all that were given this key; the text without its comment.
    PublicKey(String),
}

/// What can be left over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftoverKind {
    /// A disk, which costs.
    Volume,
    /// A firewall, which costs nothing.
    SecurityGroup,
    /// A public key that the vendor holds, which costs nothing.
    SshKey,
    /// The word that a create's token was, which costs nothing.
    Tag,
}

impl LeftoverKind {
    /// Whether it costs.
    pub fn is_billed(self) -> bool {
        self == LeftoverKind::Volume
    }
}

impl fmt::Display for LeftoverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            LeftoverKind::Volume => "volume",
            LeftoverKind::SecurityGroup => "security group",
            LeftoverKind::SshKey => "ssh key",
            LeftoverKind::Tag => "tag",
        })
    }
}

/// Servers that the vendor starts with a kernel or loader of its own, which finds nothing but the system that they were
/// ordered with.
#[async_trait]
pub trait OwnLoader: Send + Sync {
    /// From its next start on, the server starts whatever its own disk holds.
    ///
    /// To be asked for once the server runs: the system that it was ordered with may not start in this way. Whoever puts
    /// another system on the disk needs it before that one starts.
    ///
    /// # Behavior
    /// - `own_disk_may_be_asked_for_twice`
    /// - `own_disk_of_a_missing_server_is_not_found`
    async fn start_from_own_disk(&self, id: &InstanceId) -> Result<()>;
}

/// Servers whose disks are charged apart from their plans, and are as large as whoever ordered them wanted.
#[async_trait]
pub trait Disks: Send + Sync {
    /// The disks that hang on each of these servers now; a server that is not there is left out. A few requests for each
    /// region, however many servers they are.
    ///
    /// # Behavior
    /// - `the_disks_of_a_server_are_told`: with the size that was ordered, and that the root disk ends with it
    /// - `a_missing_server_has_no_disks`
    async fn of(&self, ids: &[InstanceId]) -> Result<BTreeMap<InstanceId, Vec<Disk>>>;
}

/// A disk that hangs on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// What the vendor calls it.
    pub native: String,
    /// Its size.
    pub bytes: u64,
    /// What it is in the vendor's words, such as `io2`.
    pub kind: String,
    /// Whether it costs for its size what [`ExtraKind::RootDisk`](crate::ExtraKind::RootDisk) does in a catalogue's price,
    /// and nothing else.
    pub is_usual: bool,
    /// Whether it goes when its server does.
    pub ends_with_server: bool,
}

/// Servers that this installation did not make, and that are to show in its lists from now on.
#[async_trait]
pub trait Marking: Send + Sync {
    /// Adds the owner's tag to a server and leaves its other tags as they are. One that has it already is Ok.
    ///
    /// Most vendors take only all tags of a server at once: they are read, and written with one more. What somebody else
    /// changes between the two is lost, so whoever calls this looks at the server before and afterwards.
    ///
    /// # Behavior
    /// - `marking_keeps_what_a_server_carries`
    /// - `marking_twice_is_ok`
    /// - `a_server_of_another_installation_is_not_marked`: [`ErrorKind::Conflict`], and it stays as it is
    /// - `marking_a_missing_server_is_not_found`
    async fn mark(&self, id: &InstanceId, owner: &OwnerId) -> Result<()>;
}

/// Who a provider is.
#[derive(Debug, Serialize)]
pub struct Descriptor {
    /// Short name, as in ids and flags.
    pub id: ProviderId,
    /// For people.
    pub name: &'static str,
    /// Whether it still sells.
    pub lifecycle: Lifecycle,
    /// Base URL with its version path; `{region}` stands for the region where the vendor has one host for each.
    pub endpoint: &'static str,
    /// What a user can or must set, the key first.
    pub settings: &'static [Setting],
    /// The vendor's page where keys are made, and the rights that one needs.
    pub key_help: &'static str,
    /// The vendor's API reference.
    pub docs: &'static str,
    /// How it bills: one for each kind of server that it sells.
    pub tariffs: &'static [&'static Tariff],
}

/// Whether a provider still sells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Lifecycle {
    /// It does.
    Live,
    /// It was switched off.
    Retired {
        /// The day.
        on: Date,
        /// Whom to use instead.
        instead: &'static str,
    },
}

/// One value that a user can set for a provider.
#[derive(Debug, Serialize)]
pub struct Setting {
    /// Its key in `providers.yml`.
    pub key: &'static str,
    /// Environment variables that hold it, first hit wins.
    pub env: &'static [&'static str],
    /// Whether it must never be shown.
    pub secret: bool,
    /// Whether the provider cannot work without it.
    pub required: bool,
    /// What it is and how to find it.
    pub help: &'static str,
}

/// A setting's value and where it came from.
#[derive(Debug, Clone)]
pub struct SettingValue {
    /// The value. Secret or not, it is held as one.
    pub value: SecretString,
    /// Such as `$VULTR_API_KEY` or the config file's path: fit to be shown.
    pub source: String,
}

/// What a user set for one provider.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// By [`Setting::key`].
    pub values: BTreeMap<String, SettingValue>,
    /// Replaces [`Descriptor::endpoint`] whole.
    pub endpoint: Option<Url>,
    /// Narrows list and catalogue to these regions; empty for all.
    pub regions: Vec<String>,
    /// A request limit beside the documented ones: for an account with a lower one, or to leave room for other programs.
    pub limit: Option<Rate>,
    /// Whether lists leave [`Instance::metadata`] empty: many servers in little memory.
    pub lean: bool,
    /// Whether an order to a retired provider is wanted all the same.
    pub force_retired: bool,
}

impl Settings {
    /// The value of a setting, if there is one.
    pub fn get(&self, key: &str) -> Option<&SecretString> {
        self.values.get(key).map(|setting| &setting.value)
    }

    /// The value of a required setting.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] for a missing secret, [`ErrorKind::Config`] for anything else, with all the ways
    /// to set it.
    pub fn require(&self, descriptor: &Descriptor, key: &str) -> Result<&SecretString> {
        self.get(key).ok_or_else(|| {
            let setting = descriptor.settings.iter().find(|setting| setting.key == key);
            let (secret, env, help) =
                setting.map_or((false, "".to_owned(), ""), |s| (s.secret, s.env.join(" or "), s.help));
            let kind = if secret { ErrorKind::Unauthenticated } else { ErrorKind::Config };
            Error::new(kind, format!("{} has no `{key}`.", descriptor.name))
                .with_provider(&descriptor.id)
                .with_hint(format!("Run `capsule provider login {}`, or set {env}. {help}", descriptor.id))
        })
    }
}

/// Everything a driver needs to come to life.
#[derive(Debug, Clone)]
pub struct Connect {
    /// What the user set.
    pub settings: Settings,
    /// The way out.
    pub transport: Arc<dyn Transport>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where the processes of this machine write down what they send.
    pub ledgers: Ledgers,
}

/// What a provider can do.
#[derive(Debug, Clone, Serialize)]
pub struct Capabilities {
    /// Kinds of plan that it sells.
    pub kinds: &'static [PlanKind],
    /// The most servers that one create call can make.
    pub batch: usize,
    /// Whether the vendor itself refuses to run one token twice.
    pub idempotent_create: bool,
    /// Whether [`Power::Off`] asks the guest (`true`) or cuts the power.
    pub graceful_stop: bool,
    /// Whether the power can be cut without asking.
    pub force_off: bool,
    /// The most bytes of user-data, before encoding.
    pub user_data_max: usize,
    /// What [`Order::names`] must look like, for people; checked by the driver before anything is sent.
    pub name_rule: &'static str,
    /// How long a new server may be missing from lists and gets. Nothing is concluded from a younger absence.
    pub list_lag: Duration,
    /// How long it makes sense to wait between two looks at a server in motion.
    pub poll_interval: Duration,
    /// When a virtual machine that is not running yet counts as stuck.
    pub ready_within: Duration,
    /// The same for a whole machine.
    pub ready_within_metal: Duration,
}

/// Whose key it is.
#[derive(Debug, Clone, Serialize)]
pub struct Account {
    /// The vendor's account id, mail address or ARN: whatever names it best.
    pub id: String,
    /// The vendor's word for its state, where it has one.
    pub status: Option<String>,
    /// Limits that matter for creating servers.
    pub quotas: Vec<Quota>,
    /// What is noteworthy: missing rights, locked account. Whole sentences.
    pub notes: Vec<String>,
}

/// One limit of an account.
#[derive(Debug, Clone, Serialize)]
pub struct Quota {
    /// Of what, such as `droplets`.
    pub name: String,
    /// The most allowed.
    pub limit: u64,
    /// In use, where told.
    pub used: Option<u64>,
}
