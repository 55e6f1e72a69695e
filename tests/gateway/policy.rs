//! `[[route.allow]]` and `[[route.deny]]`: who may enter, and what the others are told.

use serde_json::json;

use crate::harness::agent::OTHER_SIRET;
use crate::harness::browser::Form;
use crate::harness::{Agent, DOCS, HOME, PAIE, Plan, Who, World};

/// A world whose first application is for one organisation.
async fn reserved() -> World {
    let mut plan = Plan::new().await;
    let siret = Agent::angela().text("siret").to_owned();
    plan.site.ask_for("belonging_population").ask_for("roles");
    plan.site
        .route("paie")
        .block("deny", "belonging_population = [\"stagiaire\"]\nreason = \"Non ouvert aux stagiaires.\"")
        .block("allow", &format!("siret = [{siret:?}]\nreason = \"Réservé aux agents de la DINUM.\""))
        .block("allow", "roles = [\"agent_public_etat\"]\nreason = \"Ou aux agents de l’État.\"");
    plan.start().await
}

/// The agent is refused with a page that says why, and nothing else happens.
async fn refused(world: &World, agent: &Agent) -> String {
    world.provider.log_in(agent);
    let mut browser = world.browser();
    let page = browser.open(HOME).await;
    assert_eq!((page.status(), page.logins()), (403, 1), "{}", page.said());
    let again = browser.open("https://paie.test/autre").await;
    assert_eq!((again.status(), again.logins()), (403, 0), "who is refused is not sent around again");
    page.said()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_allow_block_admits_and_a_deny_block_wins() {
    let world = reserved().await;
    world.logged_in(&Agent::angela()).await;
    world.logged_in(&Agent::eloise().with("roles", json!(["agent_public", "agent_public_etat"]))).await;
    let text = refused(&world, &Agent::angela().with("belonging_population", "stagiaire")).await;
    assert!(text.contains("Non ouvert aux stagiaires."), "{text}");
    assert!(!text.contains("DINUM"), "only the rule that refused speaks: {text}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_why_and_who_the_agent_is() {
    let world = reserved().await;
    let agent = Agent::eloise().with("siret", OTHER_SIRET).with("roles", json!([]));
    let text = refused(&world, &agent).await;
    for shown in ["Réservé aux agents de la DINUM.", "Ou aux agents de l’État.", "eloise@prefecture.test", "Éloïse"]
    {
        assert!(text.contains(shown) || text.contains(&shown.replace('’', "&#x27;")), "{shown} in {text}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_changes_account_from_the_very_page() {
    let world = reserved().await;
    world.provider.log_in(&Agent::eloise());
    let mut browser = world.browser();
    let page = browser.open(HOME).await;
    assert_eq!(page.status(), 403);
    let form = Form::find(&page.response.text(), "/.portillon/logout").expect("a logout button");
    let out = browser.post(&format!("https://{PAIE}{}", form.action), &form.body()).await;
    assert_eq!(out.status(), 200, "{}", out.said());
    assert!(!browser.has_session(PAIE));
    world.log_in(&mut browser, &Agent::angela(), HOME).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_claim_satisfies_nothing() {
    // A7-2
    let world = reserved().await;
    refused(&world, &Agent::angela().without("siret")).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_of_a_refused_agent_learns_it_too() {
    let world = reserved().await;
    let agent = Agent::eloise();
    world.provider.log_in(&agent);
    let mut browser = world.browser();
    browser.open(HOME).await;
    let response = browser.fetch("https://paie.test/api").await;
    assert_eq!((response.status, response.header("content-type")), (403, Some("application/problem+json")));
    let problem: serde_json::Value = serde_json::from_str(&response.text()).unwrap();
    assert_eq!((&problem["code"], &problem["application"]), (&json!("refused"), &json!("paie")));
    assert_eq!(problem["reasons"], json!(["Réservé aux agents de la DINUM.", "Ou aux agents de l’État."]));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_at_one_application_says_nothing_of_another() {
    let world = reserved().await;
    let agent = Agent::eloise();
    refused(&world, &agent).await;
    world.log_in(&mut world.browser(), &agent, &format!("https://{DOCS}/")).await;
    world.expects(Who::Public, "GET /public/x");
    assert_eq!(world.send(&crate::harness::Request::get(PAIE, "/public/x")).await.status, 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_is_not_held_is_refused() {
    let mut plan = Plan::new().await;
    plan.site.route("paie").block("allow", "acr = [\"eidas1-mfa\", \"eidas2\"]\nreason = \"Double authentification.\"");
    let world = plan.start().await;
    world.logged_in(&Agent::angela().with("acr", "eidas2")).await;
    // Each navigation asks the provider once more (tests/gateway/step_up.rs), and never more than once.
    for agent in [Agent::angela().with("acr", "eidas1"), Agent::angela(), Agent::angela().with("acr", "eidas3")] {
        world.provider.log_in(&agent);
        let mut browser = world.browser();
        for logins in [2, 1] {
            let page = browser.open(HOME).await;
            assert_eq!((page.status(), page.logins()), (403, logins), "{}", page.said());
            assert!(page.said().contains("Double authentification."), "{}", page.said());
        }
        assert_eq!(browser.fetch(HOME).await.status, 403);
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_compared_byte_by_byte() {
    // A7-1, B-CL-2
    let mut plan = Plan::new().await;
    plan.site.route("paie").block("allow", "email = [\"angela.dubois@ministere.test\"]");
    let world = plan.start().await;
    world.logged_in(&Agent::angela()).await;
    for email in [
        "Angela.Dubois@ministere.test",
        "angela.dubois@ministere.test.evil.test",
        "angela.dubois@ministere.tes\u{442}",
        "angela.dubois@ministere\u{200b}.test",
    ] {
        let agent = Agent::angela().with("email", email);
        world.provider.log_in(&agent);
        let page = world.browser().open(HOME).await;
        assert_eq!(page.status(), 403, "{email}");
    }
    world.finish().await;
}
