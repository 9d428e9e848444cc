//! The same on PostgreSQL.

#[path = "create_once.rs"]
mod create_once;
