//! A copy of a session cookie is of no use once its session has ended: after a restart, and at every gateway that shares
//! the store; and what agents see while there is no store.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::harness::browser::{form_post, navigation, parse};
use crate::harness::client::{Connection, Response};
use crate::harness::gateway::Gateway;
use crate::harness::world::Plan;
use crate::harness::{Agent, Answer, Browser, HOME, PAIE, Request, Who, World};
use crate::login::websocket;
use crate::proxying::asked;
use crate::redis::{PATIENCE, Server};

/// A request as a thief would repeat it.
fn copied(browser: &mut Browser) -> Request {
    browser.with_cookies(&parse(HOME), navigation(&parse(HOME), "none"))
}

async fn ask(gateway: &Gateway, request: &Request) -> Response {
    Connection::open(gateway.address).await.exchange(request).await
}

/// A gateway that shares everything with those of the same Redis; `staleness` as in the configuration.
async fn sharing(redis: &Server, staleness: &str) -> World {
    let mut plan = Plan::new().await;
    let url = format!("\"redis://127.0.0.1:{}\"", redis.port);
    plan.site.set("store", "kind", "\"redis\"").set("store", "url", &url).set("store", "staleness", staleness);
    plan.start().await
}

/// Another gateway of the same site: same keys, a state of its own.
async fn sibling(world: &World, folder: &tempfile::TempDir) -> Gateway {
    let mut site = world.site.clone();
    site.set("server", "keys_dir", &format!("{:?}", world.folder.path().join("keys")));
    Gateway::start(&site, folder.path(), &world.clock).await.unwrap()
}

/// Waits until asking gives an answer that `is` what is expected; meanwhile Angela may still get in.
async fn until(world: &World, gateway: &Gateway, request: &Request, is: impl Fn(&Response) -> bool) -> Response {
    timeout(PATIENCE, async {
        loop {
            world.upstream.tolerates(&Agent::angela(), "GET /");
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
    let is_out = |answer: &Response| answer.location().starts_with(&world.provider.issuer());
    assert!(timeout(Duration::from_secs(1), until(&world, &other, &copied, is_out)).await.is_ok(), "within a second");
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
    assert_eq!(timeout(PATIENCE, tunnel.exactly(4)).await.unwrap(), [0x88, 0x02, 0x03, 0xF0]);
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
    // What is public needs no store.
    world.expects(Who::Public, "GET /public/a");
    assert_eq!(world.send(&Request::get(PAIE, "/public/a")).await.status, 200);

    redis.start_again();
    until(&world, world.gateway(), &request, |answer| answer.status == 200).await;
    assert_eq!(world.admin("/readyz").await.status, 200);
    world.finish().await;
}
