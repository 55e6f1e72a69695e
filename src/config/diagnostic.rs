//! What is wrong or unwise in a configuration, printed the way rustc prints it.

use std::cell::RefCell;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::source::Place;

/// How bad a [`Diagnostic`] is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// Legal, but unwise.
    Warning,
}

/// One error or warning: what it is, where, and what to do about it. It never holds a secret.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    severity: Severity,
    title: String,
    label: String,
    place: Place,
    also: Option<(Place, String)>,
    help: Option<String>,
}

impl Diagnostic {
    pub(super) fn error(place: &Place, title: impl Into<String>) -> Self {
        Self::new(Severity::Error, place, title.into())
    }

    pub(super) fn warning(place: &Place, title: impl Into<String>) -> Self {
        Self::new(Severity::Warning, place, title.into())
    }

    fn new(severity: Severity, place: &Place, title: String) -> Self {
        Self { severity, title, label: String::new(), place: place.clone(), also: None, help: None }
    }

    /// Says more at the place itself.
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Names a second place.
    pub(super) fn also(mut self, place: &Place, label: impl Into<String>) -> Self {
        self.also = Some((place.clone(), label.into()));
        self
    }

    /// Says what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// How bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// What it is, in one line.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The whole text, with the lines that it is about; `styled` with colours, for terminals.
    #[must_use]
    pub fn render(&self, styled: bool) -> String {
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let title = match self.severity {
            Severity::Error => Level::ERROR.primary_title(&self.title),
            Severity::Warning => Level::WARNING.primary_title(&self.title),
        };
        let mut group = self.quoted(Group::with_title(title));
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help));
        }
        renderer.render(&[group])
    }

    /// Adds the quoted lines: one snippet where both places are in one file.
    fn quoted<'a>(&'a self, group: Group<'a>) -> Group<'a> {
        let primary = annotation(&self.place, AnnotationKind::Primary, &self.label);
        let Some((place, label)) = &self.also else { return quote(group, &self.place, primary) };
        let context = annotation(place, AnnotationKind::Context, label);
        if place.source.rank == self.place.source.rank {
            return quote(group, &self.place, primary.into_iter().chain(context));
        }
        quote(quote(group, &self.place, primary), place, context)
    }

    fn says_the_same_as(&self, other: &Self) -> bool {
        let said = |of: &Self| (of.severity, of.rank(), of.title.clone(), of.label.clone(), of.help.clone());
        said(self) == said(other)
    }

    fn rank(&self) -> (usize, usize) {
        (self.place.source.rank, self.place.span.as_ref().map_or(0, |span| span.start))
    }
}

fn annotation<'a>(place: &Place, kind: AnnotationKind, label: &'a str) -> Option<Annotation<'a>> {
    let annotation = kind.span(place.span.clone()?);
    Some(if label.is_empty() { annotation } else { annotation.label(label) })
}

fn quote<'a>(group: Group<'a>, place: &Place, annotations: impl IntoIterator<Item = Annotation<'a>>) -> Group<'a> {
    let path = place.source.path.display().to_string();
    let mut annotations = annotations.into_iter().peekable();
    if annotations.peek().is_none() {
        return group.element(Origin::path(path));
    }
    group.element(Snippet::source(place.source.shown()).path(path).annotations(annotations))
}

/// Gathers diagnostics, so that all of them are told at once.
#[derive(Debug, Default)]
pub(super) struct Report {
    diagnostics: RefCell<Vec<Diagnostic>>,
}

impl Report {
    pub(super) fn push(&self, diagnostic: Diagnostic) {
        self.diagnostics.borrow_mut().push(diagnostic);
    }

    pub(super) fn has_errors(&self) -> bool {
        self.diagnostics.borrow().iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Everything gathered, in the order of the files.
    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut diagnostics = self.diagnostics.into_inner();
        diagnostics.sort_by_key(Diagnostic::rank);
        // A set of rules is read once for each provider whose routes use it.
        diagnostics.dedup_by(|later, earlier| later.says_the_same_as(earlier));
        diagnostics
    }
}
