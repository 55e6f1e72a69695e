//! What one login asks of the provider besides who the agent is: levels of authentication (the `claims` parameter, OpenID
//! Connect Core 1.0 section 5.5), how recent it must be (`max_age`, section 3.1.2.1), and hints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::claim_set::SKEW;
use super::preset::{Preset, UnknownName};
use crate::clock::Timestamp;
use crate::identity::siret::is_siret;
use crate::identity::{ClaimValue, Claims};

/// Levels of authentication, of which one of each kind that is named must be reached. Providers compare them exactly, so
/// that every acceptable one is here.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Levels {
    /// `acr`; empty: any.
    pub acr: BTreeSet<String>,
    /// `amr`, which a login has several of; empty: any.
    pub amr: BTreeSet<String>,
}

impl Levels {
    /// Whether any level will do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.acr.is_empty() && self.amr.is_empty()
    }

    /// Whether a login that ended in `claims` reached one of each kind.
    #[must_use]
    pub fn are_held_by(&self, claims: &Claims) -> bool {
        let acr = self.acr.is_empty() || claims.text("acr").is_some_and(|acr| self.acr.contains(acr));
        let has =
            |amr: &ClaimValue| matches!(amr, ClaimValue::List(amr) if amr.iter().any(|amr| self.amr.contains(amr)));
        acr && (self.amr.is_empty() || claims.get("amr").is_some_and(has))
    }

    /// Every level.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.acr.iter().chain(&self.amr).map(String::as_str)
    }
}

impl fmt::Display for Levels {
    /// `acr eidas2 or eidas3, and amr hwk`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |name: &str, levels: &BTreeSet<String>| {
            let levels: Vec<&str> = levels.iter().map(String::as_str).collect();
            (!levels.is_empty()).then(|| format!("{name} {}", levels.join(" or ")))
        };
        let kinds: Vec<String> = named("acr", &self.acr).into_iter().chain(named("amr", &self.amr)).collect();
        f.write_str(&kinds.join(", and "))
    }
}

/// A parameter of the authorization request that helps the provider, and proves nothing.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Hint {
    /// The identity provider to go to, of those behind AgentConnect.
    Idp,
    /// Who is about to log in (OpenID Connect Core 1.0 section 3.1.2.1).
    Login,
    /// What the agent may be asked (the same section).
    Prompt,
    /// The organisation to offer first, at AgentConnect.
    Siret,
}

/// The `prompt` by which the provider shows nothing: who is not logged in there is not logged in here.
const SILENT: &str = "none";

impl Hint {
    /// Every hint.
    pub const ALL: [Self; 4] = [Self::Idp, Self::Login, Self::Prompt, Self::Siret];

    /// The name of its parameter.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idp => "idp_hint",
            Self::Login => "login_hint",
            Self::Prompt => "prompt",
            Self::Siret => "siret_hint",
        }
    }

    /// Whether `value` is in the form that the provider takes: AgentConnect refuses a login for the sake of a wrong hint.
    ///
    /// # Errors
    ///
    /// The form that it must have.
    pub fn check(self, value: &str, preset: Preset) -> Result<(), &'static str> {
        let agent_connect = preset == Preset::AgentConnect;
        let (fits, form) = match self {
            Self::Idp => (is_visible(value), "1 to 256 visible ASCII characters"),
            Self::Login if agent_connect => (is_email(value), "an e-mail address"),
            Self::Login => (is_line(value), "1 to 256 bytes of UTF-8, no control character among them"),
            Self::Prompt if agent_connect => (["consent", "login", SILENT].contains(&value), "consent, login or none"),
            Self::Prompt => (
                ["consent", "login", SILENT, "select_account"].contains(&value),
                "consent, login, none or select_account",
            ),
            Self::Siret => (is_siret(value), "14 digits without spaces, the last of which checks the others"),
        };
        if fits { Ok(()) } else { Err(form) }
    }
}

impl FromStr for Hint {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let known = Self::ALL.into_iter().find(|hint| hint.as_str() == name);
        known.ok_or(UnknownName::expecting("idp_hint, login_hint, prompt or siret_hint"))
    }
}

/// Hints, each at most once.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Hints(BTreeMap<Hint, String>);

impl Hints {
    /// Gives a hint, in the place of what it was.
    pub fn give(&mut self, hint: Hint, value: impl Into<String>) {
        self.0.insert(hint, value.into());
    }

    /// Every hint.
    pub fn iter(&self) -> impl Iterator<Item = (Hint, &str)> {
        self.0.iter().map(|(hint, value)| (*hint, value.as_str()))
    }

    /// The same, with those of `others` where both have one.
    #[must_use]
    pub fn overridden_by(mut self, others: &Self) -> Self {
        self.0.extend(others.0.clone());
        self
    }

    /// Whether the provider may not show anything.
    #[must_use]
    pub fn are_silent(&self) -> bool {
        self.0.get(&Hint::Prompt).is_some_and(|prompt| prompt == SILENT)
    }

    /// The same for a login that the agent has to do something for.
    #[must_use]
    pub fn not_silent(mut self) -> Self {
        self.0.retain(|hint, value| *hint != Hint::Prompt || value != SILENT);
        self
    }
}

/// What one login asks for.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Wishes {
    /// The levels that it must reach.
    pub levels: Levels,
    /// How long ago the agent may have authenticated at most.
    pub max_age: Option<Duration>,
    /// What helps the provider.
    pub hints: Hints,
}

