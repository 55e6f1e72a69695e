//! HTTP/2 (RFC 9113) towards agents: one connection, many requests at a time.
//!
//! Applications get HTTP/1.1, so a request is judged as HTTP/1.1 writes it: by the same eyes and under the same caps as one
//! that came so. What is HTTP/2's own (streams, windows, frames) is the `h2` crate's, in bounds that are set here. There is
//! no HTTP/2 without TLS, and no WebSocket inside it: browsers open those with HTTP/1.1.

use std::mem;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use h2::Reason;
use http::Method;
use http::header::CONTENT_LENGTH;
use pingora::apps::HttpServerApp as _;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Accept, H2Options, HttpSession, handshake};
use pingora::protocols::{Digest, Stream};
use pingora::proxy::ProxyHttp;
use pingora::server::ShutdownWatch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::accept::{report, shutdown_begun};
use super::connection::Gauge;
use super::head::{Head, Scanner};
use super::pace::too_slow;
use super::{Front, Limits};
use crate::gateway::context::{self, BadHead, Connection};

mod head;

/// Requests at a time on one connection (`SETTINGS_MAX_CONCURRENT_STREAMS`): what browsers are used to.
const MOST_AT_ONCE: u32 = 100;
/// Bytes of one body that may wait here for the application: more than a client sends in a round trip through France.
const BODY_WINDOW: u32 = 256 * 1024;
/// The same for all bodies of a connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of one answer that may wait here for the client.
const MOST_UNSENT: usize = 64 * 1024;
/// Malformed requests that a connection survives: each costs us something, and no browser sends any.
const MOST_MALFORMED: u32 = 32;
/// How long a client may take to go, or to read our last words.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes that a client takes in that time which still reads its answers, rather than our farewell alone.
const LEAST_TAKEN: u64 = 4 * 1024;
/// How many times it may have that time.
const MOST_LINGERED: u32 = 15;
/// How long requests may go on whose client is gone.
const AFTERMATH: Duration = Duration::from_secs(60);

/// A TLS connection whose client chose HTTP/2.
pub(super) struct Multiplexed<P: ProxyHttp> {
    pub(super) front: Arc<Front<P>>,
    pub(super) connection: Connection,
    pub(super) shutdown: ShutdownWatch,
}

/// What became of a connection so far.
#[derive(Default)]
struct Progress {
    requests: JoinSet<()>,
    accepted: u32,
    malformed: u32,
    /// We said that we take no more.
    closing: bool,
    /// How often we waited for the client to go since then.
    lingered: u32,
    /// What it had taken of our bytes when we last looked.
    taken: u64,
}

impl Progress {
    /// Whether a client that has its last answers still reads them: written they were long ago, but the end of each may
    /// wait here for room on its way.
    fn is_reading(&mut self, taken: u64) -> bool {
        self.lingered += 1;
        let news = taken.saturating_sub(mem::replace(&mut self.taken, taken));
        news >= LEAST_TAKEN && self.lingered < MOST_LINGERED
    }
}

impl<P> Multiplexed<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    /// Serves requests until one side has had enough.
    pub(super) async fn run(mut self, stream: Stream) {
        let digest = Arc::new(digest(&stream));
        let limits = &self.front.limits;
        let begun = tokio::select! {
            biased;
            begun = timeout(limits.head_timeout, handshake(stream, Some(options(limits)))) => begun,
            // Nothing was asked yet, so the client can ask elsewhere.
            () = shutdown_begun(&mut self.shutdown) => return,
        };
        let Ok(Ok(mut connection)) = begun else { return };
        let mut progress = Progress::default();
        loop {
            let (idle, patience) = (progress.requests.is_empty(), self.patience(&progress));
            let is_enough = tokio::select! {
                biased;
                () = shutdown_begun(&mut self.shutdown), if !progress.closing => true,
                Some(ended) = progress.requests.join_next(), if !idle => {
                    report(ended);
                    false
                }
                // Before the connection, which may use up all that a task may do at a time: frames that ask for nothing would
                // otherwise hold it for ever.
                () = sleep(patience), if idle => {
                    if progress.closing && !progress.is_reading(taken(&digest)) {
                        break;
                    }
                    true
                }
                () = self.front.crowded.notified(), if idle && !progress.closing => true,
                next = HttpSession::from_h2_conn(&mut connection, Arc::clone(&digest)) => {
                    let Ok(Some(next)) = next else { break };
                    match self.accept(next, &mut progress) {
                        ControlFlow::Continue(is_last) => is_last,
                        ControlFlow::Break(()) => break,
                    }
                }
            };
            if is_enough && !progress.closing {
                // GOAWAY: what is under way goes on, the rest is for another connection (RFC 9113 section 6.8).
                connection.graceful_shutdown();
                progress.closing = true;
                progress.taken = taken(&digest);
            }
        }
        drop(connection);
        // Requests to applications notice by themselves that their client is gone, and say so in the log. What we do ourselves
        // is done: a logout, say, whose sender did not wait for the answer.
        let _ = timeout(AFTERMATH, async { while progress.requests.join_next().await.is_some() {} }).await;
    }

    /// How long a connection without requests is kept.
    fn patience(&self, progress: &Progress) -> Duration {
        match progress {
            Progress { closing: true, .. } => LINGER,
            Progress { accepted: 0, .. } => self.front.limits.head_timeout,
            Progress { .. } => self.front.limits.keep_alive,
        }
    }

    /// Starts a request; whether it is the last one. Breaks where the client does what no client would.
    fn accept(&self, next: H2Accept, progress: &mut Progress) -> ControlFlow<(), bool> {
        match next {
            H2Accept::Session(stream) => {
                progress.accepted += 1;
                let (front, connection) = (Arc::clone(&self.front), self.connection.next_request());
                progress.requests.spawn(serve(front, connection, self.shutdown.clone(), stream));
            }
            H2Accept::Rejected => {
                progress.malformed += 1;
                // pingora answered already.
                note_refusal(&self.front, &self.connection, BadHead::StreamMalformed);
            }
        }
        let last = self.front.limits.keepalive_requests;
        if progress.malformed > MOST_MALFORMED || progress.accepted > last.saturating_add(MOST_AT_ONCE) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(progress.accepted >= last)
    }
}

