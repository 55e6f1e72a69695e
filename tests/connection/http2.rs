//! HTTP/2 (RFC 9113): honest clients, and those of C-SMUG-12, C-SMUG-14 and C-DOS-2.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use portillon::listener::tls::{CertificateFiles, Certificates};
use portillon::listener::{self, Address, Binding, Limits};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::{BIG, Running, within};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame (RFC 9113 section 6.5).
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// A gateway that speaks TLS, and the one client that trusts it.
struct World {
    gateway: Running,
    connector: TlsConnector,
}

impl World {
    async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    async fn with(limits: Limits) -> Self {
        // Another test of this process may have been faster.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let files = certificate(folder.path());
        let tls = Some(Certificates::load(std::slice::from_ref(&files)).unwrap().server_config(true).unwrap());
        let address = Address::Tcp(([127, 0, 0, 1], 0).into());
        let bound = listener::bind(&[Binding { address, tls, mode: None }]).unwrap().remove(0);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&files.cert).unwrap()).unwrap();
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self { gateway: Running::on(bound, limits).await, connector: TlsConnector::from(Arc::new(config)) }
    }

    /// A connection on which nothing was said yet.
    async fn raw(&self) -> TlsStream<TcpStream> {
        let name = ServerName::try_from("a.test").unwrap();
        let stream = self.connector.connect(name, self.gateway.connect().await).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        stream
    }

    async fn client(&self) -> Client {
        let (send, connection) = h2::client::handshake(self.raw().await).await.unwrap();
        Client { send, ended: tokio::spawn(connection) }
    }
}

