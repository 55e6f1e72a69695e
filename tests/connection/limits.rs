//! Deadlines and caps.

use std::time::{Duration, Instant};

use portillon::listener::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::interval;

use crate::harness::{LATE, Running, ask, read_answer, read_to_end};

#[tokio::test]
async fn c_dos_1_a_head_that_drips_is_refused_at_its_deadline() {
    let head_timeout = Duration::from_millis(300);
    let gateway = Running::with(Limits { head_timeout, ..Limits::default() }).await;
    let (mut read, mut write) = gateway.connect().await.into_split();
    let start = Instant::now();
    let drip = tokio::spawn(async move {
        let mut pace = interval(Duration::from_millis(20));
        for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX: ".iter().chain(std::iter::repeat(&b'a')) {
            pace.tick().await;
            if write.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    });
    let answer = read_to_end(&mut read).await;
    drip.abort();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("head_timeout"), "{answer}");
    assert!(start.elapsed() >= head_timeout);
    gateway.assert_untouched("a slow head").await;
}

#[tokio::test]
async fn the_deadline_of_a_second_head_starts_with_its_own_first_byte() {
    let gateway = Running::with(Limits { head_timeout: Duration::from_millis(300), ..Limits::default() }).await;
    let mut client = gateway.connect().await;
    ask(&mut client, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.write_all(b"GET").await.unwrap();
    let answer = read_to_end(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn who_says_nothing_is_told_nothing() {
    let gateway = Running::with(Limits { head_timeout: Duration::from_millis(50), ..Limits::default() }).await;
    let mut silent = gateway.connect().await;
    assert_eq!(read_to_end(&mut silent).await, "");
    let mut leaving = gateway.connect().await;
    leaving.write_all(b"GET / HT").await.unwrap();
    leaving.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut leaving).await, "");
    assert_eq!(gateway.counters.refused_heads(), 0);
}

#[tokio::test]
async fn c_hdr_7_each_cap_has_its_answer() {
    let limits = Limits { max_head: 4096, max_headers: 20, max_request_line: 1024, ..Limits::default() };
    let gateway = Running::with(limits).await;
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(2000));
    let endless_target = format!("GET /{}", "a".repeat(100_000));
    let long_field = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(5000));
    let endless_field = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "a".repeat(1_000_000));
    let many_fields = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(20));
    for (request, status) in
        [(long_target, 414), (endless_target, 414), (long_field, 431), (endless_field, 431), (many_fields, 431)]
    {
        let answer = gateway.exchange(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
        gateway.assert_untouched(&status.to_string()).await;
    }
    let full = format!("GET /full HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(19));
    let mut client = gateway.connect().await;
    assert_eq!(ask(&mut client, &full).await.1, "/full ");
}

#[tokio::test]
async fn at_the_cap_an_idle_connection_makes_room() {
    let gateway = Running::with(Limits { max_connections: 1, ..Limits::default() }).await;
    let mut first = gateway.connect().await;
    ask(&mut first, "GET /first HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut second = gateway.connect().await;
    assert_eq!(ask(&mut second, "GET /second HTTP/1.1\r\nHost: a\r\n\r\n").await.1, "/second ");
    assert_eq!(read_to_end(&mut first).await, "");
    assert_eq!(gateway.counters.connections(), 1);
}

#[tokio::test]
async fn at_the_cap_a_new_connection_waits_for_a_busy_one() {
    let gateway = Running::with(Limits { max_connections: 1, ..Limits::default() }).await;
    let mut first = gateway.connect().await;
    first.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    gateway.upstream.arrived.notified().await;
    let mut second = gateway.connect().await;
    second.write_all(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut byte = [0];
    let waiting = tokio::time::timeout(Duration::from_millis(100), second.read(&mut byte)).await;
    assert!(waiting.is_err(), "the second connection is not served yet");
    gateway.upstream.release.notify_one();
    assert_eq!(read_answer(&mut first).await.1, "/slow ");
    drop(first);
    assert_eq!(read_answer(&mut second).await.1, "/second ");
}

#[tokio::test]
async fn c_dos_8_a_lack_of_descriptors_is_survived() {
    // The limit is the process's: it must not be this one's.
    let test = "limits::few_descriptors";
    let line = format!("ulimit -n 64 && exec \"$0\" --exact {test} --ignored");
    let binary = std::env::current_exe().unwrap();
    let run = std::process::Command::new("sh").arg("-c").arg(line).arg(binary).output().unwrap();
    let output = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && output.contains("1 passed"), "{output}");
}

#[tokio::test]
#[ignore = "runs in a process of its own, which has few descriptors"]
async fn few_descriptors() {
    let gateway = Running::start().await;
    let mut clients = Vec::new();
    while let Ok(client) = tokio::net::TcpStream::connect(gateway.address).await {
        assert!(clients.len() < 64, "the process has more descriptors than it should");
        clients.push(client);
        // The gateway takes its share, until there is none.
        tokio::task::yield_now().await;
    }
    drop(clients);
    gateway.open_connections(0).await;
    gateway.assert_untouched("a lack of descriptors").await;
}

/// Sends `body` in one piece, then byte after byte until the gateway has had enough; what it answers.
async fn drip(gateway: &Running, head: &str, body: &str) -> String {
    let (mut read, mut write) = gateway.connect().await.into_split();
    write.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let drip = tokio::spawn(async move {
        let mut pace = interval(Duration::from_millis(10));
        while write.write_all(b"1").await.is_ok() {
            pace.tick().await;
        }
    });
    let answer = read_to_end(&mut read).await;
    drip.abort();
    answer
}

#[tokio::test]
async fn c_dos_1_a_body_that_drips_is_given_up() {
    let body_patience = Duration::from_millis(300);
    let limits = Limits { min_body_rate: 1 << 20, body_patience, ..Limits::default() };
    let gateway = Running::with(limits).await;
    let start = Instant::now();
    for head in [
        "POST /slow-body HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
        "POST /slow-body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffff;",
    ] {
        let answer = drip(&gateway, head, "1").await;
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("body_slow"), "{head}: {answer}");
    }
    assert!(start.elapsed() >= body_patience);
    gateway.upstream.take_seen();
    gateway.assert_untouched("a slow body").await;
}

#[tokio::test]
async fn an_application_that_takes_its_time_is_not_the_clients_fault() {
    let limits = Limits { min_body_rate: 16 << 20, body_patience: Duration::from_millis(200), ..Limits::default() };
    let gateway = Running::with(limits).await;
    let mut client = gateway.connect().await;
    // More than the sockets on the way can hold: the upload stands still for longer than its bytes have bought.
    let body = "x".repeat(64 << 20);
    let head = format!("POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    let (mut read, mut write) = client.split();
    let start = Instant::now();
    let sending = async {
        write.write_all(head.as_bytes()).await.unwrap();
        write.write_all(body.as_bytes()).await.unwrap();
    };
    let ((), (head, _)) = tokio::join!(sending, read_answer(&mut read));
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(start.elapsed() >= LATE);
}
