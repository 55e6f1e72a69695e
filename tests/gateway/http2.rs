//! HTTP/2 towards agents (RFC 9113): the same identity, the same refusals, and streams that end with their session.

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, HeaderName, Method, Request, StatusCode};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use crate::harness::browser::parse;
use crate::harness::client::within;
use crate::harness::logs::Watch;
use crate::harness::upstream::tls::Identity;
use crate::harness::world::Plan;
use crate::harness::{Agent, Answer, Browser, HOME, PAIE, Who, World};
use crate::open_connections::{EVENTS, SOON, chunk, fresh_path, leave, logged};

/// A gateway with a second listener, which speaks TLS.
async fn start(mut plan: Plan) -> (World, Identity) {
    let identity = Identity::new(&[PAIE, "docs.test"]);
    let listeners = r#"[{ address = "127.0.0.1:0", tls = false }, { address = "127.0.0.1:0" }]"#;
    plan.site.set("server", "listen", "[]").set("server", "listener", listeners);
    let certificate = identity.write(plan.folder.path());
    plan.site.set("server.tls", "certificates", &format!("[{certificate}]"));
    (plan.start().await, identity)
}

/// A browser's connection to `paie.test`.
async fn connect(world: &World, identity: &Identity) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(world.gateway().second.unwrap()).await.unwrap();
    let connector = identity.connector_for(&[b"h2", b"http/1.1"]);
    let stream = connector.connect(ServerName::try_from(PAIE).unwrap(), socket).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    send.ready().await.unwrap()
}

/// A GET with the agent's cookies, one field each, as browsers send them over HTTP/2.
fn get(browser: &mut Browser, path: &str) -> Request<()> {
    let mut request = Request::get(format!("https://{PAIE}{path}")).body(()).unwrap();
    let cookies = browser.jar.header(&parse(HOME)).unwrap_or_default();
    for cookie in cookies.split("; ").filter(|cookie| !cookie.is_empty()) {
        request.headers_mut().append("cookie", cookie.parse().unwrap());
    }
    request
}

async fn ask(send: &mut SendRequest<Bytes>, request: Request<()>) -> (StatusCode, HeaderMap, String) {
    let (answer, _) = send.send_request(request, true).unwrap();
    let (parts, body) = within(answer).await.unwrap().into_parts();
    (parts.status, parts.headers, text(body).await)
}

