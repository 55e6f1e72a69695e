//! A copy of a session cookie is of no use once its session has ended: after a restart, and at every gateway that shares
//! the store; and what agents see while there is no store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portillon::clock::Clock;
use portillon::crypto::key_ring::{KeyRing, KeyRings};
use portillon::store::records::Records;
use portillon::store::redis::Redis;
use portillon::store::{Revocations, Scope};
use tokio::time::{sleep, timeout};

use crate::harness::browser::{form_post, navigation, parse};
use crate::harness::client::{Connection, Response};
use crate::harness::gateway::Gateway;
use crate::harness::group::{share, sharing, sibling};
use crate::harness::{Agent, Answer, Browser, HOME, PAIE, Plan, Request, Who, World};
use crate::load::process::Process;
use crate::login::websocket;
use crate::open_connections::SOON;
use crate::proxying::asked;
use crate::redis::{PATIENCE, Server};

/// A request as a thief would repeat it.
fn copied(browser: &mut Browser) -> Request {
    browser.with_cookies(&parse(HOME), navigation(&parse(HOME), "none"))
}

async fn ask(gateway: &Gateway, request: &Request) -> Response {
    Connection::open(gateway.address).await.exchange(request).await
}

fn is_sent_to_log_in(world: &World, answer: &Response) -> bool {
    answer.header("location").is_some_and(|location| location.starts_with(&world.provider.issuer()))
}

/// Waits until asking gives an answer that `is` what is expected; meanwhile Angela may still get in.
async fn until(world: &World, gateway: &Gateway, request: &Request, is: impl Fn(&Response) -> bool) -> Response {
    until_for(&Agent::angela(), world, gateway, request, is).await
}

