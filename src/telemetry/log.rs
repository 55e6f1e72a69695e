//! Logs: one JSON object a line on standard error, access lines among them.

use std::io;
use std::str::FromStr;
use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use super::Decision;
use super::json_line::JsonLine;

/// The environment variable that says what is logged, in the syntax of `RUST_LOG`.
pub const FILTER_VARIABLE: &str = "PORTILLON_LOG";

/// pingora tells of every connection that a client drops; that is not news.
const DEFAULT_FILTER: &str = "info,pingora=warn";

/// How log lines are written (`[log] format`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

impl FromStr for LogFormat {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(UnknownFormat),
        }
    }
}

/// Not the name of a log format.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a log format is `json` or `text`")]
pub struct UnknownFormat;

/// Why logs cannot be written as asked.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Logs are already set up in this process.
    #[error("logs are already set up")]
    AlreadySet(#[source] TryInitError),
    /// The filter cannot be read.
    #[error("{FILTER_VARIABLE} cannot be read")]
    Filter(#[source] ParseError),
    /// The filter is not UTF-8.
    #[error("{FILTER_VARIABLE} is not UTF-8")]
    FilterEncoding,
}

/// Sends logs to standard error from now on, pingora's among them, filtered by `PORTILLON_LOG`.
///
/// # Errors
///
/// [`InitError`] where the filter cannot be read, or logs are already set up; nothing changes then.
pub fn init(format: LogFormat) -> Result<(), InitError> {
    subscriber(format, filter()?, io::stderr).try_init().map_err(InitError::AlreadySet)?;
    hush_libraries();
    Ok(())
}

/// Keeps lines below `info` of libraries that speak through `log` out, whatever the filter says: pingora prints whole
/// heads there, cookies and tokens included, and panics where one is no UTF-8.
pub fn hush_libraries() {
    log::set_max_level(log::LevelFilter::Info);
}

fn subscriber<W>(format: LogFormat, filter: EnvFilter, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Json => Box::new(builder.event_format(JsonLine).finish()),
        LogFormat::Text => Box::new(builder.with_ansi(false).finish()),
    }
}

fn filter() -> Result<EnvFilter, InitError> {
    match std::env::var(FILTER_VARIABLE) {
        Ok(directives) if !directives.trim().is_empty() => EnvFilter::try_new(directives).map_err(InitError::Filter),
        Ok(_) | Err(std::env::VarError::NotPresent) => Ok(EnvFilter::new(DEFAULT_FILTER)),
        Err(std::env::VarError::NotUnicode(_)) => Err(InitError::FilterEncoding),
    }
}

/// One access line: what a request was, and what became of it. `None` is left out of the line.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The request's id, which the agent sees on pages.
    pub request_id: &'a str,
    /// The client's address, as the trusted proxies tell it.
    pub client: &'a str,
    /// The method, as received.
    pub method: &'a str,
    /// The authority, as received.
    pub host: &'a str,
    /// The path, as received; never the query, which may hold an authorization code.
    pub path: &'a str,
    /// The route's name.
    pub route: Option<&'a str>,
    /// What became of the request.
    pub decision: Decision,
    /// The reason code of a refusal or failure.
    pub reason: Option<&'a str>,
    /// The status of the answer.
    pub status: u16,
    /// The session's pseudonym.
    pub session: Option<&'a str>,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// From the first byte of the request to the last of the answer.
    pub duration: Duration,
    /// From choosing the upstream to the head of its answer.
    pub upstream: Option<Duration>,
}

impl Access<'_> {
    /// Writes the line, under the target `access`.
    pub fn emit(&self) {
        tracing::info!(
            target: "access",
            request_id = capped(self.request_id, 128),
            client = capped(self.client, 64),
            method = capped(self.method, 32),
            host = capped(self.host, 255),
            path = capped(self.path, 1024),
            route = self.route,
            decision = self.decision.as_str(),
            reason = self.reason,
            status = self.status,
            session = self.session,
            bytes = self.bytes,
            duration_ms = milliseconds(self.duration),
            upstream_ms = self.upstream.map(milliseconds),
        );
    }
}

/// At most `limit` bytes of `text`, whole characters: what a client sends must not fill the logs.
#[must_use]
pub fn capped(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// Milliseconds, to the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::Value;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const ACCESS: Access<'_> = Access {
        request_id: "0198f2c4",
        client: "192.0.2.7",
        method: "GET",
        host: "paie.example",
        path: "/bulletins",
        route: Some("paie"),
        decision: Decision::PermitAgent,
        reason: None,
        status: 200,
        session: Some("pseudonym"),
        bytes: 1234,
        duration: Duration::from_micros(12_345),
        upstream: Some(Duration::from_millis(10)),
    };

    fn written(format: LogFormat, access: &Access<'_>) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(format, EnvFilter::new("info"), move || writer.clone());
        tracing::subscriber::with_default(subscriber, || access.emit());
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn an_access_line_is_one_flat_object() {
        let line: Value = serde_json::from_str(&written(LogFormat::Json, &ACCESS)).unwrap();
        for (field, value) in [
            ("target", Value::from("access")),
            ("level", Value::from("INFO")),
            ("request_id", Value::from("0198f2c4")),
            ("route", Value::from("paie")),
            ("decision", Value::from("permit_agent")),
            ("status", Value::from(200)),
            ("session", Value::from("pseudonym")),
            ("bytes", Value::from(1234)),
            ("duration_ms", Value::from(12.345)),
            ("upstream_ms", Value::from(10.0)),
        ] {
            assert_eq!(line[field], value, "{field}");
        }
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
        assert_eq!(line.get("reason"), None);
    }

    #[test]
    fn what_a_client_sends_neither_forges_nor_fills_lines() {
        let path = format!("/\r\n{{\"target\":\"access\"}}\u{1b}[2J\u{2028}{}", "é".repeat(5000));
        for format in [LogFormat::Json, LogFormat::Text] {
            let text = written(format, &Access { path: &path, host: "\"\n", ..ACCESS });
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            assert!(!text.contains('\u{1b}') && !text.contains('\r'));
            assert!(text.len() < 4096);
        }
    }

    #[test]
    fn a_cut_leaves_whole_characters() {
        assert_eq!(capped("éé", 3), "é");
        assert_eq!(capped("abc", 3), "abc");
        assert_eq!(capped("abc", 0), "");
    }
}
