//! Several requests on one connection, in order and each for itself.

use std::time::Duration;

use portillon::listener::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Running, ask, read_answer, read_to_end, within};

#[tokio::test]
async fn a_connection_serves_request_after_request() {
    let gateway = Running::start().await;
    let mut client = gateway.connect().await;
    for number in 0..5 {
        let (head, body) = ask(&mut client, &format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert!(head.to_lowercase().contains("connection: keep-alive"), "{head}");
        assert_eq!(body, format!("/{number} "));
    }
    assert_eq!(gateway.counters.accepted(), 1);
    assert_eq!((gateway.counters.connections(), gateway.counters.requests()), (1, 0));
}

#[tokio::test]
async fn c_smug_16_pipelined_requests_are_answered_each_in_order() {
    let gateway = Running::start().await;
    let mut client = gateway.connect().await;
    let requests: String = (0..20).map(|number| format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.write_all(requests.as_bytes()).await.unwrap();
    for number in 0..20 {
        assert_eq!(read_answer(&mut client).await.1, format!("/{number} "));
    }
    let expected: Vec<String> = (0..20).map(|number| format!("GET /{number} HTTP/1.1")).collect();
    assert_eq!(gateway.upstream.take_lines(), expected);
}

#[tokio::test]
async fn every_pipelined_request_is_judged() {
    let gateway = Running::start().await;
    let mut client = gateway.connect().await;
    let requests =
        "GET /good HTTP/1.1\r\nHost: a\r\n\r\nGET /bad HTTP/1.1\r\n\r\nGET /never HTTP/1.1\r\nHost: a\r\n\r\n";
    client.write_all(requests.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut client).await.1, "/good ");
    let rest = read_to_end(&mut client).await;
    assert!(rest.starts_with("HTTP/1.1 400 ") && rest.contains("host_missing"), "{rest}");
    assert_eq!(gateway.upstream.take_lines(), ["GET /good HTTP/1.1"]);
}

#[tokio::test]
async fn a_request_may_follow_a_body_in_the_same_packet_or_byte_by_byte() {
    let gateway = Running::start().await;
    let requests = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
        POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n\
        GET /c HTTP/1.1\r\nHost: a\r\n\r\n";
    for step in [1, 7, requests.len()] {
        let (mut read, mut write) = gateway.connect().await.into_split();
        let writing = tokio::spawn(async move {
            for piece in requests.as_bytes().chunks(step) {
                write.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            write
        });
        assert_eq!(read_answer(&mut read).await.1, "/a hello");
        assert!(read_answer(&mut read).await.1.starts_with("/b "));
        assert_eq!(read_answer(&mut read).await.1, "/c ");
        drop(writing.await.unwrap());
        let lines = gateway.upstream.take_lines();
        assert_eq!(lines, ["POST /a HTTP/1.1", "POST /b HTTP/1.1", "GET /c HTTP/1.1"]);
    }
}

#[tokio::test]
async fn a_large_body_passes_whole() {
    let gateway = Running::start().await;
    let mut client = gateway.connect().await;
    let body = "0123456789abcdef".repeat(40_000);
    let request = format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (mut read, mut write) = client.split();
    let (_, (_, answer)) = tokio::join!(
        async {
            write.write_all(request.as_bytes()).await.unwrap();
        },
        read_answer(&mut read)
    );
    assert_eq!(answer, format!("/a {body}"));
}

#[tokio::test]
async fn expect_100_continue_works() {
    let gateway = Running::start().await;
    let mut client = gateway.connect().await;
    let head = "POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let (interim, _) = ask(&mut client, head).await;
    assert!(interim.starts_with("HTTP/1.1 100 "), "{interim}");
    let (head, body) = ask(&mut client, "hello").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, "/a hello");
}

#[tokio::test]
async fn a_client_may_ask_to_close_and_http_10_does_by_itself() {
    let gateway = Running::start().await;
    for request in ["GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /a HTTP/1.0\r\nHost: a\r\n\r\n"] {
        let answer = gateway.exchange(request.as_bytes()).await;
        assert!(answer.to_lowercase().contains("connection: close") && answer.ends_with("/a "), "{answer}");
    }
}

#[tokio::test]
async fn the_last_request_of_a_connection_says_so() {
    let gateway = Running::with(Limits { keepalive_requests: 3, ..Limits::default() }).await;
    let mut client = gateway.connect().await;
    for _ in 0..2 {
        let (head, _) = ask(&mut client, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(head.to_lowercase().contains("connection: keep-alive"), "{head}");
    }
    client.write_all(b"GET /last HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let last = read_to_end(&mut client).await;
    assert!(last.to_lowercase().contains("connection: close") && last.ends_with("/last "), "{last}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    let gateway = Running::with(Limits { keep_alive: Duration::from_millis(50), ..Limits::default() }).await;
    let mut client = gateway.connect().await;
    ask(&mut client, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(read_to_end(&mut client).await, "");
    gateway.open_connections(0).await;
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways() {
    let gateway = Running::start().await;
    let mut client = gateway.connect().await;
    let request = "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let (head, _) = ask(&mut client, request).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    for frame in [b"GET / HT".as_slice(), b"\r\n\r\n\0\xff"] {
        client.write_all(frame).await.unwrap();
        let mut echo = vec![0; frame.len()];
        within(client.read_exact(&mut echo)).await.unwrap();
        assert_eq!(echo, frame);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_at_a_time_get_their_own_answers() {
    let gateway = Running::start().await;
    let clients = (0..40).map(async |number| {
        let mut client = gateway.connect().await;
        for round in 0..20 {
            let body = format!("{number}-{round}");
            let request = format!("POST /{body} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            assert_eq!(ask(&mut client, &request).await.1, format!("/{body} {body}"));
        }
    });
    futures_util::future::join_all(clients).await;
    gateway.open_connections(0).await;
    assert_eq!(gateway.upstream.take_seen().len(), 40 * 20);
    assert_eq!((gateway.counters.accepted(), gateway.counters.requests()), (40, 0));
}
