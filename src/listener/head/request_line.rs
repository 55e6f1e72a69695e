//! The request line (RFC 9112 section 3): `method SP request-target SP HTTP-version`.

use super::{is_host, is_token};
use crate::gateway::context::BadHead;

/// A request line that can be passed on byte by byte.
#[derive(Debug)]
pub(super) struct RequestLine<'a> {
    /// A token, neither `CONNECT` nor `TRACE`.
    pub(super) method: &'a [u8],
    /// What is asked for.
    pub(super) target: Target<'a>,
    /// The target's length in bytes, as it stands in the line.
    pub(super) target_length: usize,
    /// HTTP/1.0 rather than HTTP/1.1.
    pub(super) is_http_10: bool,
}

/// A request target, by its form (RFC 9112 section 3.2).
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Target<'a> {
    /// absolute-form
    Absolute {
        /// `host[:port]`, without userinfo.
        authority: &'a [u8],
        /// The path and query: empty, or it starts with `/` or `?`.
        rest: &'a [u8],
    },
    /// asterisk-form
    Asterisk,
    /// origin-form
    Origin,
}

impl<'a> RequestLine<'a> {
    /// Reads the line without its CRLF.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, BadHead> {
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(BadHead::RequestLineMalformed);
        };
        let is_http_10 = parse_version(version)?;
        check_method(method)?;
        let target_length = target.len();
        Ok(Self { method, target: parse_target(method, target)?, target_length, is_http_10 })
    }
}

fn parse_version(version: &[u8]) -> Result<bool, BadHead> {
    match version {
        b"HTTP/1.0" => Ok(true),
        b"HTTP/1.1" => Ok(false),
        _ if version.starts_with(b"HTTP/") => Err(BadHead::VersionNotSupported),
        _ => Err(BadHead::RequestLineMalformed),
    }
}

/// `TRACE` would echo cookies; `CONNECT` would make us an open door. Some upstreams do not look at the case.
fn check_method(method: &[u8]) -> Result<(), BadHead> {
    if !is_token(method) {
        return Err(BadHead::MethodInvalid);
    }
    let is_forbidden = method.eq_ignore_ascii_case(b"CONNECT") || method.eq_ignore_ascii_case(b"TRACE");
    if is_forbidden { Err(BadHead::MethodNotAllowed) } else { Ok(()) }
}

fn parse_target<'a>(method: &[u8], target: &'a [u8]) -> Result<Target<'a>, BadHead> {
    if target.starts_with(b"/") {
        return check_path_and_query(target).map(|()| Target::Origin);
    }
    if target == b"*" && method == b"OPTIONS" {
        return Ok(Target::Asterisk);
    }
    let rest = after_scheme(target).ok_or(BadHead::TargetInvalid)?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    if !is_host(authority) {
        return Err(BadHead::HostInvalid);
    }
    check_path_and_query(rest).map(|()| Target::Absolute { authority, rest })
}

fn after_scheme(target: &[u8]) -> Option<&[u8]> {
    let after = |scheme: &[u8]| {
        target
            .split_at_checked(scheme.len())
            .filter(|(start, _)| start.eq_ignore_ascii_case(scheme))
            .map(|(_, rest)| rest)
    };
    after(b"http://").or_else(|| after(b"https://"))
}

/// What a browser sends as it is, which is more than RFC 3986 allows: old applications' links hold `|`, `{` and `[`,
/// in a query `\` too. `http::Uri` keeps all of it, so the upstream gets the bytes that came.
fn check_path_and_query(target: &[u8]) -> Result<(), BadHead> {
    let mut bytes = target.iter().copied();
    let path_is_legal = bytes.by_ref().take_while(|byte| *byte != b'?').all(is_path_byte);
    if path_is_legal && bytes.all(is_query_byte) {
        return Ok(());
    }
    if target.contains(&b'#') { Err(BadHead::TargetFragment) } else { Err(BadHead::TargetIllegalByte) }
}

