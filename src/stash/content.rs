//! What is in a form, for the agent who is asked whether to send it: `application/x-www-form-urlencoded` (URL Standard
//! section 5.1) and `multipart/form-data` (RFC 7578). For showing only: what is sent is the very bytes that came.

use std::borrow::Cow;

use super::Form;

/// Fields beyond these are counted, not shown.
const MOST_FIELDS: usize = 50;

/// A head of a part longer than this is none of a browser's.
const MOST_PART_HEAD: usize = 4096;

/// What the names of fields contain that are not for eyes that look over a shoulder.
const HIDDEN: [&str; 8] = ["pass", "pwd", "mdp", "secret", "token", "csrf", "nonce", "__viewstate"];

/// What is in a form.
#[derive(Debug, Eq, PartialEq)]
pub enum Content {
    /// Its fields, in order, and how many more there are.
    Fields(Vec<Field>, usize),
    /// Something else, of so many bytes.
    Opaque(usize),
}

/// A field of a form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub value: Value,
}

/// What is in a field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// A file: its name, and its size in bytes.
    File(String, usize),
    /// What is not shown.
    Hidden,
    /// Text.
    Text(String),
}

/// What is in `form`.
#[must_use]
pub fn content(form: &Form) -> Content {
    let content_type = form.content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let fields = match media_type.as_str() {
        "application/x-www-form-urlencoded" => Some(urlencoded(&form.body)),
        "multipart/form-data" => boundary(content_type).and_then(|boundary| multipart(&form.body, boundary)),
        _ => None,
    };
    fields.map_or_else(|| Content::Opaque(form.body.len()), |Fields { shown, more }| Content::Fields(shown, more))
}

/// The first fields, and how many more there are: a body can hold millions.
#[derive(Default)]
struct Fields {
    shown: Vec<Field>,
    more: usize,
}

impl Fields {
    fn add(&mut self, field: impl FnOnce() -> Option<Field>) -> Option<()> {
        if self.shown.len() < MOST_FIELDS {
            self.shown.push(field()?);
        } else {
            self.more += 1;
        }
        Some(())
    }
}

fn urlencoded(body: &[u8]) -> Fields {
    let mut fields = Fields::default();
    for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        fields.add(|| {
            let at = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = at.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
            Some(Field::new(decoded(name), Value::Text(decoded(value))))
        });
    }
    fields
}

fn decoded(part: &[u8]) -> String {
    let spaces: Vec<u8> = part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    text(&Cow::from(percent_encoding::percent_decode(&spaces)))
}

/// The fields of a body whose parts `boundary` separates; none where it is malformed.
fn multipart(body: &[u8], boundary: &str) -> Option<Fields> {
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(&delimiter.as_bytes()[2..])?;
    let mut fields = Fields::default();
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        let end = memchr::memmem::find(part, delimiter.as_bytes())?;
        fields.add(|| field(&part[..end]))?;
        rest = &part[end + delimiter.len()..];
    }
    rest.starts_with(b"--").then_some(fields)
}

fn field(part: &[u8]) -> Option<Field> {
    let head_end = memchr::memmem::find(&part[..part.len().min(MOST_PART_HEAD)], b"\r\n\r\n")?;
    let (head, value) = (text(&part[..head_end]), &part[head_end + 4..]);
    let disposition = head.split("\r\n").find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    let value = match parameter(disposition, "filename") {
        Some(file) => Value::File(file, value.len()),
        None => Value::Text(text(value)),
    };
    Some(Field::new(parameter(disposition, "name").unwrap_or_default(), value))
}

/// A quoted parameter as browsers write it (HTML section 4.10.21.8).
fn parameter(disposition: &str, name: &str) -> Option<String> {
    let quoted = disposition.split_once(&format!("; {name}=\""))?.1.split('"').next()?;
    Some(quoted.replace("%22", "\"").replace("%0D%0A", " "))
}

