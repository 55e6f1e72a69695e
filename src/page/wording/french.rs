//! The messages in French. `\u{a0}` keeps double punctuation and quotation marks beside their word.

mod form;
mod login;
mod step_up;

use super::{Wording, shown};
use crate::page::Message;

const LOG_IN: &str = "Se connecter";
const RETRY: &str = "Réessayer";

/// The words for `message`.
pub(super) fn wording<'a>(message: &Message<'a>, provider: &str) -> Wording<'a> {
    match message {
        Message::AmbiguousPath => ambiguous_path(),
        Message::BadRequest { .. } => bad_request(),
        Message::ClaimProblem { claim, malformed } => login::claim_problem(claim, *malformed, provider),
        Message::Form(form) => form::shown_again(form),
        Message::FormGone { application_url } => form::gone().link("Revenir à l’application", application_url),
        Message::FormKept { form_url, keep, is_step_up: false } => form::kept(*keep).link("Se reconnecter", form_url),
        Message::FormKept { form_url, keep, is_step_up: true } => step_up::kept(*keep).link("S’authentifier", form_url),
        Message::Internal => internal(),
        Message::LoginExpired { retry_url } => login::expired().link(LOG_IN, retry_url),
        Message::LoginFailed { cause, retry_url, .. } => login::failed(*cause, provider).link(RETRY, retry_url),
        Message::LoginLoop { cause, retry_url } => login::going_in_circles(*cause).link(RETRY, retry_url),
        Message::Me(me) => self::me(me.application),
        Message::MethodNotAllowed { .. } => method_not_allowed(),
        Message::NoRoute => no_route(),
        Message::PayloadTooLarge => payload_too_large(),
        Message::Portal(portal) => self::portal(portal.applications.is_empty()),
        Message::ProviderUnavailable { retry_url } => login::provider_unavailable(provider).link(RETRY, retry_url),
        Message::Refused(refusal) => refused(refusal.application, provider),
        Message::SessionEnded { login_url } => session_ended(login_url),
        Message::SignedOut { everywhere, application_url } => {
            signed_out(*everywhere, provider).link("Se reconnecter", application_url)
        }
        Message::StepUpFailed(view) => step_up::failed(view, provider),
        Message::StepUpNeeded { application, wanted, step_up_url, .. } => {
            step_up::needed(application, wanted, step_up_url)
        }
        Message::StoreUnavailable { retry_url } => store_unavailable().link(RETRY, retry_url),
        Message::Unauthenticated { login_url } => unauthenticated().link(LOG_IN, login_url),
        Message::UnknownSite { host } => unknown_site(host),
        Message::UpstreamTimeout { application } => upstream_timeout(application),
        Message::UpstreamUnavailable { application } => upstream_unavailable(application),
    }
}

fn ambiguous_path() -> Wording<'static> {
    Wording::say(
        "Adresse ambiguë",
        "L’adresse demandée peut se lire de deux façons. Par sécurité, la demande n’a pas été transmise à \
         l’application.",
    )
    .advise("Vérifiez le lien que vous avez suivi, ou repartez de la page d’accueil de l’application.")
}

fn bad_request() -> Wording<'static> {
    Wording::say(
        "Demande incorrecte",
        "Votre navigateur a envoyé une demande que nous ne pouvons pas lire. Elle n’a pas été transmise à \
         l’application.",
    )
    .advise("Rechargez la page. Si le message revient, effacez les cookies de ce site ou changez de navigateur.")
}

fn internal() -> Wording<'static> {
    Wording::say("Une erreur est survenue", "Nous avons rencontré une erreur inattendue. Elle ne vient pas de vous.")
        .advise(
            "Rechargez la page dans quelques instants. Si l’erreur revient, transmettez la référence ci\u{2011}dessous \
             au support.",
        )
}

fn me(application: &str) -> Wording<'static> {
    Wording::say(
        "Votre session",
        format!("Vous utilisez «\u{a0}{}\u{a0}» sous l’identité ci\u{2011}dessous.", shown(application)),
    )
}

fn method_not_allowed() -> Wording<'static> {
    Wording::say("Opération non autorisée", "Cette adresse n’accepte pas ce type de demande.")
        .advise("Revenez à la page précédente et suivez les liens ou les boutons qu’elle propose.")
}

fn no_route() -> Wording<'static> {
    Wording::say("Page introuvable", "Aucune application ne répond à cette adresse.")
        .advise("Vérifiez l’adresse, ou repartez de la page d’accueil de votre application.")
}

