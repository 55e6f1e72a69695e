//! The tour in front of a gateway reduced to its promises, and of one that breaks some of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{Response, StatusCode};
use serde_json::json;

use super::*;
use crate::clock::Clock;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::random_token;
use crate::demo::application::{Application, Settings};
use crate::demo::configuration::{CLIENT_ID, ROUTE, SCOPE, registration};
use crate::demo::provider::Provider;
use crate::demo::site::{Body, Server, Site, cookie, reply, see_other, with_header};
use crate::identity::assertion::AssertionIssuer;
use crate::identity::header::{HeaderPlan, HeaderPrefix};
use crate::identity::{ClaimValue, Claims, Encoding};
use crate::secret::Secret;
use crate::signature::{Algorithm, CoveredFields, Signer, Target};

const SECRET: &str = "a secret of at least thirty-two characters";

/// What the gateway under test does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    ForwardsForgeries,
    SignsAnotherPath,
    None,
}

/// One agent, one session, no care.
struct Toy {
    fault: Fault,
    issuer: String,
    origin: String,
    upstream: SocketAddr,
    ring: KeyRing,
    clock: Clock,
    claims: Mutex<Option<Claims>>,
}

impl Toy {
    fn authorize(&self) -> Response<Body> {
        let url = Url::parse_with_params(
            &format!("{}/authorize", self.issuer),
            [
                ("client_id", CLIENT_ID),
                ("redirect_uri", &self.at("callback")),
                ("response_type", "code"),
                ("scope", &SCOPE.join(" ")),
                ("state", &random_token::<32>()),
                ("nonce", &random_token::<32>()),
                ("code_challenge", &base64url(&crate::crypto::sha256(SECRET.as_bytes()))),
                ("code_challenge_method", "S256"),
            ],
        );
        see_other(url.unwrap().as_str())
    }

    fn at(&self, name: &str) -> String {
        format!("{}/.portillon/{name}", self.origin)
    }

    async fn callback(&self, request: &Request<Bytes>) -> Response<Body> {
        let url = Url::parse(&format!("{}{}", self.origin, request.uri())).unwrap();
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", CLIENT_ID),
            ("client_secret", SECRET),
            ("redirect_uri", &self.at("callback")),
            ("code", &param(&url, "code").unwrap()),
            ("code_verifier", SECRET),
        ];
        let page = Browser::default().post(&format!("{}/token", self.issuer), &form).await.unwrap();
        let tokens: Value = serde_json::from_slice(&page.body).unwrap();
        let url = format!("{}/userinfo", self.issuer);
        let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        let asked = Request::get(&url).header("Authorization", bearer).body(String::new());
        let page = Browser::default().send(asked, &url).await.unwrap();
        let members: BTreeMap<String, Value> = serde_json::from_slice(&page.body).unwrap();
        *self.claims.lock().unwrap() = Some(claims(&members));
        let mut response = see_other("/dossiers/42?onglet=pi%C3%A8ces");
        with_header(&mut response, SET_COOKIE, "__Host-portillon=1; Path=/; Secure; HttpOnly");
        response
    }

    async fn forward(&self, request: &Request<Bytes>, claims: &Claims) -> Response<Body> {
        let now = self.clock.now();
        let headers = HeaderPlan::new(&HeaderPrefix::default(), Encoding::Percent, None, &[]).headers(claims, "sid");
        let issuer = AssertionIssuer::new(self.origin.clone(), ROUTE.to_owned(), Duration::from_secs(300), None);
        let token = issuer.issue(self.ring.assertion_key(now), claims, "sid", now).token;
        let authority = self.origin.trim_start_matches("http://");
        let path = if self.fault == Fault::SignsAnotherPath { "/" } else { request.uri().path() };
        let target = Target { method: "GET", authority, path, query: request.uri().query() };
        let key = self.ring.request_key(Algorithm::Ed25519, now).unwrap();
        let signer = Signer::new(ROUTE.to_owned(), Duration::from_secs(60));
        let signed = signer.sign(key, &target, &CoveredFields::new(headers.iter()), now, &random_token::<16>());

        let url = format!("http://{}{}", self.upstream, request.uri());
        let mut copy = Request::get(&url).header(HOST, authority).header("X-Agent-Assertion", token);
        copy = copy.header("Signature-Input", signed.signature_input).header("Signature", signed.signature);
        copy = headers.iter().fold(copy, |copy, (name, value)| copy.header(name, value));
        if self.fault == Fault::ForwardsForgeries {
            let forged = request.headers().iter().filter(|(name, _)| name.as_str().starts_with("x"));
            copy = forged.fold(copy, |copy, (name, value)| copy.header(name, value));
        }
        let page = Browser::default().send(copy.body(String::new()), &url).await.unwrap();
        reply(page.status, "application/json", page.body)
    }
}