fn boundary(content_type: &str) -> Option<&str> {
    let given = content_type.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?.trim_matches('"');
    (1..=70).contains(&given.len()).then_some(given)
}

/// UTF-8, else ISO 8859-1, in which every byte is a character: forms do not say.
fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| bytes.iter().map(|byte| char::from(*byte)).collect(), str::to_owned)
}

impl Field {
    fn new(name: String, value: Value) -> Self {
        let lower = name.to_lowercase();
        let hidden = matches!(value, Value::Text(_)) && HIDDEN.iter().any(|part| lower.contains(part));
        Self { name, value: if hidden { Value::Hidden } else { value } }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;

    use super::*;

    fn of(content_type: &str, body: &[u8]) -> Content {
        content(&Form {
            target: "/x".to_owned(),
            content_type: HeaderValue::from_str(content_type).ok(),
            origin: None,
            referer: None,
            same_origin: true,
            body: Bytes::copy_from_slice(body),
        })
    }

    fn text_field(name: &str, value: &str) -> Field {
        Field { name: name.to_owned(), value: Value::Text(value.to_owned()) }
    }

    #[test]
    fn a_urlencoded_form_is_read_and_its_secrets_are_not_shown() {
        let body =
            b"nom=L%27H%C3%B4pital&motif=un+an%20et+demi&Mot_de_Passe=x&user%5Bpwd%5D=y&vide=&seul&latin=%e9t%E9";
        let hidden = |name: &str| Field { name: name.to_owned(), value: Value::Hidden };
        assert_eq!(
            of("application/x-www-form-urlencoded; charset=utf-8", body),
            Content::Fields(
                vec![
                    text_field("nom", "L'Hôpital"),
                    text_field("motif", "un an et demi"),
                    hidden("Mot_de_Passe"),
                    hidden("user[pwd]"),
                    text_field("vide", ""),
                    text_field("seul", ""),
                    text_field("latin", "été"),
                ],
                0
            )
        );
    }

    #[test]
    fn a_multipart_form_is_read_whatever_bytes_its_files_have() {
        let body = [
            &b"--B7\r\nContent-Disposition: form-data; name=\"objet\"\r\n\r\ncong\xc3\xa9s\r\n--B7\r\n"[..],
            b"Content-Disposition: form-data; name=\"pi\xc3\xa8ce\"; filename=\"\xc3\xa9tat %22A%22.pdf\"\r\n",
            b"Content-Type: application/pdf\r\n\r\n\0\xff\r\n--B\r\n\r\n\r\n--B7--\r\n",
        ]
        .concat();
        let file = Field { name: "pièce".to_owned(), value: Value::File("état \"A\".pdf".to_owned(), 11) };
        for boundary in ["B7", "\"B7\""] {
            let content_type = format!("multipart/form-data; boundary={boundary}");
            assert_eq!(of(&content_type, &body), Content::Fields(vec![text_field("objet", "congés"), file.clone()], 0));
        }
    }

    #[test]
    fn what_is_no_form_has_its_size() {
        for (content_type, body) in [
            ("application/json", &b"{}"[..]),
            ("multipart/form-data", b"--\r\n"),
            ("multipart/form-data; boundary=B", b"--B\r\nno end"),
            ("multipart/form-data; boundary=B", b"--B\r\nContent-Disposition: x\r\n--B--"),
            ("", b""),
        ] {
            assert_eq!(of(content_type, body), Content::Opaque(body.len()), "{content_type}");
        }
    }

    #[test]
    fn a_form_with_many_fields_is_shown_in_part() {
        let body = vec!["a=1"; MOST_FIELDS + 7].join("&");
        let Content::Fields(fields, more) = of("application/x-www-form-urlencoded", body.as_bytes()) else {
            panic!("it is a form")
        };
        assert_eq!((fields.len(), more), (MOST_FIELDS, 7));
    }
}
