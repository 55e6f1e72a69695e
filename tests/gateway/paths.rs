//! Authorities and paths: what decides is what is forwarded (threats.md A2, A3 and C-PATH).

use proptest::prelude::Strategy as _;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::harness::upstream::Received;
use crate::harness::{Agent, Answer, DOCS, PAIE, Plan, Request, Route, Who, World};

/// No request of these reaches the application; each gets 400 or a login.
async fn all_stay_out(world: &World, requests: Vec<String>) {
    for bytes in requests {
        let mut connection = world.connect().await;
        connection.send(&bytes).await;
        let response = connection.try_response("GET").await;
        let status = response.as_ref().map(|response| response.status);
        assert!(
            matches!(status, None | Some(400 | 401 | 404 | 405 | 414 | 421 | 302 | 303)),
            "{status:?} for {bytes:?}"
        );
    }
}

fn navigate(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {PAIE}\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\n\
         Sec-Fetch-Dest: document\r\nConnection: close\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_path_in_the_query_or_fragment_opens_nothing() {
    // A2-1, A2-2
    let world = World::start().await;
    let targets = ["/admin?x=/public/", "/admin?/public/", "/admin#/public/", "/foo/secret#/bar", "/admin%23/public/"];
    all_stay_out(&world, targets.into_iter().map(navigate).collect()).await;
    world.finish().await;
}

/// A2-3: every way to spell a way out of `/public/`, or into it.
const DISGUISES: [&str; 30] = [
    "/public/../admin",
    "/public/%2e%2e/admin",
    "/public/%2E%2e/admin",
    "/public/..%2fadmin",
    "/public/%2e%2e%2fadmin",
    "/public/..%5cadmin",
    "/public/..\\admin",
    "/public/..;/admin",
    "/public/;/../admin",
    "/public/.%00./admin",
    "/public/%252e%252e/admin",
    "/public//../admin",
    "/public/./../admin",
    "/public/.",
    "/public/..",
    "/public/%2e",
    "/public//",
    "/public/x%2f..%2f..%2fadmin",
    "/public/x%5c..%5cadmin",
    "/public/%ff",
    "/public/%c0%ae%c0%ae/admin",
    "/public/%u002e%u002e/admin",
    "/public/x;jsessionid=1",
    "/public/x%0d%0aX-Agent-Email:%20evil",
    "//public/x",
    "/./public/x",
    "//admin",
    "/PUBLIC/x",
    "/publicity",
    "/public",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_path_in_disguise_opens_nothing() {
    // A2-3
    let world = World::start().await;
    all_stay_out(&world, DISGUISES.into_iter().map(navigate).collect()).await;
    all_stay_out(&world, vec![navigate("/%61dmin"), navigate("/ADMIN")]).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_path_is_400_with_a_session_too() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for target in ["/public/../admin", "/x//y", "/a%2fb", "/a;b", "/a%00b", "/x/./y", "/%252e", "/a%ff", "/a%5cb"] {
        let response = world.send_as(&mut browser, Request::get(PAIE, target)).await;
        assert_eq!(response.status, 400, "{target}");
        assert!(response.is_own(), "{target}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_looks_at_no_path_passes_it_untouched() {
    // C-PATH-1, C-PATH-3: legacy applications use all of these.
    let world = World::start().await;
    let mut browser = world.browser();
    world.log_in(&mut browser, &Agent::angela(), "https://docs.test/").await;
    for target in [
        "/x//y",
        "//x",
        "/a%2fb%2F",
        "/a;jsessionid=1;b",
        "/a/./b/../c",
        "/%252e%2e",
        "/a%5cb",
        "/caf%C3%A9+%20?q=%ff&r;s=//",
        "/a?",
        "/a??b#",
        "/%41?%41",
        "/a%3fb",
        "/~user/!$&'()*,=:@-._",
    ] {
        let sent = target.trim_end_matches('#');
        world.expects(&Agent::angela(), &format!("GET {sent}"));
        let response = world.send_as(&mut browser, Request::get(DOCS, sent)).await;
        assert_eq!(response.status, 200, "{sent}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn illegal_bytes_in_a_target_are_400_everywhere() {
    let world = World::start().await;
    let mut browser = world.browser();
    world.log_in(&mut browser, &Agent::angela(), "https://docs.test/").await;
    let cookies = browser.with_cookies(&crate::harness::browser::parse("https://docs.test/"), Request::get(DOCS, "/"));
    let cookie = cookies.fields.iter().find(|(name, _)| name == "Cookie").unwrap().1.clone();
    for target in [
        &b"/a b"[..],
        b"/a\tb",
        b"/a\x00b",
        b"/a\xe9",
        b"/a\x7f",
        b"/a#b",
        b"a",
        b"",
        b"*",
        b"/<x>",
        b"/\"x\"",
        b"/a\\b",
    ] {
        let mut bytes = b"GET ".to_vec();
        bytes.extend_from_slice(target);
        bytes.extend_from_slice(format!(" HTTP/1.1\r\nHost: {DOCS}\r\nCookie: {cookie}\r\n\r\n").as_bytes());
        let mut connection = world.connect().await;
        connection.send(&bytes).await;
        let response = connection.try_response("GET").await;
        let arrived = world.upstream.log().received.last().map(Received::line);
        assert!(
            response.as_ref().is_none_or(|response| response.status == 400),
            "{}: {arrived:?}",
            target.escape_ascii()
        );
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_header_moves_a_request_to_another_path() {
    // A2-4, A2-5
    let world = World::start().await;
    for (name, value) in [
        ("X-Forwarded-Uri", "/public/a"),
        ("X-Original-URL", "/public/a"),
        ("X-Original-URI", "/public/a"),
        ("X-Rewrite-URL", "/public/a"),
        ("X-Forwarded-Path", "/public/a"),
        ("X-Forwarded-Prefix", "/public"),
        ("X-Forwarded-Method", "OPTIONS"),
        ("X-HTTP-Method-Override", "OPTIONS"),
        ("X-HTTP-Method", "HEAD"),
        ("User-Agent", "GoogleHC/1.0"),
        ("User-Agent", "kube-probe/1.30"),
        ("X-Forwarded-Host", "docs.test"),
    ] {
        let response = world.send(&Request::get(PAIE, "/admin").navigation().with(name, value)).await;
        assert!(response.location().starts_with(&world.provider.issuer()), "{name}: {value}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn public_is_what_the_rule_says_by_method_and_segment() {
    let world = World::start().await;
    for target in ["/public/", "/public/x", "/public/a/b.css?v=2", "/public/caf%C3%A9", "/%70ublic/x"] {
        for method in ["GET", "HEAD"] {
            world.expects(Who::Public, &format!("{method} {target}"));
            let response = world.send(&Request::new(method, PAIE, target)).await;
            assert_eq!(response.status, 200, "{method} {target}");
        }
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "PROPFIND"] {
        let response = world.send(&Request::new(method, PAIE, "/public/x")).await;
        assert!(matches!(response.status, 400 | 401 | 405 | 501), "{method}: {}", response.status);
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_is_recognised_in_every_spelling_of_it() {
    // A2-7
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for host in ["paie.test", "PAIE.test", "paie.test.", "paie.test:443", "Paie.Test.:443"] {
        world.expects(&Agent::angela(), "GET /x");
        let cookies =
            browser.with_cookies(&crate::harness::browser::parse("https://paie.test/"), Request::get(host, "/x"));
        let response = world.send(&cookies).await;
        assert_eq!(response.status, 200, "{host}");
        assert_eq!(world.upstream.last().header("host"), "paie.test", "the upstream gets the Host that agents see");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_authority_is_421_and_the_page_says_what_came() {
    // A3-3
    let world = World::start().await;
    for host in
        ["evil.test", "paie.test.evil.test", "paie.test:8443", "127.0.0.1", "localhost", "[::1]", "autre.paie.test"]
    {
        let response = world.send(&Request::get(host, "/x").navigation()).await;
        assert_eq!(response.status, 421, "{host}");
        assert!(response.text().contains(host), "{host} in {}", response.text());
        assert!(!response.head.has("set-cookie") && !response.head.has("location"));
    }
    let response = world.send(&Request::get("\"><script>alert(1)</script>", "/x").navigation()).await;
    assert!(matches!(response.status, 400 | 421) && !response.text().contains("<script>alert"), "{}", response.text());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn absolute_form_goes_out_as_origin_form() {
    // A2-7, C-HDR-4
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for (target, line) in [
        ("http://paie.test/x?y", "GET /x?y"),
        ("https://paie.test/x?y", "GET /x?y"),
        ("http://PAIE.test:443/x?y", "GET /x?y"),
        ("http://paie.test", "GET /"),
    ] {
        world.upstream.tolerates(&Agent::angela(), line);
        let request =
            browser.with_cookies(&crate::harness::browser::parse("https://paie.test/"), Request::get(PAIE, target));
        let response = world.send(&request).await;
        assert!(matches!(response.status, 200 | 400), "{target}: {}", response.status);
    }
    for target in
        ["http://evil.test/x", "http://user@paie.test/x", "http:/\\paie.test/x", "//paie.test/x", "ftp://paie.test/"]
    {
        let request =
            browser.with_cookies(&crate::harness::browser::parse("https://paie.test/"), Request::get(PAIE, target));
        let status = world.send(&request).await.status;
        assert!(matches!(status, 400 | 421), "{target}: {status}");
    }
    world.finish().await;
}

/// Two routes of one host and a deeper one, each with an application of its own.
#[tokio::test(flavor = "multi_thread")]
async fn the_longest_prefix_on_segment_borders_wins() {
    let mut plan = Plan::new().await;
    let (app, admin) = (plan.another_upstream().await, plan.another_upstream().await);
    app.answer("/app", Answer::text("app"));
    plan.site.routes = vec![
        Route::new("root", PAIE, &plan.upstream.origin()),
        Route::new("app", PAIE, &app.origin()).at("/app"),
        Route::new("admin", PAIE, &admin.origin()).at("/app/admin"),
    ];
    let world = plan.start().await;
    let agent = Agent::angela();
    let mut browser = world.logged_in(&agent).await;
    for (target, upstream) in [
        ("/apple", &world.upstream),
        ("/app", &app),
        ("/app/", &app),
        ("/app/administration", &app),
        ("/app/admin", &admin),
        ("/app/admin/x?y", &admin),
        ("/%61pp/x", &app),
        ("/APP", &world.upstream),
    ] {
        upstream.expects(&agent, &format!("GET {target}"));
        assert_eq!(world.send_as(&mut browser, Request::get(PAIE, target)).await.status, 200, "{target}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_without_a_route_is_404() {
    let mut plan = Plan::new().await;
    plan.site.routes = vec![Route::new("app", PAIE, &plan.upstream.origin()).at("/app")];
    let world = plan.start().await;
    let response = world.send(&Request::get(PAIE, "/x").navigation()).await;
    assert_eq!((response.status, response.is_own()), (404, true));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reserved_prefix_is_never_the_applications() {
    let world = World::start().await;
    let mut browser = world.browser();
    world.log_in(&mut browser, &Agent::angela(), "https://docs.test/").await;
    for target in [
        "/.portillon/",
        "/.portillon/unknown",
        "/.portillon/me/x",
        "/.portillon/%6de",
        "/%2eportillon/me",
        "/.portillon/../x",
    ] {
        let response = world.send_as(&mut browser, Request::get(DOCS, target)).await;
        assert!(response.is_own() && response.status != 500, "{target}: {} {}", response.status, response.text());
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_reaches_into_the_reserved_prefix_is_a_configuration_error() {
    // A2-9
    let plan = Plan::new().await;
    for path in ["/.portillon/", "/.portillon/callback", "/.portillon"] {
        let mut site = plan.site.clone();
        site.route("paie").public(path, &["GET"]);
        assert!(crate::harness::gateway::check(&site).is_err(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_path_the_decision_fits_what_arrives() {
    // A2-10: paths that mutate around `/public/`. What arrives lies under it byte for byte, and is what was sent.
    let world = World::start().await;
    world.upstream.answer("/", Answer::text("never"));
    let mut runner = TestRunner::deterministic();
    let piece = proptest::sample::select(vec![
        "/", "public", "..", ".", "%2e", "%2f", "%5c", ";", "//", "admin", "%70", "a", "%00", "?", "%25", "public/",
    ]);
    let paths = proptest::collection::vec(piece, 1..8).prop_map(|pieces| format!("/{}", pieces.concat()));
    let mut connection = world.connect().await;
    for _ in 0..1_500 {
        let target = paths.new_tree(&mut runner).expect("a path").current();
        let before = world.upstream.count();
        world.upstream.tolerates(Who::Public, &format!("GET {target}"));
        connection.send(Request::get(PAIE, &target).with("Accept", "*/*").to_bytes()).await;
        let Some(response) = connection.try_response("GET").await else {
            connection = world.connect().await;
            assert_eq!(world.upstream.count(), before, "{target}");
            continue;
        };
        if response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            connection = world.connect().await;
        }
        let path = target.split('?').next().unwrap_or_default();
        let confusing = ["//", ";", "%2f", "%5c", "%00", "%25"];
        let plainly_public = path.starts_with("/public/")
            && !confusing.iter().any(|piece| path.contains(piece))
            && !path.replace("%2e", ".").split('/').any(|segment| matches!(segment, "." | ".."));
        assert!(world.upstream.count() == before || plainly_public, "{target} arrived");
        assert!(response.status == 200 || world.upstream.count() == before, "{target}: {}", response.status);
    }
    world.finish().await;
}
