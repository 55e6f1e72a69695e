//! Ends: of a request whose session has ended, and of the gateway.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Running, ask, read_answer, read_to_end, read_until, within};

const TUNNEL: &str = "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[tokio::test]
async fn a_soft_kill_ends_an_idle_tunnel_with_a_close_frame() {
    let gateway = Running::start().await;
    let mut client = gateway.connect().await;
    ask(&mut client, TUNNEL).await;
    gateway.last_kill().soft();
    let mut rest = Vec::new();
    within(client.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, [0x88, 2, 0x03, 0xf0]);
}

#[tokio::test]
async fn a_soft_kill_ends_an_idle_event_stream() {
    let gateway = Running::start().await;
    let mut client = gateway.connect().await;
    client.write_all(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    within(read_until(&mut client, "hello\r\n")).await.unwrap();
    gateway.last_kill().soft();
    assert_eq!(read_to_end(&mut client).await, "");
    gateway.open_connections(0).await;
}

#[tokio::test]
async fn a_hard_kill_closes_the_connection() {
    let gateway = Running::start().await;
    let mut client = gateway.connect().await;
    client.write_all(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    within(read_until(&mut client, "hello\r\n")).await.unwrap();
    gateway.last_kill().hard();
    assert_eq!(read_to_end(&mut client).await, "");
    gateway.open_connections(0).await;
    assert_eq!(gateway.counters.requests(), 0);
}

#[tokio::test]
async fn a_kill_after_its_request_harms_no_other_one() {
    let gateway = Running::start().await;
    let mut client = gateway.connect().await;
    ask(&mut client, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let kill = gateway.last_kill();
    kill.soft();
    kill.hard();
    assert_eq!(ask(&mut client, "GET /b HTTP/1.1\r\nHost: a\r\n\r\n").await.1, "/b ");
}

#[tokio::test]
async fn a_drain_closes_what_is_idle_and_lets_the_rest_finish() {
    let gateway = Running::start().await;
    let mut fresh = gateway.connect().await;
    let mut idle = gateway.connect().await;
    ask(&mut idle, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut busy = gateway.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    gateway.upstream.arrived.notified().await;
    gateway.open_connections(3).await;

    gateway.drain();
    assert_eq!(read_to_end(&mut idle).await, "");
    assert_eq!(read_to_end(&mut fresh).await, "");
    gateway.open_connections(1).await;
    assert!(!gateway.serving.is_finished());

    gateway.upstream.release.notify_one();
    let (head, body) = read_answer(&mut busy).await;
    assert!(head.to_lowercase().contains("connection: close"), "{head}");
    assert_eq!(body, "/slow ");
    assert_eq!(read_to_end(&mut busy).await, "");
    within(gateway.serving).await.unwrap();
    assert!(tokio::net::TcpStream::connect(gateway.address).await.is_err());
}

#[tokio::test]
async fn a_head_under_way_when_the_drain_begins_is_served() {
    let gateway = Running::start().await;
    let mut client = gateway.connect().await;
    client.write_all(b"GET /a HTTP/1.1\r\n").await.unwrap();
    // The request before it in line proves that the bytes above have been read.
    let mut other = gateway.connect().await;
    ask(&mut other, "GET /b HTTP/1.1\r\nHost: a\r\n\r\n").await;
    gateway.drain();
    client.write_all(b"Host: a\r\n\r\n").await.unwrap();
    let answer = read_to_end(&mut client).await;
    assert!(answer.to_lowercase().contains("connection: close") && answer.ends_with("/a "), "{answer}");
    within(gateway.serving).await.unwrap();
}

#[tokio::test]
async fn dropping_the_server_ends_even_tunnels() {
    let gateway = Running::start().await;
    let mut client = gateway.connect().await;
    ask(&mut client, TUNNEL).await;
    gateway.drain();
    assert!(!gateway.serving.is_finished());
    gateway.serving.abort();
    assert_eq!(read_to_end(&mut client).await, "");
}
