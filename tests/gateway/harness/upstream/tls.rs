//! Certificates of upstreams and of the gateway, each from an authority of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A server certificate and the authority that issued it.
#[derive(Clone)]
pub struct Identity {
    config: Arc<ServerConfig>,
    authority: String,
    certificate: String,
    key: String,
}

impl Identity {
    /// A certificate for `names` from a new authority, good for ever.
    pub fn new(names: &[&str]) -> Self {
        Self::until(names, Duration::from_secs(4_000_000_000))
    }

    /// The same, good until so long after 1970.
    pub fn until(names: &[&str], end: Duration) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).expect("no names are names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("this machine makes keys");
        let authority = CertifiedIssuer::self_signed(authority, key).expect("a CA signs itself");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().expect("this machine makes keys");
        let mut certificate = CertificateParams::new(names).expect("names of a test");
        certificate.distinguished_name.push(DnType::CommonName, "a server");
        certificate.not_after = date_time_ymd(1970, 1, 1) + end;
        let certificate = certificate.signed_by(&key, &authority).expect("a CA signs");
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .expect("the key is that of the certificate");
        let (certificate, key) = (certificate.pem(), key.serialize_pem());
        Self { config: Arc::new(config), authority: authority.pem(), certificate, key }
    }

    /// Writes certificate and key into `folder`, and gives back their entry for `[server.tls] certificates`.
    pub fn write(&self, folder: &Path) -> String {
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, &self.certificate).expect("the folder of a test is writable");
        std::fs::write(&key, &self.key).expect("the folder of a test is writable");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("the key is ours");
        format!("{{ cert = {certificate:?}, key = {key:?} }}")
    }

    /// A client that trusts this authority only, and speaks HTTP/1.1.
    pub fn connector(&self) -> TlsConnector {
        self.connector_for(&[])
    }

    /// The same, which offers these protocols (ALPN).
    pub fn connector_for(&self, protocols: &[&[u8]]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(self.authority.as_bytes()).expect("a certificate of ours");
        roots.add(authority).expect("an authority of ours");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }

    /// Writes the authority's certificate to `path`, for `ca_file`.
    pub fn write_authority(&self, path: &Path) {
        std::fs::write(path, &self.authority).expect("the folder of a test is writable");
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}
