//! An OpenID provider that behaves as AgentConnect does (oidc-provider 7.14.3 behind `/api/v2`) until its script says
//! otherwise. It logs the agent in at once, and complains of every request that AgentConnect would refuse.

mod endpoints;
mod keys;
mod script;
mod tokens;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use portillon::clock::Clock;
use portillon::crypto::random_token;
use portillon::crypto::signing::SigningKey;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

pub use keys::{Keys, ec_key, rsa_key};
pub use script::{Edit, Jwt, LogoutReturn, Reply, Script, Signer};

use super::agent::Agent;
use super::site::{CLIENT_ID, CLIENT_SECRET};
use super::wire::{Body, Head, Reader};

/// The provider and its registration of the one client.
#[derive(Clone)]
pub struct Provider(Arc<Shared>);

struct Shared {
    address: SocketAddr,
    clock: Clock,
    state: Mutex<State>,
}

/// What the provider knows, and what it was asked.
pub struct State {
    /// Whom the next login logs in.
    pub agent: Agent,
    /// The client as registered.
    pub client: Client,
    /// The keys it signs with and those it publishes.
    pub keys: Keys,
    /// How it misbehaves.
    pub script: Script,
    grants: HashMap<String, Grant>,
    refresh_tokens: HashMap<String, Grant>,
    spent: Vec<String>,
    calls: Vec<Call>,
    complaints: Vec<String>,
    secrets: Vec<String>,
    last_id_token: String,
}

/// The client's registration (OpenID Connect Dynamic Client Registration 1.0 section 2).
#[derive(Clone, Debug)]
pub struct Client {
    /// The exact URIs an answer may go to.
    pub redirect_uris: Vec<String>,
    /// The exact URIs a logout may return to.
    pub post_logout_redirect_uris: Vec<String>,
    /// `client_secret_post` or `client_secret_basic`.
    pub token_endpoint_auth_method: &'static str,
    /// `RS256`, `ES256` or `HS256`.
    pub id_token_signed_response_alg: &'static str,
    /// The same; none where userinfo is plain JSON.
    pub userinfo_signed_response_alg: Option<&'static str>,
}

/// An authorization given to the client, under its code or its access token.
#[derive(Clone, Debug)]
struct Grant {
    agent: Agent,
    nonce: String,
    code_challenge: String,
    redirect_uri: String,
    scope: String,
    claims: serde_json::Value,
}

/// Where a request went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Endpoint {
    Authorization,
    Discovery,
    EndSession,
    Jwks,
    Other,
    Revocation,
    Token,
    UserInfo,
}

/// A request that the provider got.
#[derive(Clone, Debug)]
pub struct Call {
    /// Where it went.
    pub endpoint: Endpoint,
    /// Its head.
    pub head: Head,
    /// The parameters of its query, or of its form.
    pub parameters: Vec<(String, String)>,
}

impl Call {
    /// The parameter called `name`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(parameter, _)| parameter == name).map(|(_, value)| value.as_str())
    }
}

