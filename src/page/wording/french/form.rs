//! Forms that met an expired session, in French.

use std::time::Duration;

use crate::page::wording::{Wording, ago, duration, shown};
use crate::page::{FormView, Language};

pub(super) fn shown_again(form: &FormView<'_>) -> Wording<'static> {
    let application = shown(form.application);
    match form.sent {
        None => Wording::say(
            "Envoyer ce formulaire\u{a0}?",
            format!(
                "Il fallait d’abord vous identifier de nouveau. L’application «\u{a0}{application}\u{a0}» ne l’a pas \
                 encore reçu."
            ),
        ),
        Some(sent) => Wording::say(
            "Envoyer ce formulaire de nouveau\u{a0}?",
            format!(
                "Il a été transmis à l’application «\u{a0}{application}\u{a0}» {}. Ne l’envoyez de nouveau que si \
                 elle l’a refusé.",
                ago(sent, Language::French)
            ),
        ),
    }
}

pub(super) fn gone() -> Wording<'static> {
    Wording::say(
        "Ce formulaire n’est plus disponible",
        "Il a été supprimé, sa durée de conservation est passée, ou il a été rempli sous un autre compte ou dans un \
         autre navigateur.",
    )
    .advise("Vérifiez dans l’application s’il a été pris en compte. Sinon, il faut le remplir de nouveau.")
}

pub(super) fn kept(keep: Duration) -> Wording<'static> {
    Wording::say(
        "Votre session a expiré",
        format!(
            "Votre formulaire n’a pas été envoyé à l’application, mais rien n’est perdu\u{a0}: il est conservé ici \
             pendant {}.",
            duration(keep, Language::French)
        ),
    )
    .advise("Reconnectez-vous avec le même compte\u{a0}: vous verrez ce qui sera envoyé, et l’enverrez d’un clic.")
}
