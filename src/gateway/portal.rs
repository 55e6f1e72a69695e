//! The portal: the applications that agents are told of, and which of them an agent may open.
//!
//! Which ones there are is known when the configuration loads. Whether an agent may open one is what would become of their
//! request for its first page, now and from where they are: the same rules, found the same way.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use http::Method;

use super::site::{Host, Route};
use crate::clock::Timestamp;
use crate::page::{ApplicationView, Icon};
use crate::policy::{Circumstances, Permit};
use crate::route::{Lookup, PageUrl, RequestPath, Table};
use crate::session::Session;

/// The applications that agents are told of.
#[derive(Debug, Default)]
pub struct Portal {
    tiles: Vec<Tile>,
    icons: HashMap<String, Arc<Icon>>,
}

/// One of them.
#[derive(Debug)]
pub struct Tile {
    name: String,
    description: Option<String>,
    icon: Option<String>,
    host: Arc<Host>,
    first_page: PageUrl,
    url: String,
}

/// What agents are told of an application.
#[derive(Clone, Debug)]
pub struct Listing {
    /// What they call it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What stands beside its name.
    pub icon: Option<Arc<Icon>>,
    /// Its first page.
    pub first_page: PageUrl,
}

/// An agent, and from where and when they look.
#[derive(Clone, Copy, Debug)]
pub struct Viewer<'v> {
    /// Who they are, to the provider of this host.
    pub session: &'v Arc<Session>,
    /// The host where they are logged in.
    pub host: &'v Host,
    /// Where they are.
    pub client: Option<IpAddr>,
    /// The time.
    pub now: Timestamp,
}

impl Portal {
    /// The portal that lists these applications in their order, each with its host; icons are served under `icons`.
    #[must_use]
    pub fn new(listings: impl IntoIterator<Item = (Listing, Arc<Host>)>, icons: &str) -> Self {
        let mut portal = Self::default();
        for (listing, host) in listings {
            let Listing { name, description, icon, first_page } = listing;
            let url = first_page.to_string();
            let path = icon.as_ref().map(|icon| format!("{icons}{}", icon.name()));
            portal.icons.extend(icon.map(|icon| (icon.name().to_owned(), icon)));
            portal.tiles.push(Tile { name, description, icon: path, host, first_page, url });
        }
        portal
    }

    /// Whether agents are told of no application: then there is no portal.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.tiles.is_empty()
    }

    /// The icon called `name`.
    #[must_use]
    pub fn icon(&self, name: &str) -> Option<&Arc<Icon>> {
        self.icons.get(name)
    }

    /// The applications that the viewer may open, in the order of the configuration.
    pub fn open_to<'p>(
        &'p self,
        viewer: Viewer<'_>,
        routes: &Table<Arc<Route>>,
    ) -> impl Iterator<Item = ApplicationView<'p>> {
        self.tiles.iter().filter_map(move |tile| tile.access(viewer, routes).map(|access| tile.view(access)))
    }
}

/// How an agent gets into an application.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Access {
    /// As they are.
    Open,
    /// With another login first.
    StepUp,
}

impl Tile {
    /// How the viewer gets in; none where they do not.
    fn access(&self, viewer: Viewer<'_>, routes: &Table<Arc<Route>>) -> Option<Access> {
        let path = RequestPath::new(&self.first_page.path);
        let Lookup::Route(_, route) = routes.lookup(self.host.authority.as_str(), &path) else { return None };
        if Permit::public(&route.public, &Method::GET, &path).is_some() {
            return Some(Access::Open);
        }
        // Who the agent is at another provider, nobody knows here.
        if self.host.provider.name() != viewer.host.provider.name() {
            return None;
        }
        let request = Circumstances { client: viewer.client, method: &Method::GET, path: &path, now: viewer.now };
        match Permit::agent(&route.rules, viewer.session, request) {
            Ok(_) => Some(Access::Open),
            Err(refusal) => route.step_up(refusal, viewer.session, request).map(|_| Access::StepUp),
        }
    }

    fn view(&self, access: Access) -> ApplicationView<'_> {
        ApplicationView {
            name: &self.name,
            description: self.description.as_deref(),
            icon: self.icon.as_deref(),
            url: &self.url,
            step_up: access == Access::StepUp,
        }
    }
}
