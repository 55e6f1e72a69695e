//! A raw upstream, a tiny gateway and raw clients.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::{Error, HttpPeer, Result};
use pingora::proxy::{FailToProxy, ProxyHttp, Session, http_proxy};
use pingora::server::configuration::ServerConf;
use portillon::gateway::context::{self, BadBody, BadHead, Kill, Peer, RefuseHead};
use portillon::listener::{self, Address, Binding, Bound, Counters, Front, Limits};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Long enough that only a defect reaches it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the upstream leaves a body of `/late` unread.
pub(crate) const LATE: Duration = Duration::from_millis(1500);
/// How long the gateway itself works on `/own`.
pub(crate) const OWN: Duration = Duration::from_millis(2500);
/// How long the answer to `/big` is.
pub(crate) const BIG: usize = 60_000;

/// An upstream that keeps every request it got, head and body, and answers by path.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    /// Lets one request to `/slow` be answered.
    pub(crate) release: Arc<Notify>,
    /// Tells that a request to `/slow` arrived.
    pub(crate) arrived: Arc<Notify>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            release: Arc::default(),
            arrived: Arc::default(),
        };
        let (seen, release, arrived) = (upstream.seen.clone(), upstream.release.clone(), upstream.arrived.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer_all(stream, seen.clone(), release.clone(), arrived.clone()));
            }
        });
        upstream
    }

    /// The requests so far; forgets them.
    pub(crate) fn take_seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    /// The request lines so far; forgets them.
    pub(crate) fn take_lines(&self) -> Vec<String> {
        self.take_seen().iter().map(|request| request.lines().next().unwrap_or_default().to_owned()).collect()
    }
}

