//! What the HTTP core promises, against scripted answers and a clock that a test moves.

mod doubt;
mod hints;
mod ledger;
mod limiter;
mod network;
mod pages;
mod script;
mod secrets;
mod table;
