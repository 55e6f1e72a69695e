//! What the listener tells the gateway about the connection a request came on, and what it asks of it.
//!
//! pingora hands a request to the gateway without a word about how it was read. The listener therefore runs each
//! request inside [`scope`], where [`current`] answers; and it asks a [`RefuseHead`] for the bytes that answer a
//! message head which no proxy should ever see.

use std::fmt;
use std::future::Future;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Poll, Waker};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::Response;
use tokio::sync::{Notify, watch};

mod bad_body;
mod bad_head;

pub use bad_body::BadBody;
pub use bad_head::BadHead;

tokio::task_local! {
    static CURRENT: Connection;
}

/// The connection of the request that the calling task serves; `None` outside [`scope`].
#[must_use]
pub fn current() -> Option<Connection> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Runs `request`, which finds `connection` through [`current`].
pub async fn scope<F: Future>(connection: Connection, request: F) -> F::Output {
    CURRENT.scope(connection, request).await
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Peer {
    /// The address of a TCP client, or of the proxy nearest to us.
    Tcp(SocketAddr),
    /// A process on this machine, through a unix socket.
    Unix,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// The connection one request came on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Who sent the request.
    pub peer: Peer,
    /// Whether the request came over TLS.
    pub tls: bool,
    /// The server name that the client asked for in its TLS handshake (RFC 6066 section 3), lower case.
    pub server_name: Option<Arc<str>>,
    /// Ends this request, and no other one on the same connection.
    pub kill: Arc<Kill>,
    /// How much of its body has come: for a listener that does not see that itself.
    pub arrival: Arc<Arrival>,
    drain: watch::Receiver<bool>,
}

impl Connection {
    /// What a request from `peer` finds; `drain` turns true when the gateway is about to end.
    #[must_use]
    pub fn new(peer: Peer, drain: watch::Receiver<bool>) -> Self {
        Self { peer, tls: false, server_name: None, kill: Arc::default(), arrival: Arc::default(), drain }
    }

    /// The same connection for its next request, which has its own [`Kill`] and [`Arrival`].
    #[must_use]
    pub fn next_request(&self) -> Self {
        Self { kill: Arc::default(), arrival: Arc::default(), ..self.clone() }
    }

    /// Whether the gateway is about to end, so that an answer should say `Connection: close`.
    ///
    /// pingora looks when a request starts only; `response_filter` should look again, as a drain may begin meanwhile.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.drain.borrow()
    }
}

/// Ends one request from outside: a tunnel or an event stream whose session has ended.
#[derive(Default)]
pub struct Kill {
    soft: AtomicBool,
    held: AtomicBool,
    reader: AtomicWaker,
    hard: Notify,
}

impl Kill {
    /// Fails the request's next read from its client.
    ///
    /// pingora then calls `fail_to_proxy`, which can still write: a close frame, the end of a body.
    pub fn soft(&self) {
        self.soft.store(true, Ordering::Release);
        self.reader.wake();
    }

    /// Has a [`Kill::soft`], before or after, wait while `held`: for the task that serves the request, in the middle of
    /// what its client would not understand half of.
    pub fn hold(&self, held: bool) {
        self.held.store(held, Ordering::Release);
    }

    /// Drops the request where it stands and closes its connection: for a client that does not read.
    ///
    /// `logging` is not called then.
    pub fn hard(&self) {
        self.hard.notify_one();
    }

    /// Whether [`Kill::soft`] was called.
    #[must_use]
    pub fn is_soft(&self) -> bool {
        self.soft.load(Ordering::Acquire)
    }

    /// Whether reads fail now; where they do not, `waker` is woken by [`Kill::soft`]. The task that holds reads again.
    #[must_use]
    pub(crate) fn poll_soft(&self, waker: &Waker) -> bool {
        // The waker goes in first: a kill between the two lines would otherwise wake nobody.
        self.reader.register(waker);
        self.is_soft() && !self.held.load(Ordering::Acquire)
    }

    /// Waits for [`Kill::soft`], also when it was called already, while nobody else does.
    pub(crate) async fn soft_killed(&self) {
        poll_fn(|cx| if self.poll_soft(cx.waker()) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Waits for [`Kill::hard`], also when it was called already.
    pub(crate) async fn hard_killed(&self) {
        self.hard.notified().await;
    }
}

impl fmt::Debug for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kill").field("soft", &self.is_soft()).finish_non_exhaustive()
    }
}

/// How much of a request's body has come.
#[derive(Debug, Default)]
pub struct Arrival {
    bytes: AtomicU64,
    is_whole: AtomicBool,
    is_given_up: AtomicBool,
}

impl Arrival {
    /// Notes that so many bytes more have come, and whether they are the last.
    pub fn note(&self, bytes: usize, is_whole: bool) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.is_whole.fetch_or(is_whole, Ordering::Relaxed);
    }

    /// Whether the listener ended the request because its body came too slowly.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed)
    }

    /// The bytes so far; none once that is all.
    pub(crate) fn so_far(&self) -> Option<u64> {
        (!self.is_whole.load(Ordering::Relaxed)).then(|| self.bytes.load(Ordering::Relaxed))
    }

    pub(crate) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Relaxed);
    }
}

/// Answers message heads that never reach pingora, so that every refusal is ours: page, reason code, log line.
pub trait RefuseHead: Send + Sync {
    /// The response to what `peer` sent: `head`, as far as it was read, as HTTP/1.1 writes it. How the body is framed and
    /// what becomes of the connection is the listener's to say.
    fn refuse_head(&self, bad: &BadHead, peer: &Peer, head: &[u8]) -> Response<Bytes>;

    /// Whether no request may name the field `name` in `Connection`, beside those that never may.
    ///
    /// An upstream or a proxy on the way drops what is named there, so it must not name what identifies an agent.
    fn relies_on(&self, name: &str) -> bool {
        let _ = name;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_finds_its_connection_and_nobody_else_does() {
        let (_drain, draining) = watch::channel(false);
        let connection = Connection::new(Peer::Unix, draining);
        let found = scope(connection.clone(), async { current().map(|c| c.peer) }).await;
        assert_eq!(found, Some(Peer::Unix));
        assert!(current().is_none());
    }

    #[tokio::test]
    async fn a_kill_ends_one_request_of_a_connection_only() {
        let (_drain, draining) = watch::channel(false);
        let first = Connection::new(Peer::Unix, draining);
        let second = first.next_request();
        first.kill.soft();
        assert!(first.kill.is_soft());
        assert!(!second.kill.is_soft());
    }

    #[tokio::test]
    async fn a_kill_waits_while_it_is_held() {
        let kill = Kill::default();
        kill.hold(true);
        kill.soft();
        assert!(kill.is_soft() && !kill.poll_soft(Waker::noop()));
        kill.hold(false);
        assert!(kill.poll_soft(Waker::noop()));
    }

    #[tokio::test]
    async fn a_hard_kill_before_anybody_waits_is_not_lost() {
        let kill = Kill::default();
        kill.hard();
        kill.hard_killed().await;
    }

    #[tokio::test]
    async fn a_connection_sees_the_drain_begin() {
        let (drain, draining) = watch::channel(false);
        let connection = Connection::new(Peer::Unix, draining);
        assert!(!connection.is_draining());
        drain.send_replace(true);
        assert!(connection.next_request().is_draining());
    }
}
