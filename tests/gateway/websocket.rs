//! WebSockets and other changes of protocol (RFC 6455 section 4, RFC 9110 section 7.8; threats.md C-WS).

use std::time::Duration;

use crate::harness::browser::parse;
use crate::harness::upstream::tls::Identity;
use crate::harness::{Agent, Answer, HOME, PAIE, Plan, Request, Upstream, World};
use crate::login::websocket;
use crate::proxying::asked;

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_passes_bytes_both_ways() {
    let world = World::start().await;
    world.upstream.answer("/ws", Answer::websocket());
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut connection = asked(&world, &mut browser, websocket(PAIE, "/ws")).await;
    let response = connection.response("GET").await;
    assert_eq!(response.status, 101);
    assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    for message in [&b"\x81\x85\x01\x02\x03\x04hello"[..], &[0; 4096], b"x"] {
        connection.send(message).await;
        assert_eq!(connection.exactly(message.len()).await, message);
    }
    let arrived = world.upstream.last();
    assert_eq!(arrived.header("sec-websocket-key"), "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(arrived.header("upgrade").to_ascii_lowercase(), "websocket");
    drop(connection);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_answers_at_once_stays_open() {
    answers_at_once(World::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_over_tls_that_answers_at_once_stays_open() {
    let mut plan = Plan::new().await;
    let identity = Identity::new(&["localhost"]);
    plan.upstream = Upstream::start_tls(identity.clone()).await;
    let authority = plan.folder.path().join("authority.pem");
    identity.write_authority(&authority);
    let port = plan.upstream.address().port();
    let route = plan.site.route("paie");
    route.upstreams = vec![format!("https://localhost:{port}")];
    route.line(format!("upstream_ca_file = {authority:?}"));
    answers_at_once(plan.start().await).await;
}

/// pingora 0.9 by itself ends a tunnel now and then whose 101 is there too soon.
async fn answers_at_once(world: World) {
    world.upstream.answer("/ws", Answer::websocket());
    let mut browser = world.logged_in(&Agent::angela()).await;
    for attempt in 0..200 {
        let mut connection = asked(&world, &mut browser, websocket(PAIE, "/ws")).await;
        assert_eq!(connection.response("GET").await.status, 101);
        connection.send("hello").await;
        assert_eq!(connection.exactly(5).await, b"hello", "attempt {attempt}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_declines_to_switch_is_asked_again_as_ever() {
    let world = World::start().await;
    world.upstream.answer("/ws", Answer::text("no such socket"));
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut connection = asked(&world, &mut browser, websocket(PAIE, "/ws")).await;
    for _ in 0..3 {
        let response = connection.response("GET").await;
        assert_eq!((response.status, response.text().as_str()), (200, "no such socket"));
        world.expects(&Agent::angela(), "GET /ws");
        connection.send(browser.with_cookies(&parse(HOME), websocket(PAIE, "/ws")).to_bytes()).await;
    }
    assert_eq!(connection.response("GET").await.status, 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_websocket_outlives_a_minute() {
    let world = World::start().await;
    world.upstream.answer("/ws", Answer::websocket());
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut connection = asked(&world, &mut browser, websocket(PAIE, "/ws")).await;
    assert_eq!(connection.response("GET").await.status, 101);
    tokio::time::sleep(Duration::from_secs(65)).await;
    connection.send("still here").await;
    assert_eq!(connection.exactly(10).await, b"still here");
    drop(connection);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_is_none_does_not_open_a_tunnel() {
    // C-WS-1, C-WS-4
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let get = || Request::get(PAIE, "/ws").with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let proper = || get().with("Sec-WebSocket-Version", "13");
    let cases = [
        get().with("Upgrade", "websocket").with("Sec-WebSocket-Version", "13"),
        get().with("Upgrade", "websocket").with("Connection", "keep-alive").with("Sec-WebSocket-Version", "13"),
        get().with("Connection", "Upgrade"),
        proper().with("Connection", "Upgrade").with("Upgrade", "h2c"),
        proper().with("Connection", "Upgrade").with("Upgrade", "websocket, h2c"),
        get().with("Connection", "Upgrade").with("Upgrade", "websocket").with("Sec-WebSocket-Version", "8"),
        Request { line: "POST /ws".to_owned(), ..websocket(PAIE, "/ws") },
    ];
    for request in cases {
        world.upstream.tolerates(&Agent::angela(), &request.line);
        let request = browser.with_cookies(&parse(HOME), request);
        let response = world.send(&request).await;
        assert_ne!(response.status, 101, "{request:?}");
        let arrived: Vec<_> = world.upstream.log().received.iter().filter(|r| r.head.has("upgrade")).cloned().collect();
        assert!(arrived.is_empty(), "{arrived:#?} for {request:?}");
    }
    world.upstream.tolerates(&Agent::angela(), "GET /ws");
    let old = browser.with_cookies(&parse(HOME), websocket(PAIE, "/ws")).to_bytes();
    let old = String::from_utf8(old).unwrap().replacen("HTTP/1.1", "HTTP/1.0", 1);
    let mut connection = world.connect().await;
    connection.send(old).await;
    assert_eq!(connection.response("GET").await.status, 200);
    assert!(!world.upstream.last().head.has("upgrade"));
    let response = world.send(&websocket(PAIE, "/ws")).await;
    assert_eq!((response.status, response.is_own()), (401, true));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_switches_protocols_unasked_is_an_error() {
    // C-WS-5
    let world = World::start().await;
    world.upstream.answer("/x", Answer::websocket());
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut connection = asked(&world, &mut browser, Request::get(PAIE, "/x")).await;
    let answer = connection.try_response("GET").await;
    assert!(answer.as_ref().is_none_or(|answer| answer.status == 502), "{answer:?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_over_two_connection_fields_is_one() {
    let world = World::start().await;
    world.upstream.answer("/ws", Answer::websocket());
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut request = websocket(PAIE, "/ws");
    request.fields.insert(1, ("Connection".to_owned(), "keep-alive".to_owned()));
    let mut connection = asked(&world, &mut browser, request).await;
    assert_eq!(connection.response("GET").await.status, 101);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_before_the_switch_is_the_tunnels_or_the_next_request() {
    let world = World::start().await;
    world.upstream.answer("/ws", Answer::websocket());
    world.upstream.answer("/no-ws", Answer::text("declined"));
    let mut browser = world.logged_in(&Agent::angela()).await;
    let frames = vec![b'f'; 100_000];
    let mut early = browser.with_cookies(&parse(HOME), websocket(PAIE, "/ws")).to_bytes();
    early.extend(&frames);
    world.expects(&Agent::angela(), "GET /ws");
    let mut connection = world.connect().await;
    connection.send(early).await;
    assert_eq!(connection.response("GET").await.status, 101);
    assert!(connection.exactly(frames.len()).await == frames, "every byte comes back");

    let mut early = browser.with_cookies(&parse(HOME), websocket(PAIE, "/no-ws")).to_bytes();
    early.extend(Request::get(PAIE, "/secret").with("Accept", "*/*").to_bytes());
    world.expects(&Agent::angela(), "GET /no-ws");
    let mut connection = world.connect().await;
    connection.send(early).await;
    assert_eq!(connection.response("GET").await.text(), "declined");
    let next = connection.response("GET").await;
    assert_eq!((next.status, next.is_own()), (401, true), "it has no session of its own");
    world.finish().await;
}
