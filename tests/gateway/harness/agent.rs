//! The agents of the tests: what the provider knows of them.

use serde_json::{Map, Value, json};

/// An agent, with every claim that AgentConnect knows of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    claims: Map<String, Value>,
}

impl Agent {
    /// An agent with every pivot claim and plain ASCII values.
    pub fn angela() -> Self {
        Self::new(json!({
            "sub": "436402e3-ffa7-4ae3-8193-b35a1c43853e",
            "given_name": "Angela",
            "usual_name": "DUBOIS",
            "email": "angela.dubois@ministere.test",
            "uid": "9681",
            "siret": "13002526500013",
            "idp_id": "71144ab3-ee1a-4401-b7b3-79b44f7daeeb",
        }))
    }

    /// An agent whose names hold what headers do not.
    pub fn eloise() -> Self {
        Self::new(json!({
            "sub": "0c1f2a5e-9be3-4b83-a7f9-1d2f2f4a6a10",
            "given_name": "Éloïse Zoë",
            "usual_name": "Ñandú d’Août",
            "email": "eloise@prefecture.test",
            "uid": "é-77".replace('é', "e"),
            "siret": "11004601800013",
            "idp_id": "fia1v2",
        }))
    }

    fn new(claims: Value) -> Self {
        let Value::Object(claims) = claims else { unreachable!("an agent is an object") };
        Self { claims }
    }

    /// The same with a claim set.
    #[must_use]
    pub fn with(mut self, claim: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(claim.to_owned(), value.into());
        self
    }

    /// The same without a claim.
    #[must_use]
    pub fn without(mut self, claim: &str) -> Self {
        self.claims.remove(claim);
        self
    }

    /// The subject identifier.
    pub fn sub(&self) -> &str {
        self.text("sub")
    }

    /// A claim that is text; empty where it is absent.
    pub fn text(&self, claim: &str) -> &str {
        self.claims.get(claim).and_then(Value::as_str).unwrap_or_default()
    }

    /// A claim.
    pub fn claim(&self, claim: &str) -> Option<&Value> {
        self.claims.get(claim)
    }

    /// What userinfo says of the agent for these scopes.
    pub fn user_info(&self, scopes: &[&str]) -> Map<String, Value> {
        let asked = |claim: &str| scope_of(claim).is_some_and(|scope| scopes.contains(&scope));
        self.claims
            .iter()
            .filter(|(claim, _)| asked(claim))
            .map(|(claim, value)| (claim.clone(), value.clone()))
            .collect()
    }
}

/// The scope that gives a claim at AgentConnect; none for `acr`, `amr` and what it does not know.
fn scope_of(claim: &str) -> Option<&str> {
    match claim {
        "acr" | "amr" | "auth_time" => None,
        "sub" => Some("openid"),
        "phone_number" => Some("phone"),
        "chorusdt:matricule" | "chorusdt:societe" => Some("chorusdt"),
        other => Some(other),
    }
}

/// A well-formed SIRET that no agent of the tests has.
pub const OTHER_SIRET: &str = "73282932000074";
