//! Every kind of condition, on a gateway that runs: what a request itself tells, files of values, sets of rules.

use serde_json::json;

use crate::harness::{Agent, HOME, PAIE, Plan, Request, Route, World};

/// The agent logs in, sends `request` and gets `expected`: the application's own answer where that is 200.
#[track_caller]
fn gets<'w>(world: &'w World, agent: &'w Agent, request: Request, expected: u16) -> impl Future<Output = ()> + 'w {
    let place = std::panic::Location::caller();
    async move {
        world.provider.log_in(agent);
        let mut browser = world.browser();
        world.upstream.tolerates(agent, "GET /");
        browser.open(HOME).await;
        if expected == 200 {
            world.expects(agent, &request.line);
        }
        let response = world.send_as(&mut browser, request).await;
        assert_eq!(response.status, expected, "{place}: {}", response.said());
    }
}

fn ask(method: &str, path: &str) -> Request {
    Request::new(method, PAIE, path).with("Accept", "*/*")
}

async fn with_rules(rules: impl FnOnce(&mut Plan)) -> World {
    let mut plan = Plan::new().await;
    plan.site.ask_for("custom").ask_for("organizational_unit");
    rules(&mut plan);
    plan.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_and_a_path_make_a_part_read_only() {
    let world = with_rules(|plan| {
        plan.site.route("paie").block(
            "deny",
            "path = \"/archives\"\nnot = { method = [\"GET\", \"HEAD\"] }\nreason = \"En lecture seule.\"",
        );
    })
    .await;
    let angela = Agent::angela();
    gets(&world, &angela, ask("GET", "/archives/2026"), 200).await;
    gets(&world, &angela, ask("DELETE", "/archives/2026"), 403).await;
    gets(&world, &angela, ask("DELETE", "/archivesx"), 200).await;
    gets(&world, &angela, ask("DELETE", "/%61rchives/2026"), 403).await;
    gets(&world, &angela, ask("DELETE", "/x/..;/archives"), 400).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_looks_at_the_path_makes_two_readings_of_it_an_error() {
    let mut plan = Plan::new().await;
    plan.site.route("docs").block("allow", "path = \"/ouvert\"");
    let world = plan.start().await;
    let request = Request::get("docs.test", "/ouvert/..%2fsecret").with("Accept", "*/*");
    assert_eq!(world.send(&request).await.status, 400);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_factors_are_asked_outside_of_the_network_only() {
    let world = with_rules(|plan| {
        plan.site.set("server", "trusted_proxies", "[\"127.0.0.1\"]");
        plan.site.route("paie").block("allow", "client_address = \"10.0.0.0/8\"").block("allow", "mfa = true");
    })
    .await;
    let from = |address: &str| ask("GET", "/x").with("X-Forwarded-For", address);
    let (weak, strong) = (Agent::angela().with("acr", "eidas1"), Agent::angela().with("acr", "eidas1-mfa"));
    gets(&world, &weak, from("10.1.2.3"), 200).await;
    gets(&world, &weak, from("::ffff:10.1.2.3"), 200).await;
    gets(&world, &weak, from("192.0.2.1"), 403).await;
    gets(&world, &strong, from("192.0.2.1"), 200).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn office_hours_end_by_the_clock_of_paris() {
    let mut plan = Plan::new().await;
    // It is Monday, 21 September 2026, 16:13 in Paris.
    plan.site
        .route("paie")
        .block("allow", "time = { days = \"mon-fri\", hours = \"08:00-18:30\" }\nreason = \"Aux heures de bureau.\"");
    let world = plan.start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.advance(45);
    world.expects(&Agent::angela(), "GET /a");
    assert_eq!(browser.open("https://paie.test/a").await.status(), 200);
    world.advance(45);
    world.expects(&Agent::angela(), "GET /b");
    assert_eq!(browser.open("https://paie.test/b").await.status(), 200);
    world.advance(46);
    world.expects(&Agent::angela(), "GET /c");
    assert_eq!(browser.open("https://paie.test/c").await.status(), 200, "18:29");
    world.advance(1);
    let late = browser.open("https://paie.test/d").await;
    assert_eq!(late.status(), 403, "18:30");
    assert!(late.said().contains("Aux heures de bureau."), "{}", late.said());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_values_is_read_again_with_the_configuration() {
    let mut plan = Plan::new().await;
    let file = plan.folder.path().join("sirets.txt");
    let many = |first: &str| {
        let numbers = (0..10_000_u64).map(|number| with_luhn(13_000_000_000_000 + number * 10));
        std::iter::once(first.to_owned()).chain(numbers).collect::<Vec<_>>().join("\n")
    };
    std::fs::write(&file, many("# nobody of ours")).unwrap();
    plan.site.route("paie").block("allow", "siret = { file = \"sirets.txt\" }");
    let mut world = plan.start().await;
    let angela = Agent::angela();
    world.provider.log_in(&angela);
    let mut browser = world.browser();
    assert_eq!(browser.open(HOME).await.status(), 403);
    std::fs::write(&file, many(angela.text("siret"))).unwrap();
    assert_eq!(browser.open(HOME).await.status(), 403, "not before it is told to");
    world.reload(&world.site.clone()).await.unwrap();
    world.expects(&angela, "GET /");
    assert_eq!(browser.open(HOME).await.status(), 200);
    std::fs::write(&file, "not a SIRET").unwrap();
    let reasons = world.reload(&world.site.clone()).await.unwrap_err();
    assert!(reasons.contains("sirets.txt:1"), "{reasons}");
    world.expects(&angela, "GET /");
    assert_eq!(browser.open(HOME).await.status(), 200, "what was in force stays");
    world.finish().await;
}

/// The number, whose last digit is 0, with the digit that makes it pass Luhn.
fn with_luhn(number: u64) -> String {
    let digits = number.to_string().into_bytes();
    let weighed = digits.iter().rev().enumerate().map(|(at, digit)| match (at % 2, u64::from(digit - b'0')) {
        (0, digit) => digit,
        (_, digit) => digit * 2 / 10 + digit * 2 % 10,
    });
    (number + (10 - weighed.sum::<u64>() % 10) % 10).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_of_rules_counts_at_every_route_that_names_it() {
    let world = with_rules(|plan| {
        let siret = Agent::angela().text("siret").to_owned();
        plan.site.set("rules.dinum", "allow", &format!("[{{ siret = {siret:?}, reason = \"Réservé à la DINUM.\" }}]"));
        plan.site.set("rules.dinum", "deny", "[{ client_address = \"192.0.2.0/24\" }]");
        plan.site.route("paie").line("rules = \"dinum\"").block("allow", "acr = \"eidas3\"");
        let rh = Route::new("rh", "rh.test", &plan.upstream.origin());
        plan.site.routes.push(rh);
        plan.site.route("rh").line("rules = [\"dinum\"]");
    })
    .await;
    world.logged_in(&Agent::angela()).await;
    world.logged_in(&Agent::eloise().with("acr", "eidas3")).await;
    for url in [HOME, "https://rh.test/"] {
        world.provider.log_in(&Agent::eloise());
        let page = world.browser().open(url).await;
        assert_eq!(page.status(), 403, "{url}");
        assert!(page.said().contains("Réservé à la DINUM."), "{}", page.said());
    }
    world.log_in(&mut world.browser(), &Agent::angela(), "https://rh.test/").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_custom_and_patterns_of_units_count() {
    let world = with_rules(|plan| {
        plan.site
            .route("paie")
            .block("allow", "custom.habilitation.niveau = 3\ncustom.externe = false")
            .block("allow", "organizational_unit = \"MEF/DGFIP/*\"");
    })
    .await;
    let custom = |value: serde_json::Value| Agent::angela().with("custom", value);
    let admitted = json!({ "habilitation": { "niveau": 3 }, "externe": false });
    gets(&world, &custom(admitted), ask("GET", "/x"), 200).await;
    for refused in [
        json!({ "habilitation": { "niveau": "3" }, "externe": false }),
        json!({ "habilitation": { "niveau": 3 }, "externe": "false" }),
        json!({ "habilitation": { "niveau": 3 } }),
        json!({ "habilitation.niveau": 3, "externe": false }),
        json!({ "habilitation": 3, "externe": false }),
    ] {
        gets(&world, &custom(refused.clone()), ask("GET", "/x"), 403).await;
    }
    for (unit, expected) in [("MEF/DGFIP/SSI", 200), ("MEF/DGFIP", 403), ("mef/dgfip/ssi", 403)] {
        let agent = Agent::angela().with("organizational_unit", unit);
        gets(&world, &agent, ask("GET", "/x"), expected).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_proves_something_with_its_provider_only() {
    let world = with_rules(|plan| {
        plan.site.route("paie").block("allow", "email_domain = \"ministere.test\"\nidp_id = \"fia-dinum\"");
    })
    .await;
    let at = |idp: &str| Agent::angela().with("email", "paul@ministere.test").with("idp_id", idp);
    gets(&world, &at("fia-dinum"), ask("GET", "/x"), 200).await;
    gets(&world, &at("fia-autre"), ask("GET", "/x"), 403).await;
    for email in ["paul@ministere.test.evil.test", "paul@sub.ministere.test", "paul@Ministere.test"] {
        let agent = at("fia-dinum").with("email", email);
        gets(&world, &agent, ask("GET", "/x"), 403).await;
    }
    world.finish().await;
}
