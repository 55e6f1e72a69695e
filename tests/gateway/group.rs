//! Gateways that act as one: a form kept at one is sent at another, and what is good once is good once at all of them.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::sleep;

use crate::harness::browser::{navigation, parse, target};
use crate::harness::client::{Connection, Request, Response};
use crate::harness::gateway::Gateway;
use crate::harness::group::{share, sharing, sibling};
use crate::harness::{Agent, DOCS, Endpoint, HOME, LOGIN, PAIE, Plan, World};
use crate::kept_forms::{SAVE, URLENCODED, click, is_lost, kept, left_alone, own_form};
use crate::many_hosts_attacked::{AT_DOCS, up_to_ticket};
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
        let prefix = format!("portillon:{table}:");
        let keys = redis.cli(&["keys", &format!("{prefix}*")]);
        assert_eq!(keys.matches(&prefix).count(), 1, "it is kept once: {keys}");
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
        sleep(Duration::from_millis(20)).await;
    }
    world.expects(&Agent::angela(), &format!("POST {}", target(&parse(SAVE))));
    assert_eq!(click(&mut browser, &page).await.status, 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_shows_an_agent_while_nobody_can_tell_whether_they_logged_out() {
    let mut redis = Server::start(&[]);
    let world = sharing(&redis, "\"1s\"").await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let me = format!("https://{PAIE}/.portillon/me");
    let page = browser.open(&me).await;
    assert!(page.status() == 200 && page.said().contains(Agent::angela().text("email")), "{}", page.said());
    redis.kill();
    let deadline = Instant::now() + crate::redis::PATIENCE;
    let mut status = 0;
    while status != 503 {
        assert!(Instant::now() < deadline, "an application is still served");
        sleep(Duration::from_millis(20)).await;
        world.upstream.tolerates(&Agent::angela(), "GET /");
        status = browser.open(HOME).await.status();
    }
    for url in [me, format!("https://{PAIE}/.portillon/form?id=AAAAAAAAAAAAAAAAAAAAAA")] {
        let page = browser.open(&url).await;
        assert_eq!((page.status(), page.response.header("retry-after").is_some()), (503, true), "{url}");
        assert!(!page.said().contains(Agent::angela().text("email")), "{}", page.said());
    }
    world.finish().await;
}

fn begins_a_session(answer: &Response) -> bool {
    answer.head.values("set-cookie").iter().any(|line| line.starts_with("__Host-portillon="))
}

/// What 32 copies of a request are answered that come to two gateways at once.
async fn at_both(world: &World, other: &Gateway, request: &Request) -> Vec<Response> {
    let ask = |number| async move {
        let address = if number % 2 == 0 { world.gateway().address } else { other.address };
        Connection::open(address).await.exchange(request).await
    };
    join_all((0..32).map(ask)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_32_answers_at_once_at_two_gateways_one_begins_a_session() {
    let redis = Server::start(&[]);
    let world = sharing(&redis, "\"60s\"").await;
    let folder = tempfile::tempdir().unwrap();
    let other = sibling(&world, &folder).await;
    for round in 1..=3 {
        let mut browser = world.browser();
        let callback = browser.up_to_callback(HOME).await;
        let request = browser.with_cookies(&callback, navigation(&callback, "cross-site"));
        let answers = at_both(&world, &other, &request).await;
        assert_eq!(answers.iter().filter(|answer| begins_a_session(answer)).count(), 1);
        assert!(answers.iter().all(Response::is_redirect), "the others begin again, and end there too");
        assert_eq!(world.provider.count(Endpoint::Token), round, "the code is redeemed once");
    }
    other.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_32_tickets_of_a_hand_off_at_once_at_two_gateways_one_begins_a_session() {
    let mut redis = Server::start(&[]);
    let mut plan = Plan::new().await;
    plan.site.log_in_at(LOGIN);
    share(&mut plan, &redis, "\"1h\"");
    let world = plan.start().await;
    let folder = tempfile::tempdir().unwrap();
    let other = sibling(&world, &folder).await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let ticket = up_to_ticket(&mut browser, AT_DOCS).await;
    let request = browser.with_cookies(&ticket, navigation(&ticket, "same-site"));
    let answers = at_both(&world, &other, &request).await;
    assert_eq!(answers.iter().filter(|answer| begins_a_session(answer)).count(), 1);
    assert!(answers.iter().all(Response::is_redirect), "the others ask again");

    let ticket = up_to_ticket(&mut browser, AT_DOCS).await;
    redis.kill();
    let answer = browser.step(ticket.as_str()).await;
    assert_eq!((answer.status, answer.is_own(), answer.header("location")), (503, true, None));
    assert!(!browser.has_session(DOCS), "nobody can tell whether it was used");
    other.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_redeemed_at_one_gateway_is_of_no_use_at_another_or_after_a_restart() {
    let redis = Server::start(&[]);
    let world = sharing(&redis, "\"60s\"").await;
    let folder = tempfile::tempdir().unwrap();
    let other = sibling(&world, &folder).await;
    let mut browser = world.browser();
    let callback = browser.up_to_callback(HOME).await;
    let mut thief = browser.clone();
    assert!(begins_a_session(&browser.step(callback.as_str()).await));
    world.send_browsers_to(&other);
    let answer = thief.step(callback.as_str()).await;
    assert!(answer.is_redirect() && !begins_a_session(&answer), "{:?}", answer.head);
    assert_eq!(world.provider.count(Endpoint::Token), 1);
    other.stop().await;
    world.finish().await;

    let mut alone = World::start().await;
    let mut browser = alone.browser();
    let callback = browser.up_to_callback(HOME).await;
    let mut thief = browser.clone();
    assert!(begins_a_session(&browser.step(callback.as_str()).await));
    alone.restart().await;
    assert!(!begins_a_session(&thief.step(callback.as_str()).await));
    assert_eq!(alone.provider.count(Endpoint::Token), 1);
    alone.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_without_a_store_says_so_and_begins_no_loop() {
    let mut redis = Server::start(&[]);
    let world = sharing(&redis, "\"1h\"").await;
    let mut at_work = world.logged_in(&Agent::angela()).await;
    let mut browser = world.browser();
    let callback = browser.up_to_callback("https://paie.test/dossier").await;
    redis.kill();
    let asked = Instant::now();
    let answer = browser.step(callback.as_str()).await;
    assert!(asked.elapsed() < Duration::from_secs(5), "nobody waits for long: {:?}", asked.elapsed());
    assert_eq!((answer.status, answer.is_own(), answer.header("retry-after").is_some()), (503, true, true));
    assert!(answer.header("location").is_none() && !browser.has_session(PAIE));
    assert!(answer.text().contains("dossier"), "the way on: {}", answer.text());
    assert_eq!(world.provider.count(Endpoint::Token), 1, "the code is not redeemed");
    // Once it is known that the store is away, nobody is sent to the provider in vain.
    let deadline = Instant::now() + crate::redis::PATIENCE;
    while world.browser().step(HOME).await.status != 503 {
        assert!(Instant::now() < deadline, "logins are still begun");
        sleep(Duration::from_millis(20)).await;
    }
    let lured = world.send(&navigation(&parse("https://docs.test//evil.test/x"), "none")).await;
    assert_eq!(lured.status, 503);
    assert!(!lured.text().contains("evil.test"), "the way on leads to another site: {}", lured.text());
    world.expects(&Agent::angela(), "GET /");
    assert_eq!(at_work.open(HOME).await.status(), 200, "who is logged in works on");

    redis.start_again();
    while world.browser().step(HOME).await.status == 503 {
        assert!(Instant::now() < deadline + crate::redis::PATIENCE, "no login begins again");
        sleep(Duration::from_millis(20)).await;
    }
    world.logged_in(&Agent::angela()).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_takes_no_room_in_the_store_and_its_login_goes_on() {
    let redis = Server::start(&[]);
    let world = sharing(&redis, "\"60s\"").await;
    let mut browser = world.browser();
    let callback = browser.up_to_callback("https://paie.test/dossier").await;
    let mut error = callback.clone();
    let rest = callback.query_pairs().filter(|(name, _)| name != "code");
    error.query_pairs_mut().clear().extend_pairs(rest).append_pair("error", "access_denied");
    for _ in 0..3 {
        let answer = browser.clone().step(error.as_str()).await;
        assert_eq!((answer.status, answer.is_own()), (403, true), "{:?}", answer.head);
        assert!(answer.text().contains("dossier"), "the way on: {}", answer.text());
    }
    assert_eq!(redis.cli(&["keys", "portillon:one-time-use:*"]).trim(), "");
    world.expects(&Agent::angela(), "GET /dossier");
    assert_eq!(browser.arrive(callback.as_str()).await.status(), 200, "whoever made it up ends no login");
    assert_ne!(redis.cli(&["keys", "portillon:one-time-use:*"]).trim(), "");
    let late = browser.step(error.as_str()).await;
    assert!(
        late.is_redirect() && late.header("location").is_some_and(|to| to.ends_with("/dossier")),
        "{:?}",
        late.head
    );
    world.finish().await;
}
