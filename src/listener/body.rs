//! Where a request ends: its body's last byte (RFC 9112 section 6.3), so that what follows is kept for the next one.

use crate::gateway::context::BadBody;

/// The longest chunk size, in digits: more would overflow.
const MOST_DIGITS: u8 = 15;
/// The most bytes of one chunk's extensions, or of all trailer fields.
const MOST_EXTRA: u16 = 4096;

/// How much of a request is still to come on its connection.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Body(State);

#[derive(Debug, Eq, PartialEq)]
enum State {
    Chunked(Chunk),
    Length(u64),
    Tunnel,
}

/// The part of a chunked body (RFC 9112 section 7.1) that the next byte belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Chunk {
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    Done,
    EndLf,
    Extension {
        size: u64,
        seen: u16,
    },
    /// Nothing that follows can be trusted.
    Malformed,
    Size {
        size: u64,
        digits: u8,
    },
    SizeLf {
        size: u64,
    },
    Trailer {
        seen: u16,
    },
    TrailerLf {
        seen: u16,
    },
    TrailerStart {
        seen: u16,
    },
}

impl Body {
    /// `Transfer-Encoding: chunked`
    pub(super) const fn chunked() -> Self {
        Self(State::Chunked(Chunk::Size { size: 0, digits: 0 }))
    }

    /// `Content-Length: length`, or none at all, which is 0.
    pub(super) const fn length(length: u64) -> Self {
        Self(State::Length(length))
    }

    /// Everything until the connection ends: after a 101.
    pub(super) const fn tunnel() -> Self {
        Self(State::Tunnel)
    }

    /// Whether the end of the connection is not the end of the body.
    pub(super) const fn is_owed(&self) -> bool {
        !self.is_done() && !matches!(self.0, State::Tunnel)
    }

    /// Whether the last byte was seen.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self.0, State::Chunked(Chunk::Done) | State::Length(0))
    }

    /// How many of `bytes`, the next on the connection, belong to this body.
    ///
    /// # Errors
    /// [`BadBody::Malformed`]
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<usize, BadBody> {
        match &mut self.0 {
            State::Chunked(chunk) => chunk.advance(bytes),
            State::Length(left) => Ok(take(left, bytes)),
            State::Tunnel => Ok(bytes.len()),
        }
    }
}

fn take(left: &mut u64, bytes: &[u8]) -> usize {
    let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
    *left -= taken as u64;
    taken
}

impl Chunk {
    fn advance(&mut self, bytes: &[u8]) -> Result<usize, BadBody> {
        let mut used = 0;
        while used < bytes.len() && *self != Self::Done {
            used += match self {
                Self::Data { left } => take(left, &bytes[used..]),
                _ => 1,
            };
            *self = self.after(bytes[used - 1]).unwrap_or(Self::Malformed);
            if *self == Self::Malformed {
                return Err(BadBody::Malformed);
            }
        }
        Ok(used)
    }

    /// The part after this one's `byte`; `None` where the byte has no place there.
    fn after(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Data { left: 0 }, _) => Some(Self::DataCr),
            (Self::Data { .. }, _) => Some(self),
            (Self::DataCr, b'\r') => Some(Self::DataLf),
            (Self::DataLf, b'\n') => Some(Self::Size { size: 0, digits: 0 }),
            (Self::Size { size, digits: 1.. } | Self::Extension { size, .. }, b'\r') => Some(Self::SizeLf { size }),
            (Self::Size { size, digits: 1.. }, b';') => Some(Self::Extension { size, seen: 0 }),
            (Self::Size { size, digits }, _) => Self::size(size, digits, byte),
            (Self::Extension { size, seen }, _) => extra(seen, byte).map(|seen| Self::Extension { size, seen }),
            (Self::SizeLf { size: 0 }, b'\n') => Some(Self::TrailerStart { seen: 0 }),
            (Self::SizeLf { size }, b'\n') => Some(Self::Data { left: size }),
            (Self::TrailerStart { .. }, b'\r') => Some(Self::EndLf),
            (Self::Trailer { seen }, b'\r') => Some(Self::TrailerLf { seen }),
            (Self::TrailerStart { seen } | Self::Trailer { seen }, _) => {
                extra(seen, byte).map(|seen| Self::Trailer { seen })
            }
            (Self::TrailerLf { seen }, b'\n') => Some(Self::TrailerStart { seen }),
            (Self::EndLf, b'\n') => Some(Self::Done),
            _ => None,
        }
    }

    fn size(size: u64, digits: u8, byte: u8) -> Option<Self> {
        let digit = char::from(byte).to_digit(16).filter(|_| digits < MOST_DIGITS)?;
        Some(Self::Size { size: size * 16 + u64::from(digit), digits: digits + 1 })
    }
}

/// One more byte of an extension or a trailer field, if it may stand there.
fn extra(seen: u16, byte: u8) -> Option<u16> {
    let is_legal = seen < MOST_EXTRA && (byte == b'\t' || !byte.is_ascii_control());
    is_legal.then_some(seen + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes belong to the chunked body, told in pieces of `step` bytes.
    fn chunked(bytes: &[u8], step: usize) -> Result<usize, BadBody> {
        let mut body = Body::chunked();
        let mut used = 0;
        for piece in bytes.chunks(step) {
            used += body.advance(piece)?;
        }
        assert!(body.is_done(), "{:?}", String::from_utf8_lossy(bytes));
        Ok(used)
    }

    #[test]
    fn a_known_length_ends_at_its_byte() {
        let mut body = Body::length(5);
        assert_eq!(body.advance(b"abc").unwrap(), 3);
        assert!(!body.is_done());
        assert_eq!(body.advance(b"deGET /").unwrap(), 2);
        assert!(body.is_done());
        assert_eq!(body.advance(b"GET /").unwrap(), 0);
        assert!(Body::length(0).is_done());
    }

    #[test]
    fn a_tunnel_never_ends() {
        let mut body = Body::tunnel();
        assert_eq!(body.advance(b"anything").unwrap(), 8);
        assert!(!body.is_done());
    }

    #[test]
    fn a_chunked_body_ends_after_its_trailers_however_it_is_cut() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "00A;name=\"v\";x\r\n0123456789\r\n1\r\n\n\r\n000\r\n\r\n",
            "1\r\nx\r\n0\r\nA: b\r\nContent-Length: 3\r\n\r\n",
        ] {
            let bytes = format!("{body}GET /next");
            for step in 1..=bytes.len() {
                assert_eq!(chunked(bytes.as_bytes(), step).unwrap(), body.len(), "{body:?} by {step}");
            }
        }
    }

    #[test]
    fn malformed_chunks_are_an_error() {
        for body in [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            "0x1\r\n",
            " 1\r\n",
            "1 \r\n",
            "1\nx",
            "1\r\nxy",
            "1\r\nx\n",
            "1;a\nb",
            "0\r\n\n",
            "0\r\nA: b\n",
            "1000000000000000\r\n",
            "0\r\n\rX",
        ] {
            let mut malformed = Body::chunked();
            assert!(malformed.advance(body.as_bytes()).is_err(), "{body:?}");
            assert!(malformed.advance(b"0\r\n\r\n").is_err(), "it stays so: {body:?}");
        }
        let endless = format!("1;{}", "a".repeat(5000));
        assert!(Body::chunked().advance(endless.as_bytes()).is_err());
        let trailers = format!("0\r\n{}", "A: b\r\n".repeat(2000));
        assert!(Body::chunked().advance(trailers.as_bytes()).is_err());
    }
}
