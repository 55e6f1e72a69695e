//! The portal: what its page shows of each application.

use serde::Serialize;

use super::wording::shown;
use super::{AgentView, LogoutForm};

/// What `/.portillon/` shows.
#[derive(Clone, Copy, Debug)]
pub struct PortalView<'a> {
    /// Who the agent is.
    pub agent: AgentView<'a>,
    /// Those that they may open, and no others.
    pub applications: &'a [ApplicationView<'a>],
    /// The page about the session.
    pub me_url: &'a str,
    /// The way out.
    pub logout: LogoutForm<'a>,
}

/// An application, as the portal shows it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ApplicationView<'a> {
    /// What agents call it.
    pub name: &'a str,
    /// What it is for.
    pub description: Option<&'a str>,
    /// Where its icon is, on the host of the page.
    pub icon: Option<&'a str>,
    /// Where it begins: an absolute URL.
    pub url: &'a str,
    /// Whether it opens after a stronger login only.
    pub step_up: bool,
}

/// An application of the portal.
#[derive(Debug, Serialize)]
pub(super) struct Application<'a> {
    name: String,
    description: Option<String>,
    url: &'a str,
    step_up: bool,
    icon: Option<&'a str>,
    /// What stands for an icon where there is none.
    initial: String,
}

impl<'a> From<&ApplicationView<'a>> for Application<'a> {
    fn from(application: &ApplicationView<'a>) -> Self {
        let name = shown(application.name);
        Self {
            initial: name
                .chars()
                .find(|character| character.is_alphanumeric())
                .into_iter()
                .flat_map(char::to_uppercase)
                .collect(),
            description: application.description.map(shown),
            url: application.url,
            step_up: application.step_up,
            icon: application.icon,
            name,
        }
    }
}
