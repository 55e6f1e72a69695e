//! The userinfo endpoint (threats.md B-UI and B-CL; OpenID Connect Core 1.0 section 5.3; agentconnect.md section 4).

use serde_json::{Value, json};

use crate::harness::{Agent, Edit, Endpoint, HOME, Plan, Reply, Signer, World, rsa_key};
use crate::token::registered;

/// A world whose client is registered for plain JSON.
async fn registered_json() -> World {
    let mut plan = Plan::new().await;
    plan.site.set("provider", "userinfo_signed_response_alg", "\"none\"");
    plan.provider.state().client.userinfo_signed_response_alg = None;
    plan.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_registration_of_agentconnect_works() {
    // B-UI-3: the three clients of the federation's own seed, FSA1 to FSA3.
    for alg in ["RS256", "ES256", "HS256"] {
        let world = registered(alg).await;
        world.logged_in(&Agent::eloise()).await;
        world.finish().await;
    }
    let world = registered_json().await;
    world.logged_in(&Agent::eloise()).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn userinfo_of_another_subject_is_refused() {
    // B-UI-1
    for world in [World::start().await, registered_json().await] {
        for edit in [
            Edit::set("sub", Agent::eloise().sub()),
            Edit::set("sub", Agent::angela().sub().to_uppercase()),
            Edit::Remove("sub"),
            Edit::set("sub", Value::Null),
        ] {
            world.refuses_login(|script| script.user_info_claims.claims = vec![edit]).await;
        }
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_json_is_refused_where_a_signature_is_registered() {
    // B-UI-2
    let world = World::start().await;
    let claims = Value::Object(Agent::angela().user_info(&["openid", "given_name", "usual_name", "email", "uid"]));
    world.refuses_login(|script| script.user_info = Reply::json(&claims.to_string())).await;
    let mislabelled = Reply::status("200 OK", "application/jwt", &claims.to_string());
    world.refuses_login(|script| script.user_info = mislabelled).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_refused_where_plain_json_is_registered() {
    let world = registered_json().await;
    world.provider.state().client.userinfo_signed_response_alg = Some("RS256");
    let page = world.browser().open(HOME).await;
    assert!(matches!(page.status(), 400..=403 | 500..=503), "{}", page.status());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_userinfo_token_is_verified_like_any_other() {
    // B-UI-2
    let world = World::start().await;
    let now = world.clock.now().as_secs();
    let claims = [
        Edit::set("iss", "https://evil.test"),
        Edit::Remove("iss"),
        Edit::set("aud", "another-client"),
        Edit::Remove("aud"),
        Edit::set("aud", json!([])),
        Edit::set("exp", now - 120),
        Edit::set("exp", "soon"),
    ];
    for edit in claims {
        println!("{edit:?}");
        world.refuses_login(|script| script.user_info_claims.claims = vec![edit]).await;
    }
    for signer in [
        Signer::Garbled,
        Signer::Literal(Vec::new()),
        Signer::Other("ES256"),
        Signer::Other("HS256"),
        Signer::Key(rsa_key(2)),
    ] {
        world.refuses_login(|script| script.user_info_claims.signer = signer).await;
    }
    for alg in [json!("none"), json!("HS256"), json!("ES256"), json!("RS512"), Value::Null] {
        world.refuses_login(|script| script.user_info_claims.header = vec![Edit::set("alg", alg)]).await;
    }
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_is_no_userinfo() {
    // B-UI-2: a token of the same provider for the same agent and client, made for another purpose.
    let world = World::start().await;
    world.accepts_login().await;
    let token = world.provider.last_id_token();
    world.refuses_login(|script| script.user_info_claims.raw = Some(token)).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_media_type_may_have_parameters() {
    // B-UI-4: the honest provider sends `application/jwt; charset=utf-8`; JSON may say so too.
    let world = registered_json().await;
    let scopes = ["openid", "given_name", "usual_name", "email", "uid", "siret", "idp_id"];
    let claims = Value::Object(Agent::angela().user_info(&scopes)).to_string();
    world.provider.misbehave(|script| {
        script.user_info = Reply::status("200 OK", "application/json; charset=utf-8", &claims);
    });
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_userinfo_endpoint_that_fails_fails_the_login() {
    // B-UI-6
    let world = World::start().await;
    for reply in [
        Reply::status("401 Unauthorized", "application/json", r#"{"error":"invalid_token"}"#),
        Reply::status("403 Forbidden", "application/json", "{}"),
        Reply::status("500 Internal Server Error", "text/html", "oops"),
        Reply::Hangup,
        Reply::Endless(b"HTTP/1.1 200 OK\r\nContent-Type: application/jwt\r\nConnection: close\r\n\r\n".to_vec()),
    ] {
        let before = world.provider.count(Endpoint::UserInfo);
        world.refuses_login(|script| script.user_info = reply).await;
        assert!(world.provider.count(Endpoint::UserInfo) <= before + 2);
    }
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_claim_that_is_missing_or_malformed_is_named_on_the_page() {
    let world = World::start().await;
    for claim in ["given_name", "usual_name", "email", "uid"] {
        for edit in [Edit::Remove(claim), Edit::set(claim, json!(["a"])), Edit::set(claim, 7), Edit::set(claim, "")] {
            let page = world.refuses_login(|script| script.user_info_claims.claims = vec![edit]).await;
            assert_eq!(page.status(), 403, "{claim}");
            assert!(page.said().contains(claim), "{claim}: {}", page.said());
        }
    }
    for email in ["a@b@c", "nobody", "@", "a b@c.test"] {
        let edit = Edit::set("email", email);
        let page = world.refuses_login(|script| script.user_info_claims.claims = vec![edit]).await;
        assert_eq!(page.status(), 403, "{email}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_optional_claim_that_is_malformed_is_absent() {
    // B-CL-1
    let world = World::start().await;
    let malformed = ["13002526500014", "1300252650001", "", "abc", "130025265000130"];
    for siret in malformed.map(Value::from).into_iter().chain([json!(13_002_526_500_013_u64), json!([]), json!({})]) {
        println!("{siret}");
        world.provider.misbehave(|script| script.user_info_claims.claims = vec![Edit::set("siret", siret)]);
        world.logged_in(&Agent::angela().without("siret")).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_siret_is_checked_and_la_poste_is_excepted() {
    let mut plan = Plan::new().await;
    plan.site.set("identity", "required", r#"["sub", "given_name", "usual_name", "email", "uid", "siret"]"#);
    let world = plan.start().await;
    for edit in [Edit::Remove("siret"), Edit::set("siret", "13002526500014")] {
        let page = world.refuses_login(|script| script.user_info_claims.claims = vec![edit]).await;
        assert_eq!(page.status(), 403);
        assert!(page.said().contains("siret") || page.said().contains("SIRET"), "{}", page.said());
    }
    world.logged_in(&Agent::angela().with("siret", "35600000049837")).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_were_not_asked_for_do_not_become_security_relevant_ones() {
    // A provider's token members are no claims of the agent.
    let world = World::start().await;
    world.logged_in(&Agent::angela()).await;
    let request = world.upstream.last();
    for name in ["X-Agent-Iss", "X-Agent-Aud", "X-Agent-Exp", "X-Agent-Iat", "X-Agent-Nonce", "X-Agent-At-Hash"] {
        assert!(!request.head.has(name), "{name}");
    }
    world.finish().await;
}
