//! The end of a session (threats.md A8 and B-LO; OpenID Connect RP-Initiated Logout 1.0).

use serde_json::json;

use crate::harness::browser::{form_post, navigation, parse};
use crate::harness::cookies::{OWN_PREFIX, is_session};
use crate::harness::{Agent, Answer, Browser, DOCS, Edit, Endpoint, HOME, PAIE, Plan, Request, Response, World};

const LOGOUT: &str = "https://paie.test/.portillon/logout";

/// The agent is still logged in.
async fn still_in(world: &World, browser: &mut Browser) {
    world.expects(&Agent::angela(), "GET /still-in");
    assert_eq!(browser.open("https://paie.test/still-in").await.status(), 200);
}

/// The answer takes the session cookie and each of its chunks away.
#[track_caller]
fn ends_the_session(response: &Response) {
    let lines = response.head.values("set-cookie");
    let removals = lines.iter().filter(|line| is_session(line.split('=').next().unwrap_or_default()));
    for line in removals.clone() {
        assert!(line.contains("Max-Age=0") && line.contains("Secure") && line.contains("Path=/"), "{line}");
    }
    assert!(removals.count() >= 1, "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_session_ends_before_the_provider_is_asked() {
    // B-LO-1, A5-15
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let form = world.logout_form(&mut browser).await;
    let response = browser.send(&parse(LOGOUT), form_post(&parse(LOGOUT), &form.body())).await;
    assert!(matches!(response.status, 302 | 303), "{}", response.status);
    assert!(response.location().starts_with(&format!("{}/session/end?", world.provider.issuer())));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    ends_the_session(&response);
    assert!(browser.jar.of(PAIE).iter().all(|cookie| !is_session(&cookie.name)));
    assert!(browser.step(HOME).await.location().starts_with(&world.provider.issuer()));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_without_its_token_is_refused() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let form = world.logout_form(&mut browser).await;
    let name = form.fields[0].0.clone();
    let other = world.logged_in(&Agent::eloise()).await;
    let mut other = other;
    let foreign = world.logout_form(&mut other).await.body();
    for body in ["x=1".to_owned(), format!("{name}="), format!("{name}=forged"), foreign] {
        let response = browser.send(&parse(LOGOUT), form_post(&parse(LOGOUT), &body)).await;
        assert_eq!(response.status, 403, "{body}");
        still_in(&world, &mut browser).await;
    }
    assert_eq!(world.provider.count(Endpoint::EndSession), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_does_not_log_out() {
    // A8-1: neither an image, nor a link, nor a typed address.
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let image = Request::get(PAIE, "/.portillon/logout")
        .with("Sec-Fetch-Site", "cross-site")
        .with("Sec-Fetch-Mode", "no-cors")
        .with("Sec-Fetch-Dest", "image");
    let link = navigation(&parse(LOGOUT), "cross-site");
    let typed = navigation(&parse(LOGOUT), "none");
    for request in [image, link, typed] {
        let response = world.send_as(&mut browser, request).await;
        assert!(!response.head.values("set-cookie").iter().any(|line| line.contains("Max-Age=0")));
        assert_ne!(response.status, 500);
        still_in(&world, &mut browser).await;
    }
    // The page it shows has the button.
    let page = browser.open(LOGOUT).await;
    assert_eq!(page.status(), 200);
    assert!(page.said().contains("<form"), "{}", page.said());
    assert_eq!(world.provider.count(Endpoint::EndSession), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_without_a_session_says_signed_out() {
    let world = World::start().await;
    let response = world.browser().send(&parse(LOGOUT), form_post(&parse(LOGOUT), "x=1")).await;
    assert!(response.is_own() && response.status != 500, "{}", response.status);
    let page = world.browser().open("https://paie.test/.portillon/signed-out").await;
    assert_eq!((page.status(), page.logins()), (200, 0));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signed_out_page_says_that_other_sites_stay_open() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let page = world.log_out(&mut browser).await;
    assert!(page.said().to_lowercase().contains("autres"), "{}", page.said());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_other_hosts_stay() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.log_in(&mut browser, &Agent::angela(), "https://docs.test/").await;
    world.log_out(&mut browser).await;
    assert!(browser.has_session(DOCS) && !browser.has_session(PAIE));
    world.expects(&Agent::angela(), "GET /x");
    assert_eq!(browser.open("https://docs.test/x").await.status(), 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_from_the_provider_changes_nothing_by_itself() {
    // B-LO-2: anybody can open the address, with any state.
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for query in ["", "?state=", "?state=other", "?state=a&state=b", "?error=x"] {
        let page = browser.open(&format!("https://paie.test/.portillon/signed-out{query}")).await;
        assert!(page.response.is_own() && page.status() < 500, "{query}: {}", page.status());
        still_in(&world, &mut browser).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_without_an_end_session_endpoint_still_ends_the_local_session() {
    // B-LO-3
    let plan = Plan::new().await;
    plan.provider.misbehave(|script| script.metadata = vec![Edit::Remove("end_session_endpoint")]);
    let world = plan.start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let page = world.log_out(&mut browser).await;
    assert_eq!((page.status(), page.url.host_str()), (200, Some(PAIE)));
    assert!(!browser.has_session(PAIE));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_too_big_to_keep_is_left_out_of_the_logout() {
    let world = World::start().await;
    let filler = "x".repeat(20_000);
    world.provider.misbehave(|script| script.id_token.claims = vec![Edit::set("filler", filler)]);
    let mut browser = world.logged_in(&Agent::angela()).await;
    let page = world.log_out(&mut browser).await;
    assert_eq!(page.url.path(), "/.portillon/signed-out");
    let call = world.provider.last(Endpoint::EndSession);
    assert_eq!(call.parameter("id_token_hint"), None);
    assert_eq!(call.parameter("client_id"), Some(crate::harness::site::CLIENT_ID));
    world.finish().await;
}

/// A world whose first application has logout paths of its own.
async fn with_logout_paths() -> World {
    let mut plan = Plan::new().await;
    plan.site.route("paie").line(r#"logout_paths = ["/deconnexion.php", "/doku.php?do=logout"]"#);
    plan.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logout_of_the_application_comes_first_and_its_cookies_pass() {
    let world = with_logout_paths().await;
    let answer = "HTTP/1.1 302 Found\r\nLocation: /accueil\r\nSet-Cookie: PHPSESSID=deleted; Max-Age=0\r\n\
                  Set-Cookie: lang=fr\r\nContent-Length: 6\r\n\r\nau rev";
    world.upstream.answer("/deconnexion.php", Answer::bytes(answer));
    for (url, line) in [
        ("https://paie.test/deconnexion.php", "GET /deconnexion.php"),
        ("https://paie.test/doku.php?id=start&do=logout&x=1", "GET /doku.php?id=start&do=logout&x=1"),
    ] {
        let mut browser = world.logged_in(&Agent::angela()).await;
        world.expects(&Agent::angela(), line);
        let response = browser.step(url).await;
        assert!(matches!(response.status, 302 | 303), "{}", response.status);
        assert!(response.location().starts_with(&format!("{}/session/end?", world.provider.issuer())));
        ends_the_session(&response);
        if url.contains("deconnexion") {
            let cookies = response.head.values("set-cookie");
            assert!(cookies.iter().any(|line| line.starts_with("PHPSESSID=deleted")), "{cookies:?}");
            assert!(cookies.iter().any(|line| line == "lang=fr"), "{cookies:?}");
        }
        assert!(!browser.has_session(PAIE));
        let page = browser.open(&response.location()).await;
        assert_eq!((page.status(), page.url.path()), (200, "/.portillon/signed-out"));
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_exact_logout_path_with_its_query_logs_out() {
    let world = with_logout_paths().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for target in [
        "/deconnexion.php/x",
        "/deconnexion",
        "/doku.php",
        "/doku.php?do=edit",
        "/doku.php?x=do=logout",
        "/Deconnexion.php",
    ] {
        world.expects(&Agent::angela(), &format!("GET {target}"));
        assert_eq!(browser.open(&format!("https://paie.test{target}")).await.status(), 200, "{target}");
    }
    still_in(&world, &mut browser).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_path_embedded_by_another_site_does_not_log_out() {
    let world = with_logout_paths().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let image = Request::get(PAIE, "/deconnexion.php")
        .with("Sec-Fetch-Site", "cross-site")
        .with("Sec-Fetch-Mode", "no-cors")
        .with("Sec-Fetch-Dest", "image");
    world.upstream.tolerates(&Agent::angela(), "GET /deconnexion.php");
    let response = world.send_as(&mut browser, image).await;
    assert!(!response.head.values("set-cookie").iter().any(|line| line.starts_with(OWN_PREFIX)), "{:?}", response.head);
    assert!(response.header("location").is_none_or(|location| !location.contains("session/end")));
    still_in(&world, &mut browser).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_by_post_of_the_application_logs_out_too() {
    let world = with_logout_paths().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.expects(&Agent::angela(), "POST /deconnexion.php");
    let url = parse("https://paie.test/deconnexion.php");
    let response = browser.send(&url, form_post(&url, "csrf=1")).await;
    assert!(matches!(response.status, 302 | 303), "{}", response.status);
    assert!(response.location().contains("/session/end?"));
    assert_eq!(world.upstream.last().body, b"csrf=1");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_by_post_that_comes_too_late_leaves_all_the_same() {
    let world = with_logout_paths().await;
    let url = parse("https://paie.test/deconnexion.php");
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.advance(61);
    let response = browser.send(&url, form_post(&url, "csrf=1")).await;
    assert_eq!(response.status, 303);
    assert!(response.location().starts_with(&format!("{}/session/end?", world.provider.issuer())));
    ends_the_session(&response);
    let page = browser.open(&response.location()).await;
    assert_eq!((page.status(), page.url.path()), (200, "/.portillon/signed-out"));
    let nobody = world.browser().send(&url, form_post(&url, "csrf=1")).await;
    assert_eq!((nobody.status, nobody.location().as_str()), (303, "/.portillon/signed-out"));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_path_whose_application_fails_logs_out_all_the_same() {
    let world = with_logout_paths().await;
    world.upstream.answer("/deconnexion.php", Answer::hang_up());
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.expects(&Agent::angela(), "GET /deconnexion.php");
    world.upstream.tolerates(&Agent::angela(), "GET /deconnexion.php");
    browser.step("https://paie.test/deconnexion.php").await;
    assert!(!browser.has_session(PAIE), "the agent asked to leave");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn me_tells_agents_who_they_are_and_what_the_application_receives() {
    let mut plan = Plan::new().await;
    plan.site.ask_for("roles").route("paie").release(&["sub", "email", "roles"]);
    let world = plan.start().await;
    let agent = Agent::eloise()
        .with("uid", "not-for-this-application")
        .with("roles", json!(["agent_public", "agent_public_etat"]));
    let mut browser = world.logged_in(&agent).await;
    let page = browser.open("https://paie.test/.portillon/me").await;
    let text = page.said();
    assert_eq!(page.status(), 200);
    for shown in ["Éloïse", "Ñandú", "eloise@prefecture.test", "agent_public_etat", agent.sub()] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    assert!(!text.contains(agent.text("uid")), "what the application does not receive is not listed");
    assert!(world.provider.secrets().iter().all(|secret| secret.is_empty() || !text.contains(secret)));
    // Without a session it leads to a login.
    assert!(world.browser().step("https://paie.test/.portillon/me").await.is_redirect());
    world.finish().await;
}
