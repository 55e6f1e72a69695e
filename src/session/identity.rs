//! Who an agent was when the provider was asked last: newer than what the cookies of a session hold, for a while.

use moka::sync::Cache;
use serde::{Deserialize, Serialize};

use super::LoginId;
use crate::clock::Timestamp;
use crate::identity::Claims;

/// Identities kept at hand; one that is not is in the store too.
const KEPT: u64 = 16_384;

/// The verified claims of an agent, and when they were.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Identity {
    /// The claims.
    pub claims: Claims,
    /// When the provider said so.
    pub at: Timestamp,
}

/// The newest identities known here, by login. Cloning shares them.
#[derive(Clone)]
pub(super) struct Identities(Cache<LoginId, Identity>);

impl Identities {
    pub(super) fn new() -> Self {
        Self(Cache::new(KEPT))
    }

    /// Takes an identity, unless a newer one is known.
    pub(super) fn learn(&self, login: LoginId, identity: Identity) {
        if self.newer_than(login, identity.at).is_none() {
            self.0.insert(login, identity);
        }
    }

    /// The identity of a login, where it is newer.
    pub(super) fn newer_than(&self, login: LoginId, at: Timestamp) -> Option<Identity> {
        self.0.get(&login).filter(|identity| identity.at > at)
    }
}
