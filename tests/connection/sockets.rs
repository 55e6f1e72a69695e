//! Unix sockets and TLS.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portillon::listener::tls::{CertificateFiles, Certificates};
use portillon::listener::{self, Address, Binding, Limits};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::net::UnixStream;

use crate::harness::{Running, ask, read_to_end, within};

#[tokio::test]
async fn a_unix_socket_is_served_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.sock");
    let binding = Binding { address: Address::Unix(path.clone()), tls: None, mode: Some(0o600) };
    let bound = listener::bind(&[binding]).unwrap().remove(0);
    assert!(bound.local_addr().is_none());
    let gateway = Running::on(bound, Limits::default()).await;
    let mut client = UnixStream::connect(&path).await.unwrap();
    assert_eq!(ask(&mut client, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.1, "/a ");
    assert!(gateway.upstream.take_seen()[0].contains("X-Peer: unix false None"));
    gateway.drain();
    within(gateway.serving).await.unwrap();
    assert!(!path.exists());
}

fn write_certificate(folder: &Path, name: &str) -> CertificateFiles {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    let files = CertificateFiles { cert: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
    fs::write(&files.cert, certificate.pem()).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

async fn start_tls(certificates: &Arc<Certificates>, limits: Limits) -> Running {
    let address = Address::Tcp(([127, 0, 0, 1], 0).into());
    let tls = Some(certificates.server_config(false).unwrap());
    Running::on(listener::bind(&[Binding { address, tls, mode: None }]).unwrap().remove(0), limits).await
}

/// One request over TLS by a client that trusts `files` only; what was answered, or why the handshake failed.
async fn ask_tls(
    gateway: &Running,
    files: &CertificateFiles,
    name: &'static str,
    alpn: &[&[u8]],
) -> Result<String, String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.cert).unwrap()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let address = gateway.address;
    let asked = tokio::task::spawn_blocking(move || {
        let connection = ClientConnection::new(Arc::new(config), ServerName::try_from(name).unwrap()).unwrap();
        let mut stream = StreamOwned::new(connection, std::net::TcpStream::connect(address)?);
        stream.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    });
    within(asked).await.unwrap().map_err(|error: std::io::Error| error.to_string())
}

#[tokio::test]
async fn tls_serves_each_name_its_certificate_and_replaces_them() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let (paie, rh) = (write_certificate(folder.path(), "paie.example"), write_certificate(folder.path(), "rh.example"));
    let certificates = Certificates::load(&[paie.clone(), rh.clone()]).unwrap();
    let gateway = start_tls(&certificates, Limits::default()).await;
    for (files, name) in [(&paie, "paie.example"), (&rh, "rh.example")] {
        let answer = ask_tls(&gateway, files, name, &[b"h2", b"http/1.1"]).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("/a "), "{answer}");
        assert!(gateway.upstream.take_seen()[0].contains(&format!("X-Peer: 127.0.0.1 true Some({name:?})")));
    }
    assert!(ask_tls(&gateway, &paie, "paie.example", &[b"h2"]).await.is_err(), "HTTP/2 is turned off");

    let renewed = write_certificate(folder.path(), "paie.example");
    assert!(ask_tls(&gateway, &renewed, "paie.example", &[]).await.is_err(), "the old certificate is in force");
    certificates.reload(&[renewed.clone(), rh]).unwrap();
    assert!(ask_tls(&gateway, &renewed, "paie.example", &[]).await.is_ok(), "the new one is");
}

#[tokio::test]
async fn a_tls_handshake_has_its_own_deadline() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::load(&[write_certificate(folder.path(), "paie.example")]).unwrap();
    let limits = Limits { handshake_timeout: Duration::from_millis(50), ..Limits::default() };
    let gateway = start_tls(&certificates, limits).await;
    let mut silent = gateway.connect().await;
    assert_eq!(read_to_end(&mut silent).await, "");
    gateway.open_connections(0).await;
}

#[tokio::test]
async fn a_handshake_that_hangs_does_not_hold_up_the_end() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::load(&[write_certificate(folder.path(), "paie.example")]).unwrap();
    let gateway = start_tls(&certificates, Limits { handshake_timeout: Duration::MAX, ..Limits::default() }).await;
    let mut silent = gateway.connect().await;
    gateway.open_connections(1).await;
    gateway.drain();
    assert_eq!(read_to_end(&mut silent).await, "");
    within(gateway.serving).await.unwrap();
}
