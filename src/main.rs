//! Turns the command line into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    portillon::cli::main()
}