impl Site for Toy {
    async fn answer(&self, request: Request<Bytes>) -> Response<Body> {
        let session = cookie(&request, "__Host-portillon").and_then(|_| self.claims.lock().unwrap().clone());
        match (request.uri().path(), session) {
            ("/.portillon/callback", _) => self.callback(&request).await,
            ("/.portillon/jwks.json", _) => reply(StatusCode::OK, "application/json", self.ring.jwks().to_owned()),
            ("/.portillon/signed-out", _) => reply(StatusCode::OK, "text/plain", ""),
            ("/deconnexion", Some(_)) => {
                let params =
                    [("client_id", CLIENT_ID), ("post_logout_redirect_uri", &self.at("signed-out")), ("state", "s")];
                let url = Url::parse_with_params(&format!("{}/session/end", self.issuer), params).unwrap();
                let mut response = see_other(url.as_str());
                with_header(&mut response, SET_COOKIE, "__Host-portillon=; Path=/; Max-Age=0");
                response
            }
            (_, Some(claims)) => self.forward(&request, &claims).await,
            (_, None) => self.authorize(),
        }
    }
}

fn claims(members: &BTreeMap<String, Value>) -> Claims {
    let mut claims = Claims::new(members["sub"].as_str().unwrap());
    for (name, value) in members {
        let value = match value {
            Value::String(text) => ClaimValue::Text(text.clone()),
            Value::Array(list) => ClaimValue::List(list.iter().map(plain).collect()),
            other => ClaimValue::Json(other.to_string()),
        };
        claims.insert(name.clone(), value);
    }
    claims
}

async fn tour(fault: Fault) -> (Result<(), TourError>, String) {
    let clock = Clock::system();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let mut client = registration(&origin, Secret::from(SECRET));
    client.userinfo_signed_response_alg = None;
    let provider = Provider::start(vec![client], clock.clone()).await.unwrap();
    let settings = Settings { gateway: origin.clone(), audience: ROUTE.to_owned(), clock: clock.clone() };
    let application = Application::start(settings).await.unwrap();
    let toy = Toy {
        fault,
        issuer: provider.issuer().to_owned(),
        origin: origin.clone(),
        upstream: application.address(),
        ring: KeyRing::ephemeral(clock.now()),
        clock,
        claims: Mutex::default(),
    };
    let _gateway = Server::start(listener, Arc::new(toy)).unwrap();
    let scenery = Scenery {
        gateway: origin,
        application: application.address(),
        issuer: provider.issuer().to_owned(),
        scope: SCOPE.to_vec(),
        agent: Agent::find("zoe").unwrap(),
    };
    let mut out = Vec::new();
    let ended = walk(&scenery, &mut Transcript::new(&mut out, false)).await;
    (ended, String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn every_step_holds_where_the_gateway_keeps_its_promises() {
    let (ended, text) = tour(Fault::None).await;
    assert!(ended.is_ok() && !text.contains('✗'), "{ended:?}\n{text}");
    assert!(text.contains("= L'Hôpital-Ñandú") && text.contains("✓ no signature: refused"), "{text}");
}

#[tokio::test]
async fn a_gateway_that_lets_forgeries_pass_is_found_out() {
    let (ended, text) = tour(Fault::ForwardsForgeries).await;
    assert!(matches!(ended, Err(TourError::Refuted(_))), "{ended:?}\n{text}");
    assert!(text.contains("✗ none of them arrived"), "{text}");
}

#[tokio::test]
async fn a_signature_of_another_request_is_found_out() {
    let (ended, text) = tour(Fault::SignsAnotherPath).await;
    assert!(matches!(ended, Err(TourError::Refuted(_))), "{ended:?}\n{text}");
    assert!(text.contains("✗ the signature holds"), "{text}");
}

#[test]
fn claims_become_headers_by_the_contract() {
    let scenery = Scenery {
        scope: vec!["openid", "usual_name", "roles", "chorusdt", "phone"],
        agent: Agent::find("anais").unwrap(),
        ..nowhere()
    };
    let expected = expected(&scenery);
    let value = |name: &str| expected.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    assert_eq!(value("X-Agent-Usual-Name"), Some("Œuvrard"));
    assert_eq!(value("X-Agent-Roles"), Some("agent_public, agent_public_etat"));
    assert_eq!(value("X-Agent-Chorusdt-Matricule"), Some("0042137"));
    assert_eq!(value("X-Agent-Phone-Number"), Some("+33199002468"));
    assert_eq!(value("X-Agent-Sub"), Some(Agent::find("anais").unwrap().sub));
}

#[test]
fn a_tampered_assertion_differs_in_its_claims_only() {
    let token = format!("aGVhZA.{}.c2ln", base64url(json!({ "sub": "s", "usual_name": "n" }).to_string().as_bytes()));
    let tampered = tampered_assertion(&token).unwrap();
    assert!(tampered.starts_with("aGVhZA.") && tampered.ends_with(".c2ln") && tampered != token);
    assert_eq!(tampered_assertion("rubbish"), None);
}

#[tokio::test]
async fn a_tour_without_a_gateway_fails() {
    let mut out = Vec::new();
    let ended = walk(&nowhere(), &mut Transcript::new(&mut out, false)).await;
    assert!(matches!(ended, Err(TourError::Browser(_))));
    assert!(String::from_utf8(out).unwrap().contains("→ GET http://127.0.0.1:1/dossiers/42"));
}

fn nowhere() -> Scenery {
    Scenery {
        gateway: "http://127.0.0.1:1".to_owned(),
        application: ([127, 0, 0, 1], 1).into(),
        issuer: "http://127.0.0.1:1/api/v2".to_owned(),
        scope: vec!["openid"],
        agent: Agent::find("zoe").unwrap(),
    }
}
