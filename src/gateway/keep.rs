//! Takes a form that met an expired session, or one that the rules want more of: its body is read here, sealed, and waits for its agent.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pingora::Result;
use pingora::proxy::Session;
use tokio::time::timeout;

use super::decide::{Keep, format};
use super::next_piece;
use super::resend;
use super::respond::Reply;
use super::site::Site;
use crate::page::{Format, Language, Message};
use crate::stash::{Agent, Form, FormId, Owner, Reservation, Settings};

/// How long a form may take to arrive.
const DEADLINE: Duration = Duration::from_secs(60);

/// Room for the beginning of a form. It doubles as the form arrives: whoever declares much and sends nothing takes no
/// room from others.
const FIRST_ROOM: usize = 64 * 1024;

/// Keeps the form and says so; or says why it was not sent, where it cannot be kept.
///
/// # Errors
///
/// The agent is gone.
pub(super) async fn keep(session: &mut Session, site: &Site, keep: Keep, request_id: &str) -> Result<Reply> {
    let Some(most) = most(&keep, &site.stash) else { return Ok(keep.otherwise) };
    let (stash, agent) = (&site.services.stash, Agent::of(&keep.session));
    let manner = (format(keep.visit.kind), keep.visit.language);
    let (body, room) = match timeout(DEADLINE, received(session, site, most, agent)).await {
        Ok(received) => match received? {
            Received::Form(body, room) => (body, room),
            // Its session has expired meanwhile: its form is kept already.
            Received::Click(id) => {
                return Ok(page(site, &id, manner, (&keep.otherwise, keep.is_step_up), request_id));
            }
            Received::TooLong => return Ok(keep.otherwise),
            Received::NoRoom => {
                tracing::warn!(request_id, reason = "stash_full", "there is no room for a form");
                return Ok(keep.otherwise);
            }
        },
        Err(_late) => return Ok(keep.otherwise),
    };
    let host = keep.visit.host.context.as_str();
    let browser = stash.browser(&keep.visit.cookies, host);
    let owner = Owner { host, agent, browser: &browser };
    match stash.keep(Form { body, ..keep.form }, owner, site.stash.keep, room).await {
        Ok(id) => {
            let cookie = stash.cookie(&browser, host, site.stash.keep);
            Ok(page(site, &id, manner, (&keep.otherwise, keep.is_step_up), request_id).with_cookies([cookie]))
        }
        Err(error) => {
            tracing::warn!(request_id, reason = "stash_unavailable", %error, "a form could not be kept");
            Ok(keep.otherwise)
        }
    }
}

/// The most bytes that a form may have: as many as it declares, or what is kept where it does not say; none where it is
/// too long, for us or for its application.
fn most(keep: &Keep, settings: &Settings) -> Option<usize> {
    let limit = keep.visit.route.as_ref().and_then(|route| route.max_body);
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX).min(settings.max_size);
    match keep.length {
        Some(length) => usize::try_from(length).ok().filter(|length| *length <= limit),
        None => Some(limit),
    }
}

/// What came.
enum Received {
    /// The click of a page that shows a form.
    Click(FormId),
    /// A whole body, and the room that it takes.
    Form(Bytes, Reservation),
    /// There is no room for it.
    NoRoom,
    /// It is too long.
    TooLong,
}

/// Reads a body of at most `most` bytes. What may be a click takes no room before it turns out to be none.
async fn received(session: &mut Session, site: &Site, most: usize, agent: Agent<'_>) -> Result<Received> {
    let mut room = None;
    if most > resend::LONGEST {
        room = with_room(site, agent, None, most.min(FIRST_ROOM)).await;
        if room.is_none() {
            return Ok(Received::NoRoom);
        }
    }
    // A client that expects `100 Continue` waits for it (RFC 9110 section 10.1.1).
    if session.req_header().headers.contains_key(http::header::EXPECT) {
        session.as_mut().write_continue_response().await?;
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = next_piece(session).await? {
        body.extend_from_slice(&chunk);
        if body.len() > most {
            return Ok(Received::TooLong);
        }
        if room.is_some() {
            room = with_room(site, agent, room, body.len().next_power_of_two().min(most)).await;
            if room.is_none() {
                return Ok(Received::NoRoom);
            }
        }
    }
    if let Some(id) = resend::named(&body) {
        return Ok(Received::Click(id));
    }
    let room = with_room(site, agent, room, body.len()).await;
    Ok(room.map_or(Received::NoRoom, |room| Received::Form(body.freeze(), room)))
}

/// Room for at least `size` bytes; none where there is none.
async fn with_room(site: &Site, agent: Agent<'_>, room: Option<Reservation>, size: usize) -> Option<Reservation> {
    let stash = &site.services.stash;
    match room {
        None => stash.reserve(agent, size, &site.stash).await,
        Some(room) if size <= room.size() => Some(room),
        Some(mut room) => stash.grow(&mut room, size, &site.stash).then_some(room),
    }
}

fn page(
    site: &Site,
    id: &FormId,
    manner: (Format, Language),
    (otherwise, is_step_up): (&Reply, bool),
    request_id: &str,
) -> Reply {
    let message = Message::FormKept { form_url: &resend::form_url(site, id), keep: site.stash.keep, is_step_up };
    let contact = otherwise.route.as_ref().and_then(|route| route.contact.as_deref());
    let mut reply = Reply::page(site, &message, manner, contact, request_id);
    reply.route.clone_from(&otherwise.route);
    reply
}
