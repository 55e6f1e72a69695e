//! The peer of a request: a template made when the configuration loads, with the address of the moment.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pingora::protocols::l4::socket::SocketAddr as PeerAddress;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{WrappedX509, parse_x509};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::Origin;
use super::resolve::Addresses;
use crate::crypto::sha256;
use crate::route::Scheme;

/// An unused connection to an upstream is closed after this time; servers commonly give up a little later.
const IDLE_CONNECTION: Duration = Duration::from_secs(50);

/// How a route's upstream is reached.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Where it listens: one origin, or several that serve the same application.
    pub origins: Vec<Origin>,
    /// The only authorities whose certificates are accepted; the system's where absent.
    pub ca: Option<Arc<[CertificateDer<'static>]>>,
    /// The name that the upstream's certificate must hold, where it is not the origin's host.
    pub server_name: Option<String>,
    /// How long a connection may take, TLS included.
    pub connect_timeout: Duration,
    /// How long the upstream, or the agent, may stay silent in the middle of an exchange.
    pub silence_timeout: Duration,
}

/// Why an upstream cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UpstreamError {
    /// A certificate of the private CA cannot be used as one.
    #[error("a certificate of the CA file is not one that can sign servers' certificates")]
    Ca,
    /// No origin is named.
    #[error("no upstream is named")]
    NoOrigin,
}

/// The upstream of one route.
#[derive(Debug)]
pub struct Upstream {
    instances: Vec<Instance>,
    silence_timeout: Duration,
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Instance {
    origin: Origin,
    addresses: Addresses,
    template: HttpPeer,
}

impl Upstream {
    /// The upstream that is reached so.
    ///
    /// # Errors
    ///
    /// [`UpstreamError`] where it cannot be.
    pub fn new(reach: &Reach) -> Result<Self, UpstreamError> {
        if reach.origins.is_empty() {
            return Err(UpstreamError::NoOrigin);
        }
        let instances = reach.origins.iter().map(|origin| Instance::new(origin, reach)).collect::<Result<_, _>>()?;
        Ok(Self { instances, silence_timeout: reach.silence_timeout, turn: AtomicUsize::new(0) })
    }

    /// How many instances can be tried.
    #[must_use]
    pub fn instances(&self) -> usize {
        self.instances.len()
    }

    /// How long either side may stay silent in the middle of an exchange.
    #[must_use]
    pub const fn silence_timeout(&self) -> Duration {
        self.silence_timeout
    }

    /// Whether `origin` is one of the instances.
    #[must_use]
    pub fn is_at(&self, origin: &Origin) -> bool {
        self.instances.iter().any(|instance| instance.origin == *origin)
    }

    /// The peer for the next try. `isolation` parts connections that must not be shared (see [`Upstream::isolated`]).
    ///
    /// # Errors
    ///
    /// What the resolver says where the name does not resolve.
    pub async fn peer(&self, isolation: u64) -> io::Result<HttpPeer> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.instances.len();
        let instance = &self.instances[turn % count];
        let address: SocketAddr = instance.addresses.choose(turn / count).await?;
        let mut peer = instance.template.clone();
        peer._address = PeerAddress::Inet(address);
        peer.group_key ^= isolation;
        Ok(peer)
    }

    /// An isolation key for one agent's connections, where an application binds identity to the connection (NTLM).
    #[must_use]
    pub fn isolated(pseudonym: &str) -> u64 {
        first_eight(&sha256(pseudonym.as_bytes()))
    }
}

impl Instance {
    fn new(origin: &Origin, reach: &Reach) -> Result<Self, UpstreamError> {
        // An empty name would switch certificate verification off: a TLS peer always has one.
        let server_name = reach.server_name.clone().unwrap_or_else(|| origin.host().to_owned());
        let unresolved = SocketAddr::from(([0, 0, 0, 0], 0));
        let tls = origin.scheme() == Scheme::Https;
        let mut template = HttpPeer::new(unresolved, tls, if tls { server_name } else { String::new() });
        let options = &mut template.options;
        options.connection_timeout = Some(reach.connect_timeout);
        options.total_connection_timeout = Some(reach.connect_timeout);
        options.read_timeout = Some(reach.silence_timeout);
        options.write_timeout = Some(reach.silence_timeout);
        options.idle_timeout = Some(IDLE_CONNECTION);
        if let Some(ca) = &reach.ca {
            options.ca = Some(trusted(ca)?);
            // pingora's pool would share connections between different authorities: the key tells them apart.
            template.group_key = first_eight(&sha256(&ca.iter().flat_map(|der| der.to_vec()).collect::<Vec<_>>()));
        }
        Ok(Self { origin: origin.clone(), addresses: Addresses::of(origin), template })
    }
}

/// Checked first, since pingora panics on bytes that are no certificate.
fn trusted(ca: &[CertificateDer<'static>]) -> Result<Arc<[WrappedX509]>, UpstreamError> {
    let mut store = RootCertStore::empty();
    for certificate in ca {
        store.add(certificate.clone()).map_err(|_| UpstreamError::Ca)?;
    }
    Ok(ca.iter().map(|certificate| WrappedX509::new(certificate.to_vec(), parse_x509)).collect())
}

fn first_eight(hash: &[u8; 32]) -> u64 {
    hash.iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte))
}
