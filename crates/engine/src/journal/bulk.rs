//! What a look at the providers tells, written down for many servers in one transaction: operations that are over as soon
//! as they are begun. Each transaction is whole by itself, so that whoever is interrupted goes on where it stood.

use std::collections::HashSet;

use capsule_core::Result;
use jiff::Timestamp;
use sqlx::{Any, Transaction};

use super::database::store;
use super::{Journal, insert_event, optional_text, subject, text, to_json};
use crate::event::{Entry, Event, Intent, Server};
use crate::operation::{Dice, OperationId};
use crate::state::State;

/// So many operations share a transaction: another process waits for one, not for all.
const AT_ONCE: usize = 500;

impl Journal {
    /// Takes servers into the inventory by their intents to adopt; `taken` hears after each transaction how many there
    /// are. One whose name is taken gets a number behind it; one that is there already is left as it is.
    pub(crate) async fn take_in(
        &self,
        intents: Vec<Intent>,
        at: Timestamp,
        dice: &Dice,
        taken: &dyn Fn(usize),
    ) -> Result<()> {
        let mut count = 0;
        for chunk in intents.chunks(AT_ONCE) {
            let mut tx = self.begin_alone().await?;
            let mut names = HashSet::new();
            let mut ids = HashSet::new();
            let sql = "SELECT name, id FROM instance WHERE owner = $1 AND gone_at IS NULL";
            let rows = sqlx::query(sql).bind(self.owner.as_str()).fetch_all(&mut *tx).await;
            for row in &rows.map_err(|error| store("read", error))? {
                names.insert(text(row, "name")?);
                ids.extend(optional_text(row, "id")?);
            }
            let mut written = 0;
            for intent in chunk {
                let mut intent = intent.clone();
                if let Intent::Adopt { server, .. } = &mut intent {
                    if !ids.insert(server.id.to_string()) {
                        continue;
                    }
                    server.name = free_name(&server.name, &names);
                    names.insert(server.name.clone());
                }
                let (id, state) = self.write_over(&mut tx, dice.operation_id(), intent, at).await?;
                self.insert_members(&mut tx, &id, &state).await?;
                written += 1;
            }
            tx.commit().await.map_err(|error| store("write", error))?;
            self.count(written * 2);
            count += written;
            taken(count);
        }
        Ok(())
    }

    /// Writes down that servers of the inventory are gone, and tells which were there until now.
    pub(crate) async fn record_vanished(
        &self,
        servers: Vec<Server>,
        at: Timestamp,
        dice: &Dice,
    ) -> Result<Vec<Server>> {
        let mut recorded = Vec::new();
        for chunk in servers.chunks(AT_ONCE) {
            let mut tx = self.begin_alone().await?;
            let before = recorded.len();
            for server in chunk {
                // Whoever deletes it at this moment says so by an operation of its own.
                let sql = "UPDATE instance SET status = 'deleting', gone_at = $1 \
                           WHERE owner = $2 AND id = $3 AND gone_at IS NULL AND NOT EXISTS \
                           (SELECT 1 FROM operation WHERE owner = $2 AND subject = $3 AND is_open = 1)";
                let query = sqlx::query(sql).bind(at.as_millisecond()).bind(self.owner.as_str());
                let updated = query.bind(server.id.to_string()).execute(&mut *tx).await;
                if updated.map_err(|error| store("write", error))?.rows_affected() == 1 {
                    let intent = Intent::Vanished { server: server.clone() };
                    self.write_over(&mut tx, dice.operation_id(), intent, at).await?;
                    recorded.push(server.clone());
                }
            }
            tx.commit().await.map_err(|error| store("write", error))?;
            self.count((recorded.len() - before) * 2);
        }
        Ok(recorded)
    }

    /// A transaction beside which nobody else writes servers: what it read of names and ids holds until its end. Of SQLite's
    /// that is true of every one.
    async fn begin_alone(&self) -> Result<Transaction<'static, Any>> {
        let mut tx = self.begin().await?;
        if !self.is_sqlite {
            let lock = sqlx::query("LOCK TABLE instance IN SHARE ROW EXCLUSIVE MODE").execute(&mut *tx).await;
            lock.map_err(|error| store("write", error))?;
        }
        Ok(tx)
    }

    /// An operation from its intent to its end.
    async fn write_over(
        &self,
        tx: &mut Transaction<'static, Any>,
        id: OperationId,
        intent: Intent,
        at: Timestamp,
    ) -> Result<(OperationId, State)> {
        let first = Entry { at, event: Event::Intended { intent } };
        let last = Entry { at, event: Event::Finished {} };
        let state = State::fold([&first, &last])?;
        let sql = "INSERT INTO operation (id, owner, kind, subject, part, state, is_open, created_at, updated_at, version, \
                   lease_until) VALUES ($1, $2, $3, $4, 0, $5, 0, $6, $7, 2, 0)";
        sqlx::query(sql)
            .bind(id.as_str())
            .bind(self.owner.as_str())
            .bind(state.intent.kind().as_str())
            .bind(subject(&state.intent))
            .bind(to_json(&state))
            .bind(at.as_millisecond())
            .bind(at.as_millisecond())
            .execute(&mut **tx)
            .await
            .map_err(|error| store("write", error))?;
        insert_event(tx, &id, 1, &first).await?;
        insert_event(tx, &id, 2, &last).await?;
        Ok((id, state))
    }
}

/// `wanted`, or with the first number behind it that makes it free.
fn free_name(wanted: &str, taken: &HashSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{wanted}-{number}"));
    let mut names = std::iter::once(wanted.to_owned()).chain(numbered);
    names.find(|name| !taken.contains(name)).expect("numbers do not run out")
}
