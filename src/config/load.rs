//! From files to a [`Config`](super::Config), or to everything that is wrong with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use super::diagnostic::{Diagnostic, Report};
use super::raw::Section;
use super::source::{self, Place, Source};
use super::surroundings::Surroundings;
use super::{Loaded, Purpose, keys, parse as parser};

/// Reads `file`, and the files of `routes.d` beside it in lexical order.
///
/// # Errors
///
/// Everything that is wrong, and what is unwise beside it, in the order of the files.
pub fn load(file: &Path, purpose: Purpose) -> Result<Loaded, Vec<Diagnostic>> {
    let report = Report::default();
    let sources = read_all(file, &report);
    finish(&sources, &Surroundings::of(file, purpose), report)
}

/// Reads a configuration that is not in a file, as if it were in `file`; there is no `routes.d` then.
///
/// # Errors
///
/// As [`load`].
pub fn parse(file: &Path, text: &str, purpose: Purpose) -> Result<Loaded, Vec<Diagnostic>> {
    let sources = [Source::new(file, 0, text.to_owned())];
    finish(&sources, &Surroundings::of(file, purpose), Report::default())
}

fn read_all(file: &Path, report: &Report) -> Vec<Arc<Source>> {
    let more = source::route_files(file).unwrap_or_else(|error| {
        unreadable(&file.with_file_name("routes.d"), 1, &error, report);
        Vec::new()
    });
    let files = std::iter::once(file).chain(more.iter().map(PathBuf::as_path)).enumerate();
    files.filter_map(|(rank, path)| read(path, rank, report)).collect()
}

pub(super) fn read(path: &Path, rank: usize, report: &Report) -> Option<Arc<Source>> {
    let text = fs::read_to_string(path);
    text.map(|text| Source::new(path, rank, text)).map_err(|error| unreadable(path, rank, &error, report)).ok()
}

fn unreadable(path: &Path, rank: usize, error: &std::io::Error, report: &Report) {
    let place = Place::whole(&Source::new(path, rank, String::new()));
    report.push(Diagnostic::error(&place, format!("cannot read {}: {error}", path.display())));
}

fn finish(sources: &[Arc<Source>], surroundings: &Surroundings, report: Report) -> Result<Loaded, Vec<Diagnostic>> {
    let tables: Vec<Spanned<DeTable<'_>>> = sources.iter().map(|source| read_toml(source, &report)).collect();
    // A file that is no TOML, or that cannot be read, would make the rest look wrong where it is not.
    if report.has_errors() {
        return Err(report.into_diagnostics());
    }
    let roots = sources.iter().zip(&tables).enumerate().map(|(rank, (source, table))| {
        let kind = if rank == 0 { &keys::ROOT } else { &keys::ROUTE_FILE };
        Section::root(&report, source, kind, table.get_ref())
    });
    let config = parser::config(&roots.collect::<Vec<_>>(), surroundings);
    match config {
        Some(config) if !report.has_errors() => Ok(Loaded { config, warnings: report.into_diagnostics() }),
        _ => Err(report.into_diagnostics()),
    }
}

/// The table of a file. After an error of syntax the parser goes on, and finds more where there is nothing wrong: of
/// those only the first is told. A key that is there twice confuses nothing.
pub(super) fn read_toml<'s>(source: &'s Arc<Source>, report: &Report) -> Spanned<DeTable<'s>> {
    let (table, mut errors) = DeTable::parse_recoverable(source.text());
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    let (twice, syntax): (Vec<_>, Vec<_>) = errors.iter().partition(|error| error.message() == "duplicate key");
    for error in twice.into_iter().chain(syntax.into_iter().take(1)) {
        let place = error.span().map_or_else(|| Place::whole(source), |span| Place::new(source, span));
        report.push(Diagnostic::error(&place, "this is not TOML").label(error.message()));
    }
    table
}
