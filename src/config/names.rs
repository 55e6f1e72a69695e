//! Header names that an application cannot be given an identity under: HTTP, the gateway or the browser needs them.

use crate::http_ext::folded_name;

/// Names in lower case, as an upstream might fold them (see [`folded_name`]).
const TAKEN: [&str; 44] = [
    "accept",
    "age",
    "allow",
    "alt-svc",
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "cookie2",
    "date",
    "dnt",
    "etag",
    "expect",
    "expires",
    "forwarded",
    "from",
    "host",
    "http2-settings",
    "keep-alive",
    "last-event-id",
    "last-modified",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "prefer",
    "priority",
    "proxy",
    "range",
    "referer",
    "retry-after",
    "server",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "vary",
    "via",
    "warning",
];
/// Every name that starts with one of these.
const FAMILIES: [&str; 12] = [
    "accept-",
    "access-control-",
    "content-",
    "if-",
    "proxy-",
    "sec-",
    "signature",
    "want-",
    "x-forwarded-",
    "x-http-method",
    "x-original-",
    "x-rewrite-",
];
/// What proxies write, and applications believe.
const WRITTEN_BY_PROXIES: [&str; 3] = ["x-real-ip", "x-request-id", "x-requested-with"];

/// Whether `name`, in any spelling that an upstream might fold together, has a meaning of its own.
pub(super) fn is_taken(name: &str) -> bool {
    let folded = folded_name(name);
    TAKEN.contains(&folded.as_str())
        || WRITTEN_BY_PROXIES.contains(&folded.as_str())
        || FAMILIES.iter().any(|family| folded.starts_with(family))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_meaning_are_taken_in_every_spelling() {
        for name in [
            "Host",
            "COOKIE",
            "Authorization",
            "Connection",
            "Content-Length",
            "Content_Type",
            "Forwarded",
            "X-Forwarded-For",
            "X_Forwarded_Proto",
            "Signature",
            "Signature-Input",
            "Transfer-Encoding",
            "Proxy",
            "Sec-Fetch-Site",
        ] {
            assert!(is_taken(name), "{name}");
        }
        for name in ["Remote-User", "X-User", "SSL_CLIENT_S_DN", "Hosts", "X-WEBAUTH-USER"] {
            assert!(!is_taken(name), "{name}");
        }
    }
}
