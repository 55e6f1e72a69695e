//! Pages for people: French by default, English where the browser asks for it; problem details (RFC 9457) for scripts.
//!
//! A [`Message`] says what happened. Its words are in `wording`, one file a language, checked by the compiler: a message
//! that one language forgets does not build. The templates only lay words out, so that an operator may replace them
//! (docs/pages.md) without having to translate anything.

mod contact;
mod context;
mod form;
mod headers;
mod icon;
mod label;
mod language;
mod login_failure;
mod message;
mod portal;
mod problem;
mod render;
mod sample;
mod step_up;
mod template;
mod views;
mod wording;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

pub use icon::{Icon, IconError};
pub use language::Language;
pub use login_failure::{LoginFailure, ProviderError};
pub use message::{LoopCause, Message};
pub use portal::{ApplicationView, PortalView};
pub use render::Pages;
pub use step_up::{StepUpFailure, StepUpView, Wanted};
pub use template::PagesError;
pub use views::{AgentView, FormView, LogoutForm, MeView, ReceivedClaim, RefusedView};

/// In which form a message is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// Status and headers, no body: for images, preflights, favicons.
    Bare,
    /// A page.
    Html,
    /// `application/problem+json` (RFC 9457), for scripts. What is no problem (a 200) is a page all the same.
    Problem,
}

/// What AgentConnect is called today, and what agents see on its pages.
pub const PROCONNECT: &str = "ProConnect";

/// How and to whom a message is told.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The language.
    pub language: Language,
    /// The form.
    pub format: Format,
    /// What the agent can quote to those who help.
    pub request_id: &'a str,
    /// Whom to ask: an e-mail address, a URL or plain text (`route.contact`).
    pub contact: Option<&'a str>,
    /// What agents know the provider of the host as.
    pub provider: &'a str,
    /// The reserved prefix, with both slashes (`server.prefix`).
    pub prefix: &'a str,
    /// Whether there is a portal under it.
    pub has_portal: bool,
}

/// A complete answer, but for `Content-Length`, `Date` and what depends on the connection.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The header fields, security headers included; `Strict-Transport-Security` is the gateway's to add.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}
