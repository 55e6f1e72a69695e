//! What the logins for one application ask of the provider, by configuration, and by the links that lead there where the
//! configuration lets them.

use std::collections::BTreeSet;

use crate::oidc::{Hint, Hints, Preset};

/// What the logins for an application ask for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Asks {
    /// The hints of every login.
    pub hints: Hints,
    /// The hints that a link may set.
    pub by_link: BTreeSet<Hint>,
}

impl Asks {
    /// The hints of a login that a link with this query leads to, at a provider of this kind. Of one that comes twice the
    /// first counts; one that is not allowed, or not in its form, is none.
    #[must_use]
    pub fn hints(&self, query: &str, preset: Preset) -> Hints {
        let mut by_link = Hints::default();
        if !self.by_link.is_empty() {
            let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
            for hint in &self.by_link {
                let given = pairs.iter().find(|(name, _)| name == hint.as_str()).map(|(_, value)| value);
                if let Some(value) = given.filter(|value| hint.check(value, preset).is_ok()) {
                    by_link.give(*hint, value.as_ref());
                }
            }
        }
        self.hints.clone().overridden_by(&by_link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(by_link: &[Hint], query: &str) -> Vec<(Hint, String)> {
        let mut hints = Hints::default();
        hints.give(Hint::Idp, "fia1");
        let asks = Asks { hints, by_link: by_link.iter().copied().collect() };
        let hints = asks.hints(query, Preset::AgentConnect);
        hints.iter().map(|(hint, value)| (hint, value.to_owned())).collect()
    }

    #[test]
    fn a_link_sets_what_it_may_and_nothing_else() {
        let own = (Hint::Idp, "fia1".to_owned());
        let login = (Hint::Login, "a+b@a.fr".to_owned());
        let link = "x=1&login_hint=a%2Bb%40a.fr&idp_hint=fia2&prompt=login&login_hint=c%40a.fr";
        assert_eq!(asked(&[], link), std::slice::from_ref(&own));
        assert_eq!(asked(&[Hint::Login], link), [own.clone(), login.clone()]);
        assert_eq!(asked(&[Hint::Login, Hint::Idp], link), [(Hint::Idp, "fia2".to_owned()), login]);
        for odd in [
            "login_hint=",
            "login_hint=a%40a.fr%0d%0aX%3a1",
            "login_hint=a%40a.fr%26prompt%3dnone",
            "LOGIN_HINT=a%40a.fr",
            "login_hint[]=a%40a.fr",
            "login_hint=%ff%40a.fr",
            "state=x&claims=y&redirect_uri=z&acr_values=eidas1&max_age=0",
        ] {
            assert_eq!(asked(&Hint::ALL, odd), std::slice::from_ref(&own), "{odd}");
        }
    }
}
