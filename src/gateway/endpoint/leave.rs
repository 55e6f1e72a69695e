//! Where a logout leads: to the provider, from the host whose agents log in there (OpenID Connect RP-Initiated
//! Logout 1.0); from any other host, to its login host first, which keeps the ID token.

use std::sync::Arc;

use super::super::respond::Reply;
use super::super::site::{Host, Site};
use super::Desk;
use crate::crypto::random_token;
use crate::logout::{self, Ending, Request, Return};
use crate::secret::Secret;
use crate::session::Session;
use crate::session::cookie::OwnCookies;

/// Ends `session`, and every other one of its login; whatever the provider does next, they are over.
pub fn end_session(site: &Site, host: &Host, session: &Session, cookies: &OwnCookies) -> Ending {
    if site.refresh_identity.is_some() {
        site.services.refresher.end(session.login(), Arc::clone(&host.provider.provider));
    }
    logout::end(session, cookies, &host.context, &site.sessions, |id_token| match &host.login_host {
        Some(login_host) => at_login_host(site, (host, login_host), session),
        None => at_provider(host, id_token.as_ref(), &random_token::<32>())
            .unwrap_or_else(|| host.post_logout_redirect_uri.clone()),
    })
}

fn at_login_host(site: &Site, (host, login_host): (&Host, &Host), session: &Session) -> String {
    let request = Request { login: session.login(), authority: host.authority.as_str().to_owned() };
    let services = &site.services;
    let request = request.seal(&login_host.context, &services.keys.load(), services.clock.now());
    format!("{}{}?request={request}", login_host.origin, site.endpoint("logout"))
}

/// The provider's `end_session_endpoint`; none where it has none.
fn at_provider(host: &Host, id_token: Option<&Secret<String>>, state: &str) -> Option<String> {
    let hint = id_token.map(|token| token.expose().as_str());
    host.provider.provider.end_session_request(hint, &host.post_logout_redirect_uri, state)
}

impl Desk<'_> {
    /// The rest of a logout that another host began: its session, and ours of the same login, have ended.
    pub(super) fn logout_asked_by_another_host(&self) -> Option<Reply> {
        let (host, services) = (&self.visit.host, &self.site.services);
        let keys = services.keys.load();
        let request = Request::open(&self.parameter("request")?, &host.context, &keys)?;
        let left = self.site.served_by(host, &request.authority)?;
        let kept = self.site.sessions.kept_for_logout(&self.visit.cookies, &host.context);
        // Whoever has logged in again meanwhile stays.
        let Some((_, id_token)) = kept.filter(|(login, _)| *login == request.login) else {
            return Some(Reply::see_other(&left.post_logout_redirect_uri, "logged_out"));
        };
        let state = Return { authority: request.authority }.seal(&host.context, &keys, services.clock.now());
        let location = at_provider(host, id_token.as_ref(), &state);
        let reply = Reply::see_other(location.as_ref().unwrap_or(&left.post_logout_redirect_uri), "logged_out");
        Some(reply.with_cookies(logout::forget(&self.visit.cookies)))
    }

    /// The way back from the provider to the host that the agent left.
    pub(super) fn signed_out_of_another_host(&self) -> Option<Reply> {
        let host = &self.visit.host;
        let back = Return::open(&self.parameter("state")?, &host.context, &self.site.services.keys.load())?;
        let left = self.site.served_by(host, &back.authority)?;
        Some(Reply::see_other(&left.post_logout_redirect_uri, "signed_out"))
    }

    fn parameter(&self, wanted: &str) -> Option<String> {
        let mut parameters = url::form_urlencoded::parse(self.visit.query.as_bytes());
        parameters.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    }
}
