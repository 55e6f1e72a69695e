//! Fictional agents. Their addresses, organisations and identifiers belong to nobody.

use serde_json::{Map, Value, json};

/// An agent who can log in at the demonstration's provider.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Names the agent in the login form.
    pub id: &'static str,
    /// `sub`: a UUID version 4.
    pub sub: &'static str,
    /// `given_name`: first names, separated by spaces.
    pub given_name: &'static str,
    /// `usual_name`
    pub usual_name: &'static str,
    /// `email`
    pub email: &'static str,
    /// `uid`: ASCII, unique at the agent's own identity provider only.
    pub uid: &'static str,
    /// `siret`: 14 digits.
    pub siret: &'static str,
    /// `idp_id`: the identity provider that AgentConnect sent the agent to.
    pub idp_id: &'static str,
    /// `roles`; empty for who is no public agent.
    pub roles: &'static [&'static str],
    /// `organization_label`: for display only.
    pub organization_label: Option<&'static str>,
    /// `organizational_unit`: ministry, directorate, office.
    pub organizational_unit: Option<&'static str>,
    /// `belonging_population`: `agent`, `prestataire`, `stagiaire`…
    pub belonging_population: Option<&'static str>,
    /// `phone_number`
    pub phone_number: Option<&'static str>,
    /// `chorusdt:matricule` and `chorusdt:societe`
    pub chorusdt: Option<(&'static str, &'static str)>,
    /// `acr`: the level that the identity provider vouches for.
    pub acr: &'static str,
    /// `amr` (RFC 8176 and AgentConnect's own); none where the identity provider gave none.
    pub amr: Option<&'static [&'static str]>,
    /// What the agent shows of the protocol, for the login page; French.
    pub remark: &'static str,
}

