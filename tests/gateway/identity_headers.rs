//! What an application learns of an agent, and from nobody else (threats.md A1, C-HOP and C-ENC).

use serde_json::json;

use crate::harness::browser::parse;
use crate::harness::identity::{from_percent, percent};
use crate::harness::upstream::Received;
use crate::harness::{Agent, Browser, DOCS, Edit, HOME, PAIE, Plan, Request, Who, World};
use crate::login::{preflight, websocket};

/// Spellings that CGI, PHP, Rack, WSGI or a lax server reads as an identity header.
const SPELLINGS: [&str; 14] = [
    "X-Agent-Email",
    "x-agent-email",
    "X_Agent_Email",
    "x-agent_email",
    "X.Agent.Email",
    "X_AGENT_EMAIL",
    "X-Agent-Email_",
    "X~Agent~Email",
    "X!Agent!Email",
    "X-Agent.Roles",
    "X-Agent-Session",
    "X_Agent_Assertion",
    "X-Agent-",
    "X-Agent-Anything-New",
];

/// Sends a request which may be refused with 400; otherwise it arrives as one of `who`.
async fn sent_or_refused(world: &World, browser: &mut Browser, request: Request, who: &Who) {
    let before = world.upstream.count();
    world.upstream.tolerates(who.clone(), &request.line);
    let status = world.send_as(browser, request.clone()).await.status;
    let arrived = world.upstream.count() - before;
    assert!(arrived == 1 || (arrived == 0 && status == 400), "{status}, {arrived} arrived: {request:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_an_identity_header_passes_with_a_session() {
    // A1-1, A1-2
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for name in SPELLINGS {
        let request = Request::get(PAIE, "/app").with(name, "evil@x.test").with("Accept", "*/*");
        sent_or_refused(&world, &mut browser, request.clone(), &Who::from(&Agent::angela())).await;
        let twice = request.with(&name.to_uppercase(), "evil@y.test");
        sent_or_refused(&world, &mut browser, twice, &Who::from(&Agent::angela())).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_an_identity_header_passes_on_a_public_path() {
    // A1-3
    let world = World::start().await;
    let mut stranger = world.browser();
    for name in SPELLINGS {
        for method in ["GET", "HEAD"] {
            let request = Request::new(method, PAIE, "/public/x").with(name, "evil@x.test");
            sent_or_refused(&world, &mut stranger, request, &Who::Public).await;
        }
    }
    // With a session a public path is public all the same: no identity goes with it.
    let mut browser = world.logged_in(&Agent::angela()).await;
    let request = Request::get(PAIE, "/public/x").with("X-Agent-Email", "evil@x.test");
    sent_or_refused(&world, &mut browser, request, &Who::Public).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_an_identity_header_passes_in_a_preflight() {
    // A1-4
    let mut plan = Plan::new().await;
    plan.site.route("paie").public("/api/", &["OPTIONS"]);
    let world = plan.start().await;
    let mut stranger = world.browser();
    let mut browser = world.logged_in(&Agent::angela()).await;
    for name in SPELLINGS {
        let request = preflight(PAIE, "/api/x").with(name, "evil@x.test");
        sent_or_refused(&world, &mut stranger, request, &Who::Public).await;
        let request = preflight(PAIE, "/app").with(name, "evil@x.test");
        sent_or_refused(&world, &mut browser, request.clone(), &Who::from(&Agent::angela())).await;
        let refused = world.send(&request).await;
        assert!(matches!(refused.status, 400 | 401), "{}", refused.status);
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_an_identity_header_passes_in_a_websocket_handshake() {
    // A1-8
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for name in SPELLINGS {
        let request = websocket(PAIE, "/ws").with(name, "evil@x.test");
        sent_or_refused(&world, &mut browser, request, &Who::from(&Agent::angela())).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_claim_stays_absent_whatever_the_client_says() {
    // A1-5
    let mut plan = Plan::new().await;
    plan.site.ask_for("phone");
    let world = plan.start().await;
    let agent = Agent::angela().without("siret");
    let mut browser = world.logged_in(&agent).await;
    for name in ["X-Agent-Siret", "X-Agent-Siren", "X-Agent-Phone-Number", "X-Agent-Roles"] {
        let request = Request::get(PAIE, "/app").with(name, "13002526500013");
        sent_or_refused(&world, &mut browser, request, &Who::from(&agent)).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_that_a_route_adds_are_reserved_too() {
    let mut plan = Plan::new().await;
    let names =
        [("Remote-User".to_owned(), "email".to_owned()), ("X-Unite".to_owned(), "organizational_unit".to_owned())];
    plan.site.route("paie").headers.extend(names);
    let world = plan.start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for name in ["Remote-User", "REMOTE_USER", "remote.user", "X-Unite", "x_unite"] {
        let request = Request::get(PAIE, "/app").with(name, "evil");
        sent_or_refused(&world, &mut browser, request.clone(), &Who::from(&Agent::angela())).await;
        let mut public = request;
        public.line = "GET /public/x".to_owned();
        sent_or_refused(&world, &mut world.browser(), public, &Who::Public).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_prefix_is_reserved_as_a_whole() {
    let mut plan = Plan::new().await;
    plan.site.header_prefix = "Usager-".to_owned();
    let world = plan.start().await;
    let mut browser = world.logged_in(&Agent::eloise()).await;
    for name in ["Usager-Email", "USAGER_EMAIL", "usager.nouveau"] {
        let request = Request::get(PAIE, "/app").with(name, "evil");
        sent_or_refused(&world, &mut browser, request, &Who::from(&Agent::eloise())).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_header_and_client_signatures_do_not_pass() {
    // A1-9, A1-10
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for (name, value) in [
        ("Proxy", "http://evil.test"),
        ("Signature", "portillon=:AAAA:"),
        ("Signature", "other=:AAAA:"),
        ("Signature-Input", "portillon=(\"@method\");created=1"),
        ("Signature_Input", "portillon=()"),
        ("signature.input", "x=()"),
    ] {
        let request = Request::get(PAIE, "/app").with(name, value);
        sent_or_refused(&world, &mut browser, request.clone(), &Who::from(&Agent::angela())).await;
        let mut public = request;
        public.line = "GET /public/x".to_owned();
        sent_or_refused(&world, &mut world.browser(), public, &Who::Public).await;
    }
    for request in &world.upstream.log().received {
        assert!(!request.head.has("proxy"), "{request:?}");
        assert!(!request.head.fields.iter().any(|(name, _)| name.contains('_') || name.contains('.')), "{request:?}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_field_cannot_take_identity_away() {
    // C-HOP-1
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for value in
        ["close, X-Agent-Email", "x-agent-email", "X-AGENT-SUB,X-Agent-Session", "keep-alive, X-Agent-Assertion"]
    {
        let request = Request::get(PAIE, "/app").with("Connection", value);
        sent_or_refused(&world, &mut browser, request, &Who::from(&Agent::angela())).await;
    }
    let twice = Request::get(PAIE, "/app").with("Connection", "close").with("Connection", "X-Agent-Email");
    sent_or_refused(&world, &mut browser, twice, &Who::from(&Agent::angela())).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_field_cannot_take_what_applications_rely_on_away() {
    // C-HOP-2
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for nominated in [
        "Cookie",
        "Authorization",
        "Signature",
        "Signature-Input",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "Forwarded",
        "Host",
        "Content-Length",
        "Transfer-Encoding",
    ] {
        let before = world.upstream.count();
        world.upstream.tolerates(&Agent::angela(), "POST /app");
        let request = Request::new("POST", PAIE, "/app")
            .with("Authorization", "Basic eDp5")
            .with("Cookie", "own=1")
            .with("Connection", nominated)
            .body("payload");
        let response = world.send_as(&mut browser, request).await;
        if world.upstream.count() == before {
            assert_eq!(response.status, 400, "{nominated}");
            continue;
        }
        let arrived = world.upstream.last();
        assert_eq!(
            (arrived.header("cookie").as_str(), arrived.body.as_slice()),
            ("own=1", &b"payload"[..]),
            "{nominated}"
        );
        assert!(arrived.head.has("authorization") && arrived.head.has("x-forwarded-for"), "{nominated}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hop_by_hop_fields_stay_on_their_hop() {
    // C-HOP-4, C-HOP-5
    let world = World::start().await;
    let answer = "HTTP/1.1 200 OK\r\nConnection: Set-Cookie, X-Own\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\nProxy-Authenticate: Basic\r\n\
                  Trailer: X\r\nX-Own: 1\r\nSet-Cookie: a=1\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok";
    world.upstream.answer("/app", crate::harness::Answer::bytes(answer));
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.expects(&Agent::angela(), "GET /app");
    let request = Request::get(PAIE, "/app")
        .with("TE", "trailers")
        .with("Keep-Alive", "timeout=5")
        .with("Proxy-Connection", "keep-alive")
        .with("Proxy-Authorization", "Basic eDp5")
        .with("Trailer", "X-Agent-Email")
        .with("Upgrade", "h2c");
    let response = world.send_as(&mut browser, request).await;
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    let arrived = world.upstream.last();
    for name in ["te", "keep-alive", "proxy-connection", "proxy-authorization", "trailer", "upgrade"] {
        assert!(!arrived.head.has(name), "{name} went on: {arrived:?}");
    }
    for name in ["keep-alive", "proxy-connection", "proxy-authenticate", "upgrade"] {
        assert!(!response.head.has(name), "{name} came back: {:?}", response.head);
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_in_trailers_does_not_pass() {
    // C-SMUG-6
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    world.expects(&Agent::angela(), "POST /app");
    let request = browser.with_cookies(&parse(HOME), Request::new("POST", PAIE, "/app"));
    let head = String::from_utf8(request.with("Transfer-Encoding", "chunked").to_bytes()).unwrap();
    let body = "3\r\nabc\r\n0\r\nX-Agent-Email: evil@x\r\nX_Agent_Roles: admin\r\nCookie: a=1\r\nHost: evil.test\r\n\
                Content-Length: 9\r\nAuthorization: x\r\n\r\n";
    let mut connection = world.connect().await;
    connection.send(head + body).await;
    assert_eq!(connection.response("POST").await.status, 200);
    let arrived = world.upstream.last();
    assert_eq!((arrived.body.as_slice(), arrived.trailers.len()), (&b"abc"[..], 0), "{:?}", arrived.trailers);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_releases_only_the_claims_it_names() {
    let mut plan = Plan::new().await;
    plan.site.route("paie").release(&["sub", "email"]);
    let world = plan.start().await;
    let mut browser = world.logged_in(&Agent::eloise()).await;
    world.log_in(&mut browser, &Agent::eloise(), &format!("https://{DOCS}/")).await;
    let names: Vec<usize> = world.upstream.log().received.iter().map(identity_fields).collect();
    assert_eq!(names[0], 4, "sub, email, session and assertion");
    assert_eq!(names[1], 10, "the seven claims of the default scope, the SIREN, session and assertion");
    world.finish().await;
}

/// How many identity headers a request carries.
pub fn identity_fields(request: &Received) -> usize {
    request.head.fields.iter().filter(|(name, _)| name.to_ascii_lowercase().starts_with("x-agent-")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_headers_do_not_hold_arrive_byte_for_byte() {
    // C-ENC-1, C-ENC-7
    let world = World::start().await;
    for (given_name, usual_name) in [
        ("Éloïse", "Ñandú"),
        ("Zoë 東京 👩‍🚒", "O’Connor-Müller"),
        ("  spaces  ", "100%,;\"\\"),
        ("\u{202e}bidi", "zero\u{200b}width e\u{301}"),
    ] {
        let agent = Agent::angela().with("given_name", given_name).with("usual_name", usual_name);
        world.logged_in(&agent).await;
        let arrived = world.upstream.last();
        assert_eq!(from_percent(&arrived.header("x-agent-given-name")), given_name);
        assert_eq!(from_percent(&arrived.header("x-agent-usual-name")), usual_name);
        for (name, value) in &arrived.head.fields {
            assert!(value.iter().all(|byte| (0x20..=0x7E).contains(byte)), "{name}: {value:?}");
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_cannot_break_out_of_its_header() {
    // C-ENC-2
    let world = World::start().await;
    for hostile in [
        "a\r\nX-Agent-Roles: admin",
        "a\nb",
        "a\rb",
        "a\0b",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{10a}\u{10d}",
        "\u{560a}\u{560d}",
        "a,b=c;d",
    ] {
        let agent = Agent::angela().with("usual_name", hostile);
        world.provider.log_in(&agent);
        world.upstream.tolerates(&agent, "GET /");
        let page = world.browser().open(HOME).await;
        assert!(matches!(page.status(), 200 | 403), "{hostile:?}: {}", page.status());
        if page.status() == 200 {
            assert_eq!(world.upstream.last().header("x-agent-usual-name"), percent(hostile));
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_without_measure_is_refused_or_whole_but_never_cut() {
    // C-ENC-5
    let mut plan = Plan::new().await;
    plan.site.ask_for("roles");
    let world = plan.start().await;
    let roles: Vec<String> = (0..10_000).map(|number| format!("role-{number}")).collect();
    // A required claim refuses the login; an optional one is absent, like any other that is malformed.
    world.provider.log_in(&Agent::angela().with("usual_name", "é".repeat(100 * 1024)));
    assert!(matches!(world.browser().open(HOME).await.status(), 403 | 502 | 503));
    let agent = Agent::angela().with("roles", json!(roles));
    world.provider.log_in(&agent);
    for possible in [&agent, &Agent::angela()] {
        world.upstream.tolerates(possible, "GET /");
    }
    assert!(matches!(world.browser().open(HOME).await.status(), 200 | 403));
    world.accepts_login().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_objects_and_odd_names_become_headers_as_documented() {
    let mut plan = Plan::new().await;
    for scope in ["roles", "custom", "chorusdt", "phone"] {
        plan.site.ask_for(scope);
    }
    let world = plan.start().await;
    let agent = Agent::angela()
        .with("roles", json!(["agent_public", "a,b"]))
        .with("custom", json!({ "é": 1 }))
        .with("chorusdt:matricule", "USI13")
        .with("phone_number", "+33123456789");
    world.logged_in(&agent).await;
    let arrived = world.upstream.last();
    assert_eq!(arrived.header("X-Agent-Roles"), "agent_public,a%2Cb");
    assert_eq!(arrived.header("X-Agent-Custom"), "{\"%C3%A9\":1}");
    assert_eq!(arrived.header("X-Agent-Chorusdt-Matricule"), "USI13");
    assert_eq!(arrived.header("X-Agent-Phone-Number"), "+33123456789");
    assert_eq!(arrived.header("X-Agent-Siren"), "130025265");
    // An empty list is an empty header: known to be none.
    world.logged_in(&agent.with("roles", json!([]))).await;
    assert_eq!(world.upstream.last().header("X-Agent-Roles"), "");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_encodings_are_there_for_who_asks() {
    for encoding in ["utf8", "latin1"] {
        let mut plan = Plan::new().await;
        plan.site.encoding = encoding;
        // A field value with raw bytes cannot be covered by a signature that every stack computes alike.
        plan.site.routes.iter_mut().for_each(|route| route.sign = vec!["assertion"]);
        let world = plan.start().await;
        world.logged_in(&Agent::eloise()).await;
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acr_and_amr_of_the_login_reach_the_application() {
    let world = World::start().await;
    let agent = Agent::angela().with("acr", "eidas1-mfa").with("amr", json!(["pwd", "mail"]));
    world.logged_in(&agent).await;
    let arrived = world.upstream.last();
    assert_eq!(
        (arrived.header("X-Agent-Acr"), arrived.header("X-Agent-Amr")),
        ("eidas1-mfa".into(), "pwd,mail".into())
    );
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn authorization_of_a_client_is_never_a_login() {
    // C-HDR-6
    let world = World::start().await;
    world.provider.misbehave(|script| script.metadata = vec![Edit::set("scopes_supported", json!(["openid"]))]);
    for value in ["Bearer x", "Basic eDp5", "Negotiate AAAA"] {
        let request = Request::get(PAIE, "/app").with("Authorization", value).with("Accept", "*/*");
        assert_eq!(world.send(&request).await.status, 401, "{value}");
    }
    world.finish().await;
}
