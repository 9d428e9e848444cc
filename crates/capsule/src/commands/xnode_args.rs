//! What makes a server an xNode, as flags and as the block `xnode` of the config file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use capsule_core::{Error, ErrorKind, Result};
use capsule_xnode::{Limits, Stage, UserPassword, XnodeConfig};
use clap::Args;

use crate::output;
use crate::session::Session;

/// Flags of whatever makes an xNode. What is left out is taken from the block `xnode` of the config file.
#[derive(Debug, Clone, Default, Args)]
pub struct XnodeArgs {
    /// Make it an xNode of this wallet
    #[arg(long, value_name = "eth:ADDRESS", help_heading = "xNode")]
    pub owner: Option<String>,
    /// The xNode's domain name
    #[arg(long, value_name = "DOMAIN", help_heading = "xNode")]
    pub domain: Option<String>,
    /// Where the xNode's certificate authority writes to
    #[arg(long, value_name = "MAIL", help_heading = "xNode")]
    pub acme_email: Option<String>,
    /// Nix for the user's part of the xNode's configuration, from a file
    #[arg(long, value_name = "FILE", help_heading = "xNode")]
    pub initial_config: Option<PathBuf>,
    /// Encrypt the disks; needs TPM2 and Secure Boot, without which the install fails after the disks are wiped
    #[arg(long, help_heading = "xNode")]
    pub encrypted: bool,
    /// The release of XnodeOS [default: v1.0.0]
    #[arg(long, value_name = "TAG", help_heading = "xNode")]
    pub xnodeos_version: Option<String>,
    /// Where the installer comes from
    #[arg(long, value_name = "URL", help_heading = "xNode")]
    pub installer_url: Option<String>,
    /// Ask for a console password that lies readable in the user-data; says why that is risky
    #[arg(long, help_heading = "xNode")]
    pub user_password: bool,
    /// The same, with the password from a file
    #[arg(long, value_name = "FILE", conflicts_with = "user_password", help_heading = "xNode")]
    pub user_password_file: Option<PathBuf>,
}

/// What an xNode is told at birth.
pub(super) struct Told {
    /// The text that is sent.
    pub(super) sent: String,
    /// The same without a secret, for people.
    pub(super) shown: String,
    /// What it was composed from; without a password.
    pub(super) config: XnodeConfig,
}

/// That an xNode needs an owner.
pub(super) fn no_owner() -> Error {
    Error::new(ErrorKind::Invalid, "No owner is given, and an xNode without one obeys anyone.")
        .with_hint("Add --owner eth:ADDRESS, or set `owner` under `xnode` in the config file.")
}

/// The keys of the block `xnode`.
const KEYS: [&str; 9] = [
    "owner",
    "domain",
    "acme_email",
    "initial_config",
    "encrypted",
    "version",
    "installer_url",
    "on_unclaimed",
    "timeouts",
];

impl XnodeArgs {
    /// Whether any flag is given that only makes sense for an xNode.
    fn is_given(&self) -> bool {
        self.domain.is_some()
            || self.acme_email.is_some()
            || self.initial_config.is_some()
            || self.encrypted
            || self.xnodeos_version.is_some()
            || self.installer_url.is_some()
            || self.user_password
            || self.user_password_file.is_some()
    }

    /// What the xNode is told at birth; `None` where no owner is named anywhere.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] that names the flag or the key of the config file.
    pub(super) fn config(&self, session: &Session) -> Result<Option<XnodeConfig>> {
        let file = Block::read(session)?;
        let Some(owner) = file.or::<capsule_xnode::Owner>(self.owner.as_deref(), "owner")? else {
            if self.is_given() {
                return Err(no_owner());
            }
            return Ok(None);
        };
        let mut config = XnodeConfig::new(owner);
        config.domain = file.or(self.domain.as_deref(), "domain")?;
        config.acme_email = file.or(self.acme_email.as_deref(), "acme_email")?;
        if let Some(version) = file.or(self.xnodeos_version.as_deref(), "version")? {
            config.version = version;
        }
        if let Some(url) = file.or(self.installer_url.as_deref(), "installer_url")? {
            config.installer_url = url;
        }
        config.encrypted = self.encrypted || file.flag("encrypted")?;
        let nix = self.initial_config.clone().or(file.text("initial_config")?.map(PathBuf::from));
        config.initial_config = nix.map(|path| read(&path)?.parse()).transpose()?;
        config.user_password = self.password()?;
        if config.encrypted {
            output::note(
                "warning: encrypted disks need TPM2 and Secure Boot; without them the install fails after the disks are wiped.",
            );
        }
        Ok(Some(config))
    }

