//! What each admin endpoint answers.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;

use super::AdminState;
use crate::telemetry::metrics;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const METRICS: HeaderValue = HeaderValue::from_static(metrics::CONTENT_TYPE);
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The answer to a request by `method` for `path`. `GET` and `HEAD` only; the server leaves out the body of a `HEAD`.
pub(super) fn answer(state: &dyn AdminState, method: &Method, path: &str) -> Response<Full<Bytes>> {
    let Some(endpoint) = Endpoint::at(path) else {
        return respond(StatusCode::NOT_FOUND, TEXT, "no such endpoint\n");
    };
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD only\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    endpoint.answer(state)
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