const fn is_path_byte(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && !matches!(byte, b'"' | b'#' | b'<' | b'>' | b'?' | b'\\' | b'`')
}

const fn is_query_byte(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && !matches!(byte, b'"' | b'#' | b'<' | b'>')
}

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;

    use super::*;

    fn parse(line: &str) -> Result<Target<'_>, BadHead> {
        RequestLine::parse(line.as_bytes()).map(|line| line.target)
    }

    #[test]
    fn the_forms_of_a_target() {
        assert_eq!(parse("GET /a?b HTTP/1.1"), Ok(Target::Origin));
        assert_eq!(parse("GET //a//b HTTP/1.0"), Ok(Target::Origin));
        assert_eq!(parse("OPTIONS * HTTP/1.1"), Ok(Target::Asterisk));
        assert_eq!(parse("GET * HTTP/1.1"), Err(BadHead::TargetInvalid));
        assert_eq!(parse("GET  HTTP/1.1"), Err(BadHead::TargetInvalid));
        assert_eq!(parse("GET http://a/b HTTP/1.1"), Ok(Target::Absolute { authority: b"a", rest: b"/b" }));
    }

    #[test]
    fn a_malformed_line_is_refused() {
        for (line, bad) in [
            ("", BadHead::RequestLineMalformed),
            ("GET /", BadHead::RequestLineMalformed),
            ("GET\t/ HTTP/1.1", BadHead::RequestLineMalformed),
            ("GET  / HTTP/1.1", BadHead::RequestLineMalformed),
            ("GET / HTTP/1.1 ", BadHead::RequestLineMalformed),
            (" GET / HTTP/1.1", BadHead::RequestLineMalformed),
            ("GE T / HTTP/1.1", BadHead::RequestLineMalformed),
            ("GET / http/1.1", BadHead::RequestLineMalformed),
            ("GET / HTTP/1.2", BadHead::VersionNotSupported),
            ("GET / HTTP/0.9", BadHead::VersionNotSupported),
            ("GET / HTTP/2.0", BadHead::VersionNotSupported),
            ("GET / HTTP/1.1x", BadHead::VersionNotSupported),
            ("PRI * HTTP/2.0", BadHead::VersionNotSupported),
            ("G@T / HTTP/1.1", BadHead::MethodInvalid),
            ("CONNECT a:443 HTTP/1.1", BadHead::MethodNotAllowed),
            ("connect / HTTP/1.1", BadHead::MethodNotAllowed),
            ("TRACE / HTTP/1.1", BadHead::MethodNotAllowed),
            ("GET /#a HTTP/1.1", BadHead::TargetFragment),
            ("GET /?a#b HTTP/1.1", BadHead::TargetFragment),
            ("GET /\tb HTTP/1.1", BadHead::TargetIllegalByte),
            ("GET /é HTTP/1.1", BadHead::TargetIllegalByte),
        ] {
            assert_eq!(parse(line), Err(bad), "{line:?}");
        }
    }

    #[test]
    fn a_target_passes_only_where_pingora_keeps_its_bytes() {
        for byte in (0..=0x7f).filter(|byte| !matches!(byte, b'#' | b'?')) {
            let path = [b'/', byte, b'a'];
            let query = [b'/', b'?', byte, b'a'];
            for target in [&path[..], &query] {
                let kept = PathAndQuery::try_from(target).is_ok();
                assert!(kept || check_path_and_query(target).is_err(), "{target:?}");
            }
        }
        for target in [&b"/a?b?c"[..], b"/a|b/[c]/{d}", b"/a?b=\\&c=`{}`"] {
            assert!(check_path_and_query(target).is_ok(), "{target:?}");
        }
        for target in [&b"/\"a\""[..], b"/..\\a", b"/a?\"b\""] {
            assert_eq!(check_path_and_query(target), Err(BadHead::TargetIllegalByte), "{target:?}");
        }
    }
}
