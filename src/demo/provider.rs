//! An AgentConnect of our own on loopback: the protocol as AgentConnect runs it (authorization code, PKCE, `claims`,
//! RFC 9207 `iss`, signed userinfo, RP-initiated logout, SSO), with fictional agents in place of identity providers.
//!
//! It is honest: it never sends what it should not. Everything that it knows is in memory and bounded.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;

use self::authorization::OAuthError;
use self::state::State;
use super::STYLE;
use super::site::{Body, Server, Site, json, reply, with_header};
use crate::clock::Clock;

mod authorization;
mod claims_request;
mod client_authentication;
mod end_session;
mod interaction;
mod keys;
mod memory;
mod metadata;
mod page;
mod params;
mod registration;
mod state;
mod token;
mod user_info;

pub use self::registration::{Registration, SignedResponseAlg};

/// A running provider; it stops when this is dropped.
#[derive(Debug)]
pub struct Provider {
    state: Arc<State>,
    server: Server,
}

impl Provider {
    /// Starts a provider on a free port of 127.0.0.1, with new keys. Needs a tokio runtime around it.
    ///
    /// # Errors
    ///
    /// Where no socket or no key can be had.
    pub async fn start(registrations: Vec<Registration>, clock: Clock) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let issuer = format!("http://{}{BASE}", listener.local_addr()?);
        let state = Arc::new(State::new(issuer, clock).map_err(io::Error::other)?);
        for registration in registrations {
            state.registrations.add(registration);
        }
        let server = Server::start(listener, Arc::clone(&state))?;
        Ok(Self { state, server })
    }

    /// The issuer identifier: `http://127.0.0.1:PORT/api/v2`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.state.issuer
    }

    /// Where the provider listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Adds a client, in place of one that has its `client_id`.
    pub fn register(&self, registration: Registration) {
        self.state.registrations.add(registration);
    }

    /// Stops the provider and closes its connections.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Site for State {
    async fn answer(&self, request: Request<Bytes>) -> Response<Body> {
        let Some(path) = request.uri().path().strip_prefix(BASE) else { return self.pages.not_found() };
        let method = request.method();
        match path {
            "/.well-known/openid-configuration" => only(&[Method::GET], method, || metadata::discovery(self)),
            "/jwks" => only(&[Method::GET], method, || metadata::jwks(self)),
            "/authorize" => only(&[Method::GET, Method::POST], method, || interaction::authorize(self, &request)),
            "/token" => only(&[Method::POST], method, || token::token(self, &request)),
            "/token/revocation" => only(&[Method::POST], method, || token::revocation(self, &request)),
            "/userinfo" => only(&[Method::GET, Method::POST], method, || user_info::user_info(self, &request)),
            "/session/end" => only(&[Method::GET], method, || end_session::ask(self, &request)),
            "/session/end/confirm" => only(&[Method::POST], method, || end_session::confirm(self, &request)),
            "/style.css" => only(&[Method::GET], method, || reply(StatusCode::OK, "text/css; charset=utf-8", STYLE)),
            "/end-session.js" => {
                only(&[Method::GET], method, || reply(StatusCode::OK, "text/javascript; charset=utf-8", page::SCRIPT))
            }
            _ => match (path.strip_prefix("/interaction/"), method) {
                (Some(id), &Method::GET) => interaction::show(self, id),
                (Some(id), &Method::POST) => interaction::choose(self, id, &request),
                _ => self.pages.not_found(),
            },
        }
    }
}

fn only(allowed: &[Method], method: &Method, answer: impl FnOnce() -> Response<Body>) -> Response<Body> {
    if allowed.contains(method) {
        return answer();
    }
    let mut refusal = reply(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", "");
    let allow: Vec<_> = allowed.iter().map(Method::as_str).collect();
    with_header(&mut refusal, http::header::ALLOW, &allow.join(", "));
    refusal
}

/// An error of the back channel (RFC 6749 section 5.2).
fn error_json(status: StatusCode, error: OAuthError) -> Response<Body> {
    json(status, &serde_json::json!({ "error": error.error, "error_description": error.description }))
}

/// The path under which AgentConnect keeps everything.
const BASE: &str = "/api/v2";

#[cfg(test)]
mod tests;
