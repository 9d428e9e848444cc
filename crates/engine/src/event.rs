//! What can happen to an operation, as the journal keeps it for ever.
//!
//! Old lines must stay readable: a changed meaning gets a new version, a new field a default. A sample of each stands in
//! `samples/journal`.

use capsule_core::{
    Addresses, Error, ErrorKind, Instance, InstanceId, InstanceStatus, OwnerId, Power, Price, Result, SshKey, Tags,
    Token,
};
use jiff::Timestamp;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::operation::{Kind, OnFailure, Record, Wait};
use crate::placement::Placement;

/// The version of the lines that are written now.
const VERSION: u64 = 1;

/// One line of the journal: `{"v":1,"at":"...","type":"create_sent",...}`.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// What is wanted. Always the first.
    Intended {
        /// All of it.
        intent: Intent,
    },
    /// The create call is about to be sent.
    CreateSent {
        /// What finds its servers again.
        token: Token,
        /// Which of the intent's placements.
        placement: usize,
        /// The names that it orders.
        names: Vec<String>,
    },
    /// The create call answered with the servers.
    Created {
        /// All that it ordered.
        servers: Vec<Server>,
    },
    /// The create call took no effect.
    Rejected {
        /// The vendor's word.
        error: Error,
        /// What follows.
        then: Then,
    },
    /// Nobody knows whether the create call took effect.
    Unknown {
        /// Why not.
        error: Error,
    },
    /// Servers of an unanswered create call were found at the provider.
    Adopted {
        /// One for each name found.
        servers: Vec<Server>,
        /// Doubles, to be deleted.
        extras: Vec<InstanceId>,
    },
    /// What an unanswered create call ordered is not at the provider, and cannot appear any more.
    NotThere {
        /// What follows.
        then: Then,
    },
    /// A last look at the tokens that were once in doubt.
    Swept {
        /// Doubles that came late, to be deleted.
        extras: Vec<InstanceId>,
    },
    /// A server runs and has an address, and is watched until it does what it was made for.
    Up {
        /// As it was seen.
        server: Server,
        /// Why it may never start what is put on its disk.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hindrance: Option<Error>,
    },
    /// A server passed a stage on its way.
    Reached {
        /// Whose.
        name: String,
        /// Which: see [`crate::readiness`].
        stage: String,
    },
    /// A server is as wanted.
    Ready {
        /// As it was seen.
        server: Server,
    },
    /// A server will not be as wanted.
    Lost {
        /// Whose.
        name: String,
        /// Why.
        error: Error,
        /// Whether it is deleted or stays.
        fate: OnFailure,
    },
    /// The vendor accepted the change of power.
    PowerAccepted {},
    /// A server is gone: the provider said so.
    Gone {
        /// Which.
        id: InstanceId,
        /// When its end was asked for, where that was done by who saw it gone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked: Option<Timestamp>,
    },
    /// Nothing is left to do.
    Finished {},
}

/// What is wanted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// New servers by one create call.
    Deploy(Box<Deploy>),
    /// The end of one.
    Destroy {
        /// As it was known.
        server: Server,
    },
    /// Another power state of one.
    Power {
        /// As it was known.
        server: Server,
        /// Which.
        to: Power,
        /// Whether to wait for it.
        wait: Wait,
    },
    /// One in the inventory that is there already.
    Adopt {
        /// As it was seen.
        server: Server,
        /// Its tags, without ours.
        tags: Tags,
        /// What it was created under.
        token: Option<Token>,
        /// Whether somebody else made it.
        foreign: bool,
        /// What it costs, where known.
        price: Option<Box<Price>>,
        /// What it is meant to be, for whoever looks at it; the engine passes it on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        goal: Option<Value>,
        /// Whether it was read back from the provider's tags, after its journal was lost.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        rebuilt: bool,
    },
    /// One of the inventory that is gone, and not by us: its provider said so before this was written.
    Vanished {
        /// As it was known.
        server: Server,
    },
}

