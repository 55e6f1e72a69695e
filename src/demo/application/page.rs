//! The application's pages: French, and as plain as intranets are.

use http::{Response, StatusCode};
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};

use super::report::Report;
use crate::demo::site::{Body, html};

/// Shows events as they come.
pub(super) const SCRIPT: &str = include_str!("events.js");

/// The compiled templates.
#[derive(Debug)]
pub(super) struct Pages(Environment<'static>);

impl Pages {
    /// Compiles the templates.
    pub(super) fn new() -> Self {
        let mut environment = Environment::new();
        for (name, template) in TEMPLATES {
            environment.add_template(name, template).expect("the built-in templates compile");
        }
        Self(environment)
    }

    /// What was received.
    pub(super) fn front(&self, report: &Report) -> Response<Body> {
        let name = report.identity("X-Agent-Given-Name").zip(report.identity("X-Agent-Usual-Name"));
        let name = name.map(|(given, usual)| format!("{given} {usual}"));
        self.page(StatusCode::OK, "front.html", context! { report => Serde(report), name })
    }

    /// A form, and what was sent with it.
    pub(super) fn form(&self, sent: &[(String, String)]) -> Response<Body> {
        self.page(StatusCode::OK, "form.html", context! { sent => Serde(sent) })
    }

    /// Events as they come.
    pub(super) fn events(&self) -> Response<Body> {
        self.page(StatusCode::OK, "events.html", context! {})
    }

    /// After the application's own logout.
    pub(super) fn left(&self) -> Response<Body> {
        self.page(StatusCode::OK, "left.html", context! {})
    }

    /// There is nothing at `path`.
    pub(super) fn not_found(&self, path: &str) -> Response<Body> {
        self.page(StatusCode::NOT_FOUND, "not_found.html", context! { path })
    }

    fn page(&self, status: StatusCode, name: &str, context: Value) -> Response<Body> {
        let template = self.0.get_template(name).expect("every page has its template");
        html(status, template.render(context).expect("the templates use only what they are given"), "")
    }
}

const TEMPLATES: [(&str, &str); 6] = [
    ("layout.html", include_str!("layout.html")),
    ("front.html", include_str!("front.html")),
    ("form.html", include_str!("form.html")),
    ("events.html", include_str!("events.html")),
    ("left.html", include_str!("left.html")),
    ("not_found.html", include_str!("not_found.html")),
];
