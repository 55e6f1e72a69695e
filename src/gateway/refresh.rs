//! Which requests have identities refreshed, and which wait for that.

use super::request::Request;
use super::site::Site;
use crate::login::refresh::{Flight, Source};
use crate::policy::Permit;
use crate::route::Lookup;

/// Begins to refresh the identity that a request comes with, where that is due; what to wait for, where it is overdue:
/// twice as old as it should be. A request that needs no identity does neither.
pub(super) fn begin(site: &Site, request: &Request<'_>) -> Option<Flight> {
    let interval = site.refresh_identity?;
    let host = site.host(request.host())?;
    let opened = site.sessions.open(&request.cookies, &host.context);
    let session = opened.valid()?;
    let age = site.services.clock.now().since(session.identified_at());
    if age < interval || !needs_identity(site, host.authority.as_str(), request) {
        return None;
    }
    let source = || Source { provider: host.provider.provider.clone(), sessions: site.sessions.clone(), interval };
    site.services.refresher.refresh(session, source).filter(|_| age >= interval * 2)
}

fn needs_identity(site: &Site, authority: &str, request: &Request<'_>) -> bool {
    let ours = request.path.raw().starts_with(&site.prefix);
    !ours
        && matches!(
            site.routes.lookup(authority, &request.path),
            Lookup::Route(_, route) if Permit::public(&route.public, request.method(), &request.path).is_none()
        )
}
