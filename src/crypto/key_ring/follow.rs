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

    /// Looks at the folder every five seconds, for ever. `told` hears of keys that changed, or that cannot be used.
    pub async fn follow(&self, told: impl Fn(Result<(), &str>)) {
        let mut reported: Option<String> = None;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let rings = self.clone();
            // The folder may be on a network: never block a thread that serves requests.
            let outcome = tokio::task::spawn_blocking(move || rings.reload_if_changed()).await;
            reported = outcome.map_or(None, |outcome| report(outcome, reported.as_deref(), &told));
        }
    }
}

/// Logs what changed, an error that stays only once.
fn report(
    outcome: Result<bool, KeyRingError>,
    reported: Option<&str>,
    told: impl Fn(Result<(), &str>),
) -> Option<String> {
    match outcome {
        Ok(changed) => {
            if changed {
                tracing::info!(reason = "keys_reloaded", "the keys changed and are in use");
                told(Ok(()));
            }
            None
        }
        Err(error) => {
            let text = error.to_string();
            if reported != Some(text.as_str()) {
                tracing::error!(reason = "keys_unusable", error = text, "the keys in use stay");
                told(Err(&text));
            }
            Some(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::crypto::aead::Purpose;
    use crate::crypto::key_ring::KeyKind;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const PURPOSE: Purpose = Purpose::new("test");

    fn rings(dir: &Path) -> KeyRings {
        KeyRings::new(KeyRing::open_or_create(dir, NOW).unwrap(), Some(dir.to_owned()))
    }

    #[test]
    fn a_new_key_is_picked_up_and_an_unchanged_folder_is_not_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let rings = rings(dir.path());
        let before = rings.load();
        assert!(!rings.reload_if_changed().unwrap());
        assert!(Arc::ptr_eq(&before, &rings.load()));
        file::create_key(dir.path(), KeyKind::Sealing, NOW).unwrap();
        assert!(rings.reload_if_changed().unwrap());
        assert_ne!(rings.load().fingerprint(), before.fingerprint());
    }

    #[test]
    fn gateways_that_start_at_once_end_with_one_ring() {
        let dir = tempfile::tempdir().unwrap();
        let start = || rings(dir.path());
        let (first, second) = std::thread::scope(|scope| {
            let (first, second) = (scope.spawn(start), scope.spawn(start));
            (first.join().unwrap(), second.join().unwrap())
        });
        for rings in [&first, &second] {
            rings.reload_if_changed().unwrap();
        }
        assert_eq!(first.load().fingerprint(), second.load().fingerprint());
        let sealed = first.load().seal(PURPOSE, "", b"m", NOW);
        assert_eq!(second.load().open(PURPOSE, "", &sealed).as_deref(), Ok(&b"m"[..]));
    }

    #[test]
    fn the_ring_in_force_outlives_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let rings = rings(dir.path());
        let before = rings.load().fingerprint();
        std::fs::remove_dir_all(dir.path()).unwrap();
        assert!(rings.reload_if_changed().is_err());
        assert_eq!(rings.load().fingerprint(), before);
    }

    #[test]
    fn an_error_that_stays_is_reported_once() {
        let error = || Err(KeyRingError::missing(Path::new("/keys"), KeyKind::P256));
        let first = report(error(), None, |_| {});
        assert!(first.is_some());
        assert_eq!(report(error(), first.as_deref(), |_| {}), first);
        assert_eq!(report(Ok(true), first.as_deref(), |_| {}), None);
    }
}
