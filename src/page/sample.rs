//! One message of every kind: replaced templates are tried on them when they are loaded, and the tests look at them.

use std::sync::LazyLock;
use std::time::Duration;

use http::StatusCode;

use super::{
    AgentView, ApplicationView, FormView, LoginFailure, LogoutForm, LoopCause, MeView, Message, PortalView,
    ProviderError, ReceivedClaim, RefusedView, StepUpFailure, StepUpView, Wanted,
};
use crate::oidc::Levels;
use crate::stash::{Content, Field, Value};

const AGENT: AgentView<'_> = AgentView {
    name: "Zoé Lefèvre-d’Hérouville",
    email: Some("zoe.lefevre-dherouville@interieur.example.gouv.fr"),
    organization: Some("Direction interministérielle de l’exemple"),
    siret: Some("11004601800013"),
    idp_id: Some("fia1v2"),
};

const CLAIMS: [ReceivedClaim<'_>; 7] = [
    claim("sub", "X-Agent-Sub", "d0c4ac1f-7d56-4b2e-9a53-0d2b6f8f7a11"),
    claim("given_name", "X-Agent-Given-Name", "Zoé Aïcha"),
    claim("usual_name", "X-Agent-Usual-Name", "Lefèvre-d’Hérouville"),
    claim("email", "X-Agent-Email", "zoe.lefevre-dherouville@interieur.example.gouv.fr"),
    claim("siret", "X-Agent-Siret", "11004601800013"),
    claim("email", "Remote-User", "zoe.lefevre-dherouville@interieur.example.gouv.fr"),
    claim("groups", "X-Agent-Groups", "paie-lecture,paie-écriture"),
];

const LOGOUT: LogoutForm<'_> = LogoutForm {
    url: "/.portillon/logout",
    token: "Jq3yXo1nJwF8Hc0kQk1Y0g",
    login_origin: None,
    provider_origin: Some("https://agentconnect.example.gouv.fr"),
};

const APPLICATION: &str = "paie";
const FORM_URL: &str = "/.portillon/form?id=Jq3yXo1nJwF8Hc0kQk1Y0g";

static FIELDS: LazyLock<Content> = LazyLock::new(|| {
    let field = |name: &str, value| Field { name: name.to_owned(), value };
    let fields = vec![
        field("objet", Value::Text("Réclamation sur le bulletin d’août".to_owned())),
        field("piece_jointe", Value::File("bulletin août.pdf".to_owned(), 431_000)),
        field("mot_de_passe", Value::Hidden),
    ];
    Content::Fields(fields, 3)
});

const RETRY_URL: &str = "/.portillon/login?return_to=%2Fbulletins%2F2026";

const fn claim<'a>(claim: &'a str, header: &'a str, value: &'a str) -> ReceivedClaim<'a> {
    ReceivedClaim { claim, header, value }
}

const APPLICATIONS: [ApplicationView<'_>; 3] = [
    ApplicationView {
        name: "Paie",
        description: Some("Bulletins, primes et remboursements."),
        icon: Some("/.portillon/icon/Jq3yXo1nJwF8Hc0kQk1Y.svg"),
        url: "https://paie.example.gouv.fr/",
        step_up: true,
    },
    ApplicationView {
        name: "Épargne-temps et congés",
        description: None,
        icon: None,
        url: "https://rh.example.gouv.fr/conges/?exercice=2026&vue=mois",
        step_up: false,
    },
    ApplicationView {
        name: "Archives du ministère",
        description: Some(
            "Versements, recherches et communications, du service producteur jusqu’aux archives définitives.",
        ),
        icon: None,
        url: "https://archives.example.gouv.fr/",
        step_up: false,
    },
];

/// Two reasons, as rules give them.
const REASONS: [&str; 2] = [
    "Réservé aux agents du ministère avec double authentification.",
    "Cette application n’est pas ouverte aux stagiaires.",
];

