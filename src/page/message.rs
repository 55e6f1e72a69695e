//! What a page says: one variant for each thing that can be told to whoever sent a request. A message knows its
//! status (RFC 9110 section 15) and its stable reason code; its words are in `wording`.

use std::time::Duration;

use http::StatusCode;

use super::login_failure::{LoginFailure, ProviderError};
use super::portal::PortalView;
use super::step_up::{StepUpView, Wanted};
use super::views::{AgentView, FormView, LogoutForm, MeView, RefusedView};

/// What to tell whoever sent a request.
#[derive(Clone, Debug)]
pub enum Message<'a> {
    /// 400: a decision depends on a path that can be read in two ways.
    AmbiguousPath,
    /// A request that could not be read: framing, size, bytes.
    BadRequest {
        /// The stable reason code.
        code: &'static str,
        /// The status: 400, 408, 414, 431 …
        status: StatusCode,
    },
    /// 403: the provider did not give a claim that a login needs.
    ClaimProblem {
        /// The claim's name.
        claim: &'a str,
        /// It was there, but not in the form that it must have.
        malformed: bool,
    },
    /// 200: what would be sent, had the session not expired: the agent decides.
    Form(FormView<'a>),
    /// 410: the form is kept no longer, or was another agent's.
    FormGone {
        /// The application.
        application_url: &'a str,
    },
    /// 401, or 403 for a step-up: a form was sent with an expired session, or one that the rules want more of, and is kept.
    FormKept {
        /// The page that shows it, after a login.
        form_url: &'a str,
        /// For how long.
        keep: Duration,
        /// Whether its agent is logged in, but not well enough.
        is_step_up: bool,
    },
    /// 500: our own fault.
    Internal,
    /// 400: a callback whose login is unknown: too late, already used, or begun elsewhere.
    LoginExpired {
        /// Where to log in again.
        retry_url: &'a str,
    },
    /// A login that did not succeed.
    LoginFailed {
        /// Why.
        cause: LoginFailure,
        /// The provider's own code, where it sent one.
        error: Option<ProviderError>,
        /// Where to log in again.
        retry_url: &'a str,
    },
    /// Three logins in a row that did not arrive.
    LoginLoop {
        /// Why.
        cause: LoopCause,
        /// Where to log in again once the cause is gone.
        retry_url: &'a str,
    },
    /// 200: who the agent is, what the application receives, how long the session lasts.
    Me(MeView<'a>),
    /// 405: one of our own endpoints does not know the method.
    MethodNotAllowed {
        /// The methods it knows, as an `Allow` field.
        allow: &'static str,
    },
    /// 404: the host is known, the path belongs to no route.
    NoRoute,
    /// 413: the body is larger than the application accepts.
    PayloadTooLarge,
    /// 200: the applications that the agent may open.
    Portal(PortalView<'a>),
    /// 503: no login is possible for now.
    ProviderUnavailable {
        /// Where to log in again.
        retry_url: &'a str,
    },
    /// 403: the rules of the route do not admit the agent.
    Refused(RefusedView<'a>),
    /// 401: a form was sent without a session.
    SessionEnded {
        /// Where to log in.
        login_url: &'a str,
    },
    /// 200: the session is over.
    SignedOut {
        /// Whether the login was for other hosts too, whose sessions are over as well.
        everywhere: bool,
        /// The application, which logs in again.
        application_url: &'a str,
    },
    /// 403: the agent went back to the provider for a level of authentication, and came without.
    StepUpFailed(StepUpView<'a>),
    /// 403: what was asked for takes another level of authentication than the agent's (RFC 9470 section 3).
    StepUpNeeded {
        /// The application's name.
        application: &'a str,
        /// What it wants.
        wanted: Wanted<'a>,
        /// The reasons that the rules give.
        reasons: &'a [&'a str],
        /// Where the agent gets it.
        step_up_url: &'a str,
    },
    /// 503: which sessions have ended is not known, so nobody is let in.
    StoreUnavailable {
        /// Where to try again.
        retry_url: &'a str,
    },
    /// 401: what a script asked for needs a session.
    Unauthenticated {
        /// Where to log in.
        login_url: &'a str,
    },
    /// 421: no route has this authority.
    UnknownSite {
        /// The authority that was received.
        host: &'a str,
    },
    /// 504: the application did not answer in time.
    UpstreamTimeout {
        /// The application's name.
        application: &'a str,
    },
    /// 502: the application cannot be reached.
    UpstreamUnavailable {
        /// The application's name.
        application: &'a str,
    },
}

/// Why logins go round in circles.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LoopCause {
    /// The session is over as soon as it begins.
    Clock,
    /// The browser does not send back the cookie that it was given.
    Cookie,
    /// The login returns to another host than it began on.
    Host,
    /// The cookie comes back but does not open.
    Key,
}

impl LoopCause {
    /// Every cause.
    pub const ALL: [Self; 4] = [Self::Clock, Self::Cookie, Self::Host, Self::Key];
}

impl Message<'_> {
    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::AmbiguousPath | Self::LoginExpired { .. } => StatusCode::BAD_REQUEST,
            Self::BadRequest { status, .. } => *status,
            Self::ClaimProblem { .. }
            | Self::FormKept { is_step_up: true, .. }
            | Self::Refused(_)
            | Self::StepUpFailed(_)
            | Self::StepUpNeeded { .. } => StatusCode::FORBIDDEN,
            Self::FormGone { .. } => StatusCode::GONE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::LoginFailed { cause, .. } => cause.status(),
            Self::LoginLoop { cause: LoopCause::Clock | LoopCause::Key, .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::LoginLoop { cause: LoopCause::Cookie | LoopCause::Host, .. } => StatusCode::FORBIDDEN,
            Self::Form(_) | Self::Me(_) | Self::Portal(_) | Self::SignedOut { .. } => StatusCode::OK,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ProviderUnavailable { .. } | Self::StoreUnavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::FormKept { .. } | Self::SessionEnded { .. } | Self::Unauthenticated { .. } => {
                StatusCode::UNAUTHORIZED
            }
            Self::UnknownSite { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::UpstreamTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::UpstreamUnavailable { .. } => StatusCode::BAD_GATEWAY,
        }
    }

    /// The stable code of this message in logs, metrics and problem details.
    #[must_use]
    pub const fn reason_code(&self) -> &'static str {
        match self {
            Self::AmbiguousPath => "ambiguous_path",
            Self::BadRequest { code, .. } => code,
            Self::ClaimProblem { malformed: false, .. } => "claim_missing",
            Self::ClaimProblem { malformed: true, .. } => "claim_malformed",
            Self::Form(_) => "form_shown",
            Self::FormGone { .. } => "form_gone",
            Self::FormKept { .. } => "form_kept",
            Self::Internal => "internal",
            Self::LoginExpired { .. } => "login_expired",
            Self::LoginFailed { cause, .. } => cause.reason_code(),
            Self::LoginLoop { cause, .. } => cause.reason_code(),
            Self::Me(_) => "me",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::NoRoute => "no_route",
            Self::PayloadTooLarge => "payload_too_large",
            Self::Portal(_) => "portal",
            Self::ProviderUnavailable { .. } => "provider_unavailable",
            Self::Refused(_) => "refused",
            Self::SessionEnded { .. } => "session_ended",
            Self::SignedOut { .. } => "signed_out",
            Self::StepUpFailed(StepUpView { cause, .. }) => cause.reason_code(),
            Self::StepUpNeeded { .. } => "insufficient_user_authentication",
            Self::StoreUnavailable { .. } => "store_unavailable",
            Self::Unauthenticated { .. } => "unauthenticated",
            Self::UnknownSite { .. } => "unknown_site",
            Self::UpstreamTimeout { .. } => "upstream_timeout",
            Self::UpstreamUnavailable { .. } => "upstream_unavailable",
        }
    }

    /// Where whoever sent the request can log in, for a script to act on.
    #[must_use]
    pub const fn login_url(&self) -> Option<&str> {
        match self {
            Self::FormKept { form_url: login_url, .. }
            | Self::SessionEnded { login_url }
            | Self::StepUpNeeded { step_up_url: login_url, .. }
            | Self::Unauthenticated { login_url } => Some(login_url),
            Self::LoginExpired { retry_url }
            | Self::LoginFailed { retry_url, .. }
            | Self::LoginLoop { retry_url, .. }
            | Self::ProviderUnavailable { retry_url }
            | Self::StepUpFailed(StepUpView { retry_url, .. })
            | Self::StoreUnavailable { retry_url } => Some(retry_url),
            _ => None,
        }
    }
}

