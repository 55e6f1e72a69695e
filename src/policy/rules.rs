//! The `[[route.public]]`, `[[route.deny]]` and `[[route.allow]]` blocks of a route.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use http::Method;

use crate::identity::Claims;
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

/// One condition of a block: the claim is, or as a list holds, one of `any_of`. Bytes are compared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Condition {
    /// The claim's name (`siret`, `acr`, `belonging_population` …).
    pub claim: String,
    /// The values that satisfy it.
    pub any_of: Vec<String>,
}

impl Condition {
    fn holds(&self, claims: &Claims) -> bool {
        self.any_of.iter().any(|wanted| claims.holds(&self.claim, wanted))
    }
}

/// A deny or allow block.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Block {
    /// All of them hold, or the block does not. Never empty.
    pub conditions: Vec<Condition>,
    /// What the agent is told when this block refuses them.
    pub reason: Option<String>,
    /// Where the block stands.
    pub origin: BlockOrigin,
}

impl Block {
    fn holds(&self, claims: &Claims) -> bool {
        self.conditions.iter().all(|condition| condition.holds(claims))
    }
}

/// The deny and allow blocks of a route, in file order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rules {
    /// Wins over `allow`.
    pub deny: Vec<Block>,
    /// Empty: every agent enters.
    pub allow: Vec<Block>,
}

/// Why an agent may not enter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// What to tell the agent: the reason of the deny block that held, else those of the allow blocks that did not,
    /// in file order, each once.
    pub reasons: Vec<String>,
    /// The blocks that decided: the deny block that held, or every allow block.
    pub blocks: Vec<BlockOrigin>,
    /// The claims that decided, each once: those that the deny block is about, or those that no allow block accepted.
    pub claims: Vec<String>,
}

impl Rules {
    /// Whether an agent with these claims may enter.
    pub(super) fn verdict(&self, claims: &Claims) -> Result<(), Refusal> {
        if let Some(block) = self.deny.iter().find(|block| block.holds(claims)) {
            return Err(Refusal::new(std::slice::from_ref(block), |_| true));
        }
        if self.allow.is_empty() || self.allow.iter().any(|block| block.holds(claims)) {
            return Ok(());
        }
        Err(Refusal::new(&self.allow, |condition| !condition.holds(claims)))
    }
}

impl Refusal {
    /// The refusal by `blocks`, because of those of their conditions that are `decisive`.
    fn new(blocks: &[Block], decisive: impl Fn(&Condition) -> bool) -> Self {
        let conditions = blocks.iter().flat_map(|block| &block.conditions).filter(|condition| decisive(condition));
        Self {
            reasons: each_once(blocks.iter().filter_map(|block| block.reason.as_ref())),
            blocks: blocks.iter().map(|block| block.origin.clone()).collect(),
            claims: each_once(conditions.map(|condition| &condition.claim)),
        }
    }
}

fn each_once<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<String> {
    texts.fold(Vec::new(), |mut once, text| {
        if !once.contains(text) {
            once.push(text.clone());
        }
        once
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ClaimValue;

    fn block(line: usize, conditions: &[(&str, &[&str])], reason: Option<&str>) -> Block {
        Block {
            conditions: conditions
                .iter()
                .map(|(claim, any_of)| Condition {
                    claim: (*claim).to_owned(),
                    any_of: any_of.iter().map(|value| (*value).to_owned()).collect(),
                })
                .collect(),
            reason: reason.map(str::to_owned),
            origin: BlockOrigin { file: Arc::new(PathBuf::from("portillon.toml")), line },
        }
    }

    fn agent(siret: Option<&str>) -> Claims {
        let mut claims = Claims::new("s");
        if let Some(siret) = siret {
            claims.insert("siret", ClaimValue::Text(siret.to_owned()));
        }
        claims
    }

    #[test]
    fn without_an_allow_block_every_agent_enters() {
        assert_eq!(Rules::default().verdict(&agent(None)), Ok(()));
    }

    #[test]
    fn an_absent_claim_satisfies_no_condition() {
        let rules = Rules { deny: vec![], allow: vec![block(3, &[("siret", &["1", ""])], None)] };
        assert_eq!(rules.verdict(&agent(Some("1"))), Ok(()));
        assert!(rules.verdict(&agent(Some("2"))).is_err());
        assert!(rules.verdict(&agent(None)).is_err());
    }

    #[test]
    fn deny_wins_and_names_its_block() {
        let rules = Rules {
            deny: vec![block(7, &[("siret", &["1"])], Some("non"))],
            allow: vec![block(3, &[("siret", &["1"])], None)],
        };
        let refusal = rules.verdict(&agent(Some("1"))).unwrap_err();
        assert_eq!(refusal.reasons, ["non"]);
        assert_eq!(refusal.blocks[0].to_string(), "portillon.toml:7");
    }

    #[test]
    fn all_conditions_of_a_block_hold_and_each_reason_is_told_once() {
        let rules = Rules {
            deny: vec![],
            allow: vec![
                block(1, &[("siret", &["1"]), ("acr", &["eidas2"])], Some("niveau")),
                block(5, &[("siret", &["2"])], Some("niveau")),
            ],
        };
        let refusal = rules.verdict(&agent(Some("1"))).unwrap_err();
        assert_eq!(
            (refusal.reasons, refusal.claims),
            (vec!["niveau".to_owned()], vec!["acr".to_owned(), "siret".to_owned()])
        );
        assert_eq!(rules.verdict(&agent(Some("2"))), Ok(()));
    }
}
