//! The admin listener: health, readiness, metrics, status; and that agents see none of it (threats.md A12-4).

use crate::harness::{Agent, HOME, PAIE, Plan, Reply, Request, World};

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_tells_health_readiness_metrics_and_status() {
    let world = World::start().await;
    world.logged_in(&Agent::angela()).await;
    assert_eq!(world.admin("/healthz").await.status, 200);
    let ready = world.admin("/readyz").await;
    assert_eq!(ready.status, 200);
    assert!(serde_json::from_slice::<serde_json::Value>(&ready.body).is_ok(), "{}", ready.text());
    let metrics = world.admin("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.text().contains("portillon_") && metrics.text().contains("paie"), "{}", metrics.text());
    let status = world.admin("/status").await;
    assert!(serde_json::from_slice::<serde_json::Value>(&status.body).is_ok(), "{}", status.text());
    assert_eq!(world.admin("/unknown").await.status, 404);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_does_not_depend_on_the_provider_but_tells_of_it() {
    let plan = Plan::new().await;
    plan.provider.misbehave(|script| script.discovery = Reply::Hangup);
    let world = plan.start().await;
    assert_eq!(world.browser().open(HOME).await.status(), 503);
    let ready = world.admin("/readyz").await;
    assert_eq!(ready.status, 200, "existing sessions can be served: {}", ready.text());
    let healthy = World::start().await;
    healthy.accepts_login().await;
    assert_ne!(healthy.admin("/readyz").await.text(), ready.text(), "the detail says that the provider is away");
    healthy.finish().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_endpoints_are_not_on_the_public_listener() {
    let world = World::start().await;
    for path in ["/metrics", "/healthz", "/readyz", "/status"] {
        for host in [PAIE, "localhost", "127.0.0.1"] {
            let response = world.send(&Request::get(host, path).with("Accept", "*/*")).await;
            assert!(matches!(response.status, 401 | 421), "{host}{path}: {}", response.status);
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_on_the_admin_listener_is_secret_or_personal() {
    let world = World::start().await;
    let browser = world.logged_in(&Agent::eloise()).await;
    for path in ["/metrics", "/readyz", "/status"] {
        let text = world.admin(path).await.text();
        for secret in world.provider.secrets() {
            assert!(secret.is_empty() || !text.contains(&secret), "{path}");
        }
        for personal in [Agent::eloise().sub(), Agent::eloise().text("email"), &browser.jar.session(PAIE)[0].value] {
            assert!(!text.contains(personal), "{path}");
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_serves_nothing_else() {
    let world = World::start().await;
    for path in ["/", "/.portillon/me", "/public/x"] {
        assert_eq!(world.admin(path).await.status, 404, "{path}");
    }
    world.finish().await;
}
