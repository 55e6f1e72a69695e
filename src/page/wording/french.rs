//! The messages in French. `\u{a0}` keeps double punctuation and quotation marks beside their word.

use super::{Wording, shown};
use crate::page::label::claim_label;
use crate::page::{Language, LoginFailure, LoopCause, Message};

const RETRY: &str = "Réessayer";
const LOG_IN: &str = "Se connecter";
const QUOTE_REFERENCE: &str = "Transmettez la référence ci-dessous au support.";

/// The words for `message`.
pub(super) fn wording<'a>(message: &Message<'a>, provider: &str) -> Wording<'a> {
    match message {
        Message::AmbiguousPath => Wording::say(
            "Adresse ambiguë",
            "L’adresse demandée peut se lire de deux façons. Par sécurité, la demande n’a pas été transmise à \
             l’application.",
        )
        .advise("Vérifiez le lien que vous avez suivi, ou repartez de la page d’accueil de l’application."),
        Message::BadRequest { .. } => Wording::say(
            "Demande incorrecte",
            "Votre navigateur a envoyé une demande que nous ne pouvons pas lire. Elle n’a pas été transmise à \
             l’application.",
        )
        .advise("Rechargez la page. Si le message revient, effacez les cookies de ce site ou changez de navigateur."),
        Message::ClaimProblem { claim, malformed } => claim_problem(claim, *malformed, provider),
        Message::Internal => Wording::say(
            "Une erreur est survenue",
            "Nous avons rencontré une erreur inattendue. Elle ne vient pas de vous.",
        )
        .advise(
            "Rechargez la page dans quelques instants. Si l’erreur revient, transmettez la référence ci-dessous au \
                 support.",
        ),
        Message::LoginExpired { retry_url } => Wording::say(
            "Connexion à recommencer",
            "Cette tentative de connexion a expiré, a déjà servi, ou a commencé dans un autre navigateur. Aucune \
             session n’a été ouverte.",
        )
        .link(LOG_IN, retry_url),
        Message::LoginFailed { cause, retry_url, .. } => login_failed(*cause, provider, retry_url),
        Message::LoginLoop { cause, retry_url } => login_loop(*cause).link(RETRY, retry_url),
        Message::Me(me) => Wording::say(
            "Votre session",
            format!("Vous utilisez «\u{a0}{}\u{a0}» sous l’identité ci-dessous.", shown(me.application)),
        ),
        Message::MethodNotAllowed { .. } => {
            Wording::say("Opération non permise", "Cette adresse n’accepte pas ce type de demande.")
                .advise("Revenez à la page précédente et suivez les liens ou les boutons qu’elle propose.")
        }
        Message::NoRoute => Wording::say("Page introuvable", "Aucune application ne répond à cette adresse.")
            .advise("Vérifiez l’adresse, ou repartez de la page d’accueil de votre application."),
        Message::PayloadTooLarge => Wording::say(
            "Envoi trop volumineux",
            "Le fichier ou le formulaire dépasse la taille que cette application accepte. L’envoi a été interrompu.",
        )
        .advise("Réduisez la taille du fichier, ou envoyez-le en plusieurs fois."),
        Message::ProviderUnavailable { retry_url } => Wording::say(
            "Connexion momentanément impossible",
            format!("{provider}, le service qui vérifie votre identité, ne répond pas pour le moment."),
        )
        .advise("Vos sessions déjà ouvertes continuent de fonctionner.")
        .advise("Pour ouvrir une nouvelle session, réessayez dans quelques minutes.")
        .link(RETRY, retry_url),
        Message::Refused { application, .. } => Wording::say(
            "Accès refusé",
            format!(
                "La connexion a réussi, mais ce compte n’a pas accès à l’application «\u{a0}{}\u{a0}».",
                shown(application)
            ),
        ),
        Message::SessionEnded { login_url } => Wording::say(
            "Votre session a expiré",
            "Rien n’a été envoyé. Votre saisie est encore dans cet onglet\u{a0}: ne le fermez pas.",
        )
        .step("Ouvrez un nouvel onglet pour vous reconnecter, avec le bouton ci-dessous.")
        .step("Revenez dans cet onglet, puis rechargez cette page pour renvoyer votre formulaire.")
        .link_in_new_tab("Se reconnecter (nouvel onglet)", login_url),
        Message::SignedOut { application_url } => Wording::say(
            "Votre session est fermée",
            "La déconnexion de cette application est terminée.",
        )
        .advise(format!(
            "Les autres sites ouverts avec {provider} restent ouverts\u{a0}: déconnectez-vous aussi de chacun d’eux."
        ))
        .advise("Sur un poste partagé, fermez toutes les fenêtres du navigateur avant de partir.")
        .link("Se reconnecter", application_url),
        Message::Unauthenticated { login_url } => {
            Wording::say("Connexion nécessaire", "Cette adresse est réservée aux agents connectés.")
                .link(LOG_IN, login_url)
        }
        Message::UnknownSite { host } => unknown_site(host),
        Message::UpstreamTimeout { application } => Wording::say(
            "L’application tarde à répondre",
            format!("L’application «\u{a0}{}\u{a0}» n’a pas répondu à temps.", shown(application)),
        )
        .advise(
            "Si vous veniez d’envoyer un formulaire, il a peut-être été pris en compte\u{a0}: vérifiez-le avant de le \
             renvoyer.",
        )
        .advise("Sinon, rechargez la page dans quelques minutes."),
        Message::UpstreamUnavailable { application } => Wording::say(
            "Application indisponible",
            format!("L’application «\u{a0}{}\u{a0}» ne répond pas pour le moment.", shown(application)),
        )
        .advise("Votre compte n’est pas en cause. Rechargez la page dans quelques minutes.")
        .advise("Si vous veniez d’envoyer un formulaire, vérifiez ensuite s’il a été pris en compte."),
    }
}

