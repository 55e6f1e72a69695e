//! One login for many hosts: `[login] host`.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::harness::browser::{form_post, parse};
use crate::harness::cookies::Policy;
use crate::harness::logs::Watch;
use crate::harness::{
    Agent, Answer, Browser, DOCS, Edit, Endpoint, HOME, LOGIN, PAIE, Page, Plan, Reply, Request, World,
};

const AT_DOCS: &str = "https://docs.test/";

/// The gateway of [`Plan::new`], whose agents log in at `login.test`, which has no route.
pub async fn world() -> World {
    let mut plan = Plan::new().await;
    plan.site.log_in_at(LOGIN);
    plan.start().await
}

/// Opens `url`, whose application is meant to answer.
pub async fn arrives(world: &World, browser: &mut Browser, agent: &Agent, url: &str) -> Page {
    let line = format!("GET {}", crate::harness::browser::target(&parse(url)));
    world.expects(agent, &line);
    let page = browser.open(url).await;
    assert_eq!((page.status(), page.url.as_str()), (200, url), "{:?} {}", page.hops, page.said());
    page
}

/// `X-Agent-Session` of the request that arrived last.
fn pseudonym(world: &World) -> String {
    world.upstream.last().header("x-agent-session")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_login_opens_every_host_each_with_a_session_of_its_own() {
    let world = world().await;
    let mut browser = world.browser();
    let page = arrives(&world, &mut browser, &Agent::angela(), HOME).await;
    assert_eq!(page.logins(), 1);
    let asked = world.provider.last(Endpoint::Authorization);
    assert_eq!(asked.parameter("redirect_uri"), Some("https://login.test/.portillon/callback"));
    let first = pseudonym(&world);
    let page = arrives(&world, &mut browser, &Agent::angela(), AT_DOCS).await;
    assert_eq!((page.logins(), page.hops.len()), (0, 4), "asked, given, taken: {:?}", page.hops);
    assert_ne!(pseudonym(&world), first, "applications of two hosts cannot tell that it is one agent by this");
    let cookies: HashSet<String> =
        [PAIE, DOCS, LOGIN].iter().map(|host| browser.jar.session(host)[0].value.clone()).collect();
    assert_eq!(cookies.len(), 3, "no host has the cookie of another");
    assert!([PAIE, DOCS, LOGIN].iter().all(|host| browser.jar.logins(host).is_empty()), "no attempt is left behind");
    assert!(browser.jar.refused.is_empty(), "{:?}", browser.jar.refused);
    assert_eq!(world.provider.count(Endpoint::Token), 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_asked_for_is_reached_exactly() {
    let world = world().await;
    let long = format!("https://docs.test/{}?q={}", "d".repeat(600), "é%26".repeat(3).replace('é', "%C3%A9"));
    for url in ["https://paie.test/a%20b?c=d%2Fe&f=%C3%A9+g&h", "https://docs.test/x//y;z=1?", &long] {
        arrives(&world, &mut world.browser(), &Agent::angela(), url).await;
    }
    let mut browser = world.browser();
    arrives(&world, &mut browser, &Agent::angela(), HOME).await;
    arrives(&world, &mut browser, &Agent::angela(), &long).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_between_hosts_is_neither_kept_nor_told_nor_logged() {
    let watch = Watch::start();
    let world = world().await;
    let mut browser = world.logged_in(&Agent::eloise()).await;
    let mut url = parse(AT_DOCS);
    world.expects(&Agent::eloise(), "GET /");
    let mut secrets = Vec::new();
    for _ in 0..4 {
        let response = browser.step(url.as_str()).await;
        secrets.extend(url.query_pairs().filter(|(name, _)| name != "host").map(|(_, value)| value.into_owned()));
        let Some(location) = response.header("location") else { break };
        assert_eq!(response.status, 303);
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(response.header("referrer-policy"), Some("no-referrer"));
        for claim in ["sub", "email", "uid"] {
            assert!(!location.contains(Agent::eloise().text(claim)), "{location}");
        }
        url = url.join(location).unwrap();
    }
    assert_eq!((url.as_str(), secrets.len()), (AT_DOCS, 3), "two states and a ticket");
    let text = watch.text();
    assert!(secrets.iter().all(|secret| secret.len() > 40 && !text.contains(secret.as_str())));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_at_any_host_ends_the_sessions_of_all_and_the_login_at_the_provider() {
    for left in [PAIE, DOCS, LOGIN] {
        let world = world().await;
        let mut browser = world.browser();
        arrives(&world, &mut browser, &Agent::angela(), HOME).await;
        arrives(&world, &mut browser, &Agent::angela(), AT_DOCS).await;
        let mut copied = browser.clone();
        let page = world.log_out_at(&mut browser, left).await;
        assert_eq!(page.status(), 200, "{left}: {}", page.said());
        assert_eq!(page.url.host_str(), Some(left), "back where the agent was: {:?}", page.hops);
        assert!(page.url.path().ends_with("/signed-out") && page.said().contains("toutes"), "{:?}", page.url);
        assert_eq!(world.provider.count(Endpoint::EndSession), 1);
        let asked = world.provider.last(Endpoint::EndSession);
        assert_eq!(asked.parameter("id_token_hint"), Some(world.provider.last_id_token().as_str()), "{left}");
        let uri = asked.parameter("post_logout_redirect_uri");
        assert_eq!(uri, Some("https://login.test/.portillon/signed-out"), "the only one that is registered");
        assert!(!browser.has_session(left) && !browser.has_session(LOGIN));
        for browser in [&mut browser, &mut copied] {
            for url in [HOME, AT_DOCS] {
                assert_eq!(browser.fetch(url).await.status, 401, "{left} {url}");
            }
            let page = browser.step("https://login.test/.portillon/me").await;
            assert!(page.location().starts_with(&world.provider.issuer()), "{left}");
        }
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_applications_own_logout_passes_the_login_host_too() {
    let mut plan = Plan::new().await;
    plan.site.log_in_at(LOGIN).route("docs").line(r#"logout_paths = ["/quitter"]"#);
    let world = plan.start().await;
    let mut browser = world.browser();
    arrives(&world, &mut browser, &Agent::angela(), HOME).await;
    arrives(&world, &mut browser, &Agent::angela(), AT_DOCS).await;
    world.expects(&Agent::angela(), "GET /quitter");
    let page = browser.open("https://docs.test/quitter").await;
    assert_eq!((page.status(), page.url.as_str()), (200, "https://docs.test/.portillon/signed-out"));
    assert_eq!(world.provider.count(Endpoint::EndSession), 1);
    assert_eq!(browser.fetch(HOME).await.status, 401);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_where_the_agent_was_without_a_provider_that_takes_part() {
    let mut plan = Plan::new().await;
    plan.site.log_in_at(LOGIN);
    plan.provider.misbehave(|script| script.metadata = vec![Edit::Remove("end_session_endpoint")]);
    let world = plan.start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let page = world.log_out(&mut browser).await;
    assert_eq!((page.status(), page.url.as_str()), (200, "https://paie.test/.portillon/signed-out"));
    assert!(!browser.has_session(LOGIN) && !browser.has_session(PAIE));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_goes_on_where_the_same_agent_logs_in_again() {
    let world = world().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    // The session of the login host is idle for an hour, that of the application is not.
    world.advance(40);
    arrives(&world, &mut browser, &Agent::angela(), "https://paie.test/encore").await;
    world.advance(40);
    let page = arrives(&world, &mut browser, &Agent::angela(), AT_DOCS).await;
    assert_eq!(page.logins(), 1, "{:?}", page.hops);
    arrives(&world, &mut browser, &Agent::angela(), "https://paie.test/toujours").await;
    world.log_out_at(&mut browser, DOCS).await;
    assert_eq!(browser.fetch(HOME).await.status, 401, "begun by the login before, and ended with it");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_agent_who_logs_in_ends_what_the_first_left_open() {
    let world = world().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.advance(40);
    arrives(&world, &mut browser, &Agent::angela(), "https://paie.test/encore").await;
    world.advance(40);
    world.provider.log_in(&Agent::eloise());
    arrives(&world, &mut browser, &Agent::eloise(), AT_DOCS).await;
    assert_eq!(browser.fetch(HOME).await.status, 401, "not one agent here and another there");
    arrives(&world, &mut browser, &Agent::eloise(), HOME).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_tabs_that_log_in_at_once_all_arrive() {
    let world = world().await;
    let mut browser = world.browser();
    let mut callbacks = Vec::new();
    for tab in 0..10 {
        callbacks.push((tab, browser.up_to_callback(&format!("https://docs.test/{tab}")).await));
    }
    callbacks.reverse();
    for (tab, callback) in callbacks {
        world.expects(&Agent::angela(), &format!("GET /{tab}"));
        let page = browser.arrive(callback.as_str()).await;
        assert_eq!((page.status(), page.url.path()), (200, format!("/{tab}").as_str()), "{:?}", page.hops);
    }
    arrives(&world, &mut browser, &Agent::angela(), HOME).await;
    world.log_out(&mut browser).await;
    assert_eq!(browser.fetch(AT_DOCS).await.status, 401, "whichever of the ten it was");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_page_left_open_over_lunch_still_leads_to_the_page() {
    let world = world().await;
    let mut browser = world.browser();
    let callback = browser.up_to_callback("https://docs.test/dossier?id=7").await;
    world.advance(75);
    world.expects(&Agent::angela(), "GET /dossier?id=7");
    let page = browser.arrive(callback.as_str()).await;
    assert_eq!((page.status(), page.url.as_str()), (200, "https://docs.test/dossier?id=7"), "{:?}", page.hops);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_images_and_forms_are_answered_as_anywhere() {
    let world = world().await;
    let mut browser = world.browser();
    let script = browser.fetch("https://docs.test/api?x=1").await;
    assert_eq!((script.status, script.header("content-type")), (401, Some("application/problem+json")));
    let problem: serde_json::Value = serde_json::from_slice(&script.body).unwrap();
    assert_eq!(problem["login_url"], "/.portillon/login?return_to=%2Fapi%3Fx%3D1");
    let image = browser.load_image("https://docs.test/logo.png").await;
    assert_eq!((image.status, image.header("location")), (401, None));
    let form = browser.send(&parse("https://docs.test/form"), form_post(&parse("https://docs.test/form"), "a=b")).await;
    assert_eq!((form.status, form.header("location")), (401, None));
    assert!(browser.jar.logins(DOCS).is_empty(), "none of them begins a login");
    // The address that the script was given begins one, and ends at its page.
    world.expects(&Agent::angela(), "GET /api?x=1");
    let page = browser.open("https://docs.test/.portillon/login?return_to=%2Fapi%3Fx%3D1").await;
    assert_eq!((page.status(), page.url.as_str()), (200, "https://docs.test/api?x=1"));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_host_shows_who_is_logged_in_and_may_have_an_application() {
    let world = world().await;
    let mut browser = world.browser();
    let page = browser.open("https://login.test/").await;
    assert_eq!((page.status(), page.url.as_str(), page.logins()), (200, "https://login.test/.portillon/me", 1));
    assert!(page.said().contains("DUBOIS"), "{}", page.said());
    assert_eq!(browser.open("https://login.test/elsewhere").await.status(), 404);
    assert_eq!(arrives(&world, &mut browser, &Agent::angela(), HOME).await.logins(), 0);
    world.finish().await;

    let mut plan = Plan::new().await;
    plan.site.log_in_at(PAIE);
    let world = plan.start().await;
    let mut browser = world.browser();
    assert_eq!(arrives(&world, &mut browser, &Agent::angela(), AT_DOCS).await.logins(), 1);
    assert_eq!(
        arrives(&world, &mut browser, &Agent::angela(), HOME).await.hops.len(),
        1,
        "its session is there already"
    );
    world.log_out(&mut browser).await;
    assert_eq!(browser.fetch(AT_DOCS).await.status, 401);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_rounds_break_a_loop_with_a_page() {
    let world = world().await;
    // No cookie comes back anywhere; then only those that hold no session; then at the application only.
    for (policy, most) in [(Policy::Refuse, 3), (Policy::DropSessions, 3)] {
        let mut browser = world.browser();
        browser.jar.policy = policy;
        let page = browser.open(HOME).await;
        assert!((400..500).contains(&page.status()) && page.response.is_own(), "{policy:?}: {}", page.status());
        assert!(page.logins() <= most, "{policy:?}: {:?}", page.hops);
        assert!(page.said().to_lowercase().contains("cookie"), "{}", page.said());
    }
    let mut browser = world.logged_in(&Agent::angela()).await;
    browser.jar.policy = Policy::DropSessions;
    let page = browser.open(AT_DOCS).await;
    assert_eq!((page.status() / 100, page.url.host_str(), page.logins()), (4, Some(DOCS), 0), "{:?}", page.hops);
    assert!(page.said().to_lowercase().contains("cookie"), "{}", page.said());
    // Whoever mends the browser gets in, and so does who has lost the login host's session only.
    browser.jar.policy = Policy::Keep;
    arrives(&world, &mut browser, &Agent::angela(), AT_DOCS).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_keeps_nobody_out_who_is_logged_in() {
    let mut plan = Plan::new().await;
    plan.site.log_in_at(LOGIN);
    let world = plan.start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.provider.misbehave(|script| {
        (script.discovery, script.token, script.jwks) = (Reply::Hangup, Reply::Hangup, Reply::Hangup);
    });
    arrives(&world, &mut browser, &Agent::angela(), AT_DOCS).await;
    let page = world.browser().open(AT_DOCS).await;
    assert!(matches!(page.status(), 502 | 503), "{}", page.status());
    world.provider.behave();
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_provider_has_a_login_host_of_its_own_or_none() {
    let mut plan = Plan::new().await;
    let rie = plan.another_provider().await;
    rie.log_in(&Agent::eloise());
    plan.site.log_in_at(LOGIN).set("providers.rie", "login_host", r#""login-rie.test""#);
    let world = plan.start().await;
    let mut browser = world.browser();
    arrives(&world, &mut browser, &Agent::angela(), HOME).await;
    let page = arrives(&world, &mut browser, &Agent::eloise(), "https://rie.test/").await;
    assert_eq!((page.logins(), rie.count(Endpoint::Token)), (1, 1));
    world.log_out(&mut browser).await;
    assert_eq!((world.provider.count(Endpoint::EndSession), rie.count(Endpoint::EndSession)), (1, 0));
    arrives(&world, &mut browser, &Agent::eloise(), "https://rie.test/encore").await;
    // Without `[login]` nothing is handed off.
    let here = world.send(&Request::get("login.test", "/.portillon/me").navigation()).await;
    assert_eq!(here.status, 303);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_at_one_host_ends_with_a_logout_at_another() {
    let world = world().await;
    let (feeder, answer) = Answer::fed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    world.upstream.answer("/fil", answer);
    let mut browser = world.browser();
    arrives(&world, &mut browser, &Agent::angela(), HOME).await;
    arrives(&world, &mut browser, &Agent::angela(), AT_DOCS).await;
    world.expects(&Agent::angela(), "GET /fil");
    let request = Request::get(DOCS, "/fil").with("Accept", "text/event-stream");
    let mut stream = world.connect().await;
    stream.send(browser.with_cookies(&parse(AT_DOCS), request).to_bytes()).await;
    assert_eq!(stream.head().await.word(1), "200");
    world.log_out_at(&mut browser, PAIE).await;
    while !stream.bytes().await.is_empty() {}
    drop(feeder);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_met_an_expired_session_waits_for_the_login_at_the_login_host() {
    let world = world().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.advance(61);
    let save = parse("https://paie.test/enregistrer");
    let said = browser.send(&save, form_post(&save, "motif=un+an+et+demi")).await.said();
    let at = said.find("/.portillon/form?id=").unwrap_or_else(|| panic!("not kept: {said}"));
    let form = format!("https://paie.test{}", said[at..].split('"').next().unwrap());
    let page = browser.open(&form).await;
    assert_eq!((page.status(), page.url.as_str(), page.logins()), (200, form.as_str(), 1));
    assert!(page.said().contains("un an et demi"), "{}", page.said());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tabs_of_one_login_are_one_session_for_the_limit() {
    let mut plan = Plan::new().await;
    plan.site.log_in_at(LOGIN).set("session", "max_per_agent", "1");
    let world = plan.start().await;
    let mut browser = world.browser();
    let mut callbacks = Vec::new();
    for tab in 0..3 {
        callbacks.push((tab, browser.up_to_callback(&format!("https://docs.test/{tab}")).await));
    }
    for (tab, callback) in callbacks {
        world.expects(&Agent::angela(), &format!("GET /{tab}"));
        assert_eq!(browser.arrive(callback.as_str()).await.status(), 200);
    }
    // Whoever has two browsers loses one: by then, the limit was looked at.
    let [mut first, mut second] = [world.browser(), world.browser()];
    for browser in [&mut first, &mut second] {
        world.log_in(browser, &Agent::eloise(), AT_DOCS).await;
        world.advance(1);
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut status = 200;
    while status == 200 {
        assert!(Instant::now() < deadline, "the limit is never looked at");
        sleep(Duration::from_millis(50)).await;
        world.upstream.tolerates(&Agent::eloise(), "GET /");
        status = first.fetch(AT_DOCS).await.status;
    }
    world.upstream.tolerates(&Agent::angela(), "GET /");
    assert_eq!(browser.fetch(AT_DOCS).await.status, 200, "the agent has one browser, and is still logged in");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_of_a_login_host_that_was_idle_ends_what_its_login_began() {
    let world = world().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let page = browser.open("https://login.test/.portillon/me").await;
    let form = crate::harness::browser::Form::find(&page.response.text(), "/.portillon/logout").unwrap();
    world.advance(40);
    arrives(&world, &mut browser, &Agent::angela(), "https://paie.test/encore").await;
    world.advance(40);
    let page = browser.post("https://login.test/.portillon/logout", &form.body()).await;
    assert!(page.url.path().ends_with("/signed-out") && page.said().contains("toutes"), "{:?}", page.url);
    world.upstream.tolerates(&Agent::angela(), "GET /");
    assert_eq!(browser.fetch(HOME).await.status, 401, "the page said that every session is over");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applications_logout_after_an_idle_hour_ends_what_the_login_began() {
    let mut plan = Plan::new().await;
    plan.site.log_in_at(LOGIN).route("docs").line(r#"logout_paths = ["/quitter"]"#);
    let world = plan.start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    arrives(&world, &mut browser, &Agent::angela(), AT_DOCS).await;
    world.advance(40);
    arrives(&world, &mut browser, &Agent::angela(), "https://paie.test/encore").await;
    world.advance(40);
    let page = browser.open("https://docs.test/quitter").await;
    assert!(page.url.path().ends_with("/signed-out") && page.said().contains("toutes"), "{:?}", page.url);
    world.upstream.tolerates(&Agent::angela(), "GET /");
    assert_eq!(browser.fetch(HOME).await.status, 401, "the page said that every session is over");
    world.finish().await;
}
