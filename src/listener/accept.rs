//! The accept loop: takes connections while there is room, never dies, and ends when its connections have ended.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pingora::listeners::tls::Acceptor;
use pingora::protocols::l4::stream::Stream as Socket;
use pingora::protocols::tls::TlsStream;
use pingora::protocols::{ALPN, Ssl as _};
use pingora::proxy::ProxyHttp;
use pingora::server::ShutdownWatch;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

use super::connection::{Conversation, Gauge};
use super::http2::Multiplexed;
use super::{Bound, Front};
use crate::gateway::context::{Connection, Peer};

/// How long to leave the system alone when it has no socket for us (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`).
const BACK_OFF: Duration = Duration::from_millis(100);

/// Serves what `bound` accepts.
///
/// Ends some time after `shutdown` turns true: it then accepts nothing more, closes idle connections, and waits for the
/// requests that run, tunnels and event streams included. How long to wait is the caller's to say: dropping the future
/// closes whatever is left.
pub async fn serve<P>(bound: Bound, front: Arc<Front<P>>, mut shutdown: ShutdownWatch)
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    let acceptor = bound.tls.clone().map(|config| Arc::new(Acceptor::from_server_config(config)));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = shutdown_begun(&mut shutdown) => break,
            accepted = next(&bound, &front) => {
                let visit = Visit { front: Arc::clone(&front), acceptor: acceptor.clone(), shutdown: shutdown.clone() };
                connections.spawn(visit.run(accepted));
            }
        }
        while let Some(ended) = connections.try_join_next() {
            report(ended);
        }
    }
    // Whoever connects from now on is told so at once.
    drop(bound);
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
}

pub(super) async fn shutdown_begun(shutdown: &mut ShutdownWatch) {
    // Where nobody can begin a shutdown any more, nobody is left who wants us to serve.
    let _ = shutdown.wait_for(|begun| *begun).await;
}

pub(super) fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(reason = "connection_panicked", %error, "a connection ended by a defect");
    }
}

/// A connection, and its place among those that may be open.
struct Accepted {
    socket: Socket,
    peer: Peer,
    place: OwnedSemaphorePermit,
}

/// The next connection, once there is room for it.
async fn next<P: ProxyHttp>(bound: &Bound, front: &Front<P>) -> Accepted {
    loop {
        match bound.socket.accept().await {
            Ok((socket, peer)) => return Accepted { socket, peer, place: take_place(front).await },
            Err(error) => recover(&error, front).await,
        }
    }
}

async fn take_place<P: ProxyHttp>(front: &Front<P>) -> OwnedSemaphorePermit {
    let places = Arc::clone(&front.places);
    if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
        return place;
    }
    front.crowded.notify_one();
    places.acquire_owned().await.expect("nobody closes the semaphore")
}

async fn recover<P: ProxyHttp>(error: &io::Error, front: &Front<P>) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    // A client that left before we came is its own affair.
    if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
        return;
    }
    tracing::warn!(reason = "accept_failed", %error, "no connection can be accepted");
    front.crowded.notify_one();
    sleep(BACK_OFF).await;
}

/// What one connection needs for its life.
struct Visit<P: ProxyHttp> {
    front: Arc<Front<P>>,
    acceptor: Option<Arc<Acceptor>>,
    shutdown: ShutdownWatch,
}

impl<P> Visit<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    async fn run(mut self, Accepted { socket, peer, place }: Accepted) {
        let _place = place;
        let front = Arc::clone(&self.front);
        front.counters.accepted.fetch_add(1, Ordering::Relaxed);
        let _open = Gauge::raise(&front.counters.connections);
        let mut connection = Connection::new(peer, self.shutdown.clone());
        let Some(acceptor) = self.acceptor.take() else {
            return Conversation { front: &front, connection, shutdown: self.shutdown }.run(Box::new(socket)).await;
        };
        let Some(stream) = self.handshake(&acceptor, socket).await else { return };
        connection.tls = true;
        connection.server_name = server_name(&stream);
        let (front, shutdown) = (Arc::clone(&front), self.shutdown);
        if stream.selected_alpn_proto() == Some(ALPN::H2) {
            Multiplexed { front, connection, shutdown }.run(Box::new(stream)).await;
        } else {
            Conversation { front: &front, connection, shutdown }.run(Box::new(stream)).await;
        }
    }

    async fn handshake(&mut self, acceptor: &Acceptor, socket: Socket) -> Option<TlsStream<Socket>> {
        let deadline = self.front.limits.handshake_timeout;
        tokio::select! {
            biased;
            outcome = timeout(deadline, acceptor.tls_handshake(socket)) => match outcome {
                Ok(Ok(stream)) => return Some(stream),
                Ok(Err(error)) => tracing::debug!(reason = "tls_handshake_failed", %error, "no TLS connection"),
                Err(_) => tracing::debug!(reason = "tls_handshake_timeout", "a TLS handshake took too long"),
            },
            // Nothing was asked yet, so the client can ask elsewhere.
            () = shutdown_begun(&mut self.shutdown) => {}
        }
        None
    }
}

fn server_name(stream: &TlsStream<Socket>) -> Option<Arc<str>> {
    stream.get_ssl()?.server_name().map(|name| name.to_ascii_lowercase().into())
}
