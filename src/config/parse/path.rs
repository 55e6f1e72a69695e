//! Paths on a host: those of applications, and those that the gateway keeps for itself.

use crate::config::raw::Item;
use crate::route::PathPrefix;

/// The paths that are the gateway's own on every host.
#[derive(Clone, Debug)]
pub(super) struct OwnPaths {
    prefix: PathPrefix,
}

impl OwnPaths {
    /// `prefix` starts and ends with `/`.
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.parse().unwrap_or_else(|_| PathPrefix::root()) }
    }

    /// The path of an application that `item` holds.
    pub(super) fn foreign(&self, item: &Item<'_>) -> Option<PathPrefix> {
        item.read(str::parse).filter(|path| self.leave(item, path))
    }

    /// Whether `path` is an application's to have; an error where it is not.
    pub(super) fn leave(&self, item: &Item<'_>, path: &PathPrefix) -> bool {
        let ours = self.prefix.contains_prefix(path) || format!("{path}/") == self.prefix.as_str();
        if ours {
            let reserved = item.error(format!("`{path}` is inside the prefix `{}`", self.prefix));
            item.report(
                reserved.help("what is under [server] prefix is answered by the gateway and reaches no application"),
            );
        }
        !ours
    }
}

/// Reads `[server] prefix`.
pub(super) fn prefix(text: &str) -> Result<String, &'static str> {
    let plain = own(text)?;
    if plain.len() > 2 && plain.ends_with('/') {
        Ok(plain)
    } else {
        Err("a prefix is a path that ends with `/`, and not `/` alone")
    }
}

/// A path that the gateway answers itself: it stands in registered URIs, so it is the same decoded and not.
pub(super) fn own(text: &str) -> Result<String, &'static str> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
    match text.parse::<PathPrefix>() {
        Ok(path) if plain && !path.is_root() => Ok(text.to_owned()),
        Ok(_) => Err("letters, digits, `-`, `.`, `_`, `~` and `/` only, and not `/` alone"),
        Err(_) => Err("a path starts with `/` and has no empty and no dot segment"),
    }
}
