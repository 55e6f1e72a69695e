//! Why a login failed, as an agent can understand it: the error answers of OAuth 2.0 (RFC 6749 section 4.1.2.1),
//! OpenID Connect Core 1.0 (section 3.1.2.6), and what AgentConnect adds to them in `error_description`.

use http::StatusCode;

/// Why a login failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LoginFailure {
    /// The provider refused without saying why.
    AccessDenied,
    /// The level of authentication (`acr`) that the application asks for was not reached.
    AcrNotHeld,
    /// The agent gave up, or waited too long at the provider.
    Cancelled,
    /// The provider refused the request itself: client, redirect URI, scope.
    ConfigurationRefused,
    /// The provider does not admit the domain of the agent's e-mail address for this application.
    DomainRefused,
    /// The identity provider that was asked for is unknown to the provider.
    IdpHintNotFound,
    /// The account is blocked, or of a kind that this application does not admit.
    InvalidIdentity,
    /// The provider wants the agent to authenticate again.
    LoginRequired,
    /// The provider, or the identity provider behind it, broke down.
    TechnicalError,
    /// What the provider answered did not pass verification.
    Verification,
}

impl LoginFailure {
    /// Every cause.
    pub const ALL: [Self; 10] = [
        Self::AccessDenied,
        Self::AcrNotHeld,
        Self::Cancelled,
        Self::ConfigurationRefused,
        Self::DomainRefused,
        Self::IdpHintNotFound,
        Self::InvalidIdentity,
        Self::LoginRequired,
        Self::TechnicalError,
        Self::Verification,
    ];

    /// What an error answer of the provider means. Anything unknown is a technical error.
    #[must_use]
    pub fn from_provider_error(error: &str, description: Option<&str>) -> Self {
        match (error, description.unwrap_or_default()) {
            ("access_denied", description) => Self::from_denial(description),
            ("unmet_authentication_requirements", _) => Self::AcrNotHeld,
            // AgentConnect reports a failure of the agent's own identity provider so.
            ("invalid_request", description) if description.contains("technical error") => Self::TechnicalError,
            (
                "invalid_request"
                | "invalid_scope"
                | "invalid_client"
                | "unauthorized_client"
                | "unsupported_response_type",
                _,
            ) => Self::ConfigurationRefused,
            ("login_required" | "interaction_required" | "account_selection_required" | "consent_required", _) => {
                Self::LoginRequired
            }
            ("idp_hint_not_found", _) => Self::IdpHintNotFound,
            _ => Self::TechnicalError,
        }
    }

    fn from_denial(description: &str) -> Self {
        const MEANINGS: [(&str, LoginFailure); 4] = [
            ("ACRs could not be satisfied", LoginFailure::AcrNotHeld),
            ("invalid identity", LoginFailure::InvalidIdentity),
            ("configuration limitation", LoginFailure::DomainRefused),
            ("user authentication aborted", LoginFailure::Cancelled),
        ];
        let meaning = MEANINGS.iter().find(|(words, _)| description.contains(words));
        meaning.map_or(Self::AccessDenied, |(_, failure)| *failure)
    }

    /// The status of the page: 403 where the agent was refused, 500 where we are at fault, 502 where the provider is.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::AccessDenied
            | Self::AcrNotHeld
            | Self::Cancelled
            | Self::DomainRefused
            | Self::InvalidIdentity
            | Self::LoginRequired
            | Self::Verification => StatusCode::FORBIDDEN,
            Self::ConfigurationRefused | Self::IdpHintNotFound => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TechnicalError => StatusCode::BAD_GATEWAY,
        }
    }

    /// The stable code of this cause in logs and problem details.
    #[must_use]
    pub const fn reason_code(self) -> &'static str {
        match self {
            Self::AccessDenied => "login_access_denied",
            Self::AcrNotHeld => "login_acr_not_held",
            Self::Cancelled => "login_cancelled",
            Self::ConfigurationRefused => "login_configuration_refused",
            Self::DomainRefused => "login_domain_refused",
            Self::IdpHintNotFound => "login_idp_hint_not_found",
            Self::InvalidIdentity => "login_invalid_identity",
            Self::LoginRequired => "login_required",
            Self::TechnicalError => "login_technical_error",
            Self::Verification => "login_verification",
        }
    }
}

/// An `error` code that a provider is known to send; anything else reads as `server_error`, so that nothing from a
/// callback's query is ever shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProviderError(&'static str);

impl ProviderError {
    /// The known code that `error` is.
    #[must_use]
    pub fn new(error: &str) -> Self {
        Self(KNOWN_ERRORS.iter().find(|known| **known == error).copied().unwrap_or("server_error"))
    }

    /// The code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

const KNOWN_ERRORS: [&str; 14] = [
    "access_denied",
    "account_selection_required",
    "consent_required",
    "idp_hint_not_found",
    "interaction_required",
    "invalid_client",
    "invalid_request",
    "invalid_scope",
    "login_required",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unmet_authentication_requirements",
    "unsupported_response_type",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_answer_of_agentconnect_has_its_meaning() {
        for (error, description, expected) in [
            ("login_required", "End-User authentication is required", LoginFailure::LoginRequired),
            ("access_denied", "requested ACRs could not be satisfied", LoginFailure::AcrNotHeld),
            ("access_denied", "authentication aborted due to invalid identity", LoginFailure::InvalidIdentity),
            ("access_denied", "authentication aborted due to a configuration limitation", LoginFailure::DomainRefused),
            ("access_denied", "user authentication aborted", LoginFailure::Cancelled),
            ("access_denied", "", LoginFailure::AccessDenied),
            ("invalid_request", "openid scope must be requested", LoginFailure::ConfigurationRefused),
            (
                "invalid_request",
                "authentication aborted due to a technical error on the authorization server",
                LoginFailure::TechnicalError,
            ),
            ("invalid_scope", "requested scope is not allowed", LoginFailure::ConfigurationRefused),
            ("unsupported_response_type", "", LoginFailure::ConfigurationRefused),
            ("idp_hint_not_found", "provided idp_hint could not be found", LoginFailure::IdpHintNotFound),
            ("server_error", "", LoginFailure::TechnicalError),
            ("<script>", "\"><img>", LoginFailure::TechnicalError),
        ] {
            assert_eq!(LoginFailure::from_provider_error(error, Some(description)), expected, "{error}: {description}");
        }
        assert_eq!(LoginFailure::from_provider_error("access_denied", None), LoginFailure::AccessDenied);
    }

    #[test]
    fn an_unknown_error_is_never_shown() {
        assert_eq!(ProviderError::new("invalid_scope").as_str(), "invalid_scope");
        assert_eq!(ProviderError::new("<script>alert(1)</script>").as_str(), "server_error");
        assert_eq!(ProviderError::new("").as_str(), "server_error");
    }
}
