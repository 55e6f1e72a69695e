//! `Require` and its sections, as blocks of conditions.

use crate::import::apache::Directive;
use crate::import::draft::Block;

/// Who may enter a location.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Access {
    /// Whether somebody who did not log in may.
    pub(super) everyone: bool,
    /// Whether every agent who logged in may.
    pub(super) agents: bool,
    pub(super) blocks: Vec<Block>,
    /// Rules that were not understood.
    pub(super) unread: Vec<String>,
    /// Whether one of those takes away from what the others give.
    narrowed: bool,
}

/// What the directives of a location say; `user` is the claim that REMOTE_USER holds.
pub(super) fn read(directives: &[Directive], user: &str) -> Access {
    let mut access = Access::default();
    any(directives, user, &mut access);
    merge(&mut access.blocks);
    if access.narrowed {
        access = Access { unread: access.unread, narrowed: true, ..Access::default() };
    }
    access
}

/// One of them suffices.
fn any(directives: &[Directive], user: &str, access: &mut Access) {
    for directive in directives {
        match directive.name.as_str() {
            "require" => require(directive, user, access),
            "requireany" => any(&directive.inner, user, access),
            "requireall" => match all(&directive.inner, user) {
                Some(block) if block.is_empty() => access.agents = true,
                Some(block) => access.blocks.push(block),
                None => access.unread.push("a <RequireAll> that says more than claims and their values".to_owned()),
            },
            "requirenone" | "limit" | "limitexcept" | "if" | "elseif" | "else" => {
                access.unread.push(format!("a <{}>, which takes away from the other rules", directive.name));
                access.narrowed = true;
            }
            _ => {}
        }
    }
}

fn require(directive: &Directive, user: &str, access: &mut Access) {
    match directive.argument(0).map(str::to_ascii_lowercase).as_deref() {
        Some("valid-user") => access.agents = true,
        Some("all") if directive.argument(1) == Some("granted") => access.everyone = true,
        _ => match condition(directive, user) {
            Some(conditions) => access.blocks.extend(conditions.into_iter().map(|condition| vec![condition])),
            None => access.unread.push(format!("Require {}", directive.arguments.join(" "))),
        },
    }
}

/// All of them are needed: one value of each claim, no claim twice.
fn all(directives: &[Directive], user: &str) -> Option<Block> {
    let mut block = Block::new();
    for directive in directives {
        let is_valid_user = directive.argument(0).is_some_and(|word| word.eq_ignore_ascii_case("valid-user"));
        match directive.name.as_str() {
            "require" if is_valid_user => {}
            "require" => match condition(directive, user)?.as_slice() {
                [condition] if block.iter().all(|(claim, _)| *claim != condition.0) => block.push(condition.clone()),
                _ => return None,
            },
            "requireany" => {
                let mut inner = Access::default();
                any(&directive.inner, user, &mut inner);
                merge(&mut inner.blocks);
                match inner.blocks.as_slice() {
                    [one] if inner.unread.is_empty() && !inner.agents && !inner.everyone && one.len() == 1 => {
                        if block.iter().any(|(claim, _)| *claim == one[0].0) {
                            return None;
                        }
                        block.extend(one.clone());
                    }
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
    Some(block)
}

/// The claims of one `Require claim` or `Require user`, of which an agent has one.
fn condition(directive: &Directive, user: &str) -> Option<Block> {
    let values = directive.arguments.get(1..).filter(|values| !values.is_empty())?;
    match directive.argument(0)?.to_ascii_lowercase().as_str() {
        "user" => Some(vec![(user.to_owned(), values.to_vec())]),
        "claim" => {
            let pairs = values.iter().map(|value| pair(value)).collect::<Option<Block>>()?;
            Some(merged(pairs))
        }
        _ => None,
    }
}

/// `name:value`; `name~regex` and `name.path` say more.
fn pair(text: &str) -> Option<(String, Vec<String>)> {
    let at = text.find([':', '~'])?;
    let (name, value) = (&text[..at], &text[at + 1..]);
    let is_plain = text[at..].starts_with(':') && !name.is_empty() && !name.contains('.') && !value.is_empty();
    is_plain.then(|| (name.to_owned(), vec![value.to_owned()]))
}

/// Conditions of one claim as one.
fn merged(pairs: Block) -> Block {
    let mut merged = Block::new();
    for (claim, values) in pairs {
        match merged.iter_mut().find(|(known, _)| *known == claim) {
            Some((_, known)) => known.extend(values),
            None => merged.push((claim, values)),
        }
    }
    merged
}

/// Blocks of one condition on the same claim as one block.
fn merge(blocks: &mut Vec<Block>) {
    let (single, several): (Vec<Block>, Vec<Block>) = blocks.drain(..).partition(|block| block.len() == 1);
    let single = merged(single.into_iter().flatten().collect());
    blocks.extend(single.into_iter().map(|condition| vec![condition]).chain(several));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::apache;

    fn access(text: &str) -> Access {
        read(&apache::read(text).unwrap(), "email")
    }

    fn block(pairs: &[(&str, &[&str])]) -> Block {
        pairs
            .iter()
            .map(|(claim, values)| ((*claim).to_owned(), values.iter().map(|v| (*v).to_owned()).collect()))
            .collect()
    }

    #[test]
    fn one_of_several_is_a_list_of_values() {
        let read = access("Require claim siret:1 siret:2\nRequire claim siret:3\nRequire user a@b.fr");
        assert_eq!(read.blocks, [block(&[("siret", &["1", "2", "3"])]), block(&[("email", &["a@b.fr"])])]);
        assert!(!read.agents && !read.everyone && read.unread.is_empty());
    }

    #[test]
    fn all_of_several_are_conditions_of_one_block() {
        let all = "<RequireAll>\nRequire valid-user\nRequire claim acr:eidas2\n<RequireAny>\nRequire claim siret:1\n\
                   Require claim siret:2\n</RequireAny>\n</RequireAll>";
        assert_eq!(access(all).blocks, [block(&[("acr", &["eidas2"]), ("siret", &["1", "2"])])]);
    }

    #[test]
    fn what_says_more_is_not_read_as_less() {
        for text in [
            "Require claim email~.*@interieur",
            "Require claim a.b:c",
            "Require ip 10.0.0.0/8",
            "Require not user a",
            "Require all denied",
            "<RequireAll>\nRequire claim amr:pwd\nRequire claim amr:mfa\n</RequireAll>",
            "<RequireAll>\nRequire claim siret:1\n<RequireNone>\nRequire claim uid:x\n</RequireNone>\n</RequireAll>",
            "<RequireNone>\nRequire claim uid:x\n</RequireNone>",
            "Require valid-user\n<If \"x\">\nRequire claim uid:x\n</If>",
            "<LimitExcept GET>\nRequire claim uid:x\n</LimitExcept>",
            "<RequireAll>\nRequire ip 10.0.0.0/8\nRequire valid-user\n</RequireAll>",
        ] {
            let read = access(text);
            assert!(
                read.blocks.is_empty() && !read.agents && !read.everyone && read.unread.len() == 1,
                "{text}: {read:?}"
            );
        }
    }
}
