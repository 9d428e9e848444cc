//! The `capsule` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(capsule::run(std::env::args_os()))
}
