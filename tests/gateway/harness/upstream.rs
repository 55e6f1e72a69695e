//! An application on raw sockets: it keeps the exact bytes of every request, and answers whatever it is told to,
//! early, late, in pieces or not at all.

pub mod answer;
pub mod tls;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::net::TcpListener;
use tokio::sync::Notify;

pub use answer::Answer;

use super::agent::Agent;
use super::client::within;
use super::wire::{Body, Field, Head, Reader};

/// How much of a body is kept.
const KEPT: usize = 256 * 1024;

/// A byte stream, with or without TLS.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A recording upstream.
#[derive(Clone)]
pub struct Upstream(Arc<Shared>);

struct Shared {
    address: SocketAddr,
    tls: Option<tls::Identity>,
    connections: AtomicUsize,
    log: Mutex<Log>,
    changed: Notify,
}

/// What arrived, and what was meant to arrive.
#[derive(Default)]
pub struct Log {
    /// The requests in their order of arrival.
    pub received: Vec<Received>,
    /// Bytes that are part of no request.
    pub stray: Vec<Vec<u8>>,
    /// The requests that are meant to arrive.
    pub expected: Vec<Expected>,
    answers: HashMap<String, Answer>,
}

/// A request that arrived.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The number of its connection, from 0.
    pub connection: usize,
    /// Its head.
    pub head: Head,
    /// The start of its body, without its coding.
    pub body: Vec<u8>,
    /// How long the body was.
    pub length: u64,
    /// The trailer fields of its body.
    pub trailers: Vec<Field>,
    /// Whether it arrived to its end.
    pub complete: bool,
    /// Its exact bytes, as far as they are kept.
    pub raw: Vec<u8>,
    /// What came through the tunnel that it opened.
    pub tunnelled: Vec<u8>,
}

impl Received {
    /// Its method and target.
    pub fn line(&self) -> String {
        format!("{} {}", self.head.word(0), self.head.word(1))
    }

    /// The only field called `name`.
    #[track_caller]
    pub fn header(&self, name: &str) -> String {
        let mut values = self.head.values(name);
        assert_eq!(values.len(), 1, "{name} once in {self:?}");
        values.remove(0)
    }
}

/// Who a request is meant to come from.
#[derive(Clone, Debug)]
pub enum Who {
    /// This agent, whose identity goes with it.
    Agent(Box<Agent>),
    /// Anybody, by a public rule: no identity goes with it.
    Public,
}

impl From<&Agent> for Who {
    fn from(agent: &Agent) -> Self {
        Self::Agent(Box::new(agent.clone()))
    }
}

/// A request that is meant to arrive.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Who it comes from.
    pub who: Who,
    /// Its method and target.
    pub line: String,
    /// Whether it must arrive; otherwise it may.
    pub required: bool,
}

impl Upstream {
    /// An upstream over plain TCP.
    pub async fn start() -> Self {
        Self::listen(None).await
    }

    /// An upstream over TLS with this certificate.
    pub async fn start_tls(identity: tls::Identity) -> Self {
        Self::listen(Some(identity)).await
    }

    async fn listen(tls: Option<tls::Identity>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (connections, log, changed) = (AtomicUsize::new(0), Mutex::default(), Notify::new());
        let upstream = Self(Arc::new(Shared { address, tls, connections, log, changed }));
        tokio::spawn(upstream.clone().accept(listener));
        upstream
    }

