//! An answer for programs. docs/rules.md lists its members.

use serde_json::{Value, json};

use super::{Answer, Forwarded};
use crate::policy::{Examined, Finding, Kind, Outcome};

/// The answer in JSON.
#[must_use]
pub fn json(answer: &Answer<'_>) -> Value {
    json!({
        "outcome": answer.outcome.as_str(),
        "allowed": answer.outcome.is_allowed(),
        "route": answer.route.map(|route| json!({
            "name": route.name,
            "host": route.authority.as_str(),
            "path": route.path.as_str(),
            "origin": route.origin.to_string(),
        })),
        "public": answer.public.map(|rule| json!({
            "path": rule.path.as_str(),
            "methods": rule.methods.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })),
        "rules": answer.examined.iter().map(block).collect::<Vec<_>>(),
        "reasons": answer.reasons,
        "step_up": answer.step_up.as_ref().map(|levels| json!({ "acr": levels.acr, "amr": levels.amr })),
        "max_age": answer.route.and_then(|route| route.rules.max_age).map(|max_age| max_age.as_secs()),
        "forwarded": answer.forwarded.as_ref().map(forwarded),
    })
}

fn block(examined: &Examined<'_>) -> Value {
    json!({
        "kind": match examined.kind { Kind::Allow => "allow", Kind::Deny => "deny" },
        "origin": examined.block.origin.to_string(),
        "holds": examined.holds,
        "reason": examined.block.reason,
        "conditions": examined.findings.iter().map(condition).collect::<Vec<_>>(),
    })
}

fn condition(finding: &Finding<'_>) -> Value {
    json!({
        "name": finding.condition.name,
        "line": finding.condition.line,
        "wanted": finding.condition.wanted,
        "outcome": match finding.outcome {
            Outcome::Fails => "fails",
            Outcome::Holds => "holds",
            Outcome::Undecided => "undecided",
        },
        "found": finding.found,
        "hint": finding.hint,
        "within": finding.within.iter().map(|all| all.iter().map(condition).collect()).collect::<Vec<Vec<_>>>(),
    })
}

fn forwarded(forwarded: &Forwarded<'_>) -> Value {
    let headers = forwarded.headers.iter().map(|(name, value)| json!({ "name": name, "value": value }));
    json!({
        "upstream": forwarded.route.upstreams.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "headers": headers.collect::<Vec<_>>(),
        "covered": forwarded.covered,
    })
}