fn payload_too_large() -> Wording<'static> {
    Wording::say(
        "Envoi trop volumineux",
        "Le fichier ou le formulaire dépasse la taille que cette application accepte. L’envoi a été interrompu.",
    )
    .advise("Réduisez la taille du fichier, ou envoyez-le en plusieurs fois.")
}

fn portal(is_empty: bool) -> Wording<'static> {
    let lead = if is_empty {
        "Aucune application n’est ouverte à ce compte pour le moment."
    } else {
        "Voici les applications que ce compte vous ouvre."
    };
    Wording::say("Vos applications", lead)
}

fn refused(application: &str, provider: &str) -> Wording<'static> {
    let application = shown(application);
    Wording::say(
        "Accès refusé",
        format!("La connexion a réussi, mais ce compte n’a pas accès à l’application «\u{a0}{application}\u{a0}»."),
    )
    .advise(format!(
        "{provider} se souvient du compte utilisé\u{a0}: se reconnecter sans s’être déconnecté redonnerait le même. \
         Déconnectez-vous, puis revenez à l’application et choisissez l’autre compte."
    ))
}

fn session_ended(login_url: &str) -> Wording<'_> {
    Wording::say(
        "Votre session a expiré",
        "Rien n’a été envoyé. Votre saisie est encore dans cet onglet\u{a0}: ne le fermez pas.",
    )
    .step("Ouvrez un nouvel onglet pour vous reconnecter, avec le bouton ci\u{2011}dessous.")
    .step("Revenez dans cet onglet, puis rechargez cette page pour renvoyer votre formulaire.")
    .link_in_new_tab("Se reconnecter (nouvel onglet)", login_url)
}

fn store_unavailable() -> Wording<'static> {
    Wording::say(
        "Service momentanément indisponible",
        "Le service qui vérifie que votre session est toujours ouverte ne répond pas pour le moment.",
    )
    .advise("Votre session n’est pas perdue : réessayez dans quelques minutes, sans vous reconnecter.")
}

fn signed_out(everywhere: bool, provider: &str) -> Wording<'static> {
    let lead = if everywhere {
        "La déconnexion de cette application, et de toutes celles que la même connexion avait ouvertes, est terminée."
    } else {
        "La déconnexion de cette application est terminée."
    };
    Wording::say("Votre session est fermée", lead)
        .advise(format!(
            "Les autres sites ouverts avec {provider} restent ouverts\u{a0}: déconnectez-vous aussi de chacun d’eux."
        ))
        .advise("Sur un poste partagé, fermez toutes les fenêtres du navigateur avant de partir.")
}

fn unauthenticated() -> Wording<'static> {
    Wording::say("Connexion nécessaire", "Cette adresse est réservée aux agents connectés.")
}

fn unknown_site(host: &str) -> Wording<'static> {
    let host = if host.is_empty() { "(aucune)" } else { host };
    Wording::say("Site inconnu", "Aucun site n’est configuré ici pour l’adresse reçue.")
        .name("Adresse reçue", host)
        .advise("Vérifiez l’adresse saisie, ou le lien que vous avez suivi.")
        .advise(
            "Si vous administrez ce serveur\u{a0}: l’adresse doit être le «\u{a0}host\u{a0}» d’une route, et un serveur \
             placé devant doit transmettre l’en-tête Host sans le changer.",
        )
}

fn upstream_timeout(application: &str) -> Wording<'static> {
    let application = shown(application);
    Wording::say(
        "L’application tarde à répondre",
        format!("L’application «\u{a0}{application}\u{a0}» n’a pas répondu à temps."),
    )
    .advise(
        "Si vous veniez d’envoyer un formulaire, il a peut-être été pris en compte\u{a0}: vérifiez avant de le \
         renvoyer.",
    )
    .advise("Sinon, rechargez la page dans quelques minutes.")
}

fn upstream_unavailable(application: &str) -> Wording<'static> {
    let application = shown(application);
    Wording::say(
        "Application indisponible",
        format!("L’application «\u{a0}{application}\u{a0}» ne répond pas pour le moment."),
    )
    .advise("Votre compte n’est pas en cause. Rechargez la page dans quelques minutes.")
    .advise("Si vous veniez d’envoyer un formulaire, vérifiez ensuite s’il a été pris en compte.")
}
