//! The command line.

use std::process::ExitCode;

/// Runs the subcommand that the command line names.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
