//! HTTP Message Signatures (RFC 9421) over the request that an upstream receives.

/// The algorithm of request signatures, by its name in RFC 9421 section 6.2.2.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Algorithm {
    /// `ecdsa-p256-sha256`
    EcdsaP256Sha256,
    /// `ed25519`
    #[default]
    Ed25519,
    /// `hmac-sha256`
    HmacSha256,
}
