//! Which levels of authentication would let an agent in whom nothing else keeps out: what they are sent back to the
//! provider for.

use super::condition::{Subject, Test};
use super::facts::Facts;
use super::rules::{Block, Rules};
use crate::identity::{ClaimValue, Claims};
use crate::oidc::Levels;

/// A block that names more levels of one kind is not about levels.
const MOST_LEVELS: usize = 32;

/// The most bytes of levels that a request to the provider carries.
const MOST_BYTES: usize = 512;

impl Rules {
    /// The levels with which an agent would be admitted whom no allow block admits as they are: those that hold a block,
    /// every other condition of which holds, and no deny block. Logins of their provider end with one of `accepted`, or
    /// with any where that is empty. None where no level would help.
    ///
    /// A request to the provider says "this and that", never "this or that": of blocks that want levels of one and the same
    /// kind it asks for all, of others for those of the first.
    #[must_use]
    pub fn step_up(&self, facts: &Facts<'_>, accepted: &[String]) -> Option<Levels> {
        let mut wanted = self.allow.iter().filter_map(|block| self.levels_for(block, facts, accepted));
        let first = wanted.next()?;
        let levels = wanted.fold(first, or);
        // Held already, beside others that the block wants gone: nobody can ask for less.
        let is_lacking = !levels.are_held_by(facts.claims);
        (is_lacking && levels.iter().map(str::len).sum::<usize>() <= MOST_BYTES).then_some(levels)
    }

    fn levels_for(&self, block: &Block, facts: &Facts<'_>, accepted: &[String]) -> Option<Levels> {
        let (acr, amr) = (block.values_of("acr"), block.values_of("amr"));
        if acr.is_none() && amr.is_none() {
            return None;
        }
        let acr = acr.map(|acr| acr.into_iter().filter(|acr| is_accepted(acr, accepted)).collect());
        let (acr, amr): (Vec<_>, Vec<_>) = (choices(acr), choices(amr));
        let mut levels = Levels::default();
        for (acr, amr) in acr.iter().flat_map(|acr| amr.iter().map(move |amr| (acr, amr))) {
            let claims = at(facts.claims, *acr, *amr);
            let there = Facts { claims: &claims, ..*facts };
            if block.holds(&there) && !self.deny.iter().any(|deny| deny.holds(&there)) {
                levels.acr.extend(acr.map(str::to_owned));
                levels.amr.extend(amr.map(str::to_owned));
            }
        }
        (!levels.is_empty()).then_some(levels)
    }
}

impl Block {
    /// The values that it accepts of a claim about levels; none where it does not look at that, no value where they are too
    /// many.
    fn values_of(&self, claim: &str) -> Option<Vec<&str>> {
        self.conditions.iter().find_map(|condition| match &condition.test {
            Test::Claim(Subject::Claim(name), values) if name == claim => {
                let values: Vec<&str> = values.texts().take(MOST_LEVELS + 1).collect();
                Some(if values.len() > MOST_LEVELS { Vec::new() } else { values })
            }
            _ => None,
        })
    }
}

fn is_accepted(acr: &str, accepted: &[String]) -> bool {
    accepted.is_empty() || accepted.iter().any(|accepted| accepted == acr)
}

/// Each of these values, or the one choice not to choose.
fn choices(values: Option<Vec<&str>>) -> Vec<Option<&str>> {
    values.map_or_else(|| vec![None], |values| values.into_iter().map(Some).collect())
}

/// What the same agent's claims would be at another level.
fn at(claims: &Claims, acr: Option<&str>, amr: Option<&str>) -> Claims {
    let mut claims = claims.clone();
    if let Some(acr) = acr {
        claims.insert("acr", ClaimValue::Text(acr.to_owned()));
    }
    if let Some(amr) = amr {
        claims.insert("amr", ClaimValue::List(vec![amr.to_owned()]));
    }
    claims
}

