//! The words of the provider: which claims a configuration may name, and which scope each takes.

use super::diagnostic::{Diagnostic, Report};
use super::source::Place;
use super::suggest::nearest;
use crate::oidc::Preset;

/// The claims of AgentConnect («données fournies»), and those of the ID token that are asked for by themselves.
pub(super) const CLAIMS: [&str; 20] = [
    "acr",
    "amr",
    "belonging_population",
    "chorusdt:matricule",
    "chorusdt:societe",
    "custom",
    "email",
    "given_name",
    "groups",
    "idp_acr",
    "idp_id",
    "organization_label",
    "organizational_unit",
    "phone_number",
    "roles",
    "siren",
    "siret",
    "sub",
    "uid",
    "usual_name",
];
/// The conditions that are not the name of a claim.
pub(super) const CONDITIONS: [&str; 7] = ["client_address", "email_domain", "method", "mfa", "not", "path", "time"];
/// The claims of the ID token that the gateway asks for through `claims`, so without a scope.
const ASKED_BY_NAME: [&str; 2] = ["acr", "amr"];
/// The levels of AgentConnect since June 2026.
const LEVELS: [&str; 7] = [
    "eidas0",
    "eidas0-mfa",
    "eidas1",
    "eidas1-mfa",
    "eidas2",
    "eidas3",
    "https://proconnect.gouv.fr/assurance/certification-dirigeant",
];

/// What the provider knows, and what it is asked for.
#[derive(Clone, Debug)]
pub(super) struct Vocabulary {
    /// The table of the provider, as messages call it.
    pub(super) table: String,
    pub(super) preset: Preset,
    /// The scopes asked for.
    pub(super) scope: Vec<String>,
    /// Where they are written.
    pub(super) scope_place: Option<Place>,
}

impl Vocabulary {
    /// Whether the provider may send a claim called `name`.
    pub(super) fn knows(&self, name: &str) -> bool {
        match self.preset {
            Preset::AgentConnect => CLAIMS.contains(&name),
            Preset::OpenId => true,
        }
    }

    /// The name of a claim that stands at `place`: an error where there is no such claim, a warning where it will never
    /// come.
    pub(super) fn claim(&self, name: &str, place: &Place, report: &Report) -> Option<String> {
        if !self.knows(name) {
            let unknown = Diagnostic::error(place, format!("AgentConnect has no claim called `{name}`"));
            let instead = self.instead_of_claim(name);
            report.push(unknown.help(instead.unwrap_or_else(|| format!("its claims: {}", CLAIMS.join(", ")))));
            return None;
        }
        self.warn_if_not_asked(name, place, report);
        Some(name.to_owned())
    }

    /// Warns where no scope that is asked for gives the claim called `name`.
    pub(super) fn warn_if_not_asked(&self, name: &str, place: &Place, report: &Report) {
        if let Some(scope) = self.missing_scope(name) {
            let never = format!("the claim `{name}` will never be there: its scope is not asked for");
            report
                .push(Diagnostic::warning(place, never).help(format!("add \"{scope}\" to `scope` in {}", self.table)));
        }
    }

    /// Warns of a scope that AgentConnect ignores without a word.
    pub(super) fn check_scope(&self, scope: &str, place: &Place, report: &Report) {
        if !self.preset.known_scope(scope) {
            let unknown = Diagnostic::warning(place, format!("AgentConnect ignores the unknown scope `{scope}`"));
            report.push(match (self.preset.scope_of_claim(scope), nearest(scope, self.scopes())) {
                (Some(giving), _) => unknown.help(format!("the claim `{scope}` comes with the scope `{giving}`")),
                (None, Some(near)) => unknown.help(format!("did you mean `{near}`?")),
                (None, None) => unknown,
            });
        }
    }

    /// Warns of a level that AgentConnect does not have: matching is exact, so it admits nobody.
    pub(super) fn check_level(&self, acr: &str, place: &Place, report: &Report) {
        if self.preset == Preset::AgentConnect && !LEVELS.contains(&acr) {
            let unknown = Diagnostic::warning(place, format!("AgentConnect has no level called `{acr}`"));
            report.push(match nearest(acr, LEVELS) {
                Some(near) => unknown.help(format!("did you mean `{near}`?")),
                None => unknown.help(format!("its levels: {}", LEVELS.join(", "))),
            });
        }
    }

    /// The scope that would give `claim`, where it is not asked for.
    pub(super) fn missing_scope(&self, claim: &str) -> Option<&'static str> {
        // The gateway derives the SIREN from the SIRET at login.
        let derived = claim == "siren" && self.asks("siret");
        let comes_anyway = derived || ASKED_BY_NAME.contains(&claim);
        let scope = if comes_anyway { None } else { self.preset.scope_of_claim(claim) };
        scope.filter(|scope| !self.asks(scope))
    }

    fn asks(&self, scope: &str) -> bool {
        self.scope.iter().any(|asked| asked == scope)
    }

    fn scopes(&self) -> impl Iterator<Item = &'static str> {
        CLAIMS.into_iter().filter_map(|claim| self.preset.scope_of_claim(claim))
    }

    /// What to write in place of `name`, which is no claim: those that the scope of this name gives, or the closest.
    pub(super) fn instead_of_claim(&self, name: &str) -> Option<String> {
        let given: Vec<_> = CLAIMS.into_iter().filter(|c| self.preset.scope_of_claim(c) == Some(name)).collect();
        match (given.as_slice(), nearest(name, CLAIMS)) {
            ([], near) => near.map(|near| format!("did you mean `{near}`?")),
            (given, _) => Some(format!("the scope `{name}` gives {}", given.join(", "))),
        }
    }
}
