//! What is open ends with its session (threats.md C-WS-3, C-WS-7): tunnels, event streams, downloads.

use std::time::{Duration, Instant};

use crate::harness::logs::Watch;
use crate::harness::upstream::answer::Feeder;
use crate::harness::wire::Body;
use crate::harness::{Agent, Answer, Browser, Connection, PAIE, Request, Response, World};
use crate::login::websocket;
use crate::proxying::asked;

/// Status 1008 in a close frame.
const POLICY_VIOLATION: [u8; 4] = [0x88, 0x02, 0x03, 0xF0];

/// "Within a second", and a second more for a machine that is busy with everything else.
pub const SOON: Duration = Duration::from_secs(2);

pub const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// An agent's open WebSocket on `path`, which the application feeds.
async fn fed_websocket(world: &World, browser: &mut Browser, path: &str) -> (Connection, Feeder) {
    let (feeder, answer) = Answer::fed("");
    world.upstream.answer(path, answer);
    let mut connection = asked(world, browser, websocket(PAIE, path)).await;
    feeder.send(SWITCH.as_bytes().to_vec()).unwrap();
    assert_eq!(connection.head().await.word(1), "101");
    (connection, feeder)
}

/// An agent's open event stream on `path`, whose first event has arrived.
async fn event_stream(world: &World, browser: &mut Browser, path: &str) -> (Connection, Body, Feeder) {
    let (feeder, answer) = Answer::fed(EVENTS);
    world.upstream.answer(path, answer);
    let mut connection = asked(world, browser, Request::get(PAIE, path)).await;
    let mut body = Body::of_response(&connection.head().await, "GET");
    feeder.send(chunk("data: 1\n\n")).unwrap();
    assert_eq!(connection.piece(&mut body).await.unwrap(), b"data: 1\n\n");
    (connection, body, feeder)
}

pub fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// Presses the logout button without following where it leads; when that was.
pub async fn leave(world: &World, browser: &mut Browser) -> (Response, Instant) {
    let form = world.logout_form(browser).await;
    let url = crate::harness::browser::parse(&format!("https://{PAIE}{}", form.action));
    let started = Instant::now();
    let answer = browser.send(&url, crate::harness::browser::form_post(&url, &form.body())).await;
    assert_eq!(answer.status, 303);
    (answer, started)
}

/// Everything that comes before the connection ends.
async fn rest(connection: &mut Connection) -> Vec<u8> {
    let mut rest = Vec::new();
    loop {
        match connection.bytes().await {
            bytes if bytes.is_empty() => return rest,
            bytes => rest.extend(bytes),
        }
    }
}

/// The access lines of `path` that give `reason`, once there is one; `path` is of this test alone.
pub async fn logged(watch: &Watch, path: &str) -> Vec<String> {
    let lines = || -> Vec<String> {
        let text = watch.text();
        text.lines().filter(|line| line.contains("access") && line.contains(path)).map(str::to_owned).collect()
    };
    crate::harness::client::eventually(|| !lines().is_empty()).await;
    lines()
}

