//! A hostile token endpoint and hostile ID tokens (threats.md B-TOK and B-ID; OpenID Connect Core 1.0 section 3.1.3).
//!
//! Every fault stands alone: the rest of the login is as AgentConnect does it.

use std::sync::Arc;

use portillon::crypto::base64url;
use portillon::crypto::signing::SigningKey;
use serde_json::{Value, json};

use crate::harness::client::eventually;
use crate::harness::site::{CLIENT_ID, CLIENT_SECRET};
use crate::harness::{Agent, Edit, Endpoint, HOME, Plan, Reply, Signer, World, ec_key, rsa_key};

/// Each of these changes to the claims of an ID token is refused.
async fn refuses_claims(cases: Vec<(&str, Vec<Edit>)>) {
    let world = World::start().await;
    for (what, edits) in cases {
        println!("{what}");
        world.refuses_login(|script| script.id_token.claims = edits).await;
    }
    assert_eq!(world.provider.count(Endpoint::UserInfo), 0, "userinfo is not asked with a token that is not trusted");
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_response_that_is_none_is_refused() {
    // B-TOK-1
    let world = World::start().await;
    for reply in [
        Reply::status("200 OK", "text/html", "<html>login</html>"),
        Reply::status("204 No Content", "application/json", ""),
        Reply::json(""),
        Reply::json("{"),
        Reply::json("[]"),
        Reply::json("null"),
        Reply::json("{\"access_token\":\"a\",\"token_type\":\"Bearer\"}"),
        Reply::json("\u{feff}{}"),
        Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}".to_vec()),
        Reply::Raw(b"not HTTP at all\r\n\r\n".to_vec()),
        Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{".to_vec()),
        Reply::Hangup,
    ] {
        println!("{reply:?}");
        world.refuses_login(|script| script.token = reply).await;
    }
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_response_with_wrong_members_is_refused() {
    // B-TOK-2
    let world = World::start().await;
    for edit in [
        Edit::Remove("id_token"),
        Edit::set("id_token", Value::Null),
        Edit::set("id_token", 7),
        Edit::set("id_token", ""),
        Edit::set("id_token", "a.b.c"),
        Edit::set("id_token", "a.b"),
        Edit::set("id_token", "....."),
        Edit::Remove("access_token"),
        Edit::set("access_token", Value::Null),
        Edit::Remove("token_type"),
        Edit::set("token_type", "mac"),
    ] {
        println!("{edit:?}");
        world.refuses_login(|script| script.token_response = vec![edit]).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_type_is_case_insensitive_and_expires_in_optional() {
    let world = World::start().await;
    for edit in [Edit::set("token_type", "bEaReR"), Edit::Remove("expires_in"), Edit::Remove("refresh_token")] {
        world.provider.misbehave(|script| script.token_response = vec![edit]);
        world.accepts_login().await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_of_the_back_channel_is_not_followed() {
    // B-TOK-3
    let world = World::start().await;
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        for target in [world.upstream.origin(), format!("{}/elsewhere", world.provider.issuer())] {
            world.refuses_login(|script| script.token = Reply::redirect(status, &target)).await;
            world.refuses_login(|script| script.user_info = Reply::redirect(status, &target)).await;
        }
    }
    assert_eq!(world.provider.count(Endpoint::Other), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_response_without_end_is_cut_off() {
    // B-TOK-4
    let world = World::start().await;
    let head = |framing: &str| format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{framing}\r\n\r\n");
    let endless = [
        head("Connection: close").into_bytes(),
        head("Content-Length: 1073741824").into_bytes(),
        (head("Transfer-Encoding: chunked") + "40000000\r\n").into_bytes(),
    ];
    for bytes in endless {
        world.refuses_login(|script| script.token = Reply::Endless(bytes)).await;
    }
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_that_is_silent_or_slow_is_given_up() {
    // B-TOK-4: 20 s is the most that any agent waits.
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{".to_vec();
    let (silent, slow) = (World::start().await, World::start().await);
    tokio::join!(
        silent.refuses_login(|script| script.token = Reply::Never),
        slow.refuses_login(|script| script.token = Reply::Drip(head)),
    );
    silent.finish().await;
    slow.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_token_endpoint_is_a_page_and_the_code_is_not_tried_again() {
    // B-TOK-7
    let world = World::start().await;
    for (status, body) in [
        ("400 Bad Request", r#"{"error":"invalid_grant","error_description":"grant request is invalid"}"#),
        ("401 Unauthorized", r#"{"error":"invalid_client","error_description":"client authentication failed"}"#),
        ("429 Too Many Requests", "{}"),
        ("500 Internal Server Error", "oops"),
        ("503 Service Unavailable", "<html>maintenance</html>"),
    ] {
        let before = world.provider.count(Endpoint::Token);
        let page = world.refuses_login(|script| script.token = Reply::status(status, "application/json", body)).await;
        assert_eq!(world.provider.count(Endpoint::Token), before + 1, "{status}");
        assert!(!page.said().contains("invalid_") && !page.said().contains("oops"), "{}", page.said());
    }
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_logins_at_a_silent_provider_leave_the_application_alone() {
    // B-OP-1
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.provider.misbehave(|script| script.token = Reply::Never);
    let mut waiting = Vec::new();
    for _ in 0..50 {
        let mut stuck = world.browser();
        let callback = stuck.up_to_callback(HOME).await;
        waiting.push(tokio::spawn(async move { stuck.step(callback.as_str()).await }));
    }
    eventually(|| world.provider.count(Endpoint::Token) > 10).await;
    world.expects(&Agent::angela(), "GET /x");
    assert_eq!(browser.open("https://paie.test/x").await.status(), 200);
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_id_token_is_refused() {
    // B-ID-1
    let world = World::start().await;
    for alg in [json!("none"), json!("None"), json!("nOnE"), json!(""), Value::Null, json!(["RS256"])] {
        for signer in [Signer::Literal(Vec::new()), Signer::Registered] {
            let edit = Edit::set("alg", alg.clone());
            world
                .refuses_login(|script| {
                    script.id_token.header = vec![edit];
                    script.id_token.signer = signer;
                })
                .await;
        }
    }
    world.refuses_login(|script| script.id_token.header = vec![Edit::Remove("alg")]).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hmac_with_a_public_key_is_no_signature() {
    // B-ID-2: the key confusion of JWT libraries.
    let world = World::start().await;
    let key = rsa_key(0);
    let secrets = [key.to_public_pem().unwrap(), key.to_jwk().unwrap().to_string(), String::new()];
    for secret in secrets {
        let forged = Arc::new(SigningKey::hmac_sha256(key.kid(), secret.as_bytes()));
        world.refuses_login(|script| script.id_token.signer = Signer::Key(forged)).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_algorithm_than_the_registered_one_is_refused() {
    // B-ID-3: even with the right key of that algorithm.
    let world = World::start().await;
    for alg in ["HS256", "ES256"] {
        world.refuses_login(|script| script.id_token.signer = Signer::Other(alg)).await;
    }
    for alg in ["RS384", "RS512", "PS256", "HS256", "ES256", "EdDSA", "rs256"] {
        world.refuses_login(|script| script.id_token.header = vec![Edit::set("alg", alg)]).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_does_not_verify_is_refused() {
    // B-ID-4
    for alg in ["RS256", "ES256", "HS256"] {
        let world = registered(alg).await;
        let signers = [
            Signer::Garbled,
            Signer::Literal(Vec::new()),
            Signer::Literal(vec![0; 64]),
            Signer::Literal(vec![0x30, 6, 2, 1, 1, 2, 1, 1]),
            Signer::Literal(vec![0xff; 256]),
        ];
        for signer in signers {
            world.refuses_login(|script| script.id_token.signer = signer).await;
        }
        world.accepts_login().await;
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_comes_with_the_token_is_not_believed() {
    // B-ID-5
    let world = World::start().await;
    let attacker = rsa_key(2);
    let url = format!("{}/evil-jwks", world.provider.issuer());
    let headers = [
        vec![Edit::set("jwk", attacker.to_jwk().unwrap())],
        vec![Edit::set("jku", url.clone())],
        vec![Edit::set("x5u", url)],
        vec![Edit::set("x5c", json!([base64url(b"certificate")]))],
        vec![Edit::set("kid", rsa_key(0).kid())],
        vec![Edit::set("crit", json!(["exp"]))],
        vec![Edit::set("kid", "../../../../dev/null")],
    ];
    for header in headers {
        let attacker = Arc::clone(&attacker);
        world
            .refuses_login(|script| {
                script.id_token.header = header;
                script.id_token.signer = Signer::Key(attacker);
            })
            .await;
    }
    assert_eq!(world.provider.count(Endpoint::Other), 0, "nothing is fetched because a token says so");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_critical_headers_that_nobody_knows_is_refused() {
    // RFC 7515 section 4.1.11
    let world = World::start().await;
    let header = vec![Edit::set("crit", json!(["urn:test"])), Edit::set("urn:test", true)];
    world.refuses_login(|script| script.id_token.header = header).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issuer_of_an_id_token_is_compared_exactly() {
    // B-ID-9
    let world = World::start().await;
    let issuer = world.provider.issuer();
    let others = [
        json!(format!("{issuer}/")),
        json!(issuer.replace("http:", "https:")),
        json!(issuer.replace("127.0.0.1", "localhost")),
        json!([issuer]),
        json!(""),
        Value::Null,
    ];
    for other in others {
        world.refuses_login(|script| script.id_token.claims = vec![Edit::set("iss", other)]).await;
    }
    world.refuses_login(|script| script.id_token.claims = vec![Edit::Remove("iss")]).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_for_somebody_else_is_refused() {
    // B-ID-10, B-ID-18
    refuses_claims(vec![
        ("no aud", vec![Edit::Remove("aud")]),
        ("another client", vec![Edit::set("aud", "another-client")]),
        ("nobody", vec![Edit::set("aud", json!([]))]),
        ("a prefix", vec![Edit::set("aud", &CLIENT_ID[..32])]),
        ("another case", vec![Edit::set("aud", CLIENT_ID.to_uppercase())]),
        ("a second audience", vec![Edit::set("aud", json!([CLIENT_ID, "another-client"]))]),
        (
            "a second audience and our azp",
            vec![Edit::set("aud", json!([CLIENT_ID, "another-client"])), Edit::set("azp", CLIENT_ID)],
        ),
        ("another azp", vec![Edit::set("azp", "another-client")]),
        ("an azp that is no string", vec![Edit::set("azp", json!([CLIENT_ID]))]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audience_may_be_a_list_of_one() {
    let world = World::start().await;
    world.provider.misbehave(|script| script.id_token.claims = vec![Edit::set("aud", json!([CLIENT_ID]))]);
    world.accepts_login().await;
    world.provider.misbehave(|script| script.id_token.claims = vec![Edit::set("azp", CLIENT_ID)]);
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_of_another_time_is_refused() {
    // B-ID-11, B-ID-12
    let now = Plan::new().await.clock.now().as_secs();
    refuses_claims(vec![
        ("no exp", vec![Edit::Remove("exp")]),
        ("expired", vec![Edit::set("exp", now - 120)]),
        ("exp that overflows", vec![Edit::set("exp", 1e300)]),
        ("negative exp", vec![Edit::set("exp", -1)]),
        ("exp as text", vec![Edit::set("exp", (now + 60).to_string())]),
        ("exp null", vec![Edit::set("exp", Value::Null)]),
        ("no iat", vec![Edit::Remove("iat")]),
        ("iat in ten minutes", vec![Edit::set("iat", now + 600)]),
        ("iat of yesterday", vec![Edit::set("iat", now - 86_400)]),
        ("iat as text", vec![Edit::set("iat", now.to_string())]),
        ("nbf in ten minutes", vec![Edit::set("nbf", now + 600)]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_differs_by_half_a_minute_is_no_obstacle() {
    let world = World::start().await;
    let now = world.clock.now().as_secs();
    for edit in [Edit::set("exp", now - 20), Edit::set("iat", now + 30)] {
        world.provider.misbehave(|script| script.id_token.claims = vec![edit]);
        world.accepts_login().await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_without_our_nonce_is_refused() {
    // B-ID-13
    let world = World::start().await;
    let nonce = |world: &World| world.provider.last(Endpoint::Authorization).parameter("nonce").unwrap().to_owned();
    world.accepts_login().await;
    let previous = nonce(&world);
    for edit in [
        Edit::Remove("nonce"),
        Edit::set("nonce", "another"),
        Edit::set("nonce", ""),
        Edit::set("nonce", Value::Null),
        Edit::set("nonce", previous.clone()),
        Edit::set("nonce", json!([previous])),
    ] {
        world.refuses_login(|script| script.id_token.claims = vec![edit]).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_of_an_earlier_login_is_refused() {
    // B-ID-19
    let world = World::start().await;
    world.accepts_login().await;
    let previous = world.provider.last_id_token();
    world.refuses_login(|script| script.id_token.raw = Some(previous)).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_without_a_proper_subject_is_refused() {
    // B-ID-14: userinfo says the same, so that only the rule itself can refuse.
    let world = World::start().await;
    let subjects = [json!(""), json!("x".repeat(256)), json!("é"), json!(7), json!(["s"]), json!({}), Value::Null];
    for sub in subjects {
        println!("{sub}");
        world
            .refuses_login(|script| {
                script.id_token.claims = vec![Edit::set("sub", sub.clone())];
                script.user_info_claims.claims = vec![Edit::set("sub", sub)];
            })
            .await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_at_hash_that_is_wrong_is_refused_and_an_absent_one_is_not() {
    // B-ID-15
    let world = World::start().await;
    for wrong in [json!("77QmUPtjPfzWtF2AnpK9RQ"), json!(""), json!(7)] {
        world.refuses_login(|script| script.id_token.claims = vec![Edit::set("at_hash", wrong)]).await;
    }
    world.provider.misbehave(|script| script.id_token.claims = vec![Edit::Remove("at_hash")]);
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_no_jwt_is_refused() {
    let world = World::start().await;
    world.accepts_login().await;
    let token = world.provider.last_id_token();
    let (header, rest) = token.split_once('.').unwrap();
    for raw in [
        String::new(),
        "a.b.c".to_owned(),
        header.to_owned(),
        format!("{token}."),
        format!("{token}.x.y"),
        format!("{header}=.{rest}"),
        format!(" {token}"),
        "x".repeat(200_000),
        format!("{}.{}.", base64url(br#"{"alg":"none"}"#), base64url(b"{}")),
        format!("{}.{}.{}", base64url(b"[]"), base64url(b"[]"), base64url(b"x")),
    ] {
        world.refuses_login(|script| script.id_token.raw = Some(raw)).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_secret_goes_to_the_token_endpoint_alone() {
    // B-UI-7, A5-11
    let world = World::start().await;
    world.accepts_login().await;
    let secret_calls = |endpoint| {
        let calls = world.provider.calls(endpoint);
        calls.iter().filter(|call| format!("{call:?}").contains(CLIENT_SECRET)).count()
    };
    assert_eq!(secret_calls(Endpoint::Token), 1);
    for endpoint in [Endpoint::Authorization, Endpoint::Discovery, Endpoint::Jwks, Endpoint::UserInfo] {
        assert_eq!(secret_calls(endpoint), 0, "{endpoint:?}");
    }
    let call = world.provider.last(Endpoint::UserInfo);
    assert!(call.parameters.is_empty(), "the access token travels in the header only: {:?}", call.parameters);
    world.finish().await;
}

/// A world whose client is registered with `alg` for both tokens.
pub async fn registered(alg: &'static str) -> World {
    let mut plan = Plan::new().await;
    for key in ["id_token_signed_response_alg", "userinfo_signed_response_alg"] {
        plan.site.set("provider", key, &format!("{alg:?}"));
    }
    {
        let mut state = plan.provider.state();
        state.client.id_token_signed_response_alg = alg;
        state.client.userinfo_signed_response_alg = Some(alg);
    }
    plan.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_p256_key_of_nobody_is_refused() {
    let world = registered("ES256").await;
    world.refuses_login(|script| script.id_token.signer = Signer::Key(ec_key())).await;
    world.finish().await;
}
