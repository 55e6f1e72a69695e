//! The words that do not depend on what happened: headings, labels, names of claims.

use serde::Serialize;

use super::Language;

/// The fixed words of the templates, `labels` there.
#[derive(Debug, Serialize)]
pub(super) struct Labels {
    site: &'static str,
    what_to_do: &'static str,
    help: &'static str,
    contact: &'static str,
    contact_unknown: &'static str,
    reference: &'static str,
    code: &'static str,
    why: &'static str,
    no_reason: &'static str,
    account: &'static str,
    name: &'static str,
    email: &'static str,
    organization: &'static str,
    siret: &'static str,
    idp_id: &'static str,
    another_account: &'static str,
    change_account: &'static str,
    received: &'static str,
    received_how: &'static str,
    nothing_received: &'static str,
    information: &'static str,
    value: &'static str,
    header: &'static str,
    session: &'static str,
    session_age: &'static str,
    idle_left: &'static str,
    absolute_left: &'static str,
    within: &'static str,
    no_application: &'static str,
    which_applications: &'static str,
    step_up: &'static str,
    your_session: &'static str,
    your_applications: &'static str,
    log_out: &'static str,
    log_out_how: &'static str,
    back: &'static str,
    send: &'static str,
    send_again: &'static str,
    discard: &'static str,
    form: &'static str,
    form_application: &'static str,
    form_action: &'static str,
    form_age: &'static str,
    form_sent: &'static str,
    form_left: &'static str,
    fields: &'static str,
    form_field: &'static str,
}

impl Labels {
    /// The labels in `language`.
    pub(super) const fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &ENGLISH,
            Language::French => &FRENCH,
        }
    }
}

static FRENCH: Labels = Labels {
    site: "Accès aux applications",
    what_to_do: "Que faire\u{a0}?",
    help: "Besoin d’aide\u{a0}?",
    contact: "Contact\u{a0}:",
    contact_unknown: "Adressez-vous au support informatique de votre administration.",
    reference: "Référence à indiquer\u{a0}:",
    code: "Code\u{a0}:",
    why: "Pourquoi\u{a0}?",
    no_reason: "Les règles d’accès de l’application n’admettent pas ce compte.",
    account: "Compte utilisé",
    name: "Nom",
    email: "Adresse électronique",
    organization: "Administration",
    siret: "SIRET",
    idp_id: "Fournisseur d’identité",
    another_account: "Vous avez un autre compte\u{a0}?",
    change_account: "Se déconnecter pour changer de compte",
    received: "Ce que cette application reçoit",
    received_how: "À chaque demande, l’application reçoit les informations suivantes, et aucune autre sur votre identité.",
    nothing_received: "Cette application ne reçoit aucune information sur votre identité.",
    information: "Information",
    value: "Valeur",
    header: "En-tête",
    session: "Durée de la session",
    session_age: "Ouverte depuis",
    idle_left: "Inactivité encore permise",
    absolute_left: "Fin dans tous les cas",
    within: "dans",
    no_application: "Si vous en attendiez une, demandez l’accès à ceux qui la gèrent, ou essayez avec un autre compte.",
    which_applications: "La liste dépend du compte, du lieu et de l’heure de connexion.",
    step_up: "Demande de confirmer votre identité.",
    your_session: "Votre session",
    your_applications: "Les applications ouvertes à ce compte",
    log_out: "Se déconnecter",
    log_out_how: "Les autres applications que vous avez ouvertes le restent.",
    back: "Revenir à l’application",
    send: "Envoyer maintenant",
    send_again: "Envoyer de nouveau",
    discard: "Supprimer sans envoyer",
    form: "Le formulaire",
    form_application: "Application",
    form_action: "Adresse de destination",
    form_age: "Premier envoi",
    form_sent: "Transmis à l’application",
    form_left: "Conservé ici encore",
    fields: "Ce qui sera envoyé",
    form_field: "Champ",
};

static ENGLISH: Labels = Labels {
    site: "Application access",
    what_to_do: "What to do",
    help: "Need help?",
    contact: "Contact:",
    contact_unknown: "Ask the IT support of your organisation.",
    reference: "Reference to quote:",
    code: "Code:",
    why: "Why?",
    no_reason: "The access rules of the application do not admit this account.",
    account: "Account used",
    name: "Name",
    email: "E-mail address",
    organization: "Organisation",
    siret: "SIRET",
    idp_id: "Identity provider",
    another_account: "Do you have another account?",
    change_account: "Log out to change account",
    received: "What this application receives",
    received_how: "With every request, the application receives the following, and nothing else about who you are.",
    nothing_received: "This application receives nothing about who you are.",
    information: "Information",
    value: "Value",
    header: "Header",
    session: "How long the session lasts",
    session_age: "Open for",
    idle_left: "May still be left idle for",
    absolute_left: "Ends in any case",
    within: "in",
    no_application: "If you expected one, ask those who run it for access, or try another account.",
    which_applications: "The list depends on the account, and on where and when you log in.",
    step_up: "Asks you to confirm who you are.",
    your_session: "Your session",
    your_applications: "Applications open to this account",
    log_out: "Log out",
    log_out_how: "Other applications that you opened stay open.",
    back: "Back to the application",
    send: "Send now",
    send_again: "Send again",
    discard: "Delete without sending",
    form: "The form",
    form_application: "Application",
    form_action: "Where it goes",
    form_age: "First sent",
    form_sent: "Passed on to the application",
    form_left: "Kept here for another",
    fields: "What will be sent",
    form_field: "Field",
};

/// What people call a claim of AgentConnect; none for one that we do not know.
pub(super) fn claim_label(claim: &str, language: Language) -> Option<&'static str> {
    let (_, french, english) = CLAIMS.iter().find(|(name, ..)| *name == claim)?;
    Some(match language {
        Language::English => english,
        Language::French => french,
    })
}

const CLAIMS: [(&str, &str, &str); 21] = [
    ("acr", "Niveau d’authentification", "Level of authentication"),
    ("amr", "Moyens d’authentification", "Means of authentication"),
    ("auth_time", "Heure d’authentification", "Time of authentication"),
    ("belonging_population", "Population d’appartenance", "Population"),
    ("chorusdt:matricule", "Matricule Chorus DT", "Chorus DT personnel number"),
    ("chorusdt:societe", "Société Chorus DT", "Chorus DT company"),
    ("custom", "Informations complémentaires", "Further information"),
    ("email", "Adresse électronique", "E-mail address"),
    ("given_name", "Prénoms", "Given names"),
    ("idp_acr", "Niveau indiqué par le fournisseur d’identité", "Level told by the identity provider"),
    ("idp_id", "Fournisseur d’identité", "Identity provider"),
    ("organization_label", "Nom de l’organisation", "Name of the organisation"),
    ("organizational_unit", "Service", "Department"),
    ("phone_number", "Téléphone", "Telephone"),
    ("roles", "Rôles", "Roles"),
    ("session", "Session (pseudonyme)", "Session (pseudonym)"),
    ("siren", "SIREN", "SIREN"),
    ("siret", "SIRET", "SIRET"),
    ("sub", "Identifiant unique", "Unique identifier"),
    ("uid", "Identifiant technique", "Technical identifier"),
    ("usual_name", "Nom d’usage", "Usual name"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_we_do_not_know_has_no_label() {
        assert_eq!(claim_label("usual_name", Language::French), Some("Nom d’usage"));
        assert_eq!(claim_label("usual_name", Language::English), Some("Usual name"));
        assert_eq!(claim_label("groups", Language::French), None);
    }
}
