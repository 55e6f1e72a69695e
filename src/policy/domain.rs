//! The domain of an e-mail address (`email_domain`): exact, or everything below `.suffix`, label by label.

use foldhash::HashSet;

use super::condition::Outcome;

/// Domains, of which an address must have one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Domains {
    exact: HashSet<Box<str>>,
    /// Each with its leading dot.
    suffixes: HashSet<Box<str>>,
}

/// Why a text is no domain in a rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DomainError {
    /// Holds an `@`.
    #[error("the domain alone, without what stands before the @")]
    Address,
    /// Not ASCII.
    #[error("a domain is ASCII: write an accented one as it goes over the wire, xn--…")]
    NotAscii,
    /// Anything else.
    #[error("a domain (\"interieur.gouv.fr\"), or with a dot in front all those below it (\".gouv.fr\")")]
    Shape,
}

impl Domains {
    /// Adds a domain, or with a dot in front all those below it.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub fn insert(&mut self, text: &str) -> Result<(), DomainError> {
        let domain = text.strip_prefix('.').unwrap_or(text);
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        match text {
            _ if !text.is_ascii() => Err(DomainError::NotAscii),
            _ if text.contains('@') => Err(DomainError::Address),
            _ if !domain.split('.').all(is_label) => Err(DomainError::Shape),
            _ => {
                let set = if domain == text { &mut self.exact } else { &mut self.suffixes };
                set.insert(text.into());
                Ok(())
            }
        }
    }

    /// Whether the address `email` is in one of them; undecided where it is no address.
    pub(super) fn of(&self, email: &str) -> Outcome {
        let Some(domain) = domain(email) else { return Outcome::Undecided };
        // A leading dot would make an empty label, and the whole of it a suffix.
        let mut below = domain.match_indices('.').filter(|(at, _)| *at > 0).map(|(at, _)| &domain[at..]);
        let holds = self.exact.contains(domain)
            || (!self.suffixes.is_empty() && below.any(|suffix| self.suffixes.contains(suffix)));
        Outcome::holds_if(holds)
    }

    /// As written, in no order.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.exact.iter().chain(&self.suffixes).map(AsRef::as_ref)
    }
}

/// What follows the one `@` of an address in visible ASCII.
pub(super) fn domain(email: &str) -> Option<&str> {
    let (local, domain) = email.split_once('@')?;
    let fits = !local.is_empty() && !domain.is_empty() && !domain.contains('@');
    (fits && email.bytes().all(|byte| byte.is_ascii_graphic())).then_some(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains(texts: &[&str]) -> Domains {
        let mut domains = Domains::default();
        texts.iter().for_each(|text| domains.insert(text).unwrap());
        domains
    }

    #[test]
    fn a_domain_is_exact_and_a_suffix_ends_on_a_label() {
        let domains = domains(&["dinum.fr", ".gouv.fr"]);
        for email in ["a@dinum.fr", "a@interieur.gouv.fr", "a@dgfip.finances.gouv.fr"] {
            assert_eq!(domains.of(email), Outcome::Holds, "{email}");
        }
        for email in [
            "a@gouv.fr",
            "a@evilgouv.fr",
            "a@.gouv.fr",
            "a@gouv.fr.evil.fr",
            "a@x.dinum.fr",
            "a@DINUM.fr",
            "a@interieur.gouv.fr.",
            "dinum.fr@evil.fr",
        ] {
            assert_eq!(domains.of(email), Outcome::Fails, "{email}");
        }
    }

    #[test]
    fn what_is_no_address_is_undecided() {
        let domains = domains(&["gouv.fr", ".gouv.fr"]);
        for email in [
            "a@evil@gouv.fr",
            "a@evil.fr@x.gouv.fr",
            "@gouv.fr",
            "a@",
            "gouv.fr",
            "",
            "a@g\u{43e}uv.fr",
            "é@gouv.fr",
            "a b@gouv.fr",
            "a@gouv.fr\n",
            "a@x\u{3002}gouv.fr",
        ] {
            assert_eq!(domains.of(email), Outcome::Undecided, "{email}");
        }
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        let refused = |text: &str| Domains::default().insert(text).unwrap_err();
        assert_eq!(refused("a@gouv.fr"), DomainError::Address);
        assert_eq!(refused("@gouv.fr"), DomainError::Address);
        assert_eq!(refused("éducation.gouv.fr"), DomainError::NotAscii);
        for text in ["", ".", "..gouv.fr", "*.gouv.fr", "gouv.fr.", "gouv..fr", "gouv fr"] {
            assert_eq!(refused(text), DomainError::Shape, "{text}");
        }
    }
}
