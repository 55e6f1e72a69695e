//! The authority that agents see (RFC 9110 section 7.2): configuration for a route, and `Host` for a request.

use std::fmt;
use std::str::FromStr;

/// The scheme that agents see: configuration, never request data.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    #[default]
    Https,
}

impl Scheme {
    /// `http` or `https`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A host, lower case and without a trailing dot, and its port where it has one.
///
/// Whether a port is the default one depends on the scheme: see [`Authority::normalized`].
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Authority {
    text: String,
}

/// Why a text is no authority.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AuthorityError {
    /// Nothing is written.
    #[error("an authority is not empty")]
    Empty,
    /// The host is no name and no address.
    #[error("a host holds letters, digits, '-', '.' and '_' only, or is an IPv6 address in brackets")]
    Host,
    /// A scheme, or a path, is written too.
    #[error("an authority is a host and, where agents see one, a port: no scheme, no path")]
    NotAlone,
    /// The port is no port.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// More than 255 bytes.
    #[error("an authority is longer than 255 bytes")]
    TooLong,
}

impl Authority {
    /// The same authority without the port that `scheme` implies.
    #[must_use]
    pub fn normalized(&self, scheme: Scheme) -> Self {
        match self.port() {
            Some(port) if port == scheme.default_port() => Self { text: self.host().to_owned() },
            _ => self.clone(),
        }
    }

    /// As it is written in a URI and in `Host`: `host` or `host:port`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host without the port; an IPv6 address keeps its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.port_separator().map_or(self.text.as_str(), |at| &self.text[..at])
    }

    /// The port, where one is written.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port_separator().and_then(|at| self.text[at + 1..].parse().ok())
    }

    /// Whether the host names this machine: `localhost`, `*.localhost`, 127.0.0.0/8 or `[::1]`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost"
            || host.ends_with(".localhost")
            || host == "[::1]"
            || host.parse().is_ok_and(|ip: std::net::Ipv4Addr| ip.is_loopback())
    }

    fn port_separator(&self) -> Option<usize> {
        self.text.rfind(':').filter(|at| !self.text[*at..].contains(']'))
    }
}

impl FromStr for Authority {
    type Err = AuthorityError;

    fn from_str(text: &str) -> Result<Self, AuthorityError> {
        if text.is_empty() {
            return Err(AuthorityError::Empty);
        }
        if text.contains('/') {
            return Err(AuthorityError::NotAlone);
        }
        if text.len() > 255 {
            return Err(AuthorityError::TooLong);
        }
        let (host, port) = match text.rfind(':') {
            Some(at) if !text[at..].contains(']') => (&text[..at], Some(&text[at + 1..])),
            _ => (text, None),
        };
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if !is_host(&host) {
            return Err(AuthorityError::Host);
        }
        match port.map(parse_port) {
            None => Ok(Self { text: host }),
            Some(Some(port)) => Ok(Self { text: format!("{host}:{port}") }),
            Some(None) => Err(AuthorityError::Port),
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !host.is_empty()
        && host.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        })
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok().filter(|port| *port != 0) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, AuthorityError> {
        text.parse::<Authority>().map(|authority| authority.normalized(Scheme::Https).to_string())
    }

    #[test]
    fn case_trailing_dot_and_default_port_make_no_other_authority() {
        for spelling in
            ["paie.example.fr", "PAIE.example.fr", "paie.example.fr.", "paie.example.fr:443", "Paie.Example.fr.:0443"]
        {
            assert_eq!(parsed(spelling).as_deref(), Ok("paie.example.fr"));
        }
        assert_eq!(parsed("paie.example.fr:8443").as_deref(), Ok("paie.example.fr:8443"));
        assert_eq!(parsed("[::1]:443").as_deref(), Ok("[::1]"));
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        assert_eq!(parsed(""), Err(AuthorityError::Empty));
        for text in ["https://a.fr", "a.fr/", "a/b"] {
            assert_eq!(parsed(text), Err(AuthorityError::NotAlone), "{text}");
        }
        for host in ["a b", "a@b", "..", "a..b", "é.fr", "[::1", "[x]", ":80"] {
            assert_eq!(parsed(host), Err(AuthorityError::Host), "{host}");
        }
        for port in ["a:", "a:0", "a:+1", "a:65536", "a:http"] {
            assert_eq!(parsed(port), Err(AuthorityError::Port), "{port}");
        }
    }

    #[test]
    fn loopback_is_recognised() {
        for (host, expected) in [
            ("localhost:8080", true),
            ("127.0.0.2", true),
            ("[::1]:1", true),
            ("a.localhost", true),
            ("localhost.fr", false),
        ] {
            assert_eq!(host.parse::<Authority>().unwrap().is_loopback(), expected, "{host}");
        }
    }
}
