//! The two proofs that a request carries (RFC 9421, RFC 7519). The harness verifies every request that arrives with a
//! verifier of its own; here are the particular cases, and the product's own verifier.

use std::collections::HashSet;

use portillon::crypto::key_ring::TAKES_EFFECT_AFTER;

use crate::harness::proof::{Keys, verify_assertion, verify_request};
use crate::harness::upstream::Received;
use crate::harness::{Agent, Browser, HOME, PAIE, Plan, Request, Who, World};

/// The assertion of the last request that arrived.
fn last_assertion(world: &World) -> String {
    world.upstream.last().header("x-agent-assertion")
}

async fn ask(world: &World, browser: &mut Browser, agent: &Agent) {
    world.expects(agent, "GET /x");
    assert_eq!(browser.open("https://paie.test/x").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_signed_over_what_it_is_and_who_makes_it() {
    let mut world = World::start().await;
    let keys = world.learn_keys().await;
    let mut browser = world.logged_in(&Agent::eloise()).await;
    let now = world.clock.now().as_secs();
    let mut nonces = HashSet::new();
    for target in ["/", "/a?b=c&d=%C3%A9", "/a?", "/a?b?c", "/%C3%A9%20x"] {
        world.expects(&Agent::eloise(), &format!("GET {target}"));
        let request = Request::get(PAIE, target);
        assert_eq!(world.send_as(&mut browser, request).await.status, 200, "{target}");
        let signed = verify_request(&world.upstream.last(), &keys).unwrap();
        assert_eq!((signed.alg.as_str(), signed.tag.as_str()), ("ed25519", "paie"));
        assert_eq!((signed.created, signed.expires), (now, now + 60));
        assert!(nonces.insert(signed.nonce), "a nonce is used once");
        assert_eq!(&signed.covered[..4], ["@method", "@authority", "@path", "@query"]);
        assert!(!signed.covered.contains(&"x-agent-assertion".to_owned()), "the assertion proves itself");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_request_changed_in_any_way_does_not_verify() {
    // C-ENC-8
    let mut world = World::start().await;
    let keys = world.learn_keys().await;
    world.log_in(&mut world.browser(), &Agent::angela(), "https://paie.test/a?b=c").await;
    let honest = world.upstream.last();
    assert!(verify_request(&honest, &keys).is_ok());
    let changes: [(&str, Change); 5] = [
        ("method", |request| request.head.start_line = request.head.start_line.replace("GET", "PUT")),
        ("path", |request| request.head.start_line = request.head.start_line.replace("/a?", "/b?")),
        ("query", |request| request.head.start_line = request.head.start_line.replace("b=c", "b=d")),
        ("authority", |request| replace(request, "host", "docs.test")),
        ("identity", |request| replace(request, "x-agent-email", "evil@x.test")),
    ];
    for (what, change) in changes {
        let mut changed = honest.clone();
        change(&mut changed);
        assert!(verify_request(&changed, &keys).is_err(), "{what}");
    }
    world.finish().await;
}

type Change = fn(&mut Received);

fn replace(request: &mut Received, name: &str, value: &str) {
    let field = request.head.fields.iter_mut().find(|(field, _)| field.eq_ignore_ascii_case(name));
    field.expect("the field is there").1 = value.as_bytes().to_vec();
}

#[tokio::test(flavor = "multi_thread")]
async fn public_requests_are_signed_without_identity() {
    let mut world = World::start().await;
    let keys = world.learn_keys().await;
    world.expects(Who::Public, "GET /public/logo.png?v=1");
    let response = world.send(&Request::get(PAIE, "/public/logo.png?v=1")).await;
    assert_eq!(response.status, 200);
    let signed = verify_request(&world.upstream.last(), &keys).unwrap();
    assert_eq!(signed.covered, ["@method", "@authority", "@path", "@query"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_chooses_its_algorithm() {
    let mut plan = Plan::new().await;
    plan.site.route("paie").line(r#"signature_algorithm = "ecdsa-p256-sha256""#);
    let secret = b"a secret of thirty-two bytes, ok".to_vec();
    let file = plan.folder.path().join("hmac.key");
    std::fs::write(&file, &secret).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let docs = plan.site.route("docs");
    docs.line(r#"signature_algorithm = "hmac-sha256""#).line(format!("hmac_key = {{ file = {file:?} }}"));
    docs.hmac_key = Some(secret.clone());
    let mut world = plan.start().await;
    let keys = Keys { hmac: Some(secret.clone()), ..world.learn_keys().await };
    world.logged_in(&Agent::angela()).await;
    assert_eq!(verify_request(&world.upstream.last(), &keys).unwrap().alg, "ecdsa-p256-sha256");
    world.log_in(&mut world.browser(), &Agent::angela(), "https://docs.test/").await;
    assert_eq!(verify_request(&world.upstream.last(), &keys).unwrap().alg, "hmac-sha256");
    let published = world.send(&Request::get(PAIE, "/.portillon/jwks.json")).await.text();
    assert!(!published.contains("\"oct\"") && !published.contains(&portillon::crypto::base64url(&secret)));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_chooses_its_proofs() {
    // The harness checks that no other proof arrives.
    for sign in [vec![], vec!["request"], vec!["assertion"]] {
        let mut plan = Plan::new().await;
        plan.site.route("paie").sign = sign;
        let world = plan.start().await;
        world.logged_in(&Agent::eloise()).await;
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_says_who_for_whom_and_for_how_long() {
    let mut world = World::start().await;
    let keys = world.learn_keys().await;
    let now = world.clock.now();
    world.logged_in(&Agent::eloise()).await;
    let claims = verify_assertion(&last_assertion(&world), &keys, now).unwrap();
    assert_eq!(claims["iss"], "https://paie.test");
    assert_eq!((&claims["aud"], &claims["sub"]), (&"paie".into(), &Agent::eloise().sub().into()));
    assert_eq!(claims["sid"], world.upstream.last().header("x-agent-session"));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 300);
    assert!(claims["jti"].as_str().is_some_and(|jti| jti.len() >= 16));
    for name in ["given_name", "usual_name", "email", "uid", "siret", "idp_id"] {
        assert_eq!(claims[name], Agent::eloise().text(name), "{name}");
    }
    for name in ["nonce", "at_hash"] {
        assert!(!claims.contains_key(name), "{name}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_releases_no_more_than_the_headers() {
    let mut plan = Plan::new().await;
    plan.site.route("paie").release(&["sub", "email"]);
    let mut world = plan.start().await;
    let keys = world.learn_keys().await;
    world.logged_in(&Agent::angela()).await;
    let claims = verify_assertion(&last_assertion(&world), &keys, world.clock.now()).unwrap();
    assert!(claims.contains_key("email"));
    for name in ["given_name", "usual_name", "uid", "siret", "siren", "idp_id"] {
        assert!(!claims.contains_key(name), "{name}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_is_kept_and_renewed_at_half_its_life() {
    let world = World::start().await;
    let agent = Agent::angela();
    let mut browser = world.logged_in(&agent).await;
    let first = last_assertion(&world);
    ask(&world, &mut browser, &agent).await;
    assert_eq!(last_assertion(&world), first, "cached per session and route");
    world.advance(2);
    ask(&world, &mut browser, &agent).await;
    assert_eq!(last_assertion(&world), first, "two minutes of five are no half");
    world.advance(1);
    ask(&world, &mut browser, &agent).await;
    let renewed = last_assertion(&world);
    assert_ne!(renewed, first);
    ask(&world, &mut browser, &agent).await;
    assert_eq!(last_assertion(&world), renewed);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn assertions_of_two_agents_and_two_routes_are_never_mixed_up() {
    let world = World::start().await;
    let (mut one, mut two) = (world.logged_in(&Agent::angela()).await, world.logged_in(&Agent::eloise()).await);
    world.log_in(&mut one, &Agent::angela(), "https://docs.test/").await;
    // Who is who, and for whom, is what the harness checks of each request.
    for _ in 0..3 {
        ask(&world, &mut one, &Agent::angela()).await;
        ask(&world, &mut two, &Agent::eloise()).await;
        world.expects(&Agent::angela(), "GET /y");
        assert_eq!(one.open("https://docs.test/y").await.status(), 200);
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configured_lifetimes_hold() {
    let mut plan = Plan::new().await;
    plan.site.set("signing", "lifetime", r#""30s""#).set("signing", "assertion_lifetime", r#""2m""#);
    plan.site.set("signing", "algorithm", r#""ecdsa-p256-sha256""#);
    let mut world = plan.start().await;
    let keys = world.learn_keys().await;
    world.logged_in(&Agent::angela()).await;
    let signed = verify_request(&world.upstream.last(), &keys).unwrap();
    assert_eq!((signed.expires - signed.created, signed.alg.as_str()), (30, "ecdsa-p256-sha256"));
    let claims = verify_assertion(&last_assertion(&world), &keys, world.clock.now()).unwrap();
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 120);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_are_published_without_a_session_and_without_secrets() {
    let world = World::start().await;
    for host in world.site.hosts(None) {
        let response = world.send(&Request::get(host, "/.portillon/jwks.json")).await;
        assert_eq!(response.status, 200);
        let kind = response.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/jwk-set+json") || kind.starts_with("application/json"), "{kind}");
        let (_, seconds) = response.header("cache-control").unwrap().split_once("max-age=").unwrap();
        // A running gateway looks for new keys every five seconds.
        assert!(seconds.parse::<u64>().unwrap() + 5 < TAKES_EFFECT_AFTER.as_secs(), "a cache lacks the key that signs");
        let keys = Keys::new(&response.text());
        let types: HashSet<_> = keys.jwks.iter().map(|jwk| jwk["kty"].as_str().unwrap().to_owned()).collect();
        assert_eq!(types, HashSet::from(["OKP".to_owned(), "EC".to_owned()]));
        for jwk in &keys.jwks {
            for private in ["d", "k", "p", "q"] {
                assert!(jwk.get(private).is_none(), "{private} in {jwk}");
            }
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_signing_key_is_published_before_it_signs() {
    let mut world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let old = world.learn_keys().await;
    world.advance(2);
    crate::harness::gateway::rotate_keys(world.folder.path(), &world.clock);
    world.keys_published(old.jwks.len() + 1).await;
    ask(&world, &mut browser, &Agent::angela()).await;
    assert!(
        verify_request(&world.upstream.last(), &old).is_ok(),
        "the old key signs until everybody knows the new one"
    );
    world.advance(1);
    ask(&world, &mut browser, &Agent::angela()).await;
    assert!(verify_request(&world.upstream.last(), &old).is_err(), "then the new one signs");
    let new = world.learn_keys().await;
    assert!(verify_request(&world.upstream.last(), &new).is_ok());
    // The session sealed under the old key goes on.
    ask(&world, &mut browser, &Agent::angela()).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_products_own_verifier_agrees() {
    let mut world = World::start().await;
    let keys = world.learn_keys().await;
    world.log_in(&mut world.browser(), &Agent::eloise(), "https://paie.test/a?b=c").await;
    let honest = world.upstream.last();
    let now = world.clock.now();
    let verify = |request: &Received, tag: &str, now| crate::harness::gateway::verify(request, &keys, tag, now);
    assert_eq!(verify(&honest, "paie", now), Ok(()));
    assert!(verify(&honest, "docs", now).is_err(), "another application");
    let later = now.plus(std::time::Duration::from_secs(600));
    assert!(verify(&honest, "paie", later).is_err(), "expired");
    let mut copied = honest.clone();
    copied.head.fields.push(("x-agent-email".to_owned(), b"evil@x.test".to_vec()));
    assert!(verify(&copied, "paie", now).is_err(), "a second copy of a covered header");
    let mut added = honest.clone();
    added.head.fields.push(("X-Agent-Roles".to_owned(), b"admin".to_vec()));
    assert!(verify(&added, "paie", now).is_err(), "an identity header that is not covered");
    let mut renamed = honest.clone();
    renamed.head.fields.push(("X_Agent_Roles".to_owned(), b"admin".to_vec()));
    assert!(verify(&renamed, "paie", now).is_err(), "another spelling of one");
    let mut shuffled = honest.clone();
    shuffled.head.fields.reverse();
    assert_eq!(verify(&shuffled, "paie", now), Ok(()), "the order of different fields says nothing");
    let _ = HOME;
    world.finish().await;
}
