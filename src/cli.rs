//! The command line. Exit codes: 0 fine, 1 failure, 2 usage, 78 configuration (`EX_CONFIG` of `sysexits.h`).

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rustls::crypto::aws_lc_rs;

use crate::config::{self, Diagnostic, Loaded, Purpose, Severity};

mod ask;
pub mod check;
pub mod demo;
pub mod doctor;
pub mod explain;
pub mod import;
pub mod keys;
pub mod routes;
pub mod run;
pub mod sessions;
pub mod test;

/// The exit code of a configuration that cannot be used.
const CONFIGURATION: u8 = 78;

/// A reverse proxy that puts an AgentConnect login in front of applications that never heard of it
#[derive(Debug, Parser)]
#[command(name = "portillon", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says everything that is wrong with a configuration, or what to register at the provider
    Check(check::Args),
    /// Shows one login from end to end, on this machine alone
    Demo(demo::Args),
    /// Asks everything around the gateway whether it will work
    Doctor(doctor::Args),
    /// Says why somebody gets in, or does not, from the configuration alone
    Explain(explain::Args),
    /// Turns the configuration of another product into one of ours
    Import(import::Args),
    /// Lists, rotates and exports the keys that seal sessions and sign requests
    Keys(keys::KeysArgs),
    /// Prints the table of routes
    Routes(routes::Args),
    /// Runs the gateway
    Run(run::Args),
    /// Lists and ends the sessions of agents
    Sessions(sessions::SessionsArgs),
    /// Tries whether the rules do what is expected of them in a file of cases
    Test(test::Args),
}

/// Runs the subcommand that the command line names.
#[must_use]
pub fn main() -> ExitCode {
    // An error means that it is installed already, by whoever calls this as a library.
    let _ = aws_lc_rs::default_provider().install_default();
    match CommandLine::try_parse() {
        Ok(CommandLine { command }) => execute(command),
        Err(usage) => {
            // Where nobody reads, there is nobody to tell.
            let _ = usage.print();
            ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2))
        }
    }
}

fn execute(command: Command) -> ExitCode {
    match command {
        Command::Check(args) => check::execute(&args),
        Command::Demo(args) => demo::execute(args),
        Command::Doctor(args) => doctor::execute(&args),
        Command::Explain(args) => explain::execute(&args),
        Command::Import(args) => import::execute(&args),
        Command::Keys(args) => keys::execute(&args, keys_dir),
        Command::Routes(args) => routes::execute(&args),
        Command::Run(args) => run::execute(&args),
        Command::Sessions(args) => sessions::execute(args),
        Command::Test(args) => test::execute(&args),
    }
}

/// The configuration of `file`. Its warnings are the caller's to tell.
///
/// # Errors
///
/// Tells everything that is wrong on the standard error, and gives the exit code for it.
pub fn configuration(file: &Path, purpose: Purpose) -> Result<Loaded, ExitCode> {
    config::load(file, purpose).map_err(|diagnostics| {
        tell(&diagnostics);
        say(&format!("{}: {}", file.display(), summary(&diagnostics)));
        ExitCode::from(CONFIGURATION)
    })
}

/// Prints diagnostics on the standard error, in colours where it is a terminal.
pub fn tell(diagnostics: &[Diagnostic]) {
    let styled = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    for diagnostic in diagnostics {
        say(&format!("{}\n", diagnostic.render(styled)));
    }
}

fn keys_dir(file: &Path) -> Result<PathBuf, ExitCode> {
    configuration(file, Purpose::Check).map(|loaded| loaded.config.server.keys_dir)
}

fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn summary(diagnostics: &[Diagnostic]) -> String {
    let of = |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity() == severity).count();
    match (of(Severity::Error), of(Severity::Warning)) {
        (errors, 0) => counted(errors, "error"),
        (errors, warnings) => format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")),
    }
}

fn counted(number: usize, thing: &str) -> String {
    match number {
        0 => format!("no {thing}s"),
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn things_are_counted() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "error")), ["no errors", "1 error", "2 errors"]);
    }
}
