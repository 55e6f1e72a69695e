//! Judges a message head before pingora sees it (RFC 9112 sections 2 to 7).
//!
//! A proxy is attacked where two readers of the same bytes disagree. So nothing is repaired here: what the standard
//! lets a lenient reader accept (bare LF, folded lines, both framing fields, repeated `Content-Length`) is refused.

use bytes::BytesMut;

use super::Limits;
use super::body::Body;
use crate::gateway::context::BadHead;
use crate::http_ext::split;

mod fields;
mod request_line;

use fields::Fields;
use request_line::{RequestLine, Target};

/// Looks for the end of a head while it arrives, so that a hopeless one is refused at once.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// Bytes that need no second look.
    scanned: usize,
    /// Where the line under way starts.
    line_start: usize,
    /// Complete lines so far.
    lines: usize,
}

impl Scanner {
    /// The length of the head once it is complete; `bytes` is everything that arrived so far.
    pub(super) fn advance(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, BadHead> {
        while let Some(at) = next_control(bytes, self.scanned) {
            match (bytes[at], bytes.get(at + 1)) {
                (b'\r', None) => {
                    self.scanned = at;
                    break;
                }
                (b'\r', Some(b'\n')) if at == self.line_start => return self.end(at + 2, limits),
                (b'\r', Some(b'\n')) => self.end_line(at, limits)?,
                (b'\r', Some(_)) => return Err(BadHead::BareCarriageReturn),
                (b'\n', _) => return Err(BadHead::BareLineFeed),
                _ => return Err(BadHead::ControlByte),
            }
        }
        self.check_unfinished(bytes.len(), limits)?;
        Ok(None)
    }

    fn end(&self, length: usize, limits: &Limits) -> Result<Option<usize>, BadHead> {
        match self.lines {
            0 => Err(BadHead::LeadingEmptyLine),
            _ if length > limits.max_head => Err(BadHead::HeadTooLarge),
            _ => Ok(Some(length)),
        }
    }

    fn end_line(&mut self, at: usize, limits: &Limits) -> Result<(), BadHead> {
        if self.lines == 0 && at > limits.max_request_line {
            return Err(BadHead::RequestLineTooLong);
        }
        // The lines before this one are the request line and so many fields.
        if self.lines > limits.max_headers {
            return Err(BadHead::TooManyFields);
        }
        self.lines += 1;
        self.line_start = at + 2;
        self.scanned = at + 2;
        Ok(())
    }

    fn check_unfinished(&self, length: usize, limits: &Limits) -> Result<(), BadHead> {
        if self.lines == 0 && length > limits.max_request_line {
            return Err(BadHead::RequestLineTooLong);
        }
        if length > limits.max_head { Err(BadHead::HeadTooLarge) } else { Ok(()) }
    }
}

fn next_control(bytes: &[u8], from: usize) -> Option<usize> {
    let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    let rest = &bytes[from..];
    // Whole blocks first: looked at without a way out, one is a few vector instructions.
    let is_clean = |block: &&[u8]| !block.iter().fold(false, |found, byte| found | is_control(byte));
    let clean = rest.chunks_exact(BLOCK).take_while(is_clean).count() * BLOCK;
    rest[clean..].iter().position(is_control).map(|offset| from + clean + offset)
}

/// Bytes that are looked at together.
const BLOCK: usize = 64;

/// What a good head says about the rest of its request.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Head {
    /// How far the request reaches beyond its head.
    pub(super) body: Body,
    /// The request asks for another protocol, so the connection may become a tunnel.
    pub(super) upgrade: bool,
    /// The head with its absolute-form target in origin-form, which is what an upstream expects.
    pub(super) rewritten: Option<BytesMut>,
}

