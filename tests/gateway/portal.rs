//! `/.portillon/`: an agent sees the applications that they may open, and learns of no other.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::browser::Form;
use crate::harness::cookies::Policy;
use crate::harness::group::share;
use crate::harness::{Agent, Browser, DOCS, HOME, LOGIN, PAIE, Page, Plan, RIE, Request, Response, Route, Who, World};

const PORTAL: &str = "https://paie.test/.portillon/";
const SVG: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1 1\"><path d=\"M0 0h1v1z\"/></svg>";

/// A plan whose two applications are listed: the first is for Angela's organisation, the second for everybody.
async fn listed() -> Plan {
    let mut plan = Plan::new().await;
    let siret = Agent::angela().text("siret").to_owned();
    plan.site
        .route("paie")
        .block("allow", &format!("siret = [{siret:?}]\nreason = \"Réservé à la DINUM.\""))
        .listed("name = \"Paie et primes\"\ndescription = \"Bulletins de l’année.\"");
    plan.site.route("docs").listed("name = \"Documents\"\nstart = \"/a b?vue=<tout>&é\"");
    plan
}

/// The portal, opened by an agent who logs in on the way.
async fn opened(world: &World, agent: &Agent) -> (Browser, Page) {
    world.provider.log_in(agent);
    let mut browser = world.browser();
    let page = browser.open(PORTAL).await;
    assert_eq!((page.status(), page.url.as_str(), page.logins()), (200, PORTAL, 1), "{}", page.said());
    (browser, page)
}

/// The names that a page lists, as people read them.
fn names(page: &str) -> Vec<String> {
    let links = page.split("<a href=\"").skip(1).filter_map(|rest| rest.split_once('>'));
    links.map(|(_, rest)| rest.split("</a>").next().unwrap_or_default().to_owned()).collect()
}

async fn names_for(world: &World, agent: &Agent) -> Vec<String> {
    names(&opened(world, agent).await.1.said())
}