    /// The text for cloud-init, merged with `own`; `None` where no owner is named anywhere.
    ///
    /// # Errors
    /// As [`config`](XnodeArgs::config), and for a text that cannot be merged.
    pub(super) fn user_data(&self, session: &Session, own: Option<&Path>) -> Result<Option<Told>> {
        let Some(mut config) = self.config(session)? else { return Ok(None) };
        let own = own.map(read).transpose()?;
        let compose = |config: &XnodeConfig| {
            let composed = capsule_xnode::user_data(config);
            own.as_ref().map_or_else(|| Ok(composed.clone()), |own| capsule_xnode::merge(&composed, own))
        };
        let sent = compose(&config)?;
        if config.user_password.is_some() {
            config.user_password = Some(UserPassword::new("<hidden>".to_owned().into(), true)?);
        }
        Ok(Some(Told { shown: compose(&config)?, sent, config }))
    }

    fn password(&self) -> Result<Option<UserPassword>> {
        let text = match &self.user_password_file {
            Some(path) => read(path)?,
            None if self.user_password => super::ask::secret("Console password of user xnode: ")?,
            None => return Ok(None),
        };
        let password = UserPassword::new(text.trim_end_matches(['\n', '\r']).to_owned().into(), true)?;
        output::note(format!("warning: {}", UserPassword::RISK));
        Ok(Some(password))
    }
}

/// What the config file sets for every xNode.
pub(super) struct Block<'a>(&'a Session);

impl<'a> Block<'a> {
    /// The block `xnode`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a key that is none.
    pub(super) fn read(session: &'a Session) -> Result<Self> {
        session.config().refuse_unknown("xnode", &KEYS)?;
        Ok(Block(session))
    }

    /// A key's text.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        self.0.config().value("xnode", key)
    }

    /// Whose xNodes are, unless a flag says otherwise.
    pub(super) fn owner(&self) -> Result<Option<capsule_xnode::Owner>> {
        self.or(None, "owner")
    }

    fn flag(&self, key: &str) -> Result<bool> {
        match self.text(key)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(self.bad(key, Error::new(ErrorKind::Config, "It is neither true nor false."))),
        }
    }

    /// What the flag says, or else the file.
    fn or<T: FromStr<Err = Error>>(&self, flag: Option<&str>, key: &str) -> Result<Option<T>> {
        if let Some(text) = flag {
            return text.parse().map(Some);
        }
        self.text(key)?.map(|text| text.parse().map_err(|error| self.bad(key, error))).transpose()
    }

    fn bad(&self, key: &str, error: Error) -> Error {
        error.with_kind(ErrorKind::Config).context(format!("{}: `xnode.{key}`", self.0.config().path().display()))
    }

    /// Other limits for stages: from the file, then `flags`, each `STAGE=TIME`.
    pub(super) fn limits(&self, flags: &[(Stage, Duration)]) -> Result<BTreeMap<Stage, u64>> {
        let mut limits = BTreeMap::new();
        for (stage, time) in self.0.config().pairs("xnode", "timeouts")? {
            let stage = stage.parse::<Stage>().map_err(|error| self.bad("timeouts", error))?;
            let time = super::deploy::duration(&time)
                .map_err(|why| self.bad("timeouts", Error::new(ErrorKind::Config, format!("{why}."))))?;
            limits.insert(stage, time.as_secs());
        }
        limits.extend(flags.iter().map(|(stage, time)| (*stage, time.as_secs())));
        Ok(limits)
    }
}

/// `STAGE=TIME`, such as `kexec=20m`.
pub(super) fn stage_timeout(text: &str) -> Result<(Stage, Duration), String> {
    let usual = Limits::default();
    let (stage, time) = text.split_once('=').ok_or_else(|| {
        let all: Vec<String> =
            Stage::ALL.iter().map(|stage| format!("{stage}={}s", usual.get(*stage).as_secs())).collect();
        format!("write STAGE=TIME; the usual ones are {}", all.join(" "))
    })?;
    let stage = stage.parse::<Stage>().map_err(|error| match error.hint() {
        Some(hint) => format!("{} {hint}", error.message()),
        None => error.message().to_owned(),
    })?;
    Ok((stage, super::deploy::duration(time)?))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| Error::new(ErrorKind::Config, format!("{} cannot be read: {error}.", path.display())))
}