impl Head {
    /// Judges a complete head, its empty line included.
    ///
    /// `relies_on` names the fields that `Connection` must not name, beside those that it never may.
    pub(super) fn parse(head: &[u8], relies_on: &dyn Fn(&str) -> bool) -> Result<Self, BadHead> {
        // The scanner saw to it that LF always follows CR.
        let mut lines = split(head, b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let request_line = RequestLine::parse(lines.next().unwrap_or_default())?;
        let mut fields = Fields::default();
        for line in lines.take_while(|line| !line.is_empty()) {
            fields.add(line, relies_on)?;
        }
        let host = fields.host()?;
        Ok(Self {
            body: fields.body(request_line.is_http_10)?,
            upgrade: fields.upgrade,
            rewritten: rewrite(head, &request_line, host)?,
        })
    }
}

/// RFC 9112 section 3.2.2: what follows the authority is the target, which must be the one of `Host`.
fn rewrite(head: &[u8], line: &RequestLine<'_>, host: &[u8]) -> Result<Option<BytesMut>, BadHead> {
    let Target::Absolute { authority, rest } = &line.target else {
        return Ok(None);
    };
    if !authority.eq_ignore_ascii_case(host) {
        return Err(BadHead::HostMismatch);
    }
    let start: &[u8] = match rest.first() {
        Some(b'/') => b"",
        None if line.method == b"OPTIONS" => b"*",
        _ => b"/",
    };
    let target_end = line.method.len() + 1 + line.target_length;
    Ok(Some([line.method, b" ", start, rest, &head[target_end..]].concat().as_slice().into()))
}

/// `tchar` of RFC 9110 section 5.6.2, at least one.
fn is_token(bytes: &[u8]) -> bool {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_tchar)
}

