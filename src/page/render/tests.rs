//! Every message in both languages, and the templates that operators replace.

use std::collections::{BTreeSet, HashMap};
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::Value;

use super::*;
use crate::crypto::sha256;
use crate::page::{
    AgentView, ApplicationView, FormView, LoginFailure, LogoutForm, LoopCause, MeView, PortalView, ProviderError,
    RefusedView,
};
use crate::stash::{self, Content, Field};

const VIEW: View<'_> = View {
    provider: PROCONNECT,
    language: Language::French,
    format: Format::Html,
    request_id: "0198f2c4-7d1e",
    contact: Some("support-paie@example.gouv.fr"),
    prefix: "/.portillon/",
    has_portal: false,
};

fn pages() -> Pages {
    Pages::new(None).unwrap()
}

fn html(message: &Message<'_>, view: &View<'_>) -> String {
    String::from_utf8(pages().render(message, view).body.to_vec()).unwrap()
}

fn headers(answer: &Answer) -> HashMap<&str, &str> {
    answer.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
}

/// Calls `look` with every message in both languages.
fn each_page(mut look: impl FnMut(&Message<'_>, Language, &str)) {
    for message in sample::messages() {
        for language in Language::ALL {
            look(&message, language, &html(&message, &View { language, ..VIEW }));
        }
    }
}

/// With `PORTILLON_PAGES_OUT` set to a folder, also writes every page there, to be looked at.
#[test]
fn every_message_has_a_whole_page_in_both_languages() {
    let out = std::env::var_os("PORTILLON_PAGES_OUT").map(PathBuf::from);
    let mut number = 0;
    each_page(|message, language, html| {
        let heading = between(html, "<h1>", "</h1>");
        assert!(html.contains(&format!("<html lang=\"{}\">", language.tag())));
        assert!(html.contains(&format!("<title>{heading} – ")), "{heading}");
        assert_eq!(html.matches("<h1>").count(), 1);
        assert_eq!(html.matches("<main>").count(), 1);
        assert!(html.contains(VIEW.request_id));
        assert!(html.contains("mailto:support-paie@example.gouv.fr"));
        assert!(!html.contains("<script") && !html.contains("javascript:") && !html.contains(" style="));
        if let Some(out) = &out {
            number += 1;
            let name = format!("{number:02}-{}-{}.html", message.reason_code(), language.tag());
            fs::write(out.join(name), html).unwrap();
        }
    });
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    text.split_once(start).unwrap().1.split_once(end).unwrap().0
}

#[test]
fn no_page_says_the_same_in_both_languages() {
    let mut seen = BTreeSet::new();
    each_page(|message, language, html| {
        let lead = between(html, "<p class=\"lead\">", "</p>").to_owned();
        assert!(seen.insert((lead.clone(), language.tag(), format!("{message:?}"))));
        let other = if language == Language::French { "en" } else { "fr" };
        assert!(!seen.contains(&(lead, other, format!("{message:?}"))));
    });
}

#[test]
fn pages_run_nothing_load_nothing_and_are_kept_nowhere() {
    let answer = pages().render(&Message::NoRoute, &VIEW);
    let html = std::str::from_utf8(&answer.body).unwrap();
    let style = between(html, "<style>", "</style>");
    let hash = STANDARD.encode(sha256(style.as_bytes()));
    let headers = headers(&answer);
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    for (name, value) in [
        ("content-security-policy", policy.as_str()),
        ("cache-control", "no-store"),
        ("content-type", "text/html; charset=utf-8"),
        ("content-language", "fr"),
        ("vary", "Accept-Language"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(headers.get(name), Some(&value), "{name}");
    }
    assert!(headers.contains_key("permissions-policy"));
    assert!(!headers.contains_key("strict-transport-security") && !headers.contains_key("content-length"));
}

#[test]
fn only_a_form_that_sends_itself_runs_a_script_and_only_that_one() {
    let policy_and_html = |sends_itself| {
        let form = sample::messages().into_iter().find_map(|message| message.form().cloned()).unwrap();
        let answer = pages().render(&Message::Form(FormView { sends_itself, ..form }), &VIEW);
        let html = String::from_utf8(answer.body.to_vec()).unwrap();
        (headers(&answer)["content-security-policy"].to_owned(), html)
    };
    let (policy, html) = policy_and_html(true);
    let hash = STANDARD.encode(sha256(between(&html, "<script>", "</script>").as_bytes()));
    assert!(policy.contains(&format!("script-src 'sha256-{hash}';")), "{policy}");
    let (policy, html) = policy_and_html(false);
    assert!(!policy.contains("script-src") && !html.contains("<script"), "{policy}");
    assert!(policy.contains("form-action 'self' https:;"), "{policy}");
}

#[test]
fn the_logout_form_may_lead_to_the_provider_and_nowhere_odd() {
    let form_action = |provider_origin| {
        let Some(Message::Me(me)) = sample::messages().into_iter().find(|message| message.me().is_some()) else {
            panic!("the samples have one")
        };
        let answer =
            pages().render(&Message::Me(MeView { logout: LogoutForm { provider_origin, ..me.logout }, ..me }), &VIEW);
        between(headers(&answer)["content-security-policy"], "form-action ", ";").to_owned()
    };
    assert_eq!(form_action(None), "'self'");
    assert_eq!(form_action(Some("http://localhost:7000")), "'self' https: http://localhost:7000");
    assert_eq!(form_action(Some("https://x; script-src *")), "'self'");
}

#[test]
fn what_a_client_or_a_provider_sent_is_escaped() {
    let reasons = ["<b>reason</b>"];
    let agent = AgentView { name: "<i>Zoé</i>\u{202e}", ..AgentView::default() };
    let field = |name: &str, value| Field { name: name.to_owned(), value };
    let hostile = "</td><script>\r\u{202e}";
    let fields =
        [field(hostile, stash::Value::Text(hostile.to_owned())), field("x", stash::Value::File(hostile.to_owned(), 1))];
    let content = Content::Fields(fields.to_vec(), 0);
    let samples = sample::messages();
    let form = samples.iter().find_map(|message| message.form().cloned()).unwrap();
    let form = FormView { content: &content, action: "https://a.fr/\"><script>", application: "<u>", ..form };
    let applications = [ApplicationView {
        name: "<b>paie</b>\u{202e}",
        description: Some("\"><script>alert(1)</script>\r"),
        icon: Some("/\"><img src=x onerror=alert(1)>"),
        url: "https://a.fr/?\"><script>",
        step_up: false,
    }];
    let logout = LogoutForm { url: "/\"><script>", token: "\"><script>", provider_origin: None, login_origin: None };
    for message in [
        Message::Form(form),
        Message::UnknownSite { host: "<script>alert(1)</script>\r\nSet-Cookie: x=1" },
        Message::ClaimProblem { claim: "\"><img src=x onerror=alert(1)>", malformed: true },
        Message::Refused(RefusedView { agent, application: "<u>paie</u>", reasons: &reasons, logout }),
        Message::Portal(PortalView { agent, applications: &applications, me_url: "/\"><script>", logout }),
        Message::LoginFailed {
            cause: LoginFailure::from_provider_error("<script>", Some("\"><img>")),
            error: Some(ProviderError::new("<script>")),
            retry_url: "/.portillon/login?return_to=\"><script>alert(1)</script>",
        },
    ] {
        let html = html(&message, &View { contact: Some("\"><script>"), request_id: "<x>", ..VIEW });
        for tag in ["<script", "<img>", "<img src=x", "<b>", "<i>", "<u>", "<x>", "\r", "\u{202e}"] {
            assert!(!html.contains(tag), "{tag}: {html}");
        }
    }
}

#[test]
fn pages_about_the_agent_lead_to_the_portal_where_there_is_one() {
    let link = |message: &Message<'_>, has_portal| {
        html(message, &View { has_portal, ..VIEW }).contains("<a href=\"&#x2f;.portillon&#x2f;\">")
    };
    for message in sample::messages() {
        let about_agent = message.me().is_some() || matches!(message, Message::Refused(_));
        assert_eq!((link(&message, true), link(&message, false)), (about_agent, false), "{message:?}");
    }
}

#[test]
fn a_host_that_never_ends_does_not_fill_the_page() {
    let host = "a".repeat(100_000);
    assert!(html(&Message::UnknownSite { host: &host }, &VIEW).len() < 20_000);
}

#[test]
fn a_form_sent_without_a_session_is_told_that_nothing_was_sent() {
    let html = html(&Message::SessionEnded { login_url: "/.portillon/login?return_to=%2F" }, &VIEW);
    assert!(html.contains("Votre session a expiré") && html.contains("Rien n’a été envoyé"));
    assert!(html.contains("target=\"_blank\" rel=\"noopener\""));
}

#[test]
fn a_script_gets_problem_details() {
    let login_url = "https://paie.example/.portillon/login?return_to=%2F";
    let view = View { format: Format::Problem, request_id: "a b", ..VIEW };
    let answer = pages().render(&Message::Unauthenticated { login_url }, &view);
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(headers(&answer)["content-type"], "application/problem+json");
    assert_eq!(headers(&answer)["www-authenticate"], "Cookie realm=\"portillon\"");
    assert_eq!(problem["type"], "about:blank");
    assert_eq!(problem["title"], "Unauthorized");
    assert_eq!(problem["status"], 401);
    assert_eq!(problem["code"], "unauthenticated");
    assert_eq!(problem["login_url"], login_url);
    assert_eq!(problem["instance"], "a%20b");
    assert_eq!(problem["detail"], "Connexion nécessaire. Cette adresse est réservée aux agents connectés.");
}

#[test]
fn a_refusal_tells_a_script_why_and_whom_to_ask() {
    let refusal = sample::messages().into_iter().find(|message| !message.reasons().is_empty()).unwrap();
    let answer = pages().render(&refusal, &View { format: Format::Problem, ..VIEW });
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (answer.status, &problem["code"], &problem["application"]),
        (StatusCode::FORBIDDEN, &"refused".into(), &"paie".into())
    );
    assert_eq!(problem["reasons"][1], "Cette application n’est pas ouverte aux stagiaires.");
    assert_eq!(problem["contact"], "support-paie@example.gouv.fr");
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(!text.contains("Zoé") && !text.contains("token"), "who the agent is, is for the agent: {text}");
}

