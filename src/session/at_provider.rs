//! What a provider knows a session by: its own logouts name sessions so.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::crypto::sha256;
use crate::store::Name;

/// A session at a provider.
#[derive(Clone, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct AtProvider {
    /// The provider's fingerprint: `sid` and `sub` are unique at one provider.
    pub provider: String,
    /// The `sid` of the ID token, where it has one.
    pub sid: Option<String>,
}

impl AtProvider {
    /// What the store calls the end of it; none where the provider has no name for it.
    pub(super) fn name(&self) -> Option<Name> {
        let sid = self.sid.as_ref()?;
        let length = (self.provider.len() as u64).to_be_bytes();
        let whole = [b"portillon ended session at", &length[..], self.provider.as_bytes(), sid.as_bytes()].concat();
        let mut name = Name([0; 16]);
        name.0.copy_from_slice(&sha256(&whole)[..16]);
        Some(name)
    }
}

/// A `sid` belongs in no log.
impl fmt::Debug for AtProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtProvider").field("provider", &self.provider).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_one_sid_at_one_provider() {
        let name = |provider: &str, sid: &str| AtProvider { provider: provider.into(), sid: Some(sid.into()) }.name();
        assert_eq!(name("a", "1"), name("a", "1"));
        for other in [name("b", "1"), name("a", "2"), name("a1", ""), name("", "a1"), None] {
            assert_ne!(name("a", "1"), other);
        }
        assert_eq!(AtProvider { provider: "a".into(), sid: None }.name(), None);
    }
}
