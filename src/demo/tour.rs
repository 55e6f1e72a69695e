//! One login from end to end, shown step by step: the first redirect, the login, the callback, the signed headers that
//! the application receives, what becomes of forgeries, the logout.
//!
//! Every claim that the transcript makes is checked against what really came back; one that fails fails the tour.

use std::net::SocketAddr;

use http::Request;
use http::header::HOST;
use serde_json::Value;
use url::Url;

use self::transcript::Transcript;
use super::agents::Agent;
use super::application::{Field, Report};
use super::browser::{Browser, BrowserError, Page};
use crate::crypto::{base64url, from_base64url};

pub mod transcript;

/// Where everything is.
#[derive(Clone, Debug)]
pub struct Scenery {
    /// The origin of the gateway that agents see: `http://localhost:8080`.
    pub gateway: String,
    /// Where the application listens, behind the gateway's back.
    pub application: SocketAddr,
    /// The provider's issuer identifier.
    pub issuer: String,
    /// The scopes that the gateway asks for.
    pub scope: Vec<&'static str>,
    /// Who logs in.
    pub agent: &'static Agent,
}

/// Why the tour did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum TourError {
    /// Somebody did not answer.
    #[error(transparent)]
    Browser(#[from] BrowserError),
    /// Steps that turned out otherwise than shown.
    #[error("{0} of the things shown did not hold")]
    Refuted(usize),
    /// An answer that nothing can be done with.
    #[error("the tour cannot go on: {0}")]
    Stuck(String),
}

/// Walks from the first request to the logout.
///
/// # Errors
///
/// [`TourError`] unless everything was really verified.
pub async fn walk(scenery: &Scenery, transcript: &mut Transcript<'_>) -> Result<(), TourError> {
    let mut walk = Walk { scenery, transcript, browser: Browser::default() };
    let authorize = walk.knock().await?;
    let callback = walk.log_in(&authorize).await?;
    walk.arrive(&callback).await?;
    let report = walk.look_at_headers().await?;
    walk.look_at_proofs(&report);
    walk.forge(&report).await?;
    walk.tamper(&report).await?;
    walk.log_out().await?;
    match walk.transcript.refuted() {
        0 => Ok(()),
        refuted => Err(TourError::Refuted(refuted)),
    }
}

struct Walk<'a, 'out> {
    scenery: &'a Scenery,
    transcript: &'a mut Transcript<'out>,
    browser: Browser,
}

impl Walk<'_, '_> {
    /// Asks for a page deep inside the application; returns the authorization request.
    async fn knock(&mut self) -> Result<Url, TourError> {
        self.transcript.step("An agent opens a page of the application, without a session");
        let page = self.get(&self.deep_link()).await?;
        let authorize = self.follow(page, &self.at_provider("/authorize")).await?;
        for name in ["client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "claims"] {
            self.transcript.field(name, &param(&authorize, name).unwrap_or_default());
        }
        self.transcript.check("nothing of the application was shown: the agent is sent to AgentConnect", true);
        let long = |name| param(&authorize, name).is_some_and(|value| value.len() >= 43);
        let random = long("state") && long("nonce") && long("code_challenge");
        self.transcript.check("state, nonce and the PKCE S256 challenge are 32 bytes or more each", random);
        Ok(authorize)
    }

    /// Chooses the agent on the login page; returns the callback.
    async fn log_in(&mut self, authorize: &Url) -> Result<Url, TourError> {
        let agent = self.scenery.agent;
        self.transcript.step("AgentConnect asks who the agent is");
        let page = self.get(authorize.as_str()).await?;
        let login = self.follow(page, &self.at_provider("/interaction/")).await?;
        let page = self.get(login.as_str()).await?;
        self.transcript.check("the login page is there", page.status == 200);

        self.transcript.step(&format!("The agent logs in as {} {}", agent.given_name, agent.usual_name));
        let page = self.post(login.as_str(), &[("agent", agent.id)]).await?;
        let callback = page.location().ok_or_else(|| stuck(&page))?;
        for name in ["code", "state", "iss"] {
            self.transcript.field(name, &param(&callback, name).unwrap_or_default());
        }
        self.transcript.check("the state is the one that was sent", same_state(&callback, authorize));
        let iss = param(&callback, "iss").is_some_and(|iss| iss == self.scenery.issuer);
        self.transcript.check("the issuer names itself (RFC 9207)", iss);
        Ok(callback)
    }

