//! A log line as one flat JSON object (RFC 8259), written straight into the line's buffer: an access line is part of
//! every request, and a tree of JSON values in between made a tenth of its work.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// What the bridge from `log` adds to an event, which the line's own `target` says already.
const BRIDGED: &str = "log.";

/// Writes `timestamp`, `level`, the event's own fields, and `target`.
pub(super) struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, _context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let bridged = event.normalized_metadata();
        let metadata = bridged.as_ref().unwrap_or_else(|| event.metadata());
        writer.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, "\",\"level\":\"{}\"", metadata.level().as_str())?;
        let mut members = Members { writer: writer.by_ref(), outcome: Ok(()) };
        event.record(&mut members);
        members.outcome?;
        writer.write_str(",\"target\":\"")?;
        Escaped(&mut writer).write_str(metadata.target())?;
        writer.write_str("\"}\n")
    }
}

/// The members of the object, one a field.
struct Members<'w> {
    writer: Writer<'w>,
    outcome: fmt::Result,
}

impl Members<'_> {
    fn member(&mut self, field: &Field, write: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.outcome.is_err() || field.name().starts_with(BRIDGED) {
            return;
        }
        let name = field.name();
        self.outcome = self
            .writer
            .write_str(",\"")
            // A field's name is an identifier of ours: nothing in it wants escaping.
            .and_then(|()| self.writer.write_str(name))
            .and_then(|()| self.writer.write_str("\":"))
            .and_then(|()| write(&mut self.writer));
    }

    fn text(&mut self, field: &Field, write: impl FnOnce(&mut Escaped<'_, Writer<'_>>) -> fmt::Result) {
        self.member(field, |writer| {
            writer.write_char('"')?;
            write(&mut Escaped(writer))?;
            writer.write_char('"')
        });
    }
}

impl Visit for Members<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no other numbers (RFC 8259 section 6).
        self.member(
            field,
            |writer| if value.is_finite() { write!(writer, "{value:?}") } else { writer.write_str("null") },
        );
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, |escaped| escaped.write_str(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, |escaped| write!(escaped, "{value:?}"));
    }
}

/// Escapes what is written through it, as RFC 8259 section 7 wants it escaped.
struct Escaped<'w, W: Write>(&'w mut W);

impl<W: Write> Write for Escaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
            let (plain, special) = rest.split_at(at);
            self.0.write_str(plain)?;
            match special.as_bytes()[0] {
                quoted @ (b'"' | b'\\') => {
                    self.0.write_char('\\')?;
                    self.0.write_char(char::from(quoted))?;
                }
                control => write!(self.0, "\\u{control:04x}")?,
            }
            rest = &special[1..];
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_reads_back_as_itself() {
        for text in ["", "plain", "\"", "\\\"\\", "a\r\nb\0\u{1f}c", "\u{7f}é\u{2028}👩‍🚒", "\t"] {
            let mut written = String::from("\"");
            Escaped(&mut written).write_str(text).unwrap();
            written.push('"');
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
            assert!(!written.contains('\n'));
        }
    }
}
