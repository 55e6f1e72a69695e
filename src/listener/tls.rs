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

    /// A server configuration that asks these certificates at each handshake: TLS 1.2 and 1.3, HTTP/1.1 and where `http2`
    /// says so HTTP/2 (ALPN, RFC 7301).
    ///
    /// # Errors
    /// [`TlsError::NoProvider`].
    pub fn server_config(self: &Arc<Self>, http2: bool) -> Result<Arc<rustls::ServerConfig>, TlsError> {
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(provider()?));
        let versions = builder.with_safe_default_protocol_versions().map_err(|_| TlsError::NoProvider)?;
        let mut config = versions.with_no_client_auth().with_cert_resolver(Arc::<Self>::clone(self));
        config.alpn_protocols = http2.then(|| b"h2".to_vec()).into_iter().chain([b"http/1.1".to_vec()]).collect();
        Ok(Arc::new(config))
    }

    fn choose(&self, server_name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let keys = self.keys.load();
        let name = server_name.and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| keys.iter().find(|key| is_for(key, &name)));
        named.or_else(|| keys.first()).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(client_hello.server_name())
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

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};
    use tempfile::TempDir;

    use super::*;

    fn install_provider() {
        // Another test of this process may have been faster.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }

    /// Writes a certificate for `names` and its key.
    fn write(folder: &TempDir, file: &str, names: &[&str]) -> CertificateFiles {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().copied().map(str::to_owned).collect();
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let files = CertificateFiles {
            cert: folder.path().join(format!("{file}.pem")),
            key: folder.path().join(format!("{file}.key")),
        };
        fs::write(&files.cert, certificate.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    fn chosen(certificates: &Certificates, name: Option<&str>) -> Vec<u8> {
        certificates.choose(name).unwrap().cert[0].to_vec()
    }

    fn der(files: &CertificateFiles) -> Vec<u8> {
        CertificateDer::from_pem_file(&files.cert).unwrap().to_vec()
    }

    #[test]
    fn the_certificate_goes_by_the_server_name() {
        install_provider();
        let folder = tempfile::tempdir().unwrap();
        let first = write(&folder, "first", &["paie.example"]);
        let second = write(&folder, "second", &["rh.example", "*.rh.example"]);
        let certificates = Certificates::load(&[first.clone(), second.clone()]).unwrap();
        for (name, files) in [
            (Some("paie.example"), &first),
            (Some("RH.example"), &second),
            (Some("a.rh.example"), &second),
            (Some("unknown.example"), &first),
            (Some("not a name"), &first),
            (None, &first),
        ] {
            assert_eq!(chosen(&certificates, name), der(files), "{name:?}");
        }
    }

    #[test]
    fn certificates_are_replaced_or_stay() {
        install_provider();
        let folder = tempfile::tempdir().unwrap();
        let old = write(&folder, "old", &["paie.example"]);
        let new = write(&folder, "new", &["paie.example"]);
        let certificates = Certificates::load(std::slice::from_ref(&old)).unwrap();
        let mismatched = CertificateFiles { cert: new.cert.clone(), key: old.key.clone() };
        assert!(certificates.reload(&[mismatched]).is_err());
        assert_eq!(chosen(&certificates, None), der(&old));
        certificates.reload(std::slice::from_ref(&new)).unwrap();
        assert_eq!(chosen(&certificates, None), der(&new));
        assert_eq!(certificates.server_config(false).unwrap().alpn_protocols, [b"http/1.1".as_slice()]);
        assert_eq!(certificates.server_config(true).unwrap().alpn_protocols, [b"h2".as_slice(), b"http/1.1"]);
    }

    #[test]
    fn an_error_names_its_file() {
        install_provider();
        let folder = tempfile::tempdir().unwrap();
        let good = write(&folder, "good", &["a"]);
        let files = CertificateFiles { cert: folder.path().join("missing.pem"), ..good.clone() };
        let error = Certificates::load(&[files]).unwrap_err().to_string();
        assert!(error.contains("missing.pem"), "{error}");

        let swapped = CertificateFiles { cert: good.key.clone(), key: good.key };
        assert!(matches!(Certificates::load(&[swapped]), Err(TlsError::NoCertificate { .. })));
        let keyless = CertificateFiles { cert: good.cert.clone(), key: good.cert };
        let error = Certificates::load(&[keyless]).unwrap_err();
        assert!(matches!(error, TlsError::File { .. }), "{error}");
        assert!(matches!(Certificates::load(&[]), Err(TlsError::NoCertificates)));
    }
}
