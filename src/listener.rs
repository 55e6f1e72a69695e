//! Accepts connections, reads message heads under our own deadlines and limits, and hands each request to pingora.
//!
//! pingora's own server has no deadline for a whole head, buffers up to a megabyte of it, and forwards messages whose
//! framing two readers may understand differently. So the listener stands in front: [`bind`] opens every socket
//! before anything starts, [`serve`] accepts, and each connection reads its heads itself (RFC 9112) and lends pingora the
//! bytes of one request at a time; over HTTP/2 (RFC 9113), heads are judged as HTTP/1.1 writes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pingora::proxy::{HttpProxy, ProxyHttp};
use tokio::sync::{Notify, Semaphore};

use crate::gateway::context::RefuseHead;

mod accept;
mod body;
mod connection;
mod guarded_stream;
mod head;
mod http2;
mod inherited;
mod pace;
mod socket;
pub mod tls;

pub use accept::serve;
pub use socket::{Address, AddressError, BindError, Binding, Bound, bind};

/// Deadlines and caps that hold before a request is a request.
#[derive(Clone, Debug)]
pub struct Limits {
    /// For a TLS handshake, from the accepted connection.
    pub handshake_timeout: Duration,
    /// For a whole message head, from its first byte; and for the first byte on a new connection.
    pub head_timeout: Duration,
    /// Beside what [`Limits::min_body_rate`] grants, how long a client may be waited for in the middle of a body.
    pub body_patience: Duration,
    /// For the first byte of the next request on a connection that served one.
    pub keep_alive: Duration,
    /// Requests served on one connection before it is closed.
    pub keepalive_requests: u32,
    /// Connections at a time; more wait in the kernel's queue until one ends. And requests at a time, over all of them.
    pub max_connections: usize,
    /// Bytes of a whole message head; at most 1 MiB, which is pingora's own limit.
    pub max_head: usize,
    /// Field lines of a message head; at most 256, which is pingora's own limit.
    pub max_headers: usize,
    /// Bytes a second that a request's body must bring on average while we wait for it.
    pub min_body_rate: usize,
    /// Bytes of a request line; at most 64 KiB less one, the longest target there can be.
    pub max_request_line: usize,
}

impl Limits {
    /// Caps that no request can pass without pingora refusing it in its own name.
    fn within_pingoras(self) -> Self {
        Self {
            max_head: self.max_head.min(1024 * 1024 - 1),
            max_headers: self.max_headers.min(256),
            max_request_line: self.max_request_line.min(64 * 1024 - 2),
            ..self
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            body_patience: Duration::from_secs(60),
            keep_alive: Duration::from_secs(75),
            keepalive_requests: 10_000,
            max_connections: 10_000,
            max_head: 32 * 1024,
            max_headers: 100,
            min_body_rate: 128,
            max_request_line: 8 * 1024,
        }
    }
}

/// What the listeners count, for metrics.
#[derive(Debug, Default)]
pub struct Counters {
    accepted: AtomicU64,
    connections: AtomicU64,
    refused_heads: AtomicU64,
    requests: AtomicU64,
}

impl Counters {
    /// Connections accepted since the start.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections open now.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Message heads refused since the start.
    #[must_use]
    pub fn refused_heads(&self) -> u64 {
        self.refused_heads.load(Ordering::Relaxed)
    }

    /// Requests in pingora's hands now.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// What every listener of the gateway shares: the proxy behind it, its limits, its counters.
pub struct Front<P: ProxyHttp> {
    proxy: Arc<HttpProxy<P>>,
    refuse: Arc<dyn RefuseHead>,
    limits: Limits,
    counters: Arc<Counters>,
    /// One for each connection that may be open.
    places: Arc<Semaphore>,
    /// Asks the connection that has been idle longest to make room.
    crowded: Notify,
}

impl<P: ProxyHttp> Front<P> {
    /// The front of `proxy`; `refuse` answers what is not passed on to it.
    #[must_use]
    pub fn new(proxy: Arc<HttpProxy<P>>, refuse: Arc<dyn RefuseHead>, limits: Limits) -> Self {
        let places = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
        Self {
            proxy,
            refuse,
            limits: limits.within_pingoras(),
            counters: Arc::default(),
            places,
            crowded: Notify::new(),
        }
    }

    /// Whether more requests are under way than there may be connections: one of HTTP/2 may have many.
    fn is_overfull(&self) -> bool {
        self.counters.requests() > self.limits.max_connections as u64
    }

    fn count_refusal(&self) {
        self.counters.refused_heads.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }
}
