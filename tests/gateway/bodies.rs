//! Bodies that break off, make no sense, or that nobody wants (RFC 9112 sections 7.1 and 8; threats.md C-SMUG, C-DOS).

use tokio::io::AsyncWriteExt as _;

use crate::harness::browser::parse;
use crate::harness::client::{eventually, within};
use crate::harness::logs::Watch;
use crate::harness::{Agent, Browser, Connection, HOME, PAIE, Request, World};

/// A connection on which a logged-in agent's request was sent whose body goes wrong, so that it may not arrive.
async fn begun(world: &World, browser: &mut Browser, request: Request) -> Connection {
    world.upstream.tolerates(&Agent::angela(), &request.line);
    let mut connection = world.connect().await;
    connection.send(browser.with_cookies(&parse(HOME), request).to_bytes()).await;
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_chunk_is_refused_in_our_own_words() {
    let watch = Watch::start();
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for chunks in ["x\r\n", "3\r\nabcd\r\n", "3\nabc", "3\r\nabc\r\n0\r\n\n", "FFFFFFFFFFFFFFFF1\r\n"] {
        let path = format!("/form/{}", portillon::crypto::random_token::<9>());
        let request = Request::new("POST", PAIE, &path).with("Transfer-Encoding", "chunked").with("Accept", "*/*");
        let mut connection = begun(&world, &mut browser, request).await;
        connection.send(chunks).await;
        let response = connection.response("POST").await;
        assert_eq!((response.status, response.is_own()), (400, true), "{chunks:?}: {response:?}");
        assert_eq!(response.header("content-type"), Some("application/problem+json"));
        assert_eq!(response.header("connection"), Some("close"), "{chunks:?}");
        assert!(connection.ends().await, "{chunks:?}");
        let is_logged = || {
            let text = watch.text();
            text.lines().any(|line| line.contains(&path) && line.contains("body_malformed") && line.contains("400"))
        };
        eventually(is_logged).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_malformed_gets_a_page() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let form = |path: &str| {
        let request = Request::new("POST", PAIE, path).with("Transfer-Encoding", "chunked").with("Accept", "text/html");
        request.with("Origin", "https://paie.test")
    };
    for path in ["/form", "/.portillon/logout"] {
        let mut connection = begun(&world, &mut browser, form(path)).await;
        connection.send("0x5\r\n").await;
        let response = connection.response("POST").await;
        assert_eq!((response.status, response.is_own()), (400, true), "{path}");
        assert!(response.text().contains("class=\"bad-request\""), "{path}: {}", response.said());
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_ends_early_is_told_so() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let known = Request::new("POST", PAIE, "/known").with("Content-Length", "10");
    let chunked = Request::new("POST", PAIE, "/chunked").with("Transfer-Encoding", "chunked");
    for (request, body) in [(known, "0123"), (chunked.clone(), "5\r\nab"), (chunked, "5\r\nabcde\r\n")] {
        let mut connection = begun(&world, &mut browser, request.with("Accept", "*/*")).await;
        connection.send(body).await;
        connection.finish_sending().await;
        let response = connection.response("POST").await;
        assert_eq!((response.status, response.is_own()), (400, true), "{body:?}");
        assert!(response.text().contains("body_incomplete"), "{body:?}: {}", response.text());
        assert!(connection.ends().await);
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_nobody_wants_is_read_for_a_while_only() {
    // C-SMUG-17: whatever the client's line can carry in five seconds would be too much.
    let world = World::start().await;
    let mut connection = world.connect().await;
    let head = format!("POST /app HTTP/1.1\r\nHost: {PAIE}\r\nContent-Length: 1099511627776\r\nAccept: */*\r\n\r\n");
    connection.send(head).await;
    let (mut reader, mut writer) = connection.into_split();
    let sending = tokio::spawn(async move {
        let (block, mut sent) = (vec![b'x'; 1 << 20], 0_u64);
        while writer.write_all(&block).await.is_ok() {
            sent += block.len() as u64;
        }
        sent
    });
    assert_eq!(within(reader.head()).await.unwrap().unwrap().word(1), "401");
    let sent = within(sending).await.unwrap();
    assert!(sent >= 8 << 20, "a client that sends first and reads later gets its answer: {sent} bytes");
    // Beside those that are read, the sockets hold some megabytes.
    assert!(sent < 64 << 20, "{sent} bytes were read");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_unwanted_body_was_short_is_used_again() {
    let world = World::start().await;
    let mut connection = world.connect().await;
    for accept in ["*/*", "text/html", "image/png"] {
        let request = Request::new("POST", PAIE, "/app").with("Accept", accept).body(vec![b'x'; 1 << 20]);
        let response = connection.exchange(&request).await;
        assert_eq!((response.status, response.is_own()), (401, true), "{accept}");
        assert_ne!(response.header("connection"), Some("close"), "{accept}");
    }
    world.finish().await;
}
