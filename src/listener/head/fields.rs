//! The field lines of a head (RFC 9112 section 5), and what they say about the message's framing (section 6).

use super::{is_host, is_token};
use crate::gateway::context::BadHead;
use crate::http_ext::{folds_to, folds_under};
use crate::listener::body::Body;

/// The fields that the listener itself must understand; every other one only has to be well-formed.
#[derive(Clone, Copy)]
enum Known {
    Connection,
    ContentLength,
    Expect,
    Host,
    TransferEncoding,
    Upgrade,
}

const KNOWN: [(&str, Known); 6] = [
    ("connection", Known::Connection),
    ("content-length", Known::ContentLength),
    ("expect", Known::Expect),
    ("host", Known::Host),
    ("transfer-encoding", Known::TransferEncoding),
    ("upgrade", Known::Upgrade),
];

/// What `Connection` never names, folded: each identifies somebody or frames the message.
const END_TO_END: [&str; 7] =
    ["authorization", "content-digest", "content-length", "cookie", "forwarded", "host", "transfer-encoding"];

/// Families of such fields, folded.
const END_TO_END_FAMILIES: [&str; 2] = ["signature", "x-forwarded-"];

/// The longest `Content-Length` that fits every integer an upstream may keep it in.
const MOST_DIGITS: usize = 18;

/// What the field lines said so far.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    content_length: Option<u64>,
    host: Option<&'a [u8]>,
    is_chunked: bool,
    /// There is an `Upgrade` field.
    pub(super) upgrade: bool,
}

impl<'a> Fields<'a> {
    /// Takes one field line, without its CRLF, into account.
    pub(super) fn add(&mut self, line: &'a [u8], relies_on: &dyn Fn(&str) -> bool) -> Result<(), BadHead> {
        let (name, value) = split(line)?;
        let Some((canonical, known)) = KNOWN.iter().find(|(canonical, _)| folds_to(name, canonical)) else {
            return Ok(());
        };
        if !name.eq_ignore_ascii_case(canonical) {
            return Err(BadHead::FieldNameDisguised);
        }
        match known {
            Known::Connection => check_connection(value, relies_on),
            Known::ContentLength => self.set_content_length(value),
            Known::Expect => check_expect(value),
            Known::Host => self.set_host(value),
            Known::TransferEncoding => self.set_transfer_encoding(value),
            Known::Upgrade => {
                self.upgrade = true;
                Ok(())
            }
        }
    }

    /// The one `Host`.
    pub(super) fn host(&self) -> Result<&'a [u8], BadHead> {
        self.host.ok_or(BadHead::HostMissing)
    }

    /// Where the body ends (RFC 9112 section 6.3, without its leniency).
    pub(super) fn body(&self, is_http_10: bool) -> Result<Body, BadHead> {
        match (self.is_chunked, self.content_length) {
            (true, Some(_)) => Err(BadHead::ContentLengthWithTransferEncoding),
            (true, None) if is_http_10 => Err(BadHead::TransferEncodingInHttp10),
            (true, None) if self.upgrade => Err(BadHead::UpgradeWithBody),
            (false, Some(1..)) if self.upgrade => Err(BadHead::UpgradeWithBody),
            (true, None) => Ok(Body::chunked()),
            (false, length) => Ok(Body::length(length.unwrap_or(0))),
        }
    }

    fn set_content_length(&mut self, value: &[u8]) -> Result<(), BadHead> {
        let length = parse_length(after_one_space(value)).ok_or(BadHead::ContentLengthInvalid)?;
        match self.content_length.replace(length) {
            None => Ok(()),
            Some(_) => Err(BadHead::ContentLengthRepeated),
        }
    }

    fn set_host(&mut self, value: &'a [u8]) -> Result<(), BadHead> {
        let host = trimmed(value);
        if !is_host(host) {
            return Err(BadHead::HostInvalid);
        }
        match self.host.replace(host) {
            None => Ok(()),
            Some(_) => Err(BadHead::HostRepeated),
        }
    }

    fn set_transfer_encoding(&mut self, value: &[u8]) -> Result<(), BadHead> {
        let is_repeated = std::mem::replace(&mut self.is_chunked, true);
        if is_repeated || !after_one_space(value).eq_ignore_ascii_case(b"chunked") {
            return Err(BadHead::TransferEncodingUnknown);
        }
        Ok(())
    }
}

fn split(line: &[u8]) -> Result<(&str, &[u8]), BadHead> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(BadHead::FieldFolded);
    }
    let colon = line.iter().position(|byte| *byte == b':').ok_or(BadHead::FieldWithoutColon)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    match std::str::from_utf8(name) {
        Ok(name) if is_token(name.as_bytes()) => Ok((name, value)),
        _ => Err(BadHead::FieldNameInvalid),
    }
}

/// The value of a field that frames the message: what pads it may be read as part of it, so nothing is trimmed.
fn after_one_space(value: &[u8]) -> &[u8] {
    value.strip_prefix(b" ").unwrap_or(value)
}

/// Without OWS (RFC 9110 section 5.6.3): SP and HTAB, nothing else.
fn trimmed(value: &[u8]) -> &[u8] {
    let is_ows = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_ows(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_ows(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

fn parse_length(digits: &[u8]) -> Option<u64> {
    let is_plain = (1..=MOST_DIGITS).contains(&digits.len())
        && digits.iter().all(u8::is_ascii_digit)
        && (digits.len() == 1 || digits[0] != b'0');
    if is_plain { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

fn check_expect(value: &[u8]) -> Result<(), BadHead> {
    let is_known = trimmed(value).eq_ignore_ascii_case(b"100-continue");
    if is_known { Ok(()) } else { Err(BadHead::ExpectationUnknown) }
}

fn check_connection(value: &[u8], relies_on: &dyn Fn(&str) -> bool) -> Result<(), BadHead> {
    let options = value.split(|byte| *byte == b',').map(trimmed).filter(|option| !option.is_empty());
    for option in options {
        let name = std::str::from_utf8(option).map_err(|_| BadHead::ConnectionNamesField)?;
        if !is_token(option) || is_end_to_end(name) || relies_on(name) {
            return Err(BadHead::ConnectionNamesField);
        }
    }
    Ok(())
}

fn is_end_to_end(name: &str) -> bool {
    END_TO_END.iter().any(|field| folds_to(name, field))
        || END_TO_END_FAMILIES.iter().any(|family| folds_under(name, family))
}
