//! The admin listener over real sockets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use async_trait::async_trait;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::admin::Readiness;

struct State {
    ready: bool,
}

#[async_trait]
impl AdminState for State {
    fn ready(&self) -> Readiness {
        Readiness { ready: self.ready, detail: json!({ "provider": "down" }) }
    }

    fn metrics(&self) -> String {
        "# EOF\n".to_owned()
    }

    fn status(&self) -> serde_json::Value {
        json!({ "version": "1" })
    }

    async fn obey(&self, sealed: &str) -> Option<String> {
        (sealed == "ours").then(|| "done".to_owned())
    }
}

struct Running {
    address: SocketAddr,
    drain: watch::Sender<bool>,
    task: tokio::task::JoinHandle<io::Result<()>>,
}

async fn start(ready: bool) -> Running {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let (drain, drained) = watch::channel(false);
    let task = tokio::spawn(serve(AdminListener::Tcp(socket), Arc::new(State { ready }), drained));
    Running { address, drain, task }
}

/// Sends `request` on a connection of its own and reads until the server closes it.
async fn ask(address: SocketAddr, request: &'static str) -> String {
    let exchange = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    tokio::task::spawn_blocking(exchange).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_endpoint_answers() {
    let running = start(true).await;
    for (request, status, body) in [
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200", "ok\n"),
        ("GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200", "{\"provider\":\"down\"}\n"),
        ("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200", "# EOF\n"),
        ("GET /status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200", "{\"version\":\"1\"}\n"),
        ("HEAD /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200", ""),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "404", "no such endpoint\n"),
        ("GET /healthz/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "404", "no such endpoint\n"),
        (
            "POST /status HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "405",
            "GET or HEAD only\n",
        ),
    ] {
        let answer = ask(running.address, request).await;
        let (head, found) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{answer}");
        assert_eq!(found, body, "{request}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_ready_is_503() {
    let running = start(false).await;
    let answer = ask(running.address, "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_posted_and_carried_out_where_they_are_ours() {
    let running = start(true).await;
    for (request, status, body) in [
        ("POST /orders HTTP/1.0\r\nContent-Length: 4\r\n\r\nours", "200", "done"),
        (
            "POST /orders HTTP/1.0\r\nContent-Length: 5\r\n\r\nother",
            "403",
            "not sealed by the keys of this gateway, or not now\n",
        ),
        (
            "POST /orders HTTP/1.0\r\nContent-Length: 2\r\n\r\n\u{e9}",
            "403",
            "not sealed by the keys of this gateway, or not now\n",
        ),
        ("POST /orders HTTP/1.0\r\nContent-Length: 9000\r\n\r\n", "413", "no order is so long\n"),
        ("GET /orders HTTP/1.0\r\n\r\n", "405", "POST only\n"),
        ("POST /healthz HTTP/1.0\r\nContent-Length: 0\r\n\r\n", "405", "GET or HEAD only\n"),
    ] {
        let answer = ask(running.address, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.0 {status} ")), "{request}: {answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{request}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_ends_idle_connections_and_the_server() {
    let running = start(true).await;
    let idle = TcpStream::connect(running.address).unwrap();
    assert!(ask(running.address, "GET /healthz HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200"));
    running.drain.send(true).unwrap();
    running.task.await.unwrap().unwrap();
    assert_eq!((&idle).read(&mut [0]).unwrap_or(0), 0);
    assert!(TcpStream::connect(running.address).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_keep_nobody_from_an_answer() {
    let running = start(true).await;
    let held: Vec<_> = (0..3 * MAX_CONNECTIONS)
        .map(|_| {
            let mut slow = TcpStream::connect(running.address).unwrap();
            slow.write_all(b"GET /healthz HT").unwrap();
            slow
        })
        .collect();
    for _ in 0..MAX_CONNECTIONS {
        let answer = ask(running.address, "GET /healthz HTTP/1.0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    }
    // The oldest made room.
    assert_eq!((&held[0]).read(&mut [0]).unwrap_or(0), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_never_ends_is_given_up() {
    let (near, mut client) = tokio::io::duplex(1024);
    let (_drain, drained) = watch::channel(false);
    let deadline = Duration::from_millis(50);
    let serving = tokio::spawn(serve_connection(Box::new(near), Arc::new(State { ready: true }), drained, deadline));
    client.write_all(b"GET /healthz HTTP/1.1\r\nHost: a").await.unwrap();
    client.read_to_end(&mut Vec::new()).await.unwrap();
    serving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_serves_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let (_drain, drained) = watch::channel(false);
    tokio::spawn(serve(AdminListener::Unix(socket), Arc::new(State { ready: true }), drained));
    let exchange = move || {
        let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(tokio::task::spawn_blocking(exchange).await.unwrap().ends_with("ok\n"));
}
