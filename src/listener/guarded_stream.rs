//! A connection as pingora sees it: exactly one request, which can be ended from outside.
//!
//! pingora reads as much as it gets, past the end of a request and into the next one, which nobody has judged yet. A
//! [`GuardedStream`] gives it the body of the request at hand and keeps what follows in the [`Wire`], which it returns
//! when pingora drops it, whatever the reason.

use std::fmt;
use std::io;
use std::mem::{self, MaybeUninit};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::BytesMut;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};

use super::body::Body;
use super::head::Head;
use super::pace::Pace;
use crate::gateway::context::{BadBody, Kill};

/// An answer's head and a short body leave in one packet.
const WRITE_BUFFER: usize = 4096;
/// Room for one read of a head.
const READ_BUFFER: usize = 2048;
/// The most bytes of later requests that are kept while one is served; more wait in the kernel.
const MOST_AHEAD: usize = 16 * 1024;
/// How an answer starts that turns the connection into a tunnel.
const SWITCHING_PROTOCOLS: &[u8] = b"HTTP/1.1 101 ";

/// One connection, and what was read from it but not used yet.
#[derive(Debug)]
pub(super) struct Wire {
    io: BufWriter<Stream>,
    /// Bytes read and not yet used: the head under way, or what a client sent ahead of its answer.
    pub(super) ahead: BytesMut,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        Self { io: BufWriter::with_capacity(WRITE_BUFFER, stream), ahead: BytesMut::new() }
    }

    /// Reads more bytes ahead; 0 where the client sends no more. Loses nothing when dropped.
    pub(super) async fn fill(&mut self) -> io::Result<usize> {
        self.ahead.reserve(READ_BUFFER);
        self.io.read_buf(&mut self.ahead).await
    }

    /// Takes the first `length` bytes ahead.
    pub(super) fn take(&mut self, length: usize) -> BytesMut {
        // Without pipelining that is everything, and needs no shared allocation.
        if self.ahead.len() == length { mem::take(&mut self.ahead) } else { self.ahead.split_to(length) }
    }

    /// Sends `bytes` at once.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }

    /// Sends what is left, and the end of the stream.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        self.io.shutdown().await
    }

    /// Ends the connection so that the client can read what was sent last.
    ///
    /// A socket closed over unread bytes resets the connection, and the client may lose the answer. So we say that we
    /// have finished, then read and forget at most `most` bytes until the client has finished too.
    pub(super) async fn linger(&mut self, mut most: usize) -> io::Result<()> {
        self.finish().await?;
        while most > 0 {
            self.ahead.clear();
            match self.fill().await? {
                0 => break,
                read => most = most.saturating_sub(read),
            }
        }
        Ok(())
    }

    fn poll_body(&mut self, body: &mut Body, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        if self.ahead.is_empty() {
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        } else {
            let length = buf.remaining().min(self.ahead.len());
            buf.put_slice(&self.ahead.split_to(length));
        }
        if buf.filled().len() == start && buf.remaining() > 0 && body.is_owed() {
            return Poll::Ready(Err(BadBody::Incomplete.into()));
        }
        let end = start + body.advance(&buf.filled()[start..])?;
        self.put_back(&buf.filled()[end..]);
        buf.set_filled(end);
        Poll::Ready(Ok(()))
    }

    fn put_back(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let mut ahead = BytesMut::from(bytes);
            ahead.unsplit(mem::take(&mut self.ahead));
            self.ahead = ahead;
        }
    }

    /// Ready only when the client is gone: what else arrives is the next request's, and is kept.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.ahead.len() < MOST_AHEAD {
            let mut space = [MaybeUninit::uninit(); READ_BUFFER];
            let mut read = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.ahead.extend_from_slice(read.filled());
        }
        Poll::Pending
    }
}

/// Where a [`GuardedStream`] leaves its [`Wire`] when pingora is done with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Home(Arc<Mutex<Option<Returned>>>);

/// A connection back from pingora.
#[derive(Debug)]
pub(super) struct Returned {
    pub(super) wire: Wire,
    /// Whether the client may still be sending: the request's body was not read to its end, or more is ahead.
    pub(super) is_unread: bool,
}

