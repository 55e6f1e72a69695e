//! Calls through TLS and through an outbound proxy, over real sockets.

use std::io::{Read as _, Write as _};
use std::net::TcpListener as BlockingListener;
use std::sync::Mutex;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::*;
use crate::oidc::test_provider::{TestProvider, settings};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn server_config(authority: &Authority, name: &str, expired: bool) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if expired {
        params.not_after = date_time_ymd(2020, 1, 1);
        params.not_before = date_time_ymd(2019, 1, 1);
    }
    let certificate = params.signed_by(&key, authority).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap()
}

/// A TLS server that answers every request with `{}`; its port.
fn serve_tls(config: ServerConfig) -> u16 {
    let listener = BlockingListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            // A client that refuses the certificate is what some tests want.
            answer_once(&mut StreamOwned::new(connection, stream.unwrap())).ok();
        }
    });
    port
}

fn answer_once(stream: &mut StreamOwned<ServerConnection, std::net::TcpStream>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
    )?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// An outbound proxy that connects every tunnel to one port of ours, and remembers the heads that it was sent.
struct TestProxy {
    url: Url,
    heads: Arc<Mutex<Vec<String>>>,
}

impl TestProxy {
    async fn start(target: u16, answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://agent:p%40ss@{}", listener.local_addr().unwrap()).parse().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                seen.lock().unwrap().push(String::from_utf8(head).unwrap());
                client.write_all(answer.as_bytes()).await.unwrap();
                let mut server = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await.ok() });
            }
        });
        Self { url, heads }
    }
}

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";

async fn get(settings: &Settings, uri: &str) -> Result<Answer, CallError> {
    let limits = CallLimits { connect: Duration::from_millis(500), ..CallLimits::default() };
    let request = Request::get(uri).body(Full::default()).unwrap();
    BackChannel::new(settings, limits).unwrap().call(request).await
}

fn believing(ca: &[CertificateDer<'static>]) -> Settings {
    Settings { ca: ca.to_vec(), ..settings("https://localhost/", None) }
}

fn assert_refused(answer: Result<Answer, CallError>, cause: &str) {
    match answer {
        Err(CallError::Connect(text)) => assert!(text.contains(cause), "{text}"),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_private_authority_is_believed_where_it_is_configured() {
    let ca = authority();
    let port = serve_tls(server_config(&ca, "localhost", false));
    let uri = format!("https://localhost:{port}/");
    let answer = get(&believing(&[ca.der().clone()]), &uri).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (200, &b"{}"[..]));
    assert_refused(get(&believing(&[authority().der().clone()]), &uri).await, "invalid peer certificate");
}

#[test]
fn a_configured_authority_replaces_those_of_the_system() {
    assert_eq!(roots(&believing(&[authority().der().clone()])).unwrap().len(), 1);
}

#[tokio::test]
async fn a_certificate_of_another_name_or_time_is_refused() {
    let ca = authority();
    let settings = believing(&[ca.der().clone()]);
    let other_name = serve_tls(server_config(&ca, "localhost.evil.example", false));
    assert_refused(get(&settings, &format!("https://localhost:{other_name}/")).await, "not valid for name");
    let expired = serve_tls(server_config(&ca, "localhost", true));
    assert_refused(get(&settings, &format!("https://localhost:{expired}/")).await, "expired");
}

#[tokio::test]
async fn what_is_no_certificate_is_no_authority() {
    let ca = [CertificateDer::from(b"not DER".to_vec())];
    let refused = BackChannel::new(&believing(&ca), CallLimits::default()).err();
    assert!(matches!(refused, Some(SettingsError::Certificate(_))));
}

#[tokio::test]
async fn tls_goes_through_the_proxy_which_resolves_the_name() {
    let ca = authority();
    let port = serve_tls(server_config(&ca, "op.invalid", false));
    let proxy = TestProxy::start(port, ESTABLISHED).await;
    let settings = Settings { proxy: Some(proxy.url.clone()), ..believing(&[ca.der().clone()]) };
    let answer = get(&settings, "https://op.invalid/api").await.unwrap();
    assert_eq!(answer.body.as_ref(), b"{}");
    let expected = "CONNECT op.invalid:443 HTTP/1.1\r\nHost: op.invalid:443\r\n\
                    Proxy-Authorization: Basic YWdlbnQ6cEBzcw==\r\n\r\n";
    assert_eq!(*proxy.heads.lock().unwrap(), [expected]);
}

#[tokio::test]
async fn http_on_loopback_goes_through_the_proxy_too() {
    let op = TestProvider::start().await;
    let proxy = TestProxy::start(op.port, ESTABLISHED).await;
    let settings = Settings { proxy: Some(proxy.url.clone()), ..settings(&op.issuer, None) };
    let answer = get(&settings, &format!("{}/jwks", op.issuer)).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.media_type.as_str()), (200, "application/jwk-set+json"));
    let head = proxy.heads.lock().unwrap().remove(0);
    assert!(head.starts_with(&format!("CONNECT 127.0.0.1:{} HTTP/1.1\r\n", op.port)), "{head}");
    // Inside the tunnel the request is an ordinary one, and the proxy's credentials stay outside.
    let asked = op.asked("/jwks").remove(0);
    assert_eq!(asked.path_and_query, "/api/v2/jwks");
    assert!(!asked.headers.contains_key("proxy-authorization"));
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_as_the_cause() {
    let proxy = TestProxy::start(1, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    let settings = Settings { proxy: Some(proxy.url.clone()), ..believing(&[]) };
    assert_refused(get(&settings, "https://op.invalid/").await, "the proxy answered 407");
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_is_given_up() {
    // Accepts, and never says a word: neither TLS nor CONNECT comes to its end.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    assert_refused(get(&believing(&[authority().der().clone()]), &format!("https://{address}/")).await, "deadline");
    let proxy = Some(format!("http://{address}").parse().unwrap());
    assert_refused(get(&Settings { proxy, ..believing(&[]) }, "https://op.invalid/").await, "deadline");
}

#[tokio::test]
async fn every_call_says_who_asks_and_for_what() {
    let op = TestProvider::start().await;
    get(&settings(&op.issuer, None), &format!("{}/jwks", op.issuer)).await.unwrap();
    let asked = op.asked("/jwks").remove(0);
    assert_eq!(asked.headers["accept"], "application/json");
    assert!(asked.headers["user-agent"].to_str().unwrap().starts_with("portillon/"));
}

#[test]
fn the_media_type_is_one_and_without_parameters() {
    let with = |values: &[(http::HeaderName, &str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(name, value.parse().unwrap());
        }
        media_type(&headers)
    };
    assert_eq!(with(&[(CONTENT_TYPE, "Application/JWT ; charset=utf-8")]), "application/jwt");
    assert_eq!(with(&[]), "");
    assert_eq!(with(&[(CONTENT_TYPE, "application/json"), (CONTENT_TYPE, "application/jwt")]), "");
    assert_eq!(with(&[(CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, "gzip")]), "");
}

#[test]
fn a_date_that_a_cache_kept_tells_no_time() {
    let mut headers = HeaderMap::new();
    headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(date(&headers), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)));
    headers.insert(AGE, HeaderValue::from_static("5"));
    assert_eq!(date(&headers), None);
}
