//! Where a login begins, what it asks AgentConnect for and where it ends (threats.md A4 and B-AUTH).

use std::collections::HashSet;

use portillon::clock::Clock;

use crate::harness::browser::{form_post, navigation, parse};
use crate::harness::client::eventually;
use crate::harness::cookies::Policy;
use crate::harness::{Agent, Browser, DOCS, Edit, Endpoint, HOME, PAIE, Plan, Reply, Request, Response, World};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_arrives_at_the_exact_page_asked_for() {
    let world = World::start().await;
    let mut browser = world.browser();
    world.log_in(&mut browser, &Agent::eloise(), "https://paie.test/dossier/7?onglet=2&q=%C3%A9+%2f").await;
    world.expects(&Agent::eloise(), "GET /dossier/8");
    let page = browser.open("https://paie.test/dossier/8").await;
    assert_eq!((page.status(), page.logins()), (200, 0));
    assert!(browser.jar.refused.is_empty(), "{:?}", browser.jar.refused);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authorization_request_is_what_agentconnect_expects() {
    let world = World::start().await;
    let mut seen = HashSet::new();
    for _ in 0..25 {
        let response = world.browser().step(HOME).await;
        assert!(matches!(response.status, 302 | 303), "{}", response.status);
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let url = parse(&response.location());
        let value = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, v)| v.into_owned());
        assert_eq!(value("response_type").as_deref(), Some("code"));
        assert_eq!(value("redirect_uri").as_deref(), Some("https://paie.test/.portillon/callback"));
        assert_eq!(value("scope").as_deref(), Some("openid given_name usual_name email uid siret idp_id"));
        assert_eq!(value("code_challenge_method").as_deref(), Some("S256"));
        assert_eq!(value("code_verifier"), None);
        let claims: serde_json::Value = serde_json::from_str(&value("claims").unwrap()).unwrap();
        assert!(claims["id_token"].get("acr").is_some() && claims["id_token"].get("amr").is_some(), "{claims}");
        for name in ["state", "nonce", "code_challenge"] {
            let secret = value(name).unwrap();
            assert!((43..=512).contains(&secret.len()), "at least 32 bytes in base64url: {secret}");
            assert!(seen.insert(secret), "{name} repeats");
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_client_says_gets_into_the_authorization_request() {
    let world = World::start().await;
    let hostile = "scope=openid+evil&acr_values=eidas1&prompt=none&redirect_uri=https%3A%2F%2Fevil.test&state=s\
                   &request_uri=https%3A%2F%2Fevil.test&login_hint=x&iss=https%3A%2F%2Fevil.test\
                   &target_link_uri=https%3A%2F%2Fevil.test";
    for path in ["/", "/.portillon/login"] {
        let location = world.browser().step(&format!("https://paie.test{path}?{hostile}")).await.location();
        assert!(location.starts_with(&world.provider.issuer()), "{location}");
        for value in ["evil", "none", "request_uri", "login_hint", "target_link_uri"] {
            assert!(!location.contains(value), "{value} in {location}");
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_are_asked_for_as_essential_and_a_level_that_is_not_held_is_refused() {
    let mut plan = Plan::new().await;
    plan.site.set("provider", "acr_values", r#"["eidas1-mfa", "eidas2"]"#);
    let world = plan.start().await;
    let url = parse(&world.browser().step(HOME).await.location());
    let claims = url.query_pairs().find(|(name, _)| name == "claims").unwrap().1.into_owned();
    let acr = &serde_json::from_str::<serde_json::Value>(&claims).unwrap()["id_token"]["acr"];
    assert_eq!(*acr, serde_json::json!({ "essential": true, "values": ["eidas1-mfa", "eidas2"] }));

    world.provider.log_in(&Agent::angela().with("acr", "eidas1"));
    let page = world.browser().open(HOME).await;
    assert_eq!((page.status(), page.logins()), (403, 1));
    // A provider that grants what does not hold is not believed.
    world.provider.log_in(&Agent::angela().with("acr", "eidas2"));
    for edit in [Edit::set("acr", "eidas1"), Edit::Remove("acr"), Edit::set("acr", 2)] {
        world.refuses_login(|script| script.id_token.claims = vec![edit]).await;
    }
    world.logged_in(&Agent::angela().with("acr", "eidas2").with("amr", vec!["pwd", "otp"])).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_navigation_gets_401_and_no_login() {
    let world = World::start().await;
    let get = || Request::get(PAIE, "/x");
    let fetched = |mode: &str, dest: &str| get().with("Sec-Fetch-Mode", mode).with("Sec-Fetch-Dest", dest);
    let cases = [
        ("a script", fetched("cors", "empty").with("Accept", "*/*")),
        ("a script that says what it is", get().with("X-Requested-With", "XMLHttpRequest").with("Accept", "*/*")),
        ("an API client", get().with("Accept", "application/json")),
        ("an image", fetched("no-cors", "image").with("Accept", "image/avif,image/webp,*/*;q=0.8")),
        ("a frame", fetched("navigate", "iframe").with("Accept", "text/html")),
        ("an object", fetched("navigate", "object").with("Accept", "text/html")),
        ("a favicon", Request::get(PAIE, "/favicon.ico").with("Sec-Fetch-Dest", "image")),
        ("an upload", Request::new("PUT", PAIE, "/x").with("Accept", "text/html").body("x")),
        ("a deletion", Request::new("DELETE", PAIE, "/x")),
        ("HEAD", Request::new("HEAD", PAIE, "/x").navigation()),
        ("an event stream", fetched("cors", "empty").with("Accept", "text/event-stream")),
        ("a WebSocket", websocket(PAIE, "/x")),
        ("a preflight", preflight(PAIE, "/x")),
    ];
    for (what, request) in cases {
        let response = world.send(&request).await;
        assert_eq!(response.status, 401, "{what}");
        assert!(!response.head.has("set-cookie") && !response.head.has("location"), "{what}: {:?}", response.head);
        assert_eq!(response.header("cache-control"), Some("no-store"), "{what}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_learns_where_to_log_in() {
    let world = World::start().await;
    let response = world.browser().fetch("https://paie.test/api/list?page=2").await;
    assert_eq!((response.status, response.header("content-type")), (401, Some("application/problem+json")));
    let problem: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(problem["status"], 401);
    let login_url = parse(HOME).join(problem["login_url"].as_str().unwrap()).unwrap();
    assert_eq!(login_url.host_str(), Some(PAIE));
    // The address leads to a login that ends at the application.
    world.expects(&Agent::angela(), "GET /");
    world.upstream.tolerates(&Agent::angela(), "GET /api/list?page=2");
    let mut browser = world.browser();
    let page = browser.open(login_url.as_str()).await;
    assert_eq!((page.status(), page.logins()), (200, 1));
    if page.url.path() != "/" {
        browser.open(HOME).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_favicons_and_preflights_get_a_bare_401() {
    let world = World::start().await;
    let favicon = Request::get(PAIE, "/favicon.ico").with("Sec-Fetch-Dest", "image").with("Sec-Fetch-Mode", "no-cors");
    let image = world.browser().load_image("https://paie.test/logo.png").await;
    for response in [image, world.send(&favicon).await, world.send(&preflight(PAIE, "/x")).await] {
        assert_eq!((response.status, response.text()), (401, String::new()));
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_sent_without_a_session_gets_a_page_that_says_so() {
    let world = World::start().await;
    let url = parse("https://paie.test/demande");
    let response = world.browser().send(&url, form_post(&url, "montant=3")).await;
    assert_eq!(response.status, 401);
    assert!(response.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    assert!(response.text().contains("session"), "{}", response.text());
    assert!(!response.head.has("location"), "a POST is never turned into a login");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_browser_without_fetch_metadata_logs_in_too() {
    let world = World::start().await;
    let request = Request::get(PAIE, "/x").with("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let response = world.send(&request).await;
    assert!(response.location().starts_with(&world.provider.issuer()), "{}", response.location());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_endpoint_returns_to_a_page_of_the_same_host() {
    let world = World::start().await;
    world.expects(&Agent::angela(), "GET /dossier?x=1");
    let page = world.browser().open("https://paie.test/.portillon/login?return_to=%2Fdossier%3Fx%3D1").await;
    assert_eq!((page.status(), page.url.as_str()), (200, "https://paie.test/dossier?x=1"));
    world.finish().await;
}

/// A4-1: what a return address must never do. Most of them once worked against another product.
const OPEN_REDIRECTS: [&str; 28] = [
    "https://evil.test/",
    "http://evil.test",
    "//evil.test/",
    "///evil.test/",
    "////evil.test",
    r"/\evil.test",
    r"\/evil.test",
    r"\\evil.test",
    r"/\/evil.test",
    "/%09/evil.test",
    "/\t/evil.test",
    "/\n/evil.test",
    "/\r/evil.test",
    "/%0a/evil.test",
    "/ /evil.test",
    "%2f%2fevil.test",
    "/%2fevil.test",
    "/%5cevil.test",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.test",
    "paie.test.evil.test",
    "@evil.test",
    "/x@evil.test\r\nSet-Cookie: x=1",
    "https:evil.test",
    "/.//evil.test",
    "/..//evil.test",
    "\u{2000}//evil.test",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_return_address_leads_away_from_the_host() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for payload in OPEN_REDIRECTS {
        for encoded in [encode(payload), encode(&encode(payload))] {
            for name in ["return_to", "rd", "redirect", "next", "target_link_uri", "url"] {
                let url = format!("https://paie.test/.portillon/login?{name}={encoded}");
                let response = browser.step(&url).await;
                stays_at_home(&world, payload, &response);
            }
            let response = browser.step(&format!("https://paie.test/.portillon/signed-out?return_to={encoded}")).await;
            stays_at_home(&world, payload, &response);
        }
    }
    world.finish().await;
}

#[track_caller]
fn stays_at_home(world: &World, payload: &str, response: &Response) {
    assert_eq!(response.head.values("set-cookie").iter().filter(|line| line.starts_with("x=")).count(), 0, "{payload}");
    let Some(location) = response.header("location") else { return };
    let target = parse(HOME).join(location).unwrap();
    let at_provider = target.as_str().starts_with(&world.provider.issuer());
    assert!(target.host_str() == Some(PAIE) || at_provider, "{payload:?} leads to {target}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_began_with_a_hostile_return_address_ends_at_home() {
    let world = World::start().await;
    for payload in ["https://evil.test/", "//evil.test/", r"/\evil.test", "/.portillon/logout", "/.portillon/callback"]
    {
        world.upstream.tolerates(&Agent::angela(), "GET /");
        let mut browser = world.browser();
        let page = browser.open(&format!("https://paie.test/.portillon/login?return_to={}", encode(payload))).await;
        assert_eq!(page.url.host_str(), Some(PAIE), "{payload}: {:?}", page.hops);
        assert!(page.status() == 200 || page.status() == 400, "{payload}: {}", page.status());
        assert!(page.logins() <= 1, "{payload}: {:?}", page.hops);
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deep_link_that_looks_like_another_host_stays_at_its_own() {
    let world = World::start().await;
    for path in ["//evil.test/", "/%09/evil.test/", "///evil.test"] {
        for line in ["GET /".to_owned(), format!("GET {path}")] {
            world.upstream.tolerates(&Agent::angela(), &line);
        }
        let page = world.browser().open(&format!("https://{DOCS}{path}")).await;
        assert_eq!((page.status(), page.url.host_str()), (200, Some(DOCS)), "{path}: {:?}", page.hops);
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_that_offers_another_try_leads_away_from_the_host() {
    let world = World::start().await;
    let mut browser = world.browser();
    browser.jar.plant(DOCS, "__Host-portillon-rounds", "3");
    let looped = browser.open(&format!("https://{DOCS}//evil.test/x")).await;
    assert_eq!((looped.status(), looped.logins()), (403, 0));
    world.finish().await;

    let plan = Plan::new().await;
    plan.provider.misbehave(|script| script.discovery = Reply::Hangup);
    let world = plan.start().await;
    let down = world.browser().open(&format!("https://{DOCS}//evil.test/x")).await;
    assert_eq!(down.status(), 503);
    for page in [looped, down] {
        assert!(page.said().contains("href=\"/\""), "{}", page.said());
        assert!(!page.said().contains("evil.test"), "{}", page.said());
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_tabs_log_in_at_once_and_finish_in_reverse_order() {
    let world = World::start().await;
    let mut browser = world.browser();
    let mut callbacks = Vec::new();
    for tab in 0..10 {
        callbacks.push((tab, browser.up_to_callback(&format!("https://paie.test/tab/{tab}")).await));
    }
    let agent = Agent::angela();
    for (tab, callback) in callbacks.into_iter().rev() {
        for line in ["GET /".to_owned(), format!("GET /tab/{tab}")] {
            world.upstream.tolerates(&agent, &line);
        }
        let page = browser.arrive(callback.as_str()).await;
        assert_eq!((page.status(), page.url.host_str()), (200, Some(PAIE)), "tab {tab}: {}", page.said());
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn login_attempts_do_not_fill_the_browser() {
    let world = World::start().await;
    let mut browser = world.browser();
    for page in 0..60 {
        let response = browser.step(&format!("https://paie.test/{page}?{}", "x".repeat(200))).await;
        assert!(response.is_redirect(), "{}", response.status);
    }
    let cookies = browser.jar.header(&parse(HOME)).unwrap();
    assert!(browser.jar.logins(PAIE).len() <= 8, "{} attempts", browser.jar.logins(PAIE).len());
    assert!(cookies.len() < 8 * 1024, "{} bytes of cookies", cookies.len());
    assert!(browser.jar.refused.is_empty(), "{:?}", browser.jar.refused);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_without_cookies_is_told_so_and_does_not_loop() {
    let world = World::start().await;
    let mut browser = world.browser();
    browser.jar.policy = Policy::Refuse;
    let page = browser.open(HOME).await;
    assert!(page.logins() <= 3, "{:?}", page.hops);
    assert!((400..500).contains(&page.status()) && page.response.is_own(), "{}", page.status());
    assert!(page.said().to_lowercase().contains("cookie"), "{}", page.said());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_loses_its_session_is_told_so_after_three_rounds() {
    let world = World::start().await;
    let mut browser = world.browser();
    browser.jar.policy = Policy::DropSessions;
    let page = browser.open(HOME).await;
    assert!(page.logins() <= 3, "{:?}", page.hops);
    assert!((400..500).contains(&page.status()) && page.response.is_own(), "{}", page.status());
    assert!(page.said().to_lowercase().contains("cookie"), "{}", page.said());
    // The agent who mends the browser gets in.
    browser.jar.policy = Policy::Keep;
    world.advance(5);
    world.log_in(&mut browser, &Agent::angela(), HOME).await;
    world.finish().await;
}

/// What a browser is told after three rounds whose session is `value`.
async fn told_after_three_rounds(world: &World, value: Option<&str>) -> (u16, String) {
    let mut browser = world.browser();
    browser.jar.plant(PAIE, "__Host-portillon-rounds", "3");
    if let Some(value) = value {
        browser.jar.plant(PAIE, "__Host-portillon", value);
    }
    let page = browser.open(HOME).await;
    assert_eq!(page.logins(), 0, "{:?}", page.hops);
    (page.status(), page.said())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_that_breaks_a_loop_says_why() {
    let mut world = World::start().await;
    let before = world.clock.now();
    world.advance(2);
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.log_in(&mut browser, &Agent::angela(), &format!("https://{DOCS}/")).await;
    let value = |browser: &Browser, host| browser.jar.session(host)[0].value.clone();
    let group = World::start().await;
    let foreign = value(&group.logged_in(&Agent::angela()).await, PAIE);
    group.finish().await;
    // The clock goes back by two minutes.
    world.clock = Clock::manual(before);
    world.restart().await;
    for (value, expected) in [
        (None, (403, "cookies")),
        (Some(value(&browser, DOCS)), (403, "adresse officielle")),
        (Some(foreign), (500, "mêmes clés")),
        (Some(value(&browser, PAIE)), (500, "horloge")),
    ] {
        let (status, said) = told_after_three_rounds(&world, value.as_deref()).await;
        assert!(status == expected.0 && said.contains(expected.1), "{expected:?}: {status} {said}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_is_a_page_and_comes_back_by_itself() {
    let plan = Plan::new().await;
    plan.provider.misbehave(|script| script.discovery = Reply::Hangup);
    let world = plan.start().await;
    let page = world.browser().open("https://paie.test/dossier").await;
    assert_eq!((page.status(), page.logins()), (503, 0));
    assert!(page.said().contains("/dossier"), "the page leads back to where the agent was: {}", page.said());
    world.provider.behave();
    world.advance(15);
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_never_answers_holds_nobody_else_up() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.provider.misbehave(|script| script.token = Reply::Never);
    let mut stuck = world.browser();
    let callback = stuck.up_to_callback(HOME).await;
    let waiting = tokio::spawn(async move { stuck.step(callback.as_str()).await });
    eventually(|| world.provider.count(Endpoint::Token) == 2).await;
    for _ in 0..20 {
        world.expects(&Agent::angela(), "GET /x");
        assert_eq!(browser.open("https://paie.test/x").await.status(), 200);
    }
    waiting.abort();
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_endpoint_keeps_its_own_query() {
    let plan = Plan::new().await;
    let endpoint = format!("{}/authorize?tenant=a%20b", plan.provider.issuer());
    plan.provider.misbehave(|script| script.metadata = vec![Edit::set("authorization_endpoint", endpoint.clone())]);
    let world = plan.start().await;
    let location = world.browser().step(HOME).await.location();
    let values: Vec<_> = parse(&location).query_pairs().into_owned().filter(|(name, _)| name == "tenant").collect();
    assert_eq!(values, [("tenant".to_owned(), "a b".to_owned())], "{location}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarded_fields_of_a_client_do_not_change_the_login() {
    let world = World::start().await;
    for (name, value) in [
        ("X-Forwarded-Host", "evil.test"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Proto", "javascript"),
        ("X-Forwarded-Port", "8443"),
        ("Forwarded", "host=evil.test;proto=http"),
        ("X-Original-URL", "//evil.test/"),
        ("X-Forwarded-Prefix", "//evil.test"),
        ("Accept-Language", "en"),
    ] {
        let response = world.send(&navigation(&parse(HOME), "none").with(name, value)).await;
        let location = response.location();
        assert!(location.contains("redirect_uri=https%3A%2F%2Fpaie.test%2F.portillon%2Fcallback"), "{location}");
        let cookies = response.head.values("set-cookie");
        assert!(!cookies.is_empty() && cookies.iter().all(|line| line.contains("Secure")), "{cookies:?}");
    }
    world.finish().await;
}

/// Percent-encodes everything but letters and digits.
fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// The handshake of RFC 6455 section 1.3.
pub fn websocket(host: &str, path: &str) -> Request {
    Request::get(host, path)
        .with("Upgrade", "websocket")
        .with("Connection", "Upgrade")
        .with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .with("Sec-WebSocket-Version", "13")
        .with("Origin", format!("https://{host}"))
}

/// A CORS preflight.
pub fn preflight(host: &str, path: &str) -> Request {
    Request::new("OPTIONS", host, path)
        .with("Origin", "https://autre.test")
        .with("Access-Control-Request-Method", "POST")
        .with("Sec-Fetch-Mode", "cors")
        .with("Sec-Fetch-Dest", "empty")
}
