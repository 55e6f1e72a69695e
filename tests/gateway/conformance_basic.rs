//! The basic RP plan of the OpenID conformance suite, `oidcc-client-basic-certification-test-plan`, and what of its
//! other plans fits a client of AgentConnect. Each test bears the name of its module.

use serde_json::json;

use crate::harness::{Agent, Edit, Endpoint, HOME, Plan, Reply, Signer, World, ec_key, rsa_key};
use crate::token::registered;

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test() {
    let world = World::start().await;
    world.logged_in(&Agent::angela()).await;
    let call = world.provider.last(Endpoint::Authorization);
    assert!(call.parameter("scope").unwrap().split(' ').any(|scope| scope == "openid"));
    assert!(call.parameter("redirect_uri").unwrap().starts_with("https://"));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_invalid_iss() {
    let world = World::start().await;
    world.refuses_login(|script| script.id_token.claims = vec![Edit::set("iss", "https://evil.test/api/v2")]).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_missing_sub() {
    let world = World::start().await;
    world.refuses_login(|script| script.id_token.claims = vec![Edit::Remove("sub")]).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_invalid_aud() {
    let world = World::start().await;
    world.refuses_login(|script| script.id_token.claims = vec![Edit::set("aud", "another-client")]).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_missing_aud() {
    let world = World::start().await;
    world.refuses_login(|script| script.id_token.claims = vec![Edit::Remove("aud")]).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_missing_iat() {
    let world = World::start().await;
    world.refuses_login(|script| script.id_token.claims = vec![Edit::Remove("iat")]).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_kid_absent_single_jwks() {
    let plan = Plan::new().await;
    plan.provider.state().keys.published.truncate(1);
    plan.provider.misbehave(|script| {
        script.id_token.header = vec![Edit::Remove("kid")];
        script.user_info_claims.header = vec![Edit::Remove("kid")];
    });
    let world = plan.start().await;
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_kid_absent_multiple_jwks() {
    // Two RSA keys fit: each is tried.
    let plan = Plan::new().await;
    plan.provider.state().keys.published = vec![rsa_key(1), rsa_key(0), ec_key()];
    plan.provider.misbehave(|script| {
        script.id_token.header = vec![Edit::Remove("kid")];
        script.user_info_claims.header = vec![Edit::Remove("kid")];
    });
    let world = plan.start().await;
    world.accepts_login().await;
    world
        .refuses_login(|script| {
            script.id_token.header = vec![Edit::Remove("kid")];
            script.id_token.signer = Signer::Key(rsa_key(2));
        })
        .await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_idtoken_sig_rs256() {
    let world = registered("RS256").await;
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_idtoken_sig_none() {
    let world = World::start().await;
    world
        .refuses_login(|script| {
            script.id_token.header = vec![Edit::set("alg", "none"), Edit::Remove("kid")];
            script.id_token.signer = Signer::Literal(Vec::new());
        })
        .await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_invalid_sig_rs256() {
    let world = registered("RS256").await;
    world.refuses_login(|script| script.id_token.signer = Signer::Garbled).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_invalid_sig_es256() {
    let world = registered("ES256").await;
    world.refuses_login(|script| script.id_token.signer = Signer::Garbled).await;
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_invalid_sig_hs256() {
    let world = registered("HS256").await;
    world.refuses_login(|script| script.id_token.signer = Signer::Garbled).await;
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_userinfo_invalid_sub() {
    let world = World::start().await;
    world.refuses_login(|script| script.user_info_claims.claims = vec![Edit::set("sub", Agent::eloise().sub())]).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_userinfo_signed() {
    let world = registered("ES256").await;
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_userinfo_bearer_header() {
    let world = World::start().await;
    world.accepts_login().await;
    let call = world.provider.last(Endpoint::UserInfo);
    assert!(call.head.value("authorization").is_some_and(|value| value.starts_with("Bearer ")));
    assert!(call.parameters.is_empty(), "the access token is never in the query");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_nonce_invalid() {
    let world = World::start().await;
    world.refuses_login(|script| script.id_token.claims = vec![Edit::set("nonce", "another-nonce")]).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_scope_userinfo_claims() {
    let mut plan = Plan::new().await;
    for scope in ["phone", "organizational_unit", "belonging_population", "roles", "custom", "chorusdt"] {
        plan.site.ask_for(scope);
    }
    let world = plan.start().await;
    let agent = Agent::eloise()
        .with("phone_number", "+33 1 23 45 67 89")
        .with("organizational_unit", "Ministère / Direction, Bureau")
        .with("belonging_population", "prestataire")
        .with("roles", json!(["agent_public", "a,b"]))
        .with("custom", json!({ "email_verified": true, "é": [1] }))
        .with("chorusdt:matricule", "USI13");
    world.logged_in(&agent).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_client_secret_basic() {
    let mut plan = Plan::new().await;
    plan.site.set("provider", "token_endpoint_auth_method", r#""client_secret_basic""#);
    plan.provider.state().client.token_endpoint_auth_method = "client_secret_basic";
    let world = plan.start().await;
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_3rd_party_init_login() {
    // `initiate_login_uri` is not offered: such a request is an ordinary login at our one provider, or refused.
    let world = World::start().await;
    let url = "https://paie.test/.portillon/login?iss=https%3A%2F%2Fevil.test&target_link_uri=https%3A%2F%2Fevil.test";
    let location = world.browser().step(url).await.location();
    assert!(location.starts_with(&world.provider.issuer()) && !location.contains("evil"), "{location}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fapi2_client_test_invalid_secondary_aud() {
    let world = World::start().await;
    let aud = json!([crate::harness::site::CLIENT_ID, "another-client"]);
    world.refuses_login(|script| script.id_token.claims = vec![Edit::set("aud", aud)]).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fapi2_client_test_invalid_expired_exp() {
    let world = World::start().await;
    let exp = world.clock.now().as_secs() - 3600;
    world.refuses_login(|script| script.id_token.claims = vec![Edit::set("exp", exp)]).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fapi2_client_test_invalid_missing_exp() {
    let world = World::start().await;
    world.refuses_login(|script| script.id_token.claims = vec![Edit::Remove("exp")]).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fapi2_client_test_invalid_missing_nonce() {
    let world = World::start().await;
    world.refuses_login(|script| script.id_token.claims = vec![Edit::Remove("nonce")]).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fapi2_client_test_invalid_missing_iss() {
    let world = World::start().await;
    world.refuses_login(|script| script.id_token.claims = vec![Edit::Remove("iss")]).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fapi2_client_test_invalid_alternate_alg() {
    let world = World::start().await;
    world.refuses_login(|script| script.id_token.signer = Signer::Other("ES256")).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fapi2_client_test_state_invalid_and_missing() {
    let world = World::start().await;
    for edit in [Edit::set("state", "another-state-of-at-least-thirty-two-bytes"), Edit::Remove("state")] {
        world.provider.misbehave(|script| script.authorization_response = vec![edit]);
        let mut browser = world.browser();
        let page = browser.open(HOME).await;
        assert!((400..500).contains(&page.status()) && page.logins() <= 3, "{} {:?}", page.status(), page.hops);
        assert_eq!(world.provider.count(Endpoint::Token), 0);
        world.provider.behave();
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fapi2_client_test_ensure_token_endpoint_errors_are_final() {
    let world = World::start().await;
    let error = r#"{"error":"invalid_grant"}"#;
    world.refuses_login(|script| script.token = Reply::status("400 Bad Request", "application/json", error)).await;
    assert_eq!(world.provider.count(Endpoint::Token), 1);
    world.finish().await;
}
