//! Attacks on the hand-off from the login host to another: every ticket begins one session at most, at the host that it
//! is for, in the browser that asked, within seconds (RFC 9700 sections 4.7 and 4.11).

use url::Url;

use crate::harness::browser::{navigation, parse};
use crate::harness::{Agent, Browser, DOCS, Endpoint, HOME, LOGIN, PAIE, Plan, RIE, Request, Response, World};
use crate::many_hosts::{arrives, world};

pub const AT_DOCS: &str = "https://docs.test/";

/// A gateway with a login host, and a browser in which the agent is logged in there.
async fn logged_in() -> (World, Browser) {
    let world = world().await;
    let browser = world.logged_in(&Agent::angela()).await;
    (world, browser)
}

/// Follows where `url` leads, up to the address that brings a ticket: that is not yet visited.
pub async fn up_to_ticket(browser: &mut Browser, url: &str) -> Url {
    up_to(browser, url, "ticket").await
}

/// The same, up to the question that a host asks the login host.
async fn up_to_question(browser: &mut Browser, url: &str) -> Url {
    up_to(browser, url, "host").await
}

async fn up_to(browser: &mut Browser, url: &str, parameter: &str) -> Url {
    let mut url = parse(url);
    for _ in 0..10 {
        if url.path().ends_with("/hand-off") && url.query_pairs().any(|(name, _)| name == parameter) {
            return url;
        }
        url = url.join(&browser.step(url.as_str()).await.location()).unwrap();
    }
    panic!("no {parameter}: {url}");
}

fn with(url: &Url, name: &str, value: &str) -> Url {
    let pairs: Vec<_> = url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    let mut url = url.clone();
    url.query_pairs_mut().clear().extend_pairs(pairs).append_pair(name, value);
    url
}

fn parameter(url: &Url, wanted: &str) -> String {
    url.query_pairs().find(|(name, _)| name == wanted).expect("it is there").1.into_owned()
}

