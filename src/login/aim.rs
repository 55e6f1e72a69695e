//! Where a login is to lead, and what it asks for on the way: what both of its halves must know.

use serde::{Deserialize, Serialize};

use super::return_to::{self, ReturnTo};
use crate::oidc::Wishes;

/// What a login is for.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Aim {
    /// The page to end on.
    pub return_to: ReturnTo,
    /// How often it was restarted because its cookie had not come back.
    pub round: u8,
    /// What it asks the provider for.
    pub wishes: Wishes,
    /// Whether its agent is logged in, but not well enough: a session that does not have its wishes is no use to it.
    pub is_step_up: bool,
}

impl Aim {
    /// To log in and get to this page, by a login that asks for this. Where the two together do not fit the cookie that
    /// keeps them, the page becomes the front page.
    #[must_use]
    pub fn new(return_to: &ReturnTo, wishes: Wishes) -> Self {
        let left = return_to::MOST.saturating_sub(wishes.size());
        Self { return_to: return_to.at_most(left), round: 0, wishes, is_step_up: false }
    }

    /// The same for an agent who is logged in. Where the provider may show nothing, it could only say no.
    #[must_use]
    pub fn as_step_up(self) -> Self {
        let wishes = Wishes { hints: self.wishes.hints.not_silent(), ..self.wishes };
        Self { is_step_up: true, wishes, ..self }
    }

    /// Another try.
    #[must_use]
    pub const fn again(mut self) -> Self {
        self.round = self.round.saturating_add(1);
        self
    }

    /// The same, without a page whose address has more than `length` bytes.
    pub(super) fn at_most(&self, length: usize) -> Self {
        Self { return_to: self.return_to.at_most(length), ..self.clone() }
    }
}