fn claim_problem<'a>(claim: &str, malformed: bool, provider: &str) -> Wording<'a> {
    let (title, problem) = if malformed {
        ("Information incorrecte dans votre compte", "a transmis, sous une forme incorrecte,")
    } else {
        ("Information manquante dans votre compte", "n’a pas transmis")
    };
    let label = claim_label(claim, Language::French);
    let shown_claim = label.map_or_else(|| claim.to_owned(), |label| format!("{label} ({claim})"));
    Wording::say(
        title,
        format!("{provider} {problem} une information nécessaire à la connexion. Aucune session n’a été ouverte."),
    )
    .name("Information concernée", &shown_claim)
    .advise(
        "Demandez au support informatique de votre administration de la corriger dans votre compte, puis reconnectez-vous.",
    )
}

fn login_failed<'a>(cause: LoginFailure, provider: &str, retry_url: &'a str) -> Wording<'a> {
    match cause {
        LoginFailure::AccessDenied => Wording::say(
            "Connexion refusée",
            format!("{provider} a refusé la connexion à cette application, sans en préciser la raison."),
        )
        .advise("Réessayez, au besoin avec un autre compte."),
        LoginFailure::AcrNotHeld => Wording::say(
            "Authentification renforcée nécessaire",
            "Cette application demande un niveau d’authentification que votre connexion n’a pas atteint, par exemple un \
             second facteur.",
        )
        .advise(
            "Réessayez avec un moyen plus fort si vous en avez un\u{a0}: code à usage unique, clé de sécurité, carte \
             d’agent.",
        )
        .advise("Si votre administration n’en propose pas, parlez-en à son support informatique."),
        LoginFailure::Cancelled => Wording::say(
            "Connexion interrompue",
            "La connexion n’est pas allée jusqu’au bout\u{a0}: elle a été abandonnée, ou elle est restée trop longtemps \
             en attente.",
        )
        .advise("Vous pouvez la recommencer quand vous voulez."),
        LoginFailure::ConfigurationRefused => Wording::say(
            "Connexion impossible pour cette application",
            format!(
                "{provider} a rejeté notre demande de connexion\u{a0}: ce site est mal configuré. L’erreur ne vient pas \
                 de vous."
            ),
        )
        .advise(format!("{QUOTE_REFERENCE} Réessayer ne suffira sans doute pas.")),
        LoginFailure::DomainRefused => Wording::say(
            "Compte non admis",
            format!(
                "{provider} n’admet pas ce compte pour cette application. Le plus souvent, c’est que le domaine de son \
                 adresse électronique n’est pas dans la liste autorisée."
            ),
        )
        .advise("Réessayez avec votre adresse professionnelle habituelle."),
        LoginFailure::IdpHintNotFound => Wording::say(
            "Connexion impossible pour cette application",
            format!(
                "{provider} ne connaît pas le fournisseur d’identité que ce site lui demande. L’erreur ne vient pas de \
                 vous."
            ),
        )
        .advise(format!("{QUOTE_REFERENCE} Réessayer ne suffira sans doute pas.")),
        LoginFailure::InvalidIdentity => Wording::say(
            "Compte non admis",
            format!(
                "{provider} n’a pas accepté ce compte\u{a0}: l’application est réservée aux agents publics, ou le compte \
                 est bloqué."
            ),
        )
        .advise("Réessayez avec le compte de votre administration."),
        LoginFailure::LoginRequired => Wording::say(
            "Nouvelle identification nécessaire",
            format!("{provider} demande que vous vous identifiiez à nouveau."),
        ),
        LoginFailure::TechnicalError => Wording::say(
            "Incident pendant la connexion",
            format!(
                "{provider}, ou le fournisseur d’identité de votre administration, a rencontré une erreur technique. \
                 Aucune session n’a été ouverte."
            ),
        )
        .advise("Réessayez dans quelques minutes."),
        LoginFailure::Verification => Wording::say(
            "Connexion non vérifiée",
            format!(
                "La réponse reçue pendant la connexion avec {provider} n’a pas pu être vérifiée. Par sécurité, aucune \
                 session n’a été ouverte."
            ),
        )
        .advise("Réessayez. Si le message revient, transmettez la référence ci-dessous au support."),
    }
    .link(RETRY, retry_url)
}

