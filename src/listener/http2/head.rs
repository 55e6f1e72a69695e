//! The head of an HTTP/2 request as HTTP/1.1 has it: what applications get, and what is judged.

use bytes::BytesMut;
use http::HeaderValue;
use http::header::{COOKIE, HOST};
use pingora::http::RequestHeader;

use crate::http_ext::capitalized;

/// The request as HTTP/1.1 has it: with `Host`, its cookies in one field (RFC 9113 sections 8.3.1 and 8.2.3), and its names
/// in the case that HTTP/1.1 clients give them, for applications that look at it. Names that are added later keep theirs.
///
/// # Errors
///
/// None in practice: what is legal in HTTP/2 is legal here.
pub(super) fn to_http1(head: &RequestHeader) -> pingora::Result<RequestHeader> {
    let mut translated = RequestHeader::build(head.method.clone(), b"/", Some(head.headers.len()))?;
    translated.set_uri(head.uri.clone());
    translated.set_version(head.version);
    if let Some(authority) = head.uri.authority() {
        // Where `Host` came too, it is the same: pingora saw to it.
        translated.insert_header("Host", authority.as_str())?;
    }
    for (name, value) in head.headers.iter().filter(|(name, _)| **name != COOKIE) {
        if *name != HOST || head.uri.authority().is_none() {
            translated.append_header(capitalized(name.as_str()), value.clone())?;
        }
    }
    let crumbs: Vec<&[u8]> = head.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if !crumbs.is_empty() {
        translated.insert_header("Cookie", crumbs.join(&b"; "[..]))?;
    }
    Ok(translated)
}

/// The bytes of the head, had it come with HTTP/1.1.
pub(super) fn written(head: &RequestHeader) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(1024);
    let target = match head.raw_path() {
        // `CONNECT` has none.
        b"" => b"*",
        target => target,
    };
    for word in [head.method.as_str().as_bytes(), b" ", target, b" HTTP/1.1\r\n"] {
        bytes.extend_from_slice(word);
    }
    for (name, value) in &head.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(fields: &[(&'static str, &str)]) -> String {
        let uri = "https://paie.example/a?b=%C3%A9".parse().unwrap();
        let mut head = RequestHeader::build("GET", b"/", None).unwrap();
        head.set_uri(uri);
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        String::from_utf8(written(&to_http1(&head).unwrap()).to_vec()).unwrap()
    }

    #[test]
    fn the_host_is_the_authority_and_cookies_are_one_field() {
        let head = translated(&[("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2"), ("host", "paie.example")]);
        assert!(head.starts_with("GET /a?b=%C3%A9 HTTP/1.1\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        let mut fields: Vec<&str> = head.trim_end().lines().skip(1).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["accept: */*", "cookie: a=1; b=2", "host: paie.example"]);
    }
}
