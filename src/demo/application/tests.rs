//! The application over real sockets, without a gateway in front: it shows everything and believes nothing.

use super::*;
use crate::demo::browser::{Browser, Page};

async fn start() -> Application {
    // Nobody listens at the gateway's address: there are no keys to be had.
    let settings =
        Settings { gateway: "http://127.0.0.1:1".to_owned(), audience: "demo".to_owned(), clock: Clock::system() };
    Application::start(settings).await.unwrap()
}

async fn get(application: &Application, path: &str, headers: &[(&str, &str)]) -> Page {
    let url = format!("http://{}{path}", application.address());
    let request = headers.iter().fold(Request::get(&url), |request, (name, value)| request.header(*name, *value));
    Browser::default().send(request.body(String::new()), &url).await.unwrap()
}

#[tokio::test]
async fn what_was_received_is_shown_raw_and_decoded() {
    let application = start().await;
    let headers = [
        ("X-Agent-Usual-Name", "L'H%C3%B4pital"),
        ("X-Agent-Given-Name", "Zo%C3%AB%20%3Cb%3E"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("Signature", "portillon=:AA==:"),
        ("Host", "localhost:8080"),
    ];
    let page = get(&application, "/json?a=%2F", &headers).await;
    let report: Report = serde_json::from_slice(&page.body).unwrap();
    assert_eq!((report.path.as_str(), report.query.as_deref()), ("/json", Some("a=%2F")));
    assert_eq!((report.authority.as_str(), report.identity.len()), ("localhost:8080", 2));
    assert_eq!(report.identity("X-Agent-Usual-Name"), Some("L'Hôpital"));
    assert_eq!(report.identity[1].raw, "L'H%C3%B4pital");
    assert_eq!((report.forwarding[0].name.as_str(), report.proof[0].name.as_str()), ("X-Forwarded-For", "Signature"));
    assert!(!report.is_proven(), "nobody vouches for this");
    let text = get(&application, "/dossiers/42", &headers).await.text();
    assert!(text.contains("Bonjour Zoë &lt;b&gt; L&#x27;Hôpital"), "{text}");
    assert!(!text.contains("<b>") && text.contains("à ne pas croire"));
}

#[tokio::test]
async fn a_form_is_echoed_and_a_download_keeps_its_name() {
    let application = start().await;
    let url = format!("http://{}/formulaire", application.address());
    let page = Browser::default().post(&url, &[("motif", "Noël & été")]).await.unwrap();
    assert!(page.text().contains("<dd>Noël &amp; été</dd>"));
    let file = get(&application, "/telechargement", &[]).await;
    assert!(file.headers["content-disposition"].to_str().unwrap().contains("cong%C3%A9s-%C3%A9t%C3%A9.csv"));
    assert_eq!(file.text().lines().count(), 1_001);
}

#[tokio::test]
async fn an_unknown_page_is_said_to_be_one_and_leaving_takes_the_cookie_away() {
    let application = start().await;
    let page = get(&application, "/%3Cb%3E", &[]).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(page.text().contains("<code>/%3Cb%3E</code>") || page.text().contains("&#x2f;%3Cb%3E"));
    let left = get(&application, "/deconnexion", &[]).await;
    assert!(left.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
}

#[tokio::test]
async fn events_end_after_the_last() {
    use http_body_util::BodyExt as _;
    let body = events::stream(Duration::ZERO).into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert_eq!(text.matches("\n\n").count(), 60);
    assert!(text.starts_with("id: 1\ndata: Événement n°\u{a0}1\n\n"));
}
