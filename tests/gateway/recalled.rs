//! `portillon explain --request-id`: an operator asks a gateway at work why it decided as it did.

use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::{Agent, HOME, World};
use crate::live_sessions::{configuration, plan, said};

async fn explain(world: &World, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portillon"));
    command.arg("explain").args(words).arg("--config").arg(configuration(world));
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_remembers_why_it_refused_an_agent() {
    let mut plan = plan().await;
    plan.site.route("paie").block("allow", "siret = [\"11004601800013\"]\nreason = \"Réservé au ministère.\"");
    let world = plan.start().await;
    world.provider.log_in(&Agent::angela().with("siret", "13002526500013"));
    let mut browser = world.browser();
    let refused = browser.open(&format!("{HOME}bulletins?mois=10")).await;
    assert_eq!(refused.status(), 403);
    let page = refused.said();
    let after = page.split("Référence à indiquer\u{a0}: <code>").nth(1).unwrap_or_else(|| panic!("{page}"));
    let id = after.split('<').next().unwrap().to_owned();

    let told = explain(&world, &["--request-id", &id]).await;
    let text = said(&told);
    assert_eq!(told.status.code(), Some(1), "{text}");
    for expected in
        ["decided: refuse (refused), status 403, route paie", "13002526500013", "operator.toml:", "/bulletins"]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains("mois"), "no query is kept: {text}");

    let json = explain(&world, &["--json", "--request-id", &id]).await;
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["decided"]["decision"], &json["decided"]["status"]), (&"refuse".into(), &403.into()));
    assert_eq!(json["allowed"], false);

    let unknown = explain(&world, &["--request-id", "none"]).await;
    assert!(unknown.status.code() == Some(2) && said(&unknown).contains("does not remember"), "{}", said(&unknown));
    world.finish().await;
}
