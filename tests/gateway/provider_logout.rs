//! Logouts that begin at the provider: OpenID Connect Back-Channel Logout 1.0 and Front-Channel Logout 1.0.

use std::time::Duration;

use portillon::crypto::signing::{KeyType, SigningKey};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::browser::{navigation, parse, target};
use crate::harness::client::{Connection, Response};
use crate::harness::gateway::Gateway;
use crate::harness::group::{share, sibling};
use crate::harness::{
    Agent, Answer, Browser, DOCS, Edit, HOME, Jwt, LOGIN, PAIE, Plan, Provider, RIE, Request, Signer, World,
};
use crate::login::websocket;
use crate::proxying::asked;
use crate::redis::{PATIENCE, Server};

const FORM: &str = "application/x-www-form-urlencoded";
const BACK: &str = "/.portillon/backchannel-logout";
const FRONT: &str = "/.portillon/frontchannel-logout";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

async fn with_logouts() -> World {
    let mut plan = Plan::new().await;
    both(&mut plan);
    plan.start().await
}

fn both(plan: &mut Plan) {
    plan.site.set("provider", "backchannel_logout", "true").set("provider", "frontchannel_logout", "true");
}

/// A browser in which `agent` has logged in, in the session `sid` of the provider.
async fn logged_in(world: &World, agent: &Agent, sid: &str) -> Browser {
    world.provider.misbehave(|script| script.id_token.claims = vec![Edit::set("sid", sid)]);
    world.logged_in(agent).await
}

