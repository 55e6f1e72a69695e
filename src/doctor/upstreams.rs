//! The applications: in reach, and with a certificate that will be believed.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore};

use super::certificate::{Codes, Facts};
use super::{Finding, network};
use crate::clock::Timestamp;
use crate::config::{Config, RouteConfig};
use crate::listener::Address;
use crate::route::Scheme;
use crate::upstream::Origin;

const CODES: Codes = Codes {
    expired: "upstream_certificate_expired",
    expires: "upstream_certificate_expires",
    fine: "upstream_certificate",
};
/// So many are asked at a time.
const AT_A_TIME: usize = 32;

pub(super) fn examine(config: &Config, system_roots: &RootCertStore, now: Timestamp) -> Vec<Finding> {
    let mut asked: Vec<(&RouteConfig, &Origin)> = Vec::new();
    for (route, origin) in
        config.routes.iter().flat_map(|route| route.upstreams.iter().map(move |origin| (route, origin)))
    {
        let same = |(known, at): &&(&RouteConfig, &Origin)| *at == origin && is_trusted_alike(known, route);
        if !asked.iter().any(|known| same(&known)) {
            asked.push((route, origin));
        }
    }
    let own: Vec<SocketAddr> = config.server.listeners.iter().filter_map(|listener| tcp(&listener.address)).collect();
    let mut findings = Vec::new();
    for some in asked.chunks(AT_A_TIME) {
        thread::scope(|scope| {
            let own = &own;
            let ask = |&(route, origin): &(&RouteConfig, &Origin)| {
                let (route, origin) = (route.clone(), origin.clone());
                scope.spawn(move || one(&route, &origin, (own, system_roots, now)))
            };
            let running: Vec<_> = some.iter().map(ask).collect();
            findings.extend(running.into_iter().filter_map(|one| one.join().ok()).flatten());
        });
    }
    findings
}

fn is_trusted_alike(a: &RouteConfig, b: &RouteConfig) -> bool {
    a.upstream_ca == b.upstream_ca && a.upstream_server_name == b.upstream_server_name
}

const fn tcp(address: &Address) -> Option<SocketAddr> {
    match address {
        Address::Tcp(address) => Some(*address),
        Address::Fd(_) | Address::Unix(_) => None,
    }
}

fn one(
    route: &RouteConfig,
    origin: &Origin,
    (own, roots, now): (&[SocketAddr], &RootCertStore, Timestamp),
) -> Vec<Finding> {
    let about = &format!("upstream {origin} of route {}", route.name);
    let addresses = match network::resolve(origin.host(), origin.port()) {
        Ok(addresses) => addresses,
        Err(error) => {
            let message = format!("its name does not resolve: {error}");
            return vec![Finding::fault(
                "upstream_unresolved",
                about,
                message,
                "correct `upstream`, or /etc/hosts, or the DNS",
            )];
        }
    };
    if addresses.iter().any(|address| own.iter().any(|own| is_own(*own, *address))) {
        let help = "`upstream` is where the application listens, not the gateway";
        return vec![Finding::fault(
            "upstream_is_gateway",
            about,
            "it is the gateway itself: requests go round in circles",
            help,
        )];
    }
    let stream = match network::connect(&addresses, route.connect_timeout.min(network::PATIENCE)) {
        Ok(stream) => stream,
        Err(error) => {
            let help = "see that the application runs and listens there, and that the firewall lets the gateway pass";
            return vec![Finding::fault("upstream_unreachable", about, format!("no connection: {error}"), help)];
        }
    };
    let reached = Finding::fine("upstream", about, "it can be reached");
    match origin.scheme() {
        Scheme::Http => vec![reached],
        Scheme::Https => vec![reached, tls(about, (route, origin), stream, (roots, now))],
    }
}

/// Whether a connection to `address` of this machine ends at a listener of the gateway.
fn is_own(own: SocketAddr, address: SocketAddr) -> bool {
    let everywhere = |ip: IpAddr| ip.is_unspecified();
    own.port() == address.port() && (own.ip() == address.ip() || (everywhere(own.ip()) && address.ip().is_loopback()))
}

fn tls(
    about: &str,
    (route, origin): (&RouteConfig, &Origin),
    mut stream: TcpStream,
    (roots, now): (&RootCertStore, Timestamp),
) -> Finding {
    let name = route.upstream_server_name.as_deref().unwrap_or_else(|| origin.host()).to_owned();
    let shaken = roots_of(route, roots)
        .and_then(|roots| client(roots, &name))
        .map_err(|error| Finding::fault("upstream_tls", about, error.to_string(), "correct `upstream_server_name`"));
    let mut connection = match shaken {
        Ok(connection) => connection,
        Err(finding) => return finding,
    };
    // A peer that says nothing is not waited for; the socket is a fresh one, so both can be set.
    let _ = stream.set_read_timeout(Some(network::PATIENCE));
    let _ = stream.set_write_timeout(Some(network::PATIENCE));
    while connection.is_handshaking() {
        if let Err(error) = connection.complete_io(&mut stream) {
            return refused(about, &name, &error);
        }
    }
    let leaf = connection.peer_certificates().and_then(|chain| Facts::of(chain.first()?));
    leaf.map_or_else(
        || Finding::fine(CODES.fine, about, "its certificate is believed"),
        |leaf| leaf.lifetime(about, now, &CODES),
    )
}

fn roots_of(route: &RouteConfig, system: &RootCertStore) -> Result<RootCertStore, rustls::Error> {
    let Some(authorities) = &route.upstream_ca else { return Ok(system.clone()) };
    let mut roots = RootCertStore::empty();
    authorities.iter().try_for_each(|authority: &CertificateDer<'static>| roots.add(authority.clone()))?;
    Ok(roots)
}

fn client(roots: RootCertStore, name: &str) -> Result<ClientConnection, rustls::Error> {
    let none = || rustls::Error::General("no cryptography is installed".to_owned());
    let provider = CryptoProvider::get_default().ok_or_else(none)?;
    let config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name =
        ServerName::try_from(name.to_owned()).map_err(|_| rustls::Error::General(format!("{name} is no name")))?;
    ClientConnection::new(Arc::new(config), name)
}

fn refused(about: &str, name: &str, error: &std::io::Error) -> Finding {
    let reason = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (code, help) = match reason {
        Some(rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            (CODES.expired, "install a new certificate at the application".to_owned())
        }
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => (
            "upstream_certificate_name",
            format!("it is not for {name}: write the name that stands in it in `upstream_server_name`"),
        ),
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => (
            "upstream_certificate_issuer",
            "name the authority that signed it in `upstream_ca_file`; where it has intermediates, the application sends them"
                .to_owned(),
        ),
        _ => ("upstream_tls", "see that the application speaks TLS 1.2 or 1.3 on this port".to_owned()),
    };
    Finding::fault(code, about, format!("TLS fails: {error}"), help)
}
