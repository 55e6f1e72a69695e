//! Why a login does not arrive. Nothing here holds a secret, a token, a code or a claim's value, so that everything may
//! be logged.

use super::algorithm::SignatureAlgorithm;
use super::back_channel::CallError;
use super::metadata::MetadataError;

/// Why an answer of the provider did not become an identity.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LoginError {
    /// The `acr` of the ID token is none of those accepted, or absent.
    #[error("the level of authentication (acr) is none of those accepted")]
    AcrNotHeld,
    /// The ID token is not what it should be.
    #[error("the ID token was refused: {0}")]
    IdToken(TokenProblem),
    /// The `iss` of the answer is not our provider's (RFC 9207).
    #[error("the authorization response names another issuer")]
    IssMismatch,
    /// The answer has no `iss` though the provider's metadata promise one (RFC 9207 section 2.4).
    #[error("the authorization response names no issuer")]
    IssMissing,
    /// A claim without which nobody enters is absent or malformed.
    #[error("the required claim {claim} is {problem}")]
    RequiredClaim {
        /// The claim's name.
        claim: String,
        /// What is wrong with it.
        problem: ClaimProblem,
    },
    /// The `sub` of userinfo is not that of the ID token, or absent (OpenID Connect Core 1.0 section 5.3.2).
    #[error("userinfo is about another subject than the ID token")]
    SubMismatch,
    /// The token endpoint refused the code (RFC 6749 section 5.2).
    #[error("the token endpoint answered {error}")]
    TokenEndpoint {
        /// Its error code, or `http_` and the status where it gave none.
        error: String,
    },
    /// The answer of the token endpoint is no token response (RFC 6749 section 5.1).
    #[error("the token response was refused: {0}")]
    TokenResponse(&'static str),
    /// The provider does not answer, or never yet gave usable metadata.
    #[error("the provider is unavailable: {0}")]
    Unavailable(ProviderError),
    /// Userinfo is not what it should be.
    #[error("userinfo was refused: {0}")]
    UserInfo(UserInfoProblem),
}

impl LoginError {
    /// Whether the token endpoint no longer takes a code or a refresh token (RFC 6749 section 5.2).
    #[must_use]
    pub fn is_invalid_grant(&self) -> bool {
        matches!(self, Self::TokenEndpoint { error } if error == "invalid_grant")
    }

    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn reason_code(&self) -> &'static str {
        match self {
            Self::AcrNotHeld => "acr_not_held",
            Self::IdToken(problem) => problem.reason_code(),
            Self::IssMismatch => "iss_mismatch",
            Self::IssMissing => "iss_missing",
            Self::RequiredClaim { problem: ClaimProblem::Malformed, .. } => "required_claim_malformed",
            Self::RequiredClaim { problem: ClaimProblem::Missing, .. } => "required_claim_missing",
            Self::SubMismatch => "sub_mismatch",
            Self::TokenEndpoint { .. } => "token_endpoint_error",
            Self::TokenResponse(_) => "token_response_invalid",
            Self::Unavailable(_) => "provider_unavailable",
            Self::UserInfo(_) => "user_info_invalid",
        }
    }
}

/// What is wrong with a required claim.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClaimProblem {
    /// It is there, but not in its form.
    Malformed,
    /// It is not there.
    Missing,
}

impl std::fmt::Display for ClaimProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed",
            Self::Missing => "missing",
        })
    }
}

/// What is wrong with a signed token of the provider (RFC 7515, RFC 7519, OpenID Connect Core 1.0 section 3.1.3.7).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TokenProblem {
    /// Its `alg` is not the registered one.
    #[error("alg is not the registered one")]
    Algorithm,
    /// `at_hash` is not the access token's.
    #[error("at_hash is not the access token's")]
    AtHash,
    /// `aud` is not this client alone.
    #[error("aud is not this client alone")]
    Audience,
    /// `azp` is another client.
    #[error("azp is another client")]
    AuthorizedParty,
    /// The header has `crit` (RFC 7515 section 4.1.11), and we know no extension.
    #[error("the header has crit")]
    Critical,
    /// `exp` is absent or past.
    #[error("exp is absent or past")]
    Expired,
    /// `iat` is absent, in the future or long past.
    #[error("iat is absent, in the future or long past")]
    IssuedAt,
    /// `iss` is not our provider.
    #[error("iss is not the provider")]
    Issuer,
    /// It is no compact JWS of a JSON object, or a claim has another type than its definition.
    #[error("malformed")]
    Malformed,
    /// `nonce` is not this login's.
    #[error("nonce is not this login's")]
    Nonce,
    /// `nbf` is in the future.
    #[error("nbf is in the future")]
    NotYetValid,
    /// No key of the provider verifies the signature.
    #[error("the signature does not verify")]
    Signature,
    /// `sub` is absent, empty, longer than 255 bytes or not visible ASCII.
    #[error("sub is absent or malformed")]
    Subject,
    /// Its `typ` makes it a token of another kind (RFC 8725 section 3.11).
    #[error("typ is that of another kind of token")]
    Type,
    /// The provider has no key of its `kid`.
    #[error("kid is unknown")]
    UnknownKey,
}

impl TokenProblem {
    /// A stable name for logs and metrics, of an ID token.
    #[must_use]
    pub const fn reason_code(self) -> &'static str {
        match self {
            Self::Algorithm => "id_token_alg",
            Self::AtHash => "id_token_at_hash",
            Self::Audience => "id_token_aud",
            Self::AuthorizedParty => "id_token_azp",
            Self::Critical => "id_token_crit",
            Self::Expired => "id_token_exp",
            Self::IssuedAt => "id_token_iat",
            Self::Issuer => "id_token_iss",
            Self::Malformed => "id_token_malformed",
            Self::Nonce => "id_token_nonce",
            Self::NotYetValid => "id_token_nbf",
            Self::Signature => "id_token_signature",
            Self::Subject => "id_token_sub",
            Self::Type => "id_token_typ",
            Self::UnknownKey => "id_token_kid",
        }
    }
}

/// What is wrong with userinfo (OpenID Connect Core 1.0 section 5.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UserInfoProblem {
    /// It is signed where it is registered plain, or plain where it is registered signed, or neither.
    #[error("its Content-Type is not that of the registration")]
    ContentType,
    /// It is an ID token in place of userinfo.
    #[error("it is an ID token")]
    IdTokenReplayed,
    /// It is no JSON object with unique member names.
    #[error("it is no JSON object with unique names")]
    Malformed,
    /// The endpoint answered with this status.
    #[error("the endpoint answered {0}")]
    Status(u16),
    /// Its signature or a claim of the token itself is wrong.
    #[error(transparent)]
    Token(TokenProblem),
    /// It has more claims than any agent.
    #[error("it has too many claims")]
    TooManyClaims,
}

/// Why the provider cannot be used at the moment.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProviderError {
    /// A call did not come back with what was asked.
    #[error("{endpoint}: {error}")]
    Call {
        /// The endpoint, by its metadata name.
        endpoint: &'static str,
        /// What happened.
        error: CallError,
    },
    /// The last attempt failed a moment ago, and it is too early for another.
    #[error("it failed a moment ago: {0}")]
    CoolingDown(String),
    /// The JWK Set is none.
    #[error("jwks_uri: not a JWK Set")]
    JwksMalformed,
    /// The JWK Set has no key of a registered algorithm.
    #[error("jwks_uri: no usable key for {0}")]
    Keys(SignatureAlgorithm),
    /// The metadata are malformed or refused.
    #[error("metadata refused: {0}")]
    Metadata(MetadataError),
}
