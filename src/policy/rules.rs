//! The `[[route.public]]`, `[[route.deny]]` and `[[route.allow]]` blocks of a route.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::condition::{Condition, Outcome};
use super::facts::Facts;
use crate::route::{PathPrefix, RequestPath};

/// A `[[route.public]]` block: passes without a session and without identity.
#[derive(Clone, Debug)]
pub struct PublicRule {
    /// Absolute on the host, by segment, case-sensitive.
    pub path: PathPrefix,
    /// `GET` and `HEAD` unless configured otherwise.
    pub methods: Vec<Method>,
}

impl PublicRule {
    /// Whether this rule lets a request for `path` by `method` pass.
    #[must_use]
    pub fn admits(&self, method: &Method, path: &RequestPath<'_>) -> bool {
        self.methods.contains(method) && self.path.contains(path)
    }
}

/// Where a block stands, for those who must act on a refusal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BlockOrigin {
    /// The file, as the operator named it.
    pub file: Arc<PathBuf>,
    /// The line of the block's header, from 1.
    pub line: usize,
}

impl fmt::Display for BlockOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A deny or allow block.
#[derive(Clone, Debug)]
pub struct Block {
    /// All of them hold, or the block does not. A block without any holds for nobody.
    pub conditions: Vec<Condition>,
    /// What the agent is told when this block refuses them.
    pub reason: Option<String>,
    /// Where the block stands.
    pub origin: BlockOrigin,
}

impl Block {
    /// Whether all of its conditions hold.
    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        let all = self.conditions.iter().all(|condition| condition.outcome(facts) == Outcome::Holds);
        all && !self.conditions.is_empty()
    }
}

/// The deny and allow blocks of a route, in file order. Routes that name a set of rules share its blocks.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Wins over `allow`.
    pub deny: Vec<Arc<Block>>,
    /// Empty: every agent enters.
    pub allow: Vec<Arc<Block>>,
    /// How long ago who enters may have authenticated at most; none: as long as their session lasts.
    pub max_age: Option<Duration>,
}

/// Why an agent may not enter: the blocks that decided.
#[derive(Clone, Copy, Debug)]
pub enum Refusal<'r> {
    /// This deny block holds.
    Denied(&'r Block),
    /// None of these allow blocks holds.
    NotAllowed(&'r [Arc<Block>]),
    /// They may enter, but authenticated longer ago than they may have.
    Outdated,
}

impl Rules {
    /// Whether an agent may enter.
    ///
    /// # Errors
    ///
    /// The [`Refusal`] that names what refused them.
    pub fn verdict(&self, facts: &Facts<'_>) -> Result<(), Refusal<'_>> {
        if let Some(block) = self.deny.iter().find(|block| block.holds(facts)) {
            return Err(Refusal::Denied(block));
        }
        if self.allow.is_empty() || self.allow.iter().any(|block| block.holds(facts)) {
            return Ok(());
        }
        Err(Refusal::NotAllowed(&self.allow))
    }

    /// Whether one of them looks at the path.
    #[must_use]
    pub fn read_path(&self) -> bool {
        self.deny.iter().chain(&self.allow).flat_map(|block| &block.conditions).any(Condition::reads_path)
    }
}

impl<'r> Refusal<'r> {
    /// The blocks that decided: the deny block that held, or every allow block.
    pub fn blocks(self) -> impl Iterator<Item = &'r Block> {
        let (denied, not_allowed) = match self {
            Self::Denied(block) => (Some(block), &[][..]),
            Self::NotAllowed(blocks) => (None, blocks),
            Self::Outdated => (None, &[][..]),
        };
        denied.into_iter().chain(not_allowed.iter().map(AsRef::as_ref))
    }

    /// What to tell the agent: the reason of the deny block that held, else those of the allow blocks that did not, in
    /// file order, each once.
    #[must_use]
    pub fn reasons(self) -> Vec<&'r str> {
        each_once(self.blocks().filter_map(|block| block.reason.as_deref()))
    }

    /// The conditions that decided, each once: those of the deny block, or those that kept allow blocks from holding.
    #[must_use]
    pub fn conditions(self, facts: &Facts<'_>) -> Vec<&'r str> {
        let denied = matches!(self, Self::Denied(_));
        let conditions = self.blocks().flat_map(|block| &block.conditions);
        let decisive = conditions.filter(|condition| denied || condition.outcome(facts) != Outcome::Holds);
        each_once(decisive.map(|condition| condition.name.as_str()))
    }
}

fn each_once<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    texts.fold(Vec::new(), |mut once, text| {
        if !once.contains(&text) {
            once.push(text);
        }
        once
    })
}

#[cfg(test)]
mod tests;