    /// Brings the code to the gateway.
    async fn arrive(&mut self, callback: &Url) -> Result<(), TourError> {
        self.transcript.step("The gateway redeems the code, verifies ID token and userinfo, and opens a session");
        let page = self.get(callback.as_str()).await?;
        let landed = self.follow(page, &self.deep_link()).await?;
        let cookies = self.browser.cookie_names(&landed).join(", ");
        self.transcript.field("cookies now", &cookies);
        self.transcript.check("a sealed session cookie was set", cookies.contains("__Host-portillon"));
        self.transcript.check("the agent is sent to the very page asked for", landed.as_str() == self.deep_link());
        let page = self.get(landed.as_str()).await?;
        self.transcript.check("the application answers", page.status == 200);
        Ok(())
    }

    /// Reads what the application received.
    async fn look_at_headers(&mut self) -> Result<Report, TourError> {
        self.transcript.step("What the application received");
        let page = self.get(&format!("{}/json", self.scenery.gateway)).await?;
        let report = read(&page)?;
        for Field { name, raw, decoded } in &report.identity {
            self.transcript.field(name, raw);
            if raw != decoded && name != "X-Agent-Assertion" {
                self.transcript.field("", &format!("= {decoded}"));
            }
        }
        let expected = expected(self.scenery);
        for (name, value) in &expected {
            if report.identity(name) != Some(value) {
                self.transcript.check(&format!("{name} is «{value}»"), false);
            }
        }
        let arrived = expected.iter().all(|(name, value)| report.identity(name) == Some(value));
        let text = format!("all {} claims arrived as AgentConnect gave them", expected.len());
        self.transcript.check(&text, arrived && !expected.is_empty());
        Ok(report)
    }

    /// Shows what the application made of the two proofs.
    fn look_at_proofs(&mut self, report: &Report) {
        self.transcript.step("The application verifies the request signature (RFC 9421)");
        for field in &report.proof {
            self.transcript.field(&field.name, &field.raw);
        }
        self.transcript.field("verdict", &report.signature.detail);
        self.transcript.check("the signature holds, under a key of the gateway's JWK Set", report.signature.holds);

        self.transcript.step("The application verifies the assertion (JWT, ES256)");
        let claims = assertion_claims(report).unwrap_or_default();
        for name in ["iss", "aud", "sub", "sid", "iat", "exp"] {
            self.transcript.field(name, &claims.get(name).map_or_else(String::new, plain));
        }
        self.transcript.field("verdict", &report.assertion.detail);
        self.transcript.check("the assertion is genuine, and for this application", report.assertion.holds);
        let same = |claim: &str, header| claims.get(claim).and_then(Value::as_str) == report.identity(header);
        let same = claims.is_object() && same("sid", "X-Agent-Session") && same("sub", "X-Agent-Sub");
        self.transcript.check("it names the same session and the same agent as the headers", same);
    }

    /// Sends identity headers through the gateway, as an impostor would.
    async fn forge(&mut self, honest: &Report) -> Result<(), TourError> {
        self.transcript.step("A client writes identity headers itself");
        let url = format!("{}/json", self.scenery.gateway);
        let mut request = Request::get(&url);
        for (name, value) in FORGERIES {
            self.transcript.field(name, value);
            request = request.header(name, value);
        }
        let report = read(&self.browser.send(request.body(String::new()), &url).await?)?;
        let without_assertion = |report: &Report| -> Vec<Field> {
            report.identity.iter().filter(|field| field.name != "X-Agent-Assertion").cloned().collect()
        };
        let untouched = without_assertion(&report) == without_assertion(honest);
        self.transcript.check("none of them arrived: the application sees the true agent", untouched);
        self.transcript.check("and both proofs hold", report.is_proven());
        Ok(())
    }

