//! What logins ask of the provider besides levels: hints and `max_age`, of a provider or of a route.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::quantity;
use crate::config::raw::{Item, Section};
use crate::login::Asks;
use crate::oidc::{Hint, Hints, Preset};

/// Shorter, agents would do nothing but authenticate; and clocks may be that far apart.
const SHORTEST: Duration = Duration::from_secs(60);

/// What a table says of logins, each where it says anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    hints: Hints,
    by_link: Option<BTreeSet<Hint>>,
    max_age: Option<Duration>,
}

impl Written {
    /// Reads the keys of `section`, for logins at a provider of this kind.
    pub(super) fn read(section: &Section<'_>, preset: Preset) -> Self {
        let mut hints = Hints::default();
        for hint in Hint::ALL {
            if let Some(value) = section.item(hint.as_str()).and_then(|item| self::hint(&item, hint, preset)) {
                hints.give(hint, value);
            }
        }
        let by_link = section.item("link_hints").map(|item| {
            let elements = item.elements();
            elements.iter().filter_map(|element| element.read(str::parse::<Hint>)).collect()
        });
        Self { hints, by_link, max_age: section.item("max_age").and_then(|item| max_age(&item, preset)) }
    }

    /// What the logins for a route ask for, and how long ago its agents may have authenticated: what the route says, or
    /// else what its provider does.
    pub(super) fn of_route(self, provider: &Self) -> (Asks, Option<Duration>) {
        let by_link = self.by_link.or_else(|| provider.by_link.clone()).unwrap_or_default();
        let hints = provider.hints.clone().overridden_by(&self.hints);
        (Asks { hints, by_link }, self.max_age.or(provider.max_age))
    }
}

fn hint(item: &Item<'_>, hint: Hint, preset: Preset) -> Option<String> {
    let value = item.read(|text| hint.check(text, preset).map(|()| text.to_owned()))?;
    if hint == Hint::Prompt && preset == Preset::AgentConnect && value != "none" {
        let idle = item.warning(format!("AgentConnect does the same with and without prompt = {value:?}"));
        item.report(idle.help(
            "it answers from its own session all the same; acr = [\"eidas2\", \"eidas3\"] in a rule makes it authenticate anew",
        ));
    }
    Some(value)
}

fn max_age(item: &Item<'_>, preset: Preset) -> Option<Duration> {
    let max_age = item.read(quantity::duration)?;
    if max_age < SHORTEST {
        item.report(item.error("invalid `max_age`").label("at least a minute (\"60s\")"));
        return None;
    }
    if preset == Preset::AgentConnect {
        let idle = item.warning("AgentConnect does not authenticate anew for the sake of `max_age`");
        item.report(idle.help(
            "it answers from its own session, and calls that a new authentication; acr = [\"eidas2\", \"eidas3\"] in a rule \
             makes it authenticate anew",
        ));
    }
    Some(max_age)
}
