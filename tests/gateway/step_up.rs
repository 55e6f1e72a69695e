//! Step-up: an agent whose level is all that keeps them out goes back to the provider, lands on the page that they asked
//! for, or on one that says what is missing; their session stays what it is meanwhile, and nothing goes round in circles.

use serde_json::{Value, json};

use crate::harness::browser::{navigation, parse, target};
use crate::harness::cookies::Policy;
use crate::harness::{Agent, Browser, CALLBACK, DOCS, Edit, Endpoint, HOME, LOGIN, PAIE, Page, Plan, World};
use crate::kept_forms::{click_to, own_form};

const SIGN: &str = "https://paie.test/signature/12?x=%C3%A9+%26&y=/..%2F";

/// Everybody may read; to sign takes a card.
fn for_signing(plan: &mut Plan) {
    plan.site
        .route("paie")
        .line("contact = \"support@paie.test\"")
        .block("allow", "not = { path = \"/signature\" }")
        .block(
            "allow",
            "path = \"/signature\"\nacr = [\"eidas2\", \"eidas3\"]\nreason = \"Signez avec votre carte agent.\"",
        );
}

async fn signing() -> World {
    let mut plan = Plan::new().await;
    for_signing(&mut plan);
    plan.start().await
}

fn weak() -> Agent {
    Agent::angela().with("acr", "eidas1")
}

fn strong() -> Agent {
    Agent::angela().with("acr", "eidas2")
}

fn line(url: &str) -> String {
    format!("GET {}", target(&parse(url)))
}

/// Opens `url` as an agent who has such a level at the provider, and arrives there.
async fn arrives(world: &World, browser: &mut Browser, agent: &Agent, url: &str) -> Page {
    world.provider.log_in(agent);
    world.expects(agent, &line(url));
    let page = browser.open(url).await;
    assert_eq!((page.status(), page.url.as_str()), (200, url), "{:?} {}", page.hops, page.said());
    page
}

/// The agent still has the session that they had: a page that takes no level answers, without a login.
async fn still_logged_in(world: &World, browser: &mut Browser, agent: &Agent) {
    assert_eq!(arrives(world, browser, agent, "https://paie.test/lecture").await.logins(), 0);
}

fn session(browser: &Browser) -> String {
    browser.jar.session(PAIE)[0].value.clone()
}

