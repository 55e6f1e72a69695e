//! What pages show of an agent and of what is theirs: who they are, what an application receives of them, why they do not
//! get in, a form of theirs, the way out.

use std::time::Duration;

use crate::stash::Content;

/// An agent, as a page shows them.
#[derive(Clone, Copy, Debug, Default)]
pub struct AgentView<'a> {
    /// Given and usual name.
    pub name: &'a str,
    /// E-mail address.
    pub email: Option<&'a str>,
    /// `organization_label`.
    pub organization: Option<&'a str>,
    /// `siret`.
    pub siret: Option<&'a str>,
    /// `idp_id`: the identity provider that vouched for them.
    pub idp_id: Option<&'a str>,
}

/// One claim that an application receives.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedClaim<'a> {
    /// The claim's name (`usual_name`).
    pub claim: &'a str,
    /// The header it goes out in (`X-Agent-Usual-Name`).
    pub header: &'a str,
    /// Its value, as a person reads it.
    pub value: &'a str,
}

/// What `/.portillon/me` shows.
#[derive(Clone, Debug)]
pub struct MeView<'a> {
    /// Who the agent is.
    pub agent: AgentView<'a>,
    /// The application's name.
    pub application: &'a str,
    /// The application's address.
    pub application_url: &'a str,
    /// Exactly what this application receives.
    pub claims: &'a [ReceivedClaim<'a>],
    /// Time since the login.
    pub session_age: Duration,
    /// Time left without a request.
    pub idle_left: Duration,
    /// Time left whatever happens.
    pub absolute_left: Duration,
    /// The way out.
    pub logout: LogoutForm<'a>,
}

/// A form that logs the agent out.
#[derive(Clone, Copy, Debug)]
pub struct LogoutForm<'a> {
    /// Where it goes.
    pub url: &'a str,
    /// What it carries, in a field called `token`.
    pub token: &'a str,
    /// The origin of the `end_session_endpoint`, where logging out goes there.
    pub provider_origin: Option<&'a str>,
    /// The origin of the login host that a logout passes, where that is another one.
    pub login_origin: Option<&'a str>,
}

/// Why an agent does not get in.
#[derive(Clone, Debug)]
pub struct RefusedView<'a> {
    /// Who they are logged in as.
    pub agent: AgentView<'a>,
    /// The application's name.
    pub application: &'a str,
    /// The reasons that the rules give.
    pub reasons: &'a [&'a str],
    /// The way to another account.
    pub logout: LogoutForm<'a>,
}

/// A form that was kept.
#[derive(Clone, Debug)]
pub struct FormView<'a> {
    /// The application's name.
    pub application: &'a str,
    /// Where it goes: an absolute URL on the agent's host.
    pub action: &'a str,
    /// What is in it.
    pub content: &'a Content,
    /// Time since it was sent first.
    pub age: Duration,
    /// Time that it is still kept.
    pub left: Duration,
    /// Time since it was sent on, where it was.
    pub sent: Option<Duration>,
    /// The name of the field that carries `id`.
    pub field: &'static str,
    /// What names it.
    pub id: &'a str,
    /// Where the form that discards it goes; `id` is in a field called `id`.
    pub discard_url: &'a str,
    /// Whether the page sends it without being asked.
    pub sends_itself: bool,
}