impl Agent {
    /// Every agent, in the order of the login page.
    #[must_use]
    pub const fn all() -> &'static [Self] {
        AGENTS
    }

    /// The agent whom the login form calls `id`.
    #[must_use]
    pub fn find(id: &str) -> Option<&'static Self> {
        AGENTS.iter().find(|agent| agent.id == id)
    }

    /// The SIREN inside the SIRET.
    #[must_use]
    pub fn siren(&self) -> &'static str {
        self.siret.get(..9).unwrap_or(self.siret)
    }

    /// The claims that a scope of AgentConnect gives, `sub` excepted; an absent one is left out, never `null`.
    #[must_use]
    pub fn claims(&self, scope: &str) -> Map<String, Value> {
        let pairs = match scope {
            "belonging_population" => vec![(scope, self.belonging_population.map(Value::from))],
            "chorusdt" => vec![
                ("chorusdt:matricule", self.chorusdt.map(|(matricule, _)| json!(matricule))),
                ("chorusdt:societe", self.chorusdt.map(|(_, societe)| json!(societe))),
            ],
            "custom" => vec![(scope, Some(json!({})))],
            "email" => vec![(scope, Some(json!(self.email)))],
            "given_name" => vec![(scope, Some(json!(self.given_name)))],
            "idp_acr" => vec![(scope, Some(json!(self.acr)))],
            "idp_id" => vec![(scope, Some(json!(self.idp_id)))],
            "organization_label" => vec![(scope, self.organization_label.map(Value::from))],
            "organizational_unit" => vec![(scope, self.organizational_unit.map(Value::from))],
            "phone" => vec![("phone_number", self.phone_number.map(Value::from))],
            "roles" => vec![(scope, Some(json!(self.roles)))],
            "siren" => vec![(scope, Some(json!(self.siren())))],
            "siret" => vec![(scope, Some(json!(self.siret)))],
            "uid" => vec![(scope, Some(json!(self.uid)))],
            "usual_name" => vec![(scope, Some(json!(self.usual_name)))],
            _ => vec![],
        };
        pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// The identity provider of most agents; the others come through a ministry's own.
const PROCONNECT_IDENTITE: &str = "71144ab3-ee1a-4401-b7b3-79b44f7daeeb";
const MINISTRY: &str = "fia1v2";

const AGENTS: &[Agent] = &[
    Agent {
        id: "zoe",
        sub: "dbb5f534-87d0-4ee1-80b0-0c532a1e0722",
        given_name: "Zoë Marie-Noëlle",
        usual_name: "L'Hôpital-Ñandú",
        email: "zoe.lhopital-nandu@example.gouv.fr",
        uid: "zlhopital",
        siret: "99900001100018",
        idp_id: MINISTRY,
        roles: &["agent_public", "agent_public_etat"],
        organization_label: Some("Direction fictive du numérique"),
        organizational_unit: Some("Ministère fictif / Direction du numérique / Bureau « Été »"),
        belonging_population: Some("agent"),
        phone_number: Some("+33199001234"),
        chorusdt: None,
        acr: "eidas1",
        amr: Some(&["pwd"]),
        remark: "Des accents, une apostrophe, un tilde",
    },
    Agent {
        id: "jean-noel",
        sub: "e3e54aa0-7a99-4905-9d5e-3d5158a32dc8",
        given_name: "Jean-Noël",
        usual_name: "Dupré",
        email: "jean-noel.dupre.ext@example.gouv.fr",
        uid: "jdupre-ext",
        siret: "99900002900010",
        idp_id: PROCONNECT_IDENTITE,
        roles: &[],
        organization_label: Some("Société fictive d'ingénierie"),
        organizational_unit: Some("Maintenance applicative"),
        belonging_population: Some("prestataire"),
        phone_number: Some("+33199005678"),
        chorusdt: None,
        acr: "eidas1",
        amr: Some(&["pwd"]),
        remark: "Prestataire, sans rôle d’agent public",
    },
    Agent {
        id: "moussa",
        sub: "bc31521a-5335-4caf-933f-ccbf8de05411",
        given_name: "Moussa",
        usual_name: "Bâ",
        email: "moussa.ba@example.gouv.fr",
        uid: "mba",
        siret: "99900003700013",
        idp_id: PROCONNECT_IDENTITE,
        roles: &["agent_public", "agent_public_territorial"],
        organization_label: None,
        organizational_unit: None,
        belonging_population: None,
        phone_number: None,
        chorusdt: None,
        acr: "eidas1",
        amr: None,
        remark: "Sans téléphone ni unité",
    },
    Agent {
        id: "anais",
        sub: "d6734274-af9b-4863-93f6-190d18d50e25",
        given_name: "Anaïs",
        usual_name: "Œuvrard",
        email: "anais.oeuvrard@example.gouv.fr",
        uid: "aoeuvrard",
        siret: "99900001100018",
        idp_id: MINISTRY,
        roles: &["agent_public", "agent_public_etat"],
        organization_label: Some("Direction fictive du numérique"),
        organizational_unit: Some("Ministère fictif / Secrétariat général"),
        belonging_population: Some("agent"),
        phone_number: Some("+33199002468"),
        chorusdt: Some(("0042137", "DFN")),
        acr: "eidas1-mfa",
        amr: Some(&["pwd", "otp", "mfa"]),
        remark: "Double authentification (eidas1-mfa)",
    },
    Agent {
        id: "lea",
        sub: "d1aa78f3-3897-4e48-9f36-530cd7ed3bc9",
        given_name: "Léa",
        usual_name: "Nguyễn, dite Martin",
        email: "lea.nguyen-martin@example.gouv.fr",
        uid: "lnguyen",
        siret: "99900004500016",
        idp_id: MINISTRY,
        roles: &["agent_public", "agent_public_hospitalier"],
        organization_label: Some("Établissement fictif de santé"),
        organizational_unit: Some("Pôle 100 % numérique"),
        belonging_population: Some("stagiaire"),
        phone_number: None,
        chorusdt: None,
        acr: "eidas2",
        amr: Some(&["hwk", "pin", "mfa"]),
        remark: "Stagiaire, carte agent (eidas2)",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Luhn's formula (ISO/IEC 7812-1 annex B).
    fn luhn(digits: &str) -> bool {
        let doubled = |(place, digit): (usize, u32)| match digit * if place % 2 == 1 { 2 } else { 1 } {
            above @ 10.. => above - 9,
            other => other,
        };
        digits.chars().rev().map(|digit| digit.to_digit(10).unwrap()).enumerate().map(doubled).sum::<u32>() % 10 == 0
    }

    #[test]
    fn every_identifier_is_well_formed_and_its_owner_unique() {
        for agent in Agent::all() {
            assert!(agent.siret.len() == 14 && luhn(agent.siret) && luhn(agent.siren()), "{}", agent.id);
            assert!(agent.email.ends_with("@example.gouv.fr") && agent.uid.is_ascii());
            let same = |other: &&Agent| other.id == agent.id || other.sub == agent.sub || other.email == agent.email;
            assert_eq!(Agent::all().iter().filter(same).count(), 1);
        }
    }

    #[test]
    fn an_absent_claim_is_left_out_and_an_empty_list_is_not() {
        let without = Agent::find("moussa").unwrap();
        assert!(without.claims("phone").is_empty() && without.claims("chorusdt").is_empty());
        assert_eq!(Value::Object(Agent::find("jean-noel").unwrap().claims("roles")), json!({ "roles": [] }));
        assert!(Agent::find("zoe").unwrap().claims("unheard_of").is_empty());
    }
}
