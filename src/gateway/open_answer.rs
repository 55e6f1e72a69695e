//! An answer that may outlast its session: a tunnel, an event stream, a download; and how each of them ends early.
//!
//! The client gets to know: a WebSocket's gets status 1008, an event stream's the end of the answer, after which it
//! asks again and is told. Of everything else it sees that it is incomplete: half a file must not look like a whole one.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, UPGRADE};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::context::Kill;
use super::frames::{CLOSE_POLICY_VIOLATION, Frames};
use crate::session::{Ending, OpenStream, Session as AgentSession, Sessions, Stream};

/// A longer answer may still be on its way when its session ends; a shorter one is in the socket's buffers.
const SHORT: u64 = 64 * 1024;

/// An application that thought for longer than this may answer after the end of the session.
const PROMPT: Duration = Duration::from_secs(1);

/// How long a client may take to read our last words.
const PATIENCE: Duration = Duration::from_secs(1);

/// An answer that ends with its session.
pub(super) struct OpenAnswer {
    manner: Manner,
    ender: Arc<Ender>,
    /// Dropped with the answer: it is not ended any more.
    _open: OpenStream,
}

/// How an answer ends before its time.
#[derive(Debug)]
enum Manner {
    /// With nothing more.
    Cut,
    /// As if it were over.
    EventStream,
    /// With a close frame.
    WebSocket(Frames),
}

/// Ends the request of one answer.
struct Ender {
    kill: Arc<Kill>,
    why: OnceLock<Ending>,
}

impl Stream for Ender {
    fn end(&self, why: Ending) {
        if self.why.set(why).is_err() {
            return;
        }
        self.kill.soft();
        let kill = Arc::clone(&self.kill);
        tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            kill.hard();
        });
    }
}

impl OpenAnswer {
    /// Has the answer of this `head`, which came after `thought`, end with `session`; none where it is over anyway.
    pub(super) fn new(
        head: &ResponseHeader,
        thought: Duration,
        kill: &Arc<Kill>,
        (sessions, session): (&Sessions, &Arc<AgentSession>),
    ) -> Option<Self> {
        let manner = manner(head, thought)?;
        let ender = Arc::new(Ender { kill: Arc::clone(kill), why: OnceLock::new() });
        let _open = sessions.watch(session, Arc::clone(&ender) as Arc<dyn Stream>);
        Some(Self { manner, ender, _open })
    }

    /// Why it ends before its time, where it does.
    #[must_use]
    pub(super) fn ending(&self) -> Option<Ending> {
        self.ender.why.get().copied()
    }

    /// Lets a piece of the answer pass, or what still may.
    ///
    /// # Errors
    ///
    /// The answer is cut here: its end, where that comes next, would make it look whole.
    pub(super) fn pass(&mut self, piece: &mut Option<Bytes>) -> Result<()> {
        let is_ending = self.ending().is_some();
        match (&mut self.manner, &mut *piece) {
            (Manner::Cut, _) if is_ending => {
                return Error::e_explain(ErrorType::InternalError, "the session has ended");
            }
            (Manner::WebSocket(frames), Some(bytes)) if is_ending => bytes.truncate(frames.finish_frame(bytes)),
            (Manner::WebSocket(frames), Some(bytes)) => frames.advance(bytes),
            (Manner::WebSocket(_), None) => {}
            (Manner::EventStream, _) if is_ending => *piece = None,
            (Manner::Cut | Manner::EventStream, _) => {}
        }
        if let Manner::WebSocket(frames) = &self.manner {
            self.ender.kill.hold(!frames.at_boundary());
        }
        Ok(())
    }

    /// Tells the client that nothing more comes.
    ///
    /// # Errors
    ///
    /// The client is gone.
    pub(super) async fn last_words(&self, session: &mut Session) -> Result<()> {
        match &self.manner {
            Manner::WebSocket(frames) if frames.at_boundary() && !frames.are_closed() => {
                session.write_response_body(Some(Bytes::from_static(CLOSE_POLICY_VIOLATION)), true).await
            }
            Manner::EventStream => session.write_response_body(None, true).await,
            Manner::Cut | Manner::WebSocket(_) => Ok(()),
        }
    }
}

fn manner(head: &ResponseHeader, thought: Duration) -> Option<Manner> {
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        let is_websocket = text(UPGRADE).is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"));
        return Some(if is_websocket { Manner::WebSocket(Frames::default()) } else { Manner::Cut });
    }
    let length = text(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length <= SHORT) && thought <= PROMPT {
        return None;
    }
    let media_type = text(CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default();
    let is_event_stream = length.is_none() && media_type.trim().eq_ignore_ascii_case("text/event-stream");
    Some(if is_event_stream { Manner::EventStream } else { Manner::Cut })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(status: u16, fields: &[(&'static str, &str)], thought: u64) -> String {
        let mut head = ResponseHeader::build(status, None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        format!("{:?}", manner(&head, Duration::from_millis(thought)))
    }

    #[test]
    fn only_what_may_outlast_its_session_is_watched() {
        assert_eq!(shape(200, &[("content-length", "65536")], 10), "None");
        assert_eq!(shape(200, &[("content-length", "65537")], 10), "Some(Cut)");
        assert_eq!(shape(200, &[("content-length", "3")], 1001), "Some(Cut)");
        assert_eq!(shape(200, &[("transfer-encoding", "chunked")], 10), "Some(Cut)");
        assert_eq!(shape(200, &[("content-type", "Text/Event-Stream; charset=utf-8")], 10), "Some(EventStream)");
        assert!(shape(101, &[("upgrade", "WebSocket")], 10).starts_with("Some(WebSocket("));
        assert_eq!(shape(101, &[("upgrade", "h2c")], 10), "Some(Cut)");
    }
}
