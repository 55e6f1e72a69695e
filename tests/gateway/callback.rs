//! What comes back from the provider, or pretends to (threats.md B-CB; RFC 9207).

use url::Url;

use crate::harness::browser::{navigation, parse};
use crate::harness::{
    Agent, Browser, CALLBACK, DOCS, Edit, Endpoint, HOME, PAIE, Plan, Reply, Request, Response, World,
};

/// The answer begins no session: it is a page, or the one restart of the login.
#[track_caller]
fn begins_no_session(world: &World, browser: &Browser, response: &Response) {
    assert!(!browser.has_session(PAIE) && !browser.has_session(DOCS), "a session began: {:?}", response.head);
    let restart = response.header("location").map(|location| parse(HOME).join(location).unwrap());
    let at_home = |url: &Url| url.as_str().starts_with(&world.provider.issuer()) || url.host_str() == Some(PAIE);
    assert!(
        restart.as_ref().is_some_and(at_home) || matches!(response.status, 400..=403 | 502),
        "{} {restart:?}",
        response.status
    );
    assert_eq!(response.header("cache-control"), Some("no-store"));
}

/// The address of a callback with other parameters.
fn edited(callback: &Url, edit: impl Fn(&mut Vec<(String, String)>)) -> Url {
    let mut parameters: Vec<(String, String)> = callback.query_pairs().into_owned().collect();
    edit(&mut parameters);
    let mut url = callback.clone();
    url.query_pairs_mut().clear().extend_pairs(parameters);
    url
}

fn set(parameters: &mut Vec<(String, String)>, name: &str, value: &str) {
    parameters.retain(|(key, _)| key != name);
    parameters.push((name.to_owned(), value.to_owned()));
}

