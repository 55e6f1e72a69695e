//! The accept loop: takes connections while there is room, never dies, and ends when its connections have ended.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pingora::listeners::tls::Acceptor;
use pingora::protocols::l4::stream::Stream as Socket;
use pingora::protocols::tls::TlsStream;
use pingora::protocols::{Ssl as _, Stream};
use pingora::proxy::ProxyHttp;
use pingora::server::ShutdownWatch;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

use super::connection::{Conversation, Gauge};
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
            Some(ended) = connections.join_next() => report(ended),
            accepted = next(&bound, &front) => {
                let visit = Visit { front: Arc::clone(&front), acceptor: acceptor.clone(), shutdown: shutdown.clone() };
                connections.spawn(visit.run(accepted));
            }
        }
    }
    // Whoever connects from now on is told so at once.
    drop(bound);
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
}

async fn shutdown_begun(shutdown: &mut ShutdownWatch) {
    // Where nobody can begin a shutdown any more, nobody is left who wants us to serve.
    let _ = shutdown.wait_for(|begun| *begun).await;
}

fn report(ended: Result<(), JoinError>) {
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

/// The next connection, once there is room for it. Loses none when dropped.
async fn next<P: ProxyHttp>(bound: &Bound, front: &Front<P>) -> Accepted {
    let place = take_place(front).await;
    loop {
        match bound.socket.accept().await {
            Ok((socket, peer)) => return Accepted { socket, peer, place },
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
    async fn run(self, Accepted { socket, peer, place }: Accepted) {
        let _place = place;
        self.front.counters.accepted.fetch_add(1, Ordering::Relaxed);
        let _open = Gauge::raise(&self.front.counters.connections);
        let mut connection = Connection::new(peer, self.shutdown.clone());
        let stream: Stream = match &self.acceptor {
            None => Box::new(socket),
            Some(acceptor) => match handshake(acceptor, socket, self.front.limits.handshake_timeout).await {
                Some(stream) => {
                    connection.tls = true;
                    connection.server_name = server_name(&stream);
                    Box::new(stream)
                }
                None => return,
            },
        };
        Conversation { front: &self.front, connection, shutdown: self.shutdown }.run(stream).await;
    }
}

async fn handshake(acceptor: &Acceptor, socket: Socket, deadline: Duration) -> Option<TlsStream<Socket>> {
    match timeout(deadline, acceptor.tls_handshake(socket)).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => tracing::debug!(reason = "tls_handshake_failed", %error, "no TLS connection came about"),
        Err(_) => tracing::debug!(reason = "tls_handshake_timeout", "a TLS handshake took too long"),
    }
    None
}

fn server_name(stream: &TlsStream<Socket>) -> Option<Arc<str>> {
    stream.get_ssl()?.server_name().map(|name| name.to_ascii_lowercase().into())
}