    async fn accept(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let upstream = self.clone();
            let number = self.0.connections.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                match upstream.0.tls.clone() {
                    None => upstream.serve(number, Box::new(stream)).await,
                    Some(identity) => {
                        if let Ok(stream) = identity.acceptor().accept(stream).await {
                            upstream.serve(number, Box::new(stream)).await;
                        }
                    }
                }
            });
        }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Its origin, as a route names it.
    pub fn origin(&self) -> String {
        let scheme = if self.0.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.0.address)
    }

    /// What arrived so far.
    pub fn log(&self) -> MutexGuard<'_, Log> {
        self.0.log.lock().expect("no test panics while it holds the log")
    }

    /// Answers requests for `path` (without its query) with `answer` from now on.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.log().answers.insert(path.to_owned(), answer);
    }

    /// Declares that a request is meant to arrive.
    pub fn expects(&self, who: impl Into<Who>, line: &str) {
        self.log().expected.push(Expected { who: who.into(), line: line.to_owned(), required: true });
    }

    /// Declares that a request may arrive.
    pub fn tolerates(&self, who: impl Into<Who>, line: &str) {
        self.log().expected.push(Expected { who: who.into(), line: line.to_owned(), required: false });
    }

    /// How many requests arrived so far.
    pub fn count(&self) -> usize {
        self.log().received.len()
    }

    /// How many connections were made to it so far.
    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::SeqCst)
    }

    /// The last request that arrived.
    #[track_caller]
    pub fn last(&self) -> Received {
        self.log().received.last().expect("a request arrived").clone()
    }

    /// Waits until `condition` holds of what arrived.
    #[track_caller]
    pub fn until(&self, condition: impl Fn(&Log) -> bool) -> impl Future<Output = ()> {
        let waiting = async move {
            loop {
                let changed = self.0.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if condition(&self.log()) {
                    return;
                }
                changed.await;
            }
        };
        within(waiting)
    }

    async fn serve(self, number: usize, stream: Box<dyn Io>) {
        let (read, mut write) = tokio::io::split(stream);
        let mut reader = Reader::new(read);
        while let Ok(Some(head)) = reader.head().await {
            if !self.exchange(number, head, &mut reader, &mut write).await {
                break;
            }
        }
        if !reader.rest().is_empty() {
            self.change(|log| log.stray.push(reader.rest().to_vec()));
        }
    }

    /// Records a request and answers it. Whether the connection can serve another.
    async fn exchange(
        &self,
        connection: usize,
        head: Head,
        reader: &mut Reader<ReadHalf<Box<dyn Io>>>,
        writer: &mut WriteHalf<Box<dyn Io>>,
    ) -> bool {
        let mut body = Body::of_request(&head);
        let path = head.word(1).split('?').next().unwrap_or_default().to_owned();
        let at = self.change(|log| {
            log.received.push(Received { connection, head, raw: reader.take_consumed(), ..Received::default() });
            log.received.len() - 1
        });
        let answer = self.log().answers.get(&path).cloned().unwrap_or_default();
        if answer.is_early() && !answer.write(writer).await {
            return false;
        }
        loop {
            match reader.piece(&mut body).await {
                Ok(Some(piece)) => self.change(|log| log.received[at].add(&piece, reader)),
                Ok(None) => break,
                Err(_) => return false,
            }
        }
        self.change(|log| log.received[at].finish(reader));
        if !answer.is_early() && !answer.write(writer).await {
            return false;
        }
        if answer.echoes() {
            self.echo(at, reader, writer).await;
        }
        answer.keeps_connection()
    }

    async fn echo(&self, at: usize, reader: &mut Reader<ReadHalf<Box<dyn Io>>>, writer: &mut WriteHalf<Box<dyn Io>>) {
        use tokio::io::AsyncWriteExt as _;
        while let Ok(bytes) = reader.bytes().await {
            self.change(|log| log.received[at].tunnelled.extend(&bytes));
            if bytes.is_empty() || writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
                return;
            }
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Log) -> T) -> T {
        let changed = change(&mut self.log());
        self.0.changed.notify_waiters();
        changed
    }
}

impl Received {
    fn add<R: AsyncRead + Unpin>(&mut self, piece: &[u8], reader: &mut Reader<R>) {
        self.length += piece.len() as u64;
        let room = KEPT.saturating_sub(self.body.len());
        self.body.extend_from_slice(&piece[..piece.len().min(room)]);
        self.keep_raw(reader);
    }

    fn finish<R: AsyncRead + Unpin>(&mut self, reader: &mut Reader<R>) {
        self.complete = true;
        self.trailers = std::mem::take(&mut reader.trailers);
        self.keep_raw(reader);
    }

    fn keep_raw<R: AsyncRead + Unpin>(&mut self, reader: &mut Reader<R>) {
        let bytes = reader.take_consumed();
        let room = KEPT.saturating_sub(self.raw.len());
        self.raw.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

#[tokio::test]
async fn an_upstream_keeps_what_it_got() {
    use super::client::{Connection, Request};
    let upstream = Upstream::start().await;
    upstream.answer("/late", Answer::text("late"));
    let mut client = Connection::open(upstream.address()).await;
    let request = Request::new("POST", "a.test", "/late?x=1").body("abc");
    assert_eq!(client.exchange(&request).await.body, b"late");
    assert_eq!(client.exchange(&Request::get("a.test", "/")).await.status, 200);
    client.send("GET /partial").await;
    client.finish_sending().await;
    upstream.until(|log| !log.stray.is_empty()).await;
    let log = upstream.log();
    assert_eq!((log.received[0].line(), &log.received[0].body[..]), ("POST /late?x=1".to_owned(), &b"abc"[..]));
    assert_eq!(log.received[0].raw, request.to_bytes());
    assert_eq!((log.received.len(), log.received[1].connection, &log.stray[0][..]), (2, 0, &b"GET /partial"[..]));
}
