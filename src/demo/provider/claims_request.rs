//! The `claims` parameter (OpenID Connect Core 1.0 section 5.5), as far as AgentConnect reads it.

use serde_json::{Map, Value};

/// What was asked of the ID token.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct ClaimsRequest {
    /// `acr` was asked for.
    pub(super) acr: bool,
    /// The levels of which one is essential; none: any level will do.
    pub(super) essential_acr: Option<Vec<String>>,
    /// `amr` was asked for.
    pub(super) amr: bool,
    /// Every other claim asked for by name.
    pub(super) others: Vec<String>,
}

/// The parameter is not what section 5.5 describes.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Malformed;

impl ClaimsRequest {
    /// Reads the parameter: a JSON object with `id_token`, `userinfo` or both.
    pub(super) fn parse(text: &str) -> Result<Self, Malformed> {
        let Ok(Value::Object(members)) = serde_json::from_str(text) else { return Err(Malformed) };
        if !members.contains_key("id_token") && !members.contains_key("userinfo") {
            return Err(Malformed);
        }
        // What userinfo releases is decided by scope alone; the member must still be well-formed.
        object_of_requests(members.get("userinfo"))?;
        let id_token = object_of_requests(members.get("id_token"))?;
        let named = |name: &str| id_token.contains_key(name);
        Ok(Self {
            acr: named("acr"),
            essential_acr: essential_values(id_token.get("acr"))?,
            amr: named("amr"),
            others: id_token.keys().filter(|name| !matches!(name.as_str(), "acr" | "amr")).cloned().collect(),
        })
    }

    /// Whether an agent at this level may log in: exact membership, no order between levels.
    pub(super) fn admits(&self, acr: &str) -> bool {
        self.essential_acr.as_ref().is_none_or(|levels| levels.iter().any(|level| level == acr))
    }
}

fn object_of_requests(member: Option<&Value>) -> Result<Map<String, Value>, Malformed> {
    let requests = match member {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(requests)) => requests.clone(),
        Some(_) => return Err(Malformed),
    };
    let well_formed = requests.values().all(|request| request.is_null() || request.is_object());
    well_formed.then_some(requests).ok_or(Malformed)
}

fn essential_values(request: Option<&Value>) -> Result<Option<Vec<String>>, Malformed> {
    let Some(Value::Object(request)) = request else { return Ok(None) };
    if request.get("essential") != Some(&Value::Bool(true)) {
        return Ok(None);
    }
    match (request.get("value"), request.get("values")) {
        (Some(Value::String(level)), None) => Ok(Some(vec![level.clone()])),
        (None, Some(Value::Array(levels))) => levels
            .iter()
            .map(|level| Some(level.as_str()?.to_owned()))
            .collect::<Option<_>>()
            .map(Some)
            .ok_or(Malformed),
        (None, None) => Ok(None),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_asked_for_and_levels_required() {
        let read = ClaimsRequest::parse(r#"{"id_token":{"acr":null,"amr":null,"email":null}}"#).unwrap();
        assert!(read.acr && read.amr && read.admits("eidas0"));
        assert_eq!(read.others, ["email"]);
        let strict = r#"{"id_token":{"acr":{"essential":true,"values":["eidas1-mfa","eidas3"]}}}"#;
        let strict = ClaimsRequest::parse(strict).unwrap();
        assert!(strict.admits("eidas3") && !strict.admits("eidas2"), "membership, not order");
        let one = ClaimsRequest::parse(r#"{"id_token":{"acr":{"essential":true,"value":"eidas1"}}}"#).unwrap();
        assert!(one.admits("eidas1") && !one.admits("eidas2"));
        let voluntary = ClaimsRequest::parse(r#"{"id_token":{"acr":{"values":["eidas3"]}}}"#).unwrap();
        assert!(voluntary.acr && voluntary.admits("eidas1"));
    }

    #[test]
    fn what_section_5_5_does_not_describe_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"id_token":1}"#,
            r#"{"id_token":{"acr":"eidas1"}}"#,
            r#"{"userinfo":[]}"#,
            r#"{"id_token":{"acr":{"essential":true,"values":"eidas1"}}}"#,
        ] {
            assert_eq!(ClaimsRequest::parse(text), Err(Malformed), "{text}");
        }
    }
}
