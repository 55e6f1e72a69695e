//! Configurations of other products, as drafts of ours: `portillon import`.
//!
//! A draft says the same as what it was made from, or less: a rule that has no equivalent admits nobody until somebody
//! has looked at it, and nothing becomes public by being misread. Secrets stay where they are; the draft names the file
//! to put each one in.

use std::fmt;

mod apache;
mod draft;
mod mod_auth_openidc;
mod oauth2_proxy;
mod path_regex;
mod write;

/// A product whose configuration can be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Product {
    /// mod_auth_openidc's directives, in a configuration file of Apache httpd.
    ModAuthOpenidc,
    /// oauth2-proxy's options in TOML, which its `.cfg` files are too.
    Oauth2Proxy,
}

/// Why a file is no configuration of the product. It quotes nothing of the file, which holds secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ImportError {
    line: Option<usize>,
    message: String,
}

impl Product {
    /// The `portillon.toml` that says the same as `text`.
    ///
    /// # Errors
    ///
    /// Where `text` is no configuration of the product.
    pub fn import(self, text: &str) -> Result<String, ImportError> {
        let draft = match self {
            Self::ModAuthOpenidc => mod_auth_openidc::draft(text),
            Self::Oauth2Proxy => oauth2_proxy::draft(text),
        };
        draft.map(|draft| write::written(&draft, self))
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ModAuthOpenidc => "mod_auth_openidc",
            Self::Oauth2Proxy => "oauth2-proxy",
        })
    }
}

impl ImportError {
    fn at(line: Option<usize>, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for ImportError {}
