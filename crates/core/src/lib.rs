//! The vocabulary of Capsule and its HTTP core.
//!
//! Every other crate speaks in these words: [`Provider`] is a cloud, [`Instance`] a server there, [`Catalog`] what can be
//! rented, [`Money`] what it costs, [`Error`] what went wrong and, above all, whether it may have taken effect.
//! [`http`] sends requests so that this last question always has an answer.

// Money is counted in decimals. What must compare likenesses may compare floats, but not reckon with them.
#![deny(clippy::float_arithmetic)]

pub mod catalog;
pub mod clock;
pub mod error;
pub mod http;
pub mod instance;
pub mod money;
pub mod nearest;
pub mod net;
pub mod price;
pub mod provider;
pub mod rates;
pub mod ssh;
pub mod statement;
pub mod tags;
pub mod tariff;

pub use catalog::{Architecture, Catalog, Gpu, Image, Offer, Plan, PlanKind, Region, Stock};
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Effect, Error, ErrorKind, Result, Retry, missing_is_ok};
pub use instance::{
    Addresses, Bodied, Instance, InstanceId, InstanceSpec, InstanceStatus, Order, OwnerId, Place, Power, ProviderId,
    RawBody, Scope, SshKey, Token,
};
pub use money::{Currency, Money, MoneyError};
pub use net::{Net, SystemNet};
pub use price::{BillingRule, BillingUnit, DayCost, DiskUnit, Extra, ExtraKind, Granularity, Life, Price, PricePart};
pub use provider::{
    Account, Capabilities, Connect, Descriptor, Disk, Disks, Leftover, LeftoverKind, Leftovers, Lifecycle, MadeFor,
    Marking, OwnLoader, Provider, Quota, Setting, SettingValue, Settings,
};
pub use rates::Rates;
pub use ssh::PublicKey;
pub use statement::{InvoiceLine, Invoiced, LineKind, Statement, StatementLine, Statements};
pub use tags::Tags;
pub use tariff::{Fact, Location, Part, Rate, Tariff, Transfer};