pub fn fresh_path() -> String {
    format!("/open-{}", portillon::crypto::random_token::<9>())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_websocket_ends_with_its_session_and_no_other_does() {
    let watch = Watch::start();
    let world = World::start().await;
    let path = fresh_path();
    world.upstream.answer("/other", Answer::websocket());
    let (mut browser, mut other) = (world.logged_in(&Agent::angela()).await, world.logged_in(&Agent::angela()).await);
    let (mut tunnel, _feeder) = fed_websocket(&world, &mut browser, &path).await;
    let mut untouched = asked(&world, &mut other, websocket(PAIE, "/other")).await;
    assert_eq!(untouched.response("GET").await.status, 101);
    let (_, left) = leave(&world, &mut browser).await;
    assert_eq!(rest(&mut tunnel).await, POLICY_VIOLATION);
    assert!(left.elapsed() < SOON, "{:?}", left.elapsed());
    untouched.send("still here").await;
    assert_eq!(untouched.exactly(10).await, b"still here");
    drop(tunnel);
    let lines = logged(&watch, &path).await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("stream_logged_out") && lines[0].contains("status=101"), "{lines:#?}");
    let metrics = world.admin("/metrics").await.text();
    assert!(metrics.contains("portillon_streams_ended_total{reason=\"stream_logged_out\"} 1"), "{metrics}");
    assert!(metrics.contains("portillon_websockets_open 1"), "{metrics}");
    drop(untouched);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_in_mid_frame_gets_the_rest_of_it_before_it_is_closed() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let (mut tunnel, feeder) = fed_websocket(&world, &mut browser, "/ws").await;
    feeder.send(b"\x82\x7e\x01\x00first half:".to_vec()).unwrap();
    assert_eq!(tunnel.exactly(15).await, b"\x82\x7e\x01\x00first half:");
    leave(&world, &mut browser).await;
    let second = [&vec![b'x'; 256 - 11][..], b"\x81\x06secret"].concat();
    feeder.send(second).unwrap();
    let mut expected = vec![b'x'; 256 - 11];
    expected.extend(POLICY_VIOLATION);
    assert_eq!(rest(&mut tunnel).await, expected, "nothing of the next frame");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_busy_both_ways_ends_with_whole_frames() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let (mut tunnel, feeder) = fed_websocket(&world, &mut browser, "/ws").await;
    let frame = [&b"\x82\x7f\0\0\0\0\0\x01\0\x05"[..], &[0x88; 0x1_0005]].concat();
    let (busy, length) = (frame.clone(), frame.len());
    let feeding = tokio::spawn(async move {
        while feeder.send(busy.clone()).is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert_eq!(tunnel.exactly(length).await, frame);
    leave(&world, &mut browser).await;
    let last = rest(&mut tunnel).await;
    assert_eq!(last.len() % length, 4, "whole frames, and ours");
    assert_eq!(last[last.len() - 4..], POLICY_VIOLATION);
    feeding.abort();
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_stops_in_the_middle_is_waited_for_a_second_only() {
    let watch = Watch::start();
    let world = World::start().await;
    let path = fresh_path();
    let mut browser = world.logged_in(&Agent::angela()).await;
    let (mut tunnel, feeder) = fed_websocket(&world, &mut browser, &path).await;
    feeder.send(b"\x81\x10half".to_vec()).unwrap();
    assert_eq!(tunnel.exactly(6).await, b"\x81\x10half");
    let (_, left) = leave(&world, &mut browser).await;
    assert_eq!(rest(&mut tunnel).await, b"", "no close frame in the middle of another");
    assert!(left.elapsed() < SOON + Duration::from_secs(1), "{:?}", left.elapsed());
    let lines = logged(&watch, &path).await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("stream_logged_out") && lines[0].contains("status=101"), "{lines:#?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_was_closed_already_gets_no_second_close() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let (mut tunnel, feeder) = fed_websocket(&world, &mut browser, "/ws").await;
    feeder.send(b"\x88\x02\x03\xe8".to_vec()).unwrap();
    assert_eq!(tunnel.exactly(4).await, b"\x88\x02\x03\xe8");
    leave(&world, &mut browser).await;
    assert_eq!(rest(&mut tunnel).await, b"");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_ends_with_its_last_chunk() {
    let watch = Watch::start();
    let world = World::start().await;
    let path = fresh_path();
    let (mut browser, mut other) = (world.logged_in(&Agent::angela()).await, world.logged_in(&Agent::angela()).await);
    let (mut events, _, feeder) = event_stream(&world, &mut browser, &path).await;
    let (mut untouched, mut body, others) = event_stream(&world, &mut other, "/others").await;
    let (_, left) = leave(&world, &mut browser).await;
    assert_eq!(rest(&mut events).await, b"0\r\n\r\n");
    assert!(left.elapsed() < SOON, "{:?}", left.elapsed());
    let _ = feeder.send(chunk("data: secret\n\n"));
    others.send(chunk("data: 2\n\n")).unwrap();
    assert_eq!(untouched.piece(&mut body).await.unwrap(), b"data: 2\n\n");
    let lines = logged(&watch, &path).await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("stream_logged_out") && lines[0].contains("status=200"), "{lines:#?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_cut_does_not_look_complete() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    // Longer than what is collected before it is sent on.
    let start = "x".repeat(20_000);
    for (path, head, start) in [
        ("/length", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", start.clone()),
        (
            "/chunks",
            "HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n",
            format!("4E20\r\n{start}\r\n"),
        ),
    ] {
        let (feeder, answer) = Answer::fed(head);
        world.upstream.answer(path, answer);
        let mut download = asked(&world, &mut browser, Request::get(PAIE, path)).await;
        feeder.send(start.clone().into_bytes()).unwrap();
        download.head().await;
        let arrived = download.exactly(start.len()).await;
        assert_eq!(arrived.len(), start.len());
        leave(&world, &mut browser).await;
        assert_eq!(rest(&mut download).await, b"", "{path}: neither more of it nor an end of it");
        world.log_in(&mut browser, &Agent::angela(), crate::harness::HOME).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_cut() {
    let watch = Watch::start();
    let world = World::start().await;
    let path = fresh_path();
    world.upstream.answer(&path, Answer::flood("HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n"));
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut download = asked(&world, &mut browser, Request::get(PAIE, &path)).await;
    download.head().await;
    let (_, left) = leave(&world, &mut browser).await;
    let lines = logged(&watch, &path).await;
    assert!(left.elapsed() < SOON + Duration::from_secs(1), "{:?}", left.elapsed());
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("stream_logged_out") && lines[0].contains("status=200"), "{lines:#?}");
    assert!(lines[0].contains("session="), "{lines:#?}");
    drop(download);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_absolute_limit_ends_what_the_idle_limit_does_not() {
    let watch = Watch::start();
    let world = World::start().await;
    let path = fresh_path();
    let mut browser = world.logged_in(&Agent::angela()).await;
    let (mut tunnel, feeder) = fed_websocket(&world, &mut browser, &path).await;
    world.advance(61);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    feeder.send(b"\x81\x01a".to_vec()).unwrap();
    assert_eq!(tunnel.exactly(3).await, b"\x81\x01a", "no activity, and no idleness either");
    world.advance(11 * 60);
    let over = Instant::now();
    assert_eq!(rest(&mut tunnel).await, POLICY_VIOLATION);
    assert!(over.elapsed() < SOON, "{:?}", over.elapsed());
    let lines = logged(&watch, &path).await;
    assert!(lines.len() == 1 && lines[0].contains("stream_expired"), "{lines:#?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_begins_after_the_end_of_its_session_ends_at_once() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for whole in [
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsecret\r\n0\r\n\r\n",
    ] {
        let path = fresh_path();
        let (feeder, answer) = Answer::fed("");
        world.upstream.answer(&path, answer);
        let mut late = asked(&world, &mut browser, Request::get(PAIE, &path)).await;
        world.upstream.until(|log| log.received.last().is_some_and(|r| r.line() == format!("GET {path}"))).await;
        leave(&world, &mut browser).await;
        tokio::time::sleep(Duration::from_millis(1100)).await;
        feeder.send(whole.as_bytes().to_vec()).unwrap();
        assert_eq!(rest(&mut late).await, b"", "neither any of it nor an end of it");
        world.log_in(&mut browser, &Agent::angela(), crate::harness::HOME).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_applications_own_logout_ends_streams_and_is_answered_itself() {
    let mut plan = crate::harness::Plan::new().await;
    plan.site.route("paie").line(r#"logout_paths = ["/deconnexion"]"#);
    let world = plan.start().await;
    world.upstream.answer("/deconnexion", Answer::with(&[("Set-Cookie", "app=; Max-Age=0")], &"x".repeat(100_000)));
    let mut browser = world.logged_in(&Agent::angela()).await;
    let (mut tunnel, _feeder) = fed_websocket(&world, &mut browser, "/ws").await;
    world.expects(&Agent::angela(), "GET /deconnexion");
    let answer = browser.step("https://paie.test/deconnexion").await;
    assert_eq!((answer.status, answer.header("set-cookie")), (303, Some("app=; Max-Age=0")));
    assert_eq!(rest(&mut tunnel).await, POLICY_VIOLATION);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_forgets_no_stream() {
    let mut world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let (mut tunnel, _feeder) = fed_websocket(&world, &mut browser, "/ws").await;
    let site = world.site.clone();
    world.reload(&site).await.unwrap();
    leave(&world, &mut browser).await;
    assert_eq!(rest(&mut tunnel).await, POLICY_VIOLATION);
    world.finish().await;
}