fn state_of(callback: &Url) -> String {
    callback.query_pairs().find(|(name, _)| name == "state").expect("a callback has a state").1.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_begun_in_another_browser_does_not_end_in_this_one() {
    // B-CB-1: an attacker has the victim open a callback with the attacker's own code.
    let world = World::start().await;
    let callback = world.browser().up_to_callback(HOME).await;
    let mut victim = world.browser();
    let response = victim.step(callback.as_str()).await;
    begins_no_session(&world, &victim, &response);
    assert_eq!(world.provider.count(Endpoint::Token), 0, "the attacker's code is not redeemed");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_of_another_login_is_not_accepted() {
    // B-CB-2: PKCE binds the code to the browser that began the login.
    let world = World::start().await;
    let stolen = world.browser().up_to_callback(HOME).await;
    let code = stolen.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let mut victim = world.browser();
    let own = victim.up_to_callback(HOME).await;
    let response = victim.step(edited(&own, |parameters| set(parameters, "code", &code)).as_str()).await;
    begins_no_session(&world, &victim, &response);
    assert_eq!(world.provider.count(Endpoint::UserInfo), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_opened_again_leads_to_the_application_without_a_second_token_request() {
    // B-CB-3
    let world = World::start().await;
    let mut browser = world.browser();
    let callback = browser.up_to_callback("https://paie.test/dossier").await;
    world.expects(&Agent::angela(), "GET /dossier");
    assert_eq!(browser.arrive(callback.as_str()).await.status(), 200);
    for line in ["GET /", "GET /dossier"] {
        world.upstream.tolerates(&Agent::angela(), line);
    }
    let page = browser.arrive(callback.as_str()).await;
    assert_eq!((page.status(), page.logins()), (200, 0), "{:?}", page.hops);
    assert_eq!(world.provider.count(Endpoint::Token), 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_comes_twice_at_once_redeems_its_code_once() {
    // B-CB-15
    let world = World::start().await;
    let mut browser = world.browser();
    let callback = browser.up_to_callback(HOME).await;
    let (mut one, mut two) = (browser.clone(), browser.clone());
    let (first, second) = tokio::join!(one.step(callback.as_str()), two.step(callback.as_str()));
    assert!([&first, &second].iter().any(|response| response.is_redirect()));
    assert_eq!(world.provider.count(Endpoint::Token), 1, "the code is redeemed once");
    assert!(!(one.has_session(PAIE) && two.has_session(PAIE)), "two sessions from one code");
    assert!(one.has_session(PAIE) || two.has_session(PAIE), "the agent gets in");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_login_cookie_is_of_no_use() {
    // B-CB-4: names without the prefix are ignored, and a login cookie opens only for its own state.
    let world = World::start().await;
    let mut attacker = world.browser();
    let callback = attacker.up_to_callback(HOME).await;
    let cookie = attacker.jar.logins(PAIE)[0].clone();
    let unprefixed = cookie.name.trim_start_matches("__Host-");
    let other_state = cookie.name[..cookie.name.len() - 8].to_owned() + "AAAAAAAA";
    for name in [unprefixed, &other_state, &format!("\u{2000}{}", cookie.name), &cookie.name.to_uppercase()] {
        let mut victim = world.browser();
        victim.jar.plant(PAIE, name, &cookie.value);
        let response = victim.step(callback.as_str()).await;
        begins_no_session(&world, &victim, &response);
    }
    assert_eq!(world.provider.count(Endpoint::Token), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_begun_at_another_host_does_not_end_here() {
    // B-CB-5
    let world = World::start().await;
    let mut browser = world.browser();
    let callback = browser.up_to_callback(&format!("https://{DOCS}/")).await;
    for cookie in browser.jar.logins(DOCS).into_iter().cloned().collect::<Vec<_>>() {
        browser.jar.plant(PAIE, &cookie.name, &cookie.value);
    }
    let mut here = callback.clone();
    here.set_host(Some(PAIE)).unwrap();
    let response = browser.step(here.as_str()).await;
    begins_no_session(&world, &browser, &response);
    assert_eq!(world.provider.count(Endpoint::Token), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_changed_in_any_way_is_refused() {
    // B-CB-6
    let world = World::start().await;
    let mut browser = world.browser();
    let callback = browser.up_to_callback(HOME).await;
    let state = state_of(&callback);
    let mut flipped = state.clone().into_bytes();
    flipped[20] = if flipped[20] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let forged = ["", &state[..42], &flipped, &format!("{state}="), &format!(" {state}"), &"x".repeat(4096)];
    for value in forged {
        let url = edited(&callback, |parameters| set(parameters, "state", value));
        let response = browser.clone().step(url.as_str()).await;
        begins_no_session(&world, &browser, &response);
    }
    let missing = edited(&callback, |parameters| parameters.retain(|(name, _)| name != "state"));
    begins_no_session(&world, &browser, &browser.clone().step(missing.as_str()).await);
    assert_eq!(world.provider.count(Endpoint::Token), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_stands_there_twice_is_refused() {
    // B-CB-6, ASVS 15.3.7
    let world = World::start().await;
    let mut browser = world.browser();
    let callback = browser.up_to_callback(HOME).await;
    for name in ["state", "code", "iss"] {
        for second in ["other", callback.query_pairs().find(|(key, _)| key == name).unwrap().1.as_ref()] {
            let url = edited(&callback, |parameters| parameters.push((name.to_owned(), second.to_owned())));
            let mut tab = browser.clone();
            let response = tab.step(url.as_str()).await;
            begins_no_session(&world, &tab, &response);
        }
    }
    assert_eq!(world.provider.count(Endpoint::Token), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fapi2_remove_authorization_response_iss() {
    // B-CB-7: AgentConnect advertises that it always sends `iss`.
    let world = World::start().await;
    world.refuses_login(|script| script.authorization_response = vec![Edit::Remove("iss")]).await;
    assert_eq!(world.provider.count(Endpoint::Token), 0);
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fapi2_invalid_authorization_response_iss() {
    // B-CB-8: simple string comparison (RFC 9207 section 2.4).
    let world = World::start().await;
    let issuer = world.provider.issuer();
    let variants = [
        "https://evil.test".to_owned(),
        String::new(),
        format!("{issuer}/"),
        issuer.to_uppercase(),
        issuer.replace("/api", "/%61pi"),
        issuer.replace("127.0.0.1", "localhost"),
        issuer.replace("http:", "https:"),
    ];
    for iss in variants {
        world.refuses_login(|script| script.authorization_response = vec![Edit::set("iss", iss)]).await;
    }
    assert_eq!(world.provider.count(Endpoint::Token), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_iss_is_not_needed_where_the_provider_does_not_advertise_it() {
    let plan = Plan::new().await;
    plan.provider.misbehave(|script| {
        script.metadata = vec![Edit::Remove("authorization_response_iss_parameter_supported")];
        script.authorization_response = vec![Edit::Remove("iss")];
    });
    let world = plan.start().await;
    world.accepts_login().await;
    // One that comes all the same must be right.
    world.provider.misbehave(|script| {
        script.metadata = vec![Edit::Remove("authorization_response_iss_parameter_supported")];
        script.authorization_response = vec![Edit::set("iss", "https://evil.test")];
    });
    let mut browser = world.browser();
    let page = browser.open(HOME).await;
    assert!(!browser.has_session(PAIE) && page.response.is_own(), "{}", page.status());
    assert_eq!(world.provider.count(Endpoint::Token), 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_provider_becomes_a_page_and_no_loop() {
    // B-CB-10, agentconnect.md section 6.1
    let world = World::start().await;
    for (error, description) in [
        ("access_denied", "requested ACRs could not be satisfied"),
        ("access_denied", "authentication aborted due to invalid identity"),
        ("access_denied", "authentication aborted due to a configuration limitation"),
        ("access_denied", "user authentication aborted"),
        ("login_required", "End-User authentication is required"),
        ("invalid_request", "authentication aborted due to a technical error on the authorization server"),
        ("invalid_scope", "requested scope is not allowed"),
        ("unsupported_response_type", "unsupported response_type requested"),
        ("idp_hint_not_found", "provided idp_hint could not be found"),
        ("server_error", "authentication aborted due to a technical error on the authorization server"),
        ("something_new", ""),
    ] {
        let page = world
            .refuses_login(|script| {
                script.authorization_response =
                    vec![Edit::Remove("code"), Edit::set("error", error), Edit::set("error_description", description)];
            })
            .await;
        assert!(page.response.text().contains("<html"), "{error}: a page for people");
    }
    assert_eq!(world.provider.count(Endpoint::Token), 0);
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_must_come_from_the_provider_too() {
    // An error without its login, or with another issuer, says nothing.
    let world = World::start().await;
    let mut browser = world.browser();
    let response = browser.step(&format!("https://{PAIE}{CALLBACK}?error=access_denied&state=x&iss=y")).await;
    begins_no_session(&world, &browser, &response);
    world
        .refuses_login(|script| {
            script.authorization_response =
                vec![Edit::Remove("code"), Edit::set("error", "access_denied"), Edit::set("iss", "https://evil.test")];
        })
        .await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_and_error_together_are_refused() {
    let world = World::start().await;
    world.refuses_login(|script| script.authorization_response = vec![Edit::set("error", "access_denied")]).await;
    assert_eq!(world.provider.count(Endpoint::Token), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_error_is_escaped() {
    // A12-3
    let world = World::start().await;
    let hostile = r#""><img src=x onerror=alert(1)>{{1234*5678}}<script>alert(1)</script>"#;
    for name in ["error", "error_description", "error_uri", "state", "iss"] {
        let browser = world.browser();
        let callback = browser.clone().up_to_callback(HOME).await;
        for start in [edited(&callback, |p| p.retain(|(key, _)| key == "state" || key == "iss")), callback] {
            let url = edited(&start, |parameters| {
                set(parameters, "error", "access_denied");
                set(parameters, name, hostile);
            });
            let response = browser.clone().step(url.as_str()).await;
            let text = response.text();
            assert!(
                !text.contains("<img") && !text.contains("<script>alert") && !text.contains("7006652"),
                "{name}: {text}"
            );
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_in_the_front_channel_are_never_accepted() {
    // B-CB-11
    let world = World::start().await;
    let mut browser = world.browser();
    let callback = browser.up_to_callback(HOME).await;
    world.accepts_login().await;
    let calls = world.provider.count(Endpoint::Token);
    let token = world.provider.last_id_token();
    for name in ["id_token", "access_token"] {
        let url = edited(&callback, |parameters| {
            parameters.retain(|(key, _)| key != "code");
            set(parameters, name, &token);
        });
        let mut tab = browser.clone();
        let response = tab.step(url.as_str()).await;
        begins_no_session(&world, &tab, &response);
    }
    assert_eq!(world.provider.count(Endpoint::Token), calls);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_by_post_is_not_a_callback() {
    // B-CB-11: form_post is never asked for.
    let world = World::start().await;
    let mut browser = world.browser();
    let callback = browser.up_to_callback(HOME).await;
    let request = Request::new("POST", PAIE, CALLBACK)
        .with("Content-Type", "application/x-www-form-urlencoded")
        .body(callback.query().unwrap());
    let response = browser.send(&callback, request).await;
    assert_eq!(response.status, 405);
    assert!(!browser.has_session(PAIE));
    assert_eq!(world.provider.count(Endpoint::Token), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_took_more_than_an_hour_begins_again() {
    // B-CB-12: AgentConnect's own interaction lives that long.
    let world = World::start().await;
    let mut browser = world.browser();
    let callback = browser.up_to_callback("https://paie.test/dossier").await;
    let kept: Vec<_> = browser.jar.logins(PAIE).into_iter().cloned().collect();
    world.advance(61);
    for cookie in kept {
        // Even a browser that does not forget it.
        browser.jar.plant(PAIE, &cookie.name, &cookie.value);
    }
    let response = browser.step(callback.as_str()).await;
    begins_no_session(&world, &browser, &response);
    assert_eq!(world.provider.count(Endpoint::Token), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_too_late_still_leads_to_the_page_asked_for() {
    let world = World::start().await;
    let error = |callback: &Url| {
        edited(callback, |parameters| {
            parameters.retain(|(name, _)| name != "code");
            set(parameters, "error", "access_denied");
        })
    };
    for late in [Url::clone, error] {
        let mut browser = world.browser();
        let callback = browser.up_to_callback("https://paie.test/dossier?id=7").await;
        world.advance(61);
        world.expects(&Agent::angela(), "GET /dossier?id=7");
        let page = browser.arrive(late(&callback).as_str()).await;
        assert_eq!((page.status(), page.logins()), (200, 1), "{:?}", page.hops);
        assert_eq!(page.url.as_str(), "https://paie.test/dossier?id=7");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_took_fifty_minutes_ends_well() {
    let world = World::start().await;
    let mut browser = world.browser();
    let callback = browser.up_to_callback("https://paie.test/dossier").await;
    world.advance(50);
    world.expects(&Agent::angela(), "GET /dossier");
    let page = browser.arrive(callback.as_str()).await;
    assert_eq!((page.status(), page.url.path(), page.logins()), (200, "/dossier", 0));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_callback_leads_to_the_application_where_a_session_exists() {
    let world = World::start().await;
    let mut browser = world.browser();
    let late = browser.up_to_callback("https://paie.test/premier").await;
    world.log_in(&mut browser, &Agent::angela(), "https://paie.test/second").await;
    for cookie in browser.jar.logins(PAIE).into_iter().map(|cookie| cookie.name.clone()).collect::<Vec<_>>() {
        browser.jar.forget(PAIE, &cookie);
    }
    for line in ["GET /", "GET /premier", "GET /second"] {
        world.upstream.tolerates(&Agent::angela(), line);
    }
    let page = browser.arrive(late.as_str()).await;
    assert_eq!((page.status(), page.logins()), (200, 0), "{:?}", page.hops);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_ended_for_a_login_in_another_tab_ends_nothing_here() {
    let world = World::start().await;
    let gone = |body| Reply::status("401 Unauthorized", "application/json", body);
    let stale = Reply::status("400 Bad Request", "application/json", r#"{"error":"invalid_grant"}"#);
    for (number, late) in ["https://paie.test/late/1", "https://paie.test/late/2"].into_iter().enumerate() {
        let mut browser = world.browser();
        let callback = browser.up_to_callback(late).await;
        world.log_in(&mut browser, &Agent::angela(), HOME).await;
        world.provider.misbehave(|script| match number {
            0 => script.token = stale.clone(),
            _ => script.user_info = gone(r#"{"error":"invalid_token"}"#),
        });
        let answer = browser.step(callback.as_str()).await;
        world.provider.behave();
        assert_eq!((answer.status, answer.location().as_str()), (303, parse(late).path()));
        world.expects(&Agent::angela(), "GET /");
        assert_eq!(browser.open(HOME).await.status(), 200, "the session stays");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_agent_who_logs_in_replaces_the_first() {
    // B-CB-16, A5-2: a login always makes a new session; the identities never mix.
    let world = World::start().await;
    let mut browser = world.browser();
    world.provider.log_in(&Agent::eloise());
    let callback = browser.up_to_callback("https://paie.test/b").await;
    world.log_in(&mut browser, &Agent::angela(), HOME).await;
    let first = browser.jar.session(PAIE)[0].value.clone();
    world.expects(&Agent::eloise(), "GET /b");
    assert_eq!(browser.arrive(callback.as_str()).await.status(), 200);
    assert_ne!(browser.jar.session(PAIE)[0].value, first);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_never_leaves_its_code_in_an_address_shown() {
    // A12-5
    let world = World::start().await;
    let mut browser = world.browser();
    let callback = browser.up_to_callback(HOME).await;
    let response = browser.step(callback.as_str()).await;
    assert!(matches!(response.status, 302 | 303), "{}", response.status);
    assert_eq!(response.header("referrer-policy"), Some("no-referrer"));
    assert!(!response.location().contains("code="));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_at_a_host_without_routes_is_no_callback() {
    let world = World::start().await;
    let response =
        world.send(&navigation(&parse(&format!("https://autre.test{CALLBACK}?code=x&state=y")), "none")).await;
    assert_eq!(response.status, 421);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redirect_path_can_be_configured() {
    let mut plan = Plan::new().await;
    plan.site.set("provider", "redirect_path", r#""/.portillon/retour""#);
    let world = plan.start().await;
    world.provider.state().client.redirect_uris = vec![format!("https://{PAIE}/.portillon/retour")];
    world.expects(&Agent::angela(), "GET /");
    let page = world.browser().open(HOME).await;
    assert!(page.hops.iter().any(|url| url.path() == "/.portillon/retour"), "{:?}", page.hops);
    assert_eq!(page.status(), 200);
    world.finish().await;
}
