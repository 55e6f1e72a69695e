//! What is known of AgentConnect beforehand: its four environments, and which scope gives which claim
//! («données fournies», «scope claims» of its partner documentation).

use std::str::FromStr;

/// One of AgentConnect's environments. They share no clients: a `client_id` works in exactly one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Environment {
    /// For tests, on the Internet.
    Integration,
    /// For tests, on the inter-ministerial network (RIE).
    IntegrationRie,
    /// On the Internet.
    Production,
    /// On the inter-ministerial network (RIE).
    ProductionRie,
}

/// What to expect of the provider beyond the standards.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Preset {
    /// AgentConnect, today ProConnect: its scopes, and `acr` and `amr` asked through the `claims` parameter.
    #[default]
    AgentConnect,
    /// Any OpenID provider; nothing is assumed.
    OpenId,
}

/// A name that is none of those expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown name; expected {expected}")]
pub struct UnknownName {
    expected: &'static str,
}

impl UnknownName {
    pub(super) const fn expecting(expected: &'static str) -> Self {
        Self { expected }
    }
}

impl Environment {
    /// The issuer, without a trailing slash.
    #[must_use]
    pub const fn issuer(self) -> &'static str {
        match self {
            Self::Integration => "https://fca.integ01.dev-agentconnect.fr/api/v2",
            Self::IntegrationRie => "https://fca.integ02.agentconnect.rie.gouv.fr/api/v2",
            Self::Production => "https://auth.agentconnect.gouv.fr/api/v2",
            Self::ProductionRie => "https://auth.agentconnect.rie.gouv.fr/api/v2",
        }
    }

    /// Whether real agents log in here: no http, no localhost among the redirect URIs.
    #[must_use]
    pub const fn is_production(self) -> bool {
        matches!(self, Self::Production | Self::ProductionRie)
    }
}

impl FromStr for Environment {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name {
            "integration" => Ok(Self::Integration),
            "integration-rie" => Ok(Self::IntegrationRie),
            "production" => Ok(Self::Production),
            "production-rie" => Ok(Self::ProductionRie),
            _ => Err(UnknownName { expected: "integration, integration-rie, production or production-rie" }),
        }
    }
}

impl Preset {
    /// The scope that makes the provider send `claim`; none where the preset does not know, or none is needed.
    #[must_use]
    pub fn scope_of_claim(self, claim: &str) -> Option<&'static str> {
        let scopes = self.scopes();
        scopes.iter().find(|(_, claims)| claims.contains(&claim)).map(|(scope, _)| *scope)
    }

    /// Whether asking for `scope` makes sense. AgentConnect ignores an unknown scope silently.
    #[must_use]
    pub fn known_scope(self, scope: &str) -> bool {
        match self {
            Self::AgentConnect => self.scopes().iter().any(|(known, _)| *known == scope),
            Self::OpenId => true,
        }
    }

    /// The levels (`acr`) that mean two factors, for those who ask for no more than that; none where none is known.
    #[must_use]
    pub const fn mfa_levels(self) -> &'static [&'static str] {
        match self {
            Self::AgentConnect => AGENT_CONNECT_MFA_LEVELS,
            Self::OpenId => &[],
        }
    }

    const fn scopes(self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Self::AgentConnect => AGENT_CONNECT_SCOPES,
            Self::OpenId => STANDARD_SCOPES,
        }
    }
}

impl FromStr for Preset {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name {
            "agentconnect" => Ok(Self::AgentConnect),
            "openid" => Ok(Self::OpenId),
            _ => Err(UnknownName { expected: "agentconnect or openid" }),
        }
    }
}

/// Since June 2026 («double authentification»); they are matched exactly, never as an order.
const AGENT_CONNECT_MFA_LEVELS: &[&str] = &["eidas0-mfa", "eidas1-mfa", "eidas2", "eidas3"];

const AGENT_CONNECT_SCOPES: &[(&str, &[&str])] = &[
    ("openid", &["sub"]),
    ("given_name", &["given_name"]),
    ("usual_name", &["usual_name"]),
    ("email", &["email"]),
    ("uid", &["uid"]),
    ("siret", &["siret"]),
    ("siren", &["siren"]),
    ("idp_id", &["idp_id"]),
    ("idp_acr", &["idp_acr"]),
    ("roles", &["roles"]),
    ("organization_label", &["organization_label"]),
    ("organizational_unit", &["organizational_unit"]),
    ("belonging_population", &["belonging_population"]),
    ("phone", &["phone_number"]),
    ("chorusdt", &["chorusdt:matricule", "chorusdt:societe"]),
    ("custom", &["custom"]),
    ("groups", &["groups"]),
];

/// OpenID Connect Core 1.0 section 5.4.
const STANDARD_SCOPES: &[(&str, &[&str])] = &[
    ("openid", &["sub"]),
    ("email", &["email", "email_verified"]),
    ("phone", &["phone_number", "phone_number_verified"]),
    ("address", &["address"]),
    ("profile", &["name", "family_name", "given_name", "middle_name", "nickname", "preferred_username"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_environment_has_its_own_issuer_without_a_trailing_slash() {
        let names = ["integration", "integration-rie", "production", "production-rie"];
        let environments = names.map(|name| name.parse::<Environment>().unwrap());
        let mut issuers = environments.map(Environment::issuer).to_vec();
        assert!(issuers.iter().all(|issuer| issuer.starts_with("https://") && issuer.ends_with("/api/v2")));
        issuers.dedup();
        assert_eq!(issuers.len(), 4);
        assert_eq!(environments.map(Environment::is_production), [false, false, true, true]);
        assert!("Production".parse::<Environment>().is_err());
    }

    #[test]
    fn agentconnect_gives_the_phone_number_for_the_scope_phone() {
        let preset: Preset = "agentconnect".parse().unwrap();
        assert_eq!(preset.scope_of_claim("phone_number"), Some("phone"));
        assert_eq!(preset.scope_of_claim("chorusdt:matricule"), Some("chorusdt"));
        assert_eq!(preset.scope_of_claim("acr"), None);
        assert!(preset.known_scope("siret") && !preset.known_scope("phone_number") && !preset.known_scope("profile"));
    }

    #[test]
    fn nothing_is_assumed_of_the_scopes_of_another_provider() {
        let preset: Preset = "openid".parse().unwrap();
        assert!(preset.known_scope("anything"));
        assert_eq!(preset.scope_of_claim("email"), Some("email"));
        assert_eq!(preset.scope_of_claim("siret"), None);
    }
}