async fn text(mut body: RecvStream) -> String {
    let mut bytes = Vec::new();
    while let Some(piece) = within(body.data()).await {
        bytes.extend(piece.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

/// The body of an event stream whose first event has arrived.
async fn opened(answer: ResponseFuture) -> RecvStream {
    let mut body = within(answer).await.unwrap().into_body();
    assert_eq!(within(body.data()).await.unwrap().unwrap(), "data: 1\n\n");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_learns_who_it_is_and_nobody_else_tells_it() {
    let (world, identity) = start(Plan::new().await).await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut send = connect(&world, &identity).await;
    world.expects(&Agent::angela(), "GET /a?b=%C3%A9");
    let mut request = get(&mut browser, "/a?b=%C3%A9");
    assert!(request.headers().get_all("cookie").iter().count() >= 1);
    for forged in ["x-agent-sub", "x_agent_sub", "x-agent_email", "signature", "x-forwarded-for", "forwarded"] {
        request.headers_mut().insert(HeaderName::from_static(forged), "forged".parse().unwrap());
    }
    request.headers_mut().append("cookie", "theirs=kept".parse().unwrap());
    let (status, headers, _) = ask(&mut send, request).await;
    assert_eq!((status.as_u16(), headers.contains_key("connection")), (200, false));
    let seen = world.upstream.last();
    assert_eq!(seen.head.value("host"), Some(PAIE));
    assert_eq!(seen.head.values("cookie"), ["theirs=kept"]);
    assert!(!format!("{seen:?}").contains("forged"), "{seen:?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_logged_in_is_sent_to_log_in_and_a_script_is_told() {
    let (world, identity) = start(Plan::new().await).await;
    let mut send = connect(&world, &identity).await;
    let mut stranger = world.browser();
    let mut navigation = get(&mut stranger, "/a");
    navigation.headers_mut().insert("sec-fetch-mode", "navigate".parse().unwrap());
    navigation.headers_mut().insert("sec-fetch-dest", "document".parse().unwrap());
    let (status, headers, _) = ask(&mut send, navigation).await;
    assert_eq!(status.as_u16(), 303);
    assert!(headers["location"].to_str().unwrap().starts_with(&world.provider.issuer()), "{headers:?}");
    let (status, headers, _) = ask(&mut send, get(&mut stranger, "/a")).await;
    assert_eq!((status.as_u16(), headers["content-type"].as_bytes()), (401, &b"application/problem+json"[..]));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_wants_a_connection_of_its_own() {
    let (world, identity) = start(Plan::new().await).await;
    let mut send = connect(&world, &identity).await;
    let request = Request::get("https://docs.test/a").body(()).unwrap();
    assert_eq!(ask(&mut send, request).await.0, StatusCode::MISDIRECTED_REQUEST);
    world.expects(Who::Public, "GET /public/a");
    let request = get(&mut world.browser(), "/public/a");
    assert_eq!(ask(&mut send, request).await.0, StatusCode::OK, "the connection is still good");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_beyond_the_limits_gets_a_page_of_ours() {
    let (world, identity) = start(Plan::new().await).await;
    let mut send = connect(&world, &identity).await;
    let long = format!("/{}", "a".repeat(9000));
    let mut request = get(&mut world.browser(), &long);
    request.headers_mut().insert("accept-language", "en".parse().unwrap());
    let (status, headers, page) = ask(&mut send, request.clone()).await;
    assert_eq!(status, StatusCode::URI_TOO_LONG);
    assert!(page.contains("<html lang=\"en\"") && page.contains(headers["x-request-id"].to_str().unwrap()), "{page}");
    assert!(headers.contains_key("content-security-policy"), "{headers:?}");
    *request.method_mut() = Method::HEAD;
    assert_eq!(ask(&mut send, request).await.2, "");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_is_reset_when_its_session_ends_and_no_other_stream_is() {
    let watch = Watch::start();
    let (world, identity) = start(Plan::new().await).await;
    let (path, other_path) = (fresh_path(), fresh_path());
    let (feeder, answer) = Answer::fed(EVENTS);
    let (other_feeder, other_answer) = Answer::fed(EVENTS);
    world.upstream.answer(&path, answer);
    world.upstream.answer(&other_path, other_answer);
    let (mut browser, mut other) = (world.logged_in(&Agent::angela()).await, world.logged_in(&Agent::angela()).await);
    // One connection for both sessions: no browser does that, but a proxy in front could.
    let mut send = connect(&world, &identity).await;
    for path in [&path, &other_path] {
        world.expects(&Agent::angela(), &format!("GET {path}"));
    }
    let (answer, _) = send.send_request(get(&mut browser, &path), true).unwrap();
    feeder.send(chunk("data: 1\n\n")).unwrap();
    let mut ends = opened(answer).await;
    let (answer, _) = send.send_request(get(&mut other, &other_path), true).unwrap();
    other_feeder.send(chunk("data: 1\n\n")).unwrap();
    let mut goes_on = opened(answer).await;

    let (_, left) = leave(&world, &mut browser).await;
    let error = within(ends.data()).await.unwrap().unwrap_err();
    assert!(error.is_reset() && error.is_remote(), "{error}");
    assert!(left.elapsed() < SOON, "{:?}", left.elapsed());
    other_feeder.send(chunk("data: 2\n\n")).unwrap();
    assert_eq!(within(goes_on.data()).await.unwrap().unwrap(), "data: 2\n\n");
    let lines = logged(&watch, &path).await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("stream_logged_out") && lines[0].contains("status=200"), "{lines:#?}");
    drop((goes_on, send));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_reset_all_the_same() {
    let watch = Watch::start();
    let (world, identity) = start(Plan::new().await).await;
    let path = fresh_path();
    let (feeder, answer) = Answer::fed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    world.upstream.answer(&path, answer);
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut send = connect(&world, &identity).await;
    world.expects(&Agent::angela(), &format!("GET {path}"));
    let (answer, _) = send.send_request(get(&mut browser, &path), true).unwrap();
    // More than its window holds, which it never opens again.
    let feeding = tokio::spawn(async move {
        while feeder.send(chunk(&"x".repeat(16 * 1024))).is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    });
    let mut body = within(answer).await.unwrap().into_body();
    let (_, left) = leave(&world, &mut browser).await;
    let error = within(async {
        loop {
            match body.data().await.unwrap() {
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    })
    .await;
    assert!(error.is_reset(), "{error}");
    assert!(left.elapsed() < SOON, "{:?}", left.elapsed());
    assert!(logged(&watch, &path).await[0].contains("stream_logged_out"));
    feeding.abort();
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_without_a_body_is_a_whole_answer() {
    let mut plan = Plan::new().await;
    plan.site.route("paie").line(r#"logout_paths = ["/deconnexion"]"#);
    let (world, identity) = start(plan).await;
    for path in ["/broken", "/deconnexion"] {
        world.upstream.answer(path, Answer::hang_up());
        // The connection may be an old one, and then another is tried.
        for method in ["GET", "GET", "HEAD", "HEAD"] {
            world.upstream.tolerates(&Agent::angela(), &format!("{method} {path}"));
        }
    }
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut send = connect(&world, &identity).await;
    let mut request = get(&mut browser, "/broken");
    *request.method_mut() = Method::HEAD;
    assert_eq!(ask(&mut send, request).await.0, StatusCode::BAD_GATEWAY);
    assert_eq!(ask(&mut send, get(&mut browser, "/deconnexion")).await.0, StatusCode::SEE_OTHER);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_who_goes_elsewhere_is_no_failure() {
    let watch = Watch::start();
    let (world, identity) = start(Plan::new().await).await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut send = connect(&world, &identity).await;
    let (path, slow) = (fresh_path(), fresh_path());
    let (feeder, answer) = Answer::fed(EVENTS);
    let (_never, thinking) = Answer::fed("");
    world.upstream.answer(&path, answer);
    world.upstream.answer(&slow, thinking);
    for path in [&path, &slow] {
        world.expects(&Agent::angela(), &format!("GET {path}"));
    }
    let (answer, mut stream) = send.send_request(get(&mut browser, &path), true).unwrap();
    feeder.send(chunk("data: 1\n\n")).unwrap();
    let _open = opened(answer).await;
    stream.send_reset(h2::Reason::CANCEL);
    let lines = logged(&watch, &path).await;
    assert!(lines[0].contains("reason=\"session\""), "{lines:#?}");
    let (_answer, mut stream) = send.send_request(get(&mut browser, &slow), true).unwrap();
    world.upstream.until(|log| log.received.iter().any(|request| request.line() == format!("GET {slow}"))).await;
    stream.send_reset(h2::Reason::CANCEL);
    let lines = logged(&watch, &slow).await;
    assert!(lines[0].contains("reason=\"session\""), "{lines:#?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_taken_back_is_no_failure_of_an_application() {
    let watch = Watch::start();
    let (world, identity) = start(Plan::new().await).await;
    let mut send = connect(&world, &identity).await;
    let path = format!("/.portillon/logout?{}", &fresh_path()[1..]);
    let form = Request::post(format!("https://{PAIE}{path}")).body(()).unwrap();
    let (_answer, mut stream) = send.send_request(form, false).unwrap();
    stream.send_data(Bytes::from_static(b"half"), false).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    stream.send_reset(h2::Reason::CANCEL);
    let lines = logged(&watch, "/.portillon/logout").await;
    assert!(lines[0].contains("reason=\"endpoint\""), "{lines:#?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_after_the_end_of_its_session_does_not_look_whole() {
    let (world, identity) = start(Plan::new().await).await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut send = connect(&world, &identity).await;
    let path = fresh_path();
    let (feeder, answer) = Answer::fed("");
    world.upstream.answer(&path, answer);
    world.expects(&Agent::angela(), &format!("GET {path}"));
    let (answer, _) = send.send_request(get(&mut browser, &path), true).unwrap();
    world.upstream.until(|log| log.received.iter().any(|request| request.line() == format!("GET {path}"))).await;
    leave(&world, &mut browser).await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let whole = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsecret\r\n0\r\n\r\n";
    feeder.send(whole.as_bytes().to_vec()).unwrap();
    let error = within(answer).await.unwrap_err();
    assert!(error.is_reset(), "{error}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_ends_once_for_the_application() {
    let (world, identity) = start(Plan::new().await).await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut send = connect(&world, &identity).await;
    for (pieces, body) in
        [(&["hello", ""][..], "hello"), (&["hello"], "hello"), (&[""], ""), (&["", "hello", "", ""], "hello")]
    {
        world.expects(&Agent::angela(), "POST /a");
        let mut request = get(&mut browser, "/a");
        *request.method_mut() = Method::POST;
        let (answer, mut stream) = send.send_request(request, false).unwrap();
        let (last, first) = pieces.split_last().unwrap();
        for piece in first {
            stream.send_data(Bytes::from_static(piece.as_bytes()), false).unwrap();
            // So that it is read by itself.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        stream.send_data(Bytes::from_static(last.as_bytes()), true).unwrap();
        assert_eq!(within(answer).await.unwrap().status(), StatusCode::OK, "{pieces:?}");
        assert_eq!(world.upstream.last().body, body.as_bytes(), "{pieces:?}");
    }
    world.finish().await;
}
