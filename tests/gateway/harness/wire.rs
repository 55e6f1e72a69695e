//! HTTP/1.1 as bytes (RFC 9112), for the three sides that the tests play: client, provider and upstream.
//!
//! Nothing here is shared with the gateway, and nothing is repaired: what does not parse is reported as it came.

use std::fmt;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How much of the consumed bytes a reader remembers.
const REMEMBERED: usize = 256 * 1024;

/// A header field as it came: name in its own case, value without the white space around it.
pub type Field = (String, Vec<u8>);

/// The head of a message.
#[derive(Clone, Default)]
pub struct Head {
    /// The request line or the status line.
    pub start_line: String,
    /// The fields in their order.
    pub fields: Vec<Field>,
}

impl Head {
    /// Reads a head without the empty line that ends it; none where a line is no field.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r\n"));
        let start_line = String::from_utf8_lossy(lines.next()??).into_owned();
        let fields = lines.map(|line| field(line?)).collect::<Option<_>>()?;
        Some(Self { start_line, fields })
    }

    /// The `at`th word of the start line.
    pub fn word(&self, at: usize) -> &str {
        self.start_line.split(' ').nth(at).unwrap_or_default()
    }

    /// The first field called `name`, as text.
    pub fn value(&self, name: &str) -> Option<&str> {
        let (_, value) = self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// Every field called `name`, as text.
    pub fn values(&self, name: &str) -> Vec<String> {
        let named = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// Whether a field is called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field.eq_ignore_ascii_case(name))
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.fields.iter().map(|(name, value)| format!("{name}: {}", value.escape_ascii()));
        f.debug_list().entry(&self.start_line).entries(fields).finish()
    }
}

fn field(line: &[u8]) -> Option<Field> {
    let at = line.iter().position(|byte| *byte == b':')?;
    let name = String::from_utf8(line[..at].to_vec()).ok()?;
    Some((name, line[at + 1..].trim_ascii().to_vec()))
}

/// How far the body of a message has been read.
#[derive(Debug)]
pub enum Body {
    /// This many bytes of the current chunk are left; at 0 a chunk header follows.
    Chunked(u64),
    /// This many bytes are left.
    Length(u64),
    /// Up to the end of the connection.
    ToEnd,
}

impl Body {
    /// The body that the head of a request announces.
    pub fn of_request(head: &Head) -> Self {
        Self::announced(head).unwrap_or(Self::Length(0))
    }

    /// The body that the head of a response to `method` announces.
    pub fn of_response(head: &Head, method: &str) -> Self {
        match head.word(1) {
            "204" | "304" | "101" => Self::Length(0),
            _ if method == "HEAD" => Self::Length(0),
            _ => Self::announced(head).unwrap_or(Self::ToEnd),
        }
    }

    fn announced(head: &Head) -> Option<Self> {
        if head.value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return Some(Self::Chunked(0));
        }
        head.value("content-length").and_then(|length| length.parse().ok()).map(Self::Length)
    }
}

/// Reads messages from one side of a connection.
pub struct Reader<R> {
    stream: R,
    buffer: Vec<u8>,
    consumed: Vec<u8>,
    /// The trailer fields of the last chunked body.
    pub trailers: Vec<Field>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// A reader at the start of `stream`.
    pub fn new(stream: R) -> Self {
        Self { stream, buffer: Vec::new(), consumed: Vec::new(), trailers: Vec::new() }
    }

    /// The next head; none where the connection ends first. What came of it then stays in [`Reader::rest`].
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            if !self.fill().await? {
                return Ok(None);
            }
        };
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "a malformed head");
        let head = Head::parse(&self.buffer[..end + 2]).ok_or_else(malformed)?;
        self.take(end + 4);
        Ok(Some(head))
    }

    /// The next bytes of a body; none at its end.
    pub async fn piece(&mut self, body: &mut Body) -> io::Result<Option<Vec<u8>>> {
        match body {
            Body::Length(0) => Ok(None),
            Body::Length(left) => {
                let piece = self.at_most(*left).await?;
                *left -= piece.len() as u64;
                Ok(Some(piece))
            }
            Body::ToEnd => match self.at_most(u64::MAX).await {
                Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
                piece => piece.map(Some),
            },
            Body::Chunked(_) => self.chunk(body).await,
        }
    }

    /// The whole body, as far as memory for a test goes.
    pub async fn whole(&mut self, mut body: Body) -> io::Result<Vec<u8>> {
        let mut whole = Vec::new();
        while let Some(piece) = self.piece(&mut body).await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    /// What arrived and was not read as part of a message.
    pub fn rest(&self) -> &[u8] {
        &self.buffer
    }

    /// The exact bytes read since the last call (the first 256 KiB of them).
    pub fn take_consumed(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.consumed)
    }

    /// Whatever arrives next, once; empty at the end.
    pub async fn bytes(&mut self) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() && !self.fill().await? {
            return Ok(Vec::new());
        }
        Ok(self.take(self.buffer.len()))
    }

    async fn chunk(&mut self, body: &mut Body) -> io::Result<Option<Vec<u8>>> {
        let Body::Chunked(left) = body else { return Ok(None) };
        if *left == 0 {
            *left = chunk_size(&self.line().await?)?;
        }
        if *left == 0 {
            self.trailer_section().await?;
            *body = Body::Length(0);
            return Ok(None);
        }
        let piece = self.at_most(*left).await?;
        *left -= piece.len() as u64;
        if *left == 0 {
            self.line().await?;
        }
        Ok(Some(piece))
    }

    async fn trailer_section(&mut self) -> io::Result<()> {
        self.trailers.clear();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(());
            }
            self.trailers.extend(field(&line));
        }
    }

    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let mut line = self.take(at + 2);
                line.truncate(at);
                return Ok(line);
            }
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn at_most(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() && !self.fill().await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let length = usize::try_from(limit).map_or(self.buffer.len(), |limit| limit.min(self.buffer.len()));
        Ok(self.take(length))
    }

    async fn fill(&mut self) -> io::Result<bool> {
        self.buffer.reserve(16 * 1024);
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let taken: Vec<u8> = self.buffer.drain(..length).collect();
        let room = REMEMBERED.saturating_sub(self.consumed.len());
        self.consumed.extend_from_slice(&taken[..taken.len().min(room)]);
        taken
    }
}

fn chunk_size(line: &[u8]) -> io::Result<u64> {
    let text = String::from_utf8_lossy(line);
    let digits = text.split(';').next().unwrap_or_default();
    u64::from_str_radix(digits, 16).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("chunk {text:?}")))
}

/// Where `wanted` first stands in `bytes`.
pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// A response with a `Content-Length`, as bytes.
pub fn response(status: &str, fields: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for (name, value) in fields {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

#[tokio::test]
async fn a_reader_separates_messages_and_keeps_their_exact_bytes() {
    let bytes = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=1\r\nabc\r\n0\r\nT: 1\r\n\r\nGET /b";
    let mut reader = Reader::new(&bytes[..]);
    let head = reader.head().await.unwrap().unwrap();
    assert_eq!((head.word(0), head.word(1)), ("POST", "/a"));
    assert_eq!(reader.whole(Body::of_request(&head)).await.unwrap(), b"abc");
    assert_eq!(reader.trailers, [("T".to_owned(), b"1".to_vec())]);
    assert_eq!(reader.take_consumed(), bytes[..bytes.len() - 6]);
    assert!(reader.head().await.unwrap().is_none());
    assert_eq!(reader.rest(), b"GET /b");
}
