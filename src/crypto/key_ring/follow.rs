//! The ring in force, swapped whole when `keys_dir` changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::{KeyRing, KeyRingError, file, fingerprint};

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The ring in force. Clones share it.
#[derive(Clone, Debug)]
pub struct KeyRings {
    ring: Arc<ArcSwap<KeyRing>>,
    dir: Option<Arc<Path>>,
}

impl KeyRings {
    /// `ring`, read from `dir`; without a `dir` it never changes.
    #[must_use]
    pub fn new(ring: KeyRing, dir: Option<PathBuf>) -> Self {
        Self { ring: Arc::new(ArcSwap::from_pointee(ring)), dir: dir.map(Arc::from) }
    }

    /// The ring in force.
    #[must_use]
    pub fn load(&self) -> Arc<KeyRing> {
        self.ring.load_full()
    }

    /// Looks at the folder once and puts its ring in force where a key came or went; `true` where one did.
    ///
    /// # Errors
    ///
    /// [`KeyRingError`] where the folder cannot be used; the ring in force then stays.
    pub fn reload_if_changed(&self) -> Result<bool, KeyRingError> {
        let Some(dir) = &self.dir else { return Ok(false) };
        if fingerprint(file::list(dir)?.iter()) == self.ring.load().fingerprint() {
            return Ok(false);
        }
        self.ring.store(Arc::new(KeyRing::load(dir)?));
        Ok(true)
    }

    /// Looks at the folder every five seconds, for ever.
    pub async fn follow(&self) {
        let mut reported = None;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let rings = self.clone();
            // The folder may be on a network: never block a thread that serves requests.
            let outcome = tokio::task::spawn_blocking(move || rings.reload_if_changed()).await;
            reported = outcome.map_or(None, |outcome| report(outcome, reported));
        }
    }
}

/// Logs what changed, an error that stays only once.
fn report(outcome: Result<bool, KeyRingError>, reported: Option<String>) -> Option<String> {
    match outcome {
        Ok(changed) => {
            if changed {
                tracing::info!(reason = "keys_reloaded", "the keys changed and are in use");
            }
            None
        }
        Err(error) => {
            let text = error.to_string();
            if reported.as_ref() != Some(&text) {
                tracing::error!(reason = "keys_unusable", error = text, "the keys in use stay");
            }
            Some(text)
        }
    }
}
