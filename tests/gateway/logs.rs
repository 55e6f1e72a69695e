//! What is logged, and what must never be (threats.md A12-2; ASVS 16.2.5).

use crate::harness::logs::Watch;
use crate::harness::{Agent, Edit, HOME, PAIE, Reply, Request, Signer, Who, World};

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_even_at_trace() {
    let watch = Watch::start();
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::eloise()).await;
    world.log_out(&mut browser).await;
    world.refuses_login(|script| script.id_token.signer = Signer::Garbled).await;
    world.refuses_login(|script| script.id_token.claims = vec![Edit::set("nonce", "x")]).await;
    world
        .refuses_login(|script| script.token = Reply::json("{\"access_token\":\"the-token-of-a-broken-answer\"}"))
        .await;
    world.refuses_login(|script| script.user_info_claims.claims = vec![Edit::set("email", "malformed-secret")]).await;
    let session = world.logged_in(&Agent::angela()).await.jar.session(PAIE)[0].value.clone();
    let mut secrets = world.provider.secrets();
    secrets.extend([session, "the-token-of-a-broken-answer".to_owned(), "malformed-secret".to_owned()]);
    let text = watch.text();
    assert!(text.contains("portillon"), "something is logged");
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        let line = text.lines().find(|line| line.contains(secret.as_str()));
        assert!(line.is_none(), "{secret} is logged: {line:?}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_leaves_one_access_line_without_its_query() {
    let watch = Watch::start();
    let world = World::start().await;
    let token = portillon::crypto::random_token::<9>();
    world.expects(Who::Public, &format!("GET /public/{token}?secret-in-the-query"));
    world.send(&Request::get(PAIE, &format!("/public/{token}?secret-in-the-query"))).await;
    world.send(&Request::get(PAIE, &format!("/private/{token}")).with("Accept", "*/*")).await;
    world.send(&Request::get("evil.test", &format!("/elsewhere/{token}"))).await;
    world.send(&Request::get(PAIE, &format!("/a//{token}"))).await;
    let lines = || -> Vec<String> {
        let text = watch.text();
        text.lines().filter(|line| line.contains("access") && line.contains(&token)).map(str::to_owned).collect()
    };
    crate::harness::client::eventually(|| lines().len() >= 4).await;
    let lines = lines();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains("secret-in-the-query")), "{lines:#?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_value_cannot_forge_a_line() {
    let watch = Watch::start();
    let world = World::start().await;
    let token = portillon::crypto::random_token::<9>();
    let agent = Agent::angela().with("usual_name", format!("a\n{token}-forged\u{2028}\u{1b}[31m"));
    world.provider.log_in(&agent);
    world.upstream.tolerates(&agent, "GET /");
    world.browser().open(HOME).await;
    let callback = format!("https://paie.test/.portillon/callback?error=a%0a{token}-forged&error_description=%1b[31m");
    world.browser().step(&callback).await;
    let text = watch.text();
    assert!(!text.lines().any(|line| line.starts_with(&token)), "a line of the client's own");
    assert!(!text.contains('\u{1b}'), "an escape sequence");
    world.finish().await;
}
