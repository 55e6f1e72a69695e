//! What AgentConnect keeps about a client (OpenID Connect Dynamic Client Registration 1.0 section 2).

use std::sync::{Arc, PoisonError, RwLock};

use crate::secret::Secret;

/// A client, with the names of its registered metadata.
#[derive(Clone, Debug)]
pub struct Registration {
    /// `client_id`
    pub client_id: String,
    /// `client_secret`; also the key of HS256.
    pub client_secret: Secret<String>,
    /// `redirect_uris`: compared byte for byte.
    pub redirect_uris: Vec<String>,
    /// `post_logout_redirect_uris`: compared byte for byte.
    pub post_logout_redirect_uris: Vec<String>,
    /// The scopes granted to the client; `openid` is granted to all.
    pub scope: Vec<String>,
    /// `id_token_signed_response_alg`
    pub id_token_signed_response_alg: SignedResponseAlg,
    /// `userinfo_signed_response_alg`; none: userinfo is plain JSON.
    pub userinfo_signed_response_alg: Option<SignedResponseAlg>,
}

impl Registration {
    /// Whether `scope` was granted to the client.
    pub(super) fn grants(&self, scope: &str) -> bool {
        scope == "openid" || self.scope.iter().any(|granted| granted == scope)
    }
}

/// The algorithms that AgentConnect signs with (RFC 7518 section 3.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignedResponseAlg {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// HMAC-SHA-256 under the client secret.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

/// The clients of one provider.
#[derive(Debug, Default)]
pub(super) struct Registrations(RwLock<Vec<Arc<Registration>>>);

impl Registrations {
    /// Adds a client, in place of one that has its `client_id`.
    pub(super) fn add(&self, registration: Registration) {
        let mut registrations = self.0.write().unwrap_or_else(PoisonError::into_inner);
        registrations.retain(|other| other.client_id != registration.client_id);
        registrations.push(Arc::new(registration));
    }

    /// The client called `client_id`.
    pub(super) fn find(&self, client_id: &str) -> Option<Arc<Registration>> {
        let registrations = self.0.read().unwrap_or_else(PoisonError::into_inner);
        registrations.iter().find(|registration| registration.client_id == client_id).map(Arc::clone)
    }
}
