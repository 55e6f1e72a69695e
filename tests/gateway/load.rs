//! Two gateways and their store under load, while a part of them fails and some agents log out. Whatever fails: nobody
//! is logged out who did not log out, nobody who did is served past the configured bound, and no request without a
//! session reaches the application. What was sent, served, refused and lost is printed.

mod link;
pub mod process;
mod traffic;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use portillon::clock::Clock;
use tokio::task::block_in_place;
use tokio::time::sleep;

use self::link::{Fault, Link};
use self::process::Process;
use self::traffic::{AGENTS, FIRST, OTHER, Outcome, Traffic};
use crate::harness::client::Connection;
use crate::harness::gateway::rotate_keys;
use crate::harness::group::{share, sharing, sibling};
use crate::harness::{PAIE, Plan, Request, World};
use crate::redis::{PATIENCE, Sentinels, Server};

/// `[store] staleness`, where a test waits until it has passed.
const STALENESS: Duration = Duration::from_secs(2);

/// A gateway that sees the time of day as another process does.
async fn world(redis: &Server) -> World {
    let mut plan = Plan::at(Clock::system()).await;
    share(&mut plan, redis, "\"2s\"");
    plan.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_killed_takes_nobody_with_it() {
    let redis = Server::start(&[]);
    let world = world(&redis).await;
    let mut other = Process::start(&world, |_| {}).await;
    let mut traffic = Traffic::start(&world, other.address, STALENESS).await;
    traffic.log_out(0, OTHER).await;
    traffic.may_lose(OTHER);
    other.kill();
    traffic.log_out(1, FIRST).await;
    traffic.until(OTHER, Outcome::Lost, 2 * AGENTS).await;
    traffic.until(FIRST, Outcome::Served, 2 * AGENTS).await;
    other.start_again().await;
    traffic.until(OTHER, Outcome::Served, 2 * AGENTS).await;
    assert_eq!(traffic.count(FIRST, Outcome::Refused), 0, "the one that lives has its store");
    traffic.finish("kill -9 of a gateway", world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_comes_back_empty_costs_nobody_their_session() {
    let mut redis = Server::start(&[]);
    let world = world(&redis).await;
    let other = Process::start(&world, |_| {}).await;
    let mut traffic = Traffic::start(&world, other.address, STALENESS).await;
    traffic.log_out(0, OTHER).await;
    traffic.the_ended_are_away().await;
    redis.kill();
    traffic.log_out(1, FIRST).await;
    for gateway in [FIRST, OTHER] {
        traffic.until(gateway, Outcome::Refused, 2 * AGENTS).await;
    }
    block_in_place(|| redis.start_again());
    traffic.can_tell_of(1);
    traffic.all_are_served().await;
    traffic.log_out(2, OTHER).await;
    traffic.finish("stop and restart of Redis", world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_of_sentinels_costs_nobody_their_session() {
    let mut group = block_in_place(Sentinels::start);
    let mut plan = Plan::at(Clock::system()).await;
    share(&mut plan, &group.master, "\"4s\"");
    let urls = format!("{:?}", group.urls());
    plan.site.set("store", "mode", "\"sentinel\"").set("store", "master", "\"portillon\"").set("store", "url", &urls);
    let world = plan.start().await;
    let other = Process::start(&world, |_| {}).await;
    let mut traffic = Traffic::start(&world, other.address, Duration::from_secs(4)).await;
    traffic.log_out(0, FIRST).await;
    // What the server was told last may never have reached the one that leads then.
    block_in_place(|| group.fail_over());
    traffic.all_are_served().await;
    traffic.log_out(1, OTHER).await;
    traffic.finish("failover of a sentinel", world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_fails_opens_no_door() {
    let redis = Server::start(&[]);
    let world = world(&redis).await;
    let link = Link::to(redis.port).await;
    let url = format!("\"redis://{}\"", link.address);
    let other = Process::start(&world, |site| {
        site.set("store", "url", &url);
    })
    .await;
    let mut traffic = Traffic::start(&world, other.address, STALENESS).await;

    link.suffers(Fault::Latency(Duration::from_millis(200)));
    traffic.log_out(0, FIRST).await;
    traffic.log_out(1, OTHER).await;
    traffic.the_ended_are_away().await;
    assert_eq!(traffic.count(OTHER, Outcome::Refused), 0, "slow is not away");

    for (who, fault) in [(2, Fault::Reset), (3, Fault::HalfOpen)] {
        link.suffers(fault);
        // The store has it, and one gateway cannot know.
        traffic.log_out(who, FIRST).await;
        traffic.until(OTHER, Outcome::Refused, 2 * AGENTS).await;
        link.suffers(Fault::None);
        traffic.all_are_served().await;
    }

    // One gateway ends it, and cannot tell.
    link.suffers(Fault::HalfOpen);
    traffic.log_out(4, OTHER).await;
    traffic.until(OTHER, Outcome::Refused, 2 * AGENTS).await;
    link.suffers(Fault::None);
    traffic.can_tell_of(4);
    assert_eq!(traffic.count(FIRST, Outcome::Refused), 0, "who reaches the store goes on");
    traffic.finish("partition: latency, reset, half-open", world).await;
}

/// The files of the sealing keys.
fn sealing_keys(world: &World) -> BTreeSet<String> {
    let names = std::fs::read_dir(world.folder.path().join("keys")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("seal")).collect()
}

async fn publishes(address: SocketAddr, number: usize) {
    let deadline = Instant::now() + PATIENCE;
    let count = async || {
        let set = Connection::open(address).await.exchange(&Request::get(PAIE, "/.portillon/jwks.json")).await;
        set.text().matches("\"kid\"").count()
    };
    while count().await < number {
        assert!(Instant::now() < deadline, "no new key is published");
        sleep(Duration::from_millis(50)).await;
    }
}

fn remove(folder: &Path, names: &BTreeSet<String>) {
    names.iter().for_each(|name| std::fs::remove_file(folder.join("keys").join(name)).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_keys_logs_nobody_out() {
    let redis = Server::start(&[]);
    let mut world = sharing(&redis, "\"2s\"").await;
    let folder = tempfile::tempdir().unwrap();
    let other = sibling(&world, &folder).await;
    let mut traffic = Traffic::start(&world, other.address, STALENESS).await;
    traffic.log_out(0, FIRST).await;
    let old = sealing_keys(&world);
    // Of two keys, the newer one is made in another second.
    world.advance(1);
    rotate_keys(world.folder.path(), &world.clock);
    world.keys_published(4).await;
    publishes(other.address, 4).await;
    traffic.log_out(1, OTHER).await;

    // The new keys are in force, and every cookie is due.
    let before = traffic.sealed_by(AGENTS - 1);
    let is_new = |who| traffic.sealed_by(who) != before;
    let deadline = Instant::now() + PATIENCE;
    while !(2..AGENTS).all(is_new) {
        assert!(Instant::now() < deadline, "the old key seals still");
        world.advance(2);
        sleep(Duration::from_millis(250)).await;
    }
    traffic.all_are_served().await;
    remove(world.folder.path(), &old);
    // Who looks at the folder again does so by the next rotation at the latest.
    world.advance(1);
    rotate_keys(world.folder.path(), &world.clock);
    world.keys_published(6).await;
    publishes(other.address, 6).await;
    traffic.log_out(2, FIRST).await;
    for gateway in [FIRST, OTHER] {
        assert_eq!(traffic.count(gateway, Outcome::Refused), 0, "nothing failed");
    }
    traffic.finish("rotation of keys", world).await;
    other.stop().await;
}
