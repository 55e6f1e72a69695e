//! A cookie jar that keeps the rules a browser keeps (RFC 6265bis): the `__Host-` prefix, `Secure`, `Path`, expiry,
//! and the 4096 bytes that a cookie may have.

use portillon::clock::{Clock, Timestamp};
use url::Url;

/// The prefix of every cookie of the gateway.
pub const OWN_PREFIX: &str = "__Host-portillon";

/// A cookie as a browser keeps it.
#[derive(Clone, Debug)]
pub struct Cookie {
    /// The host that set it. No test needs `Domain`.
    pub host: String,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    path: String,
    secure: bool,
    expires: Option<Timestamp>,
    /// The line that set it.
    pub line: String,
}

/// What a browser does with the cookies it gets.
#[derive(Clone, Copy, Debug)]
pub enum Policy {
    /// It keeps all but the session.
    DropSessions,
    /// It keeps them.
    Keep,
    /// It keeps none.
    Refuse,
}

/// The cookies of one browser.
#[derive(Clone, Debug)]
pub struct Jar {
    cookies: Vec<Cookie>,
    clock: Clock,
    /// What the browser does with cookies.
    pub policy: Policy,
    /// Lines that a browser would not have kept, with the reason.
    pub refused: Vec<String>,
}

impl Jar {
    /// An empty jar.
    pub fn new(clock: Clock) -> Self {
        Self { cookies: Vec::new(), clock, policy: Policy::Keep, refused: Vec::new() }
    }

    /// Does what a `Set-Cookie` line in the answer to `url` says.
    pub fn store(&mut self, url: &Url, line: &str) {
        let name = line.split('=').next().unwrap_or_default();
        match self.policy {
            Policy::Keep => {}
            Policy::DropSessions if !is_session(name) => {}
            Policy::DropSessions | Policy::Refuse => return,
        }
        match parse(url, line, self.clock.now()) {
            Err(reason) => self.refused.push(format!("{reason}: {line}")),
            Ok(cookie) => {
                self.cookies.retain(|kept| !kept.is_replaced_by(&cookie));
                self.cookies.push(cookie);
                self.drop_expired();
            }
        }
    }

    /// The `Cookie` field of a request to `url`.
    pub fn header(&mut self, url: &Url) -> Option<String> {
        self.drop_expired();
        let sent: Vec<String> = self
            .cookies
            .iter()
            .filter(|cookie| cookie.goes_to(url))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!sent.is_empty()).then(|| sent.join("; "))
    }

    /// The cookies of `host`.
    pub fn of(&self, host: &str) -> Vec<&Cookie> {
        self.cookies.iter().filter(|cookie| cookie.host == host && !cookie.is_expired(self.clock.now())).collect()
    }

    /// The session cookie of `host` and its further chunks, in order.
    pub fn session(&self, host: &str) -> Vec<&Cookie> {
        let mut chunks: Vec<&Cookie> = self.of(host).into_iter().filter(|cookie| is_session(&cookie.name)).collect();
        chunks.sort_by(|a, b| a.name.cmp(&b.name));
        chunks
    }

    /// The login cookies of `host`, one per attempt.
    pub fn logins(&self, host: &str) -> Vec<&Cookie> {
        self.of(host).into_iter().filter(|cookie| is_login(&cookie.name)).collect()
    }

    /// Puts a value in place, as an attacker or a broken disk would.
    pub fn plant(&mut self, host: &str, name: &str, value: &str) {
        self.forget(host, name);
        let (host, name, value) = (host.to_owned(), name.to_owned(), value.to_owned());
        let (path, secure, expires, line) = ("/".to_owned(), true, None, String::new());
        self.cookies.push(Cookie { host, name, value, path, secure, expires, line });
    }

    /// Drops one cookie.
    pub fn forget(&mut self, host: &str, name: &str) {
        self.cookies.retain(|cookie| cookie.host != host || cookie.name != name);
    }

    fn drop_expired(&mut self) {
        let now = self.clock.now();
        self.cookies.retain(|cookie| !cookie.is_expired(now));
    }
}

