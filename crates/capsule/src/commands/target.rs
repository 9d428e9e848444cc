//! Which server the user means.

use capsule_core::{Error, ErrorKind, Instance, InstanceId, Result, Scope};
use capsule_engine::{Engine, Record};
use futures_util::future::join_all;

use crate::session::Session;

/// A server that a command is about.
pub(super) struct Target {
    /// Where it is.
    pub id: InstanceId,
    /// Its name, for messages.
    pub name: String,
    /// What the inventory knows; `None` for a server that this installation did not make.
    pub record: Option<Record>,
}

/// Finds a server by its id, its unique name or a unique prefix of either: first in the inventory, then at the providers.
///
/// # Errors
/// [`ErrorKind::NotFound`] or [`ErrorKind::Conflict`] when there is not exactly one.
pub(super) async fn find(session: &Session, engine: &Engine, text: &str) -> Result<Target> {
    let missing = match engine.find(text).await {
        Ok(record) => return Ok(Target { id: record.id.clone(), name: record.name.clone(), record: Some(record) }),
        Err(error) if error.kind() == ErrorKind::NotFound => error,
        Err(error) => return Err(error),
    };
    if let Ok(id) = text.parse::<InstanceId>() {
        capsule_providers::find(id.provider.as_str())?;
        return Ok(Target { name: id.to_string(), id, record: None });
    }
    let entries = session.chosen(&[])?;
    let answers = join_all(
        entries
            .into_iter()
            .map(|entry| async { session.connect_for_list(entry, &[], true).await?.list(&Scope::All).await }),
    )
    .await;
    let mut found: Vec<Instance> = Vec::new();
    for answer in answers {
        // A provider that does not answer may have the one that is meant: concluding from the others would be a guess.
        found.extend(answer.map_err(|error| {
            error.context(format!("`{text}` is not in the inventory, and not every provider answered"))
        })?);
    }
    let exact = found.iter().filter(|instance| instance.name == text || instance.id.native == text);
    let mut matching: Vec<&Instance> = exact.collect();
    if matching.is_empty() {
        matching = found
            .iter()
            .filter(|instance| instance.name.starts_with(text) || instance.id.native.starts_with(text))
            .collect();
    }
    match matching[..] {
        [] => Err(missing),
        [one] => Ok(Target { id: one.id.clone(), name: one.name.clone(), record: None }),
        _ => {
            let ids: Vec<String> = matching.iter().take(6).map(|instance| instance.id.to_string()).collect();
            Err(Error::new(ErrorKind::Conflict, format!("{} servers match `{text}`.", matching.len()))
                .with_hint(format!("Say which by its id: {}.", ids.join(", "))))
        }
    }
}

impl Target {
    /// Refuses to change a server that this installation did not make, unless the user says so.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`].
    pub(super) fn ours_or(&self, unmanaged: bool) -> Result<()> {
        if self.record.is_some() || unmanaged {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Invalid, format!("{} was not made by this installation.", self.id))
            .with_hint("Add --unmanaged if you mean it all the same."))
    }
}
