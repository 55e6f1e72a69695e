//! What `portillon explain` says and what the running gateway does are the same, over generated configurations, agents
//! and requests.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use http::Method;
use portillon::config::{self, Purpose};
use portillon::explain::{self, Explainer, Outcome, Question};
use portillon::oidc::Levels;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config as Settings, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};

use crate::harness::site::Site;
use crate::harness::{Agent, PAIE, Plan, Request, Route, Who, World};

const CONFIGURATIONS: usize = 20;
const AGENTS: usize = 3;
const REQUESTS: usize = 8;

/// One for each kind of condition, none of the same key twice; some of which agents have, some they have not.
const CONDITIONS: [&[&str]; 14] = [
    &["siret = \"13002526500013\"", "siret = [\"11004601800013\", \"73282932000074\"]"],
    &["siren = \"130025265\""],
    &["idp_id = \"fia1v2\""],
    &["roles = \"agent_public\""],
    &["belonging_population = [\"agent\", \"prestataire\"]"],
    &["email_domain = \".test\"", "email_domain = \"ministere.test\""],
    &["mfa = true"],
    &["amr = \"pwd\""],
    &["custom = { grade = \"A\" }", "custom.externe = true"],
    &["organizational_unit = \"MEF/*\"", "organizational_unit = [\"*/SSI\", \"MEF\"]"],
    &["client_address = \"10.0.0.0/8\""],
    &["method = [\"GET\", \"DELETE\"]"],
    &["path = \"/a\"", "path = [\"/a/b\", \"/c/\"]"],
    &["time = { days = \"mon-fri\", hours = \"08:00-18:00\" }", "time = { hours = \"00:00-08:00\" }"],
];

const PATHS: [&str; 15] = [
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/a/b/c",
    "/c",
    "/c/d",
    "/ab",
    "/A",
    "/a;x",
    "/a//b",
    "/%61/b",
    "/public/x",
    "/a%2fb",
    "/a/../c",
];

fn condition() -> impl Strategy<Value = String> {
    select(CONDITIONS.concat()).prop_map(str::to_owned)
}

/// The lines of a block: some conditions, and perhaps one that must not hold.
fn block() -> impl Strategy<Value = String> {
    let some = subsequence(CONDITIONS.to_vec(), 0..3);
    let lines = some.prop_flat_map(|kinds| kinds.into_iter().map(|kind| select(kind.to_vec())).collect::<Vec<_>>());
    (lines, proptest::option::of(condition()), condition()).prop_map(|(lines, not, otherwise)| {
        let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
        lines.extend(not.map(|condition| format!("not = {{ {condition} }}")));
        if lines.is_empty() { otherwise } else { lines.join("\n") }
    })
}

fn blocks() -> impl Strategy<Value = (Vec<String>, Vec<String>)> {
    // A level that is all that keeps somebody out would hardly ever be drawn.
    let level = select(vec!["mfa = true".to_owned(), "amr = \"otp\"\nmfa = true".to_owned()]);
    let allow = prop_oneof![2 => block(), 1 => level];
    (proptest::collection::vec(block(), 0..2), proptest::collection::vec(allow, 0..3))
}

fn agent() -> impl Strategy<Value = Agent> {
    let claim = |name: &'static str, values: Vec<Value>| {
        proptest::option::of(select(values)).prop_map(move |value| (name, value))
    };
    let claims = (
        claim("siret", vec![json!("13002526500013"), json!("73282932000074"), json!("13002526500014")]),
        claim("idp_id", vec![json!("fia1v2"), json!("fia2")]),
        claim("roles", vec![json!(["agent_public", "x"]), json!([]), json!("agent_public")]),
        claim("belonging_population", vec![json!("agent"), json!("stagiaire"), json!("Agent")]),
        claim("acr", vec![json!("eidas1"), json!("eidas1-mfa"), json!("eidas2")]),
        claim("amr", vec![json!(["pwd"]), json!(["pwd", "otp"])]),
        claim(
            "custom",
            vec![json!({ "grade": "A" }), json!({ "externe": true }), json!({ "externe": "true" }), json!({})],
        ),
        claim("organizational_unit", vec![json!("MEF/DGFIP"), json!("MEF/DGFIP/SSI"), json!("MEF")]),
    );
    claims.prop_map(|(a, b, c, d, e, f, g, h)| {
        [a, b, c, d, e, f, g, h].into_iter().fold(Agent::angela(), |agent, (name, value)| match value {
            Some(value) => agent.with(name, value),
            None => agent.without(name),
        })
    })
}

fn request() -> impl Strategy<Value = (&'static str, &'static str, Option<Ipv4Addr>)> {
    let addresses = vec![Ipv4Addr::new(10, 1, 2, 3), Ipv4Addr::new(192, 0, 2, 1)];
    (select(vec!["GET", "POST", "DELETE"]), select(PATHS.to_vec()), proptest::option::of(select(addresses)))
}

