//! What outlasts a request and must not outlast its session: tunnels, event streams, long downloads.
//!
//! An ordinary answer is over before anybody could end it, and is not kept here. An open stream is no activity: it
//! neither prolongs a session nor ends with its idle limit; a logout, a revocation and the absolute limit end it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Session;

/// Why a stream ends before its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// The session reached its absolute limit.
    Expired,
    /// The agent logged out here, or logged in anew.
    LoggedOut,
    /// The session was ended from elsewhere.
    Revoked,
}

impl Ending {
    /// The stable code of the access line.
    #[must_use]
    pub const fn reason_code(self) -> &'static str {
        match self {
            Self::Expired => "stream_expired",
            Self::LoggedOut => "stream_logged_out",
            Self::Revoked => "stream_revoked",
        }
    }
}

/// What can be told to end. Telling it must not block, and twice must be once.
pub trait Stream: Send + Sync {
    /// Ends it, soon.
    fn end(&self, why: Ending);
}

/// The streams that are open. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    next: u64,
    streams: HashMap<u64, (Arc<Session>, Arc<dyn Stream>)>,
}

impl Streams {
    pub(super) fn add(&self, session: Arc<Session>, stream: Arc<dyn Stream>) -> OpenStream {
        let mut open = self.open();
        let key = open.next;
        open.next += 1;
        open.streams.insert(key, (session, stream));
        OpenStream { all: self.clone(), key }
    }

    /// Ends the streams of the sessions that `has_ended` names.
    pub(super) fn end(&self, why: Ending, has_ended: impl Fn(&Session) -> bool) {
        let ending: Vec<Arc<dyn Stream>> = {
            let open = self.open();
            let ended = open.streams.values().filter(|(session, _)| has_ended(session));
            ended.map(|(_, stream)| Arc::clone(stream)).collect()
        };
        for stream in ending {
            stream.end(why);
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").field("open", &self.open().streams.len()).finish()
    }
}

/// A stream that ends with its session, until this is dropped.
#[derive(Debug)]
#[must_use = "the stream does not end with its session once this is dropped"]
pub struct OpenStream {
    all: Streams,
    key: u64,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.all.open().streams.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;
    use crate::clock::Timestamp;
    use crate::identity::Claims;

    impl Stream for OnceLock<Ending> {
        fn end(&self, why: Ending) {
            let _ = self.set(why);
        }
    }

    fn session(id: u8) -> Arc<Session> {
        Arc::new(Session::new([id; 16], Claims::new("s"), Timestamp::default(), Timestamp::default()))
    }

    #[test]
    fn the_streams_of_one_session_end_and_no_others() {
        let streams = Streams::default();
        let [one, same, other]: [Arc<OnceLock<Ending>>; 3] = Default::default();
        let _open = [(1, &one), (1, &same), (2, &other)].map(|(id, stream)| {
            let stream: Arc<dyn Stream> = Arc::clone(stream) as _;
            streams.add(session(id), stream)
        });
        streams.end(Ending::Revoked, |ended| ended.id() == session(1).id());
        assert_eq!(
            [&one, &same, &other].map(|stream| stream.get().copied()),
            [Some(Ending::Revoked), Some(Ending::Revoked), None]
        );
    }

    #[test]
    fn a_stream_that_is_over_is_forgotten() {
        let streams = Streams::default();
        let stream = Arc::<OnceLock<Ending>>::default();
        drop(streams.add(session(1), Arc::clone(&stream) as _));
        streams.end(Ending::Expired, |_| true);
        assert_eq!(stream.get(), None);
        assert_eq!(Arc::strong_count(&stream), 1);
    }
}
