//! `[session] refresh_identity`: userinfo asked again with the refresh token, once for all requests at all gateways.

use std::time::Duration;

use futures_util::future::join_all;

use crate::harness::browser::{navigation, parse};
use crate::harness::client::{Connection, Response, eventually, within};
use crate::harness::gateway::Gateway;
use crate::harness::group::{share, sibling};
use crate::harness::{Agent, Answer, Browser, Edit, Endpoint, HOME, PAIE, Plan, Reply, Request, World};
use crate::login::websocket;
use crate::proxying::asked;
use crate::redis::Server;

async fn refreshing() -> World {
    let mut plan = Plan::new().await;
    plan.site.set("session", "refresh_identity", "\"15m\"");
    plan.start().await
}

fn request(browser: &mut Browser) -> Request {
    browser.with_cookies(&parse(HOME), navigation(&parse(HOME), "none"))
}

async fn ask(gateway: &Gateway, request: &Request) -> Response {
    Connection::open(gateway.address).await.exchange(request).await
}

/// Opens the page as `agent`, whom the application must be told of.
async fn opens(world: &World, request: &Request, agent: &Agent) {
    world.expects(agent, "GET /");
    assert_eq!(world.send(request).await.status, 200);
}

/// How often the provider was asked to refresh.
fn refreshes(world: &World) -> usize {
    let calls = world.provider.calls(Endpoint::Token);
    calls.iter().filter(|call| call.parameter("grant_type") == Some("refresh_token")).count()
}

/// One try ended like this.
async fn counts(world: &World, result: &str) {
    let told = world.admin("/metrics").await.text();
    let line = format!("portillon_refresh_total{{provider=\"default\",result=\"{result}\"}} 1");
    assert!(told.contains(&line) && told.matches("portillon_refresh_total{").count() == 1, "{told}");
}

