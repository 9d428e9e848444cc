//! The program as users run it: separate processes over one home.

mod bad_input;
mod crash;
mod once;
mod program;
mod sandbox;
mod secrets;
mod templates;