/// New servers by one create call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Deploy {
    /// Whose.
    pub owner: OwnerId,
    /// One server for each.
    pub names: Vec<String>,
    /// Where, in the order in which they are tried, with the quoted price.
    pub placements: Vec<Placement>,
    /// Keys to log in with.
    pub ssh_keys: Vec<SshKey>,
    /// Text for cloud-init.
    pub user_data: Option<String>,
    /// The user's tags.
    pub tags: Tags,
    /// What becomes of one that does not come up.
    pub on_failure: OnFailure,
    /// What to wait for.
    pub wait: Wait,
    /// What its servers are to become, for the one that judges it; the engine passes it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<Value>,
}

/// What the journal keeps of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Its name in the inventory.
    pub name: String,
    /// Where it is.
    pub id: InstanceId,
    /// Its state when it was seen.
    pub status: InstanceStatus,
    /// Its addresses then.
    #[serde(default)]
    pub addresses: Addresses,
    /// The vendor's plan id, empty where not told.
    #[serde(default)]
    pub plan: String,
    /// What it boots.
    #[serde(default)]
    pub image: Option<String>,
    /// When the vendor made it.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// When its id was known here, where that was later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_since: Option<Timestamp>,
    /// Whether the vendor was asked for it and showed it: then it is not too young to be missed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shown: bool,
    /// When it was last looked at by who saw it so, and was not so yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_yet: Option<Timestamp>,
}

impl Server {
    /// What the journal keeps of `instance`, under our name for it.
    pub fn seen(name: &str, instance: &Instance) -> Self {
        Server {
            name: name.to_owned(),
            id: instance.id.clone(),
            status: instance.status,
            addresses: instance.addresses.clone(),
            plan: instance.plan.clone(),
            image: instance.image.clone(),
            created_at: instance.created_at,
            known_since: None,
            shown: false,
            not_yet: None,
        }
    }
}

/// What the journal keeps of a server that is in the inventory.
impl From<Record> for Server {
    fn from(record: Record) -> Self {
        Server {
            name: record.name,
            id: record.id,
            status: record.status,
            addresses: record.addresses,
            plan: record.plan,
            image: record.image,
            created_at: Some(record.created_at),
            known_since: record.known_since,
            shown: false,
            not_yet: None,
        }
    }
}

/// What follows a create call that made nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The same placement again, not before a time.
    Again {
        /// That time.
        not_before: Timestamp,
    },
    /// The next placement.
    Next,
    /// Nothing: the servers not made yet have failed.
    GiveUp,
}

impl Event {
    /// Its name in the journal.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Intended { .. } => "intended",
            Event::CreateSent { .. } => "create_sent",
            Event::Created { .. } => "created",
            Event::Rejected { .. } => "rejected",
            Event::Unknown { .. } => "unknown",
            Event::Adopted { .. } => "adopted",
            Event::NotThere { .. } => "not_there",
            Event::Swept { .. } => "swept",
            Event::Up { .. } => "up",
            Event::Reached { .. } => "reached",
            Event::Ready { .. } => "ready",
            Event::Lost { .. } => "lost",
            Event::PowerAccepted {} => "power_accepted",
            Event::Gone { .. } => "gone",
            Event::Finished {} => "finished",
        }
    }
}

impl Intent {
    /// What the operation is about.
    pub fn kind(&self) -> Kind {
        match self {
            Intent::Deploy(_) => Kind::Deploy,
            Intent::Destroy { .. } => Kind::Destroy,
            Intent::Power { .. } => Kind::Power,
            Intent::Adopt { .. } => Kind::Adopt,
            Intent::Vanished { .. } => Kind::Vanished,
        }
    }

    /// The names of the servers concerned.
    pub fn names(&self) -> Vec<String> {
        match self {
            Intent::Deploy(deploy) => deploy.names.clone(),
            _ => self.server().map(|server| server.name.clone()).into_iter().collect(),
        }
    }

