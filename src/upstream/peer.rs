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

    /// How many peers are worth trying: one for each address that is known of each instance.
    #[must_use]
    pub fn tries(&self) -> usize {
        self.instances.iter().map(|instance| instance.addresses.count()).sum()
    }

    /// Where a request starts: instances and their addresses take turns. Its later tries count on from here, whoever
    /// else asked meanwhile, so that they reach another peer.
    pub fn next_turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
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

    /// The peer whose turn it is. `isolation` parts connections that must not be shared (see [`Upstream::isolated`]).
    ///
    /// # Errors
    ///
    /// What the resolver says where the name does not resolve.
    pub async fn peer(&self, turn: usize, isolation: u64) -> io::Result<HttpPeer> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use pingora::upstreams::peer::Peer as _;

    fn reach(origins: &[&str]) -> Reach {
        Reach {
            origins: origins.iter().map(|origin| origin.parse().unwrap()).collect(),
            ca: None,
            server_name: None,
            connect_timeout: Duration::from_secs(5),
            silence_timeout: Duration::from_secs(60),
        }
    }

    fn authority() -> Arc<[CertificateDer<'static>]> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        [params.self_signed(&key).unwrap().der().clone()].into()
    }

    async fn peer(reach: &Reach, isolation: u64) -> HttpPeer {
        Upstream::new(reach).unwrap().peer(0, isolation).await.unwrap()
    }

    #[tokio::test]
    async fn connections_are_shared_between_those_that_trust_alike_only() {
        let plain = reach(&["https://127.0.0.1:8443"]);
        let (one, other) = (authority(), authority());
        let with = |ca: &Arc<[CertificateDer<'static>]>| Reach { ca: Some(Arc::clone(ca)), ..plain.clone() };
        let named = Reach { server_name: Some("app.example".to_owned()), ..plain.clone() };
        assert_eq!(peer(&with(&one), 0).await.reuse_hash(), peer(&with(&one), 0).await.reuse_hash());
        let hashes = [
            peer(&plain, 0).await.reuse_hash(),
            peer(&with(&one), 0).await.reuse_hash(),
            peer(&with(&other), 0).await.reuse_hash(),
            peer(&named, 0).await.reuse_hash(),
            peer(&reach(&["http://127.0.0.1:8443"]), 0).await.reuse_hash(),
            peer(&with(&one), Upstream::isolated("agent")).await.reuse_hash(),
            peer(&with(&one), Upstream::isolated("other agent")).await.reuse_hash(),
        ];
        for (at, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..at].contains(hash), "{at}");
        }
    }

    #[tokio::test]
    async fn a_tls_peer_always_has_a_name_to_verify() {
        assert_eq!(peer(&reach(&["https://127.0.0.1"]), 0).await.sni, "127.0.0.1");
        let named = Reach { server_name: Some("app.example".to_owned()), ..reach(&["https://127.0.0.1"]) };
        assert_eq!(peer(&named, 0).await.sni, "app.example");
    }

    #[tokio::test]
    async fn the_tries_of_one_request_reach_every_instance() {
        let upstream = Upstream::new(&reach(&["http://127.0.0.1:1", "http://127.0.0.1:2"])).unwrap();
        assert_eq!(upstream.tries(), 2);
        let turn = upstream.next_turn();
        // Another request comes between the tries of the first.
        upstream.next_turn();
        let first = upstream.peer(turn, 0).await.unwrap();
        let second = upstream.peer(turn + 1, 0).await.unwrap();
        assert_ne!(first._address, second._address);
    }

    #[test]
    fn what_is_no_upstream_is_refused() {
        assert_eq!(Upstream::new(&reach(&[])).err(), Some(UpstreamError::NoOrigin));
        let broken = Reach { ca: Some([CertificateDer::from(vec![1, 2, 3])].into()), ..reach(&["https://a.example"]) };
        assert_eq!(Upstream::new(&broken).err(), Some(UpstreamError::Ca));
    }
}
