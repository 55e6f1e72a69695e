//! Why a body is not read to its end (RFC 9112 sections 6, 7.1 and 8).

use std::io;

use http::StatusCode;

/// Why a request's body is not read to its end. Every one of them closes the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadBody {
    /// The client stopped sending before the end that it had promised (RFC 9112 section 8).
    #[error("the request's body ended early")]
    Incomplete,
    /// The chunks are none: nobody can say where the body ends (RFC 9112 section 7.1).
    #[error("the request's chunked body is malformed")]
    Malformed,
    /// The body came more slowly than any honest client sends.
    #[error("the request's body came too slowly")]
    Slow,
}

impl BadBody {
    /// The one that made pingora give up, where one did.
    #[must_use]
    pub fn behind(error: &pingora::Error) -> Option<Self> {
        error.root_cause().downcast_ref::<io::Error>()?.get_ref()?.downcast_ref().copied()
    }

    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Incomplete | Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// The stable name that logs and pages show.
    #[must_use]
    pub const fn reason_code(self) -> &'static str {
        match self {
            Self::Incomplete => "body_incomplete",
            Self::Malformed => "body_malformed",
            Self::Slow => "body_slow",
        }
    }
}

impl From<BadBody> for io::Error {
    fn from(bad: BadBody) -> Self {
        let kind = match bad {
            BadBody::Incomplete => io::ErrorKind::UnexpectedEof,
            BadBody::Malformed => io::ErrorKind::InvalidData,
            BadBody::Slow => io::ErrorKind::TimedOut,
        };
        Self::new(kind, bad)
    }
}

#[cfg(test)]
mod tests {
    use pingora::{Error, ErrorType};

    use super::*;

    #[test]
    fn it_is_found_behind_what_pingora_makes_of_it() {
        for bad in [BadBody::Incomplete, BadBody::Malformed, BadBody::Slow] {
            let read = Error::because(ErrorType::ReadError, "when reading body", io::Error::from(bad));
            let wrapped = Error::because(ErrorType::InternalError, "proxying", read);
            assert_eq!(BadBody::behind(&wrapped), Some(bad));
        }
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(BadBody::behind(&Error::because(ErrorType::ReadError, "when reading body", reset)), None);
        assert_eq!(BadBody::behind(&Error::explain(ErrorType::ReadTimedout, "reading body")), None);
    }
}
