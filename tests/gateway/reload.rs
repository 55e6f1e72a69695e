//! SIGHUP: a changed configuration is taken over as a whole, or not at all.

use crate::harness::{Agent, Answer, HOME, PAIE, Request, Route, Upstream, Who, World};
use crate::identity_headers::identity_fields;

#[tokio::test(flavor = "multi_thread")]
async fn new_routes_and_rules_hold_at_once_and_sessions_stay() {
    let mut world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut site = world.site.clone();
    site.route("paie").public("/ouvert/", &["GET"]);
    let origin = world.upstream.origin();
    site.routes.push(Route::new("nouveau", "nouveau.test", &origin));
    world.reload(&site).await.unwrap();
    world.expects(&Agent::angela(), "GET /x");
    assert_eq!(browser.open("https://paie.test/x").await.status(), 200);
    world.expects(Who::Public, "GET /ouvert/x");
    assert_eq!(world.send(&Request::get(PAIE, "/ouvert/x")).await.status, 200);
    world.log_in(&mut world.browser(), &Agent::angela(), "https://nouveau.test/").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_is_gone_is_gone_at_once() {
    let mut world = World::start().await;
    let mut site = world.site.clone();
    site.routes.retain(|route| route.name == "paie");
    world.reload(&site).await.unwrap();
    assert_eq!(world.send(&Request::get("docs.test", "/").navigation()).await.status, 421);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_taken_away_closes_what_it_opened_even_on_an_open_connection() {
    let mut world = World::start().await;
    let mut connection = world.connect().await;
    world.expects(Who::Public, "GET /public/x");
    assert_eq!(connection.exchange(&Request::get(PAIE, "/public/x")).await.status, 200);
    let mut site = world.site.clone();
    site.routes[0] = Route::new("paie", PAIE, &world.upstream.origin());
    let before = world.site.clone();
    world.reload(&site).await.unwrap();
    let request = Request::get(PAIE, "/public/x").with("Accept", "*/*");
    assert_eq!(connection.exchange(&request).await.status, 401);
    world.reload(&before).await.unwrap();
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_with_an_error_changes_nothing() {
    let mut world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let origin = world.upstream.origin();
    let mut broken = world.site.clone();
    broken.route("paie").public("/ouvert/", &["GET"]);
    broken.routes.push(Route::new("paie", "nouveau.test", &origin));
    broken.routes.push(Route::new("autre", "pas un hôte", &origin));
    let reasons = world.reload(&broken).await.unwrap_err();
    assert!(reasons.contains("paie") && reasons.contains("pas un hôte"), "every error at once: {reasons}");
    let response = world.send(&Request::get(PAIE, "/ouvert/x").with("Accept", "*/*")).await;
    assert_eq!(response.status, 401);
    assert_eq!(world.send(&Request::get("nouveau.test", "/").navigation()).await.status, 421);
    world.expects(&Agent::angela(), "GET /x");
    assert_eq!(browser.open("https://paie.test/x").await.status(), 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_way_ends_under_the_configuration_it_began_with() {
    let mut world = World::start().await;
    let (feeder, answer) = Answer::fed("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    world.upstream.answer("/lent", answer);
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.expects(&Agent::angela(), "GET /lent");
    let request = browser.with_cookies(&crate::harness::browser::parse(HOME), Request::get(PAIE, "/lent"));
    let mut connection = world.connect().await;
    connection.send(request.to_bytes()).await;
    feeder.send(b"01234".to_vec()).unwrap();
    world.upstream.until(|log| log.received.iter().any(|request| request.line() == "GET /lent")).await;
    let mut site = world.site.clone();
    let other = Upstream::start().await;
    site.route("paie").upstreams = vec![other.origin()];
    world.reload(&site).await.unwrap();
    feeder.send(b"56789".to_vec()).unwrap();
    assert_eq!(connection.response("GET").await.body, b"0123456789");
    assert_eq!(other.count(), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_opened_before_a_reload_get_the_claims_of_the_new_route() {
    let mut world = World::start().await;
    let mut browser = world.logged_in(&Agent::eloise()).await;
    // What arrived so far was right under the old configuration; from here on the new one counts.
    let before = world.site.clone();
    let mut site = before.clone();
    site.route("docs").release(&["sub", "email"]);
    world.log_in(&mut browser, &Agent::eloise(), "https://docs.test/").await;
    world.upstream.until(|log| log.received.len() == 2).await;
    assert_eq!(identity_fields(&world.upstream.last()), 10);
    world.reload(&site).await.unwrap();
    world.expects(&Agent::eloise(), "GET /x");
    assert_eq!(browser.open("https://docs.test/x").await.status(), 200);
    assert_eq!(
        identity_fields(&world.upstream.last()),
        4,
        "prepared headers of the old configuration are not used again"
    );
    world.upstream.log().received.retain(|request| request.line() != "GET /" || request.header("host") == PAIE);
    world.upstream.log().expected.remove(1);
    world.finish().await;
}
