//! The journal: events, operations and the inventory in one database, by hand-written SQL that SQLite and PostgreSQL
//! both run.

mod budget;
mod bulk;
mod database;
mod lease;
mod turn;

use capsule_core::{Addresses, Error, ErrorKind, InstanceId, MoneyError, OwnerId, Result};
use jiff::Timestamp;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool, Row, Transaction};

use self::database::store;
pub use self::database::{Database, names};
use self::lease::{Dropped, Lease};
use self::turn::Turn;
use crate::engine::{AfterEvent, Notice, OperationFilter};
use crate::event::{Entry, Event, Intent};
use crate::ledger::Switched;
use crate::operation::{OperationId, Record};
use crate::state::{Member, State};

/// Takes the oldest operation that nobody works on. The guard stands outside the subquery as well: PostgreSQL does not
/// run that again for a row that another worker has just taken, and without the guard would give it to both.
const CLAIM_NEXT: &str = "UPDATE operation SET lease_owner = $1, lease_until = $2, version = version + 1 \
                          WHERE id = (SELECT id FROM operation WHERE owner = $3 AND is_open = 1 AND lease_until < $4 \
                                      ORDER BY created_at, id LIMIT 1) \
                          AND is_open = 1 AND lease_until < $4 RETURNING id, version";

/// An operation that this process may append to.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) id: OperationId,
    pub(crate) state: State,
    version: i64,
    seq: i64,
    lease: Lease,
}

/// An operation to be begun.
pub(crate) struct Begin {
    pub(crate) id: OperationId,
    pub(crate) intent: Intent,
    pub(crate) key: Option<Key>,
    pub(crate) part: i64,
}

/// What makes a request findable when it comes again.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) key: String,
    pub(crate) digest: String,
}

/// What became of operations to be begun.
pub(crate) enum Begun {
    /// They are written down and held by this worker.
    New(Vec<Held>),
    /// The same request was made before: these are its operations.
    Before(Vec<OperationId>),
}

/// One row of `operation`.
pub(crate) struct Stored {
    pub(crate) id: OperationId,
    pub(crate) state: State,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) lease_owner: Option<String>,
    pub(crate) lease_until: Timestamp,
}

/// The journal of one installation, as one worker sees it.
pub(crate) struct Journal {
    pool: AnyPool,
    turn: Turn,
    is_sqlite: bool,
    owner: OwnerId,
    worker: String,
    committed: std::sync::atomic::AtomicU64,
    after_event: Option<AfterEvent>,
    dropped: Dropped,
}

impl Journal {
    pub(crate) async fn open(
        database: &Database,
        owner: OwnerId,
        worker: String,
        after_event: Option<AfterEvent>,
        notice: Option<Notice>,
    ) -> Result<Self> {
        let (pool, is_sqlite) = database::connect(database).await?;
        let (turn, committed) = (Turn::new(is_sqlite, notice), std::sync::atomic::AtomicU64::new(0));
        let dropped = Dropped::default();
        let journal = Journal { pool, turn, is_sqlite, owner, worker, committed, after_event, dropped };
        if !database::is_current(&journal.pool).await {
            let mut tx = journal.begin().await?;
            database::migrate(&mut tx, is_sqlite).await?;
            tx.commit().await.map_err(|error| store("migrate", error))?;
        }
        Ok(journal)
    }

    /// Whether a connection is in use, or waited for.
    pub(crate) fn is_busy(&self) -> bool {
        self.turn.is_waited_for() || usize::try_from(self.pool.size()).is_ok_and(|open| open > self.pool.num_idle())
    }

