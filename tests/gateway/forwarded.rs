//! What applications learn of the way that a request took (threats.md A3; RFC 7239, W3C Trace Context).

use std::collections::HashSet;

use crate::harness::upstream::Received;
use crate::harness::{Agent, PAIE, Plan, Request, Who, World};

/// Sends a public request with these fields and gives what arrived.
async fn arrived(world: &World, fields: &[(&str, &str)]) -> Received {
    world.expects(Who::Public, "GET /public/x");
    let request =
        fields.iter().fold(Request::get(PAIE, "/public/x"), |request, (name, value)| request.with(name, *value));
    assert_eq!(world.send(&request).await.status, 200, "{fields:?}");
    world.upstream.last()
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_fields_are_made_anew_for_every_client() {
    // A3-4: nobody is trusted by default, not even on loopback.
    let world = World::start().await;
    let lies = [
        ("X-Forwarded-For", "1.2.3.4"),
        ("X-Forwarded-For", "5.6.7.8"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "evil.test"),
        ("X-Forwarded-Port", "8443"),
        ("X-Forwarded-Prefix", "/evil"),
        ("X-Forwarded-Server", "evil"),
        ("X-Real-IP", "1.2.3.4"),
        ("Forwarded", "for=1.2.3.4;host=evil.test;proto=http"),
        ("X_Forwarded_For", "1.2.3.4"),
        ("X-Forwarded.Host", "evil.test"),
    ];
    for fields in [&lies[..], &[]] {
        let request = arrived(&world, fields).await;
        assert_eq!(request.header("x-forwarded-for"), "127.0.0.1");
        assert_eq!(request.header("x-forwarded-proto"), "https");
        assert_eq!(request.header("x-forwarded-host"), PAIE);
        let forwarded = request.header("forwarded");
        for part in ["for=127.0.0.1", "host=paie.test", "proto=https"] {
            assert!(forwarded.replace('"', "").to_ascii_lowercase().contains(part), "{forwarded}");
        }
        let raw = String::from_utf8_lossy(&request.raw).into_owned();
        for lie in ["1.2.3.4", "5.6.7.8", "evil"] {
            assert!(!raw.contains(lie), "{lie} in {raw}");
        }
    }
    world.finish().await;
}

/// A world behind a load balancer on this very machine.
async fn behind_a_proxy() -> World {
    let mut plan = Plan::new().await;
    plan.site.set("server", "trusted_proxies", r#"["127.0.0.0/8", "10.0.0.0/8"]"#);
    plan.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_is_believed_from_right_to_left() {
    let world = behind_a_proxy().await;
    for (value, client) in [
        ("203.0.113.7", "203.0.113.7"),
        ("1.2.3.4, 203.0.113.7", "203.0.113.7"),
        ("1.2.3.4, 203.0.113.7, 10.1.1.1", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, ::ffff:10.1.1.1", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("garbage, 203.0.113.7", "203.0.113.7"),
    ] {
        let request = arrived(&world, &[("X-Forwarded-For", value)]).await;
        let first = request.header("x-forwarded-for");
        let first = first.split(',').map(str::trim).next().unwrap_or_default();
        assert_eq!(first, client, "{value}");
        assert!(!request.header("x-forwarded-for").contains("1.2.3.4"), "{value}");
    }
    let request = arrived(&world, &[("Forwarded", "for=1.2.3.4, for=203.0.113.9;proto=https")]).await;
    assert!(request.header("x-forwarded-for").starts_with("203.0.113.9"), "{request:?}");
    // Scheme and host are configuration whoever speaks.
    let request = arrived(&world, &[("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "evil.test")]).await;
    assert_eq!(
        (request.header("x-forwarded-proto").as_str(), request.header("x-forwarded-host").as_str()),
        ("https", PAIE)
    );
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_continued_or_begun() {
    let world = World::start().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let continued = arrived(&world, &[("traceparent", parent), ("tracestate", "a=1")]).await.header("traceparent");
    assert_eq!(continued.split('-').nth(1), Some("4bf92f3577b34da6a3ce929d0e0e4736"), "{continued}");
    let mut begun = HashSet::new();
    for fields in [
        &[][..],
        &[("traceparent", "garbage")],
        &[("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01")],
        &[("traceparent", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")],
        &[("traceparent", parent), ("traceparent", parent)],
    ] {
        let request = arrived(&world, fields).await;
        let value = request.head.values("traceparent");
        assert!(value.len() <= 1, "{value:?}");
        for value in value {
            let parts: Vec<&str> = value.split('-').collect();
            assert_eq!((parts.len(), parts[0], parts[1].len(), parts[2].len()), (4, "00", 32, 16), "{value}");
            assert!(begun.insert(parts[1].to_owned()), "a trace of its own");
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_requests_say_where_they_come_from_too() {
    let world = World::start().await;
    world.logged_in(&Agent::angela()).await;
    let request = world.upstream.last();
    assert_eq!(request.header("x-forwarded-for"), "127.0.0.1");
    assert_eq!(request.header("host"), PAIE);
    world.finish().await;
}