/// The `claims` of the last authorization request.
fn claims(world: &World) -> Value {
    serde_json::from_str(world.provider.last(Endpoint::Authorization).parameter("claims").unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reaches_the_level_lands_on_the_page_that_was_asked_for() {
    let world = signing().await;
    let mut browser = world.logged_in(&weak()).await;
    let (before, pseudonym) = (session(&browser), world.upstream.last().header("x-agent-session"));
    assert_eq!(arrives(&world, &mut browser, &strong(), SIGN).await.logins(), 1);
    let essential = json!({ "essential": true, "values": ["eidas2", "eidas3"] });
    assert_eq!(claims(&world), json!({ "id_token": { "acr": essential, "amr": null } }));
    assert_eq!(world.provider.last(Endpoint::Authorization).parameter("prompt"), None);
    assert_ne!(world.upstream.last().header("x-agent-session"), pseudonym, "a new login is a new session");
    assert!(browser.jar.logins(PAIE).is_empty(), "no attempt is left behind");
    assert_eq!(arrives(&world, &mut browser, &strong(), SIGN).await.logins(), 0);
    // The session there was before is over.
    let mut old = world.browser();
    old.jar.plant(PAIE, &browser.jar.session(PAIE)[0].name.clone(), &before);
    let response = old.fetch("https://paie.test/lecture").await;
    assert_eq!(response.status, 401, "{}", response.said());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_stays_valid_until_a_better_one_begins() {
    let world = signing().await;
    let mut browser = world.logged_in(&weak()).await;
    world.provider.log_in(&strong());
    let callback = browser.up_to_callback(SIGN).await;
    still_logged_in(&world, &mut browser, &weak()).await;
    world.expects(&strong(), &line(SIGN));
    let page = browser.open(callback.as_str()).await;
    assert_eq!((page.status(), page.url.as_str()), (200, SIGN), "{}", page.said());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_without_the_level_is_told_so_and_stays_logged_in() {
    let world = signing().await;
    let mut browser = world.logged_in(&weak()).await;
    world.provider.log_in(&strong());
    for edit in [Edit::set("acr", "eidas1"), Edit::Remove("acr"), Edit::set("acr", json!(["eidas2"]))] {
        world.provider.misbehave(|script| script.id_token.claims = vec![edit]);
        let before = session(&browser);
        let page = browser.open(SIGN).await;
        let said = page.said();
        assert_eq!((page.status(), page.logins(), page.response.is_own()), (403, 1, true), "{said}");
        let request_id = page.response.header("x-request-id").unwrap();
        for part in [
            "Authentification renforcée nécessaire",
            "carte d’agent",
            "eidas2, eidas3",
            "Signez avec votre carte agent.",
            "Angela DUBOIS",
            "support@paie.test",
            request_id,
            "Réessayer",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert!(page.response.text().contains("href=\"&#x2f;signature&#x2f;12?"), "{}", page.response.text());
        assert_eq!(session(&browser), before, "the session that there was");
        still_logged_in(&world, &mut browser, &weak()).await;
        world.provider.log_in(&strong());
    }
    world.provider.behave();
    browser.language = "en";
    world.provider.misbehave(|script| script.id_token.claims = vec![Edit::Remove("acr")]);
    let said = browser.open(SIGN).await.said();
    assert!(said.contains("Stronger authentication required") && said.contains("security key"), "{said}");
    world.provider.behave();
    arrives(&world, &mut browser, &strong(), SIGN).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_provider_refuses_is_told_so_and_stays_logged_in() {
    let world = signing().await;
    let mut browser = world.logged_in(&weak()).await;
    for (error, description, said) in [
        ("access_denied", "requested ACRs could not be satisfied", "n’a pas confirmé ce niveau"),
        ("access_denied", "", "n’a pas confirmé ce niveau"),
        ("unmet_authentication_requirements", "", "n’a pas confirmé ce niveau"),
        ("login_required", "End-User authentication is required", "n’a pas confirmé ce niveau"),
        ("access_denied", "user authentication aborted", "Authentification interrompue"),
        ("server_error", "", "Incident pendant la connexion"),
        ("invalid_request", "claims parameter provided but not supported", "mal configuré"),
    ] {
        world.provider.misbehave(|script| {
            script.authorization_response =
                vec![Edit::Remove("code"), Edit::set("error", error), Edit::set("error_description", description)];
        });
        let page = browser.open(SIGN).await;
        assert!(matches!(page.status(), 403 | 500 | 502), "{error}: {}", page.said());
        assert!(page.said().contains(said), "{error}: {}", page.said());
        assert_eq!((page.logins(), page.url.path()), (1, CALLBACK), "no loop: {:?}", page.hops);
        world.provider.behave();
        still_logged_in(&world, &mut browser, &weak()).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_is_told_that_another_login_is_needed_and_where_it_begins() {
    let world = signing().await;
    let mut browser = world.logged_in(&weak()).await;
    let response = browser.fetch(SIGN).await;
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    let problem: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!((response.status, &problem["code"]), (403, &json!("insufficient_user_authentication")));
    assert_eq!(problem["acr_values"], json!(["eidas2", "eidas3"]));
    assert_eq!(problem["reasons"], json!(["Signez avec votre carte agent."]));
    assert_eq!((problem.get("amr_values"), problem.get("max_age")), (None, None));
    assert_eq!(browser.load_image(SIGN).await.status, 403);
    // Its own page, not what it asked for, is what should come afterwards.
    let url = problem["login_url"].as_str().unwrap().to_owned();
    let (path, request) = url.split_once("&step_up=").unwrap();
    assert!(path.starts_with("/.portillon/login?return_to=%2Fsignature%2F12%3Fx"), "{url}");
    assert_eq!(request, "GET+%2Fsignature%2F12", "rules look at no query");
    world.provider.log_in(&strong());
    world.expects(&strong(), "GET /lecture?page=1");
    let url = format!("https://{PAIE}/.portillon/login?return_to=%2Flecture%3Fpage%3D1&step_up={request}");
    let page = browser.open(&url).await;
    assert_eq!((page.status(), page.logins()), (200, 1), "{}", page.said());
    world.expects(&strong(), &line(SIGN));
    assert_eq!(browser.fetch(SIGN).await.status, 200);
    // With the level, or for what takes none, the same link leads on at once; by a script it begins nothing.
    world.expects(&strong(), "GET /lecture?page=1");
    assert_eq!(browser.open(&url).await.logins(), 0);
    assert_eq!(world.provider.count(Endpoint::Authorization), 2);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_of_a_script_asks_for_nothing_but_what_the_rules_want() {
    let world = signing().await;
    let mut browser = world.logged_in(&weak()).await;
    let before = world.provider.count(Endpoint::Authorization);
    for request in [
        "GET+%2Flecture",
        "GET",
        "",
        "+",
        "GET+https%3A%2F%2Fevil.test%2Fsignature",
        "G%00T+%2Fsignature",
        "GET+%2F%2F",
    ] {
        world.expects(&weak(), "GET /");
        let url = format!("https://{PAIE}/.portillon/login?return_to=%2F&step_up={request}&acr_values=eidas3");
        let page = browser.open(&url).await;
        assert_eq!((page.status(), page.logins()), (200, 0), "{request}: {}", page.said());
    }
    let url = format!("https://{PAIE}/.portillon/login?return_to=%2F&step_up=GET+%2Fsignature");
    assert!(browser.fetch(&url).await.status != 200);
    assert_eq!(world.provider.count(Endpoint::Authorization), before);
    let location = browser.step(&url).await.location();
    assert!(location.starts_with(&world.provider.issuer()), "{location}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deny_block_that_hits_or_would_hit_is_a_refusal() {
    for (deny, asked) in [
        ("siret = \"13002526500013\"\nreason = \"Non.\"", None),
        ("path = \"/signature\"\nacr = [\"eidas2\", \"eidas3\"]\nreason = \"Non.\"", None),
        ("acr = \"eidas3\"\nreason = \"Non.\"", Some(json!(["eidas2"]))),
        ("siret = \"73282932000074\"\nreason = \"Non.\"", Some(json!(["eidas2", "eidas3"]))),
    ] {
        let mut plan = Plan::new().await;
        for_signing(&mut plan);
        plan.site.route("paie").block("deny", deny);
        let world = plan.start().await;
        world.provider.log_in(&weak());
        world.upstream.tolerates(&weak(), "GET /");
        let mut browser = world.browser();
        browser.open(HOME).await;
        let before = world.provider.count(Endpoint::Authorization);
        world.provider.log_in(&strong());
        let first = browser.step(SIGN).await;
        match asked {
            None => {
                assert_eq!((first.status, world.provider.count(Endpoint::Authorization)), (403, before), "{deny}");
                assert!(first.said().contains("Accès refusé"), "{}", first.said());
            }
            Some(levels) => {
                let (_, claims) =
                    parse(&first.location()).query_pairs().into_owned().find(|(n, _)| n == "claims").unwrap();
                let claims: Value = serde_json::from_str(&claims).unwrap();
                assert_eq!(claims["id_token"]["acr"]["values"], levels, "{deny}");
            }
        }
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_level_would_not_mend_is_refused_and_asks_the_provider_nothing() {
    let mut plan = Plan::new().await;
    plan.site
        .route("paie")
        .block("allow", "siret = \"73282932000074\"\nacr = \"eidas2\"\nreason = \"Autre établissement.\"");
    let world = plan.start().await;
    world.provider.log_in(&weak());
    let page = world.browser().open(HOME).await;
    assert_eq!((page.status(), page.logins()), (403, 1));
    assert!(page.said().contains("Accès refusé") && page.said().contains("Autre établissement."), "{}", page.said());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_kept_until_its_agent_has_the_level() {
    let world = signing().await;
    let mut browser = world.logged_in(&weak()).await;
    let form = || own_form(SIGN, "application/x-www-form-urlencoded", "motif=cong%C3%A9s");
    let answer = browser.send(&parse(SIGN), form()).await;
    let said = answer.said();
    assert_eq!((answer.status, answer.header("www-authenticate")), (403, None), "{said}");
    assert!(said.contains("Authentification renforcée nécessaire") && said.contains("conservé"), "{said}");
    let at = said.find("/.portillon/form?id=").expect("a form that is kept");
    let url = format!("https://{PAIE}{}", said[at..].split('"').next().unwrap());
    // Without the level it is neither shown nor lost.
    let page = browser.open(&url).await;
    assert_eq!((page.status(), page.logins()), (403, 1), "{}", page.said());
    still_logged_in(&world, &mut browser, &weak()).await;
    world.provider.log_in(&strong());
    let page = browser.open(&url).await;
    assert_eq!((page.status(), page.logins(), page.url.as_str()), (200, 1, url.as_str()), "{}", page.said());
    assert!(page.said().contains("congés"), "{}", page.said());
    world.expects(&strong(), &format!("POST {}", target(&parse(SIGN))));
    assert_eq!(click_to(&mut browser, &page, SIGN).await.status, 200);
    assert_eq!(world.upstream.last().body, b"motif=cong%C3%A9s");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_not_kept_says_where_to_get_the_level() {
    let mut plan = Plan::new().await;
    for_signing(&mut plan);
    plan.site.set("stash", "enabled", "false");
    let world = plan.start().await;
    let mut browser = world.logged_in(&weak()).await;
    let answer = browser.send(&parse(SIGN), own_form(SIGN, "text/plain", "x=1")).await;
    assert_eq!(answer.status, 403);
    assert!(answer.said().contains("Ouvrez un nouvel onglet") && answer.said().contains("eidas2, eidas3"));
    let html = answer.text().replace("&#x2f;", "/").replace("&amp;", "&").replace("&#x3D;", "=");
    let at = html.find("/.portillon/login?").expect("a link that begins");
    let url = format!("https://{PAIE}{}", html[at..].split('"').next().unwrap());
    assert!(url.contains("&step_up=POST+"), "{url}");
    arrives_from(&world, &mut browser, &url).await;
    world.finish().await;
}

async fn arrives_from(world: &World, browser: &mut Browser, url: &str) {
    world.provider.log_in(&strong());
    world.expects(&strong(), &line(SIGN));
    let page = browser.open(url).await;
    assert_eq!((page.status(), page.logins(), page.url.as_str()), (200, 1, SIGN), "{}", page.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_two_tabs_lands_on_its_own_page() {
    let world = signing().await;
    let mut browser = world.logged_in(&weak()).await;
    world.provider.log_in(&strong());
    let other = "https://paie.test/signature/13";
    let (first, second) = (browser.up_to_callback(SIGN).await, browser.up_to_callback(other).await);
    for (callback, url) in [(second, other), (first, SIGN)] {
        world.expects(&strong(), &line(url));
        let page = browser.open(callback.as_str()).await;
        assert_eq!((page.status(), page.url.as_str()), (200, url), "{}", page.said());
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_that_fails_after_another_succeeded_needs_nothing_more() {
    let world = signing().await;
    let mut browser = world.logged_in(&weak()).await;
    world.provider.log_in(&strong());
    let first = browser.up_to_callback(SIGN).await;
    arrives(&world, &mut browser, &strong(), "https://paie.test/signature/13").await;
    let state = first.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let state: String = url::form_urlencoded::byte_serialize(state.as_bytes()).collect();
    let iss: String = url::form_urlencoded::byte_serialize(world.provider.issuer().as_bytes()).collect();
    world.expects(&strong(), &line(SIGN));
    let page = browser.open(&format!("https://{PAIE}{CALLBACK}?error=access_denied&state={state}&iss={iss}")).await;
    assert_eq!((page.status(), page.url.as_str(), page.logins()), (200, SIGN, 0), "{}", page.said());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_loses_the_better_session_does_not_go_round_in_circles() {
    // Without the better one, what it comes back with is over; without any cookie, it has what it had.
    for (policy, status) in [(Policy::DropSessions, 500), (Policy::Refuse, 403)] {
        let world = signing().await;
        let mut browser = world.logged_in(&weak()).await;
        world.provider.log_in(&strong());
        browser.jar.policy = policy;
        let page = browser.open(SIGN).await;
        assert_eq!((page.status(), page.logins()), (status, 3), "{policy:?}: {:?}", page.hops);
        assert!(page.said().contains("tourne en rond"), "{}", page.said());
        browser.jar.policy = Policy::Keep;
        arrives(&world, &mut browser, &strong(), SIGN).await;
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_used_leads_to_another_try_and_not_to_the_page() {
    let world = signing().await;
    let mut browser = world.logged_in(&weak()).await;
    world.provider.log_in(&strong());
    world.provider.misbehave(|script| script.id_token.claims = vec![Edit::Remove("acr")]);
    let callback = browser.up_to_callback(SIGN).await;
    assert_eq!(browser.open(callback.as_str()).await.status(), 403);
    let page = browser.open(callback.as_str()).await;
    assert_eq!((page.status(), page.logins()), (403, 1), "{:?} {}", page.hops, page.said());
    world.provider.behave();
    world.expects(&strong(), &line(SIGN));
    let page = browser.open(callback.as_str()).await;
    assert_eq!((page.status(), page.url.as_str()), (200, SIGN), "{}", page.said());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_takes_the_place_of_the_first_with_the_level_and_without() {
    let world = signing().await;
    let eloise = |acr: &str| Agent::eloise().with("acr", acr);
    let mut browser = world.logged_in(&weak()).await;
    let before = browser.jar.session(PAIE)[0].clone();
    arrives(&world, &mut browser, &eloise("eidas3"), SIGN).await;
    let mut old = world.browser();
    old.jar.plant(PAIE, &before.name, &before.value);
    assert_eq!(old.fetch("https://paie.test/lecture").await.status, 401, "the first agent's session is over");

    let mut browser = world.logged_in(&weak()).await;
    world.provider.log_in(&eloise("eidas3"));
    world.provider.misbehave(|script| script.id_token.claims = vec![Edit::set("acr", "eidas0")]);
    let page = browser.open(SIGN).await;
    assert_eq!((page.status(), page.logins()), (403, 1), "{:?}", page.hops);
    assert!(page.said().contains("Ñandú") && !page.said().contains("DUBOIS"), "{}", page.said());
    world.provider.behave();
    still_logged_in(&world, &mut browser, &eloise("eidas0")).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_session_ended_meanwhile_gets_another_with_the_level_and_without() {
    let mut plan = Plan::new().await;
    for_signing(&mut plan);
    plan.site.set("session", "idle", "\"5m\"");
    let world = plan.start().await;
    for (acr, status) in [("eidas2", 200), ("eidas1", 403)] {
        let mut browser = world.logged_in(&weak()).await;
        world.provider.log_in(&strong());
        world.provider.misbehave(|script| script.id_token.claims = vec![Edit::set("acr", acr)]);
        let callback = browser.up_to_callback(SIGN).await;
        world.advance(6);
        if status == 200 {
            world.expects(&strong(), &line(SIGN));
        }
        // The tokens of the provider are of now: only the session is old.
        let page = browser.open(callback.as_str()).await;
        assert_eq!(page.status(), status, "{}", page.said());
        world.provider.behave();
        still_logged_in(&world, &mut browser, &Agent::angela().with("acr", acr)).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_character_of_a_level_survives_the_way() {
    let odd = "https://a.test/niveau élevé \"2\"?a=b&acr_values=x#y%41+z";
    let mut plan = Plan::new().await;
    plan.site.route("docs").block("allow", &format!("acr = {odd:?}"));
    let world = plan.start().await;
    let agent = Agent::angela().with("acr", odd);
    let mut browser = world.browser();
    world.provider.log_in(&agent);
    world.provider.misbehave(|script| script.id_token.claims = vec![Edit::Remove("acr")]);
    let page = browser.open(&format!("https://{DOCS}/")).await;
    assert_eq!((page.status(), page.logins()), (403, 2), "{}", page.said());
    assert_eq!(claims(&world)["id_token"]["acr"]["values"], json!([odd]));
    assert!(!page.response.text().contains("élevé \"2\""), "escaped");
    world.provider.behave();
    arrives(&world, &mut browser, &agent, &format!("https://{DOCS}/")).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_means_of_authentication_are_asked_for_as_the_level_is() {
    let mut plan = Plan::new().await;
    plan.site.route("docs").block("allow", "acr = [\"eidas2\"]\namr = [\"hwk\", \"pin\"]");
    plan.site.set("provider", "acr_values", r#"["eidas1", "eidas2"]"#);
    let world = plan.start().await;
    let with = |acr: &str, amr: &[&str]| Agent::angela().with("acr", acr).with("amr", amr.to_vec());
    let (url, mut browser) = (format!("https://{DOCS}/"), world.browser());
    world.provider.log_in(&with("eidas2", &["pwd"]));
    let page = browser.open(&url).await;
    assert_eq!((page.status(), page.logins()), (403, 2), "{}", page.said());
    let essential = |values: &[&str]| json!({ "essential": true, "values": values });
    let asked = json!({ "id_token": { "acr": essential(&["eidas2"]), "amr": essential(&["hwk", "pin"]) } });
    assert_eq!(claims(&world), asked);
    arrives(&world, &mut browser, &with("eidas2", &["pwd", "pin"]), &url).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_no_login_may_end_with_is_not_asked_for() {
    let mut plan = Plan::new().await;
    for_signing(&mut plan);
    plan.site.set("provider", "acr_values", r#"["eidas1", "eidas3"]"#);
    let world = plan.start().await;
    let mut browser = world.logged_in(&weak()).await;
    arrives(&world, &mut browser, &Agent::angela().with("acr", "eidas3"), SIGN).await;
    assert_eq!(claims(&world)["id_token"]["acr"]["values"], json!(["eidas3"]));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_host_gets_the_level_for_the_others() {
    let mut plan = Plan::new().await;
    for_signing(&mut plan);
    plan.site.log_in_at(LOGIN);
    let world = plan.start().await;
    let mut browser = world.logged_in(&weak()).await;
    world.provider.log_in(&strong());
    world.provider.misbehave(|script| script.id_token.claims = vec![Edit::Remove("acr")]);
    let page = browser.open(SIGN).await;
    assert_eq!((page.status(), page.logins(), page.url.host_str()), (403, 1, Some(LOGIN)), "{:?}", page.hops);
    assert!(page.said().contains(PAIE) && page.said().contains("eidas2, eidas3"), "{}", page.said());
    world.provider.behave();
    still_logged_in(&world, &mut browser, &weak()).await;
    assert_eq!(arrives(&world, &mut browser, &strong(), SIGN).await.logins(), 1);
    // The login host knows the level now, and the first login's sessions at other hosts go on.
    assert_eq!(arrives(&world, &mut browser, &strong(), &format!("https://{DOCS}/")).await.logins(), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_of_the_application_begins_no_login() {
    let mut plan = Plan::new().await;
    plan.site.route("paie").line("logout_paths = [\"/signature/quitter\"]");
    for_signing(&mut plan);
    let world = plan.start().await;
    let mut browser = world.logged_in(&weak()).await;
    let before = world.provider.count(Endpoint::Authorization);
    assert_eq!(browser.open("https://paie.test/signature/quitter").await.status(), 403);
    assert_eq!(world.provider.count(Endpoint::Authorization), before);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_and_the_metrics_tell_of_it() {
    let mut plan = Plan::new().await;
    for_signing(&mut plan);
    let file = plan.folder.path().join("audit.jsonl");
    plan.site.set("audit", "to", &format!("\"file:{}\"", file.display()));
    let mut world = plan.start().await;
    let mut browser = world.logged_in(&weak()).await;
    browser.fetch(SIGN).await;
    world.provider.log_in(&strong());
    world.provider.misbehave(|script| script.id_token.claims = vec![Edit::Remove("acr")]);
    browser.open(SIGN).await;
    world.provider.behave();
    arrives(&world, &mut browser, &strong(), SIGN).await;
    let metrics = world.admin("/metrics").await.text();
    for line in [
        r#"portillon_step_up_total{provider="default",result="started",reason=""} 2"#,
        r#"portillon_step_up_total{provider="default",result="failed",reason="step_up_not_reached"} 1"#,
        r#"portillon_step_up_total{provider="default",result="succeeded",reason=""} 1"#,
        r#"portillon_login_total{provider="default",result="succeeded",reason=""} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    world.restart().await;
    let lines: Vec<Value> =
        std::fs::read_to_string(&file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<String> = lines
        .iter()
        .map(|line| format!("{} {} {}", line["event"], line["outcome"], line["reason"]).replace('"', ""))
        .collect();
    assert_eq!(
        told[1..5],
        [
            "login success logged_in",
            "refusal failure insufficient_user_authentication",
            "step_up failure step_up_not_reached",
            "step_up success stepped_up",
        ]
    );
    assert_eq!((&lines[3]["route"], &lines[3]["session"]), (&json!("paie"), &lines[1]["session"]));
    assert!(lines[2]["rule"].as_str().unwrap().contains("portillon.toml:"), "{}", lines[2]);
    assert_ne!(lines[4]["session"], lines[1]["session"]);
    world.finish().await;
}

/// A route that wants a recent login.
async fn recent(max_age: &str) -> World {
    let mut plan = Plan::new().await;
    plan.site.route("paie").line(format!("max_age = {max_age:?}"));
    plan.start().await
}

fn ago(world: &World, minutes: u64) -> Vec<Edit> {
    vec![Edit::set("auth_time", world.clock.now().as_secs() - minutes * 60)]
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_authenticated_too_long_ago_does_so_again() {
    let world = recent("15m").await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    assert_eq!(world.provider.last(Endpoint::Authorization).parameter("max_age"), Some("900"));
    world.advance(14);
    assert_eq!(arrives(&world, &mut browser, &Agent::angela(), HOME).await.logins(), 0);
    world.advance(3);
    let problem: Value = serde_json::from_slice(&browser.fetch(HOME).await.body).unwrap();
    let expected = json!(["insufficient_user_authentication", 900, Value::Null]);
    assert_eq!(json!([problem["code"], problem["max_age"], problem["acr_values"]]), expected);
    assert_eq!(arrives(&world, &mut browser, &Agent::angela(), HOME).await.logins(), 1);
    assert_eq!(arrives(&world, &mut browser, &Agent::angela(), HOME).await.logins(), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_waits_for_a_recent_login_too() {
    let world = recent("15m").await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.advance(17);
    let answer = browser.send(&parse(SIGN), own_form(SIGN, "application/x-www-form-urlencoded", "motif=x")).await;
    let said = answer.said();
    let at = said.find("/.portillon/form?id=").unwrap_or_else(|| panic!("{} {said}", answer.status));
    let page = browser.open(&format!("https://{PAIE}{}", said[at..].split('"').next().unwrap())).await;
    assert_eq!((answer.status, page.status(), page.logins()), (403, 200, 1), "{}", page.said());
    world.expects(&Agent::angela(), &format!("POST {}", target(&parse(SIGN))));
    assert_eq!(click_to(&mut browser, &page, SIGN).await.status, 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_only_remembers_an_agent_does_not_make_them_recent() {
    let world = recent("15m").await;
    // The first login of all is told so too: it opens what takes no recent one.
    world.provider.misbehave(|script| script.id_token.claims = ago(&world, 40));
    let mut browser = world.browser();
    let page = browser.open(HOME).await;
    assert_eq!((page.status(), page.logins()), (403, 1), "{:?}", page.hops);
    assert!(
        page.said().contains("15\u{a0}minutes") && page.said().contains("Nouvelle authentification"),
        "{}",
        page.said()
    );
    world.provider.misbehave(|script| script.id_token.claims = ago(&world, 40));
    assert_eq!(browser.open(HOME).await.logins(), 1);
    world.provider.misbehave(|script| script.id_token.claims = vec![Edit::set("auth_time", "yesterday")]);
    assert_eq!(browser.open(HOME).await.status(), 403, "what cannot be read proves nothing");
    for honest in [ago(&world, 14), vec![Edit::Remove("auth_time")]] {
        world.provider.misbehave(|script| script.id_token.claims = honest);
        world.expects(&Agent::angela(), "GET /");
        let page = browser.open(HOME).await;
        assert_eq!(page.status(), 200, "{}", page.said());
        world.advance(20);
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_old_a_login_is_counts_at_every_host_and_a_logout_is_never_kept_waiting() {
    let mut plan = Plan::new().await;
    plan.site.log_in_at(LOGIN);
    plan.site.route("paie").line("max_age = \"15m\"").line("logout_paths = [\"/quitter\"]");
    let world = plan.start().await;
    let mut browser = world.browser();
    assert_eq!(arrives(&world, &mut browser, &Agent::angela(), &format!("https://{DOCS}/")).await.logins(), 1);
    world.advance(20);
    assert_eq!(arrives(&world, &mut browser, &Agent::angela(), HOME).await.logins(), 1, "the login is too old");
    assert_eq!(arrives(&world, &mut browser, &Agent::angela(), HOME).await.logins(), 0);
    world.advance(20);
    let answer = browser.step("https://paie.test/quitter").await;
    assert_eq!(answer.status, 303, "{}", answer.said());
    assert!(!browser.has_session(PAIE));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_did_not_ask_for_a_recent_one_is_none() {
    let mut plan = Plan::new().await;
    plan.site.log_in_at(LOGIN);
    plan.site.route("paie").line("max_age = \"15m\"");
    let world = plan.start().await;
    // It is owed only to who asks for `max_age` (OpenID Connect Core 1.0 section 2).
    world.provider.misbehave(|script| script.id_token.claims = vec![Edit::Remove("auth_time")]);
    let mut browser = world.browser();
    assert_eq!(arrives(&world, &mut browser, &Agent::angela(), &format!("https://{DOCS}/")).await.logins(), 1);
    assert_eq!(arrives(&world, &mut browser, &Agent::angela(), HOME).await.logins(), 1);
    assert_eq!(world.provider.last(Endpoint::Authorization).parameter("max_age"), Some("900"));
    assert_eq!(arrives(&world, &mut browser, &Agent::angela(), HOME).await.logins(), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_who_has_what_the_form_wants_and_more_than_it_takes_is_not_sent_round() {
    let mut plan = Plan::new().await;
    plan.site.route("paie").block("allow", "amr = [\"hwk\"]\nnot = { amr = \"sms\" }\npath = \"/signature\"");
    plan.site.route("paie").block("allow", "method = [\"GET\"]");
    let world = plan.start().await;
    let agent = |amr: &[&str]| Agent::angela().with("amr", json!(amr));
    let mut browser = world.logged_in(&agent(&["pwd"])).await;
    let answer = browser.send(&parse(SIGN), own_form(SIGN, "application/x-www-form-urlencoded", "motif=x")).await;
    let said = answer.said();
    let at = said.find("/.portillon/form?id=").unwrap_or_else(|| panic!("{} {said}", answer.status));
    world.provider.log_in(&agent(&["pwd", "hwk", "sms"]));
    let page = browser.open(&format!("https://{PAIE}{}", said[at..].split('"').next().unwrap())).await;
    assert_eq!((page.status(), page.logins()), (200, 1), "{:?}", page.hops);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_of_the_configuration_go_with_every_login_of_their_route() {
    let mut plan = Plan::new().await;
    plan.site.set("provider", "siret_hint", "\"11004601800013\"");
    plan.site.route("paie").line("idp_hint = \"fia1v2\"").line("prompt = \"none\"");
    for_signing(&mut plan);
    let world = plan.start().await;
    let asked = |name: &str| world.provider.last(Endpoint::Authorization).parameter(name).map(str::to_owned);
    let hints = || ["idp_hint", "login_hint", "prompt", "siret_hint"].map(asked);
    let of = |hints: [Option<&str>; 4]| hints.map(|hint| hint.map(str::to_owned));
    let mut browser = world.logged_in(&weak()).await;
    assert_eq!(hints(), of([Some("fia1v2"), None, Some("none"), Some("11004601800013")]));
    arrives(&world, &mut browser, &strong(), SIGN).await;
    assert_eq!(hints(), of([Some("fia1v2"), None, None, Some("11004601800013")]), "a step-up is not silent");
    world.log_in(&mut world.browser(), &Agent::angela(), &format!("https://{DOCS}/")).await;
    assert_eq!(hints(), of([None, None, None, Some("11004601800013")]));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_sets_the_hints_that_it_may_and_the_application_gets_the_link_as_it_is() {
    let mut plan = Plan::new().await;
    plan.site.route("paie").line("link_hints = [\"login_hint\", \"idp_hint\"]").line("idp_hint = \"fia1v2\"");
    for_signing(&mut plan);
    let world = plan.start().await;
    let link = "/dossiers?login_hint=zoe%2Bx%40a.fr&idp_hint=%0d%0aX:1&prompt=none&siret_hint=11004601800013&max_age=1";
    world.log_in(&mut world.browser(), &Agent::angela(), &format!("https://{PAIE}{link}")).await;
    let asked = world.provider.last(Endpoint::Authorization);
    let hints = ["idp_hint", "login_hint", "prompt", "siret_hint", "max_age"].map(|name| asked.parameter(name));
    assert_eq!(hints, [Some("fia1v2"), Some("zoe+x@a.fr"), None, None, None]);
    // A link to the login itself sets them too; the page that comes afterwards keeps to its own.
    let mut browser = world.browser();
    world.expects(&Agent::angela(), "GET /x");
    let url = "https://paie.test/.portillon/login?return_to=%2Fx&login_hint=a%40b.fr&idp_hint=fia2&login_hint=c%40d.fr";
    assert_eq!(browser.open(url).await.status(), 200);
    let asked = world.provider.last(Endpoint::Authorization);
    assert_eq!(["idp_hint", "login_hint"].map(|name| asked.parameter(name)), [Some("fia2"), Some("a@b.fr")]);
    // Who is logged in goes on as themselves, whatever the link says.
    world.provider.log_in(&strong());
    let link = format!("{SIGN}&login_hint=evil%40a.fr&idp_hint=evil");
    let mut browser = world.logged_in(&weak()).await;
    arrives(&world, &mut browser, &strong(), &link).await;
    let asked = world.provider.last(Endpoint::Authorization);
    assert_eq!(["idp_hint", "login_hint"].map(|name| asked.parameter(name)), [Some("fia1v2"), None]);
    // Another application's links may not.
    let link = format!("https://{DOCS}/?login_hint=zoe%40a.fr");
    world.log_in(&mut world.browser(), &Agent::angela(), &link).await;
    assert_eq!(world.provider.last(Endpoint::Authorization).parameter("login_hint"), None);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_login_that_fails_can_be_tried_aloud() {
    let mut plan = Plan::new().await;
    plan.site.route("paie").line("link_hints = [\"prompt\"]");
    let world = plan.start().await;
    world.provider.misbehave(|script| {
        script.authorization_response = vec![Edit::Remove("code"), Edit::set("error", "login_required")];
    });
    let mut browser = world.browser();
    let page = browser.open("https://paie.test/x?prompt=none").await;
    assert_eq!((page.status(), page.logins()), (403, 1), "{}", page.said());
    assert_eq!(world.provider.last(Endpoint::Authorization).parameter("prompt"), Some("none"));
    world.provider.behave();
    let html = page.response.text().replace("&#x2f;", "/");
    assert!(html.contains("/.portillon/login?return_to=%2Fx%3Fprompt%3Dnone\""), "{html}");
    world.expects(&Agent::angela(), "GET /x?prompt=none");
    let retry = "https://paie.test/.portillon/login?return_to=%2Fx%3Fprompt%3Dnone";
    assert_eq!(browser.open(retry).await.status(), 200);
    assert_eq!(world.provider.last(Endpoint::Authorization).parameter("prompt"), None);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_login_at_the_login_host_that_fails_keeps_the_page_too() {
    let mut plan = Plan::new().await;
    plan.site.log_in_at(LOGIN);
    plan.site.route("paie").line("link_hints = [\"prompt\"]");
    let world = plan.start().await;
    world.provider.misbehave(|script| {
        script.authorization_response = vec![Edit::Remove("code"), Edit::set("error", "login_required")];
    });
    let mut browser = world.browser();
    let page = browser.open("https://paie.test/x?prompt=none").await;
    assert_eq!((page.status(), page.logins()), (403, 1), "{}", page.said());
    world.provider.behave();
    let html = page.response.text().replace("&#x2f;", "/");
    let at = html.find("/.portillon/login?return_to=").unwrap_or_else(|| panic!("{html}"));
    let retry = format!("https://{LOGIN}{}", html[at..].split('"').next().unwrap());
    world.expects(&Agent::angela(), "GET /x?prompt=none");
    let page = browser.open(&retry).await;
    assert_eq!((page.status(), page.url.as_str()), (200, "https://paie.test/x?prompt=none"), "{:?}", page.hops);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_navigation_of_a_frame_and_a_prefetch_begin_nothing() {
    let world = signing().await;
    let mut browser = world.logged_in(&weak()).await;
    let before = world.provider.count(Endpoint::Authorization);
    let url = parse(SIGN);
    let frame = navigation(&url, "same-origin").with("Sec-Purpose", "prefetch");
    assert_eq!(browser.send(&url, frame).await.status, 403);
    let mut frame = navigation(&url, "same-origin");
    for field in &mut frame.fields {
        if field.0 == "Sec-Fetch-Dest" {
            field.1 = "iframe".to_owned();
        }
    }
    let answer = browser.send(&url, frame).await;
    assert_eq!((answer.status, answer.header("location")), (403, None));
    assert_eq!(world.provider.count(Endpoint::Authorization), before);
    world.finish().await;
}