fn renamed() -> Agent {
    Agent::angela().with("usual_name", "MARTIN")
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_wait_for_one_refresh_and_all_see_what_it_brings() {
    let world = refreshing().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let request = request(&mut browser);
    world.provider.log_in(&renamed());
    world.advance(31);
    let agent = renamed();
    join_all((0..50).map(|_| opens(&world, &request, &agent))).await;
    assert_eq!((refreshes(&world), world.provider.count(Endpoint::UserInfo)), (1, 2));
    counts(&world, "refreshed").await;
    assert_eq!(world.provider.count(Endpoint::Authorization), 1, "nobody logs in again");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_is_due_is_refreshed_while_requests_go_on() {
    let world = refreshing().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let request = request(&mut browser);
    world.provider.log_in(&renamed());
    world.advance(14);
    opens(&world, &request, &Agent::angela()).await;
    assert_eq!(refreshes(&world), 0);
    world.provider.misbehave(|script| script.token = Reply::Never);
    world.advance(1);
    opens(&world, &request, &Agent::angela()).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_refresh_in_the_background_brings_is_used() {
    let world = refreshing().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let request = request(&mut browser);
    world.provider.log_in(&renamed());
    world.advance(15);
    let brought = async {
        while world.upstream.last().header("x-agent-usual-name") != "MARTIN" {
            world.upstream.tolerates(&Agent::angela(), "GET /");
            world.upstream.tolerates(&renamed(), "GET /");
            assert_eq!(world.send(&request).await.status, 200);
        }
    };
    within(brought).await;
    assert_eq!(refreshes(&world), 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_refresh_token_is_used_next_and_the_cookie_learns_the_identity() {
    let mut world = refreshing().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for round in 1..=3 {
        let agent = Agent::angela().with("usual_name", format!("Name {round}"));
        world.provider.log_in(&agent);
        world.advance(31);
        world.expects(&agent, "GET /");
        assert_eq!(browser.open(HOME).await.status(), 200);
        assert_eq!(refreshes(&world), round);
        world.restart().await;
        world.expects(&agent, "GET /");
        assert_eq!(browser.open(HOME).await.status(), 200, "the cookie holds it");
        assert_eq!(refreshes(&world), round);
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_grant_ends_the_session_and_its_streams() {
    let world = refreshing().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.upstream.answer("/ws", Answer::websocket());
    let mut tunnel = asked(&world, &mut browser, websocket(PAIE, "/ws")).await;
    assert_eq!(tunnel.response("GET").await.status, 101);
    world.provider.revoke_grants();
    world.advance(31);
    let request = request(&mut browser);
    assert!(world.send(&request).await.location().starts_with(&world.provider.issuer()));
    assert_eq!(tunnel.exactly(4).await, [0x88, 0x02, 0x03, 0xF0]);
    assert!(tunnel.ends().await);
    counts(&world, "refused").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_would_not_be_let_in_ends_the_session() {
    for agent in [Agent::angela().without("email"), Agent::eloise().with("sub", "another")] {
        let world = refreshing().await;
        let mut browser = world.logged_in(&Agent::angela()).await;
        let request = request(&mut browser);
        if agent.sub() == Agent::angela().sub() {
            world.provider.log_in(&agent);
        } else {
            world.provider.misbehave(|script| script.user_info_claims.claims = vec![Edit::set("sub", "another")]);
        }
        world.advance(31);
        assert!(world.send(&request).await.location().starts_with(&world.provider.issuer()));
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_fails_ends_nothing() {
    let invalid_grant = r#"{"error":"invalid_grant"}"#;
    for fault in [
        Reply::status("500 Internal Server Error", "application/json", invalid_grant),
        Reply::status("503 Service Unavailable", "text/html", ""),
        Reply::status("429 Too Many Requests", "application/json", r#"{"error":"slow_down"}"#),
        Reply::status("401 Unauthorized", "application/json", r#"{"error":"invalid_client"}"#),
        Reply::Hangup,
    ] {
        let world = refreshing().await;
        let mut browser = world.logged_in(&Agent::angela()).await;
        let request = request(&mut browser);
        world.provider.misbehave(|script| script.token = fault.clone());
        world.advance(31);
        opens(&world, &request, &Agent::angela()).await;
        assert_eq!(refreshes(&world), 1, "{fault:?}");
        opens(&world, &request, &Agent::angela()).await;
        assert_eq!(refreshes(&world), 1, "not at every request: {fault:?}");
        counts(&world, "failed").await;
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_never_answers_is_waited_for_once_and_not_for_long() {
    let world = refreshing().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let request = request(&mut browser);
    world.provider.misbehave(|script| script.token = Reply::Never);
    world.advance(31);
    let begun = std::time::Instant::now();
    opens(&world, &request, &Agent::angela()).await;
    assert!(begun.elapsed() < Duration::from_secs(8));
    eventually(|| refreshes(&world) == 1).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn userinfo_that_fails_after_a_rotation_loses_no_token() {
    let mut world = refreshing().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let request = request(&mut browser);
    world.provider.misbehave(|script| script.user_info = Reply::status("500 Internal Server Error", "text/html", ""));
    world.advance(31);
    opens(&world, &request, &Agent::angela()).await;
    assert_eq!(refreshes(&world), 1);
    world.provider.behave();
    world.provider.log_in(&renamed());
    // It forgets that it just tried.
    world.restart().await;
    opens(&world, &request, &renamed()).await;
    assert_eq!(refreshes(&world), 2);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_refresh_once() {
    let redis = Server::start(&[]);
    let mut plan = Plan::new().await;
    plan.site.set("session", "refresh_identity", "\"15m\"");
    plan.site.set("session", "idle", "\"12h\"");
    share(&mut plan, &redis, "\"12h\"");
    let world = plan.start().await;
    let folder = tempfile::tempdir().unwrap();
    let other = sibling(&world, &folder).await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let request = request(&mut browser);
    for round in 1..=2 {
        let agent = Agent::angela().with("usual_name", format!("Name {round}"));
        world.provider.log_in(&agent);
        world.advance(31);
        for _ in 0..50 {
            world.expects(&agent, "GET /");
        }
        let answers = join_all((0..50).map(|n| ask(if n % 2 == 0 { world.gateway() } else { &other }, &request))).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        assert_eq!(refreshes(&world), round);
    }
    let dump = redis.cli(&["--scan", "--pattern", "portillon:identity:*"]);
    assert_eq!(dump.lines().count(), 1, "a token, and no lock: {dump}");
    let kept = redis.cli(&["get", dump.trim()]);
    assert!(world.provider.secrets().iter().all(|secret| !kept.contains(secret.as_str())), "sealed");
    world.log_out(&mut browser).await;
    let is_forgotten = || redis.cli(&["--scan", "--pattern", "portillon:identity:*"]).trim().is_empty();
    eventually(is_forgotten).await;
    other.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_revokes_the_refresh_token_at_a_provider_that_can() {
    let mut plan = Plan::new().await;
    plan.site.set("session", "refresh_identity", "\"15m\"");
    let endpoint = format!("{}/token/revocation", plan.provider.issuer());
    plan.provider.misbehave(|script| script.metadata = vec![Edit::set("revocation_endpoint", endpoint)]);
    let world = plan.start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.log_out(&mut browser).await;
    eventually(|| world.provider.count(Endpoint::Revocation) == 1).await;
    let asked = world.provider.last(Endpoint::Revocation);
    assert_eq!(asked.parameter("token_type_hint"), Some("refresh_token"));
    let token = asked.parameter("token").unwrap().to_owned();
    assert!(world.provider.secrets().contains(&token) && token != world.provider.last_id_token());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_no_refresh_token_is_kept_or_used() {
    let redis = Server::start(&[]);
    let mut plan = Plan::new().await;
    share(&mut plan, &redis, "\"12h\"");
    let world = plan.start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let request = request(&mut browser);
    world.advance(31);
    opens(&world, &request, &Agent::angela()).await;
    assert_eq!(refreshes(&world), 0);
    assert!(redis.cli(&["--scan", "--pattern", "portillon:identity:*"]).trim().is_empty());
    world.finish().await;
}