#[test]
fn what_is_no_problem_is_a_page_for_a_script_too() {
    let answer = pages().render(
        &Message::SignedOut { everywhere: false, application_url: "/" },
        &View { format: Format::Problem, ..VIEW },
    );
    assert_eq!(headers(&answer)["content-type"], "text/html; charset=utf-8");
}

#[test]
fn an_image_gets_a_status_and_nothing_else() {
    let answer = pages().render(&Message::Unauthenticated { login_url: "/" }, &View { format: Format::Bare, ..VIEW });
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.body.is_empty());
    assert!(!headers(&answer).contains_key("content-type"));
    assert_eq!(headers(&answer)["cache-control"], "no-store");
}

#[test]
fn a_status_that_asks_for_a_field_has_it() {
    let allow = pages().render(&Message::MethodNotAllowed { allow: "POST" }, &VIEW);
    assert_eq!(headers(&allow)["allow"], "POST");
    let unavailable = pages().render(&Message::ProviderUnavailable { retry_url: "/" }, &VIEW);
    assert!(headers(&unavailable).contains_key("retry-after"));
}

#[test]
fn reason_codes_tell_messages_apart() {
    let codes: BTreeSet<_> = sample::messages().iter().map(Message::reason_code).collect();
    // `Form`, `FormKept`, `Me`, `Portal`, `Refused` and `SignedOut` stand twice among the samples, `StepUpNeeded` for each strength.
    assert_eq!(codes.len() + 6 + 4, sample::messages().len());
    assert!(codes.iter().all(|code| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
    assert_eq!(Message::LoginLoop { cause: LoopCause::Key, retry_url: "/" }.reason_code(), "login_loop_key");
}

mod replaced {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    fn refusal(files: &[(&str, &str)]) -> String {
        let folder = folder(files);
        let error = Pages::new(Some(folder.path())).unwrap_err().to_string();
        error.replace(&format!("{}/", folder.path().display()), "")
    }

    #[test]
    fn a_file_of_the_same_name_replaces_ours() {
        let folder = folder(&[
            ("no-route.html", "{% extends 'layout.html' %}{% block content %}Bonjour {{ status }}{% endblock %}"),
            ("style.css", "p { color: red }\r\n"),
            ("README", "not a template"),
        ]);
        let pages = Pages::new(Some(folder.path())).unwrap();
        let answer = pages.render(&Message::NoRoute, &VIEW);
        let html = std::str::from_utf8(&answer.body).unwrap();
        assert!(html.contains("Bonjour 404") && html.contains("<style>p { color: red }\n</style>"));
        let expected = PagePolicy::new("p { color: red }\n").of(&Message::NoRoute);
        assert_eq!(headers(&answer)["content-security-policy"], expected.to_str().unwrap());
        let other = pages.render(&Message::Internal, &VIEW);
        assert!(!std::str::from_utf8(&other.body).unwrap().contains("Bonjour"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_file_and_line() {
        let syntax = refusal(&[("notice.html", "<p>\n{% if %}")]);
        assert!(syntax.starts_with("notice.html:2: syntax error"), "{syntax}");
        let unknown = refusal(&[("layout.html", "<p>\n\n{{ titel }}")]);
        assert!(unknown.starts_with("layout.html:3: undefined value"), "{unknown}");
        let part = refusal(&[("notice.html", "{% include '_mine.html' %}"), ("_mine.html", "\n{{ nobody.name }}")]);
        assert!(part.starts_with("_mine.html:2: undefined value"), "{part}");
        let missing = refusal(&[("notice.html", "{% include '_absent.html' %}")]);
        assert!(missing.starts_with("notice.html:1: "), "{missing}");
        let language = refusal(&[("me.html", "{% if language == 'en' %}\n{{ x }}{% endif %}")]);
        assert!(language.starts_with("me.html:2: undefined value"), "{language}");
    }

    #[test]
    fn a_name_that_no_page_has_is_an_error() {
        let error = refusal(&[("no-rout.html", "x")]);
        assert!(
            error.starts_with("no-rout.html: no page has this name; pages are ") && error.contains("no-route.html")
        );
        assert!(refusal(&[("styles.css", "x")]).contains("style.css"));
        assert_eq!(refusal(&[("style.css", "p{}</style>")]), "style.css: a style cannot contain `</`");
        let absent = Pages::new(Some(Path::new("/nonexistent/pages"))).unwrap_err();
        assert_eq!(absent.to_string(), "/nonexistent/pages: cannot be read");
    }

    #[test]
    fn a_template_that_fails_on_a_message_costs_nobody_their_page() {
        let source = "{% if request_id == 'bad' %}{{ 1 / 0 }}{% endif %}mine";
        let folder = folder(&[("no-route.html", source)]);
        let pages = Pages::new(Some(folder.path())).unwrap();
        let body = |request_id| pages.render(&Message::NoRoute, &View { request_id, ..VIEW }).body;
        assert_eq!(body("good"), "mine");
        assert!(std::str::from_utf8(&body("bad")).unwrap().contains("Page introuvable"));
    }

    #[test]
    fn every_page_can_be_replaced_by_its_name() {
        for message in sample::messages() {
            let folder = folder(&[(&format!("{}.html", message.page()), "mine")]);
            let pages = Pages::new(Some(folder.path())).unwrap();
            assert_eq!(pages.render(&message, &VIEW).body, "mine", "{}", message.page());
        }
    }

    #[test]
    fn the_documents_name_every_template_and_every_variable() {
        let documents = include_str!("../../../docs/pages.md");
        for name in Templates::names() {
            assert!(documents.contains(&format!("`{name}`")), "{name}");
        }
        let wording = Wording::new(&Message::NoRoute, Language::French, "ProConnect");
        let context = serde_json::to_value(Context::new(&Message::NoRoute, &VIEW, &wording)).unwrap();
        for variable in context.as_object().unwrap().keys().filter(|variable| *variable != "wording") {
            assert!(documents.contains(&format!("| `{variable}` |")), "{variable}");
        }
    }
}
