//! One connection: reads a head under its deadline, judges it, lends the connection to pingora, and starts again.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Response;
use pingora::apps::{HttpPersistentSettings, HttpServerApp as _, ReusedHttpStream};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::proxy::ProxyHttp;
use pingora::server::ShutdownWatch;
use tokio::time::{sleep, timeout};

use super::Front;
use super::guarded_stream::{GuardedStream, Home, Returned, Wire};
use super::head::{Head, Scanner};
use super::pace::Pace;
use crate::gateway::context::{self, BadHead, Connection};

/// How long a client may take to read our last words.
const LINGER: Duration = Duration::from_secs(2);
/// How much it may still send meanwhile.
const MOST_LINGERING: usize = 8 * 1024 * 1024;

/// Why no request follows.
enum Ended {
    /// What came is refused; `length` bytes of it are its head.
    Bad { bad: BadHead, length: usize },
    /// The client left or was silent for too long, or the gateway is about to end.
    Quiet,
}

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Self::Quiet
    }
}

/// A connection that was accepted, with its TLS handshake behind it.
pub(super) struct Conversation<'a, P: ProxyHttp> {
    pub(super) front: &'a Front<P>,
    pub(super) connection: Connection,
    pub(super) shutdown: ShutdownWatch,
}

impl<P> Conversation<'_, P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    /// Serves request after request until one side has had enough.
    pub(super) async fn run(mut self, stream: Stream) {
        let mut wire = Wire::new(stream);
        let mut settings = None;
        let mut patience = self.front.limits.head_timeout;
        loop {
            match self.next_head(&mut wire, patience).await {
                Ok((head, bytes)) => match self.serve(wire, head, bytes, settings).await {
                    ControlFlow::Continue((same, next)) => (wire, settings) = (same, Some(next)),
                    ControlFlow::Break(()) => return,
                },
                Err(Ended::Bad { bad, length }) => return self.refuse(wire, bad, length).await,
                Err(Ended::Quiet) => return finish(wire).await,
            }
            if self.connection.is_draining() {
                return linger(wire).await;
            }
            patience = self.front.limits.keep_alive;
        }
    }

    async fn next_head(&mut self, wire: &mut Wire, patience: Duration) -> Result<(Head, BytesMut), Ended> {
        if wire.ahead.is_empty() {
            self.first_bytes(wire, patience).await?;
        }
        let length = match timeout(self.front.limits.head_timeout, self.whole_head(wire)).await {
            Ok(length) => length?,
            Err(_) => return Err(Ended::Bad { bad: BadHead::HeadTimeout, length: wire.ahead.len() }),
        };
        self.judge(wire, length)
    }

    /// Reads until the head is complete; its length.
    async fn whole_head(&self, wire: &mut Wire) -> Result<usize, Ended> {
        let mut scanner = Scanner::default();
        loop {
            match scanner.advance(&wire.ahead, &self.front.limits) {
                Ok(Some(length)) => return Ok(length),
                Ok(None) if wire.fill().await? == 0 => return Err(Ended::Quiet),
                Ok(None) => {}
                Err(bad) => return Err(Ended::Bad { bad, length: wire.ahead.len() }),
            }
        }
    }

    /// Waits between requests, where a connection can be closed without asking.
    async fn first_bytes(&mut self, wire: &mut Wire, patience: Duration) -> Result<(), Ended> {
        tokio::select! {
            biased;
            read = wire.fill() => if read? == 0 { Err(Ended::Quiet) } else { Ok(()) },
            () = sleep(patience) => Err(Ended::Quiet),
            () = self.front.crowded.notified() => Err(Ended::Quiet),
            _ = self.shutdown.wait_for(|begun| *begun) => Err(Ended::Quiet),
        }
    }

    fn judge(&self, wire: &mut Wire, length: usize) -> Result<(Head, BytesMut), Ended> {
        let relies_on = |name: &str| self.front.refuse.relies_on(name);
        let mut head = Head::parse(&wire.ahead[..length], &relies_on).map_err(|bad| Ended::Bad { bad, length })?;
        let bytes = wire.take(length);
        let rewritten = head.rewritten.take();
        Ok((head, rewritten.unwrap_or(bytes)))
    }

    async fn serve(
        &self,
        wire: Wire,
        head: Head,
        bytes: BytesMut,
        settings: Option<HttpPersistentSettings>,
    ) -> ControlFlow<(), (Wire, HttpPersistentSettings)> {
        let connection = self.connection.next_request();
        let (stream, home) = GuardedStream::new(wire, head, Pace::new(&self.front.limits), connection.kill.clone());
        let session = self.session(stream, bytes, settings);
        let kill = connection.kill.clone();
        let request = context::scope(connection, self.front.proxy.process_new_http(session, &self.shutdown));
        let _running = Gauge::raise(&self.front.counters.requests);
        // A hard kill does not wait for a client that reads our last words, or does not.
        tokio::select! {
            biased;
            next = async { end_request(request.await, &home).await } => next,
            () = kill.hard_killed() => ControlFlow::Break(()),
        }
    }

    fn session(
        &self,
        stream: GuardedStream,
        head: BytesMut,
        settings: Option<HttpPersistentSettings>,
    ) -> ServerSession {
        let mut session = ServerSession::new_http1(Box::new(stream));
        match settings {
            Some(settings) => settings.apply_to_session(&mut session),
            None => {
                let after_this = self.front.limits.keepalive_requests.saturating_sub(1);
                session.set_keepalive_reuses_remaining(Some(after_this));
            }
        }
        session.set_pipelined_prefix(head);
        session
    }

    async fn refuse(&self, mut wire: Wire, bad: BadHead, length: usize) {
        self.front.count_refusal();
        let answer = written(&self.front.refuse.refuse_head(&bad, &self.connection.peer, &wire.ahead[..length]));
        if let Ok(Ok(())) = timeout(LINGER, wire.send(&answer)).await {
            linger(wire).await;
        }
    }
}

/// pingora gave the stream back for another request, or closed it in its own way.
async fn end_request(reused: Option<ReusedHttpStream>, home: &Home) -> ControlFlow<(), (Wire, HttpPersistentSettings)> {
    let settings = reused.map(ReusedHttpStream::consume).and_then(|(stream, settings)| {
        drop(stream);
        settings
    });
    match (home.take(), settings) {
        (Some(Returned { wire, .. }), Some(settings)) => return ControlFlow::Continue((wire, settings)),
        (Some(Returned { wire, is_unread: true }), None) => linger(wire).await,
        _ => {}
    }
    ControlFlow::Break(())
}

/// The last response of a connection (RFC 9112 section 9.6).
fn written(response: &Response<Bytes>) -> Vec<u8> {
    let status = response.status();
    let mut bytes =
        format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or("Refused")).into_bytes();
    for (name, value) in response.headers() {
        bytes.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    let length = response.body().len();
    bytes.extend_from_slice(format!("content-length: {length}\r\nconnection: close\r\n\r\n").as_bytes());
    bytes.extend_from_slice(response.body());
    bytes
}

/// Says that nothing more comes, which TLS wants said in so many words (RFC 8446 section 6.1).
async fn finish(mut wire: Wire) {
    let _ = timeout(LINGER, wire.finish()).await;
}

async fn linger(mut wire: Wire) {
    // However it ends, the connection is closed next.
    let _ = timeout(LINGER, wire.linger(MOST_LINGERING)).await;
}

/// Counts one while it lives.
pub(super) struct Gauge<'a>(&'a AtomicU64);

impl<'a> Gauge<'a> {
    pub(super) fn raise(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
