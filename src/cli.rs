//! The command line.

use std::process::ExitCode;

pub mod demo;
pub mod keys;

/// Runs the subcommand that the command line names.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