fn certificate(folder: &Path) -> CertificateFiles {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["a.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let files = CertificateFiles { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
    fs::write(&files.cert, certificate.pem()).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

/// A browser's connection.
struct Client {
    send: SendRequest<Bytes>,
    ended: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    /// Sends a head; the answer to come, and where the body goes.
    async fn begin(&mut self, request: Request<()>, ends: bool) -> (ResponseFuture, SendStream<Bytes>) {
        self.send = within(self.send.clone().ready()).await.unwrap();
        self.send.send_request(request, ends).unwrap()
    }

    async fn ask(&mut self, request: Request<()>) -> Result<(StatusCode, HeaderMap, String), h2::Error> {
        let (answer, _) = self.begin(request, true).await;
        whole(answer).await
    }

    async fn get(&mut self, path: &str) -> Result<(StatusCode, HeaderMap, String), h2::Error> {
        self.ask(get(path)).await
    }
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("https://a.test{path}")).body(()).unwrap()
}

async fn whole(answer: ResponseFuture) -> Result<(StatusCode, HeaderMap, String), h2::Error> {
    let (parts, mut body) = within(answer).await?.into_parts();
    let mut text = String::new();
    while let Some(piece) = next_piece(&mut body).await? {
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    Ok((parts.status, parts.headers, text))
}

async fn next_piece(body: &mut RecvStream) -> Result<Option<Bytes>, h2::Error> {
    let piece = within(body.data()).await.transpose()?;
    if let Some(piece) = &piece {
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    Ok(piece)
}

async fn eventually(condition: impl Fn() -> bool) {
    within(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_application_gets_http_1() {
    let world = World::start().await;
    let mut client = world.client().await;
    let request = Request::post("https://a.test/a?b=c")
        .header("cookie", "one=1")
        .header("cookie", "two=2")
        .header("cookie", "three=3")
        .body(())
        .unwrap();
    let (answer, mut body) = client.begin(request, false).await;
    body.send_data(Bytes::from_static(b"hello"), true).unwrap();
    let (status, headers, text) = whole(answer).await.unwrap();
    assert_eq!((status.as_u16(), headers.contains_key("transfer-encoding")), (200, false));
    assert_eq!(text, "/a?b=c 5\r\nhello\r\n0\r\n\r\n");
    let seen = world.gateway.upstream.take_seen().remove(0);
    assert!(seen.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{seen}");
    assert!(seen.to_lowercase().contains("\r\nhost: a.test\r\n"), "{seen}");
    assert!(seen.to_lowercase().contains("\r\ncookie: one=1; two=2; three=3\r\n"), "{seen}");
    assert!(seen.contains("X-Peer: 127.0.0.1 true Some(\"a.test\")"), "{seen}");
}

#[tokio::test]
async fn a_slow_answer_holds_up_no_other() {
    let world = World::start().await;
    let mut client = world.client().await;
    let (slow, _) = client.begin(get("/slow"), true).await;
    within(world.gateway.upstream.arrived.notified()).await;
    for turn in 0..50 {
        assert_eq!(client.get(&format!("/{turn}")).await.unwrap().2, format!("/{turn} "));
    }
    assert_eq!((world.gateway.counters.accepted(), world.gateway.counters.requests()), (1, 1));
    world.gateway.upstream.release.notify_one();
    assert_eq!(whole(slow).await.unwrap().2, "/slow ");
}

#[tokio::test]
async fn a_kill_resets_its_stream_and_no_other() {
    for hard in [false, true] {
        let world = World::start().await;
        let mut client = world.client().await;
        let (answer, _) = client.begin(get("/stream"), true).await;
        let mut body = within(answer).await.unwrap().into_body();
        assert_eq!(next_piece(&mut body).await.unwrap().unwrap(), "hello");
        let kill = world.gateway.last_kill();
        let (other, _) = client.begin(get("/slow"), true).await;
        within(world.gateway.upstream.arrived.notified()).await;
        if hard {
            kill.hard();
        } else {
            kill.soft();
        }
        let error = next_piece(&mut body).await.unwrap_err();
        assert!(error.is_reset() && error.is_remote(), "{error}");
        world.gateway.upstream.release.notify_one();
        assert_eq!(whole(other).await.unwrap().2, "/slow ");
        eventually(|| world.gateway.counters.requests() == 0).await;
    }
}

#[tokio::test]
async fn a_client_that_resets_its_stream_ends_its_request() {
    let world = World::start().await;
    let mut client = world.client().await;
    let (answer, mut stream) = client.begin(get("/stream"), true).await;
    let mut body = within(answer).await.unwrap().into_body();
    assert_eq!(next_piece(&mut body).await.unwrap().unwrap(), "hello");
    stream.send_reset(Reason::CANCEL);
    eventually(|| world.gateway.counters.requests() == 0).await;
    assert_eq!(client.get("/after").await.unwrap().2, "/after ");
}

#[tokio::test]
async fn what_no_upstream_should_read_is_refused_and_the_connection_goes_on() {
    let world = World::start().await;
    let mut client = world.client().await;
    let long = format!("/{}", "a".repeat(8 * 1024));
    let many: Vec<_> = (0..100).map(|number| (format!("x-{number}"), "1".to_owned())).collect();
    let large = vec![("x-large".to_owned(), "a".repeat(32 * 1024))];
    let named = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let cases = [
        (Method::GET, long.as_str(), vec![], 414, "request_line_too_long"),
        (Method::GET, "/", many, 431, "too_many_fields"),
        (Method::GET, "/", large, 431, "head_too_large"),
        (Method::TRACE, "/", vec![], 405, "method_not_allowed"),
        (Method::GET, "/a\"b", vec![], 400, "target_illegal_byte"),
        (Method::POST, "/", named("transfer_encoding", "chunked"), 400, "field_name_disguised"),
        (Method::POST, "/", named("content_length", "5"), 400, "field_name_disguised"),
        (Method::POST, "/", named("expect", "200-ok"), 417, "expectation_unknown"),
        (Method::HEAD, "/a\"b", vec![], 400, "target_illegal_byte"),
    ];
    for (method, path, fields, status, reason) in cases {
        let mut request = Request::builder().method(&method).uri(format!("https://a.test{path}")).body(()).unwrap();
        for (name, value) in fields {
            request
                .headers_mut()
                .append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let (given, headers, text) = client.ask(request).await.unwrap();
        assert_eq!((given.as_u16(), headers["x-reason"].to_str().unwrap()), (status, reason), "{method} {path}");
        assert_eq!(text, "", "{method} {path}");
        assert_eq!(world.gateway.upstream.take_lines(), [""; 0], "{method} {path}");
    }
    assert_eq!(world.gateway.counters.refused_heads(), 9);
    assert_eq!(client.get("/clean").await.unwrap().2, "/clean ");
}

#[tokio::test]
async fn a_tunnel_is_refused() {
    let world = World::start().await;
    let mut client = world.client().await;
    let request = Request::builder().method(Method::CONNECT).uri(Uri::from_static("a.test:443")).body(()).unwrap();
    assert_eq!(client.ask(request).await.unwrap().0, 405);
    assert_eq!(client.get("/clean").await.unwrap().2, "/clean ");
    assert_eq!(world.gateway.upstream.take_lines(), ["GET /clean HTTP/1.1"]);
}

#[tokio::test]
async fn a_host_that_is_not_the_authority_is_refused() {
    let world = World::start().await;
    let mut client = world.client().await;
    let mut request = get("/");
    request.headers_mut().insert("host", "b.test".parse().unwrap());
    assert_eq!(client.ask(request).await.unwrap().0, 400);
    assert_eq!(client.get("/clean").await.unwrap().2, "/clean ");
    assert_eq!(world.gateway.upstream.take_lines(), ["GET /clean HTTP/1.1"]);
    assert_eq!(world.gateway.counters.refused_heads(), 1);
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_declared_is_no_request() {
    let world = World::start().await;
    let mut client = world.client().await;
    for (declared, sent) in [("4", "longer"), ("9", "short")] {
        let request = Request::post("https://a.test/").header("content-length", declared).body(()).unwrap();
        let (answer, mut body) = client.begin(request, false).await;
        body.send_data(Bytes::from_static(sent.as_bytes()), true).unwrap();
        let answer = whole(answer).await;
        assert!(answer.is_err(), "{declared} {sent}: {answer:?}");
        assert_eq!(world.gateway.upstream.take_lines(), [""; 0], "{declared} {sent}");
    }
    assert_eq!(client.get("/clean").await.unwrap().2, "/clean ");
}

#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    let limits = Limits { body_patience: Duration::from_millis(150), min_body_rate: 1 << 20, ..Limits::default() };
    let world = World::with(limits).await;
    let mut client = world.client().await;
    let (answer, mut body) = client.begin(Request::post("https://a.test/").body(()).unwrap(), false).await;
    let dripping = tokio::spawn(async move {
        while body.send_data(Bytes::from_static(b"x"), false).is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let error = within(answer).await.unwrap_err();
    assert!(error.is_reset(), "{error}");
    within(dripping).await.unwrap();
    assert_eq!(world.gateway.upstream.take_lines(), [""; 0]);
    assert_eq!(client.get("/clean").await.unwrap().2, "/clean ");
}

#[tokio::test]
async fn a_body_of_which_nothing_came_yet_is_not_slow() {
    let limits = Limits { body_patience: Duration::from_millis(20), ..Limits::default() };
    let world = World::with(limits).await;
    let mut client = world.client().await;
    let (answer, mut body) = client.begin(Request::post("https://a.test/").body(()).unwrap(), false).await;
    eventually(|| world.gateway.counters.requests() == 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    body.send_data(Bytes::from_static(b"late"), true).unwrap();
    assert_eq!(whole(answer).await.unwrap().2, "/ 4\r\nlate\r\n0\r\n\r\n");
}

#[tokio::test]
async fn requests_are_no_more_than_connections_may_be_and_one_refused_may_be_sent_again() {
    let world = World::with(Limits { max_connections: 2, ..Limits::default() }).await;
    let mut client = world.client().await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        slow.push(client.begin(get("/slow"), true).await.0);
        within(world.gateway.upstream.arrived.notified()).await;
    }
    let error = client.get("/one-too-many").await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::REFUSED_STREAM), "{error}");
    assert_eq!(world.gateway.counters.refused_heads(), 1);
    for answer in slow {
        world.gateway.upstream.release.notify_one();
        assert_eq!(whole(answer).await.unwrap().2, "/slow ");
    }
    eventually(|| world.gateway.counters.requests() == 0).await;
    assert_eq!(client.get("/again").await.unwrap().2, "/again ");
    assert_eq!(world.gateway.upstream.take_lines().len(), 3);
}

#[tokio::test]
async fn a_drain_lets_requests_finish_and_takes_no_more() {
    let world = World::start().await;
    let mut client = world.client().await;
    let (slow, _) = client.begin(get("/slow"), true).await;
    within(world.gateway.upstream.arrived.notified()).await;
    world.gateway.drain();
    world.gateway.upstream.release.notify_one();
    assert_eq!(whole(slow).await.unwrap().2, "/slow ");
    within(client.ended).await.unwrap().unwrap();
    within(world.gateway.serving).await.unwrap();
}

#[tokio::test]
async fn a_connection_serves_so_many_requests_and_says_that_it_ends() {
    let world = World::with(Limits { keepalive_requests: 3, ..Limits::default() }).await;
    let mut client = world.client().await;
    for turn in 0..3 {
        assert_eq!(client.get(&format!("/{turn}")).await.unwrap().0, 200);
    }
    within(client.ended).await.unwrap().unwrap();
    world.gateway.open_connections(0).await;
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let short = Duration::from_millis(50);
    let world = World::with(Limits { head_timeout: short, keep_alive: short, ..Limits::default() }).await;
    let mut silent = world.raw().await;
    let idle = world.client().await;
    let mut served = world.client().await;
    assert_eq!(served.get("/").await.unwrap().0, 200);
    let _ = within(silent.read_to_end(&mut Vec::new())).await;
    within(idle.ended).await.unwrap().unwrap();
    within(served.ended).await.unwrap().unwrap();
    // One that answers nothing, not even the farewell, goes all the same.
    let mut mute = world.raw().await;
    mute.write_all(&[PREFACE, SETTINGS].concat()).await.unwrap();
    let _ = within(mute.read_to_end(&mut Vec::new())).await;
    world.gateway.open_connections(0).await;
}

#[tokio::test]
async fn requests_in_flight_when_the_client_vanishes_end() {
    let world = World::start().await;
    let mut client = world.client().await;
    let (answer, _) = client.begin(get("/stream"), true).await;
    let body = within(answer).await.unwrap().into_body();
    client.ended.abort();
    drop((client, body));
    world.gateway.open_connections(0).await;
    eventually(|| world.gateway.counters.requests() == 0).await;
}

#[tokio::test]
async fn what_the_gateway_began_itself_is_done_though_the_client_vanishes() {
    let world = World::start().await;
    let mut client = world.client().await;
    let _answer = client.begin(get("/own"), true).await;
    eventually(|| world.gateway.counters.requests() == 1).await;
    client.ended.abort();
    drop(client);
    within(world.gateway.done.notified()).await;
    world.gateway.open_connections(0).await;
}

#[tokio::test]
async fn a_client_that_sends_nothing_but_malformed_requests_is_left() {
    let world = World::start().await;
    let mut client = world.client().await;
    let mut refused = 0;
    for _ in 0..1000 {
        let Ok(send) = within(client.send.clone().ready()).await else { break };
        client.send = send;
        let mut request = get("/");
        request.headers_mut().insert("host", "b.test".parse().unwrap());
        let Ok((answer, _)) = client.send.send_request(request, true) else { break };
        if whole(answer).await.is_err() {
            break;
        }
        refused += 1;
    }
    assert!((30..40).contains(&refused), "{refused}");
    world.gateway.open_connections(0).await;
}

/// A frame of `kind` on `stream` (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The head of `GET https://a.test/flood` in HPACK without indexing (RFC 7541 section 6.2.2).
fn flood_head() -> Vec<u8> {
    let authority = [&[0x01, 6][..], b"a.test"].concat();
    let path = [&[0x04, 6][..], b"/flood"].concat();
    // :method GET and :scheme https are in the static table.
    [&[0x82, 0x87][..], &authority, &path].concat()
}

/// Writes `frames` again and again until the gateway has had enough, reading what it says meanwhile; how many went.
async fn flood(world: &World, mut frames: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let (mut read, mut write) = tokio::io::split(world.raw().await);
    let reading = tokio::spawn(async move {
        let mut said = Vec::new();
        let _ = read.read_to_end(&mut said).await;
        said
    });
    write.write_all(&[PREFACE, SETTINGS].concat()).await.unwrap();
    let mut written = 0;
    let ended: io::Result<()> = within(async {
        while written < 200_000 {
            write.write_all(&frames(written)).await?;
            written += 1;
        }
        Ok(())
    })
    .await;
    assert!(ended.is_err(), "{written} were not enough");
    drop(write);
    let said = within(reading).await.unwrap();
    assert!(!said.is_empty());
    written
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_are_cut_off_and_nobody_else_notices() {
    let world = World::start().await;
    let mut bystander = world.client().await;
    let head = flood_head();
    // Rapid reset (CVE-2023-44487): a request and its reset, for ever.
    flood(&world, |turn| {
        let stream = 2 * turn + 1;
        [frame(1, 0x5, stream, &head), frame(3, 0, stream, &8_u32.to_be_bytes())].concat()
    })
    .await;
    assert_eq!(bystander.get("/one").await.unwrap().2, "/one ");
    // MadeYouReset (CVE-2025-8671): a request, and a window of nothing, which the server must reset for.
    flood(&world, |turn| {
        let stream = 2 * turn + 1;
        [frame(1, 0x5, stream, &head), frame(8, 0, stream, &0_u32.to_be_bytes())].concat()
    })
    .await;
    assert_eq!(bystander.get("/two").await.unwrap().2, "/two ");
    // A head without end (CVE-2024-27316): CONTINUATION after CONTINUATION.
    let filler = [&[0x00, 1][..], b"x", &[0x7f, 0x81, 0x01], &[b'y'; 256]].concat();
    flood(&world, |turn| if turn == 0 { frame(1, 0, 1, &head) } else { frame(9, 0, 1, &filler) }).await;
    assert_eq!(bystander.get("/three").await.unwrap().2, "/three ");
    eventually(|| world.gateway.counters.connections() == 1).await;
    eventually(|| world.gateway.counters.requests() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_nothing_holds_no_connection() {
    let short = Duration::from_millis(50);
    let world = World::with(Limits { head_timeout: short, keep_alive: short, ..Limits::default() }).await;
    // A frame of no known type, which is ignored (section 5.5): nothing is owed for it, and it comes faster than it is read.
    let nothing = frame(0xff, 0, 0, b"x").repeat(5000);
    flood(&world, |_| nothing.clone()).await;
    world.gateway.open_connections(0).await;
}

/// The payloads of the DATA frames in `said`: their bytes, and how many were the last of their stream.
fn answers(mut said: &[u8]) -> (usize, usize) {
    let (mut bytes, mut ends) = (0, 0);
    while let [a, b, c, kind, flags, _, _, _, _, rest @ ..] = said {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        if *kind == 0 {
            bytes += length;
            ends += usize::from(flags & 1);
        }
        said = rest.get(length..).unwrap_or_default();
    }
    (bytes, ends)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_slowly_gets_the_last_answers_of_its_connection() {
    const REQUESTS: u32 = 100;
    let world = World::with(Limits { keepalive_requests: REQUESTS, ..Limits::default() }).await;
    let mut client = world.raw().await;
    // Windows in which everything fits at once (section 6.5.2 and 6.9).
    let window = [&4_u16.to_be_bytes()[..], &1_000_000_u32.to_be_bytes()].concat();
    let mut asked = [PREFACE, &frame(4, 0, 0, &window), &frame(8, 0, 0, &100_000_000_u32.to_be_bytes())].concat();
    let head = [flood_head()[..10].to_vec(), [&[0x04, 4][..], b"/big"].concat()].concat();
    for turn in 0..REQUESTS {
        asked.extend(frame(1, 0x5, 2 * turn + 1, &head));
    }
    client.write_all(&asked).await.unwrap();
    let mut said = vec![0; 1 << 19];
    // For longer than a client may take to go: more than the kernel holds is still here then.
    for piece in said.chunks_mut(1 << 15) {
        tokio::time::sleep(Duration::from_millis(250)).await;
        within(client.read_exact(piece)).await.unwrap();
    }
    assert_eq!((world.gateway.counters.requests(), world.gateway.counters.connections()), (0, 1));
    let _ = within(client.read_to_end(&mut said)).await;
    assert_eq!(answers(&said), (BIG * REQUESTS as usize, REQUESTS as usize));
    world.gateway.open_connections(0).await;
}
