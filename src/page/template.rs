//! The templates: ours, embedded, and those of the operator's folder that replace them.

use std::error::Error as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};

use super::context::Context;

/// Templates of the same set, and the style that they share.
#[derive(Debug)]
pub(super) struct Templates {
    environment: Environment<'static>,
    style: String,
}

/// Why an operator's pages cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// The folder or a file in it cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The style would end its own element.
    #[error("{}: a style cannot contain `</`", path.display())]
    Style {
        /// The file.
        path: PathBuf,
    },
    /// A template that does not parse, or fails on a message.
    #[error("{}:{line}: {problem}", path.display())]
    Template {
        /// The file; one of ours has no folder.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A template that no page uses.
    #[error("{}: no page has this name; pages are {}; a part that your templates include begins with `_`", path.display(), Templates::names().join(", "))]
    UnknownName {
        /// The file.
        path: PathBuf,
    },
}

/// Our templates. A page without its own is laid out by `notice`.
const OURS: [(&str, &str); 8] = [
    ("_agent.html", include_str!("_agent.html")),
    ("form.html", include_str!("form.html")),
    ("layout.html", include_str!("layout.html")),
    ("me.html", include_str!("me.html")),
    ("notice.html", include_str!("notice.html")),
    ("portal.html", include_str!("portal.html")),
    ("refused.html", include_str!("refused.html")),
    ("step-up.html", include_str!("step-up.html")),
];

/// The one script there is: what stands between `<script>` and `</script>` where a form is sent without asking.
pub(super) const SEND_ITSELF: &str = "document.getElementById(\"send\").submit()";

const STYLE_NAME: &str = "style.css";
const STYLE: &str = include_str!("style.css");

/// The pages that `notice` lays out unless the operator's folder has a template for them.
const NOTICES: [&str; 21] = [
    "ambiguous-path.html",
    "bad-request.html",
    "claim-problem.html",
    "form-gone.html",
    "form-kept.html",
    "internal.html",
    "login-expired.html",
    "login-failed.html",
    "login-loop.html",
    "method-not-allowed.html",
    "no-route.html",
    "payload-too-large.html",
    "provider-unavailable.html",
    "session-ended.html",
    "signed-out.html",
    "step-up-needed.html",
    "store-unavailable.html",
    "unauthenticated.html",
    "unknown-site.html",
    "upstream-timeout.html",
    "upstream-unavailable.html",
];

impl Templates {
    /// Our own templates.
    pub(super) fn ours() -> Self {
        let mut environment = Environment::new();
        let tidy = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(tidy.expect("the usual delimiters do not collide"));
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        for (name, source) in OURS {
            environment.add_template(name, source).expect("our own templates parse");
        }
        Self::with_style(environment, STYLE.to_owned())
    }

    /// Our templates, those in `folder` in place of ours of the same name.
    ///
    /// # Errors
    ///
    /// [`PagesError`] for what cannot be read, has no page, or does not parse.
    pub(super) fn replaced(folder: &Path) -> Result<Self, PagesError> {
        let Self { mut environment, mut style } = Self::ours();
        for path in files(folder)? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if name == STYLE_NAME {
                style = read_style(&path)?;
            } else if is_template(&name) {
                let added = environment.add_template_owned(name, read(&path)?);
                added.map_err(|error| PagesError::from_template(&error, Some(folder)))?;
            } else if name.ends_with(".html") || name.ends_with(".css") {
                return Err(PagesError::UnknownName { path });
            }
        }
        Ok(Self::with_style(environment, style))
    }

    /// Lays out a page.
    ///
    /// # Errors
    ///
    /// A replaced template that fails on this message.
    pub(super) fn render(&self, page: &str, context: &Context<'_>) -> Result<String, minijinja::Error> {
        let own = self.environment.get_template(&format!("{page}.html"));
        own.or_else(|_| self.environment.get_template("notice.html"))?.render(Serde(context))
    }

    /// What stands between `<style>` and `</style>`.
    pub(super) fn style(&self) -> &str {
        &self.style
    }

    fn with_style(mut environment: Environment<'static>, style: String) -> Self {
        environment.add_global("send_itself", Value::from_safe_string(SEND_ITSELF.to_owned()));
        environment.add_global("style", Value::from_safe_string(style.clone()));
        Self { environment, style }
    }

    /// Every file that may stand in an operator's folder.
    pub(super) fn names() -> Vec<&'static str> {
        OURS.map(|(name, _)| name).into_iter().chain(NOTICES).chain([STYLE_NAME]).collect()
    }
}

impl PagesError {
    /// `error`, at the file of `folder` (or the template of ours) where it arose.
    pub(super) fn from_template(error: &minijinja::Error, folder: Option<&Path>) -> Self {
        // An error in what a template includes or extends is wrapped in one that names the outer template.
        let mut innermost = error;
        while let Some(source) = innermost.source().and_then(|source| source.downcast_ref()) {
            innermost = source;
        }
        let name = innermost.name().unwrap_or_default();
        let replaced = folder.map(|folder| folder.join(name)).filter(|path| path.is_file());
        let detail = innermost.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        Self::Template {
            path: replaced.unwrap_or_else(|| PathBuf::from(name)),
            line: innermost.line().unwrap_or(1),
            problem: format!("{}{detail}", innermost.kind()),
        }
    }
}

/// Whether `name` is that of a page, or of a part that an operator's templates include.
fn is_template(name: &str) -> bool {
    let is_part = name.starts_with('_') && name.ends_with(".html");
    is_part || OURS.iter().any(|(ours, _)| *ours == name) || NOTICES.contains(&name)
}

/// The files of `folder`, by name, so that the same error is always told first.
fn files(folder: &Path) -> Result<Vec<PathBuf>, PagesError> {
    let unreadable = |source| PagesError::Read { path: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(unreadable)?;
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String, PagesError> {
    fs::read_to_string(path).map_err(|source| PagesError::Read { path: path.to_owned(), source })
}

/// Browsers read CR LF as LF before they hash a style.
fn read_style(path: &Path) -> Result<String, PagesError> {
    let style = read(path)?.replace("\r\n", "\n").replace('\r', "\n");
    if style.contains("</") { Err(PagesError::Style { path: path.to_owned() }) } else { Ok(style) }
}
