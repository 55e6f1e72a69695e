//! An agent, as somebody who asks about them describes them: the JSON of userinfo, or claims one by one.

use serde_json::{Map, Value};

use crate::config::Config;
use crate::identity::Claims;
use crate::oidc::{self, LoginError};

/// An agent who was described.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Their claims, as a login would have them.
    pub claims: Claims,
    /// Claims that are malformed, and therefore absent.
    pub dropped: Vec<String>,
    /// Claims without which no login succeeds, and which they do not have.
    pub missing: Vec<String>,
}

/// Why a description is none of an agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A claim on the command line.
    #[error("a claim is NAME=VALUE, such as siret=11004601800013")]
    Claim,
    /// A member of something that is no object.
    #[error("`{0}` is not an object, and has no members")]
    NoObject(String),
    /// No login of theirs would succeed.
    #[error("no login of theirs would succeed: {0}")]
    Login(#[from] LoginError),
}

/// Claims that are lists, even with one element.
const LISTS: [&str; 3] = ["amr", "groups", "roles"];

impl Agent {
    /// The agent with these claims, by the rules of `config`; `provider` is the name of theirs.
    ///
    /// # Errors
    ///
    /// Why no login of theirs would succeed.
    pub fn new(claims: &Map<String, Value>, config: &Config, provider: Option<&str>) -> Result<Self, AgentError> {
        let theirs = config.providers.iter().find(|of| Some(of.settings.name.as_str()) == provider);
        let settings = theirs.or_else(|| config.providers.first()).map(|of| &of.settings);
        let (denied, required) = settings.map_or((&[][..], &[][..]), |known| (&known.denied, &known.required));
        let (agent, dropped) = oidc::described(claims, denied)?;
        let is_there = |name: &str| agent.get(name).is_some() || (name == "sub" && claims.contains_key("sub"));
        let missing = required.iter().filter(|name| !is_there(name)).cloned().collect();
        Ok(Self { claims: agent, dropped, missing })
    }
}

/// Adds the claim that `text` names: `siret=…`, `roles=a` (again for a second one), `custom.grade=A`. A value that is a
/// JSON object or list is one; of a member, also a number, true or false.
///
/// # Errors
///
/// Why it is none.
pub fn add_claim(claims: &mut Map<String, Value>, text: &str) -> Result<(), AgentError> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or(AgentError::Claim)?;
    let way: Vec<&str> = if name.starts_with("custom.") { name.split('.').collect() } else { vec![name] };
    let is_member = way.len() > 1;
    let json =
        serde_json::from_str::<Value>(value).ok().filter(|json| json.is_object() || json.is_array() || is_member);
    let value = json.unwrap_or_else(|| Value::String(value.to_owned()));
    let (last, above) = way.split_last().ok_or(AgentError::Claim)?;
    let mut members = claims;
    for name in above {
        let below = members.entry((*name).to_owned()).or_insert_with(|| Value::Object(Map::new()));
        members = below.as_object_mut().ok_or_else(|| AgentError::NoObject((*name).to_owned()))?;
    }
    match members.get_mut(*last) {
        Some(Value::Array(list)) if LISTS.contains(last) && !value.is_array() => list.push(value),
        _ if LISTS.contains(last) && !value.is_array() => drop(members.insert((*last).to_owned(), vec![value].into())),
        _ => drop(members.insert((*last).to_owned(), value)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_texts_unless_they_are_lists_objects_or_members() {
        let mut claims = Map::new();
        for text in [
            "siret=11004601800013",
            "roles=a",
            "roles=b",
            "amr=[\"pwd\"]",
            "custom.a.b=true",
            "custom.n=3",
            "custom.t=x=y",
            "address={\"country\":\"FR\"}",
            "email_verified=true",
        ] {
            add_claim(&mut claims, text).unwrap();
        }
        let expected = json!({
            "siret": "11004601800013", "roles": ["a", "b"], "amr": ["pwd"], "email_verified": "true",
            "custom": { "a": { "b": true }, "n": 3, "t": "x=y" }, "address": { "country": "FR" },
        });
        assert_eq!(Value::Object(claims.clone()), expected);
        assert!(matches!(add_claim(&mut claims, "siret"), Err(AgentError::Claim)));
        assert!(matches!(add_claim(&mut claims, "custom.n.x=1"), Err(AgentError::NoObject(_))));
    }
}
