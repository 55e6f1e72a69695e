//! The audit trail: what happened, to whom, by which rule; and nothing that does not belong there.

use std::path::PathBuf;

use portillon::crypto::key_ring::KeyRing;
use serde_json::Value;

use crate::harness::agent::OTHER_SIRET;
use crate::harness::{Agent, Edit, HOME, Plan, World};

/// A world with a trail, whose first application is for one organisation.
async fn audited(agents: &str) -> World {
    let mut plan = Plan::new().await;
    let file = format!("\"file:{}\"", plan.folder.path().join("audit.jsonl").display());
    plan.site.set("audit", "to", &file).set("audit", "agents", agents);
    let siret = Agent::angela().text("siret").to_owned();
    plan.site.route("paie").block("allow", &format!("siret = [{siret:?}]"));
    plan.start().await
}

fn file(world: &World) -> PathBuf {
    world.folder.path().join("audit.jsonl")
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Event, outcome and reason of each line.
fn told(lines: &[Value]) -> Vec<String> {
    let word = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    lines.iter().map(|line| ["event", "outcome", "reason"].map(|key| word(line, key)).join(" ")).collect()
}

/// One of everything, then a stop, after which every line is on the disk.
async fn a_day(world: &mut World) -> String {
    let mut angela = world.logged_in(&Agent::angela()).await;
    world.log_out(&mut angela).await;
    world.provider.log_in(&Agent::eloise().with("siret", OTHER_SIRET));
    assert_eq!(world.browser().open(HOME).await.status(), 403);
    world.refuses_login(|script| script.authorization_response = vec![Edit::set("iss", "https://evil.test")]).await;
    let site = world.site.clone();
    world.reload(&site).await.unwrap();
    world.restart().await;
    std::fs::read_to_string(file(world)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_on_the_disk_when_the_gateway_has_stopped() {
    let mut world = audited("\"pseudonym\"").await;
    let text = a_day(&mut world).await;
    let lines = lines(&text);
    assert_eq!(
        told(&lines)[..8],
        [
            "start success started",
            "login success logged_in",
            "logout success logged_out",
            "login success logged_in",
            "refusal failure refused",
            "login failure iss_mismatch",
            "reload success reloaded",
            "stop success stopped",
        ]
    );
    let (login, logout, refusal) = (&lines[1], &lines[2], &lines[4]);
    assert_eq!((&login["agent"], &login["session"]), (&logout["agent"], &logout["session"]));
    assert_ne!(login["agent"], refusal["agent"]);
    let ring = KeyRing::load(&world.folder.path().join("keys")).unwrap();
    assert!(ring.pseudonyms("audit", Agent::angela().sub()).contains(&login["agent"].as_str().unwrap().to_owned()));
    assert_eq!((refusal["host"].as_str(), refusal["route"].as_str()), (Some("paie.test"), Some("paie")));
    assert!(refusal["rule"].as_str().unwrap().contains("portillon.toml:"), "{refusal}");
    assert_eq!(refusal["client"], "127.0.0.1");
    for line in &lines {
        assert!(line["schema"] == 1 && line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    }
    for agent in [Agent::angela(), Agent::eloise()] {
        for private in [agent.sub(), agent.text("email"), agent.text("usual_name")] {
            assert!(!text.contains(private), "{private} is in the trail");
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_go_by_their_names_where_that_is_wanted() {
    let mut world = audited("\"clear\"").await;
    let lines = lines(&a_day(&mut world).await);
    assert_eq!(lines[1]["agent"], Agent::angela().sub());
    assert_eq!(lines[1]["email"], Agent::angela().text("email"));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_writes_to_a_new_file_where_the_old_one_was_moved() {
    let mut world = audited("\"pseudonym\"").await;
    std::fs::rename(file(&world), world.folder.path().join("audit.jsonl.1")).unwrap();
    let site = world.site.clone();
    world.reload(&site).await.unwrap();
    world.restart().await;
    let text = std::fs::read_to_string(file(&world)).unwrap();
    assert_eq!(told(&lines(&text))[..2], ["reload success reloaded", "stop success stopped"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_that_cannot_be_written_starts_no_gateway() {
    let mut plan = Plan::new().await;
    plan.site.set("audit", "to", "\"file:/nowhere/audit.jsonl\"");
    let refused = crate::harness::gateway::Gateway::start(&plan.site, plan.folder.path(), &plan.clock).await.err();
    assert!(refused.is_some_and(|reason| reason.contains("/nowhere/audit.jsonl")));
}
