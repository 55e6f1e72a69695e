//! Nothing lost at login: a form that meets an expired session waits for its agent (peers' oldest complaint), and for
//! nobody else.

use crate::harness::browser::{Form, form_post, navigation, parse, target};
use crate::harness::{Agent, Answer, Browser, DOCS, HOME, PAIE, Page, Plan, Request, Response, World};

pub const SAVE: &str = "https://paie.test/dossiers/enregistrer.php?id=7&x=%C3%A9";
pub const URLENCODED: &str = "nom=L%27H%C3%B4pital&motif=un+an%20et+demi&mot_de_passe=tr%C3%A8s-secret";
const STASH: &str = "__Host-portillon-stash";

/// A form as a page of the application's own sends it.
pub fn own_form(url: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Request {
    let url = parse(url);
    Request::new("POST", url.host_str().unwrap(), &target(&url))
        .with("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
        .with("Content-Type", content_type)
        .with("Origin", url.origin().ascii_serialization())
        .with("Referer", "https://paie.test/dossiers/7")
        .with("Sec-Fetch-Mode", "navigate")
        .with("Sec-Fetch-Dest", "document")
        .with("Sec-Fetch-Site", "same-origin")
        .body(body)
}

/// A browser whose session has expired.
pub async fn left_alone(world: &World, agent: &Agent) -> Browser {
    let browser = world.logged_in(agent).await;
    world.advance(61);
    browser
}

/// Sends a form with an expired session: it is kept. Where it can be seen.
pub async fn kept(browser: &mut Browser, form: Request) -> String {
    let answer = browser.send(&parse(SAVE), form).await;
    form_url(&answer).unwrap_or_else(|| panic!("not kept: {} {}", answer.status, answer.said()))
}

fn form_url(answer: &Response) -> Option<String> {
    let said = answer.said();
    let at = said.find("/.portillon/form?id=")?;
    assert_eq!((answer.status, answer.is_own()), (401, true));
    Some(format!("https://{PAIE}{}", said[at..].split('"').next().unwrap()))
}

/// Presses the button of the page that shows a form.
pub async fn click(browser: &mut Browser, page: &Page) -> Response {
    click_to(browser, page, SAVE).await
}

/// The same for a form that went to `url`.
pub async fn click_to(browser: &mut Browser, page: &Page, url: &str) -> Response {
    let request = clicked_to(page, url);
    browser.send(&parse(HOME), request).await
}

/// The click of the page that shows a form, as a browser sends it.
fn clicked(page: &Page) -> Request {
    clicked_to(page, SAVE)
}

fn clicked_to(page: &Page, url: &str) -> Request {
    let form = Form::find(&page.response.text(), &target(&parse(url))).expect("a button that sends the form");
    let (name, value) = &form.fields[0];
    let url = parse(&form.action);
    Request::new("POST", url.host_str().unwrap(), &target(&url))
        .with("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
        .with("Content-Type", "text/plain")
        .with("Origin", "null")
        .with("Sec-Fetch-Mode", "navigate")
        .with("Sec-Fetch-Dest", "document")
        .with("Sec-Fetch-Site", "same-origin")
        .body(format!("{name}={value}\r\n"))
}

pub async fn is_lost(browser: &mut Browser, form: Request) -> Response {
    let answer = browser.send(&parse(SAVE), form).await;
    assert_eq!((answer.status, form_url(&answer)), (401, None));
    assert!(answer.said().contains("Votre saisie est encore dans cet onglet"), "{}", answer.said());
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_shown_after_the_login_and_sent_with_a_click() {
    let world = World::start().await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    let before = world.upstream.count();
    let url = kept(&mut browser, own_form(SAVE, "application/x-www-form-urlencoded", URLENCODED)).await;
    assert_eq!(world.upstream.count(), before, "nothing reaches the application");
    world.advance(5);
    let page = browser.open(&url).await;
    assert_eq!((page.status(), page.logins(), page.url.as_str()), (200, 1, url.as_str()));
    let said = page.said();
    for shown in ["paie", "https://paie.test/dossiers/enregistrer.php", "L'Hôpital", "un an et demi", "5\u{a0}minutes"]
    {
        assert!(said.contains(shown), "{shown} in {said}");
    }
    assert!(!said.contains("très-secret") && said.contains("(masqué)"), "{said}");
    assert_eq!(world.upstream.count(), before, "nothing is sent by looking at it");
    world.expects(&Agent::angela(), &format!("POST {}", target(&parse(SAVE))));
    let answer = click(&mut browser, &page).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "application"));
    let arrived = world.upstream.last();
    assert_eq!(String::from_utf8_lossy(&arrived.body), URLENCODED);
    assert_eq!(arrived.header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(arrived.header("origin"), "https://paie.test");
    assert_eq!(arrived.header("referer"), "https://paie.test/dossiers/7");
    assert_eq!(arrived.header("content-length"), URLENCODED.len().to_string());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_multipart_form_of_three_megabytes_arrives_byte_by_byte() {
    let world = World::start().await;
    let mut browser = left_alone(&world, &Agent::eloise()).await;
    let file: Vec<u8> = (0..3_u32 << 20).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut body = b"--X7\r\nContent-Disposition: form-data; name=\"objet\"\r\n\r\ncong\xc3\xa9s\r\n--X7\r\n\
        Content-Disposition: form-data; name=\"piece\"; filename=\"\xc3\xa9tat.pdf\"\r\n\
        Content-Type: application/pdf\r\n\r\n"
        .to_vec();
    body.extend(&file);
    body.extend(b"\r\n--X7--\r\n");
    let url = kept(&mut browser, own_form(SAVE, "multipart/form-data; boundary=X7", body.clone())).await;
    let page = browser.open(&url).await;
    let said = page.said();
    assert!(said.contains("congés") && said.contains("Fichier «\u{a0}état.pdf\u{a0}», 3\u{a0}Mo"), "{said}");
    world.expects(&Agent::eloise(), &format!("POST {}", target(&parse(SAVE))));
    assert_eq!(click(&mut browser, &page).await.status, 200);
    let arrived = world.upstream.last();
    assert_eq!((arrived.length, arrived.complete), (body.len() as u64, true));
    assert!(arrived.body == body[..arrived.body.len()], "the start of it, as far as it is recorded");
    assert_eq!(arrived.header("content-type"), "multipart/form-data; boundary=X7");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_never_arrive_take_no_room_from_others() {
    let mut plan = Plan::new().await;
    plan.site.set("stash", "max_size", "\"1m\"").set("stash", "max_total", "\"2m\"");
    let world = plan.start().await;
    let mut eloise = world.logged_in(&Agent::eloise()).await;
    let mut angela = left_alone(&world, &Agent::angela()).await;
    let mut waiting = Vec::new();
    for (name, value) in [("Transfer-Encoding", "chunked"), ("Content-Length", "1048576")].repeat(2) {
        let mut connection = world.connect().await;
        let form = own_form(SAVE, "text/x-own", "").with(name, value).with("Expect", "100-continue");
        connection.send(angela.with_cookies(&parse(SAVE), form).to_bytes()).await;
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
        assert_eq!(connection.exactly(interim.len()).await, interim, "it is waited for");
        waiting.push(connection);
    }
    kept(&mut eloise, own_form(SAVE, "text/x-own", "x".repeat(1 << 20))).await;
    is_lost(&mut eloise, own_form(SAVE, "text/x-own", "x".repeat(1 << 20))).await;
    drop(waiting);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_and_expectations_are_kept_too() {
    let world = World::start().await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    let mut bodies = Vec::new();
    let chunked = own_form(SAVE, "text/x-own", "").with("Transfer-Encoding", "chunked");
    let expecting = own_form(SAVE, "text/x-own", "").with("Content-Length", "8").with("Expect", "100-continue");
    for (form, body) in [(chunked, &b"3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n"[..]), (expecting, b"abcdefgh")] {
        let mut connection = world.connect().await;
        connection.send(browser.with_cookies(&parse(SAVE), form.with("Accept-Language", "fr")).to_bytes()).await;
        connection.send(body).await;
        let answer = connection.response("POST").await;
        browser.keep_cookies(&parse(SAVE), &answer);
        bodies.push(form_url(&answer).expect("a form that is kept"));
    }
    for url in bodies {
        let page = browser.open(&url).await;
        assert!(page.said().contains("8\u{a0}octets"), "{}", page.said());
        world.expects(&Agent::angela(), &format!("POST {}", target(&parse(SAVE))));
        click(&mut browser, &page).await;
        assert_eq!(world.upstream.last().body, b"abcdefgh");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_agent_neither_sees_a_form_nor_sends_it() {
    let world = World::start().await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    let url = kept(&mut browser, own_form(SAVE, "application/x-www-form-urlencoded", URLENCODED)).await;
    let owner = {
        let mut owner = browser.clone();
        owner.open(&url).await
    };
    world.provider.log_in(&Agent::eloise());
    let page = browser.open(&url).await;
    assert_eq!((page.status(), page.logins()), (410, 1));
    assert!(!page.said().contains("Hôpital"), "{}", page.said());
    let count = world.upstream.count();
    assert_eq!(click(&mut browser, &owner).await.status, 410);
    assert_eq!(world.upstream.count(), count, "nothing is sent");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_browser_neither_sees_a_form_nor_sends_it() {
    let world = World::start().await;
    let mut other = world.logged_in(&Agent::angela()).await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    let url = kept(&mut browser, own_form(SAVE, "application/x-www-form-urlencoded", URLENCODED)).await;
    let page = browser.open(&url).await;
    kept(&mut other, own_form(SAVE, "application/x-www-form-urlencoded", "a=1")).await;
    assert_eq!(other.open(&url).await.status(), 410);
    let count = world.upstream.count();
    assert_eq!(click(&mut other, &page).await.status, 410, "its own cookie does not help");
    let discard =
        form_post(&parse(&format!("https://{PAIE}/.portillon/form")), &format!("id={}", &url[url.len() - 22..]));
    assert_eq!(other.send(&parse(HOME), discard).await.status, 410);
    assert_eq!(world.upstream.count(), count, "nothing is sent");
    assert_eq!(browser.open(&url).await.status(), 200, "and it is still there");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_is_never_kept() {
    let world = World::start().await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    let form = |site: Option<&str>, origin: Option<&str>| {
        let mut form = own_form(SAVE, "application/x-www-form-urlencoded", "a=1");
        form.fields.retain(|(name, _)| name != "Sec-Fetch-Site" && name != "Origin");
        let given = [("Sec-Fetch-Site", site), ("Origin", origin)];
        let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
        given.fold(form, |form, (name, value)| form.with(name, value))
    };
    let own = "https://paie.test";
    for (site, origin) in [
        (Some("cross-site"), Some("https://evil.test")),
        (Some("cross-site"), Some("null")),
        (Some("same-site"), Some("https://docs.test")),
        (Some("same-origin"), Some("https://evil.test")),
        (Some("none"), Some("https://evil.test")),
        (None, Some("https://evil.test")),
        (None, Some("null")),
        (None, Some("https://paie.test.evil.test")),
        (None, None),
    ] {
        let answer = is_lost(&mut browser, form(site, origin)).await;
        assert!(!answer.head.values("set-cookie").iter().any(|line| line.starts_with(STASH)), "{site:?} {origin:?}");
    }
    for (site, origin) in [(Some("same-origin"), Some("null")), (Some("none"), None), (None, Some(own))] {
        kept(&mut browser, form(site, origin)).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_without_an_expired_session_leaves_a_form() {
    let world = World::start().await;
    let form = || own_form(SAVE, "application/x-www-form-urlencoded", "a=1");
    is_lost(&mut world.browser(), form()).await;
    let mut forged = world.browser();
    is_lost(&mut forged, form().with("Cookie", "__Host-portillon=1AAAA")).await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    let mut copy = browser.clone();
    world.log_out(&mut browser).await;
    is_lost(&mut copy, form()).await;
    world.advance(61);
    is_lost(&mut copy, form()).await;
    is_lost(&mut browser, form()).await;
    let mut script = left_alone(&world, &Agent::eloise()).await;
    let mut fetch = form();
    fetch.fields.retain(|(name, _)| name != "Sec-Fetch-Mode" && name != "Sec-Fetch-Dest");
    let fetch = fetch.with("Sec-Fetch-Mode", "cors").with("Sec-Fetch-Dest", "empty");
    let answer = script.send(&parse(SAVE), fetch).await;
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(!answer.text().contains("form?id="), "{}", answer.text());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_one_too_many_stays_in_the_browser() {
    let mut plan = Plan::new().await;
    plan.site.set("stash", "max_size", "\"1k\"").set("stash", "max_total", "\"3k\"");
    plan.site.route("docs").line("max_body = \"100\"");
    let world = plan.start().await;
    let mut other = world.logged_in(&Agent::eloise()).await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    let form = |size: usize| own_form(SAVE, "application/x-www-form-urlencoded", "x".repeat(size));
    is_lost(&mut browser, form(1025)).await;
    let mut endless = form(0);
    endless.fields.push(("Transfer-Encoding".to_owned(), "chunked".to_owned()));
    let mut connection = world.connect().await;
    connection.send(browser.with_cookies(&parse(SAVE), endless).to_bytes()).await;
    connection.send(format!("800\r\n{}\r\n0\r\n\r\n", "x".repeat(0x800))).await;
    assert_eq!(form_url(&connection.response("POST").await), None);
    for size in [1024, 1024, 10, 10, 10] {
        kept(&mut browser, form(size)).await;
    }
    is_lost(&mut browser, form(10)).await;
    is_lost(&mut other, form(1024)).await;
    world.advance(61);
    kept(&mut other, form(1024)).await;
    let mut docs = world.browser();
    world.log_in(&mut docs, &Agent::angela(), &format!("https://{DOCS}/")).await;
    world.advance(61);
    let url = parse(&format!("https://{DOCS}/x"));
    let answer = docs.send(&url, form_post(&url, &"x".repeat(101))).await;
    assert_eq!(form_url(&answer), None, "its application would not take it");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_the_application_refused_can_be_sent_again_for_an_hour() {
    let world = World::start().await;
    let path = parse(SAVE).path().to_owned();
    let mut browser = left_alone(&world, &Agent::angela()).await;
    let url = kept(&mut browser, own_form(SAVE, "application/x-www-form-urlencoded", "a=1")).await;
    let page = browser.open(&url).await;
    let line = format!("POST {}", target(&parse(SAVE)));
    world.upstream.answer(&path, Answer::bytes("HTTP/1.1 409 Conflict\r\nContent-Length: 5\r\n\r\nretry"));
    world.expects(&Agent::angela(), &line);
    assert_eq!(click(&mut browser, &page).await.status, 409);
    world.advance(2);
    let again = browser.open(&url).await;
    assert!(again.said().contains("il y a 2\u{a0}minutes"), "{}", again.said());
    world.upstream.answer(&path, Answer::text("saved"));
    world.expects(&Agent::angela(), &line);
    assert_eq!(click(&mut browser, &again).await.text(), "saved");
    assert_eq!(world.upstream.last().body, b"a=1");
    world.advance(58);
    let late = browser.open(&url).await;
    assert_eq!((late.status(), late.logins()), (410, 0), "{}", late.said());
    assert_eq!(click(&mut browser, &again).await.status, 410);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_is_down_costs_no_form() {
    let mut plan = Plan::new().await;
    let nobody = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", socket.local_addr().unwrap())
    };
    let there = plan.upstream.origin();
    plan.site.route("paie").upstreams = vec![nobody];
    let mut world = plan.start().await;
    world.provider.log_in(&Agent::angela());
    let mut browser = world.browser();
    assert_eq!(browser.open(HOME).await.status(), 502);
    world.advance(61);
    let url = kept(&mut browser, own_form(SAVE, "application/x-www-form-urlencoded", "a=1")).await;
    let page = browser.open(&url).await;
    assert_eq!(click(&mut browser, &page).await.status, 502);
    let page = browser.open(&url).await;
    assert!(page.said().contains("ne l’a pas encore reçu"), "{}", page.said());
    let mut site = world.site.clone();
    site.route("paie").upstreams = vec![there];
    world.reload(&site).await.unwrap();
    let line = format!("POST {}", target(&parse(SAVE)));
    world.upstream.answer(parse(SAVE).path(), Answer::hang_up());
    world.expects(&Agent::angela(), &line);
    assert_eq!(click(&mut browser, &page).await.status, 502);
    let page = browser.open(&url).await;
    assert!(page.said().contains("Il a été transmis"), "who knows what became of it: {}", page.said());
    world.upstream.answer(parse(SAVE).path(), Answer::text("saved"));
    world.expects(&Agent::angela(), &line);
    assert_eq!(click(&mut browser, &page).await.text(), "saved");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_costs_no_form() {
    let mut world = World::start().await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    let url = kept(&mut browser, own_form(SAVE, "application/x-www-form-urlencoded", URLENCODED)).await;
    for size in [1, 2, 3, 4] {
        kept(&mut browser, own_form(SAVE, "application/x-www-form-urlencoded", "x".repeat(size))).await;
    }
    world.restart().await;
    is_lost(&mut browser, own_form(SAVE, "application/x-www-form-urlencoded", "one too many")).await;
    let page = browser.open(&url).await;
    assert!(page.said().contains("L'Hôpital"), "{}", page.said());
    world.expects(&Agent::angela(), &format!("POST {}", target(&parse(SAVE))));
    assert_eq!(click(&mut browser, &page).await.status, 200);
    assert_eq!(world.upstream.last().body, URLENCODED.as_bytes());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_was_discarded_is_gone() {
    let world = World::start().await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    let url = kept(&mut browser, own_form(SAVE, "application/x-www-form-urlencoded", "a=1")).await;
    let page = browser.open(&url).await;
    let form = Form::find(&page.response.text(), "/.portillon/form").expect("a button that discards it");
    let discard = parse(&format!("https://{PAIE}{}", form.action));
    let mut foreign = form_post(&discard, &form.body());
    foreign.fields.retain(|(name, _)| name != "Sec-Fetch-Site");
    let answer = browser.send(&discard, foreign.with("Sec-Fetch-Site", "cross-site")).await;
    assert_eq!(answer.status, 403);
    let answer = browser.send(&discard, form_post(&discard, &form.body())).await;
    assert_eq!((answer.status, answer.location().as_str()), (303, "/"));
    assert_eq!(browser.open(&url).await.status(), 410);
    assert_eq!(click(&mut browser, &page).await.status, 410);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_goes_where_its_form_goes_and_through_the_rules() {
    let mut world = World::start().await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    let url = kept(&mut browser, own_form(SAVE, "application/x-www-form-urlencoded", "a=1")).await;
    let page = browser.open(&url).await;
    let count = world.upstream.count();
    let elsewhere = Request { line: "POST /autre".to_owned(), ..clicked(&page) };
    assert_eq!(browser.send(&parse(HOME), elsewhere).await.status, 410);
    let mut foreign = clicked(&page);
    foreign.fields.retain(|(name, _)| name != "Sec-Fetch-Site");
    world.upstream.tolerates(&Agent::angela(), &foreign.line);
    browser.send(&parse(HOME), foreign.with("Sec-Fetch-Site", "cross-site")).await;
    let foreign = world.upstream.log().received.last().map(|request| request.body.clone());
    assert_ne!(foreign.as_deref(), Some(&b"a=1"[..]), "another site clicks nothing");
    let mut site = world.site.clone();
    site.route("paie").block("deny", "email = [\"angela.dubois@ministere.test\"]");
    world.reload(&site).await.unwrap();
    assert_eq!(click(&mut browser, &page).await.status, 403);
    assert!(world.upstream.count() <= count + 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_whose_session_has_expired_meanwhile_leads_back_to_its_form() {
    let mut plan = Plan::new().await;
    plan.site.set("session", "idle", "\"20m\"");
    let world = plan.start().await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    let url = kept(&mut browser, own_form(SAVE, "application/x-www-form-urlencoded", "a=1")).await;
    let page = browser.open(&url).await;
    world.advance(21);
    let answer = click(&mut browser, &page).await;
    assert_eq!(form_url(&answer), Some(url.clone()));
    let page = browser.open(&url).await;
    assert_eq!((page.status(), page.logins()), (200, 1));
    world.expects(&Agent::angela(), &format!("POST {}", target(&parse(SAVE))));
    assert_eq!(click(&mut browser, &page).await.status, 200);
    assert_eq!(world.upstream.last().body, b"a=1");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_or_a_form_that_is_not_kept_costs_no_form_that_was_sent() {
    let mut plan = Plan::new().await;
    plan.site.set("session", "idle", "\"20m\"").set("stash", "max_size", "\"1k\"");
    let world = plan.start().await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    let form = |body: &str| own_form(SAVE, "application/x-www-form-urlencoded", body);
    let url = kept(&mut browser, form("a=1")).await;
    for _ in 0..4 {
        kept(&mut browser, form("b=2")).await;
    }
    let line = format!("POST {}", target(&parse(SAVE)));
    let page = browser.open(&url).await;
    world.expects(&Agent::angela(), &line);
    assert_eq!(click(&mut browser, &page).await.status, 200);
    world.advance(21);
    let mut too_long = form("");
    too_long.fields.push(("Transfer-Encoding".to_owned(), "chunked".to_owned()));
    let mut connection = world.connect().await;
    connection.send(browser.with_cookies(&parse(SAVE), too_long).to_bytes()).await;
    connection.send(format!("800\r\n{}\r\n0\r\n\r\n", "x".repeat(0x800))).await;
    assert_eq!(form_url(&connection.response("POST").await), None);
    let answer = click(&mut browser, &page).await;
    assert_eq!(form_url(&answer), Some(url.clone()));
    let page = browser.open(&url).await;
    assert_eq!((page.status(), page.logins()), (200, 1), "{}", page.said());
    world.expects(&Agent::angela(), &line);
    assert_eq!(click(&mut browser, &page).await.status, 200);
    assert_eq!(world.upstream.last().body, b"a=1");
    world.advance(21);
    kept(&mut browser, form("c=3")).await;
    let gone = browser.open(&url).await;
    assert_eq!(gone.status(), 410, "the sixth takes its place: {}", gone.said());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn short_texts_of_an_application_pass_as_they_are() {
    let world = World::start().await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    kept(&mut browser, own_form(SAVE, "application/x-www-form-urlencoded", "a=1")).await;
    world.log_in(&mut browser, &Agent::angela(), HOME).await;
    for body in ["", "hello", "portillon-resend=", "portillon-resend=AAAA\r\n", "x=1\r\nportillon-resend=y\r\n"] {
        world.expects(&Agent::angela(), "POST /notes");
        let answer = browser.send(&parse(HOME), own_form("https://paie.test/notes", "text/plain", body)).await;
        assert_eq!((answer.status, String::from_utf8(world.upstream.last().body).unwrap().as_str()), (200, body));
        assert_eq!(world.upstream.last().header("content-type"), "text/plain");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_sends_itself_once_where_the_configuration_says_so() {
    let mut plan = Plan::new().await;
    plan.site.set("stash", "automatic", "true");
    let world = plan.start().await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    let script = "<script>document.getElementById(\"send\").submit()</script>";
    let mut reloaded = own_form(SAVE, "application/x-www-form-urlencoded", "a=1");
    reloaded.fields.retain(|(name, _)| name != "Sec-Fetch-Site");
    let asked = kept(&mut browser, reloaded.with("Sec-Fetch-Site", "none")).await;
    let url = kept(&mut browser, own_form(SAVE, "application/x-www-form-urlencoded", "a=2")).await;
    let page = browser.open(&asked).await;
    assert!(!page.response.text().contains("<script"), "no page of the application's own sent it");
    let page = browser.open(&url).await;
    assert!(page.response.text().contains(script), "{}", page.response.text());
    world.expects(&Agent::angela(), &format!("POST {}", target(&parse(SAVE))));
    assert_eq!(click(&mut browser, &page).await.status, 200);
    assert!(!browser.open(&url).await.response.text().contains("<script"), "once");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_are_not_kept_where_the_configuration_says_so_or_after_a_logout() {
    let mut plan = Plan::new().await;
    plan.site.set("stash", "enabled", "false");
    let world = plan.start().await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    is_lost(&mut browser, own_form(SAVE, "application/x-www-form-urlencoded", "a=1")).await;
    world.finish().await;

    let world = World::start().await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    let url = kept(&mut browser, own_form(SAVE, "application/x-www-form-urlencoded", "a=1")).await;
    assert_eq!(browser.open(&url).await.status(), 200);
    world.log_out(&mut browser).await;
    let page = browser.open(&url).await;
    assert_eq!((page.status(), page.logins()), (410, 1), "whoever uses the browser next does not find it");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_navigation_to_a_kept_form_begins_a_login() {
    let world = World::start().await;
    let mut browser = left_alone(&world, &Agent::angela()).await;
    let url = kept(&mut browser, own_form(SAVE, "application/x-www-form-urlencoded", "a=1")).await;
    assert_eq!(browser.fetch(&url).await.status, 401);
    assert_eq!(browser.load_image(&url).await.status, 401);
    let response = world.send(&navigation(&parse(&url), "none")).await;
    assert!(response.location().starts_with(&world.provider.issuer()), "{}", response.location());
    world.finish().await;
}
