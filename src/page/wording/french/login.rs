//! Logins that did not succeed, in French.

use crate::page::label::claim_label;
use crate::page::wording::Wording;
use crate::page::{Language, LoginFailure, LoopCause};

const RETRY_IS_NO_USE: &str =
    "Transmettez la référence ci\u{2011}dessous au support. Réessayer ne suffira sans doute pas.";

pub(super) fn claim_problem(claim: &str, malformed: bool, provider: &str) -> Wording<'static> {
    let (title, problem, remedy) = if malformed {
        ("Information incorrecte dans votre compte", "a transmis, sous une forme incorrecte,", "la corriger")
    } else {
        ("Information manquante dans votre compte", "n’a pas transmis", "la renseigner")
    };
    let label = claim_label(claim, Language::French);
    let named = label.map_or_else(|| claim.to_owned(), |label| format!("{label} ({claim})"));
    Wording::say(
        title,
        format!("{provider} {problem} une information nécessaire à la connexion. Aucune session n’a été ouverte."),
    )
    .name("Information concernée", &named)
    .advise(format!(
        "Demandez au support informatique de votre administration de {remedy} dans votre compte, puis \
         reconnectez-vous."
    ))
}

pub(super) fn expired() -> Wording<'static> {
    Wording::say(
        "Connexion à recommencer",
        "Cette tentative de connexion a expiré, a déjà servi, ou a commencé dans un autre navigateur. Aucune session \
         n’a été ouverte.",
    )
}

pub(super) fn provider_unavailable(provider: &str) -> Wording<'static> {
    Wording::say(
        "Connexion momentanément impossible",
        format!("{provider}, le service qui vérifie votre identité, ne répond pas pour le moment."),
    )
    .advise("Vos sessions déjà ouvertes continuent de fonctionner.")
    .advise("Pour ouvrir une nouvelle session, réessayez dans quelques minutes.")
}

pub(super) fn failed(cause: LoginFailure, provider: &str) -> Wording<'static> {
    match cause {
        LoginFailure::AccessDenied => access_denied(provider),
        LoginFailure::AcrNotHeld => acr_not_held(),
        LoginFailure::Cancelled => cancelled(),
        LoginFailure::ConfigurationRefused => configuration_refused(provider),
        LoginFailure::DomainRefused => domain_refused(provider),
        LoginFailure::IdpHintNotFound => idp_hint_not_found(provider),
        LoginFailure::InvalidIdentity => invalid_identity(provider),
        LoginFailure::LoginRequired => login_required(provider),
        LoginFailure::TechnicalError => technical_error(provider),
        LoginFailure::Verification => verification(provider),
    }
}

fn access_denied(provider: &str) -> Wording<'static> {
    Wording::say(
        "Connexion refusée",
        format!("{provider} a refusé la connexion à cette application, sans en préciser la raison."),
    )
    .advise("Réessayez, au besoin avec un autre compte.")
}

fn acr_not_held() -> Wording<'static> {
    Wording::say(
        "Authentification renforcée nécessaire",
        "Cette application demande un niveau d’authentification que votre connexion n’a pas atteint, par exemple un \
         second facteur.",
    )
    .advise(
        "Réessayez avec un moyen plus fort si vous en avez un\u{a0}: code à usage unique, clé de sécurité, carte \
         d’agent.",
    )
    .advise("Si votre administration n’en propose pas, parlez-en à son support informatique.")
}

fn cancelled() -> Wording<'static> {
    Wording::say(
        "Connexion interrompue",
        "La connexion n’est pas allée jusqu’au bout\u{a0}: elle a été abandonnée, ou elle est restée trop longtemps en \
         attente.",
    )
    .advise("Vous pouvez la recommencer quand vous voulez.")
}

fn configuration_refused(provider: &str) -> Wording<'static> {
    Wording::say(
        "Connexion impossible pour cette application",
        format!(
            "{provider} a rejeté notre demande de connexion\u{a0}: ce site est mal configuré. L’erreur ne vient pas de \
             vous."
        ),
    )
    .advise(RETRY_IS_NO_USE)
}