/// Whether `name` is that of the session cookie or one of its further chunks.
pub fn is_session(name: &str) -> bool {
    name.strip_prefix(OWN_PREFIX)
        .is_some_and(|rest| rest.is_empty() || rest.strip_prefix('-').is_some_and(|n| n.parse::<u8>().is_ok()))
}

/// Whether `name` is that of a login attempt.
pub fn is_login(name: &str) -> bool {
    name.starts_with("__Host-portillon-login-")
}

impl Cookie {
    fn is_replaced_by(&self, other: &Self) -> bool {
        (&self.host, &self.name, &self.path) == (&other.host, &other.name, &other.path)
    }

    fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    fn goes_to(&self, url: &Url) -> bool {
        let path = url.path();
        let within = path == self.path
            || path.strip_prefix(self.path.as_str()).is_some_and(|r| self.path.ends_with('/') || r.starts_with('/'));
        url.host_str() == Some(&self.host) && within && (!self.secure || is_trustworthy(url))
    }
}

fn is_trustworthy(url: &Url) -> bool {
    url.scheme() == "https" || matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

fn parse(url: &Url, line: &str, now: Timestamp) -> Result<Cookie, &'static str> {
    let mut parts = line.split(';').map(|part| part.trim_matches([' ', '\t']));
    let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).ok_or("no name")?;
    let attributes: Vec<(String, &str)> = parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    let attribute = |wanted: &str| attributes.iter().rfind(|(name, _)| name == wanted).map(|(_, value)| *value);
    let cookie = Cookie {
        host: url.host_str().ok_or("no host")?.to_owned(),
        name: name.to_owned(),
        value: value.to_owned(),
        path: attribute("path").unwrap_or("/").to_owned(),
        secure: attribute("secure").is_some(),
        expires: attribute("max-age").map(|age| expiry(age, now)).transpose()?,
        line: line.to_owned(),
    };
    if name.len() + value.len() > 4096 {
        return Err("longer than 4096 bytes");
    }
    if cookie.secure && !is_trustworthy(url) {
        return Err("Secure over plain http");
    }
    let is_host_prefixed = name.starts_with("__Host-");
    if is_host_prefixed && !(cookie.secure && attribute("path") == Some("/") && attribute("domain").is_none()) {
        return Err("__Host- without Secure and Path=/, or with Domain");
    }
    if name.starts_with(OWN_PREFIX) && !(attribute("httponly").is_some() && attribute("samesite") == Some("Lax")) {
        return Err("without HttpOnly or SameSite=Lax");
    }
    Ok(cookie)
}

fn expiry(max_age: &str, now: Timestamp) -> Result<Timestamp, &'static str> {
    let seconds: i64 = max_age.parse().map_err(|_| "a malformed Max-Age")?;
    Ok(Timestamp::from_secs(now.as_secs().saturating_add_signed(seconds)))
}

#[test]
fn the_jar_keeps_the_rules_of_a_browser() {
    let clock = Clock::manual(Timestamp::from_secs(1000));
    let mut jar = Jar::new(clock.clone());
    let url = Url::parse("https://a.test/x").unwrap();
    jar.store(&url, "__Host-portillon=v; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60");
    jar.store(&url, "__Host-x=1; Path=/sub; Secure");
    jar.store(&url, "plain=1; Path=/other");
    assert_eq!(jar.header(&url).as_deref(), Some("__Host-portillon=v"));
    assert_eq!(jar.refused.len(), 1);
    assert_eq!(jar.header(&Url::parse("http://a.test/").unwrap()), None);
    clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(jar.header(&url), None);
    jar.store(&url, "__Host-portillon=w; Path=/; Secure; HttpOnly; SameSite=Lax");
    jar.store(&url, "__Host-portillon=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
    assert!(jar.session("a.test").is_empty());
}
