//! What the vendor says that it charges.

use std::time::Duration;

use async_trait::async_trait;
use capsule_core::{Invoiced, Money, Result, Statement, Statements};
use futures_util::future::try_join;
use jiff::Timestamp;
use jiff::civil::Date;

use super::{Linode, api, billing};

#[async_trait]
impl Statements for Linode {
    fn needs(&self) -> &'static str {
        "the scope `account:read_only`"
    }

    fn fee(&self) -> Option<Money> {
        None
    }

    fn lag(&self) -> Duration {
        Duration::ZERO
    }

    async fn statement(&self) -> Result<Statement> {
        let asked_at = self.clock.now();
        let (account, transfer) = try_join(self.api.account(), self.api.transfer()).await?;
        Ok(statement(asked_at, &account, &transfer))
    }

    async fn invoiced(&self, month: Date) -> Result<Invoiced> {
        self.api.invoiced(self.clock.now(), month).await
    }
}

fn statement(asked_at: Timestamp, account: &api::Account, transfer: &api::Transfer) -> Statement {
    let mut notes =
        vec!["The vendor's estimate of this month's invoice for the whole account, without transfer.".to_owned()];
    let all = [("", transfer.billable)].into_iter();
    let own = transfer.region_transfers.iter().flatten().map(|pool| (pool.id.as_deref().unwrap_or("?"), pool.billable));
    for (region, billable) in all.chain(own).filter_map(|(region, gb)| Some((region, gb.filter(|gb| *gb > 0)?))) {
        let place = if region.is_empty() { String::new() } else { format!(" in {region}") };
        notes.push(format!("{billable} GB of transfer{place} are beyond the allowance, and not in the estimate."));
    }
    if let (Some(used), Some(quota)) = (transfer.used, transfer.quota) {
        notes.push(format!("Transfer this month: {used} of {quota} GB."));
    }
    let dollars = |amount| Money::new(amount, billing::VIRTUAL.currency);
    Statement {
        asked_at,
        since: Some(asked_at.to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month()),
        charged: account.balance_uninvoiced.map(dollars),
        balance: account.balance.map(dollars),
        lines: Vec::new(),
        notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vendors_own_example_is_read() {
        let account = serde_json::from_str(r#"{"balance": 200, "balance_uninvoiced": 145.5}"#).unwrap();
        let transfer = r#"{"billable": 12, "quota": 9141, "used": 9153,
            "region_transfers": [{"billable": 0, "id": "us-east", "quota": 5010, "used": 1},
                {"billable": 3, "id": "id-cgk", "quota": 10, "used": 13}]}"#;
        let read = statement(Timestamp::UNIX_EPOCH, &account, &serde_json::from_str(transfer).unwrap());
        assert_eq!(
            read.notes[1..],
            [
                "12 GB of transfer are beyond the allowance, and not in the estimate.",
                "3 GB of transfer in id-cgk are beyond the allowance, and not in the estimate.",
                "Transfer this month: 9153 of 9141 GB.",
            ]
        );
        assert_eq!(read.charged.unwrap().to_string(), "145.5 USD");
        assert_eq!(read.balance.unwrap().to_string(), "200 USD");
    }
}
