//! Keeps back what an upstream answers to a change of protocol (RFC 9110 section 7.8) until the whole request was sent.
//!
//! pingora 0.9 passes the end of a request, even of one without a body, from one half of its proxy to the other. Where
//! the upstream's 101 is read before that word is, the word is taken for the end of the tunnel, which closes at once. So
//! such a request has a connection of its own, whose reads wait until pingora flushes the request's end. Nothing else
//! passes through here.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::task::AtomicWaker;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr as PeerAddress;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::crypto::random;

/// Reads pass: before the request, while TLS needs them, and once the request was sent.
const OPEN: u8 = 0;
/// The request is being sent.
const HELD: u8 = 1;
/// The end of the request is on its way: the next flush is that of the end.
const ENDING: u8 = 2;

/// Keeps back the answer to one request. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Hold(Arc<State>);

#[derive(Debug, Default)]
struct State {
    step: AtomicU8,
    reader: AtomicWaker,
}

impl Hold {
    /// Makes `peer` one that is reached by a connection of its own, whose answer is kept back.
    #[must_use]
    pub fn on(peer: &mut HttpPeer) -> Self {
        let hold = Self::default();
        peer.options.custom_l4 = Some(Arc::new(hold.clone()));
        // A tunnel uses its connection up; where the upstream declines, the connection is not worth the exception.
        peer.group_key = u64::from_ne_bytes(random());
        peer.options.idle_timeout = Some(Duration::ZERO);
        hold
    }

    /// Keeps back what the upstream sends from now on: its connection is there, and the request follows.
    pub fn begin(&self) {
        self.0.step.store(HELD, Ordering::Release);
    }

    /// Notes that pingora was told of the end of the request, which it sends next.
    pub fn end_of_request(&self) {
        self.advance(HELD, ENDING);
    }

    fn flushed(&self) {
        if self.advance(ENDING, OPEN) {
            self.0.reader.wake();
        }
    }

    fn advance(&self, from: u8, to: u8) -> bool {
        self.0.step.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn poll_open(&self, cx: &Context<'_>) -> Poll<()> {
        // The waker goes in first: a flush between the two lines would otherwise wake nobody.
        self.0.reader.register(cx.waker());
        if self.0.step.load(Ordering::Acquire) == OPEN { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[async_trait]
impl L4Connect for Hold {
    async fn connect(&self, address: &PeerAddress) -> Result<Stream> {
        let address: SocketAddr = *address
            .as_inet()
            .ok_or_else(|| Error::explain(ErrorType::ConnectError, "an upstream is reached over TCP"))?;
        let socket = TcpStream::connect(address).await.map_err(not_reached)?;
        Ok(VirtualSocketStream::new(Box::new(Held { socket, hold: self.clone() })).into())
    }
}

fn not_reached(error: io::Error) -> Box<Error> {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => ErrorType::ConnectNoRoute,
        _ => ErrorType::ConnectError,
    };
    Error::because(kind, "the upstream is not reached", error)
}

/// A connection whose reads wait for their [`Hold`].
#[derive(Debug)]
struct Held<S> {
    socket: S,
    hold: Hold,
}

impl<S: AsyncRead + Unpin> AsyncRead for Held<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.hold.poll_open(cx));
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Held<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.socket).poll_flush(cx));
        self.hold.flushed();
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl VirtualSocket for Held<TcpStream> {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.socket.set_nodelay(true),
            // No peer of ours asks for anything else.
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn an_answer_waits_for_the_flush_that_follows_the_end_of_the_request() {
        let (near, mut upstream) = duplex(64);
        let hold = Hold::default();
        let mut held = Held { socket: near, hold: hold.clone() };
        upstream.write_all(b"TLS").await.unwrap();
        held.read_exact(&mut [0; 3]).await.unwrap();

        hold.begin();
        upstream.write_all(b"101").await.unwrap();
        held.write_all(b"head").await.unwrap();
        held.flush().await.unwrap();
        assert!(poll!(pin!(held.read_u8())).is_pending(), "the head is not the end");
        hold.end_of_request();
        assert!(poll!(pin!(held.read_u8())).is_pending(), "the end is not sent yet");

        let (mut read, mut write) = tokio::io::split(held);
        let mut answer = [0; 3];
        let mut reading = pin!(read.read_exact(&mut answer));
        assert!(poll!(&mut reading).is_pending());
        write.flush().await.unwrap();
        reading.await.unwrap();
        assert_eq!(&answer, b"101");
        hold.end_of_request();
        upstream.write_all(b"frame").await.unwrap();
        read.read_exact(&mut [0; 5]).await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_of_its_own_is_shared_with_nobody() {
        use pingora::upstreams::peer::Peer as _;
        let plain = HttpPeer::new(SocketAddr::from(([127, 0, 0, 1], 80)), false, String::new());
        let (mut one, mut other) = (plain.clone(), plain.clone());
        let _holds = (Hold::on(&mut one), Hold::on(&mut other));
        assert_ne!(one.reuse_hash(), plain.reuse_hash());
        assert_ne!(one.reuse_hash(), other.reuse_hash());
    }
}