/// A message of every kind, with every cause.
pub(super) fn messages() -> Vec<Message<'static>> {
    let mut messages = vec![
        Message::AmbiguousPath,
        Message::BadRequest { code: "bare_line_feed", status: StatusCode::BAD_REQUEST },
        Message::ClaimProblem { claim: "uid", malformed: false },
        Message::ClaimProblem { claim: "siret", malformed: true },
        Message::Form(form(&FIELDS, None)),
        Message::Form(form(&Content::Opaque(3_145_728), Some(Duration::from_secs(120)))),
        Message::FormGone { application_url: "/" },
        Message::FormKept { form_url: FORM_URL, keep: Duration::from_secs(3600), is_step_up: false },
        Message::FormKept { form_url: FORM_URL, keep: Duration::from_secs(3600), is_step_up: true },
        Message::Internal,
        Message::LoginExpired { retry_url: RETRY_URL },
        Message::Me(me(&CLAIMS)),
        Message::Me(me(&[])),
        Message::MethodNotAllowed { allow: "GET, HEAD" },
        Message::NoRoute,
        Message::PayloadTooLarge,
        Message::Portal(portal(&APPLICATIONS)),
        Message::Portal(portal(&[])),
        Message::ProviderUnavailable { retry_url: RETRY_URL },
        Message::Refused(refused(AGENT, &REASONS)),
        Message::Refused(refused(AgentView::default(), &[])),
        Message::SessionEnded { login_url: RETRY_URL },
        Message::SignedOut { everywhere: false, application_url: "/" },
        Message::SignedOut { everywhere: true, application_url: "/" },
        Message::StoreUnavailable { retry_url: RETRY_URL },
        Message::Unauthenticated { login_url: RETRY_URL },
        Message::UnknownSite { host: "paie.example.gouv.fr:8443" },
        Message::UpstreamTimeout { application: APPLICATION },
        Message::UpstreamUnavailable { application: APPLICATION },
    ];
    messages.extend(LoginFailure::ALL.map(|cause| Message::LoginFailed {
        cause,
        error: (cause != LoginFailure::Verification).then(|| ProviderError::new("access_denied")),
        retry_url: RETRY_URL,
    }));
    messages.extend(LEVELS.iter().map(|levels| Message::StepUpNeeded {
        application: APPLICATION,
        wanted: Wanted { levels, max_age: None },
        reasons: &REASONS,
        step_up_url: RETRY_URL,
    }));
    messages.extend(StepUpFailure::ALL.map(|cause| Message::StepUpFailed(step_up(cause))));
    messages.extend(LoopCause::ALL.map(|cause| Message::LoginLoop { cause, retry_url: RETRY_URL }));
    messages
}

/// What an application may want, from nothing in particular to what only an expert can explain.
static LEVELS: LazyLock<[Levels; 5]> = LazyLock::new(|| {
    let of = |acr: &[&str]| Levels { acr: acr.iter().map(|acr| (*acr).to_owned()).collect(), ..Levels::default() };
    [of(&[]), of(&["eidas3"]), of(&["eidas2", "eidas3"]), of(&["eidas1-mfa", "eidas2", "eidas3"]), of(&["eidas1"])]
});

fn step_up(cause: StepUpFailure) -> StepUpView<'static> {
    let max_age = (cause == StepUpFailure::NotRecent).then(|| Duration::from_secs(900));
    let levels = &LEVELS[if max_age.is_some() { 0 } else { 3 }];
    StepUpView {
        cause,
        agent: AGENT,
        application: APPLICATION,
        wanted: Wanted { levels, max_age },
        reasons: if max_age.is_some() { &[] } else { &REASONS },
        retry_url: "/bulletins/2026",
        logout: LOGOUT,
    }
}

fn form<'a>(content: &'a Content, sent: Option<Duration>) -> FormView<'a> {
    FormView {
        application: APPLICATION,
        action: "https://paie.example.gouv.fr/bulletins/reclamation?annee=2026",
        content,
        age: Duration::from_secs(12 * 60),
        left: Duration::from_secs(48 * 60),
        sent,
        field: "portillon-resend",
        id: "Jq3yXo1nJwF8Hc0kQk1Y0g",
        discard_url: "/.portillon/form",
        sends_itself: false,
    }
}

const fn portal<'a>(applications: &'a [ApplicationView<'a>]) -> PortalView<'a> {
    PortalView { agent: AGENT, applications, me_url: "/.portillon/me", logout: LOGOUT }
}

const fn refused<'a>(agent: AgentView<'a>, reasons: &'a [&'a str]) -> RefusedView<'a> {
    RefusedView { agent, application: APPLICATION, reasons, logout: LOGOUT }
}

const fn me<'a>(claims: &'a [ReceivedClaim<'a>]) -> MeView<'a> {
    MeView {
        agent: AGENT,
        application: APPLICATION,
        application_url: "/",
        claims,
        session_age: Duration::from_secs(2 * 3600 + 41 * 60),
        idle_left: Duration::from_secs(42 * 60),
        absolute_left: Duration::from_secs(9 * 3600 + 18 * 60),
        logout: LOGOUT,
    }
}