async fn answer_all(
    mut stream: TcpStream,
    seen: Arc<Mutex<Vec<String>>>,
    release: Arc<Notify>,
    arrived: Arc<Notify>,
) -> Option<()> {
    loop {
        let head = read_until(&mut stream, "\r\n\r\n").await?;
        let path = head.split(' ').nth(1)?.to_owned();
        if head.to_lowercase().contains("expect: 100-continue") {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
        }
        if path.starts_with("/late") {
            tokio::time::sleep(LATE).await;
        }
        let body = read_body(&mut stream, &head).await?;
        seen.lock().unwrap().push(format!("{head}{body}"));
        if path.starts_with("/tunnel") {
            let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
            stream.write_all(switch.as_bytes()).await.ok()?;
            let (mut read, mut write) = stream.split();
            tokio::io::copy(&mut read, &mut write).await.ok()?;
            return None;
        }
        if path.starts_with("/stream") {
            let start = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
            stream.write_all(start.as_bytes()).await.ok()?;
            // Until the gateway goes away.
            stream.read_u8().await.ok()?;
        }
        if path.starts_with("/slow") {
            arrived.notify_one();
            release.notified().await;
        }
        let answer = if path.starts_with("/big") { "x".repeat(BIG) } else { format!("{path} {body}") };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

/// The gateway under test: no authentication, but everything that the connection layer offers it.
struct Gateway {
    upstream: SocketAddr,
    live: Arc<Mutex<Vec<Arc<Kill>>>>,
    done: Arc<Notify>,
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn request_filter(&self, session: &mut Session, _: &mut ()) -> Result<bool> {
        self.live.lock().unwrap().push(context::current().expect("every request has its connection").kill);
        match session.req_header().uri.path() {
            "/refused" => {}
            "/own" => {
                tokio::time::sleep(OWN).await;
                self.done.notify_one();
            }
            _ => return Ok(false),
        }
        let mut head = ResponseHeader::build(403, None)?;
        head.insert_header("Content-Length", "2")?;
        session.write_response_header(Box::new(head), false).await?;
        session.write_response_body(Some(Bytes::from_static(b"no")), true).await?;
        Ok(true)
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        ends: bool,
        _: &mut (),
    ) -> Result<()> {
        let connection = context::current().expect("every request has its connection");
        connection.arrival.note(body.as_ref().map_or(0, Bytes::len), ends);
        Ok(())
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }

    async fn upstream_request_filter(&self, _: &mut Session, head: &mut RequestHeader, _: &mut ()) -> Result<()> {
        let connection = context::current().expect("every request has its connection");
        let peer = match connection.peer {
            Peer::Tcp(address) => address.ip().to_string(),
            Peer::Unix => "unix".to_owned(),
        };
        head.insert_header("X-Peer", format!("{peer} {} {:?}", connection.tls, connection.server_name))?;
        Ok(())
    }

    async fn response_filter(&self, session: &mut Session, _: &mut ResponseHeader, _: &mut ()) -> Result<()> {
        if context::current().is_some_and(|connection| connection.is_draining()) {
            session.set_keepalive(None);
        }
        Ok(())
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, _: &mut ()) -> FailToProxy {
        if session.was_upgraded() {
            // A WebSocket close frame, 1008.
            let frame = Bytes::from_static(&[0x88, 2, 0x03, 0xf0]);
            let _ = session.as_downstream_mut().write_response_body(frame, true).await;
        } else if session.response_written().is_none() {
            let (status, reason) =
                BadBody::behind(error).map_or((502, ""), |bad| (bad.status().as_u16(), bad.reason_code()));
            let mut head = ResponseHeader::build(status, None).unwrap();
            head.insert_header("X-Reason", reason).unwrap();
            head.insert_header("Content-Length", "0").unwrap();
            session.set_keepalive(None);
            let _ = session.write_response_header(Box::new(head), true).await;
        }
        FailToProxy { error_code: 502, can_reuse_downstream: false }
    }
}

struct Refuse;

impl RefuseHead for Refuse {
    fn refuse_head(&self, bad: &BadHead, _: &Peer, head: &[u8]) -> Response<Bytes> {
        let response = Response::builder().status(bad.status()).header("X-Reason", bad.reason_code());
        response.header("X-Head", head.len()).body(Bytes::new()).unwrap()
    }

    fn relies_on(&self, name: &str) -> bool {
        portillon::http_ext::folds_under(name, "x-agent-")
    }
}

/// A gateway that runs.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) counters: Arc<Counters>,
    pub(crate) serving: JoinHandle<()>,
    pub(crate) upstream: Upstream,
    live: Arc<Mutex<Vec<Arc<Kill>>>>,
    /// Tells that the gateway has done its work for `/own`.
    pub(crate) done: Arc<Notify>,
    drain: watch::Sender<bool>,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let address = Address::Tcp(([127, 0, 0, 1], 0).into());
        let bound = listener::bind(&[Binding { address, tls: None, mode: None }]).unwrap();
        Self::on(bound.into_iter().next().unwrap(), limits).await
    }

    pub(crate) async fn on(bound: Bound, limits: Limits) -> Self {
        let upstream = Upstream::start().await;
        let live = Arc::<Mutex<Vec<_>>>::default();
        let done = Arc::<Notify>::default();
        let gateway = Gateway { upstream: upstream.address, live: live.clone(), done: done.clone() };
        let proxy = Arc::new(http_proxy(&Arc::new(ServerConf::default()), gateway));
        let front = Arc::new(Front::new(proxy, Arc::new(Refuse), limits));
        let (drain, draining) = watch::channel(false);
        let address = bound.local_addr().unwrap_or_else(|| ([0, 0, 0, 0], 0).into());
        let counters = front.counters().clone();
        let serving = tokio::spawn(listener::serve(bound, front, draining));
        Self { address, counters, serving, upstream, live, done, drain }
    }

    pub(crate) fn drain(&self) {
        self.drain.send_replace(true);
    }

    /// The kill handle of the request that came last.
    pub(crate) fn last_kill(&self) -> Arc<Kill> {
        self.live.lock().unwrap().last().unwrap().clone()
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `bytes` on a connection of their own and reads until the gateway closes it.
    pub(crate) async fn exchange(&self, bytes: &[u8]) -> String {
        let mut client = self.connect().await;
        client.write_all(bytes).await.unwrap();
        read_to_end(&mut client).await
    }

    /// A clean request on a new connection gets its own answer, and nothing else reached the upstream since the last.
    pub(crate) async fn assert_untouched(&self, after: &str) {
        let answer = self.exchange(b"GET /clean HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("/clean "), "after {after}: {answer}");
        assert_eq!(self.upstream.take_lines(), ["GET /clean HTTP/1.1"], "after {after}");
    }

    /// Waits until `count` connections are open.
    pub(crate) async fn open_connections(&self, count: u64) {
        within(async {
            while self.counters.connections() != count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// Fails instead of hanging.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("this should not take so long")
}

/// Everything until the connection is closed by its other end.
pub(crate) async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    // A reset after the answer is a close, too.
    let _ = within(stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Bytes up to and including `end`, and none after it; `None` where the connection ends before.
pub(crate) async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        bytes.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

async fn read_body(stream: &mut (impl AsyncRead + Unpin), head: &str) -> Option<String> {
    let head = head.to_lowercase();
    if head.contains("transfer-encoding: chunked") {
        return read_until(stream, "0\r\n\r\n").await;
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(String::from_utf8_lossy(&body).into_owned())
}

/// One answer: its head and its body.
pub(crate) async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> (String, String) {
    within(async {
        let head = read_until(stream, "\r\n\r\n").await.expect("an answer");
        let body = read_body(stream, &head).await.expect("a body");
        (head, body)
    })
    .await
}

/// Sends a request and reads its answer; the connection stays.
pub(crate) async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> (String, String) {
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    read_answer(stream).await
}
