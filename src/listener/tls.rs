//! TLS towards agents: certificates by server name (RFC 6066 section 3), replaced while connections go on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The files of one certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateFiles {
    /// PEM: the certificate, then those that lead to a root, in order.
    pub cert: PathBuf,
    /// PEM: the private key, PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate and the key do not belong together, or one of them is of an unknown kind.
    #[error("{} cannot be used with {}: {source}", cert.display(), key.display())]
    Certificate {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// The file cannot be read, or its PEM is damaged.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// The file holds no certificate.
    #[error("{} holds no certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A TLS listener has no certificate at all.
    #[error("a TLS listener needs a certificate")]
    NoCertificates,
    /// The process has no cryptography installed, which `main` does first.
    #[error("no cryptography is installed in this process")]
    NoProvider,
}

/// The certificates in force, given out by server name; the first one where no name fits.
#[derive(Debug)]
pub struct Certificates {
    keys: ArcSwap<Vec<Arc<CertifiedKey>>>,
}

impl Certificates {
    /// Reads the certificates.
    ///
    /// # Errors
    /// A [`TlsError`] that names the file.
    pub fn load(files: &[CertificateFiles]) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self { keys: ArcSwap::from_pointee(read_all(files)?) }))
    }

    /// Reads them again, for the handshakes to come. On an error those in force stay.
    ///
    /// # Errors
    /// As [`Certificates::load`].
    pub fn reload(&self, files: &[CertificateFiles]) -> Result<(), TlsError> {
        self.keys.store(Arc::new(read_all(files)?));
        Ok(())
    }

    /// A server configuration that asks these certificates at each handshake: TLS 1.2 and 1.3, HTTP/1.1 only.
    ///
    /// # Errors
    /// [`TlsError::NoProvider`].
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<rustls::ServerConfig>, TlsError> {
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(provider()?));
        let versions = builder.with_safe_default_protocol_versions().map_err(|_| TlsError::NoProvider)?;
        let mut config = versions.with_no_client_auth().with_cert_resolver(Arc::<Self>::clone(self));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let keys = self.keys.load();
        let name = client_hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| keys.iter().find(|key| is_for(key, &name)));
        named.or_else(|| keys.first()).cloned()
    }
}

fn provider() -> Result<&'static Arc<CryptoProvider>, TlsError> {
    CryptoProvider::get_default().ok_or(TlsError::NoProvider)
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let certificate = key.end_entity_cert().and_then(ParsedCertificate::try_from);
    certificate.is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

fn read_all(files: &[CertificateFiles]) -> Result<Vec<Arc<CertifiedKey>>, TlsError> {
    if files.is_empty() {
        return Err(TlsError::NoCertificates);
    }
    files.iter().map(|pair| read(pair).map(Arc::new)).collect()
}

fn read(files: &CertificateFiles) -> Result<CertifiedKey, TlsError> {
    let chain = read_chain(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| unreadable(&files.key, source))?;
    CertifiedKey::from_der(chain, key, provider()?).map_err(|source| TlsError::Certificate {
        cert: files.cert.clone(),
        key: files.key.clone(),
        source,
    })
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(|source| unreadable(path, source))?;
    let chain: Vec<_> = certificates.collect::<Result<_, _>>().map_err(|source| unreadable(path, source))?;
    if chain.is_empty() { Err(TlsError::NoCertificate { path: path.to_owned() }) } else { Ok(chain) }
}

fn unreadable(path: &Path, source: pem::Error) -> TlsError {
    TlsError::File { path: path.to_owned(), source }
}