/// Whether `bytes` could be `uri-host [ ":" port ]` (RFC 9110 section 7.2) of any site we might serve.
///
/// Userinfo (`@`), percent-encoding and the sub-delimiters of RFC 3986 have no use there but to confuse.
fn is_host(bytes: &[u8]) -> bool {
    let is_host_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_host_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(bytes: &[u8]) -> Result<Option<usize>, BadHead> {
        Scanner::default().advance(bytes, &Limits::default())
    }

    fn parse(head: &str) -> Result<Head, BadHead> {
        Head::parse(head.as_bytes(), &|name| name.to_ascii_lowercase().starts_with("x-agent-"))
    }

    fn with_fields(fields: &str) -> Result<Head, BadHead> {
        parse(&format!("POST /a HTTP/1.1\r\nHost: paie.example\r\n{fields}\r\n"))
    }

    #[test]
    fn a_head_ends_at_its_empty_line_wherever_the_reads_fall() {
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\0\n";
        let end = request.len() - 6;
        for first in 0..request.len() {
            let mut scanner = Scanner::default();
            let early = scanner.advance(&request[..first], &Limits::default());
            assert_eq!(early, Ok((first >= end).then_some(end)), "{first}");
            if first < end {
                assert_eq!(scanner.advance(request, &Limits::default()), Ok(Some(end)), "{first}");
            }
        }
    }

    #[test]
    fn stray_line_ends_and_controls_are_refused_as_they_arrive() {
        assert_eq!(scan(b"GET / HTTP/1.1\nHost"), Err(BadHead::BareLineFeed));
        assert_eq!(scan(b"GET / HTTP/1.1\r\nHost: a\n"), Err(BadHead::BareLineFeed));
        assert_eq!(scan(b"GET / HTTP/1.1\rHost"), Err(BadHead::BareCarriageReturn));
        assert_eq!(scan(b"GET / HTTP/1.1\r\n\rX"), Err(BadHead::BareCarriageReturn));
        assert_eq!(scan(b"\r\nGET / HTTP/1.1\r\n"), Err(BadHead::LeadingEmptyLine));
        assert_eq!(scan(b"\x16\x03\x01"), Err(BadHead::ControlByte));
        assert_eq!(scan(b"GET /\0"), Err(BadHead::ControlByte));
        assert_eq!(scan(b"GET / HTTP/1.1\r\nA: \x7f"), Err(BadHead::ControlByte));
        assert_eq!(scan(b"GET / HTTP/1.1\r\nA: \x0b"), Err(BadHead::ControlByte));
        assert_eq!(scan(b"GET / HTTP/1.1\r\nA: \t\xff"), Ok(None));
    }

    #[test]
    fn each_cap_holds_at_its_own_byte() {
        let limits = Limits { max_head: 64, max_headers: 2, max_request_line: 20, ..Limits::default() };
        let scan = |bytes: &[u8]| Scanner::default().advance(bytes, &limits);
        assert_eq!(scan(b"GET /345678 HTTP/1.1"), Ok(None));
        assert_eq!(scan(b"GET /3456789 HTTP/1.1"), Err(BadHead::RequestLineTooLong));
        assert_eq!(scan(b"GET /3456789 HTTP/1.1\r\n"), Err(BadHead::RequestLineTooLong));
        assert_eq!(scan(b"GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\n\r\n"), Ok(Some(30)));
        assert_eq!(scan(b"GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n"), Err(BadHead::TooManyFields));
        let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(41));
        assert_eq!(scan(long.as_bytes()), Ok(Some(64)));
        let longer = long.replace("A: ", "A: a");
        assert_eq!(scan(longer.as_bytes()), Err(BadHead::HeadTooLarge));
        assert_eq!(scan(&longer.as_bytes()[..65]), Err(BadHead::HeadTooLarge));
    }

    #[test]
    fn what_follows_a_head_does_not_count_for_it() {
        let limits = Limits { max_head: 32, ..Limits::default() };
        let request = [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".as_slice(), &[b'x'; 100]].concat();
        assert_eq!(Scanner::default().advance(&request, &limits), Ok(Some(27)));
    }

    #[test]
    fn the_framing_is_told() {
        assert_eq!(with_fields("").unwrap().body, Body::length(0));
        assert_eq!(with_fields("Content-Length: 5\r\n").unwrap().body, Body::length(5));
        assert_eq!(with_fields("Transfer-Encoding: Chunked\r\n").unwrap().body, Body::chunked());
        let upgrade = with_fields("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n").unwrap();
        assert!(upgrade.upgrade);
        assert_eq!(upgrade.body, Body::length(0));
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        for value in
            ["5, 5", "5, 6", "+5", "05", "00", "0x5", "5 ", "-0", "1e1", "", "18446744073709551616", "\t5", "  5"]
        {
            let fields = format!("Content-Length: {value}\r\n");
            assert_eq!(with_fields(&fields), Err(BadHead::ContentLengthInvalid), "{value:?}");
        }
        for (fields, bad) in [
            ("Content-Length: 5\r\nContent-Length: 5\r\n", BadHead::ContentLengthRepeated),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", BadHead::ContentLengthRepeated),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", BadHead::ContentLengthWithTransferEncoding),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", BadHead::ContentLengthWithTransferEncoding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", BadHead::TransferEncodingUnknown),
            ("Transfer_Encoding: chunked\r\n", BadHead::FieldNameDisguised),
            ("Content.Length: 5\r\n", BadHead::FieldNameDisguised),
            ("Upgrade: websocket\r\nContent-Length: 1\r\n", BadHead::UpgradeWithBody),
            ("Upgrade: websocket\r\nTransfer-Encoding: chunked\r\n", BadHead::UpgradeWithBody),
            ("Expect: 200-ok\r\n", BadHead::ExpectationUnknown),
        ] {
            assert_eq!(with_fields(fields), Err(bad), "{fields:?}");
        }
    }

    #[test]
    fn only_the_one_transfer_coding_passes() {
        for value in [
            "chunked, identity",
            "identity",
            "xchunked",
            "chunked, chunked",
            ",chunked",
            "chunked,",
            "chunked;x=1",
            "\tchunked",
            "chunked ",
            "gzip, chunked",
            "",
        ] {
            let fields = format!("Transfer-Encoding: {value}\r\n");
            assert_eq!(with_fields(&fields), Err(BadHead::TransferEncodingUnknown), "{value:?}");
        }
        let http_10 = "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(parse(http_10), Err(BadHead::TransferEncodingInHttp10));
    }

    #[test]
    fn malformed_fields_are_refused() {
        for (fields, bad) in [
            (" A: 1\r\n", BadHead::FieldFolded),
            ("A: 1\r\n\tfolded\r\n", BadHead::FieldFolded),
            ("A : 1\r\n", BadHead::FieldNameInvalid),
            (": 1\r\n", BadHead::FieldNameInvalid),
            ("A(: 1\r\n", BadHead::FieldNameInvalid),
            ("É: 1\r\n", BadHead::FieldNameInvalid),
            ("A\r\n", BadHead::FieldWithoutColon),
            ("Transfer-Encoding : chunked\r\n", BadHead::FieldNameInvalid),
        ] {
            assert_eq!(with_fields(fields), Err(bad), "{fields:?}");
        }
        assert!(with_fields("A:\r\nB:x\r\nC: \té\r\nD_d: ok\r\nX-Raw: \u{80}\r\n").is_ok());
    }

    #[test]
    fn one_host_and_a_plain_one() {
        for (head, bad) in [
            ("GET / HTTP/1.1\r\n\r\n", BadHead::HostMissing),
            ("GET / HTTP/1.0\r\n\r\n", BadHead::HostMissing),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", BadHead::HostRepeated),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", BadHead::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", BadHead::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", BadHead::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: é\r\n\r\n", BadHead::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", BadHead::HostInvalid),
        ] {
            assert_eq!(parse(head), Err(bad), "{head:?}");
        }
        assert!(parse("GET / HTTP/1.0\r\nHost: [::1]:8080\r\n\r\n").is_ok());
    }

    #[test]
    fn connection_must_not_name_what_identifies_or_frames() {
        for option in [
            "Cookie",
            "close, cookie",
            "Authorization",
            "Content-Length",
            "transfer-encoding",
            "Host",
            "Forwarded",
            "X-Forwarded-For",
            "x_forwarded_proto",
            "Signature",
            "Signature-Input",
            "Content-Digest",
            "X-Agent-Email",
            "keep-alive,X-AGENT-SUB",
            "no token",
        ] {
            let fields = format!("Connection: {option}\r\n");
            assert_eq!(with_fields(&fields), Err(BadHead::ConnectionNamesField), "{option:?}");
        }
        for option in ["close", "keep-alive, Upgrade", "TE", "HTTP2-Settings", "", "keep-alive, ,"] {
            assert!(with_fields(&format!("Connection: {option}\r\n")).is_ok(), "{option:?}");
        }
        assert!(with_fields("Connection: close\r\nConnection: Cookie\r\n").is_err());
    }

    #[test]
    fn an_absolute_form_target_becomes_origin_form() {
        for (target, expected) in [
            ("http://paie.example/a?b=http://c/", "GET /a?b=http://c/ HTTP/1.1\r\nHost: Paie.example\r\nA: 1\r\n\r\n"),
            ("HTTPS://paie.example", "GET / HTTP/1.1\r\nHost: Paie.example\r\nA: 1\r\n\r\n"),
            ("http://paie.example?q", "GET /?q HTTP/1.1\r\nHost: Paie.example\r\nA: 1\r\n\r\n"),
        ] {
            let head = parse(&format!("GET {target} HTTP/1.1\r\nHost: Paie.example\r\nA: 1\r\n\r\n")).unwrap();
            assert_eq!(head.rewritten.unwrap(), expected.as_bytes());
        }
        let options = parse("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(options.rewritten.unwrap(), b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".as_slice());
        assert!(with_fields("").unwrap().rewritten.is_none());
    }

    #[test]
    fn an_absolute_form_target_of_another_authority_is_refused() {
        for (target, bad) in [
            ("http://other/", BadHead::HostMismatch),
            ("http://a:80/", BadHead::HostMismatch),
            ("http://u@a/", BadHead::HostInvalid),
            ("http:///a", BadHead::HostInvalid),
            ("http://a\\b/", BadHead::HostInvalid),
            ("ftp://a/", BadHead::TargetInvalid),
            ("http:/a", BadHead::TargetInvalid),
            ("a/b", BadHead::TargetInvalid),
            ("?a", BadHead::TargetInvalid),
        ] {
            assert_eq!(parse(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")), Err(bad), "{target}");
        }
    }
}
