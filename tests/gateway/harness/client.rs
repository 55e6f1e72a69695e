//! A raw client: it can send any bytes, and reads what comes back.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::wire::{Body, Head, Reader};

/// No condition that a test waits for takes longer on a machine that works.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for `future`, which must be ready within [`DEADLINE`].
#[track_caller]
pub fn within<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(DEADLINE, future).await {
            Ok(output) => output,
            Err(_) => panic!("{caller}: nothing within {DEADLINE:?}"),
        }
    }
}

/// Waits until `condition` holds.
#[track_caller]
pub fn eventually(condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    within(async move {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

/// A request to send. `Host` is the first field.
#[derive(Clone, Debug)]
pub struct Request {
    /// The request line without the version.
    pub line: String,
    /// The fields in their order.
    pub fields: Vec<(String, String)>,
    /// The body; a `Content-Length` goes with it where it is not empty.
    pub body: Vec<u8>,
}

impl Request {
    /// `method` on `target` at `host`.
    pub fn new(method: &str, host: &str, target: &str) -> Self {
        let fields = vec![("Host".to_owned(), host.to_owned())];
        Self { line: format!("{method} {target}"), fields, body: Vec::new() }
    }

    /// `GET` of `target` at `host`.
    pub fn get(host: &str, target: &str) -> Self {
        Self::new("GET", host, target)
    }

    /// The same with one more field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// The same with this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The same as a browser sends it when the agent follows a link.
    #[must_use]
    pub fn navigation(self) -> Self {
        self.with("Sec-Fetch-Mode", "navigate")
            .with("Sec-Fetch-Dest", "document")
            .with("Sec-Fetch-Site", "none")
            .with("Sec-Fetch-User", "?1")
            .with("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
    }

    /// Its method.
    pub fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// As it goes over the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} HTTP/1.1\r\n", self.line).into_bytes();
        for (name, value) in &self.fields {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if !self.body.is_empty() {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// A response with its body.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The head.
    pub head: Head,
    /// The body, without its coding.
    pub body: Vec<u8>,
    /// The status codes of the interim responses before it.
    pub interim: Vec<u16>,
}

impl Response {
    /// The first field called `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.value(name)
    }

    /// Where it redirects to; a test that asks for it wants a redirect.
    #[track_caller]
    pub fn location(&self) -> String {
        let found = self.header("location").map(str::to_owned);
        found.unwrap_or_else(|| panic!("no Location in {}: {}", self.status, self.said()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What a page says to who reads it: its body without style and with its characters unescaped.
    pub fn said(&self) -> String {
        let text = self.text();
        let body = text.split_once("<body").map_or(text.as_str(), |(_, body)| body);
        let entities =
            [("&#x2f;", "/"), ("&#x27;", "'"), ("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
        entities.iter().fold(body.to_owned(), |text, (entity, character)| text.replace(entity, character))
    }

    /// Whether it redirects.
    pub fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
    }

    /// Whether it is a page of the gateway, not of an application.
    pub fn is_own(&self) -> bool {
        self.header("cache-control").is_some_and(|value| value.contains("no-store"))
    }
}

/// A connection to the gateway.
pub struct Connection {
    reader: Reader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Connection {
    /// Connects to `address`.
    pub async fn open(address: SocketAddr) -> Self {
        Self::try_open(address).await.expect("the gateway accepts connections")
    }

    /// Connects to `address`, where there may be nobody.
    pub async fn try_open(address: SocketAddr) -> io::Result<Self> {
        let stream = within(TcpStream::connect(address)).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Self { reader: Reader::new(reader), writer })
    }

    /// Sends bytes; that the other side may have closed already is no failure, the answer tells.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = within(self.try_send(bytes)).await;
    }

    /// Sends bytes.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.writer.write_all(bytes.as_ref()).await?;
        self.writer.flush().await
    }

    /// Says that nothing more will be sent.
    pub async fn finish_sending(&mut self) {
        let _ = self.writer.shutdown().await;
    }

    /// Sends a request and reads its answer.
    pub async fn exchange(&mut self, request: &Request) -> Response {
        self.send(request.to_bytes()).await;
        self.response(request.method()).await
    }

    /// The answer to a request by `method`.
    pub async fn response(&mut self, method: &str) -> Response {
        self.try_response(method).await.expect("an answer before the connection ends")
    }

    /// The answer to a request by `method`; none where the connection ends without one.
    pub async fn try_response(&mut self, method: &str) -> Option<Response> {
        let mut interim = Vec::new();
        loop {
            let head = within(self.reader.head()).await.ok().flatten()?;
            let status: u16 = head.word(1).parse().expect("a status code");
            if (100..200).contains(&status) && status != 101 {
                interim.push(status);
                continue;
            }
            let body = within(self.reader.whole(Body::of_response(&head, method))).await.ok()?;
            return Some(Response { status, head, body, interim });
        }
    }

    /// The next head alone: its body is read piece by piece.
    pub async fn head(&mut self) -> Head {
        within(self.reader.head()).await.expect("a well-formed head").expect("a head before the connection ends")
    }

    /// The next bytes of a body; none at its end, or where the connection breaks.
    pub async fn piece(&mut self, body: &mut Body) -> Option<Vec<u8>> {
        within(self.reader.piece(body)).await.ok().flatten()
    }

    /// The next bytes of a tunnel; empty at its end.
    pub async fn bytes(&mut self) -> Vec<u8> {
        within(self.reader.bytes()).await.unwrap_or_default()
    }

    /// Exactly `count` bytes of a tunnel, or what came before its end.
    pub async fn exactly(&mut self, count: usize) -> Vec<u8> {
        let mut body = Body::Length(count as u64);
        let mut all = Vec::new();
        while let Some(piece) = self.piece(&mut body).await {
            all.extend(piece);
        }
        all
    }

    /// Whether the other side ends the connection without sending another byte.
    pub async fn ends(&mut self) -> bool {
        self.bytes().await.is_empty()
    }

    /// The two directions, to send while receiving.
    pub fn into_split(self) -> (Reader<OwnedReadHalf>, OwnedWriteHalf) {
        (self.reader, self.writer)
    }
}
