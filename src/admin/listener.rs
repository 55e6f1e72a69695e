//! Serves the admin endpoints over HTTP/1.1 (RFC 9112), each connection under a deadline, a bounded number at a time:
//! where one more comes, the oldest makes room, so that no client, however slow, keeps the others from `/healthz`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::AdminState;
use super::answer::answer;

/// From the start of a connection, or the answer before, to the end of the next request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection lives no longer than this: a client that reads nothing must not keep its place.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(300);

/// What drains is given this long to finish its answer.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// One does not run out of places by scraping.
const MAX_CONNECTIONS: usize = 64;

/// Bytes of a request's head (hyper's smallest).
const MAX_HEAD: usize = 8 * 1024;

/// After an accept that failed, for instance without a file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A socket that the admin endpoints are served on, already bound.
#[derive(Debug)]
pub enum AdminListener {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixListener),
}

/// Serves the admin endpoints until `drain` turns true (or its sender goes away), then lets begun answers end.
///
/// # Errors
///
/// The socket cannot be handed to the runtime.
pub async fn serve(
    listener: AdminListener,
    state: Arc<dyn AdminState>,
    drain: watch::Receiver<bool>,
) -> io::Result<()> {
    let socket = Socket::try_from(listener)?;
    Server { state, drain, open: VecDeque::new(), tasks: JoinSet::new() }.run(socket).await;
    Ok(())
}

/// A socket that the runtime drives.
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl TryFrom<AdminListener> for Socket {
    type Error = io::Error;

    fn try_from(listener: AdminListener) -> io::Result<Self> {
        match listener {
            AdminListener::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                TcpListener::from_std(socket).map(Self::Tcp)
            }
            AdminListener::Unix(socket) => {
                socket.set_nonblocking(true)?;
                UnixListener::from_std(socket).map(Self::Unix)
            }
        }
    }
}

impl Socket {
    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(socket) => Box::new(socket.accept().await?.0),
            Self::Unix(socket) => Box::new(socket.accept().await?.0),
        })
    }
}

struct Server {
    state: Arc<dyn AdminState>,
    drain: watch::Receiver<bool>,
    /// The connections by age.
    open: VecDeque<AbortHandle>,
    tasks: JoinSet<()>,
}

impl Server {
    async fn run(mut self, socket: Socket) {
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = draining(self.drain.clone()) => break,
            };
            match accepted {
                Ok(stream) => self.spawn(stream),
                Err(error) => {
                    tracing::warn!(%error, "admin_accept_failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(socket);
        // Connections hear of the drain themselves; those that do not end by then are dropped with the set.
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, async { while self.tasks.join_next().await.is_some() {} }).await;
    }

    fn spawn(&mut self, stream: Box<dyn Stream>) {
        self.make_room();
        let (state, drain) = (Arc::clone(&self.state), self.drain.clone());
        self.open.push_back(self.tasks.spawn(async move {
            let _ =
                tokio::time::timeout(CONNECTION_LIFETIME, serve_connection(stream, state, drain, HEAD_TIMEOUT)).await;
        }));
    }

    fn make_room(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.open.retain(|connection| !connection.is_finished());
        if self.open.len() >= MAX_CONNECTIONS
            && let Some(oldest) = self.open.pop_front()
        {
            oldest.abort();
        }
    }
}

async fn serve_connection(
    stream: Box<dyn Stream>,
    state: Arc<dyn AdminState>,
    drain: watch::Receiver<bool>,
    head_timeout: Duration,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(answer(&*state, request).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = draining(drain) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "admin_connection_failed");
    }
}

/// Waits until we drain.
async fn draining(mut drain: watch::Receiver<bool>) {
    // A sender that is gone can no longer say so: it counts as said.
    let _ = drain.wait_for(|draining| *draining).await;
}

#[cfg(test)]
mod tests;
