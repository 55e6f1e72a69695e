//! Agents who are logged in, but not as the application wants: what it wants, in words that do not take an expert.

use std::time::Duration;

use super::{AgentView, LogoutForm};
use crate::oidc::{Levels, Wishes};

/// What an application wants of a login.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The levels, of which one is enough.
    pub levels: &'a Levels,
    /// How long ago the agent may have authenticated at most.
    pub max_age: Option<Duration>,
}

impl<'a> From<&'a Wishes> for Wanted<'a> {
    fn from(wishes: &'a Wishes) -> Self {
        Self { levels: &wishes.levels, max_age: wishes.max_age }
    }
}

impl Wanted<'_> {
    /// What the levels come to.
    pub(super) fn strength(&self) -> Strength {
        let Levels { acr, amr } = self.levels;
        let all_of = |known: &[&str]| amr.is_empty() && acr.iter().all(|acr| known.contains(&acr.as_str()));
        match () {
            () if acr.is_empty() && amr.is_empty() => Strength::Any,
            () if all_of(&["eidas3"]) => Strength::Hardware,
            () if all_of(&["eidas2", "eidas3"]) => Strength::Strong,
            () if all_of(&["eidas0-mfa", "eidas1-mfa", "eidas2", "eidas3"]) => Strength::TwoFactors,
            () => Strength::Particular,
        }
    }

    /// The levels by their names, for those who help.
    pub(super) fn exactly(&self) -> Option<String> {
        let levels: Vec<&str> = self.levels.iter().collect();
        (!levels.is_empty()).then(|| levels.join(", "))
    }
}

/// What the levels of AgentConnect mean to who must reach them («niveaux eIDAS»).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Strength {
    /// No level is wanted.
    Any,
    /// A card with its code, or a security key.
    Hardware,
    /// Others, which only those who help can explain.
    Particular,
    /// A device that is the agent's own.
    Strong,
    /// Something besides the password.
    TwoFactors,
}

/// Why a step-up came to nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StepUpFailure {
    /// The agent gave up, or waited too long at the provider.
    Cancelled,
    /// The agent came back without the level, or the provider said that they cannot have it.
    NotReached,
    /// The agent came back from a login that is too long ago.
    NotRecent,
}

impl StepUpFailure {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Cancelled, Self::NotReached, Self::NotRecent];

    /// The stable code of this cause in logs and problem details.
    #[must_use]
    pub const fn reason_code(self) -> &'static str {
        match self {
            Self::Cancelled => "step_up_cancelled",
            Self::NotReached => "step_up_not_reached",
            Self::NotRecent => "step_up_not_recent",
        }
    }
}

/// A step-up that came to nothing.
#[derive(Clone, Debug)]
pub struct StepUpView<'a> {
    /// Why.
    pub cause: StepUpFailure,
    /// Who the agent is still logged in as.
    pub agent: AgentView<'a>,
    /// The application's name.
    pub application: &'a str,
    /// What it wants.
    pub wanted: Wanted<'a>,
    /// The reasons that the rules give.
    pub reasons: &'a [&'a str],
    /// The page asked for: where another try begins.
    pub retry_url: &'a str,
    /// The way to another account.
    pub logout: LogoutForm<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_a_meaning_where_all_of_them_have_it() {
        for (acr, amr, strength) in [
            (&[][..], &[][..], Strength::Any),
            (&["eidas3"], &[], Strength::Hardware),
            (&["eidas2", "eidas3"], &[], Strength::Strong),
            (&["eidas2"], &[], Strength::Strong),
            (&["eidas1-mfa", "eidas3"], &[], Strength::TwoFactors),
            (&["eidas1", "eidas2"], &[], Strength::Particular),
            (&["gold"], &[], Strength::Particular),
            (&[], &["hwk"], Strength::Particular),
            (&["eidas3"], &["hwk"], Strength::Particular),
        ] {
            let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let levels = Levels { acr: set(acr), amr: set(amr) };
            assert_eq!(Wanted { levels: &levels, max_age: None }.strength(), strength, "{acr:?} {amr:?}");
        }
    }
}