/// The same with another agent's request.
async fn until_for(
    agent: &Agent,
    world: &World,
    gateway: &Gateway,
    request: &Request,
    is: impl Fn(&Response) -> bool,
) -> Response {
    timeout(PATIENCE, async {
        loop {
            world.upstream.tolerates(agent, "GET /");
            let answer = ask(gateway, request).await;
            if is(&answer) {
                return answer;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_cookie_stays_dead_after_a_restart() {
    // A5-1
    let mut world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let copied = copied(&mut browser);
    world.log_out(&mut browser).await;
    assert!(world.send(&copied).await.location().starts_with(&world.provider.issuer()));
    world.restart().await;
    assert!(world.send(&copied).await.location().starts_with(&world.provider.issuer()));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_that_the_store_did_not_take_is_written_before_a_stop() {
    let redis = Server::start(&[]);
    let mut world = sharing(&redis, "\"1h\"").await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let copied = copied(&mut browser);
    redis.cli(&["acl", "setuser", "default", "-xadd"]);
    world.log_out(&mut browser).await;
    assert_eq!(redis.cli(&["exists", "portillon:ended-sessions"]).trim(), "0");
    redis.cli(&["acl", "setuser", "default", "+xadd"]);
    world.restart().await;
    assert_ne!(redis.cli(&["xlen", "portillon:ended-sessions"]).trim(), "0");
    assert!(world.send(&copied).await.location().starts_with(&world.provider.issuer()));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_at_one_gateway_is_one_at_all_of_them() {
    let redis = Server::start(&[]);
    let world = sharing(&redis, "\"60s\"").await;
    let folder = tempfile::tempdir().unwrap();
    let other = sibling(&world, &folder).await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let copied = copied(&mut browser);
    world.expects(&Agent::angela(), "GET /");
    assert_eq!(ask(&other, &copied).await.status, 200, "the session is good at either gateway");

    world.log_out(&mut browser).await;
    let is_out = until(&world, &other, &copied, |answer| is_sent_to_log_in(&world, answer));
    assert!(timeout(Duration::from_secs(1), is_out).await.is_ok(), "within a second");
    other.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_here_ends_with_a_logout_there() {
    // C-WS-3, idle, and from another gateway
    let redis = Server::start(&[]);
    let world = sharing(&redis, "\"60s\"").await;
    let folder = tempfile::tempdir().unwrap();
    let other = sibling(&world, &folder).await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.upstream.answer("/ws", Answer::websocket());
    let mut tunnel = asked(&world, &mut browser, websocket(PAIE, "/ws")).await;
    assert_eq!(tunnel.response("GET").await.status, 101);

    let form = world.logout_form(&mut browser).await;
    let url = parse(&format!("https://{PAIE}{}", form.action));
    let leave = browser.with_cookies(&url, form_post(&url, &form.body()));
    assert_eq!(ask(&other, &leave).await.status, 303);
    let close = timeout(SOON, tunnel.exactly(4)).await.expect("soon");
    assert_eq!(close, [0x88, 0x02, 0x03, 0xF0]);
    assert!(tunnel.ends().await);
    other.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_on_old_knowledge_and_everything_mends_itself() {
    let mut redis = Server::start(&[]);
    let world = sharing(&redis, "\"1s\"").await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let request = copied(&mut browser);
    redis.kill();
    let refused = until(&world, world.gateway(), &request, |answer| answer.status == 503).await;
    assert!(refused.is_own() && refused.header("retry-after").is_some() && refused.header("location").is_none());
    assert_eq!(world.admin("/readyz").await.status, 503);
    // A login would end at the same page: it is not begun.
    assert_eq!(world.send(&navigation(&parse(HOME), "none")).await.status, 503);
    let lured = world.send(&navigation(&parse("https://docs.test//evil.test/x"), "none")).await;
    assert_eq!(lured.status, 503);
    assert!(!lured.text().contains("evil.test"), "the way on leads to another site: {}", lured.text());
    // What is public needs no store.
    world.expects(Who::Public, "GET /public/a");
    assert_eq!(world.send(&Request::get(PAIE, "/public/a")).await.status, 200);

    redis.start_again();
    until(&world, world.gateway(), &request, |answer| answer.status == 200).await;
    assert_eq!(world.admin("/readyz").await.status, 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_go_on_without_a_store_where_the_configuration_says_so_and_logins_do_not() {
    let mut redis = Server::start(&[]);
    let mut plan = Plan::new().await;
    share(&mut plan, &redis, "\"1s\"");
    plan.site.set("store", "on_store_failure", "\"serve\"");
    let world = plan.start().await;
    let folder = tempfile::tempdir().unwrap();
    let other = sibling(&world, &folder).await;
    let (angela, eloise) = (Agent::angela(), Agent::eloise());
    let (mut stays, mut leaves) = (world.logged_in(&angela).await, world.logged_in(&eloise).await);
    let (request, copy) = (copied(&mut stays), copied(&mut leaves));
    redis.kill();
    let deadline = Instant::now() + PATIENCE;
    while world.browser().step(HOME).await.status != 503 {
        assert!(Instant::now() < deadline, "logins are still begun");
        sleep(Duration::from_millis(20)).await;
    }
    world.expects(&angela, "GET /");
    assert_eq!(ask(world.gateway(), &request).await.status, 200, "past the bound");
    let ready = world.admin("/readyz").await;
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("the store does not answer"), "{}", ready.text());

    world.log_out(&mut leaves).await;
    assert_ne!(ask(world.gateway(), &copy).await.status, 200, "it has ended here");
    world.expects(&eloise, "GET /");
    assert_eq!(ask(&other, &copy).await.status, 200, "nobody could tell the other one");
    redis.start_again();
    until_for(&eloise, &world, &other, &copy, |answer| is_sent_to_log_in(&world, answer)).await;
    world.expects(&angela, "GET /");
    assert_eq!(ask(&other, &request).await.status, 200, "nobody else is logged out");
    other.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_waits_for_the_store() {
    let redis = Server::start(&[]);
    let world = sharing(&redis, "\"1h\"").await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let request = copied(&mut browser);
    // Every answer stops, and no connection ends.
    redis.cli(&["client", "pause", "60000", "all"]);
    let asked = Instant::now();
    for _ in 0..20 {
        world.expects(&Agent::angela(), "GET /");
        assert_eq!(ask(world.gateway(), &request).await.status, 200);
    }
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_that_was_answered_survives_kill_9() {
    let world = Plan::at(Clock::system()).await.start().await;
    let mut gateway = Process::start(&world, |_| {}).await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let copied = copied(&mut browser);
    let form = world.logout_form(&mut browser).await;
    let url = parse(&format!("https://{PAIE}{}", form.action));
    let leave = browser.with_cookies(&url, form_post(&url, &form.body()));
    let ask = async |request: &Request| Connection::open(gateway.address).await.exchange(request).await.status;
    world.expects(&Agent::angela(), "GET /");
    assert_eq!((ask(&copied).await, ask(&leave).await), (200, 303));
    gateway.kill();
    gateway.start_again().await;
    let again = Connection::open(gateway.address).await.exchange(&copied).await;
    assert!(again.is_redirect() || again.is_own(), "{}", again.said());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_never_read_the_store_lets_nobody_in() {
    let mut redis = Server::start(&[]);
    let world = sharing(&redis, "\"1h\"").await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let request = copied(&mut browser);
    redis.kill();
    let folder = tempfile::tempdir().unwrap();
    let late = sibling(&world, &folder).await;
    let refused = ask(&late, &request).await;
    assert_eq!((refused.status, refused.is_own()), (503, true));
    assert_eq!(Connection::open(late.admin).await.exchange(&Request::get("localhost", "/readyz")).await.status, 503);
    world.expects(&Agent::angela(), "GET /");
    assert_eq!(ask(world.gateway(), &request).await.status, 200, "who read it before goes on");
    redis.start_again();
    until(&world, &late, &request, |answer| answer.status == 200).await;
    late.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_of_an_agent_end_at_every_gateway_and_later_ones_do_not() {
    let mut redis = Server::start(&[]);
    let world = sharing(&redis, "\"1h\"").await;
    let mut angela = world.logged_in(&Agent::angela()).await;
    let mut eloise = world.logged_in(&Agent::eloise()).await;
    let copy = copied(&mut angela);

    // What a gateway of the group does, once an administrator asks for it.
    let ring = KeyRing::load(&world.folder.path().join("keys")).unwrap();
    let keys = Arc::new(KeyRings::new(ring, None));
    let store = Redis::new(redis.settings(), world.clock.clone()).unwrap();
    let (records, told) = (Records::new(Arc::new(store), keys, world.clock.clone()), Instant::now());
    let revocations = Revocations::new(world.clock.clone());
    let sub = Agent::angela().sub().to_owned();
    revocations.revoke_many(Scope::Agent(sub), Duration::from_secs(3600), &records).await.unwrap();

    until(&world, world.gateway(), &copy, |answer| answer.status == 303).await;
    assert!(told.elapsed() < SOON, "{:?}", told.elapsed());
    world.expects(&Agent::eloise(), "GET /");
    assert_eq!(ask(world.gateway(), &copied(&mut eloise)).await.status, 200, "nobody else's session");
    let key = redis.cli(&["keys", "portillon:revocation:*"]);
    assert!(!redis.cli(&["get", key.trim()]).contains(Agent::angela().sub()), "a dump tells nobody's name");

    // The store loses everything: the gateway that runs knows, and tells the next one.
    redis.kill();
    redis.start_again();
    redis.until(&["zcard", "portillon:revocation"], |number| number.trim() == "1");
    let folder = tempfile::tempdir().unwrap();
    let next = sibling(&world, &folder).await;
    assert_eq!(ask(&next, &copy).await.status, 303, "a gateway reads them before it serves");

    world.advance(1);
    let mut again = world.logged_in(&Agent::angela()).await;
    world.expects(&Agent::angela(), "GET /");
    assert_eq!(ask(&next, &copied(&mut again)).await.status, 200, "a login after that is a new one");
    next.stop().await;
    world.finish().await;
}
