//! What rules look at.

use std::net::IpAddr;

use http::Method;

use crate::clock::Timestamp;
use crate::identity::Claims;
use crate::route::RequestPath;

/// What rules look at besides the agent.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'f> {
    /// Where the request comes from; none where that is no address.
    pub client: Option<IpAddr>,
    /// By which method.
    pub method: &'f Method,
    /// For which path.
    pub path: &'f RequestPath<'f>,
    /// When.
    pub now: Timestamp,
}

/// An agent and a request of theirs.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'f> {
    pub(super) claims: &'f Claims,
    pub(super) client: Option<IpAddr>,
    pub(super) method: &'f Method,
    pub(super) path: &'f RequestPath<'f>,
    pub(super) now: Timestamp,
}

impl<'f> Circumstances<'f> {
    /// The facts about a request that the agent with these claims sent.
    #[must_use]
    pub const fn of(self, claims: &'f Claims) -> Facts<'f> {
        let Self { client, method, path, now } = self;
        Facts { claims, client, method, path, now }
    }
}
