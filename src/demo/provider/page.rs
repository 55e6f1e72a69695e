//! The provider's pages: French, without anything from elsewhere.

use http::{Response, StatusCode};
use minijinja::{Environment, Value, context};
use url::Url;

use super::authorization::{AuthorizationRequest, OAuthError};
use crate::demo::agents::Agent;
use crate::demo::site::{Body, html};

/// Sends the logout form by itself, as AgentConnect's page does.
pub(super) const SCRIPT: &str = "document.forms[0].submit();\n";

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

    /// Who does the agent want to be? The choice goes to `action`.
    pub(super) fn login(&self, action: &str, asked: &AuthorizationRequest) -> Response<Body> {
        let agents: Vec<_> = Agent::all().iter().map(|agent| card(agent, asked)).collect();
        let redirect_uri = asked.return_to.redirect_uri.as_str();
        let target = origin(redirect_uri);
        let page = self.render("login.html", context! { action, agents, application => &target });
        html(StatusCode::OK, page, &target)
    }

    /// Leaving: the form sends itself to `action`, or waits for its button where there is no JavaScript.
    pub(super) fn end_session(&self, action: &str, id: &str, return_to: Option<&str>) -> Response<Body> {
        let target = return_to.map(origin).unwrap_or_default();
        html(StatusCode::OK, self.render("end_session.html", context! { action, id }), &target)
    }

    /// The end of a logout that nobody asked back from.
    pub(super) fn signed_out(&self) -> Response<Body> {
        self.message(StatusCode::OK, "Vous êtes bien déconnecté", "Votre session est terminée.", None)
    }

    /// An error that only the agent is told.
    pub(super) fn error(&self, error: OAuthError) -> Response<Body> {
        let text = "La demande de connexion ne peut pas aboutir. Revenez à l’application et recommencez.";
        self.message(StatusCode::BAD_REQUEST, "Une erreur est survenue", text, Some(error))
    }

    /// There is nothing here.
    pub(super) fn not_found(&self) -> Response<Body> {
        let error = OAuthError::new("Y000404", "no such page");
        self.message(StatusCode::NOT_FOUND, "Page introuvable", "Cette adresse ne mène nulle part.", Some(error))
    }

    fn message(&self, status: StatusCode, title: &str, text: &str, error: Option<OAuthError>) -> Response<Body> {
        let code = error.map(|error| match error.error {
            code if code.starts_with('Y') => code.to_owned(),
            "session-not-found" => "oidc-provider-error:session-not-found".to_owned(),
            code => format!("oidc-provider-rendered-error:{code}"),
        });
        let description = error.map(|error| error.description);
        html(status, self.render("message.html", context! { title, text, code, description }), "")
    }

    fn render(&self, name: &str, context: Value) -> String {
        let template = self.0.get_template(name).expect("every page has its template");
        template.render(context).expect("the templates use only what they are given")
    }
}

fn card(agent: &Agent, asked: &AuthorizationRequest) -> Value {
    let suggested = asked.login_hint.as_ref().is_some_and(|hint| hint.eq_ignore_ascii_case(agent.email));
    context! {
        id => agent.id,
        name => format!("{} {}", agent.given_name, agent.usual_name),
        email => agent.email,
        organization => agent.organization_label.unwrap_or("Organisation non communiquée"),
        remark => agent.remark,
        suggested,
        refused => !asked.claims.admits(agent.acr),
    }
}

/// The origin of an address that was compared with a registered one, for a page's `form-action`.
fn origin(uri: &str) -> String {
    Url::parse(uri).map(|uri| uri.origin().ascii_serialization()).unwrap_or_default()
}

const TEMPLATES: [(&str, &str); 4] = [
    ("layout.html", include_str!("layout.html")),
    ("login.html", include_str!("login.html")),
    ("end_session.html", include_str!("end_session.html")),
    ("message.html", include_str!("message.html")),
];