/// A logout token that says this.
fn token(provider: &Provider, claims: &[(&'static str, &str)]) -> String {
    let claims = claims.iter().map(|(name, value)| Edit::set(name, *value)).collect();
    provider.logout_token(&Jwt { claims, ..Jwt::default() })
}

fn post(host: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::new("POST", host, BACK).with("Content-Type", content_type).body(body)
}

fn told(host: &str, token: &str) -> Request {
    post(host, FORM, format!("logout_token={token}"))
}

/// As a thief of the cookie would ask.
fn request(browser: &mut Browser, url: &str) -> Request {
    browser.with_cookies(&parse(url), navigation(&parse(url), "none"))
}

async fn is_in(world: &World, browser: &mut Browser, agent: &Agent) -> bool {
    world.upstream.tolerates(agent, "GET /");
    let request = request(browser, HOME);
    world.send(&request).await.status == 200
}

#[track_caller]
fn is_refused(answer: &Response) {
    assert_eq!((answer.status, answer.header("cache-control")), (400, Some("no-store")));
    assert!(answer.text().contains("invalid_request"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_ends_the_session_that_it_names_and_no_other() {
    let world = with_logouts().await;
    let (angela, eloise) = (Agent::angela(), Agent::eloise());
    let mut first = logged_in(&world, &angela, "sid-1").await;
    let mut second = logged_in(&world, &angela, "sid-2").await;
    let mut other = logged_in(&world, &eloise, "sid-3").await;
    let answer = world.send(&told(PAIE, &token(&world.provider, &[("sid", "sid-1"), ("sub", angela.sub())]))).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    assert!(!is_in(&world, &mut first, &angela).await);
    assert!(is_in(&world, &mut second, &angela).await && is_in(&world, &mut other, &eloise).await);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_without_sid_ends_all_of_the_agents_sessions_until_now() {
    let world = with_logouts().await;
    let (angela, eloise) = (Agent::angela(), Agent::eloise());
    let mut first = logged_in(&world, &angela, "sid-1").await;
    let mut second = world.logged_in(&angela).await;
    let mut other = logged_in(&world, &eloise, "sid-3").await;
    assert_eq!(world.send(&told(DOCS, &token(&world.provider, &[("sub", angela.sub())]))).await.status, 200);
    assert!(!is_in(&world, &mut first, &angela).await && !is_in(&world, &mut second, &angela).await);
    assert!(is_in(&world, &mut other, &eloise).await);
    world.advance(1);
    let mut again = logged_in(&world, &angela, "sid-4").await;
    assert!(is_in(&world, &mut again, &angela).await, "a later login is a new session");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_is_good_once() {
    // B-LOG: a replayed jti
    let world = with_logouts().await;
    let angela = Agent::angela();
    let token = token(&world.provider, &[("sub", angela.sub())]);
    assert_eq!(world.send(&told(PAIE, &token)).await.status, 200);
    world.advance(1);
    let mut browser = world.logged_in(&angela).await;
    is_refused(&world.send(&told(PAIE, &token)).await);
    is_refused(&world.send(&told(DOCS, &token)).await);
    assert!(is_in(&world, &mut browser, &angela).await);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_is_good_until_the_store_has_what_it_ends() {
    let redis = Server::start(&[]);
    let mut plan = Plan::new().await;
    both(&mut plan);
    share(&mut plan, &redis, "\"1h\"");
    let trail = plan.folder.path().join("audit.jsonl");
    plan.site.set("audit", "to", &format!("\"file:{}\"", trail.display()));
    let world = plan.start().await;
    let angela = Agent::angela();
    let mut browser = logged_in(&world, &angela, "sid-1").await;
    let token = token(&world.provider, &[("sid", "sid-1"), ("sub", angela.sub())]);
    redis.cli(&["acl", "setuser", "default", "-xadd"]);
    let answer = world.send(&told(PAIE, &token)).await;
    assert_eq!((answer.status, answer.text().contains("temporarily_unavailable")), (400, true));
    assert!(!is_in(&world, &mut browser, &angela).await, "it has ended here");
    let noted = async {
        while !std::fs::read_to_string(&trail).unwrap_or_default().contains("back_channel_logout") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, noted).await.expect("the trail says so");
    redis.cli(&["acl", "setuser", "default", "+xadd"]);
    let taken = async {
        loop {
            let answer = world.send(&told(PAIE, &token)).await;
            if answer.status == 200 {
                return;
            }
            assert!(answer.text().contains("temporarily_unavailable"), "it is no replay: {}", answer.text());
        }
    };
    timeout(PATIENCE, taken).await.unwrap();
    is_refused(&world.send(&told(PAIE, &token)).await);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_in_doubt_is_refused_and_ends_nothing() {
    // B-LOG
    let world = with_logouts().await;
    let angela = Agent::angela();
    let mut browser = logged_in(&world, &angela, "sid-1").await;
    let now = world.clock.now().as_secs();
    let names = || vec![Edit::set("sid", "sid-1"), Edit::set("sub", angela.sub())];
    let with = |edits: Vec<Edit>| Jwt { claims: [names(), edits].concat(), ..Jwt::default() };
    let header = |edit: Edit| Jwt { header: vec![edit], ..with(Vec::new()) };
    let signed = |signer: Signer| Jwt { signer, ..with(Vec::new()) };
    let other_key = SigningKey::generate(KeyType::Rsa2048).unwrap();
    let bad = [
        header(Edit::set("alg", "none")),
        header(Edit::set("alg", "HS256")),
        Jwt { signer: Signer::Literal(Vec::new()), ..header(Edit::set("alg", "none")) },
        header(Edit::set("typ", "at+jwt")),
        header(Edit::set("typ", "secevent+jwt")),
        header(Edit::set("crit", json!(["exp"]))),
        header(Edit::set("kid", "unknown")),
        signed(Signer::Garbled),
        signed(Signer::Other("ES256")),
        signed(Signer::Other("HS256")),
        signed(Signer::Key(other_key.into())),
        with(vec![Edit::set("iss", "https://evil.test")]),
        with(vec![Edit::Remove("iss")]),
        with(vec![Edit::set("aud", "another")]),
        with(vec![Edit::set("aud", json!([crate::harness::site::CLIENT_ID, "another"]))]),
        with(vec![Edit::Remove("aud")]),
        with(vec![Edit::Remove("events")]),
        with(vec![Edit::set("events", json!({ "http://schemas.openid.net/event/other": {} }))]),
        with(vec![Edit::set("events", json!({ EVENT: true }))]),
        with(vec![Edit::set("events", json!([EVENT]))]),
        with(vec![Edit::set("nonce", "n")]),
        with(vec![Edit::set("nonce", Value::Null)]),
        with(vec![Edit::Remove("iat")]),
        with(vec![Edit::set("iat", now - 301)]),
        with(vec![Edit::set("iat", now + 61)]),
        with(vec![Edit::Remove("exp")]),
        with(vec![Edit::set("exp", now - 61)]),
        with(vec![Edit::set("nbf", now + 61)]),
        with(vec![Edit::Remove("jti")]),
        with(vec![Edit::set("jti", "")]),
        with(vec![Edit::set("jti", 7)]),
        with(vec![Edit::Remove("sub"), Edit::Remove("sid")]),
        with(vec![Edit::set("sid", 7)]),
        with(vec![Edit::set("sub", Value::Null)]),
        Jwt { raw: Some(world.provider.last_id_token()), ..Jwt::default() },
        Jwt { raw: Some("a.b.c".to_owned()), ..Jwt::default() },
    ];
    for jwt in &bad {
        let token = world.provider.logout_token(jwt);
        is_refused(&world.send(&told(PAIE, &token)).await);
        assert!(is_in(&world, &mut browser, &angela).await, "{:?} {:?}", jwt.header, jwt.claims);
    }
    for typ in ["logout+jwt", "application/logout+jwt", "JWT"] {
        let fine =
            Jwt { header: vec![Edit::set("typ", typ)], claims: vec![Edit::set("sid", "another")], ..Jwt::default() };
        assert_eq!(world.send(&told(PAIE, &world.provider.logout_token(&fine))).await.status, 200, "{typ}");
    }
    assert!(is_in(&world, &mut browser, &angela).await);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_form_with_one_logout_token_is_read() {
    let world = with_logouts().await;
    let angela = Agent::angela();
    let mut browser = logged_in(&world, &angela, "sid-1").await;
    let token = token(&world.provider, &[("sid", "sid-1")]);
    for request in [
        post(PAIE, "application/json", json!({ "logout_token": token }).to_string()),
        post(PAIE, "text/plain", format!("logout_token={token}")),
        post(PAIE, FORM, format!("logout_token={token}&logout_token={token}")),
        post(PAIE, FORM, format!("token={token}")),
        post(PAIE, FORM, ""),
        post(PAIE, FORM, format!("x={}&logout_token={token}", "x".repeat(8192))),
    ] {
        is_refused(&world.send(&request).await);
    }
    let get = world.send(&Request::get(PAIE, &format!("{BACK}?logout_token={token}"))).await;
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    assert!(is_in(&world, &mut browser, &angela).await);
    let more = post(PAIE, "Application/X-WWW-Form-Urlencoded; charset=utf-8", format!("a=b&logout_token={token}"));
    assert_eq!(world.send(&more).await.status, 200);
    assert!(!is_in(&world, &mut browser, &angela).await);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_providers_word_ends_nothing_here() {
    let mut plan = Plan::new().await;
    both(&mut plan);
    let rie = plan.another_provider().await;
    plan.site.set("providers.rie", "backchannel_logout", "true");
    let world = plan.start().await;
    let angela = Agent::angela();
    let mut browser = logged_in(&world, &angela, "sid-1").await;
    is_refused(&world.send(&told(PAIE, &token(&rie, &[("sid", "sid-1")]))).await);
    for whose in [("sid", "sid-1"), ("sub", angela.sub())] {
        assert_eq!(world.send(&told(RIE, &token(&rie, &[whose]))).await.status, 200);
        assert!(is_in(&world, &mut browser, &angela).await, "{whose:?}: its own sessions, which are others");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_there_is_nothing_to_ask() {
    let world = World::start().await;
    let angela = Agent::angela();
    let mut browser = logged_in(&world, &angela, "sid-1").await;
    assert_eq!(world.send(&told(PAIE, &token(&world.provider, &[("sid", "sid-1")]))).await.status, 404);
    assert_eq!(world.send(&Request::get(PAIE, FRONT)).await.status, 404);
    assert!(is_in(&world, &mut browser, &angela).await);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_host_that_one_login_opened_is_left() {
    let mut plan = Plan::new().await;
    both(&mut plan);
    plan.site.log_in_at(LOGIN);
    let world = plan.start().await;
    let angela = Agent::angela();
    let docs = "https://docs.test/";
    for whose in [("sid", "sid-1"), ("sub", angela.sub())] {
        let sid = if whose.0 == "sid" { "sid-1" } else { "sid-2" };
        let mut browser = logged_in(&world, &angela, sid).await;
        world.log_in(&mut browser, &angela, docs).await;
        assert_eq!(world.send(&told(LOGIN, &token(&world.provider, &[whose]))).await.status, 200);
        for url in [HOME, docs] {
            assert_eq!(world.send(&request(&mut browser, url)).await.status, 303, "{whose:?} {url}");
        }
        world.advance(1);
    }
    world.finish().await;
}

async fn until_out(world: &World, gateway: &Gateway, request: &Request) {
    let refused = async {
        loop {
            world.upstream.tolerates(&Agent::angela(), "GET /");
            let answer = Connection::open(gateway.address).await.exchange(request).await;
            if answer.header("location").is_some_and(|location| location.starts_with(&world.provider.issuer())) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, refused).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_and_streams_of_every_gateway_end() {
    let redis = Server::start(&[]);
    let mut plan = Plan::new().await;
    both(&mut plan);
    share(&mut plan, &redis, "\"60s\"");
    let world = plan.start().await;
    let folder = tempfile::tempdir().unwrap();
    let other = sibling(&world, &folder).await;
    world.upstream.answer("/ws", Answer::websocket());
    let angela = Agent::angela();
    for (sid, whose) in [("sid-1", ("sid", "sid-1")), ("sid-2", ("sub", angela.sub()))] {
        let mut browser = logged_in(&world, &angela, sid).await;
        let mut tunnel = asked(&world, &mut browser, websocket(PAIE, "/ws")).await;
        assert_eq!(tunnel.response("GET").await.status, 101);
        let token = token(&world.provider, &[whose]);
        assert_eq!(Connection::open(other.address).await.exchange(&told(PAIE, &token)).await.status, 200);
        assert_eq!(timeout(PATIENCE, tunnel.exactly(4)).await.unwrap(), [0x88, 0x02, 0x03, 0xF0]);
        assert!(tunnel.ends().await);
        let copied = request(&mut browser, HOME);
        until_out(&world, world.gateway(), &copied).await;
        until_out(&world, &other, &copied).await;
        is_refused(&world.send(&told(PAIE, &token)).await);
        world.advance(1);
    }
    other.stop().await;
    world.finish().await;
}

/// The provider's page frames this.
async fn framed(world: &World, browser: &mut Browser, query: &str) -> Response {
    let url = parse(&format!("https://{PAIE}{FRONT}{query}"));
    let in_frame = Request::get(PAIE, &target(&url))
        .with("Accept", "text/html")
        .with("Sec-Fetch-Mode", "navigate")
        .with("Sec-Fetch-Dest", "iframe")
        .with("Sec-Fetch-Site", "same-site");
    let request = browser.with_cookies(&url, in_frame);
    world.send(&request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_page_ends_the_session_of_its_browser_and_no_other() {
    // B-LO-5
    let world = with_logouts().await;
    let (angela, eloise) = (Agent::angela(), Agent::eloise());
    let mut browser = logged_in(&world, &angela, "sid-1").await;
    let mut other = logged_in(&world, &eloise, "sid-2").await;
    let copied = request(&mut browser, HOME);
    let iss = world.provider.issuer();
    for query in [
        String::new(),
        format!("?iss={iss}"),
        "?sid=sid-1".to_owned(),
        format!("?iss={iss}&sid=sid-2"),
        format!("?iss={iss}/&sid=sid-1"),
        format!("?iss={iss}&sid=sid-1&sid=sid-1"),
    ] {
        let answer = framed(&world, &mut browser, &query).await;
        assert_eq!((answer.status, answer.header("cache-control")), (400, Some("no-store")), "{query}");
        assert!(is_in(&world, &mut browser, &angela).await, "{query}");
    }
    let query = format!("?iss={iss}&sid=sid-1");
    let answer = framed(&world, &mut browser, &query).await;
    assert_eq!((answer.status, answer.header("x-frame-options")), (200, None));
    let origin = iss.trim_end_matches("/api/v2");
    let policy = format!("default-src 'none'; frame-ancestors {origin}");
    assert_eq!(answer.header("content-security-policy"), Some(policy.as_str()));
    assert!(answer.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")));
    assert!(world.send(&copied).await.location().starts_with(&iss), "a copy is dead too");
    assert!(is_in(&world, &mut other, &eloise).await);
    // Who has no session here is told nothing.
    assert_eq!(framed(&world, &mut world.browser(), &query).await.status, 200);
    world.finish().await;
}