fn site(plan: &Site, origin: &str, [whole, part]: [(Vec<String>, Vec<String>); 2], public: bool) -> Site {
    let mut site = plan.clone();
    let route = |name: &str, path: &str, (deny, allow): (Vec<String>, Vec<String>)| {
        let mut route = Route::new(name, PAIE, origin).at(path);
        for (kind, blocks) in [("deny", deny), ("allow", allow)] {
            for lines in blocks {
                route.block(kind, &lines);
            }
        }
        route
    };
    let mut first = route("paie", "/", whole);
    if public {
        first.public("/public/", &["GET"]);
    }
    let mut second = Route::new("part", PAIE, origin).at("/a/b");
    // Sets of rules come to the same: the second route has its blocks from one.
    if !part.0.is_empty() || !part.1.is_empty() {
        let list = |blocks: &[String]| {
            let tables: Vec<String> =
                blocks.iter().map(|lines| format!("{{ {} }}", lines.replace('\n', ", "))).collect();
            format!("[{}]", tables.join(", "))
        };
        site.forget("rules.part");
        site.set("rules.part", "deny", &list(&part.0)).set("rules.part", "allow", &list(&part.1));
        second.line("rules = \"part\"");
    }
    site.routes = vec![first, second];
    site
}

/// The claims that come of a login, as an administrator would describe them.
fn described(agent: &Agent, scope: &[String]) -> Map<String, Value> {
    let scope: Vec<&str> = scope.iter().map(String::as_str).collect();
    let mut claims = agent.user_info(&scope);
    for name in ["acr", "amr"] {
        claims.extend(agent.claim(name).map(|value| (name.to_owned(), value.clone())));
    }
    claims
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_and_the_running_gateway_agree() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[42; 32]);
    let mut runner = TestRunner::new_with_rng(Settings::default(), rng);
    let mut plan = Plan::new().await;
    for scope in ["roles", "belonging_population", "custom", "organizational_unit"] {
        plan.site.ask_for(scope);
    }
    plan.site.set("server", "trusted_proxies", "[\"127.0.0.1\"]");
    let (base, origin) = (plan.site.clone(), plan.upstream.origin());
    let mut world = plan.start().await;
    let mut seen = BTreeSet::new();
    for _ in 0..CONFIGURATIONS {
        let drawn = (blocks(), blocks(), any::<bool>()).new_tree(&mut runner).unwrap().current();
        let site = site(&base, &origin, [drawn.0, drawn.1], drawn.2);
        world.reload(&site).await.unwrap_or_else(|reasons| panic!("{reasons}"));
        for _ in 0..AGENTS {
            let agent = agent().new_tree(&mut runner).unwrap().current();
            agree(&world, &agent, &mut runner, &mut seen).await;
        }
    }
    for outcome in ["allow", "refuse", "step_up", "public", "ambiguous_path"] {
        assert!(seen.contains(outcome), "nothing ended with {outcome}: {seen:?}");
    }
    world.finish().await;
}

async fn agree(world: &World, agent: &Agent, runner: &mut TestRunner, seen: &mut BTreeSet<&'static str>) {
    let config = config::load(&world.folder.path().join("portillon.toml"), Purpose::Check).unwrap().config;
    let explainer = Explainer::new(&config);
    let claims = explain::Agent::new(&described(agent, &world.site.scope), &config, None);
    world.provider.log_in(agent);
    // What is malformed is dropped: no application sees it.
    let dropped = claims.iter().flat_map(|agent| &agent.dropped);
    let seen_agent = dropped.fold(agent.clone(), |agent, claim| agent.without(claim));
    world.upstream.tolerates(&seen_agent, "GET /");
    let mut browser = world.browser();
    browser.open(&format!("https://{PAIE}/.portillon/login?return_to=%2F")).await;
    for _ in 0..REQUESTS {
        let (method, path, client) = request().new_tree(runner).unwrap().current();
        let (url, http_method) = (format!("https://{PAIE}{path}").parse().unwrap(), method.parse::<Method>().unwrap());
        let question = Question {
            method: &http_method,
            url: &url,
            agent: claims.as_ref().ok().map(|agent| &agent.claims),
            client: Some(client.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4)),
            now: world.clock.now(),
        };
        let answer = explainer.answer(&question);
        seen.insert(answer.outcome.as_str());
        let line = format!("{method} {path}");
        let expected = match answer.outcome {
            Outcome::Allow => 200,
            Outcome::Public => 200,
            Outcome::Refuse | Outcome::StepUp => 403,
            Outcome::Login => 401,
            Outcome::AmbiguousPath => 400,
            other => panic!("{other:?} of {line}"),
        };
        match answer.outcome {
            Outcome::Allow => world.expects(&seen_agent, &line),
            Outcome::Public => world.expects(Who::Public, &line),
            _ => {}
        }
        let request = Request::new(method, PAIE, path).with("Accept", "*/*");
        let request =
            client.into_iter().fold(request, |request, client| request.with("X-Forwarded-For", client.to_string()));
        let response = world.send_as(&mut browser, request).await;
        let toml = std::fs::read_to_string(world.folder.path().join("portillon.toml")).unwrap();
        let explained = explain::text(&question, &answer, explain::Paint::default());
        assert_eq!(response.status, expected, "{agent:?}\n{explained}\n{toml}");
        let needs_level = response.text().contains("\"insufficient_user_authentication\"");
        assert_eq!(needs_level, answer.outcome == Outcome::StepUp, "{agent:?}\n{explained}\n{toml}");
        for level in answer.step_up.iter().flat_map(Levels::iter) {
            assert!(response.text().contains(level), "{level}\n{explained}\n{}", response.text());
        }
    }
}
