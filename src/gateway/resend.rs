//! Sends a kept form: the click of its page is a short `POST` to the form's own URL, whose body becomes the form's.
//!
//! The click goes through the same rules as any request, so what the application gets is what it would have got, with
//! the identity of now. Only what hardly any application sends is looked into: a navigation with a short `text/plain`
//! body.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ORIGIN, REFERER, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Method};
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::decide::{Forward, format};
use super::exchange::Exchange;
use super::request::{Kind, Request};
use super::respond::Reply;
use super::short_body;
use super::site::Site;
use crate::page::{Format, Language, Message};
use crate::session::cookie::OwnCookies;
use crate::stash::{Agent, FormId, Kept, Owner};
use crate::store::records::RecordError;

/// The field of a click that names the form.
pub(super) const FIELD: &str = "portillon-resend";

/// A click is this field, and nothing else.
pub(super) const LONGEST: usize = 128;

/// What a request turns out to be.
pub(super) enum Click {
    /// None: its own body goes out.
    No,
    /// A click, whose form this is.
    Form(Box<Resent>),
    /// A click for a form that is not there, not theirs, or not to be had now.
    Refused(Box<Reply>),
}

/// A form on its way to its application.
pub(super) struct Resent {
    id: FormId,
    kept: Kept,
}

impl Resent {
    /// What is sent.
    pub(super) fn body(&self) -> &Bytes {
        &self.kept.form.body
    }
}

/// Looks whether this request of an agent's is a click, and finds its form.
///
/// # Errors
///
/// The agent is gone.
pub(super) async fn click(session: &mut Session, exchange: &Exchange, forward: &Forward) -> Result<Click> {
    let Some((cookies, manner)) = suspect(session, forward) else { return Ok(Click::No) };
    // What is no click after all goes out as it came.
    session.as_mut().enable_retry_buffering();
    let Some(id) = short_body(session).await?.and_then(|body| named(&body)) else { return Ok(Click::No) };
    let url = form_url(&exchange.site, &id);
    let message = match find(session, exchange, forward, (&cookies, &id)).await {
        Ok(Some(resent)) => return Ok(Click::Form(Box::new(resent))),
        Ok(None) => Message::FormGone { application_url: "/" },
        Err(error) => {
            tracing::warn!(request_id = exchange.request_id, reason = "stash_unavailable", %error, "a form cannot be sent");
            Message::StoreUnavailable { retry_url: &url }
        }
    };
    let contact = forward.route.contact.as_deref();
    Ok(Click::Refused(Box::new(Reply::page(&exchange.site, &message, manner, contact, &exchange.request_id))))
}

/// The page that shows a form.
pub(super) fn form_url(site: &Site, id: &FormId) -> String {
    format!("{}?id={}", site.endpoint("form"), id.as_str())
}

/// The cookies of what may be a click, and how it is answered.
fn suspect(session: &Session, forward: &Forward) -> Option<(OwnCookies, (Format, Language))> {
    let head = session.req_header();
    let is_text = |value: &HeaderValue| value.as_bytes().starts_with(b"text/plain");
    // Told apart from nearly everything by one look, before anything is read.
    if head.method != Method::POST || !head.headers.get(CONTENT_TYPE).is_some_and(is_text) {
        return None;
    }
    let request = Request::read(head)?;
    let is_click = forward.permit.session().is_some()
        && request.declared_length().is_some_and(|length| length <= LONGEST as u64)
        && request.kind() == Kind::Form
        && !request.is_from_elsewhere(&forward.route.host.origin);
    is_click.then(|| (request.cookies.clone(), (format(request.kind()), request.language())))
}

/// The form that the body of a click names (HTML section 4.10.21.7, `text/plain`).
pub(super) fn named(body: &[u8]) -> Option<FormId> {
    let field = std::str::from_utf8(body).ok()?.trim_end_matches(['\r', '\n']);
    FormId::parse(field.strip_prefix(FIELD)?.strip_prefix('=')?)
}

async fn find(
    session: &Session,
    exchange: &Exchange,
    forward: &Forward,
    (cookies, id): (&OwnCookies, &FormId),
) -> std::result::Result<Option<Resent>, RecordError> {
    let stash = &exchange.site.services.stash;
    let host = forward.route.host.context.as_str();
    let Some((session_of, browser)) = forward.permit.session().zip(stash.known_browser(cookies, host)) else {
        return Ok(None);
    };
    let owner = Owner { host, agent: Agent::of(session_of), browser: &browser };
    let kept = stash.find(id, owner).await?;
    let here = kept.filter(|kept| kept.form.target.as_bytes() == session.req_header().raw_path());
    Ok(here.map(|kept| Resent { id: id.clone(), kept }))
}

/// Gives a click the head that its form had, and notes that the form is sent: the application can be reached.
///
/// # Errors
///
/// None in practice: the values came in a head.
pub(super) async fn adapt(head: &mut RequestHeader, exchange: &Exchange) -> Result<()> {
    let Some(Resent { id, kept }) = &exchange.resent else { return Ok(()) };
    if let Some(session) = exchange.forwarded()?.permit.session() {
        exchange.site.services.stash.sent(id, Agent::of(session), kept).await;
    }
    let form = &kept.form;
    head.remove_header(&TRANSFER_ENCODING);
    head.insert_header(CONTENT_LENGTH, form.body.len())?;
    let fields: [(HeaderName, &Option<HeaderValue>); 3] =
        [(CONTENT_TYPE, &form.content_type), (ORIGIN, &form.origin), (REFERER, &form.referer)];
    for (name, value) in fields {
        match value {
            Some(value) => head.insert_header(name, value.clone())?,
            None => drop(head.remove_header(&name)),
        }
    }
    Ok(())
}
