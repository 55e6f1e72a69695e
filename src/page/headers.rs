//! The header fields of our own answers: nothing is kept, framed, sniffed, run or leaked (CSP Level 3, Fetch,
//! RFC 9110, RFC 9111). The fields of applications are not ours to set.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
    REFERRER_POLICY, RETRY_AFTER, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use super::template::SEND_ITSELF;
use super::{Language, LogoutForm, Message};
use crate::crypto::sha256;

/// Header fields in the order they go out.
pub(super) type Headers = Vec<(HeaderName, HeaderValue)>;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// What every answer of ours carries, whatever its form.
const COMMON: [(HeaderName, HeaderValue); 7] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
    (VARY, HeaderValue::from_static("Accept-Language")),
];

/// The fields of an answer without a body.
pub(super) fn bare(message: &Message<'_>) -> Headers {
    let mut headers = common(message);
    headers.push((CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")));
    headers
}

/// The fields of problem details.
pub(super) fn problem(message: &Message<'_>, language: Language) -> Headers {
    let mut headers = bare(message);
    headers.extend([(CONTENT_TYPE, PROBLEM), (CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()))]);
    headers
}

/// The fields of a page under `policy`.
pub(super) fn html(message: &Message<'_>, language: Language, policy: HeaderValue) -> Headers {
    let mut headers = common(message);
    headers.extend([
        (CONTENT_SECURITY_POLICY, policy),
        (CONTENT_TYPE, HTML),
        (CONTENT_LANGUAGE, HeaderValue::from_static(language.tag())),
    ]);
    headers
}

fn common(message: &Message<'_>) -> Headers {
    let mut headers = COMMON.to_vec();
    match message {
        Message::MethodNotAllowed { allow } => headers.push((ALLOW, HeaderValue::from_static(allow))),
        Message::ProviderUnavailable { .. } | Message::StoreUnavailable { .. } => {
            headers.push((RETRY_AFTER, HeaderValue::from_static("30")));
        }
        // RFC 9110 section 15.5.2 wants a challenge; browsers pass over a scheme that they do not know.
        Message::FormKept { is_step_up: false, .. }
        | Message::SessionEnded { .. }
        | Message::Unauthenticated { .. } => {
            headers.push((WWW_AUTHENTICATE, HeaderValue::from_static("Cookie realm=\"portillon\"")));
        }
        _ => {}
    }
    headers
}

/// The Content-Security-Policy of pages whose one `<style>` is exactly `style`.
#[derive(Clone, Debug)]
pub(super) struct PagePolicy {
    style_hash: String,
    plain: HeaderValue,
}

impl PagePolicy {
    /// The policy for `style`.
    pub(super) fn new(style: &str) -> Self {
        let style_hash = STANDARD.encode(sha256(style.as_bytes()));
        let plain = policy(&format!("style-src 'sha256-{style_hash}'"), "'self'");
        Self { plain: plain.expect("base64 and keywords are visible ASCII"), style_hash }
    }

    /// The policy of the page that tells `message`.
    ///
    /// Browsers hold every redirect that follows a form to `form-action`. Logging out leads to the provider, through the
    /// login host where there is one, and from there to the agent's own identity provider, whose origin nobody can know here: any https origin, then. So may an
    /// application send the agent elsewhere once it has its form.
    pub(super) fn of(&self, message: &Message<'_>) -> HeaderValue {
        let style = format!("style-src 'sha256-{}'", self.style_hash);
        let special = if let Message::Form(form) = message {
            let script = if form.sends_itself { script_source() } else { String::new() };
            policy(&format!("{script}{style}"), "'self' https:")
        } else {
            let images = if message.portal().is_some() { "img-src 'self'; " } else { "" };
            message.logout().and_then(|logout| policy(&format!("{images}{style}"), &logout_targets(logout)))
        };
        special.unwrap_or_else(|| self.plain.clone())
    }
}

/// Where the form that logs an agent out may lead.
fn logout_targets(logout: LogoutForm<'_>) -> String {
    let origins = [logout.login_origin, logout.provider_origin].into_iter().flatten();
    let origins: String = origins.filter(|o| is_origin(o)).map(|origin| format!(" {origin}")).collect();
    if origins.is_empty() { "'self'".to_owned() } else { format!("'self' https:{origins}") }
}

/// The one script that a page may run.
fn script_source() -> String {
    format!("script-src 'sha256-{}'; ", STANDARD.encode(sha256(SEND_ITSELF.as_bytes())))
}

/// Whether `text` may stand in a policy as one source.
fn is_origin(text: &str) -> bool {
    text.starts_with("http") && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';' && byte != b',')
}

fn policy(sources: &str, form_action: &str) -> Option<HeaderValue> {
    let policy = format!(
        "default-src 'none'; {sources}; form-action {form_action}; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).ok()
}
