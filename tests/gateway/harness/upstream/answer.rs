//! What an upstream answers.

use std::sync::Arc;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::harness::wire;

/// Sends the further pieces of an answer; dropping it ends the connection.
pub type Feeder = UnboundedSender<Vec<u8>>;

/// The bytes of an answer, when they are written and what follows.
#[derive(Clone, Debug)]
pub struct Answer {
    bytes: Vec<u8>,
    early: bool,
    then: Then,
}

#[derive(Clone, Debug)]
enum Then {
    Close,
    Echo,
    Feed(Arc<Mutex<UnboundedReceiver<Vec<u8>>>>),
    Flood,
    Hold,
    Keep,
}

impl Default for Answer {
    fn default() -> Self {
        Self::text("application")
    }
}

impl Answer {
    /// These very bytes, and the connection stays open for more.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), early: false, then: Then::Keep }
    }

    /// A `200` page.
    pub fn text(body: &str) -> Self {
        Self::with(&[("Content-Type", "text/plain; charset=utf-8")], body)
    }

    /// A `200` page with these fields.
    pub fn with(fields: &[(&str, &str)], body: &str) -> Self {
        Self::bytes(wire::response("200 OK", fields, body))
    }

    /// A redirect.
    pub fn redirect(location: &str) -> Self {
        Self::bytes(wire::response("302 Found", &[("Location", location)], ""))
    }

    /// Nothing: the connection ends.
    pub fn hang_up() -> Self {
        Self::bytes("").then(Then::Close)
    }

    /// Nothing, and the connection stays. With [`Answer::early`] the body of the request is never read.
    pub fn never() -> Self {
        Self::bytes("").then(Then::Hold)
    }

    /// `101 Switching Protocols` of a WebSocket, at once, then every byte back.
    pub fn websocket() -> Self {
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        Self::bytes(head).then(Then::Echo)
    }

    /// This head, then what the feeder sends. Only one request can be answered so.
    pub fn fed(head: &str) -> (Feeder, Self) {
        let (feeder, pieces) = unbounded_channel();
        (feeder, Self::bytes(head).early().then(Then::Feed(Arc::new(Mutex::new(pieces)))))
    }

    /// This head, then bytes without end.
    pub fn flood(head: &str) -> Self {
        Self::bytes(head).then(Then::Flood)
    }

    /// The same, written as soon as the head of the request is there; its body is read afterwards.
    #[must_use]
    pub const fn early(mut self) -> Self {
        self.early = true;
        self
    }

    /// The same, after which the connection ends.
    #[must_use]
    pub fn close(self) -> Self {
        self.then(Then::Close)
    }

    fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }

    pub(super) const fn is_early(&self) -> bool {
        self.early
    }

    pub(super) const fn echoes(&self) -> bool {
        matches!(self.then, Then::Echo)
    }

    pub(super) const fn keeps_connection(&self) -> bool {
        matches!(self.then, Then::Keep)
    }

    /// Writes the answer. Whether the connection still works.
    pub(super) async fn write(&self, out: &mut (impl AsyncWrite + Unpin)) -> bool {
        if !send(out, &self.bytes).await {
            return false;
        }
        match &self.then {
            Then::Close => {
                let _ = out.shutdown().await;
                false
            }
            Then::Feed(pieces) => feed(out, &mut *pieces.lock().await).await,
            Then::Flood => {
                while send(out, &[b'x'; 64 * 1024]).await {}
                false
            }
            Then::Hold => std::future::pending().await,
            Then::Echo | Then::Keep => true,
        }
    }
}

async fn feed(out: &mut (impl AsyncWrite + Unpin), pieces: &mut UnboundedReceiver<Vec<u8>>) -> bool {
    while let Some(piece) = pieces.recv().await {
        if !send(out, &piece).await {
            return false;
        }
    }
    let _ = out.shutdown().await;
    false
}

async fn send(out: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> bool {
    out.write_all(bytes).await.is_ok() && out.flush().await.is_ok()
}
