//! Several providers: each host has one, and nothing of one provider's counts for another (RFC 9700 section 4.4: mix-up).

use crate::harness::browser::parse;
use crate::harness::{Agent, Edit, Endpoint, HOME, PAIE, Plan, RIE, Reply, Request, World};

const AT_RIE: &str = "https://rie.test/";

/// A gateway with two providers, and the second of them.
async fn two() -> (World, crate::harness::Provider) {
    let mut plan = Plan::new().await;
    let rie = plan.another_provider().await;
    (plan.start().await, rie)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_of_a_host_log_in_and_out_at_its_own_provider() {
    let (world, rie) = two().await;
    rie.log_in(&Agent::eloise());
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.expects(&Agent::eloise(), "GET /");
    let page = browser.open(AT_RIE).await;
    assert_eq!((page.status(), page.url.as_str(), page.logins()), (200, AT_RIE, 1));
    assert_eq!((world.provider.count(Endpoint::Token), rie.count(Endpoint::Token)), (1, 1));
    let asked = rie.last(Endpoint::Authorization);
    assert_eq!(asked.parameter("redirect_uri"), Some("https://rie.test/.portillon/callback"));
    world.log_out_at(&mut browser, RIE).await;
    assert_eq!((world.provider.count(Endpoint::EndSession), rie.count(Endpoint::EndSession)), (0, 1));
    assert_eq!(rie.last(Endpoint::EndSession).parameter("id_token_hint"), Some(rie.last_id_token().as_str()));
    assert!(browser.has_session(PAIE), "the login at the other provider goes on");
    world.log_out(&mut browser).await;
    assert_eq!((world.provider.count(Endpoint::EndSession), rie.count(Endpoint::EndSession)), (1, 1));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_one_provider_never_opens_a_host_of_another() {
    let (mut world, rie) = two().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let stolen = browser.jar.session(PAIE)[0].clone();
    let there = Request::get(RIE, "/").navigation().with("Cookie", format!("{}={}", stolen.name, stolen.value));
    assert!(world.send(&there).await.location().starts_with(&rie.issuer()));
    // The very host of the session is given to another provider.
    let before = world.site.clone();
    let mut site = before.clone();
    site.route("paie").provider = Some("rie".to_owned());
    world.reload(&site).await.unwrap();
    assert_eq!(browser.fetch(HOME).await.status, 401);
    assert!(browser.step(HOME).await.location().starts_with(&rie.issuer()));
    world.reload(&before).await.unwrap();
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_does_not_survive_that_its_provider_becomes_another() {
    let (mut world, rie) = two().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let before = world.site.clone();
    let mut site = before.clone();
    site.issuer = rie.issuer();
    rie.state().client.redirect_uris.push("https://paie.test/.portillon/callback".to_owned());
    world.reload(&site).await.unwrap();
    assert_eq!(browser.fetch(HOME).await.status, 401, "integration is not production, whatever both are called");
    world.reload(&before).await.unwrap();
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_held_against_the_provider_that_was_asked() {
    let (mut world, rie) = two().await;
    // An honest provider's code, said to be of the other one.
    let issuer = rie.issuer();
    world.refuses_login(|script| script.authorization_response = vec![Edit::set("iss", issuer)]).await;
    assert_eq!((world.provider.count(Endpoint::Token), rie.count(Endpoint::Token)), (0, 0));
    // An answer to a login at one host, brought to the host of the other provider.
    let mut browser = world.browser();
    let mut callback = browser.up_to_callback(HOME).await;
    callback.set_host(Some(RIE)).unwrap();
    let response = browser.step(callback.as_str()).await;
    assert!(response.is_own() && response.status == 400, "{}", response.status);
    // A host changes its provider while an agent is away: the code of the one is not sent to the other.
    let callback = browser.up_to_callback(HOME).await;
    let before = world.site.clone();
    let mut site = before.clone();
    site.route("paie").provider = Some("rie".to_owned());
    world.reload(&site).await.unwrap();
    let response = browser.step(callback.as_str()).await;
    assert!(response.is_own() && response.status == 400, "{}", response.status);
    assert_eq!((world.provider.count(Endpoint::Token), rie.count(Endpoint::Token)), (0, 0));
    assert!(!browser.has_session(PAIE) && !browser.has_session(RIE));
    world.reload(&before).await.unwrap();
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_provider_that_is_away_keeps_nobody_from_the_other() {
    let mut plan = Plan::new().await;
    let rie = plan.another_provider().await;
    rie.misbehave(|script| script.discovery = Reply::Hangup);
    let world = plan.start().await;
    world.accepts_login().await;
    assert_eq!(world.browser().open(AT_RIE).await.status(), 503);
    let ready: serde_json::Value = serde_json::from_slice(&world.admin("/readyz").await.body).unwrap();
    let providers = ready.pointer("/detail/providers").or_else(|| ready.get("providers")).expect("the providers");
    assert_eq!((&providers["default"]["available"], &providers["rie"]["available"]), (&true.into(), &false.into()));
    let metrics = world.admin("/metrics").await.text();
    for line in [
        r#"portillon_provider_up{provider="default"} 1"#,
        r#"portillon_provider_up{provider="rie"} 0"#,
        r#"portillon_login_total{provider="default",result="succeeded",reason=""} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_leaves_the_providers_that_did_not_change_alone() {
    let (mut world, rie) = two().await;
    rie.log_in(&Agent::angela());
    world.accepts_login().await;
    world.expects(&Agent::angela(), "GET /");
    assert_eq!(world.browser().open(AT_RIE).await.status(), 200);
    let known = |world: &World| (world.provider.count(Endpoint::Discovery), rie.count(Endpoint::Discovery));
    let before = known(&world);
    let mut site = world.site.clone();
    site.set("providers.rie", "acr_values", "[]").set("provider", "acr_values", r#"["eidas1"]"#);
    world.reload(&site).await.unwrap();
    crate::harness::client::eventually(|| world.provider.count(Endpoint::Discovery) > before.0).await;
    assert_eq!(rie.count(Endpoint::Discovery), before.1, "it is still followed by the same task");
    // A provider that is gone is followed no more, and its metrics are gone.
    let mut site = site.clone();
    site.routes.retain(|route| route.name != "rie");
    site.forget("providers.rie");
    let with_rie = world.site.clone();
    world.reload(&site).await.unwrap();
    assert!(!world.admin("/metrics").await.text().contains(r#"portillon_provider_up{provider="rie"}"#));
    world.reload(&with_rie).await.unwrap();
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_provider_is_remembered_in_a_file_of_its_own() {
    let (mut world, rie) = two().await;
    world.accepts_login().await;
    world.expects(&Agent::angela(), "GET /");
    rie.log_in(&Agent::angela());
    assert_eq!(world.browser().open(AT_RIE).await.status(), 200);
    let files = std::fs::read_dir(world.folder.path().join("state")).unwrap();
    let names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    for name in ["provider-default-", "provider-rie-"] {
        assert_eq!(names.iter().filter(|file| file.starts_with(name)).count(), 1, "{name}: {names:?}");
    }
    rie.misbehave(|script| script.discovery = Reply::Hangup);
    world.restart().await;
    let response = world.browser().send(&parse(AT_RIE), Request::get(RIE, "/").navigation()).await;
    assert!(response.location().starts_with(&rie.issuer()), "known from the disk");
    world.finish().await;
}
