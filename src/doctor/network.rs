//! Names and connections.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::thread;
use std::time::Duration;

use super::Finding;
use crate::config::Config;
use crate::route::{Authority, Scheme};

/// For a connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The addresses of a host, which is a name or an address without brackets.
pub(super) fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    if addresses.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(addresses) }
}

/// A connection to the first of these addresses that answers.
pub(super) fn connect(addresses: &[SocketAddr], patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::other("there is no address");
    for address in addresses {
        match TcpStream::connect_timeout(address, patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Whether agents can find the hosts; from here, which may not be where they are.
pub(super) fn hosts(config: &Config) -> Vec<Finding> {
    let login = config.providers.iter().filter_map(|provider| provider.login_host.as_ref());
    let mut hosts: Vec<&Authority> = config.routes.iter().map(|route| &route.authority).chain(login).collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts.retain(|host| !host.is_loopback());
    let port = if config.server.external_scheme == Scheme::Https { 443 } else { 80 };
    thread::scope(|scope| {
        let asked: Vec<_> = hosts.iter().map(|host| scope.spawn(move || look_up(host, port))).collect();
        asked.into_iter().filter_map(|asked| asked.join().ok()).collect()
    })
}

fn look_up(host: &Authority, port: u16) -> Finding {
    let about = format!("host {host}");
    let bare = host.host().trim_start_matches('[').trim_end_matches(']');
    match resolve(bare, host.port().unwrap_or(port)) {
        Ok(_) => Finding::fine("host_dns", &about, "its name resolves"),
        Err(error) => {
            let help = "point it at the gateway, or at the TLS terminator in front of it; an internal name may resolve only for \
                        agents";
            Finding::advice("host_unresolved", &about, format!("its name does not resolve here: {error}"), help)
        }
    }
}
