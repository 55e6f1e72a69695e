//! `portillon import`: the configuration of another product, as one of ours.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use super::say;
use crate::import::Product;

/// The command line of `portillon import`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    product: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// From a configuration file of Apache httpd with the directives of mod_auth_openidc
    #[command(name = "mod_auth_openidc")]
    ModAuthOpenidc {
        /// The file; what it includes is not read
        file: PathBuf,
    },
    /// From oauth2-proxy's configuration file, TOML or an older .cfg
    #[command(name = "oauth2-proxy")]
    Oauth2Proxy {
        /// The file
        file: PathBuf,
    },
}

/// Prints a configuration that says what the file says.
#[must_use]
pub fn execute(args: &Args) -> ExitCode {
    let (product, file) = match &args.product {
        From::ModAuthOpenidc { file } => (Product::ModAuthOpenidc, file),
        From::Oauth2Proxy { file } => (Product::Oauth2Proxy, file),
    };
    match imported(product, file) {
        Ok(text) if io::stdout().write_all(text.as_bytes()).is_ok() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("{}: {error}", file.display()));
            ExitCode::FAILURE
        }
    }
}

fn imported(product: Product, file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    product.import(&text).map_err(|error| error.to_string())
}
