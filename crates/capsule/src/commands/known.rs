//! Servers of the inventory as the journal last saw them: nobody is asked.

use std::collections::HashSet;

use capsule_core::{Error, InstanceStatus, Tags};
use capsule_engine::Record;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use crate::complete;
use crate::nodes::Goal;
use crate::own::OWN;
use crate::session::Session;

/// Which servers of the inventory.
#[derive(Debug, Args)]
pub struct Known {
    /// Only this provider (may be repeated)
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::providers))]
    pub provider: Vec<String>,
    /// Only this region (may be repeated)
    #[arg(long, value_name = "REGION")]
    pub region: Vec<String>,
    /// Only this status
    #[arg(long, value_name = "STATUS")]
    pub status: Option<InstanceStatus>,
    /// Only servers with this tag (may be repeated)
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub tag: Vec<String>,
    /// Only servers with at least one of these tags (may be repeated)
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub any_tag: Vec<String>,
}

impl Known {
    /// Those servers, by name.
    ///
    /// # Errors
    /// [`capsule_core::ErrorKind::Invalid`] for a wrong name, [`capsule_core::ErrorKind::Store`].
    pub(super) async fn records(&self, session: &Session) -> Result<Vec<Record>, Error> {
        let pairs = |words: &[String]| words.iter().map(|tag| Tags::parse_pair(tag)).collect::<Result<Vec<_>, _>>();
        let (all, any) = (pairs(&self.tag)?, pairs(&self.any_tag)?);
        for name in self.provider.iter().filter(|name| *name != OWN.as_str()) {
            capsule_providers::find(name)?;
        }
        let mut records = session.engine().await?.inventory().await?;
        records.retain(|record| {
            let id = &record.id;
            let has = |(key, value): &(String, String)| {
                record.tags.get(key).is_some_and(|has| value.is_empty() || has == value)
            };
            (self.provider.is_empty() || self.provider.iter().any(|name| name == id.provider.as_str()))
                && (self.region.is_empty() || self.region.contains(&id.region))
                && self.status.is_none_or(|status| status == record.status)
                && all.iter().all(has)
                && (any.is_empty() || any.iter().any(has))
        });
        records.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(records)
    }
}

/// Who is let in by SSH; nobody by an xNode, which has no SSH.
pub(super) fn login(record: &Record) -> Option<&'static str> {
    if is_xnode(record) {
        return None;
    }
    // Who has a server of their own knows best; the SSH client's own default is as good a guess as any.
    let entry = capsule_providers::find(record.id.provider.as_str()).ok()?;
    Some(entry.elsewhere.user(record.image.as_deref()))
}

/// Whether it is meant to be an xNode, or was taken in as one.
pub(super) fn is_xnode(record: &Record) -> bool {
    record.id.provider == OWN || Goal::of(record).is_some()
}

/// Names that another program takes: what it does not know becomes `filler`, and each is there once.
pub(super) struct Names {
    taken: HashSet<String>,
    allowed: fn(char) -> bool,
    filler: char,
}

impl Names {
    /// Names of letters, digits and what else is allowed.
    pub(super) fn new(allowed: fn(char) -> bool, filler: char) -> Self {
        Names { taken: HashSet::new(), allowed, filler }
    }

    /// The name of the next server.
    pub(super) fn next(&mut self, name: &str) -> String {
        let clean = clean(name, self.allowed, self.filler);
        let mut unique = clean.clone();
        // Bounded by how many were given out.
        for number in 2.. {
            if self.taken.insert(unique.clone()) {
                break;
            }
            unique = format!("{clean}{}{number}", self.filler);
        }
        unique
    }
}

/// A name with `filler` in the place of what is not allowed.
pub(super) fn clean(name: &str, allowed: fn(char) -> bool, filler: char) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || allowed(c) { c } else { filler }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_apart_after_what_is_not_allowed_is_gone() {
        let mut names = Names::new(|c| c == '_', '_');
        let given = ["web.1", "web-1", "web_1", "web_1_2", "db\n*"].map(|name| names.next(name));
        assert_eq!(given, ["web_1", "web_1_2", "web_1_3", "web_1_2_2", "db__"]);
    }
}
