//! Gateways that act as one: a form kept at one is sent at another.

use std::time::{Duration, Instant};

use crate::harness::browser::{parse, target};
use crate::harness::group::{share, sharing, sibling};
use crate::harness::{Agent, Plan};
use crate::kept_forms::{SAVE, URLENCODED, click, is_lost, kept, left_alone, own_form};
use crate::redis::Server;

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test(flavor = "multi_thread")]
async fn a_form_kept_at_one_gateway_is_shown_and_sent_at_another() {
    let redis = Server::start(&[]);
    let world = sharing(&redis, "\"60s\"").await;
    let folder = tempfile::tempdir().unwrap();
    let other = sibling(&world, &folder).await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    let url = kept(&mut browser, own_form(SAVE, FORM, URLENCODED)).await;

    world.send_browsers_to(&other);
    let page = browser.open(&url).await;
    assert_eq!((page.status(), page.logins()), (200, 1));
    assert!(page.said().contains("L'Hôpital"), "{}", page.said());
    world.expects(&Agent::angela(), &format!("POST {}", target(&parse(SAVE))));
    assert_eq!(click(&mut browser, &page).await.status, 200);
    assert_eq!(world.upstream.last().body, URLENCODED.as_bytes());

    world.send_browsers_to(world.gateway());
    let page = browser.open(&url).await;
    assert!(page.said().contains("Il a été transmis"), "{}", page.said());
    for table in ["stash", "stash-entry"] {
        assert_eq!(redis.cli(&["zcard", &format!("portillon:{table}")]).trim(), "1", "it is kept once");
    }
    other.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_room_for_forms_is_the_groups() {
    let redis = Server::start(&[]);
    let mut plan = Plan::new().await;
    share(&mut plan, &redis, "\"60s\"");
    plan.site.set("stash", "max_size", "\"1k\"").set("stash", "max_total", "\"3k\"");
    let world = plan.start().await;
    let folder = tempfile::tempdir().unwrap();
    let other = sibling(&world, &folder).await;
    let mut eloise = world.logged_in(&Agent::eloise()).await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    for size in [1024, 1024, 10, 10, 10] {
        kept(&mut browser, own_form(SAVE, FORM, "x".repeat(size))).await;
    }
    world.send_browsers_to(&other);
    is_lost(&mut browser, own_form(SAVE, FORM, "a sixth of hers")).await;
    is_lost(&mut eloise, own_form(SAVE, FORM, "x".repeat(1024))).await;
    kept(&mut eloise, own_form(SAVE, FORM, "there is room for this")).await;
    other.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_the_store_does_not_take_stays_in_the_browser() {
    let mut redis = Server::start(&[]);
    let world = sharing(&redis, "\"1h\"").await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    let mut other = world.logged_in(&Agent::angela()).await;
    let url = kept(&mut browser, own_form(SAVE, FORM, URLENCODED)).await;
    let page = browser.open(&url).await;
    assert_eq!(page.status(), 200);
    redis.kill();
    let asked = Instant::now();
    world.advance(61);
    is_lost(&mut other, own_form(SAVE, FORM, URLENCODED)).await;
    assert!(asked.elapsed() < Duration::from_secs(5), "nobody waits for long: {:?}", asked.elapsed());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_not_said_to_be_gone_while_nobody_can_tell() {
    let mut redis = Server::start(&["appendonly yes", "appendfsync always"]);
    let world = sharing(&redis, "\"1h\"").await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    let url = kept(&mut browser, own_form(SAVE, FORM, URLENCODED)).await;
    let page = browser.open(&url).await;
    redis.kill();
    let away = browser.open(&url).await;
    assert_eq!((away.status(), away.response.header("retry-after").is_some()), (503, true));
    let answer = click(&mut browser, &page).await;
    assert_eq!(answer.status, 503);
    assert!(answer.said().contains("/.portillon/form?id="), "the way back to it: {}", answer.said());
    redis.start_again();
    let deadline = Instant::now() + crate::redis::PATIENCE;
    while browser.open(&url).await.status() != 200 {
        assert!(Instant::now() < deadline, "the form is not found again");
    }
    world.expects(&Agent::angela(), &format!("POST {}", target(&parse(SAVE))));
    assert_eq!(click(&mut browser, &page).await.status, 200);
    world.finish().await;
}
