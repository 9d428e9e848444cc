//! What a vendor charges an account for its servers in the running month, reckoned as roughly as a bill's preview may be:
//! each hour that began at the plan's price, to the month's price at most, and a month where there is no hour's price. It
//! knows nothing of Capsule's prices and rules. What comes beside the plan, taxes and prices of single regions are not in it.

use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::Value;

use crate::machine::Machine;
use crate::world::View;

/// What one server is charged for.
#[derive(Debug, Clone)]
pub(crate) struct Charge {
    pub(crate) name: String,
    pub(crate) plan: String,
    pub(crate) region: String,
    /// Hours that began.
    pub(crate) hours: u64,
    /// The price of one.
    pub(crate) hourly: Decimal,
    /// What they come to.
    pub(crate) amount: Decimal,
}

impl View<'_> {
    /// Every server that the account had in this month, oldest first.
    pub(crate) fn charges(&self, account: &str) -> Vec<Charge> {
        self.machines_born_of(account).filter_map(|machine| self.charge(machine)).collect()
    }

    fn charge(&self, machine: &Machine) -> Option<Charge> {
        let now = self.now();
        let first = TimeZone::UTC.to_datetime(now).date().first_of_month();
        let start = TimeZone::UTC.to_timestamp(first.into()).ok()?.max(machine.born_at);
        let end = machine.gone_at().map_or(now, |gone| gone.min(now));
        let seconds = u64::try_from(end.duration_since(start).as_secs()).ok()?;
        let plan = self.plan(&machine.plan)?;
        let decimal = |text: &str| text.parse::<Decimal>().unwrap_or_default();
        let (hourly, monthly) = (decimal(plan.hourly), decimal(plan.monthly));
        let hours = seconds / 3600 + 1;
        let by_hours = hourly * Decimal::from(hours);
        let amount = match (hourly.is_zero(), monthly.is_zero()) {
            // Sold by the month alone.
            (true, _) => monthly,
            (false, true) => by_hours,
            (false, false) => by_hours.min(monthly),
        };
        Some(Charge {
            name: machine.name.clone(),
            plan: machine.plan.clone(),
            region: machine.region.clone(),
            hours,
            hourly,
            amount,
        })
    }
}

/// All of them together, to the cent.
pub(crate) fn sum(charges: &[Charge]) -> Decimal {
    charges.iter().map(|charge| charge.amount).sum::<Decimal>().round_dp(2)
}

/// An amount as a JSON number.
pub(crate) fn number(amount: Decimal) -> Value {
    serde_json::from_str(&amount.to_string()).expect("a decimal is a JSON number")
}
