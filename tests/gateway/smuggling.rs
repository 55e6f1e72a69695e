//! Framing: one request in, one request out, and nothing between (threats.md C-SMUG, C-HDR-7 and C-DOS-1).

use std::time::{Duration, Instant};

use crate::harness::browser::parse;
use crate::harness::client::within;
use crate::harness::{Agent, Answer, Connection, HOME, PAIE, Plan, Request, Response, Who, World};

/// What the gateway answers to these bytes until it closes, or until it waits for more.
async fn raw(world: &World, bytes: impl AsRef<[u8]>) -> (Vec<Response>, Connection) {
    let mut connection = world.connect().await;
    connection.send(bytes).await;
    let mut answers = Vec::new();
    let quiet = Duration::from_millis(400);
    while let Ok(Some(answer)) = tokio::time::timeout(quiet, connection.try_response("GET")).await {
        answers.push(answer);
    }
    (answers, connection)
}

/// Each of these is refused before anything reaches the application, and the connection ends.
async fn all_refused(world: &World, cases: Vec<Vec<u8>>) {
    for bytes in cases {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let mut connection = world.connect().await;
        connection.send(&bytes).await;
        let answer = connection.try_response("GET").await;
        let status = answer.as_ref().map(|answer| answer.status);
        assert!(matches!(status, None | Some(400 | 405 | 411 | 413 | 414 | 431 | 501 | 505)), "{status:?}: {shown:?}");
        assert!(connection.ends().await, "the connection ends after {shown:?}");
        if let Some(answer) = answer {
            assert!(answer.is_own() && answer.header("server") != Some("Pingora"), "{shown:?}: {:?}", answer.head);
        }
    }
    // A clean request on a new connection is answered as ever.
    world.expects(Who::Public, "GET /public/clean");
    assert_eq!(world.send(&Request::get(PAIE, "/public/clean")).await.status, 200);
}

fn post(fields: &str, body: &str) -> Vec<u8> {
    format!("POST /public/a HTTP/1.1\r\nHost: {PAIE}\r\n{fields}\r\n{body}").into_bytes()
}

