//! From the price list to prices, without I/O.

use capsule_core::{BillingUnit, Currency, Extra, ExtraKind, Money, Price};

use super::api::PricedProduct;
use super::billing;

/// What a server costs an hour, with its instance type; `None` for what is sold in other units or for nothing.
pub(super) fn server_price(native: &PricedProduct) -> Option<(&str, Money)> {
    let plan = native.product.attributes.instance_type.as_deref()?;
    Some((plan, only(amounts(native, "Hrs"))?))
}

/// What a GiB of disk costs a month; `None` unless the products agree.
pub(super) fn disk_price(products: &[PricedProduct]) -> Option<Money> {
    only(products.iter().flat_map(|product| amounts(product, "GB-Mo")))
}

fn amounts<'a>(native: &'a PricedProduct, unit: &'a str) -> impl Iterator<Item = Money> + 'a {
    let dimensions = native.terms.on_demand.values().flat_map(|term| term.price_dimensions.values());
    dimensions
        .filter(move |dimension| dimension.unit == unit)
        .flat_map(|d| &d.price_per_unit)
        .filter_map(|(currency, amount)| Money::parse(amount, currency.parse::<Currency>().ok()?).ok())
}

/// Two different prices for one thing are no price, and a price of nothing is none.
fn only(mut amounts: impl Iterator<Item = Money>) -> Option<Money> {
    let amount = amounts.next().filter(|money| !money.amount().is_zero())?;
    amounts.all(|other| other == amount).then_some(amount)
}

/// What a disk of so many GiB costs by itself, at what a GiB costs a month.
pub(super) fn volume_price(disk: Money, gib: u64) -> Option<Price> {
    Some(billing::VIRTUAL.volume_price_at(disk.checked_mul(gib).ok()?, BillingUnit::Month))
}

/// The price of a server with what comes beside it: the disk that it boots from, at what a GiB costs a month.
pub(super) fn price(hourly: Money, disk: Money, root_gib: u64) -> Price {
    // Virtual and whole machines are billed by one rule.
    let mut price = billing::VIRTUAL.price(hourly, BillingUnit::Hour, None, 0);
    let root = Extra {
        what: ExtraKind::RootDisk,
        amount: disk,
        per: BillingUnit::Month,
        count: root_gib,
        unit: billing::VIRTUAL.disk_unit,
        while_stopped: true,
        minimum: billing::DISK_MINIMUM,
    };
    price.extras.insert(0, root);
    price
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact() {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Page {
            price_list: Vec<String>,
        }
        let page: Page = serde_json::from_str(include_str!("samples/get_products.json")).unwrap();
        let product: PricedProduct = serde_json::from_str(&page.price_list[0]).unwrap();
        let (plan, amount) = server_price(&product).unwrap();
        assert_eq!((plan, amount.to_string().as_str()), ("t3.micro", "0.0114 USD"));
        let free = page.price_list[0].replace("0.0114000000", "0.0000000000");
        assert!(server_price(&serde_json::from_str(&free).unwrap()).is_none(), "no price is not a price of nothing");
        assert_eq!(disk_price(&[product]), None, "an hour of a server is no month of a disk");
    }

    #[test]
    fn a_disk_has_one_price_or_none() {
        let product = |amount: &str, unit: &str| -> PricedProduct {
            let dimension = serde_json::json!({ "unit": unit, "pricePerUnit": { "USD": amount } });
            serde_json::from_value(serde_json::json!({
                "product": { "attributes": { "volumeApiName": "gp3" } },
                "terms": { "OnDemand": { "a": { "priceDimensions": { "a.b": dimension } } } },
            }))
            .unwrap()
        };
        let of = |products: &[(&str, &str)]| {
            disk_price(&products.iter().map(|(amount, unit)| product(amount, unit)).collect::<Vec<_>>())
        };
        assert_eq!(of(&[("0.0880000000", "GB-Mo")]).unwrap().to_string(), "0.088 USD");
        assert_eq!(of(&[("0.08", "GB-Mo"), ("0.09", "GB-Mo")]), None);
        assert_eq!(of(&[("0.005", "IOPS-Mo")]), None);
        assert_eq!(of(&[]), None);
        let price = price(Money::constant(416, 4, Currency::USD), Money::constant(8, 2, Currency::USD), 8);
        // 730 hours of server and address, a month of eight GiB.
        assert_eq!(price.monthly().unwrap().to_string(), "34.658 USD");
        assert_eq!(price.root_disk_gib(), Some(8));
    }
}
