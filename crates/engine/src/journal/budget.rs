//! Budgets in the journal: kept, and held against an order in the transaction that writes it down.

use capsule_core::{Error, Result};
use jiff::Timestamp;
use sqlx::{Any, Transaction};

use super::{Journal, from_json, number, record, store, text, to_json};
use crate::budget::{Budget, Load, Standing, admit, check, of_accounts, of_order, reckon};
use crate::event::{Entry, Event, Intent};
use crate::ledger::{accounts, month_start_at};
use crate::state::State;

impl Journal {
    /// Every budget, by name.
    pub(crate) async fn budgets(&self) -> Result<Vec<Budget>> {
        let mut tx = self.begin().await?;
        self.budgets_in(&mut tx).await
    }

    /// Sets a budget or changes the one of its name, unless it is none, or what is there cannot be reckoned in it.
    pub(crate) async fn set_budget(&self, budget: &Budget, now: Timestamp) -> Result<()> {
        let mut tx = self.begin().await?;
        let others = self.budgets_in(&mut tx).await?;
        check(budget, &others)?;
        reckon(budget, self.loads(&mut tx, now).await?.iter())?;
        let sql = if others.iter().any(|other| other.name == budget.name) {
            "UPDATE budget SET body = $3 WHERE owner = $1 AND name = $2"
        } else {
            "INSERT INTO budget (owner, name, body, checks) VALUES ($1, $2, $3, 0)"
        };
        let query = sqlx::query(sql).bind(self.owner.as_str()).bind(&budget.name).bind(to_json(budget));
        query.execute(&mut *tx).await.map_err(|error| store("write", error))?;
        tx.commit().await.map_err(|error| store("write", error))
    }

    /// Removes a budget; whether there was one.
    pub(crate) async fn remove_budget(&self, name: &str) -> Result<bool> {
        let sql = "DELETE FROM budget WHERE owner = $1 AND name = $2 RETURNING name";
        Ok(!self.write(sqlx::query(sql).bind(self.owner.as_str()).bind(name)).await?.is_empty())
    }

    /// How each budget stands.
    pub(crate) async fn standings(&self, now: Timestamp) -> Result<Vec<Standing>> {
        let mut tx = self.begin().await?;
        let budgets = self.budgets_in(&mut tx).await?;
        let loads = self.loads(&mut tx, now).await?;
        let standing = |budget: Budget| Standing { figures: reckon(&budget, loads.iter()), budget };
        Ok(budgets.into_iter().map(standing).collect())
    }

    /// Refuses what [`within_budgets`](Self::within_budgets) would, and leaves everything as it is.
    pub(crate) async fn admits(&self, wanted: &[Intent], now: Timestamp) -> Result<()> {
        let begin = |intent: &Intent| {
            State::begin(&Entry { at: now, event: Event::Intended { intent: intent.clone() } }).map_err(Error::from)
        };
        let wanted = wanted.iter().map(begin).collect::<Result<Vec<State>>>()?;
        let mut tx = self.begin().await?;
        let admitted = self.within_budgets(&mut tx, &wanted, now).await;
        tx.rollback().await.map_err(|error| store("read", error))?;
        admitted
    }

    /// Refuses orders that would exceed a budget; nobody else is admitted until this transaction ends.
    pub(super) async fn within_budgets(
        &self,
        tx: &mut Transaction<'static, Any>,
        wanted: &[State],
        now: Timestamp,
    ) -> Result<()> {
        let lock = sqlx::query("UPDATE budget SET checks = checks + 1 WHERE owner = $1").bind(self.owner.as_str());
        let locked = lock.execute(&mut **tx).await.map_err(|error| store("write", error))?;
        if locked.rows_affected() == 0 {
            return Ok(());
        }
        let budgets = self.budgets_in(tx).await?;
        let there = self.loads(tx, now).await?;
        let mut more = Vec::new();
        for state in wanted {
            more.extend(of_order(state, now).map_err(super::unsummable)?);
        }
        admit(&budgets, &there, &more)
    }

    async fn budgets_in(&self, tx: &mut Transaction<'static, Any>) -> Result<Vec<Budget>> {
        let sql = "SELECT body FROM budget WHERE owner = $1 ORDER BY name";
        let rows = sqlx::query(sql).bind(self.owner.as_str()).fetch_all(&mut **tx).await;
        rows.map_err(|error| store("read", error))?.iter().map(|row| from_json(&text(row, "body")?)).collect()
    }

    /// What is there, was there this month, or is under way.
    async fn loads(&self, tx: &mut Transaction<'static, Any>, now: Timestamp) -> Result<Vec<Load>> {
        // One statement: between two, a server could go over from the one to the other and count in neither.
        let sql = "SELECT 0 AS is_order, status, addresses, facts, gone_at FROM instance \
                   WHERE owner = $1 AND id IS NOT NULL AND (gone_at IS NULL OR gone_at >= $2) \
                   UNION ALL SELECT 1, '', '', state, NULL FROM operation \
                   WHERE owner = $1 AND kind = 'deploy' AND is_open = 1";
        let since = month_start_at(now).as_millisecond();
        let rows = sqlx::query(sql).bind(self.owner.as_str()).bind(since).fetch_all(&mut **tx).await;
        let (mut records, mut loads) = (Vec::new(), Vec::new());
        for row in rows.map_err(|error| store("read", error))? {
            if number(&row, "is_order")? == 0 {
                records.push(record(&row)?);
            } else {
                let state: State = from_json(&text(&row, "facts")?)?;
                loads.extend(of_order(&state, now).map_err(super::unsummable)?);
            }
        }
        let switched = self.switched_in(tx).await?;
        loads.extend(of_accounts(&accounts(records, &switched), now).map_err(super::unsummable)?);
        Ok(loads)
    }
}