fn login_loop<'a>(cause: LoopCause) -> Wording<'a> {
    let (lead, advice): (&'static str, &[&'static str]) = match cause {
        LoopCause::Clock => (
            "Trois connexions de suite ont réussi, mais chaque session était déjà périmée à l’ouverture\u{a0}: l’horloge \
             du serveur n’est pas à l’heure. L’erreur ne vient pas de vous.",
            &["Transmettez ce message et la référence ci-dessous au support\u{a0}: l’horloge du serveur est à régler."],
        ),
        LoopCause::Cookie => (
            "Trois connexions de suite ont réussi, mais votre navigateur n’a pas conservé le cookie qui ouvre la \
             session.",
            &[
                "Autorisez les cookies pour ce site, puis réessayez.",
                "Si cela ne suffit pas, quittez la navigation privée ou essayez un autre navigateur.",
            ],
        ),
        LoopCause::Host => (
            "Trois connexions de suite ont réussi, mais chacune revenait à une autre adresse que celle du départ.",
            &[
                "Repartez de l’adresse officielle de l’application, telle que votre administration l’indique.",
                "Si le message revient, transmettez-le au support avec la référence ci-dessous\u{a0}: le nom du site est \
                 à corriger dans sa configuration.",
            ],
        ),
        LoopCause::Key => (
            "Trois connexions de suite ont réussi, mais le serveur n’a pas pu relire la session qu’il venait d’ouvrir. \
             L’erreur ne vient pas de vous.",
            &[
                "Transmettez ce message et la référence ci-dessous au support\u{a0}: les serveurs de ce site doivent partager \
               les mêmes clés.",
            ],
        ),
    };
    advice.iter().fold(Wording::say("La connexion tourne en rond", lead), |wording, advice| wording.advise(*advice))
}

fn unknown_site<'a>(host: &str) -> Wording<'a> {
    let host = if host.is_empty() { "(aucune)" } else { host };
    Wording::say("Site inconnu", "Aucun site n’est configuré ici pour l’adresse reçue.")
        .name("Adresse reçue", host)
        .advise("Vérifiez l’adresse saisie, ou le lien que vous avez suivi.")
        .advise(
            "Si vous administrez ce serveur\u{a0}: l’adresse doit être le «\u{a0}host\u{a0}» d’une route, et un serveur \
             placé devant doit transmettre l’en-tête Host sans le changer.",
        )
}
