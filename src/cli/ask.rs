//! Asks a running gateway through its admin listener, with its own keys for a proof ([`Order`]).

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::admin::order::{self, Order, Report};
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::key_ring::{KeyRing, KeyRingError};
use crate::listener::Address;

/// How long the gateway may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest report, in bytes.
const LONGEST_REPORT: usize = 256 * 1024 * 1024;

/// Why an order comes to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    /// The configuration has no admin listener.
    #[error("[admin] listen names no address: there is nobody to ask")]
    NoAdmin,
    /// The keys cannot be read.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// Nobody listens there.
    #[error("the gateway does not answer at {0}: {1}")]
    Unreachable(String, #[source] io::Error),
    /// There is no answer.
    #[error("the gateway at {0} does not answer in time")]
    Late(String),
    /// The order is not theirs to carry out.
    #[error("the gateway refuses: it has other keys than keys_dir, or another time than this machine")]
    Refused,
    /// The answer is none.
    #[error("the gateway's answer is none: {0}")]
    Answer(String),
    /// The store does not answer.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// The answer cannot be printed.
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// What the gateway of `config` reports on `order`.
///
/// # Errors
///
/// [`OrderError`]
pub(super) fn ask(config: &Config, order: Order) -> Result<Report, OrderError> {
    let address = config.admin.iter().find_map(Address::tcp).ok_or(OrderError::NoAdmin)?;
    let keys = KeyRing::load(&config.server.keys_dir)?;
    let sealed = order.seal(&keys, Clock::system().now());
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let answer = runtime
        .block_on(async { timeout(PATIENCE, post(&address.to_string(), sealed.clone())).await })
        .map_err(|_| OrderError::Late(address.to_string()))??;
    match Report::open(&answer, &sealed, &keys) {
        Some(Report::Unavailable(error)) => Err(OrderError::Unavailable(error)),
        Some(report) => Ok(report),
        None => Err(unasked()),
    }
}

async fn post(address: &str, sealed: String) -> Result<String, OrderError> {
    let stream =
        TcpStream::connect(address).await.map_err(|error| OrderError::Unreachable(address.to_owned(), error))?;
    let wrong = |error: hyper::Error| OrderError::Answer(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(wrong)?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::POST)
        .uri(order::PATH)
        .header("host", address)
        .body(Full::<bytes::Bytes>::from(sealed))
        .map_err(|error| OrderError::Answer(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(wrong)?;
    let status = response.status();
    if status == hyper::StatusCode::FORBIDDEN {
        return Err(OrderError::Refused);
    }
    let body = Limited::new(response.into_body(), LONGEST_REPORT).collect().await;
    let body = body.map_err(|error| OrderError::Answer(error.to_string()))?.to_bytes();
    connection.abort();
    if !status.is_success() {
        return Err(OrderError::Answer(status.to_string()));
    }
    String::from_utf8(body.to_vec()).map_err(|_| unasked())
}

/// An answer that is not the one to the question.
#[must_use]
pub(super) fn unasked() -> OrderError {
    OrderError::Answer("another version of Portillon, or not Portillon at all".to_owned())
}
