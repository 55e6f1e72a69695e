//! Operators see who is logged in and end sessions: the binary itself, `portillon sessions`, asks a gateway at work.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use portillon::admin::order::Order;
use portillon::clock::Clock;
use portillon::crypto::key_ring::KeyRing;
use portillon::live::Selection;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::harness::browser::{navigation, parse};
use crate::harness::client::Connection;
use crate::harness::gateway::Gateway;
use crate::harness::group::{share, sibling};
use crate::harness::{Agent, Browser, HOME, PAIE, Plan, Request, World};
use crate::redis::{PATIENCE, Server};

const DOCS: &str = "https://docs.test/";
const AT_RIE: &str = "https://rie.test/";

/// The binary and the gateway see the same time of day.
pub async fn plan() -> Plan {
    Plan::at(Clock::system()).await
}

/// The configuration of the gateway, with the address that its admin listener really has.
pub fn configuration(world: &World) -> PathBuf {
    let mut site = world.site.clone();
    site.set("admin", "listen", &format!("[\"{}\"]", world.gateway().admin));
    let file = world.folder.path().join("operator.toml");
    std::fs::write(&file, site.to_toml(world.folder.path())).unwrap();
    file
}

async fn sessions(world: &World, words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portillon"));
    command.arg("sessions").args(words.split_ascii_whitespace()).arg("--config").arg(configuration(world));
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What `list --json` tells, once it tells of so many sessions.
async fn listed(world: &World, words: &str, number: usize) -> Vec<Value> {
    let listing = async {
        loop {
            let output = sessions(world, &format!("list --json {words}")).await;
            assert!(output.status.success(), "{}", said(&output));
            let lines = String::from_utf8(output.stdout).unwrap();
            let found: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            if found.len() == number {
                return found;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, listing).await.unwrap_or_else(|_| panic!("never {number} sessions"))
}

/// What a browser with this session gets now.
async fn asked_again(world: &World, browser: &mut Browser, url: &str) -> u16 {
    let request = browser.with_cookies(&parse(url), navigation(&parse(url), "none"));
    Connection::open(world.gateway().address).await.exchange(&request).await.status
}

/// Waits until the session of `browser` has ended at the gateway.
async fn is_out(world: &World, gateway: &Gateway, request: &Request) {
    let ended = async {
        loop {
            world.upstream.tolerates(&Agent::angela(), "GET /");
            if Connection::open(gateway.address).await.exchange(request).await.status != 200 {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, ended).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_who_is_logged_in_and_ends_one_session() {
    let world = plan().await.start().await;
    let mut angela = world.logged_in(&Agent::angela()).await;
    let mut eloise = world.logged_in(&Agent::eloise()).await;
    let found = listed(&world, "", 2).await;
    let hers = found.iter().find(|session| session["sub"] == Agent::angela().sub()).unwrap();
    assert_eq!((hers["host"].as_str(), hers["address"].as_str()), (Some(PAIE), Some("127.0.0.1")));
    let name = hers["session"].as_str().unwrap();
    assert!(world.upstream.log().received.iter().any(|seen| seen.header("x-agent-session") == name), "as it is told");

    let table = sessions(&world, "list").await;
    assert!(said(&table).lines().next().unwrap().starts_with("SESSION"), "{}", said(&table));
    assert!(said(&table).contains(name) && said(&table).contains("s ago"), "{}", said(&table));

    let revoked = sessions(&world, &format!("revoke {name}")).await;
    assert!(revoked.status.success() && said(&revoked) == "1 session ended\n", "{}", said(&revoked));
    assert_eq!(asked_again(&world, &mut angela, HOME).await, 303, "her session is over");
    world.expects(&Agent::eloise(), "GET /");
    assert_eq!(asked_again(&world, &mut eloise, HOME).await, 200, "nobody else's");
    listed(&world, "", 1).await;
    let again = sessions(&world, &format!("revoke {name}")).await;
    assert_eq!((again.status.code(), said(&again).as_str()), (Some(1), "no sessions ended\n"));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_an_identity_provider_or_everybody_is_out_everywhere() {
    let redis = Server::start(&[]);
    let mut plan = plan().await;
    share(&mut plan, &redis, "\"60s\"");
    let world = plan.start().await;
    let folder = tempfile::tempdir().unwrap();
    let other = sibling(&world, &folder).await;
    let angela = Agent::angela();
    let (email, idp) = (angela.text("email"), angela.text("idp_id"));
    for words in
        [format!("--agent {}", angela.sub()), format!("--agent {email}"), format!("--idp {idp}"), "--all".to_owned()]
    {
        let mut browser = world.logged_in(&angela).await;
        let request = browser.with_cookies(&parse(HOME), navigation(&parse(HOME), "none"));
        let filter = if words == "--all" { "" } else { &words };
        listed(&world, filter, 1).await;
        let revoked = sessions(&world, &format!("revoke {words}")).await;
        assert!(revoked.status.success() && said(&revoked) == "1 session ended\n", "{words}: {}", said(&revoked));
        assert_eq!(asked_again(&world, &mut browser, HOME).await, 303, "{words}");
        is_out(&world, &other, &request).await;
        listed(&world, filter, 0).await;
        // Whoever logs in from the next second on is not meant.
        sleep(Duration::from_millis(1100)).await;
    }
    other.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_out_at_the_provider_that_is_named_and_at_no_other() {
    let mut plan = plan().await;
    let rie = plan.another_provider().await;
    rie.log_in(&Agent::angela());
    let world = plan.start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.expects(&Agent::angela(), "GET /");
    assert_eq!(browser.open(AT_RIE).await.status(), 200);
    listed(&world, "", 2).await;
    let agent = format!("--agent {}", Agent::angela().sub());
    for (words, complaint) in [("", "`default`, `rie`"), ("--provider autre", "no provider is called `autre`")] {
        let refused = sessions(&world, &format!("revoke {agent} {words}")).await;
        assert!(!refused.status.success() && said(&refused).contains(complaint), "{}", said(&refused));
    }
    assert_eq!(listed(&world, &agent, 2).await.len(), 2, "nothing ended");
    listed(&world, &format!("{agent} --provider rie"), 1).await;
    let revoked = sessions(&world, &format!("revoke {agent} --provider rie")).await;
    assert!(revoked.status.success() && said(&revoked) == "1 session ended\n", "{}", said(&revoked));
    world.expects(&Agent::angela(), "GET /");
    assert_eq!(asked_again(&world, &mut browser, HOME).await, 200, "the same `sub` at the other provider");
    assert_eq!(asked_again(&world, &mut browser, AT_RIE).await, 303);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_session_above_the_limit_ends() {
    let mut plan = plan().await;
    plan.site.set("session", "max_per_agent", "2");
    let world = plan.start().await;
    let mut eloise = world.logged_in(&Agent::eloise()).await;
    let mut first = world.logged_in(&Agent::angela()).await;
    let request = first.with_cookies(&parse(HOME), navigation(&parse(HOME), "none"));
    sleep(Duration::from_millis(1100)).await;
    let mut second = world.logged_in(&Agent::angela()).await;
    let mut docs = world.browser();
    world.log_in(&mut docs, &Agent::angela(), DOCS).await;
    listed(&world, "", 4).await;
    sleep(Duration::from_millis(1100)).await;
    let mut third = world.logged_in(&Agent::angela()).await;
    is_out(&world, world.gateway(), &request).await;
    for browser in [&mut second, &mut third] {
        world.expects(&Agent::angela(), "GET /");
        assert_eq!(asked_again(&world, browser, HOME).await, 200);
    }
    world.expects(&Agent::angela(), "GET /");
    assert_eq!(asked_again(&world, &mut docs, DOCS).await, 200, "the limit is a host's");
    world.expects(&Agent::eloise(), "GET /");
    assert_eq!(asked_again(&world, &mut eloise, HOME).await, 200, "and an agent's");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_tells_where_a_session_is_used_from_and_by_what() {
    let world = plan().await.start().await;
    let mut browser = world.browser();
    let callback = browser.up_to_callback(HOME).await;
    let answer = navigation(&callback, "cross-site").with("User-Agent", "Mozilla/5.0 (X11; Linux)");
    assert_eq!(browser.send(&callback, answer).await.status, 303);
    let [told] = &listed(&world, "", 1).await[..] else { panic!("one session") };
    assert_eq!(told["user_agent"].as_str(), Some("Mozilla/5.0 (X11; Linux)"));
    assert_eq!(told["address"].as_str(), Some("127.0.0.1"));
    assert!(told["last_seen"].as_u64().is_some_and(|seen| Some(seen) == told["logged_in_at"].as_u64()), "{told}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_carried_out_though_the_operator_has_gone() {
    let redis = Server::start(&[]);
    let mut plan = plan().await;
    share(&mut plan, &redis, "\"60s\"");
    let world = plan.start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    listed(&world, "", 1).await;
    let keys = KeyRing::load(&world.folder.path().join("keys")).unwrap();
    let order = Order::End(Selection::All).seal(&keys, Clock::system().now());
    redis.cli(&["client", "pause", "60000", "write"]);
    let mut operator = Connection::open(world.gateway().admin).await;
    operator.send(Request::new("POST", "localhost", "/orders").body(order).to_bytes()).await;
    // The gateway is at it: it waits for the store.
    let waits = |line: &str| line.contains(" flags=b ") && line.contains(" cmd=set ");
    redis.until(&["client", "list"], |clients| clients.lines().any(waits));
    drop(operator);
    sleep(Duration::from_millis(50)).await;
    redis.cli(&["client", "unpause"]);
    let request = browser.with_cookies(&parse(HOME), navigation(&parse(HOME), "none"));
    is_out(&world, world.gateway(), &request).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_can_be_ended_while_the_store_is_away() {
    let mut redis = Server::start(&[]);
    let mut plan = plan().await;
    share(&mut plan, &redis, "\"1h\"");
    let world = plan.start().await;
    let folder = tempfile::tempdir().unwrap();
    let other = sibling(&world, &folder).await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let request = browser.with_cookies(&parse(HOME), navigation(&parse(HOME), "none"));
    redis.kill();
    let revoked = sessions(&world, &format!("revoke --agent {}", Agent::angela().sub())).await;
    assert!(revoked.status.success() && said(&revoked).contains("on this gateway only"), "{}", said(&revoked));
    assert_ne!(asked_again(&world, &mut browser, HOME).await, 200, "it has ended here");
    for words in ["list", "revoke --agent angela.dubois@ministere.test", "revoke AAAAAAAAAAAAAAAAAAAAAA"] {
        let refused = sessions(&world, words).await;
        assert!(!refused.status.success() && said(&refused).contains("does not answer"), "{words}: {}", said(&refused));
    }
    redis.start_again();
    is_out(&world, &other, &request).await;
    other.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_without_the_keys_gives_orders() {
    let world = plan().await.start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let file = configuration(&world);
    let text = std::fs::read_to_string(&file).unwrap();
    let foreign = tempfile::tempdir().unwrap();
    KeyRing::open_or_create(foreign.path(), Clock::system().now()).unwrap();
    let own = format!("{:?}", world.folder.path().join("keys"));
    assert!(text.contains(&own), "{text}");
    std::fs::write(&file, text.replace(&own, &format!("{:?}", foreign.path()))).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portillon"));
    command.args(["sessions", "revoke", "--all", "--config"]).arg(&file);
    let refused = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("other keys"), "{}", said(&refused));
    world.expects(&Agent::angela(), "GET /");
    assert_eq!(asked_again(&world, &mut browser, HOME).await, 200);
    world.finish().await;
}