impl Wishes {
    /// Whether a login has them that ended in `claims`, of an agent who authenticated at that time.
    #[must_use]
    pub fn are_met_by(&self, claims: &Claims, authenticated_at: Timestamp, now: Timestamp) -> bool {
        self.levels.are_held_by(claims) && self.max_age.is_none_or(|max| is_recent(authenticated_at, max, now))
    }

    /// How many bytes of text they are.
    #[must_use]
    pub fn size(&self) -> usize {
        let levels = self.levels.iter().map(str::len);
        levels.chain(self.hints.iter().map(|(_, value)| value.len())).map(|length| length + 2).sum()
    }
}

/// Whether who authenticated at that time did so at most `max_age` ago, by clocks that may be apart.
#[must_use]
pub fn is_recent(authenticated_at: Timestamp, max_age: Duration, now: Timestamp) -> bool {
    now.since(authenticated_at) <= max_age + SKEW
}

fn is_visible(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_line(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.contains(char::is_control)
}

/// The addresses that every checker of addresses takes: letters, digits and `._%+-`, one `@`, a domain of several labels.
fn is_email(text: &str) -> bool {
    let is_local = |local: &str| {
        let dots = !local.starts_with('.') && !local.ends_with('.') && !local.contains("..");
        dots && (1..=64).contains(&local.len())
            && local.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._%+-'".contains(&byte))
    };
    let is_label = |label: &str| {
        let edges = !label.starts_with('-') && !label.ends_with('-');
        edges
            && (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let parts = text.split_once('@').filter(|_| text.len() <= 254);
    parts.is_some_and(|(local, domain)| is_local(local) && domain.contains('.') && domain.split('.').all(is_label))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(acr: &[&str], amr: &[&str]) -> Levels {
        let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Levels { acr: set(acr), amr: set(amr) }
    }

    #[test]
    fn levels_are_held_by_exact_membership_and_one_means_is_enough() {
        let mut claims = Claims::new("s");
        claims.insert("acr", ClaimValue::Text("eidas2".into()));
        claims.insert("amr", ClaimValue::List(vec!["pwd".into(), "otp".into()]));
        for (acr, amr, held) in [
            (&[][..], &[][..], true),
            (&["eidas2"], &[], true),
            (&["eidas1", "eidas2"], &["otp"], true),
            (&["eidas1"], &[], false),
            (&["eidas3"], &[], false),
            (&["Eidas2"], &[], false),
            (&["eidas2"], &["hwk"], false),
            (&[], &["hwk", "pwd"], true),
        ] {
            assert_eq!(levels(acr, amr).are_held_by(&claims), held, "{acr:?} {amr:?}");
        }
        let nobody = Claims::new("s");
        assert!(levels(&[], &[]).are_held_by(&nobody));
        assert!(!levels(&["eidas2"], &[]).are_held_by(&nobody) && !levels(&[], &["otp"]).are_held_by(&nobody));
        let mut other = Claims::new("s");
        other.insert("amr", ClaimValue::Text("otp".into()));
        assert!(!levels(&[], &["otp"]).are_held_by(&other), "`amr` is a list (OpenID Connect Core 1.0 section 2)");
    }

    #[test]
    fn a_hint_out_of_its_form_is_none() {
        use Preset::{AgentConnect, OpenId};
        for (hint, preset, value, fits) in [
            (Hint::Idp, AgentConnect, "71144ab3-ee1a-4401-b7b3-79b44f7daeeb", true),
            (Hint::Idp, AgentConnect, "fia 1", false),
            (Hint::Idp, AgentConnect, "fia1\u{301}", false),
            (Hint::Idp, AgentConnect, "", false),
            (Hint::Login, AgentConnect, "zoe.d'herouville+mfa@sg.interieur.gouv.fr", true),
            (Hint::Login, AgentConnect, "zoe", false),
            (Hint::Login, AgentConnect, "zoe@gouv.fr\r\nx: y", false),
            (Hint::Login, AgentConnect, "zoë@gouv.fr", false),
            (Hint::Login, AgentConnect, "a@b@gouv.fr", false),
            (Hint::Login, AgentConnect, ".a@gouv.fr", false),
            (Hint::Login, AgentConnect, "a@gouv..fr", false),
            (Hint::Login, AgentConnect, "a@localhost", false),
            (Hint::Login, OpenId, "zoë", true),
            (Hint::Login, OpenId, "a\u{0}", false),
            (Hint::Login, OpenId, &"é".repeat(128), true),
            (Hint::Login, OpenId, &"é".repeat(129), false),
            (Hint::Prompt, AgentConnect, "login", true),
            (Hint::Prompt, AgentConnect, "select_account", false),
            (Hint::Prompt, OpenId, "select_account", true),
            (Hint::Prompt, OpenId, "login consent", false),
            (Hint::Siret, AgentConnect, "11004601800013", true),
            (Hint::Siret, AgentConnect, "11004601800014", false),
            (Hint::Siret, AgentConnect, "110 046 018 00013", false),
        ] {
            assert_eq!(hint.check(value, preset).is_ok(), fits, "{hint:?} {value:?}");
        }
    }

    #[test]
    fn clocks_may_be_a_minute_apart() {
        let (at, max) = (Timestamp::from_secs(1000), Duration::from_secs(300));
        for (now, recent) in [(900, true), (1300, true), (1360, true), (1361, false)] {
            assert_eq!(is_recent(at, max, Timestamp::from_secs(now)), recent, "{now}");
        }
    }
}
