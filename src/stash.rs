//! Nothing lost at login: a form that met an expired session is kept, sealed, until its agent has logged in again.
//!
//! Only who holds the cookie of a session that was theirs can leave a form here, and only the same agent (`sub`), in the
//! same browser, sees it again and sends it. It stays for a while after that: an application may refuse what it gets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

use crate::clock::{Clock, Timestamp};
use crate::crypto::key_ring::KeyRings;
use crate::crypto::{from_base64url, random_token};
use crate::session::Session;
use crate::session::cookie::OwnCookies;
use crate::store::records::{Key, RecordError, Records, Table};

mod browser;
mod content;
mod ledger;
mod record;

pub use browser::Browser;
pub use content::{Content, Field, Value, content};
pub use ledger::Reservation;

use ledger::{Entry, Ledger};
use record::Record;

/// `[stash]`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Whether forms are kept at all.
    pub enabled: bool,
    /// The largest body that is kept, in bytes.
    pub max_size: usize,
    /// The bytes of all bodies that are kept, by every gateway.
    pub max_total: usize,
    /// How long a form is kept.
    pub keep: Duration,
    /// Whether a form is sent after the login without asking.
    pub automatic: bool,
}

/// A form as it was sent: what is needed to send it again. The method is `POST`.
#[derive(Clone, Eq, PartialEq)]
pub struct Form {
    /// Path and query, as they came.
    pub target: String,
    /// `Content-Type`, where there was one.
    pub content_type: Option<HeaderValue>,
    /// `Origin` and `Referer`: applications hold them against forgeries, as we did.
    pub origin: Option<HeaderValue>,
    /// See [`Form::origin`].
    pub referer: Option<HeaderValue>,
    /// Whether a browser said that a page of the same origin sent it.
    pub same_origin: bool,
    /// The body.
    pub body: Bytes,
}

/// What an agent typed is theirs.
impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").field("length", &self.body.len()).finish_non_exhaustive()
    }
}

/// A form that is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What was sent.
    pub form: Form,
    /// When.
    pub at: Timestamp,
    /// Until when it is kept.
    pub until: Timestamp,
    /// When it was last sent to its application, where it was.
    pub sent_at: Option<Timestamp>,
}

/// What names a kept form: 128 random bits in base64url, which only its agent's own pages hold.
#[derive(Clone, Eq, PartialEq)]
pub struct FormId(String);

impl FormId {
    /// Reads an identifier.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        from_base64url(text).filter(|bytes| bytes.len() == 16).map(|_| Self(text.to_owned()))
    }

    /// As a page carries it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn key(&self) -> Key {
        // Another layout of records has another purpose.
        Key::of("form 1", self.0.as_bytes())
    }
}

/// An agent: a `sub` is one agent's at one provider.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Agent<'a> {
    /// The provider's fingerprint.
    pub provider: &'a str,
    /// The agent's `sub` there.
    pub sub: &'a str,
}

impl<'a> Agent<'a> {
    /// The agent of a session.
    #[must_use]
    pub fn of(session: &'a Session) -> Self {
        Self { provider: &session.at_provider().provider, sub: session.claims().sub() }
    }
}

/// Whose a form is: an agent at a host, in a browser.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The host, with the provider that its agents log in at.
    pub host: &'a str,
    /// The agent.
    pub agent: Agent<'a>,
    /// The browser, as its cookie tells.
    pub browser: &'a Browser,
}

/// The forms that are kept, in the store that gateways share.
pub struct Stash {
    keys: Arc<KeyRings>,
    clock: Clock,
    records: Records,
    ledger: Arc<Ledger>,
}

impl Stash {
    /// A stash among `records`.
    #[must_use]
    pub fn new(keys: Arc<KeyRings>, clock: Clock, records: Records) -> Self {
        let ledger = Arc::new(Ledger::new(records.clone()));
        Self { keys, clock, records, ledger }
    }