impl Provider {
    /// Starts a provider on loopback, which sees the time on `clock`.
    pub async fn start(clock: &Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Shared { address, clock: clock.clone(), state: Mutex::new(State::new()) };
        let provider = Self(Arc::new(shared));
        let accepting = provider.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().serve(stream));
            }
        });
        provider
    }

    /// Its issuer identifier.
    pub fn issuer(&self) -> String {
        format!("http://{}/api/v2", self.0.address)
    }

    /// Everything it knows, for a test to change.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no test panics while it holds the provider")
    }

    /// Changes how it misbehaves.
    pub fn misbehave(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.state().script);
    }

    /// Makes it honest again.
    pub fn behave(&self) {
        self.state().script = Script::default();
    }

    /// Logs `agent` in from now on.
    pub fn log_in(&self, agent: &Agent) {
        self.state().agent = agent.clone();
    }

    /// The requests to `endpoint` so far.
    pub fn calls(&self, endpoint: Endpoint) -> Vec<Call> {
        self.state().calls.iter().filter(|call| call.endpoint == endpoint).cloned().collect()
    }

    /// How many requests `endpoint` got so far.
    pub fn count(&self, endpoint: Endpoint) -> usize {
        self.calls(endpoint).len()
    }

    /// The last request to `endpoint`.
    #[track_caller]
    pub fn last(&self, endpoint: Endpoint) -> Call {
        self.calls(endpoint).pop().unwrap_or_else(|| panic!("{endpoint:?} was never asked"))
    }

    /// What AgentConnect would not have accepted.
    pub fn complaints(&self) -> Vec<String> {
        self.state().complaints.clone()
    }

    /// Every code, token and secret that passed so far: none of them belongs at an application or in a log.
    pub fn secrets(&self) -> Vec<String> {
        self.state().secrets.clone()
    }

    /// The ID token it issued last.
    pub fn last_id_token(&self) -> String {
        self.state().last_id_token.clone()
    }

    /// Takes no refresh token any more, as where the agent's account is closed.
    pub fn revoke_grants(&self) {
        self.state().refresh_tokens.clear();
    }

    /// A logout token for the client, whose claims are honest but for those that `script` sets: `sub` and `sid` among
    /// them.
    pub fn logout_token(&self, script: &Jwt) -> String {
        let (state, now) = (self.state(), self.0.clock.now().as_secs());
        let claims = serde_json::json!({
            "iss": self.issuer(),
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 120,
            "jti": random_token::<16>(),
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        let alg = state.client.id_token_signed_response_alg;
        tokens::Token { state: &state, alg, claims: tokens::members(claims) }.sign(script)
    }

    async fn serve(self, mut stream: TcpStream) {
        let (read, mut write) = stream.split();
        let mut reader = Reader::new(read);
        while let Ok(Some(head)) = reader.head().await {
            let Ok(body) = reader.whole(Body::of_request(&head)).await else { return };
            let (reply, honest) = self.answer(head, &body);
            if !reply.write(&honest, &mut write).await {
                let _ = write.shutdown().await;
                return;
            }
        }
    }

    fn answer(&self, head: Head, body: &[u8]) -> (Reply, Vec<u8>) {
        let call = endpoints::read(head, body);
        let mut state = self.state();
        state.calls.push(call.clone());
        let reply = state.script.reply(call.endpoint);
        if !matches!(reply, Reply::Honest) && call.parameter("grant_type") == Some("refresh_token") {
            // What fails changes nothing.
            return (reply, Vec::new());
        }
        let honest = endpoints::Honest { state: &mut state, issuer: self.issuer(), now: self.0.clock.now() };
        (reply, honest.answer(&call))
    }
}

impl State {
    fn new() -> Self {
        Self {
            agent: Agent::angela(),
            client: Client::default(),
            keys: Keys::new(),
            script: Script::default(),
            grants: HashMap::new(),
            refresh_tokens: HashMap::new(),
            spent: Vec::new(),
            calls: Vec::new(),
            complaints: Vec::new(),
            secrets: vec![CLIENT_SECRET.to_owned()],
            last_id_token: String::new(),
        }
    }

    /// The key that signs what is registered as `alg`.
    fn key(&self, alg: &str) -> Arc<SigningKey> {
        match alg {
            "HS256" => Arc::new(SigningKey::hmac_sha256("", CLIENT_SECRET.as_bytes())),
            alg => self.keys.signing(alg),
        }
    }

    fn remember(&mut self, secret: &str) -> String {
        self.secrets.push(secret.to_owned());
        secret.to_owned()
    }
}

impl Default for Client {
    fn default() -> Self {
        Self {
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            token_endpoint_auth_method: "client_secret_post",
            id_token_signed_response_alg: "RS256",
            userinfo_signed_response_alg: Some("RS256"),
        }
    }
}

/// The identifier of the one client.
const fn client_id() -> &'static str {
    CLIENT_ID
}

#[cfg(test)]
mod tests {
    use portillon::clock::Timestamp;
    use portillon::crypto::{base64url, from_base64url, sha256};
    use serde_json::Value;