    async fn begin(&self) -> Result<Transaction<'static, Any>> {
        self.turn.begin(&self.pool).await
    }

    /// One statement that writes, and the rows that it answers with.
    async fn write(&self, query: Query<'_, Any, AnyArguments>) -> Result<Vec<AnyRow>> {
        let mut tx = self.begin().await?;
        let rows = query.fetch_all(&mut *tx).await.map_err(|error| store("write", error))?;
        tx.commit().await.map_err(|error| store("write", error))?;
        Ok(rows)
    }

    /// Writes intents down, all or none, and reserves their names.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] for a name or key that is taken.
    pub(crate) async fn intend(&self, begins: Vec<Begin>, at: Timestamp, lease_until: Timestamp) -> Result<Begun> {
        loop {
            // Where another process wrote the same key down meanwhile, its operations are found at the second try.
            if let Some(begun) = self.try_to_intend(&begins, at, lease_until).await? {
                return Ok(begun);
            }
        }
    }

    /// `None` when somebody else was faster with the same key.
    async fn try_to_intend(&self, begins: &[Begin], at: Timestamp, lease_until: Timestamp) -> Result<Option<Begun>> {
        let mut tx = self.begin().await?;
        let key = begins.iter().find_map(|begin| begin.key.as_ref());
        if let Some(key) = key {
            let before = self.under(&mut tx, key).await?;
            if !before.is_empty() {
                return Ok(Some(Begun::Before(before)));
            }
        }
        let mut held = Vec::with_capacity(begins.len());
        let intended = |begin: &Begin| Entry { at, event: Event::Intended { intent: begin.intent.clone() } };
        let entries: Vec<Entry> = begins.iter().map(intended).collect();
        let states = entries.iter().map(State::begin).collect::<Result<Vec<_>, _>>()?;
        if states.iter().any(|state| state.deploy().is_some())
            && let Err(refusal) = self.within_budgets(&mut tx, &states, at).await
        {
            return self.unless_begun(&mut tx, key, refusal).await;
        }
        for ((begin, entry), state) in begins.iter().zip(&entries).zip(states) {
            if state.intent.is_arrival()
                && let Err(refusal) = self.refuse_taken_names(&mut tx, &state).await
            {
                return self.unless_begun(&mut tx, key, refusal).await;
            }
            if !self.insert(&mut tx, begin, &state, at, lease_until).await? {
                return Ok(None);
            }
            insert_event(&mut tx, &begin.id, 1, entry).await?;
            let lease = self.dropped.lease(&begin.id);
            held.push(Held { id: begin.id.clone(), state, version: 1, seq: 1, lease });
        }
        let events = held.len();
        tx.commit().await.map_err(|error| store("write", error))?;
        self.count(events);
        Ok(Some(Begun::New(held)))
    }

    /// The refusal, unless another process wrote the same key down since it was looked for: then that is what refuses.
    async fn unless_begun(
        &self,
        tx: &mut Transaction<'static, Any>,
        key: Option<&Key>,
        refusal: Error,
    ) -> Result<Option<Begun>> {
        match key {
            Some(key) if !self.under(tx, key).await?.is_empty() => Ok(None),
            _ => Err(refusal),
        }
    }

    /// The operations that were begun under a key.
    async fn under(&self, tx: &mut Transaction<'static, Any>, key: &Key) -> Result<Vec<OperationId>> {
        let sql = "SELECT id, digest FROM operation WHERE owner = $1 AND idempotency_key = $2 ORDER BY part";
        let rows = sqlx::query(sql).bind(self.owner.as_str()).bind(&key.key).fetch_all(&mut **tx).await;
        let rows = rows.map_err(|error| store("read", error))?;
        if let Some(row) = rows.iter().find(|row| text(row, "digest").ok().as_ref() != Some(&key.digest)) {
            let message = format!(
                "The idempotency key `{}` was used for another request, operation {}.",
                key.key,
                text(row, "id")?
            );
            return Err(Error::new(ErrorKind::Conflict, message).with_hint("Use a new key for a new request."));
        }
        rows.iter().map(|row| text(row, "id")?.parse()).collect()
    }

    async fn refuse_taken_names(&self, tx: &mut Transaction<'static, Any>, state: &State) -> Result<()> {
        let sql = "SELECT id, operation FROM instance WHERE owner = $1 AND name = $2 AND gone_at IS NULL";
        for member in &state.members {
            let row = sqlx::query(sql).bind(self.owner.as_str()).bind(&member.name).fetch_optional(&mut **tx).await;
            let Some(row) = row.map_err(|error| store("read", error))? else { continue };
            let operation = text(&row, "operation")?;
            let (what, hint) = match optional_text(&row, "id")? {
                Some(id) => (
                    format!("There is a server named `{}` already: {id}.", member.name),
                    format!("Choose another name, or delete it first: `capsule delete {}`.", member.name),
                ),
                None => (
                    format!("A server named `{}` is being made already, by operation {operation}.", member.name),
                    format!("Choose another name, or go on with that one: `capsule resume {operation}`."),
                ),
            };
            return Err(Error::new(ErrorKind::Conflict, what).with_hint(hint));
        }
        Ok(())
    }

    /// Whether the operation was new: one of the same key is not written a second time.
    async fn insert(
        &self,
        tx: &mut Transaction<'static, Any>,
        Begin { id, key, part, .. }: &Begin,
        state: &State,
        at: Timestamp,
        lease_until: Timestamp,
    ) -> Result<bool> {
        let subject = subject(&state.intent);
        let sql = "INSERT INTO operation (id, owner, kind, subject, idempotency_key, part, digest, state, is_open, next_at, \
                   created_at, updated_at, version, lease_owner, lease_until) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, NULL, $9, $10, 1, $11, $12) ON CONFLICT DO NOTHING";
        let inserted = sqlx::query(sql)
            .bind(id.as_str())
            .bind(self.owner.as_str())
            .bind(state.intent.kind().as_str())
            .bind(subject)
            .bind(key.as_ref().map(|key| key.key.clone()))
            .bind(*part)
            .bind(key.as_ref().map(|key| key.digest.clone()))
            .bind(to_json(state))
            .bind(at.as_millisecond())
            .bind(at.as_millisecond())
            .bind(&self.worker)
            .bind(lease_until.as_millisecond())
            .execute(&mut **tx)
            .await
            .map_err(|error| store("write", error))?;
        if inserted.rows_affected() == 0 {
            return if key.is_some() { Ok(false) } else { Err(damaged("two operations have one id")) };
        }
        if state.intent.is_arrival() {
            self.insert_members(tx, id, state).await?;
        }
        Ok(true)
    }

    async fn insert_members(&self, tx: &mut Transaction<'static, Any>, id: &OperationId, state: &State) -> Result<()> {
        for member in &state.members {
            let sql = "INSERT INTO instance (operation, name, owner, id, status, addresses, facts, gone_at) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7, NULL)";
            sqlx::query(sql)
                .bind(id.as_str())
                .bind(&member.name)
                .bind(self.owner.as_str())
                .bind(member.id().map(InstanceId::to_string))
                .bind(member.status().as_str())
                .bind(addresses(member))
                .bind(facts(id, state, member))
                .execute(&mut **tx)
                .await
                .map_err(|error| not_unique(error, member))?;
        }
        Ok(())
    }

    /// Writes one event and everything that follows from it in one transaction.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when another worker took the operation over; nothing was written then.
    pub(crate) async fn append(&self, held: &mut Held, event: Event, at: Timestamp) -> Result<()> {
        let entry = Entry { at, event };
        let state = held.state.clone().apply(&entry)?;
        let mut tx = self.begin().await?;
        let sql = "UPDATE operation SET state = $1, is_open = $2, next_at = $3, updated_at = $4, version = version + 1 \
                   WHERE id = $5 AND version = $6 AND lease_owner = $7";
        let updated = sqlx::query(sql)
            .bind(to_json(&state))
            .bind(i64::from(!state.is_over()))
            .bind(state.next_at().map(Timestamp::as_millisecond))
            .bind(at.as_millisecond())
            .bind(held.id.as_str())
            .bind(held.version)
            .bind(&self.worker)
            .execute(&mut *tx)
            .await
            .map_err(|error| store("write", error))?;
        if updated.rows_affected() != 1 {
            let message = format!("Another process has taken over operation {}.", held.id);
            return Err(Error::new(ErrorKind::Conflict, message)
                .with_hint(format!("It goes on there; `capsule ops show {}` tells how far it is.", held.id)));
        }
        insert_event(&mut tx, &held.id, held.seq + 1, &entry).await?;
        for (before, member) in held.state.members.iter().zip(&state.members) {
            if differs(before, member) {
                self.write_member(&mut tx, &held.id, &state, member, at).await?;
            }
        }
        tx.commit().await.map_err(|error| store("write", error))?;
        held.state = state;
        held.version += 1;
        held.seq += 1;
        self.count(1);
        Ok(())
    }

    async fn write_member(
        &self,
        tx: &mut Transaction<'static, Any>,
        operation: &OperationId,
        state: &State,
        member: &Member,
        at: Timestamp,
    ) -> Result<()> {
        let gone_at = member.is_gone().then(|| at.as_millisecond());
        let query = if state.intent.is_arrival() {
            // What is gone stays gone: another operation may have deleted it meanwhile.
            let sql = "UPDATE instance SET id = $1, status = $2, addresses = $3, facts = $4, gone_at = $5 \
                       WHERE operation = $6 AND name = $7 AND gone_at IS NULL";
            sqlx::query(sql)
                .bind(member.id().map(InstanceId::to_string))
                .bind(member.status().as_str())
                .bind(addresses(member))
                .bind(facts(operation, state, member))
                .bind(gone_at)
                .bind(operation.as_str())
                .bind(&member.name)
        } else {
            let sql = "UPDATE instance SET status = $1, addresses = $2, gone_at = $3 \
                       WHERE owner = $4 AND id = $5 AND gone_at IS NULL";
            sqlx::query(sql)
                .bind(member.status().as_str())
                .bind(addresses(member))
                .bind(gone_at)
                .bind(self.owner.as_str())
                .bind(member.id().map(InstanceId::to_string))
        };
        query.execute(&mut **tx).await.map_err(|error| store("write", error))?;
        Ok(())
    }

    /// Takes any open operation that nobody works on.
    pub(crate) async fn claim_next(&self, now: Timestamp, until: Timestamp) -> Result<Option<Held>> {
        loop {
            if let Some(row) = self.claim_by(CLAIM_NEXT, now, until).await? {
                return self.load(&row).await.map(Some);
            }
            // Two that reached for one row at one time: the guard refused the later one, and there may be more.
            if self.is_sqlite || !self.is_any_free(now).await? {
                return Ok(None);
            }
        }
    }

    async fn claim_by(&self, sql: &'static str, now: Timestamp, until: Timestamp) -> Result<Option<AnyRow>> {
        let query = sqlx::query(sql).bind(&self.worker).bind(until.as_millisecond()).bind(self.owner.as_str());
        Ok(self.write(query.bind(now.as_millisecond())).await?.pop())
    }

    async fn is_any_free(&self, now: Timestamp) -> Result<bool> {
        let sql = "SELECT id FROM operation WHERE owner = $1 AND is_open = 1 AND lease_until < $2 LIMIT 1";
        let query = sqlx::query(sql).bind(self.owner.as_str()).bind(now.as_millisecond());
        query.fetch_all(&self.pool).await.map(|rows| !rows.is_empty()).map_err(|error| store("read", error))
    }

    /// Takes this operation, if it is open and nobody else works on it.
    pub(crate) async fn claim(&self, id: &OperationId, now: Timestamp, until: Timestamp) -> Result<Option<Held>> {
        let sql = "UPDATE operation SET lease_owner = $1, lease_until = $2, version = version + 1 \
                   WHERE id = $3 AND is_open = 1 AND lease_until < $4 RETURNING id, version";
        let query = sqlx::query(sql).bind(&self.worker).bind(until.as_millisecond()).bind(id.as_str());
        match self.write(query.bind(now.as_millisecond())).await?.pop() {
            Some(row) => self.load(&row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn load(&self, row: &AnyRow) -> Result<Held> {
        let id: OperationId = text(row, "id")?.parse()?;
        let lease = self.dropped.lease(&id);
        let entries = self.entries(&id).await?;
        let state = State::fold(&entries)?;
        let seq = i64::try_from(entries.len()).map_err(|_| damaged("it is too long"))?;
        Ok(Held { id, state, version: number(row, "version")?, seq, lease })
    }

    /// Keeps all that this worker holds for longer.
    pub(crate) async fn renew(&self, until: Timestamp) -> Result<()> {
        let sql = "UPDATE operation SET lease_until = $1 WHERE lease_owner = $2 AND is_open = 1";
        self.write(sqlx::query(sql).bind(until.as_millisecond()).bind(&self.worker)).await.map(drop)
    }

    /// Lets an operation go, for whoever wants to go on with it.
    pub(crate) async fn release(&self, held: &mut Held) -> Result<()> {
        let sql = "UPDATE operation SET lease_owner = NULL, lease_until = 0 WHERE id = $1 AND lease_owner = $2";
        self.write(sqlx::query(sql).bind(held.id.as_str()).bind(&self.worker)).await?;
        held.lease.end();
        Ok(())
    }

    /// Lets those go that were dropped in the middle, and says which of them are not over. What else this worker holds
    /// it keeps.
    pub(crate) async fn release_dropped(&self) -> Result<Vec<OperationId>> {
        let ids = self.dropped.all();
        if ids.is_empty() {
            return Ok(ids);
        }
        let mut open = Vec::new();
        let mut tx = self.begin().await?;
        for id in &ids {
            let sql = "UPDATE operation SET lease_owner = NULL, lease_until = 0 \
                       WHERE id = $1 AND lease_owner = $2 AND is_open = 1 RETURNING id";
            let query = sqlx::query(sql).bind(id.as_str()).bind(&self.worker);
            let rows = query.fetch_all(&mut *tx).await.map_err(|error| store("write", error))?;
            open.extend(rows.first().map(|_| id.clone()));
        }
        tx.commit().await.map_err(|error| store("write", error))?;
        self.dropped.forget(&ids);
        Ok(open)
    }

    /// Lets all go that this worker holds and that is not over.
    pub(crate) async fn release_all(&self) -> Result<Vec<OperationId>> {
        let sql = "UPDATE operation SET lease_owner = NULL, lease_until = 0 \
                   WHERE lease_owner = $1 AND is_open = 1 RETURNING id";
        self.write(sqlx::query(sql).bind(&self.worker)).await?.iter().map(|row| text(row, "id")?.parse()).collect()
    }

    /// All events of one operation.
    pub(crate) async fn entries(&self, id: &OperationId) -> Result<Vec<Entry>> {
        let sql = "SELECT body FROM operation_event WHERE operation = $1 ORDER BY seq";
        let rows = sqlx::query(sql).bind(id.as_str()).fetch_all(&self.pool).await;
        rows.map_err(|error| store("read", error))?.iter().map(|row| Entry::parse(&text(row, "body")?)).collect()
    }

    /// Operations, newest first.
    pub(crate) async fn operations(&self, filter: &OperationFilter) -> Result<Vec<Stored>> {
        let sql = "SELECT id, state, created_at, updated_at, lease_owner, lease_until FROM operation \
                   WHERE owner = $1 AND is_open >= $2 ORDER BY created_at DESC, id LIMIT $3";
        let limit = filter.limit.filter(|_| filter.name.is_none()).map_or(i64::MAX, i64::from);
        let query = sqlx::query(sql).bind(self.owner.as_str()).bind(i64::from(filter.open)).bind(limit);
        query.fetch_all(&self.pool).await.map_err(|error| store("read", error))?.iter().map(operation_row).collect()
    }

    /// One operation.
    pub(crate) async fn operation(&self, id: &OperationId) -> Result<Option<Stored>> {
        let sql = "SELECT id, state, created_at, updated_at, lease_owner, lease_until FROM operation \
                   WHERE owner = $1 AND id = $2";
        let row = sqlx::query(sql).bind(self.owner.as_str()).bind(id.as_str()).fetch_optional(&self.pool).await;
        row.map_err(|error| store("read", error))?.as_ref().map(operation_row).transpose()
    }

    /// What brought the servers that are there or may yet come.
    pub(crate) async fn arrivals(&self) -> Result<Vec<State>> {
        let sql = "SELECT state FROM operation WHERE owner = $1 AND id IN \
                   (SELECT operation FROM instance WHERE owner = $1 AND gone_at IS NULL)";
        let rows = sqlx::query(sql).bind(self.owner.as_str()).fetch_all(&self.pool).await;
        rows.map_err(|error| store("read", error))?.iter().map(|row| from_json(&text(row, "state")?)).collect()
    }

    /// The open operation of this kind about this server.
    pub(crate) async fn open_about(&self, kind: &str, id: &InstanceId) -> Result<Option<OperationId>> {
        let sql = "SELECT id FROM operation WHERE owner = $1 AND kind = $2 AND subject = $3 AND is_open = 1";
        let query = sqlx::query(sql).bind(self.owner.as_str()).bind(kind).bind(id.to_string());
        let row = query.fetch_optional(&self.pool).await.map_err(|error| store("read", error))?;
        row.map(|row| text(&row, "id")?.parse()).transpose()
    }

    /// The servers that have an id, by name; the gone ones too if asked for.
    pub(crate) async fn records(&self, gone_too: bool) -> Result<Vec<Record>> {
        let sql = "SELECT status, addresses, facts, gone_at FROM instance \
                   WHERE owner = $1 AND id IS NOT NULL AND (gone_at IS NULL OR $2 = 1) ORDER BY name, operation";
        let rows = sqlx::query(sql).bind(self.owner.as_str()).bind(i64::from(gone_too)).fetch_all(&self.pool).await;
        rows.map_err(|error| store("read", error))?.iter().map(record).collect()
    }

    /// The record of this server, living before gone.
    pub(crate) async fn record(&self, id: &InstanceId) -> Result<Option<Record>> {
        let sql = "SELECT status, addresses, facts, gone_at FROM instance \
                   WHERE owner = $1 AND id = $2 ORDER BY CASE WHEN gone_at IS NULL THEN 0 ELSE 1 END LIMIT 1";
        let row = sqlx::query(sql).bind(self.owner.as_str()).bind(id.to_string()).fetch_optional(&self.pool).await;
        row.map_err(|error| store("read", error))?.as_ref().map(record).transpose()
    }

    /// Every change of power that was carried out, and every end, oldest first.
    pub(crate) async fn switched(&self) -> Result<Vec<Switched>> {
        let mut connection = self.pool.acquire().await.map_err(|error| store("read", error))?;
        self.switched_in(&mut connection).await
    }

    async fn switched_in(&self, connection: &mut AnyConnection) -> Result<Vec<Switched>> {
        let sql = "SELECT id, state, created_at, updated_at, lease_owner, lease_until FROM operation \
                   WHERE owner = $1 AND kind IN ('power', 'destroy') AND is_open = 0 ORDER BY updated_at, id";
        let rows = sqlx::query(sql).bind(self.owner.as_str()).fetch_all(connection).await;
        let rows = rows.map_err(|error| store("read", error))?;
        let stored = rows.iter().map(operation_row).collect::<Result<Vec<_>>>()?;
        Ok(stored.into_iter().filter_map(|row| row.state.switched(row.created_at, row.updated_at)).collect())
    }

    /// Another goal for a living server; whether there is one.
    pub(crate) async fn describe(&self, id: &InstanceId, goal: serde_json::Value) -> Result<bool> {
        let mut tx = self.begin().await?;
        let sql = "SELECT facts FROM instance WHERE owner = $1 AND id = $2 AND gone_at IS NULL";
        let row = sqlx::query(sql).bind(self.owner.as_str()).bind(id.to_string()).fetch_optional(&mut *tx).await;
        let Some(row) = row.map_err(|error| store("read", error))? else { return Ok(false) };
        let mut record: Record = from_json(&text(&row, "facts")?)?;
        record.goal = Some(goal);
        let sql = "UPDATE instance SET facts = $1 WHERE owner = $2 AND id = $3 AND gone_at IS NULL";
        let query = sqlx::query(sql).bind(to_json(&record)).bind(self.owner.as_str()).bind(id.to_string());
        query.execute(&mut *tx).await.map_err(|error| store("write", error))?;
        tx.commit().await.map_err(|error| store("write", error))?;
        Ok(true)
    }

    fn count(&self, events: usize) {
        for _ in 0..events {
            let n = self.committed.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            if let Some(after_event) = &self.after_event {
                after_event(n);
            }
        }
    }
}

/// The server that an operation on one is about.
fn subject(intent: &Intent) -> Option<String> {
    intent.server().filter(|_| !intent.is_arrival()).map(|server| server.id.to_string())
}

/// The index has the last word where two processes looked for the name at one time.
fn not_unique(error: sqlx::Error, member: &Member) -> Error {
    match error.as_database_error() {
        Some(database) if database.is_unique_violation() => {
            Error::new(ErrorKind::Conflict, format!("There is a server `{}` already.", member.name))
                .with_hint("`capsule list` and `capsule ops` show which.")
        }
        _ => store("write", error),
    }
}

async fn insert_event(tx: &mut Transaction<'static, Any>, id: &OperationId, seq: i64, entry: &Entry) -> Result<()> {
    let sql = "INSERT INTO operation_event (operation, seq, body) VALUES ($1, $2, $3)";
    let query = sqlx::query(sql).bind(id.as_str()).bind(seq).bind(entry.to_line());
    query.execute(&mut **tx).await.map(drop).map_err(|error| store("write", error))
}

fn differs(before: &Member, after: &Member) -> bool {
    before.server != after.server
        || before.not_yet != after.not_yet
        || before.status() != after.status()
        || before.is_gone() != after.is_gone()
}

fn addresses(member: &Member) -> String {
    to_json(&member.server.as_ref().map(|server| server.addresses.clone()).unwrap_or_default())
}

/// What never changes about a server, as JSON; `null` while it has no id.
fn facts(operation: &OperationId, state: &State, member: &Member) -> String {
    let Some(server) = &member.server else { return "null".to_owned() };
    let placement = state.placement_of(member);
    let (tags, price, foreign, rebuilt, created_at, goal) = match &state.intent {
        Intent::Adopt { tags, price, foreign, rebuilt, goal, .. } => (
            tags.clone(),
            price.as_deref().cloned(),
            *foreign,
            *rebuilt,
            server.created_at.unwrap_or(state.started),
            goal.clone(),
        ),
        _ => (
            state.deploy().map(|deploy| deploy.tags.clone()).unwrap_or_default(),
            placement.and_then(|placement| placement.price.clone()),
            false,
            false,
            member.ordered_at,
            state.deploy().and_then(|deploy| deploy.goal.clone()),
        ),
    };
    to_json(&Record {
        id: server.id.clone(),
        name: member.name.clone(),
        status: server.status,
        addresses: Addresses::default(),
        plan: placement.map_or_else(|| server.plan.clone(), |placement| placement.plan.clone()),
        kind: placement.map(|placement| placement.kind),
        image: placement.map(|placement| placement.image.clone()).or_else(|| server.image.clone()),
        tags,
        price,
        token: member.token.clone(),
        operation: operation.clone(),
        foreign,
        goal,
        rebuilt,
        created_at,
        known_since: Some(member.known_since).filter(|since| *since > created_at),
        not_running_at: member.not_yet,
        gone_at: None,
    })
}

fn record(row: &AnyRow) -> Result<Record> {
    let mut record: Record = from_json(&text(row, "facts")?)?;
    record.status = text(row, "status")?.parse()?;
    record.addresses = from_json(&text(row, "addresses")?)?;
    record.gone_at = optional_number(row, "gone_at")?.map(timestamp).transpose()?;
    Ok(record)
}

fn operation_row(row: &AnyRow) -> Result<Stored> {
    Ok(Stored {
        id: text(row, "id")?.parse()?,
        state: from_json(&text(row, "state")?)?,
        created_at: timestamp(number(row, "created_at")?)?,
        updated_at: timestamp(number(row, "updated_at")?)?,
        lease_owner: optional_text(row, "lease_owner")?,
        lease_until: timestamp(number(row, "lease_until")?)?,
    })
}

fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("it holds nothing that JSON cannot")
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| damaged(&error.to_string()))
}

fn timestamp(milliseconds: i64) -> Result<Timestamp> {
    Timestamp::from_millisecond(milliseconds).map_err(|error| damaged(&error.to_string()))
}

fn text(row: &AnyRow, column: &str) -> Result<String> {
    row.try_get(column).map_err(|error| store("read", error))
}

fn optional_text(row: &AnyRow, column: &str) -> Result<Option<String>> {
    row.try_get(column).map_err(|error| store("read", error))
}

fn number(row: &AnyRow, column: &str) -> Result<i64> {
    row.try_get(column).map_err(|error| store("read", error))
}

fn optional_number(row: &AnyRow, column: &str) -> Result<Option<i64>> {
    row.try_get(column).map_err(|error| store("read", error))
}

fn unsummable(error: MoneyError) -> Error {
    Error::new(ErrorKind::Invalid, format!("The costs cannot be summed up: {error}."))
}

fn damaged(why: &str) -> Error {
    Error::new(ErrorKind::Store, format!("The journal cannot be understood: {why}."))
        .with_hint("A newer Capsule may have written it: use that version, or another --home.")
}

#[cfg(test)]
mod tests;
