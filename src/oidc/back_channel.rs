//! HTTP calls to the provider, each bounded in time and size; a redirect is an answer like any other and never
//! followed (RFC 9700 section 4.12: nor are credentials sent where an answer points).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT, AGE, CONTENT_ENCODING, CONTENT_TYPE, DATE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};

use super::settings::{Settings, SettingsError};
use super::tunnel::{BoxError, Deadline, Tunnel};

/// How long a call and its answer may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallLimits {
    /// For a connection to stand, TLS and proxy included.
    pub(super) connect: Duration,
    /// From the first byte sent to the last received.
    pub(super) total: Duration,
    /// Bytes of an answer's body.
    pub(super) body: usize,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(10), body: 256 * 1024 }
    }
}

/// Why a call came back without what was asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CallError {
    /// No connection came about.
    #[error("no connection: {0}")]
    Connect(String),
    /// The answer has another media type than the one asked for, or a content coding.
    #[error("unexpected media type")]
    ContentType,
    /// The connection broke, or what came is not HTTP.
    #[error("broken exchange: {0}")]
    Exchange(String),
    /// The answer has another status than 200.
    #[error("status {0}")]
    Status(u16),
    /// The answer took too long.
    #[error("no complete answer in time")]
    Timeout,
    /// The answer is too long.
    #[error("the answer is too long")]
    TooLarge,
}

/// What the provider answered, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The media type without parameters, in lower case; empty where there is none, several, or a content coding.
    pub(super) media_type: String,
    /// When the provider made the answer, by its own clock.
    pub(super) date: Option<SystemTime>,
    pub(super) body: Bytes,
}

impl Answer {
    /// The body, where the status is 200 and the media type one of these.
    pub(super) fn body_of_type(self, media_types: &[&str]) -> Result<Bytes, CallError> {
        if self.status != StatusCode::OK {
            return Err(CallError::Status(self.status.as_u16()));
        }
        if !media_types.contains(&self.media_type.as_str()) {
            return Err(CallError::ContentType);
        }
        Ok(self.body)
    }
}

/// Less than the five seconds after which Node.js, which AgentConnect runs on, closes an idle connection: a code must
/// not be sent into a connection that is being closed, since it is never sent twice.
const POOL_IDLE: Duration = Duration::from_secs(4);

type Connector = Deadline<HttpsConnector<Tunnel>>;

/// The client for every call to one provider, with its connection pool.
pub(super) struct BackChannel {
    client: Client<Connector, Full<Bytes>>,
    limits: CallLimits,
}

impl BackChannel {
    /// A client that believes the certificate authorities and goes through the proxy of `settings`.
    pub(super) fn new(settings: &Settings, limits: CallLimits) -> Result<Self, SettingsError> {
        let tunnel = Tunnel::new(settings.proxy.as_ref(), limits.connect).ok_or(SettingsError::Proxy)?;
        // Which scheme is legal was decided with the issuer: every endpoint shares its origin.
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls(settings)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tunnel);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(8)
            .build(Deadline::new(https, limits.connect));
        Ok(Self { client, limits })
    }

    /// Sends a request once and reads the whole answer. Only a request of which nothing was written yet, because the
    /// pooled connection turned out to be closed, goes out on another connection.
    pub(super) async fn call(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, CallError> {
        request.headers_mut().entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        request
            .headers_mut()
            .insert(USER_AGENT, HeaderValue::from_static(concat!("portillon/", env!("CARGO_PKG_VERSION"))));
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| failed(&error))?;
            self.read(response).await
        };
        tokio::time::timeout(self.limits.total, exchange).await.map_err(|_| CallError::Timeout)?
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Answer, CallError> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, self.limits.body).collect().await.map_err(|error| unread(&error))?.to_bytes();
        Ok(Answer { status: head.status, media_type: media_type(&head.headers), date: date(&head.headers), body })
    }

    /// The longest that a call takes.
    pub(super) const fn total_limit(&self) -> Duration {
        self.limits.total
    }
}

fn tls(settings: &Settings) -> Result<ClientConfig, SettingsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider serves the default protocol versions");
    let builder = if !settings.ca.is_empty() {
        builder.with_root_certificates(roots(settings)?)
    } else if settings.issuer.starts_with("http:") {
        // Nothing is TLS on loopback, and a machine without certificate authorities must still run the demo.
        builder.with_root_certificates(RootCertStore::empty())
    } else {
        builder.with_native_roots().map_err(|error| SettingsError::SystemRoots(error.to_string()))?
    };
    Ok(builder.with_no_client_auth())
}

fn roots(settings: &Settings) -> Result<RootCertStore, SettingsError> {
    let mut roots = RootCertStore::empty();
    for certificate in &settings.ca {
        roots.add(certificate.clone()).map_err(|error| SettingsError::Certificate(error.to_string()))?;
    }
    Ok(roots)
}

fn media_type(headers: &HeaderMap) -> String {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None, None) = (values.next(), values.next(), headers.get(CONTENT_ENCODING)) else {
        return String::new();
    };
    let value = value.to_str().unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The `Date` of an answer that no cache held back.
fn date(headers: &HeaderMap) -> Option<SystemTime> {
    let date = headers.get(DATE).filter(|_| !headers.contains_key(AGE))?;
    httpdate::parse_http_date(date.to_str().ok()?).ok()
}

fn failed(error: &legacy::Error) -> CallError {
    if error.is_connect() { CallError::Connect(innermost(error)) } else { CallError::Exchange(innermost(error)) }
}

fn unread(error: &BoxError) -> CallError {
    if error.is::<LengthLimitError>() { CallError::TooLarge } else { CallError::Exchange(innermost(error.as_ref())) }
}

/// The first cause: the layers above it only repeat that a connection failed.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
