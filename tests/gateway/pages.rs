//! Pages for people: what they say, in which language, and what protects them (threats.md A12, C-RSP).

use crate::harness::browser::{form_post, parse};
use crate::harness::{Agent, HOME, PAIE, Plan, Reply, Request, Response, World};

/// One page of each kind that needs no misbehaving provider.
async fn pages(world: &World) -> Vec<(&'static str, Response)> {
    let mut browser = world.logged_in(&Agent::angela()).await;
    let form = form_post(&parse(HOME), "a=b");
    vec![
        ("unknown site", world.send(&Request::get("evil.test", "/").navigation()).await),
        ("ambiguous path", world.send(&Request::get(PAIE, "/a//b").navigation()).await),
        ("session ended", world.browser().send(&parse(HOME), form).await),
        ("me", browser.step("https://paie.test/.portillon/me").await),
        ("logout", browser.step("https://paie.test/.portillon/logout").await),
        ("signed out", world.browser().step("https://paie.test/.portillon/signed-out").await),
        ("callback", world.browser().step("https://paie.test/.portillon/callback").await),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn our_pages_are_protected_and_self_contained() {
    // C-RSP-2, F10
    let world = World::start().await;
    for (what, page) in pages(&world).await {
        if page.is_redirect() {
            continue;
        }
        let header = |name: &str| page.header(name).unwrap_or_default().to_owned();
        assert_eq!(header("content-type").replace(' ', "").to_ascii_lowercase(), "text/html;charset=utf-8", "{what}");
        assert_eq!(
            (header("x-content-type-options").as_str(), header("referrer-policy").as_str()),
            ("nosniff", "no-referrer")
        );
        let csp = header("content-security-policy");
        for directive in ["default-src 'none'", "frame-ancestors 'none'"] {
            assert!(csp.contains(directive), "{what}: {csp}");
        }
        assert!(!csp.contains("unsafe-inline"), "{what}: {csp}");
        assert!(page.header("server").is_none_or(|server| !server.contains("ingora")), "{what}");
        let text = page.text();
        for external in ["src=\"http", "href=\"//", "url(http", "@import"] {
            assert!(!text.contains(external), "{what} loads something: {text}");
        }
        assert!(text.contains("lang=\"fr\"") && text.contains("<title>"), "{what}: {text}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_french_unless_the_browser_asks_for_english() {
    let world = World::start().await;
    for (language, expected) in [
        ("fr", "fr"),
        ("en", "en"),
        ("en-GB,en;q=0.9,fr;q=0.5", "en"),
        ("fr-FR,en;q=0.8", "fr"),
        ("de,en;q=0.5", "en"),
        ("de", "fr"),
        ("*", "fr"),
        ("en;q=0", "fr"),
        ("\"><x", "fr"),
    ] {
        let request = Request::get("evil.test", "/").navigation().with("Accept-Language", language);
        let page = world.send(&request).await;
        assert!(page.text().contains(&format!("lang=\"{expected}\"")), "{language}: {}", page.said());
    }
    let none = world.send(&Request::get("evil.test", "/").navigation()).await;
    assert!(none.text().contains("lang=\"fr\""));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_page_says_how_to_be_found_again_and_nothing_of_the_inside() {
    // C-RSP-5
    let mut plan = Plan::new().await;
    plan.site.route("paie").line(r#"contact = "support-paie@example.gouv.fr""#);
    let world = plan.start().await;
    let error = r#"{"error":"invalid_grant","error_description":"the-inner-reason"}"#;
    let page =
        world.refuses_login(|script| script.token = Reply::status("400 Bad Request", "application/json", error)).await;
    let text = page.said();
    assert!(text.contains("support-paie@example.gouv.fr"), "whom to ask: {text}");
    for inside in ["invalid_grant", "the-inner-reason", "127.0.0.1", "token_endpoint", "panicked"] {
        assert!(!text.contains(inside), "{inside}: {text}");
    }
    let again =
        world.refuses_login(|script| script.token = Reply::status("400 Bad Request", "application/json", error)).await;
    assert_ne!(again.said(), text, "each has a request id of its own");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_to_head_has_no_body() {
    let world = World::start().await;
    let mut connection = world.connect().await;
    for _ in 0..2 {
        let response = connection.exchange(&Request::new("HEAD", "evil.test", "/")).await;
        assert_eq!(response.status, 421);
        if response.header("connection") == Some("close") {
            connection = world.connect().await;
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_endpoints_know_their_methods() {
    let world = World::start().await;
    for path in ["me", "jwks.json", "signed-out", "login", "callback"] {
        for method in ["PUT", "DELETE", "PATCH"] {
            let request = Request::new(method, PAIE, &format!("/.portillon/{path}"));
            let status = world.send(&request).await.status;
            assert!(matches!(status, 400 | 401 | 405), "{method} {path}: {status}");
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_says_never_becomes_a_header_of_ours() {
    // C-RSP-1
    let world = World::start().await;
    for hostile in ["%0d%0aSet-Cookie:x=1", "%0aSet-Cookie:%20x=1", "\u{10d}\u{10a}Set-Cookie:x=1", "%c4%8d%c4%8aX:y"] {
        for path in
            ["/", "/.portillon/login?return_to=/", "/.portillon/signed-out?state=", "/.portillon/callback?error="]
        {
            let target = format!("{path}{hostile}");
            let bytes = format!("GET {target} HTTP/1.1\r\nHost: {PAIE}\r\nAccept: text/html\r\n\r\n");
            let mut connection = world.connect().await;
            connection.send(bytes).await;
            let Some(response) = connection.try_response("GET").await else { continue };
            assert!(!response.head.values("set-cookie").iter().any(|line| line.starts_with("x=1")), "{target}");
            assert!(!response.head.has("x"), "{target}");
        }
    }
    world.finish().await;
}