    /// Sends copies of the request straight to the application, behind the gateway's back.
    async fn tamper(&mut self, honest: &Report) -> Result<(), TourError> {
        self.transcript.step("Copies of the request go straight to the application, past the gateway");
        let copy: Vec<_> =
            honest.identity.iter().chain(&honest.proof).map(|field| (field.name.clone(), field.raw.clone())).collect();
        let same = self.send_copy("/json", &copy).await?;
        self.transcript.check("unchanged, it would still hold: the copies are true ones", same.is_proven());

        let other_agent = with(&copy, "X-Agent-Usual-Name", |_| "Mallory".to_owned());
        let report = self.send_copy("/json", &other_agent).await?;
        self.refused("another name in X-Agent-Usual-Name", report.signature.holds, &report.signature.detail);

        let report = self.send_copy("/json?id=43", &copy).await?;
        self.refused("another query", report.signature.holds, &report.signature.detail);

        let other_claims = with(&copy, "X-Agent-Assertion", |token| tampered_assertion(token).unwrap_or_default());
        let report = self.send_copy("/json", &other_claims).await?;
        self.refused("another name inside the assertion", report.assertion.holds, &report.assertion.detail);

        let unsigned: Vec<_> = copy.into_iter().filter(|(name, _)| !name.starts_with("Signature")).collect();
        let report = self.send_copy("/json", &unsigned).await?;
        self.refused("no signature", report.signature.holds, &report.signature.detail);
        Ok(())
    }

    /// Leaves through the application's own logout.
    async fn log_out(&mut self) -> Result<(), TourError> {
        self.transcript.step("The agent logs out of the application, and the gateway makes it a real logout");
        let page = self.get(&format!("{}/deconnexion", self.scenery.gateway)).await?;
        let end_session = self.follow(page, &self.at_provider("/session/end")).await?;
        for name in ["client_id", "id_token_hint", "post_logout_redirect_uri", "state"] {
            self.transcript.field(name, &param(&end_session, name).unwrap_or_default());
        }
        let page = self.get(end_session.as_str()).await?;
        let id = hidden_id(&page).ok_or_else(|| stuck(&page))?;
        let page = self.post(&self.at_provider("/session/end/confirm"), &[("id", &id)]).await?;
        let back = page.location().ok_or_else(|| stuck(&page))?;
        self.transcript.check("the state came back", same_state(&back, &end_session));
        let page = self.get(back.as_str()).await?;
        let landed = match page.location() {
            Some(next) => self.get(next.as_str()).await?,
            None => page,
        };
        self.transcript.check("the gateway says goodbye and does not log the agent in again", landed.status == 200);
        let page = self.get(&self.deep_link()).await?;
        let asked_anew = self.follow(page, &self.at_provider("/authorize")).await.is_ok();
        self.transcript.check("the page wants a login again", asked_anew);
        Ok(())
    }

    /// A page that a person would have bookmarked.
    fn deep_link(&self) -> String {
        format!("{}/dossiers/42?onglet=pi%C3%A8ces", self.scenery.gateway)
    }

    fn at_provider(&self, path: &str) -> String {
        format!("{}{path}", self.scenery.issuer)
    }

    async fn get(&mut self, url: &str) -> Result<Page, TourError> {
        self.transcript.sent("GET", url);
        let page = self.browser.get(url).await?;
        self.transcript.received(&page);
        Ok(page)
    }

    async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Result<Page, TourError> {
        self.transcript.sent("POST", url);
        let page = self.browser.post(url, form).await?;
        self.transcript.received(&page);
        Ok(page)
    }

