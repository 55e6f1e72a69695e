//! A small «legacy» application on loopback: it never heard of AgentConnect, believes the headers that it receives, and
//! prints them, with what the gateway's proofs are worth.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, SET_COOKIE};
use http::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use url::form_urlencoded;

use self::keys::GatewayKeys;
use self::page::Pages;
use self::report::Received;
use super::STYLE;
use super::site::{Body, Server, Site, json, reply, with_header};
use crate::clock::Clock;

mod events;
mod keys;
mod page;
mod proof;
mod report;

pub use self::report::{Field, Report, Verdict};

/// What the application knows of the gateway in front of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The origin that agents see, `http://localhost:8080`: the `iss` of assertions, and where the keys are fetched.
    pub gateway: String,
    /// The application's own name: the `aud` of assertions and the `tag` of signatures.
    pub audience: String,
    /// The time by which proofs expire.
    pub clock: Clock,
}

/// A running application; it stops when this is dropped.
#[derive(Debug)]
pub struct Application(Server);

impl Application {
    /// Starts the application on a free port of 127.0.0.1. Needs a tokio runtime around it.
    ///
    /// # Errors
    ///
    /// Where no socket can be had.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let keys = GatewayKeys::new(&settings.gateway);
        Server::start(listener, Arc::new(Legacy { settings, keys, pages: Pages::new() })).map(Self)
    }

    /// Where the application listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.0.address()
    }
}

#[derive(Debug)]
struct Legacy {
    settings: Settings,
    keys: GatewayKeys,
    pages: Pages,
}

impl Site for Legacy {
    async fn answer(&self, request: Request<Bytes>) -> Response<Body> {
        let read = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/" => self.front(&request).await,
            path if path.starts_with("/dossiers/") => self.front(&request).await,
            "/json" => json(StatusCode::OK, &self.report(&request).await.to_json()),
            "/formulaire" if read => self.pages.form(&[]),
            "/formulaire" => self.pages.form(&form_urlencoded::parse(request.body()).into_owned().collect::<Vec<_>>()),
            "/telechargement" => download(),
            "/evenements" => self.pages.events(),
            "/events" => events::stream(Duration::from_secs(1)),
            "/deconnexion" => self.leave(),
            "/style.css" => reply(StatusCode::OK, "text/css; charset=utf-8", STYLE),
            "/evenements.js" => reply(StatusCode::OK, "text/javascript; charset=utf-8", page::SCRIPT),
            path => self.pages.not_found(path),
        }
    }
}

impl Legacy {
    async fn front(&self, request: &Request<Bytes>) -> Response<Body> {
        let mut response = self.pages.front(&self.report(request).await);
        with_header(&mut response, SET_COOKIE, "conges=demo; Path=/; HttpOnly; SameSite=Lax");
        response
    }

    /// The keys are fetched again before a request is called unproven: the gateway may have turned them.
    async fn report(&self, request: &Request<Bytes>) -> Report {
        let (received, now) = (Received::of(request), self.settings.clock.now());
        let report = Report::new(&received, &self.keys.at_hand(now).await, &self.settings);
        match report.is_proven() {
            true => report,
            false => Report::new(&received, &self.keys.renewed(now).await, &self.settings),
        }
    }

    /// The application's own logout; the gateway makes more of it (`logout_paths`).
    fn leave(&self) -> Response<Body> {
        let mut response = self.pages.left();
        with_header(&mut response, SET_COOKIE, "conges=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
        response
    }
}

fn download() -> Response<Body> {
    let lines = (1..=1_000).map(|line| format!("{line};Congé n°\u{a0}{line};accordé\r\n"));
    let content: String = std::iter::once("\u{feff}numéro;libellé;état\r\n".to_owned()).chain(lines).collect();
    let mut response = reply(StatusCode::OK, "text/csv; charset=utf-8", content);
    let disposition = "attachment; filename=\"conges-ete.csv\"; filename*=UTF-8''cong%C3%A9s-%C3%A9t%C3%A9.csv";
    with_header(&mut response, CONTENT_DISPOSITION, disposition);
    response
}

#[cfg(test)]
mod tests;