    /// The server that it is about, where there is one already.
    pub fn server(&self) -> Option<&Server> {
        match self {
            Intent::Deploy(_) => None,
            Intent::Destroy { server }
            | Intent::Power { server, .. }
            | Intent::Adopt { server, .. }
            | Intent::Vanished { server } => Some(server),
        }
    }

    /// Whether its servers enter the inventory.
    pub fn is_arrival(&self) -> bool {
        matches!(self, Intent::Deploy(_) | Intent::Adopt { .. })
    }
}

impl Entry {
    /// Reads a line of any version.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] for a line that no version has written.
    pub fn parse(line: &str) -> Result<Entry> {
        serde_json::from_str(line).map_err(|error| {
            Error::new(ErrorKind::Store, format!("A line of the journal cannot be read: {error}."))
                .with_hint("It may have been written by a newer version of Capsule; use that one.")
        })
    }

    /// The line.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("an event holds nothing that JSON cannot")
    }
}

// Written by hand: serde's internally tagged enums read numbers through a buffer in which exact decimals get lost.
impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = Map::new();
        line.insert("v".to_owned(), VERSION.into());
        line.insert("at".to_owned(), serde_json::to_value(self.at).map_err(S::Error::custom)?);
        line.insert("type".to_owned(), self.event.name().into());
        let event = serde_json::to_value(&self.event).map_err(S::Error::custom)?;
        if let Some(Value::Object(fields)) = event.get(self.event.name()) {
            line.extend(fields.clone());
        }
        line.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut line = Map::deserialize(deserializer)?;
        match line.remove("v").and_then(|v| v.as_u64()) {
            Some(VERSION) => {}
            Some(other) => return Err(D::Error::custom(format!("version {other} is not known"))),
            None => return Err(D::Error::custom("it has no version")),
        }
        let at = line.remove("at").ok_or_else(|| D::Error::custom("it has no time"))?;
        let Some(Value::String(name)) = line.remove("type") else { return Err(D::Error::custom("it has no type")) };
        let event = Value::Object(Map::from_iter([(name, Value::Object(line))]));
        Ok(Entry {
            at: serde_json::from_value(at).map_err(D::Error::custom)?,
            event: serde_json::from_value(event).map_err(D::Error::custom)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The text of every sample, by file name.
    pub(crate) fn samples() -> Vec<(String, String)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/journal/v1");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap());
        files.map(|f| (f.file_name().into_string().unwrap(), std::fs::read_to_string(f.path()).unwrap())).collect()
    }

    #[test]
    fn every_line_ever_written_stays_readable() {
        let mut seen = BTreeSet::new();
        for (file, text) in samples() {
            let entry = Entry::parse(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
            let again: Value = serde_json::from_str(&entry.to_line()).unwrap();
            assert_eq!(again, serde_json::from_str::<Value>(&text).unwrap(), "{file}");
            seen.insert(entry.event.name());
        }
        let all = [
            "intended",
            "create_sent",
            "created",
            "rejected",
            "unknown",
            "adopted",
            "not_there",
            "swept",
            "up",
            "reached",
            "ready",
            "lost",
            "power_accepted",
            "gone",
            "finished",
        ];
        assert_eq!(seen, BTreeSet::from(all), "each event has a sample");
    }

    #[test]
    fn lines_of_no_known_version_are_refused() {
        for line in [
            r#"{"v":2,"at":"2026-01-01T00:00:00Z","type":"finished"}"#,
            r#"{"at":"2026-01-01T00:00:00Z","type":"finished"}"#,
            r#"{"v":1,"at":"2026-01-01T00:00:00Z","type":"exploded"}"#,
            r#"{"v":1,"type":"finished"}"#,
            "[]",
            "",
        ] {
            assert_eq!(Entry::parse(line).unwrap_err().kind(), ErrorKind::Store, "{line}");
        }
    }
}
