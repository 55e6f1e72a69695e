//! What legacy applications need of a proxy, and must not notice of it (RFC 9110, RFC 9112, RFC 6455).

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use crate::harness::browser::{navigation, parse};
use crate::harness::client::within;
use crate::harness::wire::Body;
use crate::harness::{Agent, Answer, Browser, Connection, HOME, PAIE, Plan, Request, Who, World};

/// A connection on which the request of a logged-in agent was sent, body and all.
pub async fn asked(world: &World, browser: &mut Browser, request: Request) -> Connection {
    world.expects(&Agent::angela(), &request.line);
    let mut connection = world.connect().await;
    connection.send(browser.with_cookies(&parse(HOME), request).to_bytes()).await;
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_one_by_one() {
    let world = World::start().await;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (feeder, answer) = Answer::fed(head);
    world.upstream.answer("/events", answer);
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut connection = asked(&world, &mut browser, Request::get(PAIE, "/events")).await;
    let head = connection.head().await;
    assert_eq!(head.value("content-type"), Some("text/event-stream"));
    let mut body = Body::of_response(&head, "GET");
    for number in 0..5 {
        let event = format!("data: {number}\n\n");
        feeder.send(format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()).unwrap();
        assert_eq!(connection.piece(&mut body).await.unwrap(), event.as_bytes(), "before the next one is sent");
    }
    feeder.send(b"0\r\n\r\n".to_vec()).unwrap();
    assert!(connection.piece(&mut body).await.is_none());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_is_streamed_and_waits_for_a_slow_reader() {
    let world = World::start().await;
    world.upstream.answer("/big", Answer::flood("HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n"));
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut connection = asked(&world, &mut browser, Request::get(PAIE, "/big")).await;
    let mut body = Body::of_response(&connection.head().await, "GET");
    let mut received = 0;
    while received < 64 << 20 {
        received += connection.piece(&mut body).await.expect("more to come").len();
    }
    drop(connection);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_streamed_and_no_more_is_read_than_the_application_takes() {
    let world = World::start().await;
    world.upstream.answer("/deaf", Answer::never().early());
    let mut browser = world.logged_in(&Agent::angela()).await;
    let request = Request::new("POST", PAIE, "/deaf").with("Content-Length", "1099511627776");
    let connection = asked(&world, &mut browser, request).await;
    let (_reader, mut writer) = connection.into_split();
    let block = vec![b'x'; 1 << 20];
    let mut sent = 0_usize;
    // The sockets on the way and one buffer hold some megabytes; a gateway that reads ahead takes everything.
    while sent < 256 << 20 && tokio::time::timeout(Duration::from_secs(1), writer.write_all(&block)).await.is_ok() {
        sent += block.len();
    }
    assert!(sent < 64 << 20, "{sent} bytes went nowhere");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_arrives_whole() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let request = Request::new("PUT", PAIE, "/file").with("Content-Length", (48 << 20).to_string());
    let (mut reader, mut writer) = asked(&world, &mut browser, request).await.into_split();
    let block = vec![b'x'; 1 << 20];
    for _ in 0..48 {
        within(writer.write_all(&block)).await.unwrap();
    }
    assert_eq!(within(reader.head()).await.unwrap().unwrap().word(1), "200");
    assert_eq!((world.upstream.last().length, world.upstream.last().complete), (48 << 20, true));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_upload_arrives_whole_and_as_it_comes() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let request = Request::new("POST", PAIE, "/form").with("Transfer-Encoding", "chunked");
    let mut connection = asked(&world, &mut browser, request).await;
    for piece in ["3\r\nabc\r\n", "1;ext=1\r\nd\r\n", "A\r\n0123456789\r\n"] {
        connection.send(piece).await;
    }
    world.upstream.until(|log| log.received.last().is_some_and(|request| request.body == b"abcd0123456789")).await;
    connection.send("0\r\n\r\n").await;
    assert_eq!(connection.response("POST").await.status, 200);
    assert!(world.upstream.last().complete);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_expects_100_gets_it_before_it_sends() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let request = Request::new("POST", PAIE, "/form").with("Expect", "100-continue").with("Content-Length", "5");
    let (mut reader, mut writer) = asked(&world, &mut browser, request).await.into_split();
    // An upstream that says nothing until it has the body: the gateway may say it, or pass the expectation on.
    let first = tokio::time::timeout(Duration::from_secs(2), reader.head()).await;
    if let Ok(head) = &first {
        assert_eq!(head.as_ref().unwrap().as_ref().unwrap().word(1), "100");
    }
    writer.write_all(b"hello").await.unwrap();
    loop {
        let head = within(reader.head()).await.unwrap().unwrap();
        if head.word(1) != "100" {
            assert_eq!(head.word(1), "200");
            break;
        }
    }
    assert_eq!(world.upstream.last().body, b"hello");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expectation_without_a_session_is_answered_without_reading() {
    let world = World::start().await;
    let request = Request::new("POST", PAIE, "/form")
        .with("Accept", "*/*")
        .with("Expect", "100-continue")
        .with("Content-Length", "5");
    let mut connection = world.connect().await;
    connection.send(request.to_bytes()).await;
    let response = connection.response("POST").await;
    assert_eq!((response.status, response.interim.len()), (401, 0), "the client need not send its body");
    assert_eq!(response.header("connection"), Some("close"), "nobody knows what it sends next");
    assert!(connection.ends().await);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn head_and_answers_without_a_body_keep_the_connection_in_step() {
    let world = World::start().await;
    world.upstream.answer("/head", Answer::bytes("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nETag: \"a\"\r\n\r\n"));
    world.upstream.answer("/204", Answer::bytes("HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"));
    world
        .upstream
        .answer("/304", Answer::bytes("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 7\r\n\r\n"));
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut connection = world.connect().await;
    for (method, path, status) in
        [("HEAD", "/head", 200), ("GET", "/204", 204), ("GET", "/304", 304), ("GET", "/x", 200)]
    {
        let request =
            browser.with_cookies(&parse(HOME), Request::new(method, PAIE, path).with("If-None-Match", "\"a\""));
        world.expects(&Agent::angela(), &request.line);
        let response = connection.exchange(&request).await;
        assert_eq!(response.status, status, "{method} {path}");
        if path == "/head" {
            assert_eq!((response.header("content-length"), response.header("etag")), (Some("1000"), Some("\"a\"")));
        }
    }
    assert_eq!(world.upstream.last().header("if-none-match"), "\"a\"");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_the_applications_affair() {
    let world = World::start().await;
    let answer = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-4/10\r\nContent-Length: 3\r\n\r\ncde";
    world.upstream.answer("/file", Answer::bytes(answer));
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut connection = asked(&world, &mut browser, Request::get(PAIE, "/file").with("Range", "bytes=2-4")).await;
    let response = connection.response("GET").await;
    assert_eq!((response.status, response.text().as_str()), (206, "cde"));
    assert_eq!(response.header("content-range"), Some("bytes 2-4/10"));
    assert_eq!(world.upstream.last().header("range"), "bytes=2-4");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_range_nor_a_condition_replaces_a_session() {
    // C-CACHE-5, C-CACHE-6
    let world = World::start().await;
    for (name, value) in
        [("Range", "bytes=0-1"), ("If-None-Match", "*"), ("If-Modified-Since", "Mon, 01 Jan 2024 00:00:00 GMT")]
    {
        let response = world.send(&navigation(&parse(HOME), "none").with(name, value)).await;
        assert!(response.location().starts_with(&world.provider.issuer()), "{name}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_our_own_forbids_to_keep_it() {
    // C-CACHE-1
    let world = World::start().await;
    let mut browser = world.browser();
    let callback = browser.up_to_callback(HOME).await;
    let mut answers = vec![
        world.browser().step(HOME).await,
        browser.step(callback.as_str()).await,
        world.browser().step(callback.as_str()).await,
        world.browser().fetch(HOME).await,
        world.send(&Request::get("evil.test", "/").navigation()).await,
        world.send(&Request::get(PAIE, "/a//b").navigation()).await,
    ];
    for path in ["me", "signed-out", "logout", "unknown"] {
        answers.push(browser.step(&format!("https://paie.test/.portillon/{path}")).await);
    }
    for answer in answers {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{} {:?}", answer.status, answer.head);
        assert!(!answer.head.has("etag") && !answer.head.has("last-modified"));
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authenticated_answer_is_private_unless_the_application_says_otherwise() {
    let world = World::start().await;
    world.upstream.answer("/own", Answer::with(&[("Cache-Control", "public, max-age=60")], "x"));
    world.upstream.answer("/public/x", Answer::text("x"));
    let mut browser = world.logged_in(&Agent::angela()).await;
    for (target, expected) in [("/silent", "private"), ("/own", "public, max-age=60")] {
        let mut connection = asked(&world, &mut browser, Request::get(PAIE, target)).await;
        assert_eq!(connection.response("GET").await.header("cache-control"), Some(expected), "{target}");
    }
    world.expects(Who::Public, "GET /public/x");
    assert_eq!(world.send(&Request::get(PAIE, "/public/x")).await.header("cache-control"), None);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_of_the_application_lead_to_where_agents_are() {
    let world = World::start().await;
    let upstream = world.upstream.origin();
    let mut browser = world.logged_in(&Agent::angela()).await;
    for (sent, expected) in [
        (format!("{upstream}/a?b#c"), "https://paie.test/a?b#c".to_owned()),
        (upstream.clone(), "https://paie.test".to_owned()),
        ("http://paie.test/a".to_owned(), "https://paie.test/a".to_owned()),
        ("https://paie.test/a".to_owned(), "https://paie.test/a".to_owned()),
        ("/a".to_owned(), "/a".to_owned()),
        ("a/b?c=http://x".to_owned(), "a/b?c=http://x".to_owned()),
        ("https://autre.test/a".to_owned(), "https://autre.test/a".to_owned()),
        ("http://paie.test.evil.test/a".to_owned(), "http://paie.test.evil.test/a".to_owned()),
        (format!("https://autre.test/?next={upstream}/a"), format!("https://autre.test/?next={upstream}/a")),
    ] {
        world.upstream.answer("/go", Answer::redirect(&sent));
        let mut connection = asked(&world, &mut browser, Request::get(PAIE, "/go")).await;
        let location = connection.response("GET").await.location();
        assert_eq!(location.trim_end_matches('/'), expected.trim_end_matches('/'), "{sent}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_application_answers_passes_as_it_is() {
    // C-RSP-3: security headers are for our own pages.
    let world = World::start().await;
    let answer = "HTTP/1.1 418 I'm a teapot\r\nServer: Apache/1.3\r\nX-Powered-By: PHP/4\r\nSet-Cookie: a=1\r\n\
                  Set-Cookie: b=2; Path=/x; HttpOnly\r\nContent-Type: text/html; charset=iso-8859-1\r\n\
                  Content-Security-Policy: default-src *\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\
                  Content-Encoding: gzip\r\nX-Latin: \u{e9}\r\nContent-Length: 4\r\n\r\n\x1f\u{8b}\x00\x01";
    let answer: Vec<u8> = answer.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    world.upstream.answer("/old", Answer::bytes(answer));
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut connection = asked(&world, &mut browser, Request::get(PAIE, "/old")).await;
    let response = connection.response("GET").await;
    assert_eq!((response.status, response.body.as_slice()), (418, &b"\x1f\x8b\x00\x01"[..]));
    for (name, value) in [
        ("server", "Apache/1.3"),
        ("x-powered-by", "PHP/4"),
        ("content-type", "text/html; charset=iso-8859-1"),
        ("content-security-policy", "default-src *"),
        ("www-authenticate", "Basic realm=\"x\""),
        ("content-encoding", "gzip"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
    assert_eq!(response.head.values("set-cookie"), ["a=1", "b=2; Path=/x; HttpOnly"]);
    for name in ["x-frame-options", "x-content-type-options", "referrer-policy", "strict-transport-security"] {
        assert!(!response.head.has(name), "{name}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_agent_sends_passes_as_it_is() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let request = Request::new("PROPFIND", PAIE, "/dav/")
        .with("Depth", "1")
        .with("Authorization", "Basic eDp5")
        .with("Content-Type", "application/xml")
        .with("Cookie", "JSESSIONID=1; lang=fr")
        .with("X-Custom", "a, b")
        .with("X-Custom", "c")
        .with("User-Agent", "vieux client/1.0")
        .body("<propfind/>");
    let mut connection = asked(&world, &mut browser, request).await;
    assert_eq!(connection.response("PROPFIND").await.status, 200);
    let arrived = world.upstream.last();
    assert_eq!(arrived.head.values("x-custom"), ["a, b", "c"]);
    assert_eq!(arrived.header("cookie"), "JSESSIONID=1; lang=fr");
    for (name, value) in [
        ("depth", "1"),
        ("authorization", "Basic eDp5"),
        ("content-type", "application/xml"),
        ("user-agent", "vieux client/1.0"),
        ("content-length", "11"),
    ] {
        assert_eq!(arrived.header(name), value, "{name}");
    }
    assert_eq!(arrived.body, b"<propfind/>");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_beyond_the_limit_is_refused() {
    let mut plan = Plan::new().await;
    plan.site.route("paie").line(r#"max_body = "1k""#);
    let world = plan.start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.expects(&Agent::angela(), "POST /small");
    let small = Request::new("POST", PAIE, "/small").body(vec![b'x'; 1024]);
    assert_eq!(world.send_as(&mut browser, small).await.status, 200);
    let announced = Request::new("POST", PAIE, "/big").body(vec![b'x'; 1025]);
    assert_eq!(world.send_as(&mut browser, announced).await.status, 413);
    world.upstream.tolerates(&Agent::angela(), "POST /chunked");
    let chunked = Request::new("POST", PAIE, "/chunked").with("Transfer-Encoding", "chunked");
    let mut connection = world.connect().await;
    connection.send(browser.with_cookies(&parse(HOME), chunked).to_bytes()).await;
    connection.send(format!("800\r\n{}\r\n0\r\n\r\n", "x".repeat(2048))).await;
    assert_eq!(connection.response("POST").await.status, 413);
    assert!(world.upstream.log().received.iter().all(|r| r.line() != "POST /chunked" || !r.complete));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_1_0_client_gets_neither_chunks_nor_informational_answers() {
    let world = World::start().await;
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
                  HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    world.upstream.answer("/public/old", Answer::bytes(answer));
    world.expects(Who::Public, "GET /public/old");
    let mut old = world.connect().await;
    old.send(format!("GET /public/old HTTP/1.0\r\nHost: {PAIE}\r\nConnection: keep-alive\r\n\r\n")).await;
    let response = old.response("GET").await;
    assert_eq!((response.status, response.text().as_str()), (200, "x"), "{:?}", response.head);
    assert!(!response.head.has("transfer-encoding") && response.interim.is_empty(), "{:?}", response.head);
    assert_eq!(response.header("connection"), Some("close"));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_renewed_with_an_answer_makes_it_private_unless_it_is_for_everybody() {
    let world = World::start().await;
    world.upstream.answer("/mine", Answer::with(&[("Cache-Control", "max-age=60")], "x"));
    world.upstream.answer("/everybodys", Answer::with(&[("Cache-Control", "public, max-age=60")], "x"));
    let mut browser = world.logged_in(&Agent::angela()).await;
    for (target, renewed, private) in [("/everybodys", false, false), ("/mine", true, true)] {
        world.advance(2);
        let mut connection = asked(&world, &mut browser, Request::get(PAIE, target)).await;
        let head = connection.response("GET").await.head;
        assert_eq!(head.has("set-cookie"), renewed, "{head:?}");
        assert_eq!(head.values("cache-control").iter().any(|value| value.contains("private")), private, "{head:?}");
    }
    world.finish().await;
}