/// The same list for a script.
async fn in_json(browser: &mut Browser) -> Value {
    let response = browser.fetch(PORTAL).await;
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    assert!(response.is_own() && response.header("x-content-type-options") == Some("nosniff"));
    serde_json::from_str(&response.text()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_sees_what_the_rules_admit_them_to_and_no_word_of_the_rest() {
    let world = listed().await.start().await;
    let (mut browser, page) = opened(&world, &Agent::angela()).await;
    assert_eq!(names(&page.said()), ["Paie et primes", "Documents"]);
    for shown in ["Bulletins de l’année.", "Angela DUBOIS", "angela.dubois@ministere.test", "https://paie.test/"] {
        assert!(page.said().contains(shown), "{shown}: {}", page.said());
    }
    let expected = json!({ "applications": [
        { "name": "Paie et primes", "description": "Bulletins de l’année.", "icon": null, "url": "https://paie.test/", "step_up": false },
        { "name": "Documents", "description": null, "icon": null, "url": "https://docs.test/a%20b?vue=%3Ctout%3E&%C3%A9", "step_up": false },
    ]});
    assert_eq!(in_json(&mut browser).await, expected);
    let (mut browser, page) = opened(&world, &Agent::eloise()).await;
    assert_eq!(names(&page.said()), ["Documents"]);
    let list = in_json(&mut browser).await.to_string();
    for hidden in ["Paie et primes", "Bulletins", "DINUM"] {
        assert!(!page.said().contains(hidden) && !list.contains(hidden), "{hidden}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_calls_the_application_what_agents_call_it_and_leads_to_the_others() {
    let world = listed().await.start().await;
    world.provider.log_in(&Agent::eloise());
    let mut browser = world.browser();
    let page = browser.open(HOME).await;
    assert_eq!(page.status(), 403);
    assert!(page.said().contains("«\u{a0}Paie et primes\u{a0}»"), "{}", page.said());
    assert!(page.said().contains("<a href=\"/.portillon/\">"), "{}", page.said());
    assert_eq!(names(&browser.open(PORTAL).await.said()), ["Documents"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_may_open_is_what_would_become_of_their_request() {
    let mut plan = Plan::new().await;
    let upstream = plan.upstream.origin();
    let mut route = |name: &str, path: &str, start: &str, blocks: &[(&str, &str)]| {
        let mut route = Route::new(name, &format!("{name}.test"), &upstream).at(path);
        route.listed(&format!("name = {name:?}\n{start}"));
        for (kind, lines) in blocks {
            route.block(kind, lines);
        }
        plan.site.routes.push(route);
    };
    let anybody = "siren = [\"130025265\"]";
    route("refused-by-a-deny", "/", "", &[("deny", anybody), ("allow", anybody)]);
    route("elsewhere", "/", "", &[("allow", "client_address = \"192.0.2.0/24\"")]);
    route("here", "/", "", &[("allow", "client_address = \"127.0.0.0/8\"")]);
    route("posts", "/", "", &[("allow", "method = \"POST\"")]);
    route("reads", "/", "", &[("allow", "method = \"GET\"")]);
    route("other-page", "/", "", &[("allow", "path = \"/consultation\"")]);
    route("that-page", "/", "start = \"/consultation?x\"", &[("allow", "path = \"/consultation\"")]);
    // 2026-09-21, a Monday, 16:13 in Paris.
    route("at-night", "/", "", &[("allow", "time = { hours = \"22:00-06:00\" }")]);
    route("by-day", "/", "", &[("allow", "time = { hours = \"08:00-18:30\" }")]);
    // Its first page is within another route, whose rules are those that count.
    route("around", "/", "start = \"/admin/\"", &[]);
    let mut admin = Route::new("admin", "around.test", &upstream).at("/admin");
    admin.block("deny", anybody);
    plan.site.routes.push(admin);
    let world = plan.start().await;
    assert_eq!(names_for(&world, &Agent::angela()).await, ["here", "reads", "that-page", "by-day"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opens_after_a_stronger_login_is_listed_and_says_so() {
    let mut plan = Plan::new().await;
    let siret = Agent::angela().text("siret").to_owned();
    plan.site.route("paie").block("allow", &format!("siret = {siret:?}\nacr = \"eidas2\"")).listed("name = \"Paie\"");
    plan.site.route("docs").listed("name = \"Documents\"");
    let world = plan.start().await;
    let (mut browser, page) = opened(&world, &Agent::angela().with("acr", "eidas1")).await;
    assert_eq!(names(&page.said()), ["Paie", "Documents"]);
    assert_eq!(page.said().matches("Demande de confirmer votre identité.").count(), 1, "{}", page.said());
    let list = in_json(&mut browser).await;
    let step_up = |at: usize| list["applications"][at]["step_up"].clone();
    assert_eq!((step_up(0), step_up(1)), (true.into(), false.into()));
    // No level would help whoever is of another organisation.
    assert_eq!(names_for(&world, &Agent::eloise().with("acr", "eidas1")).await, ["Documents"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_session_an_agent_logs_in_and_a_script_is_told() {
    let world = listed().await.start().await;
    let told = world.browser().fetch(PORTAL).await;
    assert_eq!((told.status, told.header("content-type")), (401, Some("application/problem+json")));
    let problem: Value = serde_json::from_str(&told.text()).unwrap();
    assert_eq!(problem["login_url"], "/.portillon/login");
    assert!(!told.text().contains("Documents"));
    let image = Request::get(PAIE, "/.portillon/").with("Accept", "image/*").with("Sec-Fetch-Mode", "no-cors");
    let image = world.send(&image.with("Sec-Fetch-Dest", "image")).await;
    assert_eq!((image.status, image.body.len()), (401, 0));
    // Whoever asks for a login can name the portal as the page to return to.
    world.provider.log_in(&Agent::angela());
    let page = world.browser().open("https://paie.test/.portillon/login?return_to=%2F.portillon%2F").await;
    assert_eq!((page.status(), page.url.as_str()), (200, PORTAL));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_as_our_pages_do() {
    let world = listed().await.start().await;
    let (mut browser, page) = opened(&world, &Agent::angela()).await;
    let header = |name: &str| page.response.header(name).unwrap_or_default().to_owned();
    assert_eq!((header("cache-control"), header("x-content-type-options")), ("no-store".into(), "nosniff".into()));
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; img-src 'self'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("script-src") && !page.response.text().contains("<script"), "{policy}");
    let moved = browser.step("https://paie.test/.portillon?x=1").await;
    assert_eq!((moved.status, moved.location()), (303, "/.portillon/".to_owned()));
    let head = world.send_as(&mut browser, Request::new("HEAD", PAIE, "/.portillon/")).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_ne!(head.header("content-length"), Some("0"));
    let posted =
        world.send_as(&mut browser, Request::new("POST", PAIE, "/.portillon/").with("Content-Length", "0")).await;
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
    let form = Form::find(&page.response.text(), "/.portillon/logout").expect("a logout button");
    let out = browser.post(&format!("https://{PAIE}{}", form.action), &form.body()).await;
    assert_eq!(out.status(), 200, "{}", out.said());
    assert!(!browser.has_session(PAIE));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_portal_where_nothing_is_listed() {
    let mut world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    assert_eq!(browser.step(PORTAL).await.status, 404);
    world.expects(&Agent::angela(), "GET /.portillon");
    assert_eq!(browser.step("https://paie.test/.portillon").await.status, 200);
    let mut site = world.site.clone();
    site.route("docs").listed("name = \"Documents\"");
    world.reload(&site).await.unwrap();
    assert_eq!(names(&browser.open(PORTAL).await.said())[..1], ["Documents"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_any_application_is_told_so() {
    let mut plan = Plan::new().await;
    plan.site.route("docs").block("allow", "siret = \"73282932000074\"").listed("name = \"Documents\"");
    let world = plan.start().await;
    let (mut browser, page) = opened(&world, &Agent::angela()).await;
    assert!(page.said().contains("Aucune application") && !page.said().contains("Documents"), "{}", page.said());
    assert_eq!(in_json(&mut browser).await, json!({ "applications": [] }));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_host_has_it_as_its_front_page_and_its_links_ask_for_no_login() {
    let mut plan = listed().await;
    plan.site.log_in_at(LOGIN);
    let world = plan.start().await;
    world.provider.log_in(&Agent::angela());
    let mut browser = world.browser();
    let page = browser.open(&format!("https://{LOGIN}/")).await;
    assert_eq!((page.status(), page.url.as_str()), (200, "https://login.test/.portillon/"), "{}", page.said());
    assert_eq!((names(&page.said()), page.logins()), (vec!["Paie et primes".to_owned(), "Documents".to_owned()], 1));
    world.expects(&Agent::angela(), "GET /");
    let arrived = browser.arrive(HOME).await;
    assert_eq!((arrived.status(), arrived.url.as_str(), arrived.logins()), (200, HOME, 0), "{:?}", arrived.hops);
    // At any other host the way is the same.
    let page = browser.open("https://docs.test/.portillon/").await;
    assert_eq!((page.status(), page.logins(), names(&page.said()).len()), (200, 0, 2), "{:?}", page.hops);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_provider_would_say_of_the_agent_is_not_guessed() {
    let mut plan = listed().await;
    let rie = plan.another_provider().await;
    plan.site.route("rie").listed("name = \"Au RIE\"");
    let mut open = Route::new("annuaire", RIE, &plan.upstream.origin()).at("/annuaire/").at_provider("rie");
    open.public("/annuaire/", &["GET", "HEAD"]).listed("name = \"Annuaire\"");
    plan.site.routes.push(open);
    let world = plan.start().await;
    assert_eq!(names_for(&world, &Agent::angela()).await, ["Paie et primes", "Documents", "Annuaire"]);
    rie.log_in(&Agent::angela());
    let page = world.browser().open(&format!("https://{RIE}/.portillon/")).await;
    assert_eq!(names(&page.said()), ["Au RIE", "Annuaire"], "where one is logged in at it, it is as any other");
    world.expects(Who::Public, "GET /annuaire/");
    assert_eq!(world.send(&Request::get(RIE, "/annuaire/")).await.status, 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_words_are_words() {
    let hostile = "</a><script>alert(1)</script><img src=//evil.test>\u{202e}";
    let mut plan = Plan::new().await;
    let lines = format!("name = '{hostile}'\ndescription = '{hostile}'\nstart = '/\"><script>'");
    plan.site.route("docs").listed(&lines);
    let world = plan.start().await;
    let (_, page) = opened(&world, &Agent::angela().with("given_name", "<script>alert(2)</script>")).await;
    let html = page.response.text();
    for raw in ["<script", "<img", "</a><", "\u{202e}"] {
        assert!(!html.contains(raw), "{raw}: {html}");
    }
    assert!(html.contains("https:&#x2f;&#x2f;docs.test&#x2f;%22%3E%3Cscript%3E"), "{html}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_icon_is_served_by_us_is_kept_for_good_and_does_nothing() {
    let mut plan = Plan::new().await;
    fs::write(plan.folder.path().join("documents.svg"), SVG).unwrap();
    fs::write(plan.folder.path().join("photo.svg"), b"\x89PNG\r\n\x1a\nwhatever its name says").unwrap();
    plan.site.route("docs").listed("name = \"Documents\"\nicon = \"documents.svg\"");
    let upstream = plan.upstream.origin();
    plan.site.routes.push(Route::new("photo", "photo.test", &upstream));
    plan.site.route("photo").listed("name = \"Photo\"\nicon = \"photo.svg\"");
    let world = plan.start().await;
    let (mut browser, page) = opened(&world, &Agent::angela()).await;
    let list = in_json(&mut browser).await;
    let icon = |at: usize| list["applications"][at]["icon"].as_str().unwrap_or_default().to_owned();
    assert!(page.said().contains(&format!("<img src=\"{}\" alt=\"\"", icon(0))), "{}", page.said());
    for (at, media_type) in [(0, "image/svg+xml"), (1, "image/png")] {
        // Whoever is not logged in gets it too: its name tells nothing to whoever does not know the image.
        let response = world.send(&Request::get(DOCS, &icon(at))).await;
        strict(&response, media_type);
    }
    assert_eq!(world.send(&Request::get(PAIE, &icon(0))).await.text(), SVG);
    let head = world.send(&Request::new("HEAD", PAIE, &icon(0))).await;
    assert_eq!((head.status, head.header("content-length")), (200, Some(SVG.len().to_string().as_str())));
    for absent in ["/.portillon/icon/", "/.portillon/icon/x.svg", "/.portillon/icon/documents.svg"] {
        assert_eq!(world.send(&Request::get(PAIE, absent).navigation()).await.status, 404, "{absent}");
    }
    world.finish().await;
}

fn strict(response: &Response, media_type: &str) {
    let header = |name: &str| response.header(name).unwrap_or_default();
    assert_eq!((response.status, header("content-type")), (200, media_type));
    assert_eq!(header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!((header("x-content-type-options"), header("cross-origin-resource-policy")), ("nosniff", "same-origin"));
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; ") && policy.contains("; sandbox;"), "{policy}");
    assert!(response.head.values("set-cookie").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_that_never_arrive_end_with_a_page() {
    let world = listed().await.start().await;
    world.provider.log_in(&Agent::angela());
    for url in [PORTAL, "https://paie.test/.portillon/me"] {
        let mut browser = world.browser();
        browser.jar.policy = Policy::DropSessions;
        let page = browser.open(url).await;
        assert_eq!((page.status(), page.logins()), (403, 3), "{url}: {}", page.said());
        // Whoever logs out and in again and again arrives each time.
        let mut browser = world.browser();
        for _ in 0..4 {
            assert_eq!(browser.open(url).await.status(), 200, "{url}");
            browser.jar.forget(PAIE, "__Host-portillon");
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_listed_on_old_knowledge_of_who_has_logged_out() {
    let mut redis = crate::redis::Server::start(&[]);
    let mut plan = listed().await;
    share(&mut plan, &redis, "\"1s\"");
    let world = plan.start().await;
    let (mut browser, _) = opened(&world, &Agent::angela()).await;
    redis.kill();
    let deadline = Instant::now() + crate::redis::PATIENCE;
    while browser.fetch(PORTAL).await.status == 200 {
        assert!(Instant::now() < deadline, "applications are still listed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let page = browser.step(PORTAL).await;
    assert_eq!((page.status, page.header("location")), (503, None));
    assert!(page.header("retry-after").is_some() && !page.said().contains("Paie et primes"), "{}", page.said());
    world.finish().await;
}