/// The answer begins no session: a page of ours, another round at the login host, or the page asked for, without one.
#[track_caller]
fn begins_no_session(response: &Response) {
    let lines = response.head.values("set-cookie");
    let begun = lines.iter().any(|line| {
        crate::harness::cookies::is_session(line.split('=').next().unwrap_or_default()) && !line.contains("Max-Age=0")
    });
    assert!(!begun, "a session began: {lines:?}");
    assert!(matches!(response.status, 303 | 400 | 404 | 405), "{}", response.status);
    let location = response.header("location").unwrap_or("/");
    assert!(location.starts_with('/') || location.starts_with("https://login"), "{location}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_brought_again_begins_no_second_session() {
    let (world, mut browser) = logged_in().await;
    let ticket = up_to_ticket(&mut browser, "https://docs.test/dossier").await;
    let before = browser.clone();
    world.expects(&Agent::angela(), "GET /dossier");
    assert_eq!(browser.arrive(ticket.as_str()).await.status(), 200);
    // Whoever found the address, and the cookies of the attempt with it.
    begins_no_session(&before.clone().step(ticket.as_str()).await);
    begins_no_session(&world.browser().step(ticket.as_str()).await);
    // The back button: to the page, with the session that there is.
    let again = browser.step(ticket.as_str()).await;
    begins_no_session(&again);
    assert_eq!(again.location(), "/dossier");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_comes_twice_at_once_begins_one_session() {
    let (world, mut browser) = logged_in().await;
    let ticket = up_to_ticket(&mut browser, AT_DOCS).await;
    let mut tabs: Vec<Browser> = (0..8).map(|_| browser.clone()).collect();
    let answers = futures_util::future::join_all(tabs.iter_mut().map(|tab| tab.step(ticket.as_str()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.location() == "/").count(), 1);
    assert_eq!(tabs.iter().filter(|tab| tab.has_session(DOCS)).count(), 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_begins_no_session_in_another_browser_and_then_in_none() {
    // Login CSRF: the victim would work, and save, as the attacker. And a ticket read from a log.
    let (world, mut attacker) = logged_in().await;
    let ticket = up_to_ticket(&mut attacker, AT_DOCS).await;
    let mut victim = world.browser();
    begins_no_session(&victim.step(ticket.as_str()).await);
    assert!(!victim.has_session(DOCS));
    begins_no_session(&attacker.step(ticket.as_str()).await);
    // A victim with an attempt of their own: the ticket is for another state.
    let ticket = up_to_ticket(&mut attacker, AT_DOCS).await;
    let own = up_to_question(&mut victim, AT_DOCS).await;
    let mixed = with(&ticket, "state", &parameter(&own, "state"));
    begins_no_session(&victim.step(mixed.as_str()).await);
    assert!(!victim.has_session(DOCS));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_of_another_browser_gets_a_ticket_that_is_of_no_use_there() {
    // The attacker's question, opened by the victim, would hand the victim's session to the attacker's cookie.
    let (world, mut victim) = logged_in().await;
    let mut attacker = world.browser();
    let question = up_to_question(&mut attacker, AT_DOCS).await;
    let ticket = victim.step(question.as_str()).await.location();
    // The victim's browser goes there by itself, and uses it up.
    begins_no_session(&victim.step(&ticket).await);
    begins_no_session(&attacker.step(&ticket).await);
    assert!(!attacker.has_session(DOCS) && !victim.has_session(DOCS));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_good_at_the_host_that_asked_only() {
    let world = world().await;
    let mut browser = world.browser();
    arrives(&world, &mut browser, &Agent::angela(), HOME).await;
    browser.jar.forget(PAIE, "__Host-portillon");
    let ticket = up_to_ticket(&mut browser, HOME).await;
    let own = up_to_question(&mut browser, AT_DOCS).await;
    let mut elsewhere = ticket.clone();
    elsewhere.set_host(Some(DOCS)).unwrap();
    for url in [elsewhere.clone(), with(&elsewhere, "state", &parameter(&own, "state"))] {
        begins_no_session(&browser.step(url.as_str()).await);
    }
    elsewhere.set_host(Some(LOGIN)).unwrap();
    begins_no_session(&browser.step(elsewhere.as_str()).await);
    assert!(!browser.has_session(DOCS));
    // It was not used up there.
    world.expects(&Agent::angela(), "GET /");
    assert_eq!(browser.arrive(ticket.as_str()).await.status(), 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_good_for_half_a_minute() {
    let (world, mut browser) = logged_in().await;
    let ticket = up_to_ticket(&mut browser, AT_DOCS).await;
    world.clock.advance(std::time::Duration::from_secs(30));
    begins_no_session(&browser.step(ticket.as_str()).await);
    let ticket = up_to_ticket(&mut browser, AT_DOCS).await;
    world.clock.advance(std::time::Duration::from_secs(29));
    world.expects(&Agent::angela(), "GET /");
    assert_eq!(browser.arrive(ticket.as_str()).await.status(), 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_or_a_state_changed_anywhere_is_refused() {
    let (world, mut browser) = logged_in().await;
    let ticket = up_to_ticket(&mut browser, AT_DOCS).await;
    for name in ["ticket", "state"] {
        let value = parameter(&ticket, name);
        for at in (0..value.len()).step_by(value.len() / 24) {
            let mut changed = value.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = with(&ticket, name, &String::from_utf8(changed).unwrap());
            begins_no_session(&browser.clone().step(changed.as_str()).await);
        }
        for changed in [String::new(), value[..value.len() - 1].to_owned(), format!("{value}A"), "x".to_owned()] {
            begins_no_session(&browser.clone().step(with(&ticket, name, &changed).as_str()).await);
        }
    }
    for query in ["", "ticket=x", "state=x", "ticket=a&state=b&state=c", "ticket=a&state=b&x=y"] {
        let response = browser.step(&format!("https://docs.test/.portillon/hand-off?{query}")).await;
        assert_eq!((response.status, response.header("location")), (400, None), "{query}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_host_sends_nobody_elsewhere() {
    let (world, mut browser) = logged_in().await;
    let question = up_to_question(&mut browser, AT_DOCS).await;
    let state = parameter(&question, "state");
    for host in
        ["evil.test", "docs.test@evil.test", "docs.test.evil.test", "//evil.test", "docs.test/", "DOCS.test", LOGIN, ""]
    {
        let response = browser.step(with(&question, "host", host).as_str()).await;
        assert_eq!((response.status, response.header("location")), (400, None), "{host}");
    }
    // Another host's state, and none.
    for state in [parameter(&up_to_question(&mut world.browser(), HOME).await, "state"), "x".to_owned(), String::new()]
    {
        let response = browser.step(with(&question, "state", &state).as_str()).await;
        assert_eq!((response.status, response.header("location")), (400, None));
    }
    for query in
        [format!("state={state}"), "host=docs.test".to_owned(), format!("{}&host=evil.test", question.query().unwrap())]
    {
        let response = browser.step(&format!("https://login.test/.portillon/hand-off?{query}")).await;
        assert_eq!((response.status, response.header("location")), (400, None), "{query}");
    }
    // Nor does a logout.
    for address in
        ["logout?request=", "logout?request=x", "signed-out?state=x", "signed-out?state=https%3A%2F%2Fevil.test"]
    {
        let response = browser.step(&format!("https://login.test/.portillon/{address}")).await;
        assert_eq!(response.location(), "/.portillon/me", "{address}: still logged in");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_navigation_gets_a_ticket() {
    let (world, mut browser) = logged_in().await;
    let question = up_to_question(&mut browser, AT_DOCS).await;
    let (authority, target) = (LOGIN, crate::harness::browser::target(&question));
    let as_kind = |mode: &str, dest: &str| {
        let request = Request::get(authority, &target).with("Accept", "*/*");
        request.with("Sec-Fetch-Mode", mode).with("Sec-Fetch-Dest", dest).with("Sec-Fetch-Site", "same-site")
    };
    for (mode, dest) in [("cors", "empty"), ("no-cors", "image"), ("navigate", "iframe"), ("no-cors", "script")] {
        let response = world.send_as(&mut browser, as_kind(mode, dest)).await;
        assert_eq!((response.status, response.header("location")), (401, None), "{mode} {dest}");
    }
    for method in ["HEAD", "POST", "PUT"] {
        let request = Request { line: format!("{method} {target}"), ..navigation(&question, "none") };
        let response = world.send_as(&mut browser, request).await;
        assert_eq!((response.status, response.header("allow")), (405, Some("GET")), "{method}");
    }
    // Nor does HEAD use one up.
    let ticket = up_to_ticket(&mut browser, AT_DOCS).await;
    let head = Request::new("HEAD", DOCS, &crate::harness::browser::target(&ticket));
    assert_eq!(world.send_as(&mut browser, head).await.status, 405);
    world.expects(&Agent::angela(), "GET /");
    assert_eq!(browser.arrive(ticket.as_str()).await.status(), 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_of_one_provider_opens_no_host_of_another() {
    let mut plan = Plan::new().await;
    let rie = plan.another_provider().await;
    plan.site.log_in_at(LOGIN);
    let mut world = plan.start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    // The other host logs in by itself, and has no part in hand-offs.
    assert!(browser.step("https://rie.test/").await.location().starts_with(&rie.issuer()));
    let ticket = up_to_ticket(&mut browser, AT_DOCS).await;
    let mut there = ticket.clone();
    there.set_host(Some(RIE)).unwrap();
    assert_eq!(browser.step(there.as_str()).await.status, 404);
    // With a login host of its own, it asks that one only.
    let mut site = world.site.clone();
    site.set("providers.rie", "login_host", r#""login-rie.test""#);
    world.reload(&site).await.unwrap();
    let question = up_to_question(&mut browser, "https://rie.test/").await;
    assert_eq!(question.host_str(), Some("login-rie.test"));
    let mut asked = question.clone();
    asked.set_host(Some(LOGIN)).unwrap();
    let response = browser.step(asked.as_str()).await;
    assert_eq!((response.status, response.header("location")), (400, None));
    begins_no_session(&browser.step(there.as_str()).await);
    begins_no_session(&browser.step(with(&there, "state", &parameter(&question, "state")).as_str()).await);
    assert!(!browser.has_session(RIE));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_moves_to_another_provider_takes_no_ticket_of_the_first() {
    let mut plan = Plan::new().await;
    plan.another_provider().await;
    plan.site.log_in_at(LOGIN).set("providers.rie", "login_host", r#""login-rie.test""#);
    let mut world = plan.start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let ticket = up_to_ticket(&mut browser, AT_DOCS).await;
    let before = world.site.clone();
    let mut site = before.clone();
    site.route("docs").provider = Some("rie".to_owned());
    world.reload(&site).await.unwrap();
    let response = browser.step(ticket.as_str()).await;
    assert_eq!((response.status, response.header("location")), (400, None));
    assert!(!browser.has_session(DOCS));
    world.reload(&before).await.unwrap();
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_of_a_login_that_ended_meanwhile_opens_nothing() {
    let (world, mut browser) = logged_in().await;
    let ticket = up_to_ticket(&mut browser, AT_DOCS).await;
    let mut other_tab = browser.clone();
    world.log_out(&mut other_tab).await;
    browser.step(ticket.as_str()).await;
    assert_eq!(browser.fetch(AT_DOCS).await.status, 401);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callback_is_at_the_login_host_only() {
    let world = world().await;
    let mut browser = world.browser();
    let callback = browser.up_to_callback(HOME).await;
    assert_eq!(callback.host_str(), Some(LOGIN));
    for host in [PAIE, DOCS] {
        let mut moved = callback.clone();
        moved.set_host(Some(host)).unwrap();
        assert_eq!(browser.step(moved.as_str()).await.status, 404, "{host}");
    }
    assert_eq!(world.provider.count(Endpoint::Token), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_logged_out_by_an_address() {
    let (world, mut browser) = logged_in().await;
    // The request that a logout sends to the login host, kept by somebody, and opened once the agent is back.
    let form = world.logout_form(&mut browser).await;
    let url = parse(&format!("https://paie.test{}", form.action));
    let request = browser.send(&url, crate::harness::browser::form_post(&url, &form.body())).await.location();
    assert!(request.starts_with("https://login.test/.portillon/logout?request="), "{request}");
    let mut again = world.logged_in(&Agent::angela()).await;
    let response = again.step(&request).await;
    assert!(!response.head.has("set-cookie"), "{:?}", response.head);
    assert_eq!(response.location(), "https://paie.test/.portillon/signed-out");
    assert!(again.has_session(LOGIN) && again.has_session(PAIE));
    arrives(&world, &mut again, &Agent::angela(), "https://docs.test/x").await;
    // Nobody but the gateway can make one; and it is for the login host.
    let moved = request.replace("login.test", "docs.test");
    assert_eq!(again.step(&moved).await.location(), "/.portillon/me");
    world.finish().await;
}