fn domain_refused(provider: &str) -> Wording<'static> {
    Wording::say(
        "Compte non admis",
        format!(
            "{provider} n’admet pas ce compte pour cette application. Le plus souvent, le domaine de son adresse \
             électronique ne figure pas dans la liste autorisée."
        ),
    )
    .advise("Réessayez avec votre adresse professionnelle habituelle.")
}

fn idp_hint_not_found(provider: &str) -> Wording<'static> {
    Wording::say(
        "Connexion impossible pour cette application",
        format!(
            "{provider} ne connaît pas le fournisseur d’identité que ce site lui demande. L’erreur ne vient pas de vous."
        ),
    )
    .advise(RETRY_IS_NO_USE)
}

fn invalid_identity(provider: &str) -> Wording<'static> {
    Wording::say(
        "Compte non admis",
        format!(
            "{provider} n’a pas accepté ce compte\u{a0}: l’application est réservée aux agents publics, ou le compte est \
             bloqué."
        ),
    )
    .advise("Réessayez avec le compte de votre administration.")
}

fn login_required(provider: &str) -> Wording<'static> {
    Wording::say(
        "Nouvelle identification nécessaire",
        format!("{provider} demande que vous vous identifiiez à nouveau."),
    )
}

fn technical_error(provider: &str) -> Wording<'static> {
    Wording::say(
        "Incident pendant la connexion",
        format!(
            "{provider}, ou le fournisseur d’identité de votre administration, a rencontré une erreur technique. Aucune \
             session n’a été ouverte."
        ),
    )
    .advise("Réessayez dans quelques minutes.")
}

fn verification(provider: &str) -> Wording<'static> {
    Wording::say(
        "Connexion non vérifiée",
        format!(
            "La réponse reçue pendant la connexion avec {provider} n’a pas pu être vérifiée. Par sécurité, aucune session \
             n’a été ouverte."
        ),
    )
    .advise("Réessayez. Si le message revient, transmettez la référence ci\u{2011}dessous au support.")
}

pub(super) fn going_in_circles(cause: LoopCause) -> Wording<'static> {
    let (why, advice): (&str, &[&'static str]) = match cause {
        LoopCause::Clock => (
            "chaque session est déjà périmée quand elle s’ouvre, car l’horloge du serveur n’est pas à l’heure. L’erreur ne \
             vient pas de vous.",
            &["Transmettez ce message et la référence ci\u{2011}dessous au support\u{a0}: l’horloge du serveur est à \
               régler."],
        ),
        LoopCause::Cookie => (
            "votre navigateur ne conserve pas les cookies de ce site.",
            &[
                "Autorisez les cookies pour ce site, puis réessayez.",
                "Si cela ne suffit pas, quittez la navigation privée ou essayez un autre navigateur.",
            ],
        ),
        LoopCause::Host => (
            "elle revient chaque fois à une autre adresse que celle du départ.",
            &[
                "Repartez de l’adresse officielle de l’application, telle que votre administration l’indique.",
                "Si le message revient, transmettez-le au support avec la référence ci\u{2011}dessous\u{a0}: le nom du \
                 site est à corriger dans sa configuration.",
            ],
        ),
        LoopCause::Key => (
            "le serveur ne parvient pas à relire la session qu’il vient d’ouvrir. L’erreur ne vient pas de vous.",
            &[
                "Transmettez ce message et la référence ci\u{2011}dessous au support\u{a0}: les serveurs de ce site doivent \
               partager les mêmes clés.",
            ],
        ),
    };
    let lead = format!("Après trois essais, la connexion n’aboutit toujours pas\u{a0}: {why}");
    advice.iter().fold(Wording::say("La connexion tourne en rond", lead), |wording, advice| wording.advise(*advice))
}