impl Home {
    /// The connection, once the stream that had it was dropped.
    pub(super) fn take(&self) -> Option<Returned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, returned: Returned) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(returned);
    }
}

/// The stream of one request.
pub(super) struct GuardedStream {
    /// Present until the stream is dropped.
    wire: Option<Wire>,
    body: Body,
    pace: Pace,
    /// The client asked for another protocol, so a 101 makes this a tunnel.
    may_switch: bool,
    kill: Arc<Kill>,
    home: Home,
}

impl GuardedStream {
    /// Lends `wire` to one request, whose body follows the `head` that pingora has already.
    pub(super) fn new(wire: Wire, head: Head, pace: Pace, kill: Arc<Kill>) -> (Self, Home) {
        let home = Home::default();
        let (body, may_switch) = (head.body, head.upgrade);
        (Self { wire: Some(wire), body, pace, may_switch, kill, home: home.clone() }, home)
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(wire) = &mut self.wire else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let before = buf.filled().len();
        let read = wire.poll_body(&mut self.body, cx, buf);
        if !self.body.is_owed() {
            return read;
        }
        match read {
            Poll::Pending => self.pace.poll_too_slow(cx).map(|()| Err(BadBody::Slow.into())),
            Poll::Ready(read) => {
                self.pace.received(buf.filled().len() - before);
                Poll::Ready(read)
            }
        }
    }

    fn stream(&self) -> Option<&Stream> {
        self.wire.as_ref().map(|wire| wire.io.get_ref())
    }

    fn io(&mut self) -> io::Result<Pin<&mut BufWriter<Stream>>> {
        self.wire.as_mut().map(|wire| Pin::new(&mut wire.io)).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn note_switch(&mut self, bytes: &[u8]) {
        if self.may_switch && bytes.starts_with(SWITCHING_PROTOCOLS) {
            self.body = Body::tunnel();
        }
    }
}

impl Drop for GuardedStream {
    fn drop(&mut self) {
        if let Some(wire) = self.wire.take() {
            let is_unread = !self.body.is_done() || !wire.ahead.is_empty();
            self.home.put(Returned { wire, is_unread });
        }
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.kill.poll_soft(cx.waker()) {
            return Poll::Ready(Err(io::Error::other("the request was ended from outside")));
        }
        match &mut this.wire {
            Some(wire) if this.body.is_done() => wire.poll_gone(cx),
            _ => this.poll_body(cx, buf),
        }
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.note_switch(bytes);
        self.io()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.note_switch(slices.first().map_or(&[], |slice| slice));
        self.io()?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.as_ref().is_some_and(|wire| wire.io.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io()?.poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for GuardedStream {
    async fn shutdown(&mut self) {
        // The client may be gone already, and there is nobody else to tell.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for GuardedStream {
    fn id(&self) -> UniqueIDType {
        self.stream().map_or(-1, |stream| stream.id())
    }
}

impl Ssl for GuardedStream {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.stream()?.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream()?.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream()?.selected_alpn_proto()
    }
}

impl GetTimingDigest for GuardedStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream().map_or_else(Vec::new, |stream| stream.get_timing_digest())
    }
}

impl GetProxyDigest for GuardedStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream()?.get_proxy_digest()
    }
}

impl GetSocketDigest for GuardedStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream()?.get_socket_digest()
    }
}

// pingora peeks for HTTP/2 only, which nobody speaks here.
impl Peek for GuardedStream {}

