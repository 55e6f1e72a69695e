//! The config RP plan of the OpenID conformance suite, `oidcc-client-config-certification-test-plan`. Each test bears
//! the name of its module.

use crate::harness::{Edit, Endpoint, HOME, Plan, Signer, World};

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_discovery_openid_config() {
    let world = World::start().await;
    world.accepts_login().await;
    assert!(world.provider.count(Endpoint::Discovery) >= 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_discovery_jwks_uri_keys() {
    // The keys come from wherever the metadata say, not from a path that is known by heart.
    let plan = Plan::new().await;
    let moved = format!("{}/jwks?run=7", plan.provider.issuer());
    plan.provider.misbehave(|script| script.metadata = vec![Edit::set("jwks_uri", moved)]);
    let world = plan.start().await;
    world.accepts_login().await;
    assert_eq!(world.provider.last(Endpoint::Jwks).parameter("run"), Some("7"));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_discovery_issuer_mismatch() {
    let plan = Plan::new().await;
    plan.provider.misbehave(|script| script.metadata = vec![Edit::set("issuer", "https://evil.test/api/v2")]);
    let world = plan.start().await;
    let page = world.browser().open(HOME).await;
    assert_eq!((page.status(), page.logins()), (503, 0));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_config_idtoken_sig_none() {
    let plan = Plan::new().await;
    let algorithms = serde_json::json!(["none", "RS256"]);
    plan.provider.misbehave(|script| {
        script.metadata = vec![Edit::set("id_token_signing_alg_values_supported", algorithms)];
    });
    let world = plan.start().await;
    world
        .refuses_login(|script| {
            script.id_token.header = vec![Edit::set("alg", "none")];
            script.id_token.signer = Signer::Literal(Vec::new());
        })
        .await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_signing_key_rotation_just_before_signing() {
    // B-KEY-1: the key changes after the authorization request, before the token is signed.
    let world = World::start().await;
    world.accepts_login().await;
    world.advance(11);
    let mut browser = world.browser();
    let callback = browser.up_to_callback(HOME).await;
    world.provider.state().keys.rotate(false);
    let before = world.provider.count(Endpoint::Jwks);
    world.expects(&crate::harness::Agent::angela(), "GET /");
    assert_eq!(browser.arrive(callback.as_str()).await.status(), 200);
    assert_eq!(world.provider.count(Endpoint::Jwks), before + 1, "one fetch because of an unknown kid");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_signing_key_rotation() {
    let world = World::start().await;
    world.accepts_login().await;
    world.advance(11);
    world.provider.state().keys.rotate(true);
    world.accepts_login().await;
    world.finish().await;
}
