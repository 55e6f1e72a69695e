//! Logout: the agent's session ends here first, then at the provider (OpenID Connect RP-Initiated Logout 1.0).
//!
//! AgentConnect has no back-channel: other sites stay open, and the signed-out page says so.

use http::HeaderValue;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::crypto::aead::Purpose;
use crate::crypto::key_ring::KeyRing;
use crate::route::RequestPath;
use crate::secret::Secret;
use crate::session::cookie::{self, OwnCookies};
use crate::session::{LoginId, Session, Sessions};
use crate::store::Durable;

const REQUEST: Purpose = Purpose::new("logout");
const RETURN: Purpose = Purpose::new("logout return");

/// A path of the application's own that also ends the session (`logout_paths`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogoutPath {
    /// The canonical path, exactly (see [`RequestPath::canonical`]).
    pub path: String,
    /// Parameters that the query must contain, in any order, where there are some.
    pub query: Option<String>,
}

impl LogoutPath {
    /// Whether a request for `path` with `query` is the application's logout.
    #[must_use]
    pub fn matches(&self, path: &str, query: Option<&str>) -> bool {
        let pairs = |query: &str| url::form_urlencoded::parse(query.as_bytes()).into_owned().collect::<Vec<_>>();
        let given = || pairs(query.unwrap_or_default());
        self.path == path && self.query.as_deref().is_none_or(|required| contains_all(&given(), &pairs(required)))
    }
}

/// Whether a request is one of these logouts of an application.
#[must_use]
pub fn is_logout(paths: &[LogoutPath], path: &RequestPath<'_>, query: Option<&str>) -> bool {
    // Java applications write `;jsessionid=…` behind the path of such links too.
    let before_parameters = || path.raw().split(';').next().unwrap_or_default();
    let path = path.canonical().unwrap_or_else(before_parameters);
    paths.iter().any(|logout| logout.matches(path, query))
}

fn contains_all<T: PartialEq>(given: &[T], required: &[T]) -> bool {
    required.iter().all(|pair| given.contains(pair))
}

/// A session ended: what the browser must forget, and where it goes next.
#[derive(Debug)]
pub struct Ended {
    /// `Set-Cookie` values that remove every cookie of ours.
    pub cookies: Vec<HeaderValue>,
    /// The provider's `end_session_endpoint` with this logout's parameters, or the signed-out page where the provider
    /// has none.
    pub location: String,
}

/// A session that ended here, and is ending everywhere else.
#[derive(Debug)]
pub struct Ending {
    ended: Ended,
    durable: Durable,
}

impl Ending {
    /// Waits until the store knows, for a second at most: nothing is answered before. A store that is down is told later.
    pub async fn settled(self, request_id: &str) -> Ended {
        if !self.durable.kept().await {
            tracing::warn!(
                request_id,
                reason = "logout_unwritten",
                "a session ended here, and elsewhere once the store answers"
            );
        }
        self.ended
    }
}

/// Ends `session`, with its login, at `host`; whatever the provider does next, it is over here. `leads_to` says where the
/// agent goes next, given the ID token where the cookies kept it.
#[must_use]
pub fn end(
    session: &Session,
    cookies: &OwnCookies,
    host: &str,
    sessions: &Sessions,
    leads_to: impl FnOnce(Option<Secret<String>>) -> String,
) -> Ending {
    let (id_token, durable) = sessions.end(session, cookies, host);
    Ending { ended: Ended { cookies: forget(cookies), location: leads_to(id_token) }, durable }
}

/// What a host asks of the login host, which keeps the ID token: to end the login at the provider. Sealed for the login
/// host; it touches no other login, so that a copy of it is of no use.
#[derive(Debug, Deserialize, Serialize)]
pub struct Request {
    /// The login that ended.
    pub login: LoginId,
    /// The authority of the asking host.
    pub authority: String,
}

impl Request {
    /// As it stands in an address of the login host, where things are sealed for `host`.
    #[must_use]
    pub fn seal(&self, host: &str, keys: &KeyRing, now: Timestamp) -> String {
        keys.seal_value(REQUEST, host, self, now)
    }

    /// Reads what [`Request::seal`] wrote.
    #[must_use]
    pub fn open(text: &str, host: &str, keys: &KeyRing) -> Option<Self> {
        keys.open_value(REQUEST, host, text)
    }
}

/// The `state` of a logout at the provider: where the agent goes afterwards.
#[derive(Debug, Deserialize, Serialize)]
pub struct Return {
    /// The authority of the host that they left.
    pub authority: String,
}

impl Return {
    /// As the provider gets it, for the host that asks it, where things are sealed for `host`.
    #[must_use]
    pub fn seal(&self, host: &str, keys: &KeyRing, now: Timestamp) -> String {
        keys.seal_value(RETURN, host, self, now)
    }

    /// Reads what [`Return::seal`] wrote.
    #[must_use]
    pub fn open(text: &str, host: &str, keys: &KeyRing) -> Option<Self> {
        keys.open_value(RETURN, host, text)
    }
}

/// The `Set-Cookie` values that remove every cookie of ours that the browser sent.
#[must_use]
pub fn forget(cookies: &OwnCookies) -> Vec<HeaderValue> {
    cookies.starting_with(cookie::PREFIX).map(|(name, _)| cookie::removed(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_the_path_do_not_hide_a_logout() {
        let paths = [LogoutPath { path: "/bye".to_owned(), query: None }];
        let leads_out = |path: &str| is_logout(&paths, &RequestPath::new(path), None);
        assert!(leads_out("/bye") && leads_out("/bye;jsessionid=1"));
        assert!(!leads_out("/bye/x;y") && !leads_out("/x;/bye"));
    }

    #[test]
    fn a_logout_path_is_exact_and_its_query_is_contained() {
        let plain = LogoutPath { path: "/deconnexion.php".into(), query: None };
        assert!(plain.matches("/deconnexion.php", None) && plain.matches("/deconnexion.php", Some("x=1")));
        assert!(!plain.matches("/deconnexion.php/", None));
        let doku = LogoutPath { path: "/doku.php".into(), query: Some("do=logout".into()) };
        assert!(doku.matches("/doku.php", Some("id=start&do=logout&sectok=1")));
        assert!(doku.matches("/doku.php", Some("d%6f=%6cogout")), "as PHP reads it");
        assert!(!doku.matches("/doku.php", Some("do=logouts")) && !doku.matches("/doku.php", None));
    }
}
