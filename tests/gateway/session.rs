//! Sessions sealed in cookies (threats.md A5 and A6).

use std::time::{Duration, Instant};

use portillon::clock::Clock;

use crate::harness::browser::{navigation, parse};
use crate::harness::cookies::{OWN_PREFIX, is_session};
use crate::harness::{Agent, Answer, Browser, DOCS, Edit, HOME, PAIE, Plan, Request, Response, World};

/// A request with these cookies is one without a session.
async fn is_no_session(world: &World, cookies: &str) -> Response {
    let request = navigation(&parse("https://paie.test/x"), "none").with("Cookie", cookies);
    let response = world.send(&request).await;
    let login = response.header("location").is_some_and(|location| location.starts_with(&world.provider.issuer()));
    assert!(login || response.status == 400, "{} for {cookies:.80}", response.status);
    response
}

/// Every request with this session is the agent's.
async fn is_session_of(world: &World, browser: &mut Browser, agent: &Agent) {
    world.expects(agent, "GET /x");
    let page = browser.open("https://paie.test/x").await;
    assert_eq!((page.status(), page.logins()), (200, 0));
}

fn cookie_header(browser: &Browser, host: &str) -> String {
    let pairs: Vec<String> =
        browser.jar.session(host).iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
    pairs.join("; ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_cookie_has_every_attribute_that_protects_it() {
    let world = World::start().await;
    let browser = world.logged_in(&Agent::angela()).await;
    let cookies = browser.jar.session(PAIE);
    assert_eq!(cookies[0].name, OWN_PREFIX);
    for cookie in cookies {
        let line = &cookie.line;
        for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(line.contains(attribute), "{attribute} in {line}");
        }
        assert!(!line.contains("Domain") && line.len() <= 4096, "{line}");
        assert!(cookie.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')), "{line}");
    }
    assert!(browser.jar.refused.is_empty(), "{:?}", browser.jar.refused);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_changed_anywhere_is_no_session() {
    // A5-5, a sample of every bit.
    let world = World::start().await;
    let browser = world.logged_in(&Agent::angela()).await;
    let value = browser.jar.session(PAIE)[0].value.clone();
    let rest: Vec<_> = browser.jar.session(PAIE)[1..].iter().map(|c| format!("; {}={}", c.name, c.value)).collect();
    let with = |value: &str| format!("{OWN_PREFIX}={value}{}", rest.concat());
    // The first digit counts the chunks.
    let (count, sealed) = value.split_at(1);
    let bytes = portillon::crypto::from_base64url(sealed).expect("a whole chunk");
    for other in ["0", "9", "A"].into_iter().chain((count != "2").then_some("2")) {
        is_no_session(&world, &with(&format!("{other}{sealed}"))).await;
    }
    for at in (0..bytes.len()).step_by(bytes.len() / 24 + 1) {
        for bit in [0, 3, 7] {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            is_no_session(&world, &with(&format!("{count}{}", portillon::crypto::base64url(&changed)))).await;
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_cut_lengthened_or_spelled_otherwise_is_no_session() {
    // A5-5: the accepted encoding is unique.
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let value = browser.jar.session(PAIE)[0].value.clone();
    let half = value.len() / 2;
    let variants = [
        String::new(),
        value[..half].to_owned(),
        value[half..].to_owned(),
        value[..value.len() - 1].to_owned(),
        format!("{value}A"),
        format!("{value}="),
        format!("{value}=="),
        format!("A{value}"),
        format!("\"{value}\""),
        format!("%41{value}"),
        format!("{value}{value}"),
        value.to_ascii_uppercase(),
        "=".to_owned(),
        "=====".to_owned(),
        "\u{fffd}".to_owned(),
        "A".repeat(4000),
    ];
    for variant in variants {
        is_no_session(&world, &format!("{OWN_PREFIX}={variant}")).await;
    }
    // Bytes that only a text with `-` or `_` can be written otherwise with.
    let standard = value.replace('-', "+").replace('_', "/");
    if standard != value {
        is_no_session(&world, &format!("{OWN_PREFIX}={standard}")).await;
    }
    is_session_of(&world, &mut browser, &Agent::angela()).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn games_with_chunks_end_in_a_login_at_once() {
    // A5-8
    let mut plan = Plan::new().await;
    plan.site.ask_for("custom");
    let world = plan.start().await;
    let agent = big_agent();
    let mut browser = world.logged_in(&agent).await;
    let chunks: Vec<(String, String)> =
        browser.jar.session(PAIE).iter().map(|cookie| (cookie.name.clone(), cookie.value.clone())).collect();
    assert!(chunks.len() >= 2, "this session needs chunks");
    let join = |chunks: &[(String, String)]| {
        chunks.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    };
    let mut swapped = chunks.clone();
    (swapped[0].1, swapped[1].1) = (chunks[1].1.clone(), chunks[0].1.clone());
    let mut repeated = chunks.clone();
    repeated[1].1.clone_from(&chunks[0].1);
    let mut doubled = chunks.clone();
    doubled.push((chunks[0].0.clone(), "AAAA".to_owned()));
    let many: Vec<_> = (0..150).map(|n| (format!("{OWN_PREFIX}-{n}"), "A".repeat(30))).collect();
    let games = [
        join(&chunks[..1]),
        join(&chunks[1..]),
        join(&swapped),
        join(&repeated),
        join(&doubled),
        join(&many),
        format!("{}; {OWN_PREFIX}-99999999999999999999=x", join(&chunks[..1])),
        format!("{OWN_PREFIX}--1=x; {OWN_PREFIX}-abc=y; {OWN_PREFIX}-=z; {OWN_PREFIX}_chunks=999999999"),
    ];
    for cookies in games {
        let began = Instant::now();
        is_no_session(&world, &cookies).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{cookies:.80}");
    }
    is_session_of(&world, &mut browser, &agent).await;
    world.finish().await;
}

fn big_agent() -> Agent {
    let custom: Vec<String> =
        (0..60).map(|n| format!("{n}-{}", "abcdefghijklmnopqrstuvwxyz0123456789".repeat(2))).collect();
    Agent::angela().with("custom", serde_json::json!({ "groups": custom }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_with_a_big_id_token_is_carried_in_chunks() {
    let world = World::start().await;
    let mut browser = world.browser();
    world.provider.log_in(&Agent::eloise());
    let later = browser.up_to_callback("https://paie.test/y").await;
    let filler = portillon::crypto::random_token::<2500>();
    world.provider.misbehave(|script| script.id_token.claims = vec![Edit::set("filler", filler)]);
    world.log_in(&mut browser, &Agent::angela(), HOME).await;
    assert!(browser.jar.session(PAIE).len() >= 2, "{:?}", browser.jar.session(PAIE));
    assert!(browser.jar.refused.is_empty(), "{:?}", browser.jar.refused);
    is_session_of(&world, &mut browser, &Agent::angela()).await;
    // A smaller session that replaces it takes the chunks away that it does not need.
    world.provider.behave();
    world.expects(&Agent::eloise(), "GET /y");
    let big = browser.clone();
    assert_eq!(browser.arrive(later.as_str()).await.status(), 200);
    let header = cookie_header(&browser, PAIE);
    assert_eq!(browser.jar.session(PAIE).len(), 1, "{header}");
    // And so does a logout, every one of them.
    let mut big = big;
    world.log_out(&mut big).await;
    assert!(big.jar.session(PAIE).is_empty(), "{:?}", big.jar.session(PAIE));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_one_host_is_none_at_another() {
    // A5-4
    let world = World::start().await;
    let mut browser = world.browser();
    world.log_in(&mut browser, &Agent::angela(), "https://docs.test/").await;
    let cookies = cookie_header(&browser, DOCS);
    is_no_session(&world, &cookies).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn login_and_session_cookies_do_not_stand_in_for_each_other() {
    // A5-3
    let world = World::start().await;
    let mut browser = world.browser();
    let callback = browser.up_to_callback(HOME).await;
    let login = browser.jar.logins(PAIE)[0].clone();
    is_no_session(&world, &format!("{OWN_PREFIX}={}", login.value)).await;
    let session = world.logged_in(&Agent::angela()).await.jar.session(PAIE)[0].value.clone();
    browser.jar.plant(PAIE, &login.name, &session);
    let response = browser.step(callback.as_str()).await;
    assert!(!browser.has_session(PAIE), "{:?}", response.head);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_login_makes_a_new_session() {
    // A5-2
    let world = World::start().await;
    let first = world.logged_in(&Agent::angela()).await;
    let second = world.logged_in(&Agent::angela()).await;
    assert_ne!(first.jar.session(PAIE)[0].value, second.jar.session(PAIE)[0].value);
    let pseudonyms: Vec<_> = world.upstream.log().received.iter().map(|r| r.header("x-agent-session")).collect();
    assert_ne!(pseudonyms[0], pseudonyms[1]);
    assert!(pseudonyms.iter().all(|pseudonym| pseudonym.len() == 22), "{pseudonyms:?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_after_its_idle_time() {
    // A5-13
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let kept = cookie_header(&browser, PAIE);
    world.advance(59);
    is_session_of(&world, &mut browser, &Agent::angela()).await;
    world.advance(61);
    is_no_session(&world, &kept).await;
    assert!(browser.step(HOME).await.is_redirect());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_use_slides_until_its_absolute_end() {
    // A5-13: used every 40 minutes, it lasts 12 hours and no longer.
    let world = World::start().await;
    let agent = Agent::angela();
    let mut browser = world.logged_in(&agent).await;
    let first = browser.jar.session(PAIE)[0].value.clone();
    for _ in 0..17 {
        world.advance(40);
        is_session_of(&world, &mut browser, &agent).await;
    }
    assert_ne!(browser.jar.session(PAIE)[0].value, first, "the cookie was issued again");
    let kept = cookie_header(&browser, PAIE);
    world.advance(41);
    is_no_session(&world, &kept).await;
    let pseudonyms: Vec<_> = world.upstream.log().received.iter().map(|r| r.header("x-agent-session")).collect();
    assert!(pseudonyms.windows(2).all(|pair| pair[0] == pair[1]), "one session has one pseudonym");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_not_issued_again_with_every_answer() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for _ in 0..3 {
        world.expects(&Agent::angela(), "GET /x");
        let response = browser.step("https://paie.test/x").await;
        assert!(!response.head.has("set-cookie"), "{:?}", response.head);
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn configured_limits_hold() {
    let mut plan = Plan::new().await;
    plan.site.set("session", "idle", r#""20m""#).set("session", "absolute", r#""30m""#);
    let world = plan.start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.advance(15);
    is_session_of(&world, &mut browser, &Agent::angela()).await;
    world.advance(14);
    is_session_of(&world, &mut browser, &Agent::angela()).await;
    let kept = cookie_header(&browser, PAIE);
    world.advance(2);
    is_no_session(&world, &kept).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_survives_a_restart() {
    let mut world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.restart().await;
    is_session_of(&world, &mut browser, &Agent::angela()).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_another_key_ring_is_none_and_the_agent_logs_in_once() {
    // A5-14
    let mut world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let kept = cookie_header(&browser, PAIE);
    std::fs::remove_dir_all(world.folder.path().join("keys")).unwrap();
    world.restart().await;
    is_no_session(&world, &kept).await;
    world.learn_keys().await;
    world.expects(&Agent::angela(), "GET /");
    let page = browser.open(HOME).await;
    assert_eq!((page.status(), page.logins()), (200, 1));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_name_is_compared_byte_by_byte() {
    // F17: a server that trims Unicode spaces makes another name of it.
    let world = World::start().await;
    let browser = world.logged_in(&Agent::angela()).await;
    let value = &browser.jar.session(PAIE)[0].value;
    for name in
        ["\u{2000}__Host-portillon", "__host-portillon", "portillon", "__Host-portillon\u{a0}", "__Host_portillon"]
    {
        is_no_session(&world, &format!("{name}={value}")).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookies_of_the_gateway_never_reach_the_application_and_its_own_do() {
    // A5-11
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let own = cookie_header(&browser, PAIE);
    let spellings = [
        format!("a=1; {own}; b=2"),
        format!("{own};a=1;b=2"),
        format!("a=1;{own};   b=2"),
        format!("a=1; b=2; {own}; __Host-portillon-login-abcdefgh=x; __Host-portillon-7=y"),
    ];
    for cookies in spellings {
        world.expects(&Agent::angela(), "GET /x");
        let response = world.send(&Request::get(PAIE, "/x").with("Cookie", cookies)).await;
        assert_eq!(response.status, 200);
        assert_eq!(world.upstream.last().header("cookie"), "a=1; b=2");
    }
    world.expects(&Agent::angela(), "GET /x");
    let response = world.send_as(&mut browser, Request::get(PAIE, "/x")).await;
    assert_eq!(response.status, 200);
    assert!(!world.upstream.last().head.has("cookie"), "no empty Cookie field");
    // On a public path they are withheld too.
    world.expects(crate::harness::Who::Public, "GET /public/x");
    world.send(&Request::get(PAIE, "/public/x").with("Cookie", format!("a=1; {own}"))).await;
    assert_eq!(world.upstream.last().header("cookie"), "a=1");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_cannot_set_a_cookie_of_the_gateway() {
    let world = World::start().await;
    let answer = "HTTP/1.1 200 OK\r\nSet-Cookie: __Host-portillon=evil; Path=/; Secure\r\nSet-Cookie: a=1\r\n\
                  set-cookie: __Host-portillon-login-abcdefgh=x; Path=/\r\nSet-Cookie:  __Host-portillon-1=y\r\n\
                  Set-Cookie: b=2; Path=/x\r\nContent-Length: 0\r\n\r\n";
    world.upstream.answer("/set", Answer::bytes(answer));
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.expects(&Agent::angela(), "GET /set");
    let response = browser.step("https://paie.test/set").await;
    assert_eq!(response.head.values("set-cookie"), ["a=1", "b=2; Path=/x"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_session_cookie_is_taken_away() {
    let world = World::start().await;
    let response = is_no_session(&world, &format!("{OWN_PREFIX}=garbage; {OWN_PREFIX}-1=more")).await;
    let removed = response.head.values("set-cookie").into_iter().filter(|line| line.contains("Max-Age=0"));
    assert!(removed.filter(|line| is_session(line.split('=').next().unwrap())).count() >= 1, "{:?}", response.head);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_requests_at_once_with_one_session_are_all_served() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut requests = Vec::new();
    for number in 0..100 {
        world.expects(&Agent::angela(), &format!("GET /{number}"));
        let request = browser.with_cookies(&parse(HOME), Request::get(PAIE, &format!("/{number}")));
        let mut connection = world.connect().await;
        requests.push(tokio::spawn(async move { connection.exchange(&request).await.status }));
    }
    for request in requests {
        assert_eq!(request.await.unwrap(), 200);
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_extends_nothing() {
    let mut world = World::start().await;
    let before = world.clock.now();
    world.advance(30);
    let mut browser = world.logged_in(&Agent::angela()).await;
    let kept = cookie_header(&browser, PAIE);
    world.clock = Clock::manual(before);
    world.restart().await;
    is_no_session(&world, &kept).await;
    // Once the time has come again, it is what it was.
    world.advance(31);
    is_session_of(&world, &mut browser, &Agent::angela()).await;
    world.advance(61);
    is_no_session(&world, &kept).await;
    world.finish().await;
}
