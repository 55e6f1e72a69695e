//! What a template sees. docs/pages.md lists it: a change here is a change there, and for operators.

use serde::Serialize;

use super::contact::Contact;
use super::form::Form;
use super::label::{Labels, claim_label};
use super::portal::Application;
use super::wording::{Wording, duration, shown};
use super::{AgentView, Language, MeView, Message, View};

/// The variables of a template.
#[derive(Debug, Serialize)]
pub(super) struct Context<'a> {
    page: &'static str,
    language: &'static str,
    status: u16,
    title: &'a str,
    /// `title`, `lead`, `advice`, `steps`, `facts`, `action`.
    wording: &'a Wording<'a>,
    labels: &'static Labels,
    request_id: &'a str,
    contact: Option<Contact<'a>>,
    prefix: &'a str,
    portal_url: Option<&'a str>,
    application: Option<String>,
    error: Option<&'static str>,
    agent: Option<Agent>,
    reasons: Vec<String>,
    me: Option<Me<'a>>,
    me_url: Option<&'a str>,
    applications: Vec<Application<'a>>,
    form: Option<Form<'a>>,
    logout: Option<Logout<'a>>,
}

#[derive(Debug, Serialize)]
struct Agent {
    name: String,
    email: Option<String>,
    organization: Option<String>,
    siret: Option<String>,
    idp_id: Option<String>,
}

#[derive(Debug, Serialize)]
struct Me<'a> {
    application_url: &'a str,
    claims: Vec<Claim<'a>>,
    session_age: String,
    idle_left: String,
    absolute_left: String,
}

/// The form that logs the agent out.
#[derive(Debug, Serialize)]
struct Logout<'a> {
    url: &'a str,
    token: &'a str,
}

#[derive(Debug, Serialize)]
struct Claim<'a> {
    /// What people call it; its name where we do not know it.
    label: &'a str,
    header: &'a str,
    value: String,
}

impl<'a> Context<'a> {
    /// The variables of the page that tells `message`, in the words of `wording`.
    pub(super) fn new(message: &'a Message<'a>, view: &View<'a>, wording: &'a Wording<'a>) -> Self {
        let reference = format!("{} {}", subject(view.language), view.request_id);
        Self {
            page: message.page(),
            language: view.language.tag(),
            status: message.status().as_u16(),
            title: &wording.title,
            wording,
            labels: Labels::of(view.language),
            request_id: view.request_id,
            contact: view.contact.map(|contact| Contact::new(contact, &reference)),
            prefix: view.prefix,
            portal_url: Some(view.prefix).filter(|_| view.has_portal),
            application: message.application().map(shown),
            error: message.provider_error(),
            agent: message.agent().map(Agent::from),
            reasons: message.reasons().iter().map(|reason| shown(reason)).collect(),
            me: message.me().map(|me| Me::new(me, view.language)),
            me_url: message.portal().map(|portal| portal.me_url),
            applications: message
                .portal()
                .into_iter()
                .flat_map(|portal| portal.applications)
                .map(Application::from)
                .collect(),
            logout: message.logout().map(|form| Logout { url: form.url, token: form.token }),
            form: message.form().map(|form| Form::new(form, view.language)),
        }
    }
}

impl From<&AgentView<'_>> for Agent {
    fn from(agent: &AgentView<'_>) -> Self {
        Self {
            name: shown(agent.name),
            email: agent.email.map(shown),
            organization: agent.organization.map(shown),
            siret: agent.siret.map(shown),
            idp_id: agent.idp_id.map(shown),
        }
    }
}

impl<'a> Me<'a> {
    fn new(me: &'a MeView<'a>, language: Language) -> Self {
        let claims = me.claims.iter().map(|received| Claim {
            label: claim_label(received.claim, language).unwrap_or(received.claim),
            header: received.header,
            value: shown(received.value),
        });
        Self {
            application_url: me.application_url,
            claims: claims.collect(),
            session_age: duration(me.session_age, language),
            idle_left: duration(me.idle_left, language),
            absolute_left: duration(me.absolute_left, language),
        }
    }
}

/// How an e-mail to the contact begins its subject.
const fn subject(language: Language) -> &'static str {
    match language {
        Language::English => "Reference",
        Language::French => "Référence",
    }
}