/// A world where a POST may reach the application without a session, as an attacker would like it.
async fn open_world() -> World {
    let mut plan = Plan::new().await;
    plan.site.route("paie").public("/public/", &["POST", "OPTIONS"]);
    plan.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn content_length_with_transfer_encoding_is_refused() {
    // C-SMUG-1
    let world = open_world().await;
    let smuggled = "GET /admin HTTP/1.1\r\nHost: paie.test\r\n\r\n";
    all_refused(
        &world,
        vec![
            post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nX"),
            post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", &format!("0\r\n\r\n{smuggled}")),
            post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", &format!("0\r\n\r\n{smuggled}")),
            post("content-length: 5\r\ntransfer-encoding: CHUNKED\r\n", "0\r\n\r\n"),
        ],
    )
    .await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_length_that_is_no_length_is_refused() {
    // C-SMUG-2
    let world = open_world().await;
    let values = ["5, 6", "+5", "0x5", "-0", "-5", "1e1", "", "18446744073709551616", "5 5", "5;", "５", "5,", "\x0b5"];
    let mut cases: Vec<_> = values.iter().map(|value| post(&format!("Content-Length: {value}\r\n"), "12345")).collect();
    cases.push(post("Content-Length: 5\r\nContent-Length: 6\r\n", "12345"));
    cases.push(post("Content-Length: 5\r\nContent-Length: \r\n", "12345"));
    cases.push(post("Content-Length : 5\r\n", "12345"));
    cases.push(post("Content_Length: 5\r\nContent-Length: 6\r\nContent-Length: 5\r\n", "12345"));
    all_refused(&world, cases).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_equal_content_length_is_refused_or_one() {
    // C-SMUG-2
    let world = open_world().await;
    for fields in ["Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5, 5\r\n", "Content-Length: 05\r\n"] {
        world.upstream.tolerates(Who::Public, "POST /public/a");
        let (answers, _) = raw(&world, post(fields, "12345")).await;
        assert!(answers.len() <= 1 && answers.iter().all(|answer| matches!(answer.status, 200 | 400)), "{fields:?}");
    }
    for request in &world.upstream.log().received {
        assert_eq!((request.body.as_slice(), request.head.values("content-length").len()), (&b"12345"[..], 1));
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_encoding_other_than_chunked_is_refused() {
    // C-SMUG-3
    let world = open_world().await;
    let values = [
        "chunked, identity",
        "identity",
        "xchunked",
        "chunked, chunked",
        ",chunked",
        "chunked,",
        "gzip, chunked",
        "chunked;x=1",
        "\x0bchunked",
        "\x0cchunked",
        "chunked\x0b",
        "chunked\0",
        "\"chunked\"",
        "chunk ed",
        "",
    ];
    let chunked = "3\r\nabc\r\n0\r\n\r\n";
    let mut cases: Vec<_> = values.iter().map(|v| post(&format!("Transfer-Encoding: {v}\r\n"), chunked)).collect();
    for fields in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "X: y\r\n Transfer-Encoding: chunked\r\n",
        "Transfer_Encoding: chunked\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Transfer-Encoding\0: chunked\r\n",
        "\tTransfer-Encoding: chunked\r\n",
    ] {
        cases.push(post(fields, chunked));
    }
    all_refused(&world, cases).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_chunks_end_the_connection() {
    let world = open_world().await;
    for body in [
        "x\r\nabc\r\n0\r\n\r\n",
        "-1\r\n",
        "ffffffffffffffffff\r\nabc",
        "3\nabc\n0\n\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "\r\n",
    ] {
        world.upstream.tolerates(Who::Public, "POST /public/a");
        let (answers, mut connection) = raw(&world, post("Transfer-Encoding: chunked\r\n", body)).await;
        assert_eq!(answers.len(), 1, "{body:?}: {answers:?}");
        assert!(answers[0].status == 400 && answers[0].is_own(), "{body:?}: {answers:?}");
        assert!(connection.ends().await, "{body:?}");
    }
    assert!(world.upstream.log().received.iter().all(|request| !request.complete), "no half request is made whole");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_versions_of_http_are_refused() {
    // C-SMUG-4
    let world = open_world().await;
    let request =
        |version: &str, fields: &str| format!("POST /public/a {version}\r\nHost: {PAIE}\r\n{fields}\r\n").into_bytes();
    all_refused(
        &world,
        vec![
            request("HTTP/1.0", "Transfer-Encoding: chunked\r\n"),
            request("HTTP/1.2", "Content-Length: 0\r\n"),
            request("HTTP/2.0", "Content-Length: 0\r\n"),
            request("HTTP/0.9", ""),
            request("http/1.1", ""),
            request("HTTP/1.1x", ""),
            b"GET /public/a\r\n\r\n".to_vec(),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        ],
    )
    .await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_servers_read_differently_are_refused() {
    // C-SMUG-18, C-HDR-2, C-HDR-4
    let world = open_world().await;
    let get = |head: &str| format!("GET /public/a HTTP/1.1\r\n{head}\r\n").into_bytes();
    let mut cases = vec![
        b"GET /public/a HTTP/1.1\nHost: paie.test\n\n".to_vec(),
        b"GET /public/a HTTP/1.1\r\nHost: paie.test\nX: y\r\n\r\n".to_vec(),
        b"GET /public/a HTTP/1.1\rHost: paie.test\r\r".to_vec(),
        b"GET /public/a HTTP/1.1\r\nHost: paie.test\r\nX: a\rb\r\n\r\n".to_vec(),
        b"GET /public/a HTTP/1.1\r\nHost: paie.test\r\nX: a\0b\r\n\r\n".to_vec(),
        b"GET /public/a HTTP/1.1\r\nHost: paie.test\r\nX\xe9: a\r\n\r\n".to_vec(),
        b"GET  /public/a HTTP/1.1\r\nHost: paie.test\r\n\r\n".to_vec(),
        b"GET /public/a  HTTP/1.1\r\nHost: paie.test\r\n\r\n".to_vec(),
        b"GET\t/public/a\tHTTP/1.1\r\nHost: paie.test\r\n\r\n".to_vec(),
        b"G ET /public/a HTTP/1.1\r\nHost: paie.test\r\n\r\n".to_vec(),
        b"G\xe9T /public/a HTTP/1.1\r\nHost: paie.test\r\n\r\n".to_vec(),
        b" GET /public/a HTTP/1.1\r\nHost: paie.test\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
    ];
    cases.extend(
        [
            "",
            "Host: paie.test\r\nHost: paie.test\r\n",
            "Host: paie.test\r\nHost: evil.test\r\n",
            "Host: \r\n",
            "Host: paie.test, evil.test\r\n",
            "Host: user@paie.test\r\n",
            "Host: paie.test/x\r\n",
            " Host: paie.test\r\n",
            "Host: paie.test\r\nno colon here\r\n",
            "Host: paie.test\r\n: no name\r\n",
            "Host: paie.test\r\nX : y\r\n",
            "Host: paie.test\r\nX\t: y\r\n",
            "Host: paie.test\r\nX: a\r\n folded\r\n",
        ]
        .map(get),
    );
    all_refused(&world, cases).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_missing_in_http_1_0_is_refused_too() {
    let world = open_world().await;
    all_refused(&world, vec![b"GET /public/a HTTP/1.0\r\n\r\n".to_vec()]).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_and_trace_are_refused() {
    // C-SMUG-12, C-RSP-4
    let world = open_world().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for line in ["CONNECT paie.test:443", "CONNECT /", "CONNECT paie.test", "TRACE /", "TRACE /public/a"] {
        let mut request = Request::get(PAIE, "/");
        request.line = line.to_owned();
        let request = browser.with_cookies(&parse(HOME), request);
        let mut connection = world.connect().await;
        connection.send(request.to_bytes()).await;
        let answer = connection.try_response("GET").await;
        assert!(answer.as_ref().is_none_or(|a| matches!(a.status, 400 | 405 | 501)), "{line}: {answer:?}");
        assert!(answer.is_none_or(|answer| !answer.text().contains("__Host-")), "{line} echoes nothing");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_judged_one_by_one() {
    // C-SMUG-16: the cookie of the first opens nothing for those behind it.
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let first = browser.with_cookies(&parse(HOME), Request::get(PAIE, "/first"));
    let mut bytes = first.to_bytes();
    for number in 0..20 {
        let target = if number % 2 == 0 { format!("/public/{number}") } else { format!("/private/{number}") };
        bytes.extend(Request::get(PAIE, &target).with("Accept", "*/*").to_bytes());
    }
    world.expects(&Agent::angela(), "GET /first");
    for number in (0..20).step_by(2) {
        // A gateway may close after a refusal; what arrives is public.
        world.upstream.tolerates(Who::Public, &format!("GET /public/{number}"));
    }
    let (answers, _) = raw(&world, bytes).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses[0], 200);
    for (at, status) in statuses[1..].iter().enumerate() {
        assert_eq!(*status, if at % 2 == 0 { 200 } else { 401 }, "{statuses:?}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_the_application_ignores_is_never_its_next_request() {
    // C-SMUG-7
    let world = open_world().await;
    world.upstream.answer("/public/early", Answer::text("early").early());
    let smuggled = "GET /admin HTTP/1.1\r\nHost: paie.test\r\n\r\n";
    for method in ["POST", "OPTIONS", "GET"] {
        world.expects(Who::Public, &format!("{method} /public/early"));
        world.upstream.tolerates(Who::Public, "GET /public/next");
        let request = Request::new(method, PAIE, "/public/early").body(smuggled);
        let mut bytes = request.to_bytes();
        bytes.extend(Request::get(PAIE, "/public/next").to_bytes());
        let (answers, _) = raw(&world, bytes).await;
        assert_eq!(answers[0].text(), "early", "{method}");
        assert!(answers[1..].iter().all(|answer| answer.text() == "application"), "{method}: {answers:?}");
    }
    world.expects(Who::Public, "GET /public/clean");
    assert_eq!(world.send(&Request::get(PAIE, "/public/clean")).await.text(), "application");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_nobody_accepts_is_an_ordinary_request() {
    // C-SMUG-9
    let world = World::start().await;
    for fields in
        ["Upgrade: foo\r\n", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAAA\r\n"]
    {
        world.expects(Who::Public, "GET /public/a");
        let mut bytes = format!("GET /public/a HTTP/1.1\r\nHost: {PAIE}\r\n{fields}\r\n").into_bytes();
        bytes.extend(Request::get(PAIE, "/admin").with("Accept", "*/*").to_bytes());
        let (answers, _) = raw(&world, bytes).await;
        assert_eq!(answers[0].status, 200);
        assert!(answers[1..].iter().all(|answer| matches!(answer.status, 400 | 401)), "{answers:?}");
        assert!(!world.upstream.last().head.has("upgrade") && !world.upstream.last().head.has("http2-settings"));
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_handshake_with_a_body_smuggles_nothing() {
    // C-SMUG-10
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let smuggled = "GET /admin HTTP/1.1\r\nHost: paie.test\r\n\r\n";
    world.upstream.tolerates(&Agent::angela(), "GET /ws");
    let request = crate::login::websocket(PAIE, "/ws").body(smuggled);
    let bytes = browser.with_cookies(&parse(HOME), request).to_bytes();
    let (answers, _) = raw(&world, bytes).await;
    assert!(answers.len() <= 1, "{answers:?}");
    world.expects(Who::Public, "GET /public/clean");
    assert_eq!(world.send(&Request::get(PAIE, "/public/clean")).await.text(), "application");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_field_cannot_unframe_a_body() {
    // C-SMUG-11
    let world = open_world().await;
    let smuggled = "GET /admin HTTP/1.1\r\nHost: paie.test\r\n\r\n";
    for value in ["Content-Length", "Transfer-Encoding", "close, Content-Length", "keep-alive, content-length"] {
        world.upstream.tolerates(Who::Public, "POST /public/a");
        let (answers, _) =
            raw(&world, post(&format!("Connection: {value}\r\nContent-Length: {}\r\n", smuggled.len()), smuggled))
                .await;
        assert!(
            answers.len() <= 1 && answers.iter().all(|answer| matches!(answer.status, 200 | 400)),
            "{value}: {answers:?}"
        );
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_session_is_not_read_for_ever() {
    // C-SMUG-17: the answer is there long before 100 MiB are.
    let world = World::start().await;
    let mut connection = world.connect().await;
    let head = format!("POST /app HTTP/1.1\r\nHost: {PAIE}\r\nContent-Length: 104857600\r\nAccept: */*\r\n\r\n");
    connection.send(head).await;
    let (mut reader, mut writer) = connection.into_split();
    let sending = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        let block = vec![b'x'; 1 << 20];
        let mut sent = 0_u32;
        while sent < 100 && writer.write_all(&block).await.is_ok() {
            sent += 1;
        }
        (sent, writer)
    });
    let head = within(reader.head()).await.unwrap().unwrap();
    assert_eq!(head.word(1), "401");
    let (_, writer) = within(sending).await.unwrap();
    drop(writer);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_beyond_the_limits_are_refused() {
    // C-HDR-7
    let world = World::start().await;
    let head = |line: &str, fields: String| format!("{line} HTTP/1.1\r\nHost: {PAIE}\r\n{fields}\r\n").into_bytes();
    all_refused(
        &world,
        vec![
            head("GET /public/a", "X: y\r\n".repeat(257)),
            head("GET /public/a", format!("X: {}\r\n", "y".repeat(64 * 1024))),
            head("GET /public/a", format!("Cookie: {}\r\n", "y".repeat(40 * 1024))),
            head(&format!("GET /public/{}", "a".repeat(10 * 1024)), String::new()),
            vec![b'A'; 100 * 1024],
        ],
    )
    .await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_comes_byte_by_byte_is_given_up() {
    // C-DOS-1: one byte now and then keeps no connection open beyond the deadline for the whole head (10 s).
    let world = World::start().await;
    let (mut reader, mut writer) = world.connect().await.into_split();
    let began = Instant::now();
    let dripping = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        for byte in b"GET /public/a HTTP/1.1\r\nHost: paie.test\r\nX: ".iter().chain(std::iter::repeat_n(&b'y', 400)) {
            if writer.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let answer = within(reader.head()).await.ok().flatten();
    assert!(answer.is_none_or(|head| head.word(1) == "408"));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    dripping.abort();
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bytes_in_fields_are_no_crash() {
    // C-DOS-7, F12
    let world = World::start().await;
    for name in [
        "Cookie",
        "Authorization",
        "User-Agent",
        "Referer",
        "Accept-Language",
        "Accept",
        "traceparent",
        "X-Forwarded-For",
    ] {
        for value in [&b"\xff"[..], b"\xc2\x85", b"\xe2\x80\xa8", b"\x1b[31m", b"\t", b"=", b";;;=,,,"] {
            let mut bytes = format!("GET /app HTTP/1.1\r\nHost: {PAIE}\r\n{name}: ").into_bytes();
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n\r\n");
            let (answers, _) = raw_once(&world, bytes).await;
            assert!(answers.is_none_or(|answer| matches!(answer.status, 302 | 303 | 400 | 401)), "{name}: {value:?}");
        }
    }
    world.accepts_login().await;
    world.finish().await;
}

async fn raw_once(world: &World, bytes: Vec<u8>) -> (Option<Response>, Connection) {
    let mut connection = world.connect().await;
    connection.send(bytes).await;
    (connection.try_response("GET").await, connection)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_many_requests_and_an_old_client_one() {
    let world = World::start().await;
    let mut connection = world.connect().await;
    for number in 0..5 {
        world.expects(Who::Public, &format!("GET /public/{number}"));
        assert_eq!(connection.exchange(&Request::get(PAIE, &format!("/public/{number}"))).await.status, 200);
    }
    assert_eq!(connection.exchange(&Request::get(PAIE, "/app").with("Accept", "*/*")).await.status, 401);
    world.expects(Who::Public, "GET /public/after");
    assert_eq!(
        connection.exchange(&Request::get(PAIE, "/public/after")).await.status,
        200,
        "a refusal keeps the connection"
    );
    world.expects(Who::Public, "GET /public/old");
    let mut old = world.connect().await;
    old.send(format!("GET /public/old HTTP/1.0\r\nHost: {PAIE}\r\n\r\n")).await;
    assert_eq!(old.response("GET").await.status, 200);
    assert!(old.ends().await, "HTTP/1.0 without keep-alive ends");
    world.finish().await;
}
