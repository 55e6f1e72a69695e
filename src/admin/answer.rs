//! What each admin endpoint answers.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Incoming};
use serde_json::Value;
use tokio::time::timeout;

use super::{AdminState, order};
use crate::telemetry::metrics;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const METRICS: HeaderValue = HeaderValue::from_static(metrics::CONTENT_TYPE);
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// How long an order may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The answer to a request. `GET` and `HEAD` only, but for orders; the server leaves out the body of a `HEAD`.
pub(super) async fn answer(state: &dyn AdminState, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (method, path) = (request.method(), request.uri().path());
    if path == order::PATH {
        return if method == Method::POST { obeyed(state, request).await } else { not_allowed("POST", "POST only\n") };
    }
    match (Endpoint::at(path), method) {
        (Some(endpoint), &Method::GET | &Method::HEAD) => endpoint.answer(state),
        (Some(_), _) => not_allowed("GET, HEAD", "GET or HEAD only\n"),
        (None, _) => respond(StatusCode::NOT_FOUND, TEXT, "no such endpoint\n"),
    }
}

fn not_allowed(allowed: &'static str, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, text);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

async fn obeyed(state: &dyn AdminState, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if request.body().size_hint().lower() > order::LONGEST as u64 {
        return respond(StatusCode::PAYLOAD_TOO_LARGE, TEXT, "no order is so long\n");
    }
    let body = Limited::new(request.into_body(), order::LONGEST).collect();
    let Ok(Ok(body)) = timeout(BODY_TIMEOUT, body).await else {
        return respond(StatusCode::BAD_REQUEST, TEXT, "no order came\n");
    };
    let body = body.to_bytes();
    let report = match std::str::from_utf8(&body) {
        Ok(sealed) => state.obey(sealed).await,
        Err(_) => None,
    };
    match report {
        Some(report) => respond(StatusCode::OK, TEXT, report),
        None => respond(StatusCode::FORBIDDEN, TEXT, "not sealed by the keys of this gateway, or not now\n"),
    }
}

enum Endpoint {
    Healthz,
    Metrics,
    Readyz,
    Status,
}

impl Endpoint {
    fn at(path: &str) -> Option<Self> {
        match path {
            "/healthz" => Some(Self::Healthz),
            "/metrics" => Some(Self::Metrics),
            "/readyz" => Some(Self::Readyz),
            "/status" => Some(Self::Status),
            _ => None,
        }
    }

    fn answer(&self, state: &dyn AdminState) -> Response<Full<Bytes>> {
        match self {
            Self::Healthz => respond(StatusCode::OK, TEXT, "ok\n"),
            Self::Metrics => respond(StatusCode::OK, METRICS, state.metrics()),
            Self::Readyz => {
                let readiness = state.ready();
                let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                respond(status, JSON, line(&readiness.detail))
            }
            Self::Status => respond(StatusCode::OK, JSON, line(&state.status())),
        }
    }
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}

fn respond(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().extend([
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ]);
    response
}