    /// Room for a form of an agent's, of at most `size` bytes, before it is read; none where there is none. What the
    /// agent has sent already goes for it once it is kept.
    pub async fn reserve(&self, agent: Agent<'_>, size: usize, settings: &Settings) -> Option<Reservation> {
        self.ledger.reserve(agent, size, settings).await
    }

    /// Makes `room` for a form that turns out to have `size` bytes; whether there is that much.
    pub fn grow(&self, room: &mut Reservation, size: usize, settings: &Settings) -> bool {
        room.grow(size, settings)
    }

    /// Keeps a form in the room reserved for it.
    ///
    /// # Errors
    ///
    /// [`RecordError`]: the store does not take it.
    pub async fn keep(
        &self,
        form: Form,
        owner: Owner<'_>,
        keep: Duration,
        room: Reservation,
    ) -> Result<FormId, RecordError> {
        let (id, now) = (FormId(random_token::<16>()), self.clock.now());
        let (key, until) = (id.key(), now.plus(keep));
        let entry = Entry::new(owner.agent, form.body.len(), until, None);
        // First, so that no form is kept that does not count.
        let replaced = room.settle(key, entry).await?;
        if let Err(error) = self.records.put(Table::Stash, &key, &Record::new(form, owner, now, until), until).await {
            self.ledger.forget(&key).await;
            return Err(error);
        }
        for key in replaced {
            // Where the store does not answer, it keeps it to its end.
            let _ = self.remove(&key).await;
        }
        Ok(id)
    }

    /// The form called `id`, where it is this owner's and still kept.
    ///
    /// # Errors
    ///
    /// [`RecordError`]: nobody can tell.
    pub async fn find(&self, id: &FormId, owner: Owner<'_>) -> Result<Option<Kept>, RecordError> {
        let key = id.key();
        let record: Option<Record> = match self.records.get(Table::Stash, &key).await {
            Err(RecordError::Seal(error)) => {
                tracing::warn!(%error, "a kept form does not open");
                None
            }
            found => found?,
        };
        let Some(record) = record.filter(|record| record.is_of(owner) && self.clock.now() < record.until) else {
            return Ok(None);
        };
        let sent_at = self.ledger.entry(&key).await?.and_then(|entry| entry.sent_at);
        let (at, until) = (record.at, record.until);
        Ok(Some(Kept { form: record.into_form(), at, until, sent_at }))
    }

    /// Notes that a form is being sent: from now on it makes room where its agent needs some.
    pub async fn sent(&self, id: &FormId, agent: Agent<'_>, kept: &Kept) {
        let entry = Entry::new(agent, kept.form.body.len(), kept.until, Some(self.clock.now()));
        // Where that cannot be noted, the agent is not told so later: nothing worse.
        let _ = self.ledger.note(id.key(), entry).await;
    }

    /// Forgets a form, where it is this owner's. Whether it was there.
    ///
    /// # Errors
    ///
    /// [`RecordError`]: it may be there still.
    pub async fn discard(&self, id: &FormId, owner: Owner<'_>) -> Result<bool, RecordError> {
        let is_there = self.find(id, owner).await?.is_some();
        if is_there {
            self.remove(&id.key()).await?;
        }
        Ok(is_there)
    }

    /// The browser that a request's cookies name at `host`; a new one where they name none.
    #[must_use]
    pub fn browser(&self, cookies: &OwnCookies, host: &str) -> Browser {
        self.known_browser(cookies, host).unwrap_or_else(Browser::unknown)
    }

    /// The browser that a request's cookies name at `host`.
    #[must_use]
    pub fn known_browser(&self, cookies: &OwnCookies, host: &str) -> Option<Browser> {
        Browser::of(cookies, &self.keys.load(), host)
    }

    /// The `Set-Cookie` value that binds forms to `browser` at `host` for as long as they are kept.
    #[must_use]
    pub fn cookie(&self, browser: &Browser, host: &str, keep: Duration) -> HeaderValue {
        browser.cookie(&self.keys.load(), host, keep, self.clock.now())
    }

    async fn remove(&self, key: &Key) -> Result<(), RecordError> {
        self.records.remove(Table::Stash, key).await?;
        self.ledger.forget(key).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