    use super::super::client::{Connection, Request, Response};
    use super::*;

    const VERIFIER: &str = "a-verifier-of-the-length-that-a-verifier-has";
    const SECRET_STATE: &str = "a-state-of-at-least-thirty-two-bytes";

    async fn ask(provider: &Provider, request: &Request) -> Response {
        Connection::open(provider.0.address).await.exchange(request).await
    }

    async fn code(provider: &Provider) -> String {
        let challenge = base64url(&sha256(VERIFIER.as_bytes()));
        let target = format!(
            "/api/v2/authorize?response_type=code&client_id={CLIENT_ID}&redirect_uri=https%3A%2F%2Fa.test%2Fcb\
             &scope=openid%20email&state={SECRET_STATE}&nonce={SECRET_STATE}&code_challenge={challenge}\
             &code_challenge_method=S256"
        );
        let answer = ask(provider, &Request::get("op.test", &target)).await;
        let location = url::Url::parse(&answer.location()).unwrap();
        location.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
    }

    async fn redeem(provider: &Provider, code: &str) -> Response {
        let form = format!(
            "grant_type=authorization_code&code={code}&redirect_uri=https%3A%2F%2Fa.test%2Fcb&client_id={CLIENT_ID}\
             &client_secret={CLIENT_SECRET}&code_verifier={VERIFIER}"
        );
        ask(provider, &Request::new("POST", "op.test", "/api/v2/token").body(form)).await
    }

    async fn honest() -> Provider {
        let provider = Provider::start(&Clock::manual(Timestamp::from_secs(1000))).await;
        provider.state().client.redirect_uris = vec!["https://a.test/cb".to_owned()];
        provider
    }

    fn claims(token: &str) -> Value {
        serde_json::from_slice(&from_base64url(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_code_gives_tokens_once_and_the_token_gives_userinfo() {
        let provider = honest().await;
        let code = code(&provider).await;
        let tokens: Value = serde_json::from_slice(&redeem(&provider, &code).await.body).unwrap();
        let id_token = claims(tokens["id_token"].as_str().unwrap());
        assert_eq!((&id_token["nonce"], id_token["exp"].as_u64()), (&Value::from(SECRET_STATE), Some(4600)));
        let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        let request = Request::get("op.test", "/api/v2/userinfo").with("Authorization", bearer);
        let answer = claims(&ask(&provider, &request).await.text());
        assert_eq!((&answer["sub"], answer.get("siret")), (&id_token["sub"], None));
        assert_eq!(redeem(&provider, &code).await.status, 400);
        assert!(provider.complaints().is_empty(), "{:?}", provider.complaints());
        assert_eq!(provider.count(Endpoint::Token), 2);
    }

    #[tokio::test]
    async fn a_script_changes_what_it_names_and_nothing_else() {
        let provider = honest().await;
        provider.misbehave(|script| {
            script.id_token.claims = vec![Edit::set("iss", "https://evil.test"), Edit::Remove("iat")];
            script.user_info = Reply::json("{}");
        });
        let code = code(&provider).await;
        let tokens: Value = serde_json::from_slice(&redeem(&provider, &code).await.body).unwrap();
        let id_token = claims(tokens["id_token"].as_str().unwrap());
        assert_eq!((&id_token["iss"], id_token.get("iat")), (&Value::from("https://evil.test"), None));
        assert_eq!(ask(&provider, &Request::get("op.test", "/api/v2/userinfo")).await.text(), "{}");
        provider.behave();
        assert_eq!(ask(&provider, &Request::get("op.test", "/api/v2/userinfo")).await.status, 401);
    }

    #[tokio::test]
    async fn the_provider_complains_of_what_agentconnect_refuses() {
        let provider = honest().await;
        let target = "/api/v2/authorize?response_type=token&rd=x&redirect_uri=https%3A%2F%2Fa.test%2Fcb";
        ask(&provider, &Request::get("op.test", target)).await;
        assert!(provider.complaints().iter().any(|complaint| complaint.contains("Y000400")));
    }
}