impl LoopCause {
    const fn reason_code(self) -> &'static str {
        match self {
            Self::Clock => "login_loop_clock",
            Self::Cookie => "login_loop_cookie",
            Self::Host => "login_loop_host",
            Self::Key => "login_loop_key",
        }
    }
}

/// What only some messages have, for the templates.
impl<'a> Message<'a> {
    /// The name of the page: that of the template that an operator may give it.
    pub(super) const fn page(&self) -> &'static str {
        match self {
            Self::AmbiguousPath => "ambiguous-path",
            Self::BadRequest { .. } => "bad-request",
            Self::ClaimProblem { .. } => "claim-problem",
            Self::Form(_) => "form",
            Self::FormGone { .. } => "form-gone",
            Self::FormKept { .. } => "form-kept",
            Self::Internal => "internal",
            Self::LoginExpired { .. } => "login-expired",
            Self::LoginFailed { .. } => "login-failed",
            Self::LoginLoop { .. } => "login-loop",
            Self::Me(_) => "me",
            Self::MethodNotAllowed { .. } => "method-not-allowed",
            Self::NoRoute => "no-route",
            Self::PayloadTooLarge => "payload-too-large",
            Self::Portal(_) => "portal",
            Self::ProviderUnavailable { .. } => "provider-unavailable",
            Self::Refused(_) => "refused",
            Self::SessionEnded { .. } => "session-ended",
            Self::SignedOut { .. } => "signed-out",
            Self::StepUpFailed(_) => "step-up",
            Self::StepUpNeeded { .. } => "step-up-needed",
            Self::StoreUnavailable { .. } => "store-unavailable",
            Self::Unauthenticated { .. } => "unauthenticated",
            Self::UnknownSite { .. } => "unknown-site",
            Self::UpstreamTimeout { .. } => "upstream-timeout",
            Self::UpstreamUnavailable { .. } => "upstream-unavailable",
        }
    }

    pub(super) const fn application(&self) -> Option<&'a str> {
        match self {
            Self::Form(FormView { application, .. })
            | Self::Me(MeView { application, .. })
            | Self::Refused(RefusedView { application, .. })
            | Self::StepUpFailed(StepUpView { application, .. })
            | Self::StepUpNeeded { application, .. }
            | Self::UpstreamTimeout { application }
            | Self::UpstreamUnavailable { application } => Some(application),
            _ => None,
        }
    }

    pub(super) const fn agent(&self) -> Option<&AgentView<'a>> {
        match self {
            Self::Me(MeView { agent, .. })
            | Self::Portal(PortalView { agent, .. })
            | Self::Refused(RefusedView { agent, .. })
            | Self::StepUpFailed(StepUpView { agent, .. }) => Some(agent),
            _ => None,
        }
    }

    pub(super) const fn me(&self) -> Option<&MeView<'a>> {
        if let Self::Me(me) = self { Some(me) } else { None }
    }

    pub(super) const fn logout(&self) -> Option<LogoutForm<'a>> {
        match self {
            Self::Me(MeView { logout, .. })
            | Self::Portal(PortalView { logout, .. })
            | Self::Refused(RefusedView { logout, .. })
            | Self::StepUpFailed(StepUpView { logout, .. }) => Some(*logout),
            _ => None,
        }
    }

    pub(super) const fn portal(&self) -> Option<&PortalView<'a>> {
        if let Self::Portal(portal) = self { Some(portal) } else { None }
    }

    pub(super) const fn form(&self) -> Option<&FormView<'a>> {
        if let Self::Form(form) = self { Some(form) } else { None }
    }

    pub(super) const fn provider_error(&self) -> Option<&'static str> {
        match self {
            Self::LoginFailed { error: Some(error), .. } => Some(error.as_str()),
            _ => None,
        }
    }

    pub(super) const fn reasons(&self) -> &'a [&'a str] {
        match self {
            Self::Refused(refused) => refused.reasons,
            Self::StepUpFailed(StepUpView { reasons, .. }) | Self::StepUpNeeded { reasons, .. } => reasons,
            _ => &[],
        }
    }

    pub(super) const fn wanted(&self) -> Option<Wanted<'a>> {
        match self {
            Self::StepUpFailed(StepUpView { wanted, .. }) | Self::StepUpNeeded { wanted, .. } => Some(*wanted),
            _ => None,
        }
    }
}