/// Serves one request.
async fn serve<P>(front: Arc<Front<P>>, connection: Connection, shutdown: ShutdownWatch, mut stream: HttpSession)
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    let _running = Gauge::raise(&front.counters.requests);
    if front.is_overfull() {
        note_refusal(&front, &connection, BadHead::TooManyRequests);
        // Nothing was done with it, so the client may send it again (RFC 9113 section 8.7).
        return stream.shutdown_with_reason(Reason::REFUSED_STREAM);
    }
    let Ok(translated) = head::to_http1(stream.req_header()) else {
        return refuse(&front, &connection, stream, BadHead::StreamMalformed, &[]).await;
    };
    *stream.req_header_mut() = translated;
    let head = head::written(stream.req_header());
    if let Err(bad) = judge(&front, &head) {
        return refuse(&front, &connection, stream, bad, &head).await;
    }
    let (kill, arrival) = (Arc::clone(&connection.kill), Arc::clone(&connection.arrival));
    let has_body = !stream.is_body_done();
    let session = ServerSession::new_http2(stream);
    // Whatever ends it early drops it, and that resets its stream and no other one (RFC 9113 section 5.4.2).
    tokio::select! {
        biased;
        _ = context::scope(connection, front.proxy.process_new_http(session, &shutdown)) => {}
        () = kill.soft_killed() => {}
        () = kill.hard_killed() => {}
        () = too_slow(&arrival, &front.limits), if has_body => arrival.give_up(),
    }
}

fn judge<P: ProxyHttp>(front: &Front<P>, head: &[u8]) -> Result<(), BadHead> {
    // A value could hold no line end, or the scanner would find a shorter head than the whole.
    match Scanner::default().advance(head, &front.limits)? {
        Some(length) if length == head.len() => {}
        _ => return Err(BadHead::StreamMalformed),
    }
    Head::parse(head, &|name| front.refuse.relies_on(name)).map(drop)
}

/// Counts and logs what gets no answer of ours.
fn note_refusal<P: ProxyHttp>(front: &Front<P>, connection: &Connection, bad: BadHead) {
    front.count_refusal();
    let _ = front.refuse.refuse_head(&bad, &connection.peer, &[]);
}

async fn refuse<P: ProxyHttp>(
    front: &Front<P>,
    connection: &Connection,
    mut stream: HttpSession,
    bad: BadHead,
    head: &[u8],
) {
    front.count_refusal();
    let (parts, body) = front.refuse.refuse_head(&bad, &connection.peer, head).into_parts();
    let mut answer = ResponseHeader::from(parts);
    if answer.insert_header(CONTENT_LENGTH, body.len()).is_err() {
        return;
    }
    let silent = stream.req_header().method == Method::HEAD || body.is_empty();
    stream.set_write_timeout(Some(LINGER));
    if stream.write_response_header(Box::new(answer), silent).is_ok() && !silent {
        // The client may be gone, and there is nobody else to tell.
        let _ = stream.write_body(body, true).await;
    }
}

fn options(limits: &Limits) -> H2Options {
    let mut options = H2Options::new();
    options
        .initial_window_size(BODY_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MOST_AT_ONCE)
        .max_header_list_size(u32::try_from(head_list(limits)).unwrap_or(u32::MAX))
        .max_send_buffer_size(MOST_UNSENT);
    options
}

/// More than any head within our own caps, whose page says what is wrong; each field counts 32 bytes more than it has
/// (section 6.5.2).
const fn head_list(limits: &Limits) -> usize {
    2 * limits.max_head + 64 * limits.max_headers
}

/// How many bytes of ours the client's side has acknowledged.
fn taken(digest: &Digest) -> u64 {
    digest.socket_digest.as_ref().and_then(|socket| socket.tcp_info()).map_or(0, |tcp| tcp.tcpi_bytes_acked)
}

fn digest(stream: &Stream) -> Digest {
    Digest {
        ssl_digest: stream.get_ssl_digest(),
        timing_digest: stream.get_timing_digest(),
        proxy_digest: stream.get_proxy_digest(),
        socket_digest: stream.get_socket_digest(),
    }
}