impl fmt::Debug for GuardedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedStream").field("body", &self.body).field("kill", &self.kill).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;
    use crate::listener::Limits;

    fn guarded(body: Body, may_switch: bool) -> (GuardedStream, Home, DuplexStream, Arc<Kill>) {
        let (ours, client) = tokio::io::duplex(64 * 1024);
        let kill = Arc::<Kill>::default();
        let head = Head { body, upgrade: may_switch, rewritten: None };
        let pace = Pace::new(&Limits::default());
        let (stream, home) = GuardedStream::new(Wire::new(Box::new(ours)), head, pace, Arc::clone(&kill));
        (stream, home, client, kill)
    }

    async fn is_pending(stream: &mut GuardedStream) -> bool {
        let mut byte = [0];
        futures_util::poll!(std::pin::pin!(stream.read(&mut byte))).is_pending()
    }

    #[tokio::test]
    async fn a_request_gets_its_body_and_the_next_request_stays() {
        let (mut stream, home, mut client, _) = guarded(Body::length(4), false);
        client.write_all(b"bodyGET /next").await.unwrap();
        let mut buffer = [0; 64];
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 4);
        assert_eq!(&buffer[..4], b"body");
        assert!(is_pending(&mut stream).await);
        client.write_all(b" HTTP/1.1").await.unwrap();
        assert!(is_pending(&mut stream).await);
        drop(stream);
        let returned = home.take().unwrap();
        assert_eq!(returned.wire.ahead, b"GET /next HTTP/1.1".as_slice());
        assert!(returned.is_unread);
    }

    #[tokio::test]
    async fn what_was_read_ahead_comes_first_and_in_order() {
        let (mut stream, home, mut client, _) = guarded(Body::chunked(), false);
        stream.wire.as_mut().unwrap().ahead.extend_from_slice(b"3\r\nab");
        client.write_all(b"c\r\n0\r\n\r\nGET").await.unwrap();
        let mut body = Vec::new();
        for _ in 0..2 {
            let mut buffer = [0; 64];
            let read = stream.read(&mut buffer).await.unwrap();
            body.extend_from_slice(&buffer[..read]);
        }
        assert_eq!(body, b"3\r\nabc\r\n0\r\n\r\n");
        drop(stream);
        assert_eq!(home.take().unwrap().wire.ahead, b"GET".as_slice());
    }

    #[tokio::test]
    async fn a_small_buffer_loses_nothing() {
        let (mut stream, home, _client, _) = guarded(Body::chunked(), false);
        stream.wire.as_mut().unwrap().ahead.extend_from_slice(b"1\r\nx\r\n0\r\n\r\nGET");
        let mut body = Vec::new();
        while body.len() < 11 {
            body.push(stream.read_u8().await.unwrap());
        }
        assert_eq!(body, b"1\r\nx\r\n0\r\n\r\n");
        drop(stream);
        assert_eq!(home.take().unwrap().wire.ahead, b"GET".as_slice());
    }

    #[tokio::test]
    async fn a_client_that_leaves_is_seen_after_its_body() {
        let (mut stream, home, client, _) = guarded(Body::length(0), false);
        assert!(is_pending(&mut stream).await);
        drop(client);
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        drop(stream);
        assert!(!home.take().unwrap().is_unread);
    }

    #[tokio::test]
    async fn a_client_cannot_fill_our_memory_with_requests_to_come() {
        let (mut stream, home, mut client, _) = guarded(Body::length(0), false);
        client.write_all(&[b'x'; 60 * 1024]).await.unwrap();
        assert!(is_pending(&mut stream).await);
        drop(stream);
        assert!(home.take().unwrap().wire.ahead.len() < MOST_AHEAD + READ_BUFFER);
    }

    #[tokio::test]
    async fn only_a_101_that_was_asked_for_opens_the_tunnel() {
        for (may_switch, answer, is_tunnel) in [
            (true, "HTTP/1.1 101 Switching Protocols\r\n\r\n", true),
            (true, "HTTP/1.1 200 OK\r\n\r\n", false),
            (false, "HTTP/1.1 101 Switching Protocols\r\n\r\n", false),
        ] {
            let (mut stream, _home, mut client, _) = guarded(Body::length(0), may_switch);
            client.write_all(b"frame").await.unwrap();
            assert!(is_pending(&mut stream).await);
            stream.write_all(answer.as_bytes()).await.unwrap();
            assert_eq!(!is_pending(&mut stream).await, is_tunnel, "{may_switch} {answer}");
        }
    }

    #[tokio::test]
    async fn a_soft_kill_fails_reads_and_leaves_writes_alone() {
        let (mut stream, _home, mut client, kill) = guarded(Body::length(0), false);
        let mut byte = [0];
        let mut read = std::pin::pin!(stream.read(&mut byte));
        assert!(futures_util::poll!(&mut read).is_pending());
        kill.soft();
        assert!(read.await.is_err());
        stream.write_all(b"bye").await.unwrap();
        stream.flush().await.unwrap();
        client.read_exact(&mut [0; 3]).await.unwrap();
    }
}
