//! The origin of an application: scheme, host and port (RFC 6454 section 4), as `upstream` of a route writes it.

use std::fmt;
use std::str::FromStr;

use crate::route::Scheme;
use crate::route::authority::{Authority, AuthorityError};

/// Where an application listens: `http://10.0.0.11:8080`, `https://paie.internal`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Origin {
    scheme: Scheme,
    authority: Authority,
}

/// Why a text is no origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OriginError {
    /// The host or the port is none.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A path, a query or a fragment follows the authority.
    #[error("an origin ends with its host and port: no path, not even `/`")]
    Path,
    /// Neither `http://` nor `https://` comes first.
    #[error("an origin starts with http:// or https://")]
    Scheme,
    /// A name or a password stands before the host.
    #[error("an origin holds no user name and no password")]
    UserInfo,
}

impl Origin {
    /// How to speak to it.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host: a name, an IPv4 address, or an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, the scheme's own where none is written.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.authority.port().unwrap_or(match self.scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        })
    }

    /// The host, and the port unless it is the scheme's own, as a URI writes them.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let (scheme, rest) = text.split_once("://").ok_or(OriginError::Scheme)?;
        let scheme = parse_scheme(scheme).ok_or(OriginError::Scheme)?;
        if rest.contains(['/', '?', '#']) {
            return Err(OriginError::Path);
        }
        if rest.contains('@') {
            return Err(OriginError::UserInfo);
        }
        Ok(Self { scheme, authority: rest.parse::<Authority>()?.normalized(scheme) })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

fn parse_scheme(text: &str) -> Option<Scheme> {
    [Scheme::Http, Scheme::Https].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Origin, OriginError> {
        text.parse()
    }

    #[test]
    fn the_port_of_the_scheme_is_implied() {
        for (text, host, port, shown) in [
            ("http://10.0.0.11:8080", "10.0.0.11", 8080, "http://10.0.0.11:8080"),
            ("HTTP://App.example:80", "app.example", 80, "http://app.example"),
            ("https://app.example", "app.example", 443, "https://app.example"),
            ("https://[::1]:8443", "::1", 8443, "https://[::1]:8443"),
        ] {
            let origin = parsed(text).unwrap();
            assert_eq!((origin.host(), origin.port(), origin.to_string().as_str()), (host, port, shown), "{text}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_refused() {
        for text in ["http://a/", "http://a/b", "http://a?b", "http://a#b", "https://a:443/"] {
            assert_eq!(parsed(text), Err(OriginError::Path), "{text}");
        }
        for text in ["a:80", "10.0.0.1", "", "ftp://a", "unix:/run/a", "ws://a"] {
            assert_eq!(parsed(text), Err(OriginError::Scheme), "{text}");
        }
        assert_eq!(parsed("http://user:pass@a"), Err(OriginError::UserInfo));
        assert_eq!(parsed("http://a:x"), Err(OriginError::Authority(AuthorityError::Port)));
        assert_eq!(parsed("http://"), Err(OriginError::Authority(AuthorityError::Empty)));
    }
}