/// Both, where they are of one and the same kind.
fn or(mut levels: Levels, others: Levels) -> Levels {
    let one_kind = |levels: &Levels| (!levels.acr.is_empty(), !levels.amr.is_empty());
    let (kind, other) = (one_kind(&levels), one_kind(&others));
    if kind == other && kind != (true, true) {
        levels.acr.extend(others.acr);
        levels.amr.extend(others.amr);
    }
    levels
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use http::Method;

    use super::*;
    use crate::clock::Timestamp;
    use crate::policy::{BlockOrigin, Circumstances, Condition, Value};
    use crate::route::RequestPath;

    type Conditions<'c> = &'c [(&'c str, &'c [&'c str])];

    fn claim((name, values): &(&str, &[&str])) -> Condition {
        if let Some(name) = name.strip_prefix('!') {
            let test = Test::Not(vec![vec![claim(&(name, values))]]);
            return Condition { name: "not".to_owned(), wanted: String::new(), line: 1, test };
        }
        let subject = Subject::Claim(name.trim_start_matches('2').to_owned());
        let values = values.iter().map(|value| Value::Text((*value).to_owned())).collect();
        Condition { name: (*name).to_owned(), wanted: String::new(), line: 1, test: Test::Claim(subject, values) }
    }

    fn blocks(blocks: &[Conditions<'_>]) -> Vec<Arc<Block>> {
        let origin = BlockOrigin { file: Arc::new(PathBuf::from("portillon.toml")), line: 1 };
        let block = |conditions: &Conditions<'_>| Block {
            conditions: conditions.iter().map(claim).collect(),
            reason: None,
            origin: origin.clone(),
        };
        blocks.iter().map(|conditions| Arc::new(block(conditions))).collect()
    }

    /// What these rules would have an agent of the DGFiP come back with who logged in with `eidas1` and `pwd`.
    fn wanted(allow: &[Conditions<'_>], deny: &[Conditions<'_>], accepted: &[&str]) -> String {
        let rules = Rules { allow: blocks(allow), deny: blocks(deny), max_age: None };
        let mut claims = at(&Claims::new("s"), Some("eidas1"), Some("pwd"));
        claims.insert("siret", ClaimValue::Text("dgfip".to_owned()));
        let path = RequestPath::new("/");
        let request = Circumstances { client: None, method: &Method::GET, path: &path, now: Timestamp::default() };
        let accepted: Vec<String> = accepted.iter().map(|acr| (*acr).to_owned()).collect();
        rules.step_up(&request.of(&claims), &accepted).map_or_else(String::new, |levels| levels.to_string())
    }

    const STRONG: (&str, &[&str]) = ("acr", &["eidas2", "eidas3"]);
    const MFA: (&str, &[&str]) = ("2acr", &["eidas1-mfa", "eidas2"]);
    const KEY: (&str, &[&str]) = ("amr", &["hwk", "swk"]);
    const OURS: (&str, &[&str]) = ("siret", &["dgfip"]);
    const THEIRS: (&str, &[&str]) = ("siret", &["dinum"]);

    #[test]
    fn every_level_that_would_admit_is_asked_for() {
        for (allow, expected) in [
            (&[&[STRONG][..]][..], "acr eidas2 or eidas3"),
            (&[&[OURS, STRONG]], "acr eidas2 or eidas3"),
            (&[&[KEY]], "amr hwk or swk"),
            (&[&[STRONG, KEY]], "acr eidas2 or eidas3, and amr hwk or swk"),
            // One that is held already must still be held afterwards.
            (&[&[("acr", &["eidas1"]), KEY]], "acr eidas1, and amr hwk or swk"),
            // Two conditions on one claim.
            (&[&[STRONG, MFA]], "acr eidas2"),
            (&[&[STRONG, ("!acr", &["eidas3"])]], "acr eidas2"),
            // Every block of one kind; of another kind, or of both, those of the first.
            (&[&[("acr", &["eidas1-mfa"])], &[STRONG]], "acr eidas1-mfa or eidas2 or eidas3"),
            (&[&[KEY], &[("amr", &["otp"])]], "amr hwk or otp or swk"),
            (&[&[STRONG], &[KEY]], "acr eidas2 or eidas3"),
            (&[&[KEY], &[STRONG]], "amr hwk or swk"),
            (&[&[STRONG, KEY], &[MFA, KEY]], "acr eidas2 or eidas3, and amr hwk or swk"),
            (&[&[THEIRS, STRONG], &[OURS, MFA]], "acr eidas1-mfa or eidas2"),
        ] {
            assert_eq!(wanted(allow, &[], &[]), expected, "{allow:?}");
        }
    }

    #[test]
    fn nothing_is_asked_for_that_would_not_help() {
        let many: Vec<String> = (0..=MOST_LEVELS).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let long = "x".repeat(MOST_BYTES + 1);
        for allow in [
            &[][..],
            &[&[THEIRS][..]],
            &[&[THEIRS, STRONG]],
            &[&[STRONG, ("!acr", &["eidas2", "eidas3"])]],
            // Of what is absent nothing is known, at any level.
            &[&[STRONG, ("!roles", &["x"])]],
            // No level at all, or one that is only to be avoided.
            &[&[("!acr", &["eidas1"])]],
            &[&[("acr", &[])]],
            &[&[("acr", &many)]],
            &[&[("acr", &[&long])]],
            &[&[]],
        ] {
            assert_eq!(wanted(allow, &[], &[]), "", "{allow:?}");
        }
    }

    #[test]
    fn what_is_held_already_beside_what_must_not_be_is_not_asked_for() {
        let rules = Rules { allow: blocks(&[&[KEY, ("!amr", &["sms"])]]), ..Rules::default() };
        let path = RequestPath::new("/");
        let request = Circumstances { client: None, method: &Method::GET, path: &path, now: Timestamp::default() };
        for (amr, expected) in [(&["pwd", "sms"][..], Some("amr hwk or swk")), (&["pwd", "sms", "hwk"], None)] {
            let mut claims = Claims::new("s");
            claims.insert("amr", ClaimValue::List(amr.iter().map(|amr| (*amr).to_owned()).collect()));
            let levels = rules.step_up(&request.of(&claims), &[]).map(|levels| levels.to_string());
            assert_eq!(levels.as_deref(), expected, "{amr:?}");
        }
    }

    #[test]
    fn a_level_that_a_deny_block_would_refuse_is_not_asked_for() {
        let allow: &[Conditions<'_>] = &[&[STRONG]];
        for (deny, expected) in [
            (&[&[("acr", &["eidas3"][..])][..]][..], "acr eidas2"),
            (&[&[("acr", &["eidas2", "eidas3"])]], ""),
            (&[&[OURS, ("acr", &["eidas2"])]], "acr eidas3"),
            (&[&[THEIRS, ("acr", &["eidas2"])]], "acr eidas2 or eidas3"),
            // It holds whatever the level, and would refuse afterwards too.
            (&[&[OURS]], ""),
            (&[&[("amr", &["pwd"])]], ""),
        ] {
            assert_eq!(wanted(allow, deny, &[]), expected, "{deny:?}");
        }
    }

    #[test]
    fn what_the_provider_is_not_accepted_with_is_not_asked_for() {
        let allow: &[Conditions<'_>] = &[&[STRONG]];
        assert_eq!(wanted(allow, &[], &["eidas1-mfa", "eidas3"]), "acr eidas3");
        assert_eq!(wanted(allow, &[], &["eidas1-mfa"]), "");
        assert_eq!(wanted(&[&[KEY]], &[], &["eidas1-mfa"]), "amr hwk or swk");
    }
}