    /// Follows redirects from `page` up to the first that leads to `target`, which is not opened yet.
    async fn follow(&mut self, mut page: Page, target: &str) -> Result<Url, TourError> {
        for _ in 0..REDIRECTS {
            match page.location() {
                Some(location) if location.as_str().starts_with(target) => return Ok(location),
                Some(location) => page = self.get(location.as_str()).await?,
                None => break,
            }
        }
        Err(stuck(&page))
    }

    async fn send_copy(&self, target: &str, headers: &[(String, String)]) -> Result<Report, TourError> {
        let url = format!("http://{}{target}", self.scenery.application);
        let authority = self.scenery.gateway.trim_start_matches("http://");
        let request = Request::get(&url).header(HOST, authority);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        // A browser without cookies: the copies come from elsewhere.
        read(&Browser::default().send(request.body(String::new()), &url).await?)
    }

    fn refused(&mut self, change: &str, holds: bool, detail: &str) {
        self.transcript.check(&format!("{change}: refused ({detail})"), !holds);
    }
}

/// The identity headers that the agent's claims must become.
fn expected(scenery: &Scenery) -> Vec<(String, String)> {
    let claims = scenery.scope.iter().flat_map(|scope| scenery.agent.claims(scope));
    let text = |value: &Value| match value {
        Value::Array(elements) => elements.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => plain(other),
    };
    let sub = ("X-Agent-Sub".to_owned(), scenery.agent.sub.to_owned());
    claims.map(|(name, value)| (header_name(&name), text(&value))).chain([sub]).collect()
}

/// `chorusdt:matricule` goes out as `X-Agent-Chorusdt-Matricule`.
fn header_name(claim: &str) -> String {
    let words = claim.split(['_', ':']).map(|word| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => String::new(),
    });
    format!("X-Agent-{}", words.collect::<Vec<_>>().join("-"))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn param(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(other, _)| other == name).map(|(_, value)| value.into_owned())
}

/// Whether both addresses carry the same `state`; none at all is not the same.
fn same_state(one: &Url, other: &Url) -> bool {
    let state = param(one, "state");
    state.is_some() && state == param(other, "state")
}

fn read(page: &Page) -> Result<Report, TourError> {
    serde_json::from_slice(&page.body).map_err(|_| stuck(page))
}

fn stuck(page: &Page) -> TourError {
    TourError::Stuck(format!(
        "{} answered {} {}",
        page.url,
        page.status,
        page.text().chars().take(400).collect::<String>()
    ))
}

fn assertion_claims(report: &Report) -> Option<Value> {
    serde_json::from_str(report.identity("X-Agent-Assertion")?).ok()
}

/// The value of the one hidden field of the provider's logout page.
fn hidden_id(page: &Page) -> Option<String> {
    let text = page.text();
    let (id, _) = text.split_once("name=\"id\" value=\"")?.1.split_once('"')?;
    Some(id.to_owned())
}

fn with(copy: &[(String, String)], name: &str, change: impl Fn(&str) -> String) -> Vec<(String, String)> {
    let changed = |(other, value): &(String, String)| match other == name {
        true => (other.clone(), change(value)),
        false => (other.clone(), value.clone()),
    };
    copy.iter().map(changed).collect()
}

/// The same assertion with another name in it, under the signature that it had.
fn tampered_assertion(token: &str) -> Option<String> {
    let mut parts = token.split('.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let mut claims: Value = serde_json::from_slice(&from_base64url(payload)?).ok()?;
    claims["usual_name"] = Value::from("Mallory");
    Some(format!("{header}.{}.{signature}", base64url(claims.to_string().as_bytes())))
}

/// What an impostor might try, in spellings that some applications fold together.
const FORGERIES: [(&str, &str); 3] =
    [("X-Agent-Email", "mallory@example.gouv.fr"), ("X_Agent_Usual_Name", "Mallory"), ("x-agent-admin", "1")];

/// Between two pages that the agent looks at.
const REDIRECTS: usize = 5;

#[cfg(test)]
mod tests;
