//! Where the application of a route listens.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};

use crate::config::diagnostic::Diagnostic;
use crate::config::raw::{Item, Section};
use crate::config::surroundings::Surroundings;
use crate::route::Scheme;
use crate::upstream::Origin;

pub(super) struct Upstream {
    pub(super) origins: Vec<Origin>,
    pub(super) ca: Option<Arc<[CertificateDer<'static>]>>,
    pub(super) server_name: Option<String>,
}

/// The upstream of the route; none where an error was told.
pub(super) fn read(section: &Section<'_>, surroundings: &Surroundings) -> Option<Upstream> {
    let item = section.required("upstream");
    let origins = item.map(|item| origins(&item));
    let (ca_file, server_name) = (section.item("upstream_ca_file"), section.item("upstream_server_name"));
    let scheme = origins.iter().flatten().map(Origin::scheme).next();
    for item in [ca_file, server_name].into_iter().flatten().filter(|_| scheme == Some(Scheme::Http)) {
        let idle = Diagnostic::error(&item.key_place(), format!("`{}` is for an upstream over https", item.key()));
        item.report(idle.help("this upstream starts with http://, so its certificate is never asked for"));
    }
    Some(Upstream {
        ca: ca_file.and_then(|item| surroundings.authorities(&item)).map(Into::into),
        server_name: server_name.and_then(|item| item.read(parse_server_name)),
        origins: origins.filter(|origins| !origins.is_empty())?,
    })
}

fn origins(item: &Item<'_>) -> Vec<Origin> {
    let origins: Vec<Origin> = item.one_or_more().iter().filter_map(origin).collect();
    if origins.iter().any(|origin| Some(origin.scheme()) != origins.first().map(Origin::scheme)) {
        item.report(item.error("the upstreams of one route have two schemes").help("all of them http, or all https"));
    }
    origins
}

fn origin(item: &Item<'_>) -> Option<Origin> {
    if item.text().is_some_and(|text| text.starts_with("unix:")) {
        item.report(item.error("an upstream on a unix socket is not available in this version"));
        return None;
    }
    item.read(str::parse)
}

fn parse_server_name(text: &str) -> Result<String, &'static str> {
    match ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("the name in the certificate: a host name or an address"),
    }
}
