//! Applications that are away, slow, broken, named by DNS, behind TLS or several; and the connections to them.

use crate::harness::upstream::tls::Identity;
use crate::harness::{Agent, Answer, DOCS, PAIE, Plan, Request, Route, Upstream, World};
use crate::proxying::asked;

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_is_down_is_a_page() {
    let mut plan = Plan::new().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    plan.site.routes.push(Route::new("mort", "mort.test", &format!("http://{closed}")));
    let world = plan.start().await;
    let page = world.browser().open("https://mort.test/").await;
    assert_eq!((page.status(), page.response.is_own()), (502, true));
    assert!(page.response.text().contains("<html"));
    // A script gets it in its own form.
    let mut browser = world.browser();
    browser.open("https://mort.test/").await;
    let response = browser.fetch("https://mort.test/api").await;
    assert_eq!((response.status, response.header("content-type")), (502, Some("application/problem+json")));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_hangs_up_or_talks_nonsense_is_a_page() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for (path, answer) in [
        ("/hangup", Answer::hang_up()),
        ("/nonsense", Answer::bytes("this is not HTTP\r\n\r\n").close()),
        ("/half", Answer::bytes("HTTP/1.1 200 OK\r\nContent-Le").close()),
    ] {
        world.upstream.answer(path, answer);
        // A GET may be tried again on another connection.
        world.upstream.tolerates(&Agent::angela(), &format!("GET {path}"));
        let mut connection = asked(&world, &mut browser, Request::get(PAIE, path).navigation()).await;
        let response = connection.response("GET").await;
        assert_eq!((response.status, response.is_own()), (502, true), "{path}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_is_silent_too_long_is_a_page() {
    let mut plan = Plan::new().await;
    plan.site.route("paie").line(r#"silence_timeout = "1s""#);
    let world = plan.start().await;
    world.upstream.answer("/silent", Answer::never());
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut connection = asked(&world, &mut browser, Request::get(PAIE, "/silent").navigation()).await;
    let response = connection.response("GET").await;
    assert_eq!((response.status, response.is_own()), (504, true));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_not_made_whole() {
    let world = World::start().await;
    world.upstream.answer("/short", Answer::bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234").close());
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n";
    world.upstream.answer("/short-chunked", Answer::bytes(chunked).close());
    let mut browser = world.logged_in(&Agent::angela()).await;
    for path in ["/short", "/short-chunked"] {
        let mut connection = asked(&world, &mut browser, Request::get(PAIE, path)).await;
        let answer = connection.try_response("GET").await;
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 502), "{path}: {answer:?}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_the_application_are_kept_and_shared() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for number in 0..20 {
        let mut connection = asked(&world, &mut browser, Request::get(PAIE, &format!("/{number}"))).await;
        assert_eq!(connection.response("GET").await.status, 200);
    }
    assert!(world.upstream.connections() <= 3, "{} connections for 21 requests", world.upstream.connections());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_closes_its_connections_is_served_by_new_ones() {
    let world = World::start().await;
    let answer = crate::harness::wire::response("200 OK", &[], "x");
    world.upstream.answer("/closing", Answer::bytes(answer).close());
    let mut browser = world.logged_in(&Agent::angela()).await;
    for _ in 0..5 {
        let mut connection = asked(&world, &mut browser, Request::get(PAIE, "/closing")).await;
        assert_eq!(connection.response("GET").await.text(), "x");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_named_by_dns_is_found() {
    let mut plan = Plan::new().await;
    let port = plan.upstream.address().port();
    plan.site.route("paie").upstreams = vec![format!("http://localhost:{port}")];
    let world = plan.start().await;
    world.logged_in(&Agent::angela()).await;
    assert_eq!(world.upstream.last().header("host"), PAIE, "the Host that agents see, not the upstream's name");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_behind_tls_is_verified() {
    let mut plan = Plan::new().await;
    let trusted = Identity::new(&["localhost"]);
    let upstream = Upstream::start_tls(trusted.clone()).await;
    plan.others.push(upstream.clone());
    let (right, wrong) = (plan.folder.path().join("right.pem"), plan.folder.path().join("wrong.pem"));
    trusted.write_authority(&right);
    Identity::new(&["localhost"]).write_authority(&wrong);
    let origin = format!("https://localhost:{}", upstream.address().port());
    for (name, ca_file) in [("juste", Some(&right)), ("faux", Some(&wrong)), ("systeme", None)] {
        let mut route = Route::new(name, &format!("{name}.test"), &origin);
        if let Some(file) = ca_file {
            route.line(format!("upstream_ca_file = {file:?}"));
        }
        plan.site.routes.push(route);
    }
    let by_address = format!("https://127.0.0.1:{}", upstream.address().port());
    let mut other_name = Route::new("autre", "autre.test", &by_address);
    other_name.line(format!("upstream_ca_file = {right:?}"));
    plan.site.routes.push(other_name);
    let world = plan.start().await;
    let agent = Agent::angela();
    upstream.expects(&agent, "GET /");
    let mut browser = world.browser();
    assert_eq!(browser.open("https://juste.test/").await.status(), 200);
    // The connection of the first route is in the pool; no route with other trust may use it.
    for host in ["faux", "systeme", "autre"] {
        for _ in 0..3 {
            assert_eq!(browser.open(&format!("https://{host}.test/")).await.status(), 502, "{host}");
        }
    }
    upstream.expects(&agent, "GET /again");
    assert_eq!(browser.open("https://juste.test/again").await.status(), 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_upstreams_of_a_route_share_its_requests() {
    let mut plan = Plan::new().await;
    let second = plan.another_upstream().await;
    plan.site.route("docs").upstreams.push(second.origin());
    let world = plan.start().await;
    let agent = Agent::angela();
    for upstream in [&world.upstream, &second] {
        for _ in 0..13 {
            upstream.tolerates(&agent, "GET /");
        }
    }
    let mut browser = world.browser();
    for _ in 0..12 {
        assert_eq!(browser.open(&format!("https://{DOCS}/")).await.status(), 200);
    }
    assert!(world.upstream.count() > 0 && second.count() > 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_down_costs_nobody_an_answer() {
    let mut plan = Plan::new().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    plan.site.route("docs").upstreams.insert(0, format!("http://{closed}"));
    let world = plan.start().await;
    let agent = Agent::angela();
    for _ in 0..9 {
        world.upstream.tolerates(&agent, "GET /");
    }
    let mut browser = world.browser();
    for _ in 0..8 {
        assert_eq!(browser.open(&format!("https://{DOCS}/")).await.status(), 200);
    }
    world.finish().await;
}
