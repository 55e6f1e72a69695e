//! The RP-initiated logout plan of the OpenID conformance suite. Each test bears the name of its module. The
//! back-channel and front-channel plans are in `provider_logout`: AgentConnect has neither.

use crate::harness::{Agent, Endpoint, HOME, LogoutReturn, PAIE, Page, World};

const SIGNED_OUT: &str = "https://paie.test/.portillon/signed-out";

/// Logs out at a provider that returns so; the session is gone and the page says so, whatever comes back.
async fn log_out(world: &World, returning: LogoutReturn) -> Page {
    let mut browser = world.logged_in(&Agent::angela()).await;
    let id_token = world.provider.last_id_token();
    world.provider.misbehave(|script| script.logout_return = returning);
    let page = world.log_out(&mut browser).await;
    assert_eq!((page.status(), page.url.path()), (200, "/.portillon/signed-out"));
    assert_eq!(page.logins(), 0, "a signed-out page does not log straight back in");
    assert!(!browser.has_session(PAIE));
    let call = world.provider.last(Endpoint::EndSession);
    assert_eq!(call.parameter("id_token_hint"), Some(id_token.as_str()));
    assert_eq!(call.parameter("client_id"), Some(crate::harness::site::CLIENT_ID));
    assert_eq!(call.parameter("post_logout_redirect_uri"), Some(SIGNED_OUT));
    assert!(call.parameter("state").is_some_and(|state| state.len() >= 32));
    let again = browser.step(HOME).await;
    assert!(again.location().starts_with(&world.provider.issuer()), "the next page asks for a login");
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_init_logout() {
    let world = World::start().await;
    log_out(&world, LogoutReturn::Honest).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_init_logout_other_state() {
    let world = World::start().await;
    log_out(&world, LogoutReturn::OtherState).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_init_logout_no_state() {
    let world = World::start().await;
    log_out(&world, LogoutReturn::NoState).await;
    world.finish().await;
}
