//! The `capsule` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    capsule::run(std::env::args_os())
}
