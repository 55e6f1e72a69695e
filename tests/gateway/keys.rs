//! The provider's keys and metadata, when they change, fail or lie (threats.md B-KEY).

use std::sync::Arc;

use crate::harness::{Agent, Edit, Endpoint, HOME, Plan, Reply, Signer, World, ec_key, rsa_key};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_removed_from_the_set_is_trusted_no_more() {
    // B-KEY-2
    let world = World::start().await;
    world.accepts_login().await;
    world.advance(11);
    world.provider.state().keys.rotate(false);
    world.accepts_login().await;
    world.advance(11);
    world.refuses_login(|script| script.id_token.signer = Signer::Key(rsa_key(0))).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_outlive_a_jwks_endpoint_that_fails() {
    // B-KEY-3
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for reply in [
        Reply::Hangup,
        Reply::status("500 Internal Server Error", "text/plain", ""),
        Reply::status("200 OK", "text/html", "<html></html>"),
        Reply::json(r#"{"keys":[]}"#),
        Reply::json("{}"),
    ] {
        world.advance(11);
        let fault = reply.clone();
        world
            .refuses_login(|script| {
                script.jwks = fault;
                script.id_token.signer = Signer::Key(rsa_key(1));
            })
            .await;
        world.provider.misbehave(|script| script.jwks = reply);
        world.accepts_login().await;
        world.expects(&Agent::angela(), "GET /still-here");
        assert_eq!(browser.open("https://paie.test/still-here").await.status(), 200);
        world.provider.behave();
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_lie_are_refused() {
    // B-KEY-5, B-KEY-7
    let cases = [
        ("another issuer", Edit::set("issuer", "https://evil.test/api/v2")),
        ("a trailing slash", Edit::set("issuer", "SELF/")),
        ("no issuer", Edit::Remove("issuer")),
        ("no token endpoint", Edit::Remove("token_endpoint")),
        ("a token endpoint elsewhere", Edit::set("token_endpoint", "http://evil.test/token")),
        ("keys from a file", Edit::set("jwks_uri", "file:///etc/passwd")),
        ("a script as endpoint", Edit::set("authorization_endpoint", "javascript:alert(1)")),
    ];
    for (what, edit) in cases {
        println!("{what}");
        let plan = Plan::new().await;
        let edit = match edit {
            Edit::Set("issuer", value) if value == "SELF/" => Edit::set("issuer", plan.provider.issuer() + "/"),
            edit => edit,
        };
        plan.provider.misbehave(|script| script.metadata = vec![edit]);
        let world = plan.start().await;
        let page = world.browser().open(HOME).await;
        assert_eq!((page.status(), page.logins()), (503, 0), "{what}");
        assert_eq!(world.provider.count(Endpoint::Token), 0, "{what}");
        world.provider.behave();
        world.advance(15);
        world.accepts_login().await;
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discovery_that_redirects_is_not_followed() {
    let plan = Plan::new().await;
    let elsewhere = format!("{}/elsewhere", plan.provider.issuer());
    plan.provider.misbehave(|script| script.discovery = Reply::redirect("302 Found", &elsewhere));
    let world = plan.start().await;
    assert_eq!(world.browser().open(HOME).await.status(), 503);
    assert_eq!(world.provider.count(Endpoint::Other), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_live_on_while_the_provider_is_down_even_after_a_restart() {
    // B-KEY-6
    let mut world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.provider.misbehave(|script| {
        script.discovery = Reply::Hangup;
        script.jwks = Reply::Hangup;
        script.token = Reply::Hangup;
    });
    world.restart().await;
    world.expects(&Agent::angela(), "GET /x");
    let page = browser.open("https://paie.test/x").await;
    assert_eq!((page.status(), page.logins()), (200, 0));
    // Metadata and keys were kept on disk: a login works as soon as the token endpoint does.
    world.provider.misbehave(|script| script.token = Reply::Honest);
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_key_identifiers_do_not_make_the_gateway_hammer_the_provider() {
    // B-KEY-9
    let world = World::start().await;
    world.accepts_login().await;
    world.advance(11);
    let before = world.provider.count(Endpoint::Jwks);
    for attempt in 0..20 {
        let kid = format!("unknown-{attempt}");
        world.refuses_login(|script| script.id_token.header = vec![Edit::set("kid", kid)]).await;
    }
    assert!(world.provider.count(Endpoint::Jwks) <= before + 1, "one fetch per cool-down");
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jwks_with_keys_that_nobody_can_read_still_serves() {
    let world = World::start().await;
    let mut set = world.provider.state().keys.jwks();
    let keys = set["keys"].as_array_mut().unwrap();
    keys.insert(0, serde_json::json!({ "kty": "OKP", "crv": "X9999", "x": "AA", "kid": "new" }));
    keys.insert(0, serde_json::json!({ "kty": "quantum" }));
    world.provider.misbehave(|script| script.jwks = Reply::json(&set.to_string()));
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_encryption_or_of_another_type_verifies_nothing() {
    let plan = Plan::new().await;
    let attacker = ec_key();
    let mut set = plan.provider.state().keys.jwks();
    let mut other = rsa_key(2).to_jwk().unwrap();
    other["use"] = "enc".into();
    let keys = set["keys"].as_array_mut().unwrap();
    keys.extend([other, attacker.to_jwk().unwrap()]);
    plan.provider.misbehave(|script| script.jwks = Reply::json(&set.to_string()));
    let world = plan.start().await;
    for key in [rsa_key(2), attacker] {
        world
            .refuses_login(|script| {
                script.jwks = Reply::json(&set.to_string());
                script.id_token.signer = Signer::Key(Arc::clone(&key));
            })
            .await;
    }
    world.finish().await;
}
