//! A folder of one's own that goes away with its owner.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::crypto::random_token;

/// A new folder under the system's temporary one, 0700; removed with everything in it when this is dropped.
#[derive(Debug)]
pub struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    /// Makes the folder.
    ///
    /// # Errors
    ///
    /// Where the system does not let us.
    pub fn create() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("portillon-demo-{}", random_token::<9>()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a new file in it, 0600.
    ///
    /// # Errors
    ///
    /// Where the system does not let us.
    pub fn write(&self, name: &str, content: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?.write_all(content.as_bytes())?;
        Ok(path)
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // Nothing is left to tell, and nobody to tell it to.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_folder_is_private_and_goes_away() {
        let folder = TemporaryFolder::create().unwrap();
        let file = folder.write("secret", "s").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(folder.path()), mode(&file)), (0o700, 0o600));
        drop(folder);
        assert!(!file.exists() && !file.parent().unwrap().exists());
    }
}
