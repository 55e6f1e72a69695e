//! A URL as an agent sees it in the address bar, taken apart and not tidied up: what a request would say.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// An absolute http or https URL: what a browser sends to get it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PageUrl {
    /// `https` or `http`.
    pub scheme: String,
    /// Host and port, as written.
    pub authority: String,
    /// The path as it goes over the wire; at least `/`.
    pub path: String,
    /// What follows `?`, as it goes over the wire.
    pub query: Option<String>,
}

/// The text is no absolute http or https URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a URL is written in full, such as https://paie.example.gouv.fr/bulletins")]
pub struct NoPageUrl;

/// What browsers encode before they send a path (WHATWG URL, path percent-encode set); `%` stays what it is.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}');

impl FromStr for PageUrl {
    type Err = NoPageUrl;

    fn from_str(text: &str) -> Result<Self, NoPageUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(NoPageUrl)?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        if !matches!(scheme, "http" | "https") || authority.is_empty() || authority.contains('@') {
            return Err(NoPageUrl);
        }
        let encoded = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
        Ok(Self {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            path: if path.is_empty() { "/".to_owned() } else { encoded(path) },
            query: query.map(encoded),
        })
    }
}

impl fmt::Display for PageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path)?;
        self.query.as_ref().map_or(Ok(()), |query| write!(f, "?{query}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_not_tidied_up() {
        for (text, shown) in [
            ("https://a.fr", "https://a.fr/"),
            ("https://a.fr?x", "https://a.fr/?x"),
            ("https://A.fr:443/x/../y//z;a?b=%2f#c", "https://A.fr:443/x/../y//z;a?b=%2f"),
            ("http://[::1]:8080/é à", "http://[::1]:8080/%C3%A9%20%C3%A0"),
        ] {
            assert_eq!(text.parse::<PageUrl>().map(|url| url.to_string()).as_deref(), Ok(shown));
        }
        for text in ["", "/x", "a.fr/x", "ftp://a.fr/", "https:///x", "https://paul@a.fr/", "https://"] {
            assert_eq!(text.parse::<PageUrl>(), Err(NoPageUrl), "{text}");
        }
    }
}
