//! The files of a configuration, and places in them.

use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::mask;

/// One file of the configuration.
pub(super) struct Source {
    /// As the operator named it.
    pub(super) path: Arc<PathBuf>,
    /// Its rank among the files, in the order that they are read.
    pub(super) rank: usize,
    text: String,
    /// Where each line ends, in bytes.
    line_ends: Vec<usize>,
}

impl Source {
    pub(super) fn new(path: &Path, rank: usize, text: String) -> Arc<Self> {
        let line_ends = memchr::memchr_iter(b'\n', text.as_bytes()).collect();
        Arc::new(Self { path: Arc::new(path.to_owned()), rank, text, line_ends })
    }

    /// What the file holds, secrets included.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What may be shown of the file: every byte of a secret is a `*`, so that places stay the same.
    pub(super) fn shown(&self) -> String {
        mask::without_secrets(&self.text)
    }

    /// The line that the byte at `at` stands on, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        1 + self.line_ends.partition_point(|end| *end < at)
    }
}

/// Names the file, and shows nothing of what it holds.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A place in a file: a range of bytes, or the file as a whole.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) source: Arc<Source>,
    pub(super) span: Option<Range<usize>>,
}

impl Place {
    pub(super) fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        Self { source: Arc::clone(source), span: Some(span) }
    }

    pub(super) fn whole(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), span: None }
    }

    /// The line that the place starts on, from 1.
    pub(super) fn line(&self) -> usize {
        self.span.as_ref().map_or(1, |span| self.source.line(span.start))
    }
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// The `*.toml` files of `routes.d` beside `file`, in lexical order; none where there is no such folder.
pub(super) fn route_files(file: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = file.with_file_name("routes.d");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        files.push(entry?.path());
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml") && !is_hidden(path));
    files.sort();
    Ok(files)
}

/// Editors keep their unsaved copies in files that start with a dot.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}
