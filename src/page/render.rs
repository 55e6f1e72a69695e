//! Turns a message into an answer.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::HeaderValue;

use super::context::Context;
use super::headers::{self, PagePolicy};
use super::template::{PagesError, Templates};
use super::wording::Wording;
use super::{Answer, Format, Language, Message, PROCONNECT, View, problem, sample};

/// The pages, ready to be told in.
#[derive(Debug)]
pub struct Pages {
    /// The operator's folder and its templates, where there is one.
    replaced: Option<(PathBuf, Layout)>,
    ours: Layout,
}

#[derive(Debug)]
struct Layout {
    templates: Templates,
    policy: PagePolicy,
}

impl Layout {
    fn new(templates: Templates) -> Self {
        let policy = PagePolicy::new(templates.style());
        Self { templates, policy }
    }

    fn lay_out(&self, message: &Message<'_>, context: &Context<'_>) -> Result<Page, minijinja::Error> {
        let html = self.templates.render(message.page(), context)?;
        Ok(Page { html, policy: self.policy.of(message) })
    }
}

struct Page {
    html: String,
    policy: HeaderValue,
}

impl Pages {
    /// Our pages, with the templates of the folder `replacements` in place of ours of the same name. Each is tried on
    /// every message in both languages before it is accepted.
    ///
    /// # Errors
    ///
    /// [`PagesError`] names the file and line that is wrong.
    pub fn new(replacements: Option<&Path>) -> Result<Self, PagesError> {
        let mut pages = Self { replaced: None, ours: Layout::new(Templates::ours()) };
        if let Some(folder) = replacements {
            let layout = Layout::new(Templates::replaced(folder)?);
            Self::try_out(&layout).map_err(|error| PagesError::from_template(&error, Some(folder)))?;
            pages.replaced = Some((folder.to_owned(), layout));
        }
        Ok(pages)
    }

    /// The answer that tells `message`.
    #[must_use]
    pub fn render(&self, message: &Message<'_>, view: &View<'_>) -> Answer {
        let (headers, body) = match view.format {
            Format::Bare => (headers::bare(message), Bytes::new()),
            Format::Problem if !message.status().is_success() => {
                let wording = Wording::new(message, view.language, view.provider);
                (headers::problem(message, view.language), problem::body(message, view, &wording).into())
            }
            Format::Html | Format::Problem => {
                let page = self.page(message, view);
                (headers::html(message, view.language, page.policy), page.html.into())
            }
        };
        Answer { status: message.status(), headers, body }
    }

    fn page(&self, message: &Message<'_>, view: &View<'_>) -> Page {
        let wording = Wording::new(message, view.language, view.provider);
        let context = Context::new(message, view, &wording);
        if let Some((folder, layout)) = &self.replaced {
            match layout.lay_out(message, &context) {
                Ok(page) => return page,
                // It passed on our samples; what it fails on must not cost the agent their page.
                Err(error) => {
                    let error = PagesError::from_template(&error, Some(folder));
                    tracing::error!(%error, request_id = view.request_id, "page_template_failed");
                }
            }
        }
        self.ours.lay_out(message, &context).expect("our own templates lay out every message")
    }

    fn try_out(layout: &Layout) -> Result<(), minijinja::Error> {
        for message in sample::messages() {
            for language in Language::ALL {
                for contact in [None, Some("support@example.fr"), Some("poste 4242")] {
                    let request_id = "sample";
                    let view = View {
                        language,
                        format: Format::Html,
                        request_id,
                        contact,
                        provider: PROCONNECT,
                        prefix: "/.portillon/",
                        has_portal: true,
                    };
                    let wording = Wording::new(&message, language, view.provider);
                    layout.lay_out(&message, &Context::new(&message, &view, &wording))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
