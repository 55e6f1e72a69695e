//! The store across the network. The embedded one is in the state folder, which is examined by itself.

use super::{Finding, ask_store};
use crate::config::StoreKind;

pub(super) fn examine(kind: &StoreKind) -> Option<Finding> {
    let StoreKind::Redis(settings) = kind else { return None };
    let about = format!("store {}", settings.urls.join(", "));
    Some(match ask_store(settings) {
        Ok(()) => Finding::fine("store", &about, "it answers"),
        Err(error) => {
            let help = "see that it runs, that the firewall lets the gateway pass, and that user and password are right; until \
                        then on_store_failure decides about sessions";
            Finding::fault("store_unreachable", &about, error.to_string(), help)
        }
    })
}
