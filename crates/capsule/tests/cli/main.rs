//! The program as users run it: separate processes over one home.

mod at_once;
mod bad_input;
mod budgets;
mod catalogue;
mod crash;
mod elsewhere;
mod fleet;
mod interrupt;
mod limits;
mod once;
#[path = "../../../engine/tests/postgres/mod.rs"]
mod postgres;
mod program;
mod reconcile;
mod retired;
mod sandbox;
mod secrets;
mod served;
mod shared_journal;
mod templates;
mod way_over;
mod xnode;
