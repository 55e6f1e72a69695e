//! A kept form as a template sees it: what people read of it, in words.

use serde::Serialize;

use super::wording::{ago, duration, hidden, in_bytes, more_fields, of_file, shown};
use super::{FormView, Language};
use crate::stash::{Content, Value};

/// `form` there.
#[derive(Debug, Serialize)]
pub(super) struct Form<'a> {
    action: &'a str,
    shown_action: String,
    field: &'static str,
    id: &'a str,
    discard_url: &'a str,
    sends_itself: bool,
    age: String,
    left: String,
    sent: Option<String>,
    fields: Vec<Field>,
    /// What is not among the fields.
    rest: Option<String>,
}

#[derive(Debug, Serialize)]
struct Field {
    name: String,
    value: String,
}

impl<'a> Form<'a> {
    pub(super) fn new(form: &FormView<'a>, language: Language) -> Self {
        let (fields, rest) = match form.content {
            Content::Fields(fields, more) => (&fields[..], (*more > 0).then(|| more_fields(*more, language))),
            Content::Opaque(size) => (&[][..], Some(in_bytes(*size, language))),
        };
        let fields = fields.iter().map(|field| Field {
            name: shown(&field.name),
            value: match &field.value {
                Value::File(name, size) => of_file(name, *size, language),
                Value::Hidden => hidden(language).to_owned(),
                Value::Text(text) => shown(text),
            },
        });
        Self {
            action: form.action,
            shown_action: shown(form.action),
            field: form.field,
            id: form.id,
            discard_url: form.discard_url,
            sends_itself: form.sends_itself,
            age: ago(form.age, language),
            left: duration(form.left, language),
            sent: form.sent.map(|sent| ago(sent, language)),
            fields: fields.collect(),
            rest,
        }
    }
}
