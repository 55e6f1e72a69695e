//! Agents who are logged in, but not as the application wants, in French.

use std::time::Duration;

use crate::page::step_up::Strength;
use crate::page::wording::{Wording, duration, shown};
use crate::page::{Language, StepUpFailure, StepUpView, Wanted};

pub(super) fn needed<'a>(application: &str, wanted: &Wanted<'_>, step_up_url: &'a str) -> Wording<'a> {
    let application = shown(application);
    exactly(
        Wording::say(
            "Authentification renforcée nécessaire",
            format!(
                "Rien n’a été envoyé. Pour cela, l’application «\u{a0}{application}\u{a0}» demande {}.",
                in_words(wanted)
            ),
        ),
        wanted,
    )
    .step("Ouvrez un nouvel onglet pour vous authentifier, avec le bouton ci\u{2011}dessous.")
    .step("Revenez dans cet onglet, puis rechargez cette page.")
    .link_in_new_tab("S’authentifier (nouvel onglet)", step_up_url)
}

pub(super) fn kept(keep: Duration) -> Wording<'static> {
    Wording::say(
        "Authentification renforcée nécessaire",
        format!(
            "L’application demande une authentification plus forte ou plus récente pour cet envoi. Rien n’est perdu\u{a0}: \
             votre formulaire est conservé ici pendant {}.",
            duration(keep, Language::French)
        ),
    )
    .advise("Authentifiez-vous avec le même compte\u{a0}: vous verrez ce qui sera envoyé, et l’enverrez d’un clic.")
}

pub(super) fn failed<'a>(view: &StepUpView<'a>, provider: &str) -> Wording<'a> {
    let (application, wanted) = (shown(view.application), in_words(&view.wanted));
    let (title, lead) = match view.cause {
        StepUpFailure::Cancelled => (
            "Authentification interrompue",
            format!(
                "L’application «\u{a0}{application}\u{a0}» demande {wanted}. L’authentification n’est pas allée jusqu’au \
                 bout."
            ),
        ),
        StepUpFailure::NotReached => (
            "Authentification renforcée nécessaire",
            format!(
                "L’application «\u{a0}{application}\u{a0}» demande {wanted}. Votre session est ouverte, mais {provider} \
                 n’a pas confirmé ce niveau."
            ),
        ),
        StepUpFailure::NotRecent => (
            "Nouvelle authentification nécessaire",
            format!(
                "L’application «\u{a0}{application}\u{a0}» demande {wanted}. {provider} a repris votre connexion \
                 précédente, sans nouvelle authentification."
            ),
        ),
    };
    let wording = exactly(Wording::say(title, lead), &view.wanted);
    let wording = match view.cause {
        StepUpFailure::NotRecent => {
            wording.advise("Déconnectez-vous, puis revenez à l’application pour vous authentifier de nouveau.")
        }
        StepUpFailure::Cancelled | StepUpFailure::NotReached => wording
            .advise(
                "Réessayez avec un moyen plus fort si vous en avez un\u{a0}: code à usage unique, clé de sécurité, carte \
                 d’agent.",
            )
            .advise("Si votre administration n’en propose pas, parlez-en à son support informatique."),
    };
    wording
        .advise("Votre session reste ouverte\u{a0}: ce qui ne demande pas ce niveau continue de fonctionner.")
        .link("Réessayer", view.retry_url)
}

fn exactly<'a>(wording: Wording<'a>, wanted: &Wanted<'_>) -> Wording<'a> {
    match wanted.exactly() {
        Some(levels) => wording.name("Niveau demandé", &levels),
        None => wording,
    }
}

/// What is wanted, after «demande».
fn in_words(wanted: &Wanted<'_>) -> String {
    let level = match wanted.strength() {
        Strength::Any => "une authentification",
        Strength::Hardware => {
            "une authentification par un matériel qui vous appartient (carte d’agent et son code, ou clé de sécurité)"
        }
        Strength::Particular => "un niveau d’authentification particulier",
        Strength::Strong => {
            "une authentification forte (application de codes, clé de sécurité ou carte d’agent), avec une identité \
             vérifiée"
        }
        Strength::TwoFactors => {
            "une double authentification (en plus du mot de passe, un code à usage unique, une clé de sécurité ou une \
             carte d’agent)"
        }
    };
    match wanted.max_age {
        Some(max_age) => format!("{level}, faite il y a moins de {}", duration(max_age, Language::French)),
        None => level.to_owned(),
    }
}
