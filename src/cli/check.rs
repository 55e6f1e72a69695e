//! `portillon check`: whether a configuration is right, and what to register at the provider for it.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{configuration, counted, tell};
use crate::config::{Config, DEFAULT_FILE, Loaded, Purpose};

/// The command line of `portillon check`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The configuration; files in routes.d beside it belong to it
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
}

/// Checks the configuration: success where it can be used, whatever the warnings.
#[must_use]
pub fn execute(args: &Args) -> ExitCode {
    let Loaded { config, warnings } = match configuration(&args.config, Purpose::Check) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    tell(&warnings);
    let told = format!("{}{}\n", registration(&args.config, &config), counted(warnings.len(), "warning"));
    match io::stdout().write_all(told.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn registration(file: &Path, config: &Config) -> String {
    let mut text = format!("{}: the configuration is right\n", file.display());
    let lists =
        [("redirect_uri", config.redirect_uris()), ("post_logout_redirect_uri", config.post_logout_redirect_uris())];
    let _ = writeln!(text, "\nTo register at {} for this client:", config.provider.issuer);
    for (name, uris) in lists {
        let _ = writeln!(text, "\n{name}");
        for uri in uris {
            let _ = writeln!(text, "  {uri}");
        }
    }
    text + "\n"
}
