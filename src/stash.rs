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
use crate::crypto::aead::Purpose;
use crate::crypto::key_ring::KeyRings;
use crate::crypto::{equal, from_base64url, random_token, sha256};
use crate::session::cookie::OwnCookies;

mod browser;
mod content;
mod ledger;
mod record;
mod shelf;

pub use browser::Browser;
pub use content::{Content, Field, Value, content};
pub use ledger::Reservation;
pub use shelf::{InMemory, Key, Shelf, Unavailable};

use ledger::Ledger;
use record::Record;

const PURPOSE: Purpose = Purpose::new("stash");

/// `[stash]`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Whether forms are kept at all.
    pub enabled: bool,
    /// The largest body that is kept, in bytes.
    pub max_size: usize,
    /// The bytes of all bodies that this gateway keeps.
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
        sha256(&[b"portillon stash ", self.0.as_bytes()].concat())
    }

    /// What a record is sealed for: its host, and its place on the shelf.
    fn context(&self, host: &str) -> String {
        format!("{host} {}", self.0)
    }
}

/// Whose a form is: an agent at a host, in a browser.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The host, with the provider that its agents log in at.
    pub host: &'a str,
    /// The agent's `sub`.
    pub sub: &'a str,
    /// The browser, as its cookie tells.
    pub browser: &'a Browser,
}

/// The forms kept by this gateway.
pub struct Stash {
    keys: Arc<KeyRings>,
    clock: Clock,
    shelf: Box<dyn Shelf>,
    ledger: Arc<Ledger>,
}

impl Stash {
    /// A stash on `shelf`.
    #[must_use]
    pub fn new(keys: Arc<KeyRings>, clock: Clock, shelf: Box<dyn Shelf>) -> Self {
        Self { keys, clock, shelf, ledger: Arc::default() }
    }

    /// Room for a form of an agent's, of at most `size` bytes, before it is read; none where there is none. What the
    /// agent has sent already goes for it.
    pub async fn reserve(&self, sub: &str, size: usize, settings: &Settings) -> Option<Reservation> {
        let (room, forgotten) = self.ledger.reserve(sub, size, settings, self.clock.now())?;
        for key in forgotten {
            self.shelf.remove(&key).await;
        }
        Some(room)
    }

    /// Keeps a form in the room reserved for it.
    ///
    /// # Errors
    ///
    /// [`Unavailable`]: the shelf cannot take it.
    pub async fn keep(
        &self,
        form: Form,
        owner: Owner<'_>,
        keep: Duration,
        room: Reservation,
    ) -> Result<FormId, Unavailable> {
        let (id, now) = (FormId(random_token::<16>()), self.clock.now());
        let kept = Kept { form, at: now, until: now.plus(keep), sent_at: None };
        self.put(&id, owner, &kept).await?;
        room.settle(id.key(), kept.form.body.len(), kept.until);
        Ok(id)
    }

    /// The form called `id`, where it is this owner's and still kept.
    pub async fn find(&self, id: &FormId, owner: Owner<'_>) -> Option<Kept> {
        let sealed = self.shelf.get(&id.key()).await.ok()??;
        let bytes = self.keys.load().open(PURPOSE, &id.context(owner.host), &sealed).ok()?;
        let record = Record::decode(bytes)?;
        let own = record.sub == owner.sub && equal(&record.browser, owner.browser.secret());
        (own && self.clock.now() < record.kept.until).then_some(record.kept)
    }

    /// Notes that a form is being sent: from now on it makes room where its agent needs some.
    pub async fn sent(&self, id: &FormId, owner: Owner<'_>, kept: &Kept) {
        self.ledger.sent(&id.key());
        let sent = Kept { sent_at: Some(self.clock.now()), ..kept.clone() };
        // Where that cannot be noted, the agent is not told so later: nothing worse.
        let _ = self.put(id, owner, &sent).await;
    }

    /// Forgets a form, where it is this owner's. Whether it was there.
    pub async fn discard(&self, id: &FormId, owner: Owner<'_>) -> bool {
        let is_there = self.find(id, owner).await.is_some();
        if is_there {
            self.shelf.remove(&id.key()).await;
            self.ledger.forget(&id.key());
        }
        is_there
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

    async fn put(&self, id: &FormId, owner: Owner<'_>, kept: &Kept) -> Result<(), Unavailable> {
        let bytes = record::encode(kept, owner.sub, owner.browser.secret());
        let sealed = self.keys.load().seal(PURPOSE, &id.context(owner.host), &bytes, self.clock.now());
        self.shelf.keep(id.key(), sealed, kept.until, self.clock.now()).await
    }
}

#[cfg(test)]
mod tests;
