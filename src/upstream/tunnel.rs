//! Connections of requests that may become tunnels (RFC 9110 section 7.8).
//!
//! pingora tells the half that talks to the upstream that the request has no body, and that half waits for this beside
//! the answer. Where a 101 is there first, it takes the end of the body for the end of the tunnel. So an answer lets
//! everything else go first, once: by then the end of the body is on its way, and arrives before the 101.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora::connectors::l4::Connect;
use pingora::protocols::l4::socket::SocketAddr as PeerAddress;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, OrErr as _, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::crypto::random;

/// Makes `peer` one for a request that may become a tunnel: it has a connection of its own, which nobody uses again.
pub fn prepare(peer: &mut HttpPeer) {
    peer.group_key ^= u64::from_ne_bytes(random());
    let options = &mut peer.options;
    options.idle_timeout = Some(Duration::ZERO);
    options.custom_l4 = Some(Arc::new(Connector { patience: options.connection_timeout }));
}

/// Opens connections whose answers give way.
#[derive(Debug)]
struct Connector {
    patience: Option<Duration>,
}

#[async_trait]
impl Connect for Connector {
    async fn connect(&self, address: &PeerAddress) -> Result<Stream> {
        let PeerAddress::Inet(address) = address else {
            return Error::e_explain(ErrorType::InternalError, "an upstream has an address");
        };
        let stream = self.reach(*address).await?;
        Ok(VirtualSocketStream::new(Box::new(GivesWay { stream, asked: false })).into())
    }
}

impl Connector {
    async fn reach(&self, address: SocketAddr) -> Result<TcpStream> {
        let connecting = TcpStream::connect(address);
        let connected = match self.patience {
            Some(patience) => {
                timeout(patience, connecting).await.or_err(ErrorType::ConnectTimedout, "no connection")?
            }
            None => connecting.await,
        };
        connected.map_err(|error| {
            let kind = match error.kind() {
                io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
                io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => ErrorType::ConnectNoRoute,
                _ => ErrorType::ConnectError,
            };
            Error::because(kind, "no connection", error)
        })
    }
}

/// A connection whose first read after a write lets the rest of the task run first.
#[derive(Debug)]
struct GivesWay {
    stream: TcpStream,
    /// Something was sent, and no answer to it was asked for yet.
    asked: bool,
}

impl VirtualSocket for GivesWay {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.stream.set_nodelay(true),
            // Nothing else is asked of an upstream's connection.
            _ => Ok(()),
        }
    }
}

impl AsyncRead for GivesWay {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.asked) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for GivesWay {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
