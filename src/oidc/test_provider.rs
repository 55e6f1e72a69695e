//! A provider on loopback that answers each path as a test tells it to, and remembers what it was asked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::algorithm::SignatureAlgorithm;
use super::preset::Preset;
use super::settings::{Settings, TokenEndpointAuthMethod};
use crate::clock::{Clock, Timestamp};
use crate::crypto::jws;
use crate::crypto::signing::{KeyType, SigningKey};
use crate::secret::Secret;

pub(super) const CLIENT_ID: &str = "a3c1d2e4-client";
pub(super) const CLIENT_SECRET: &str = "a client secret of more than 32 bytes: 0123456789";
pub(super) const NONCE: &str = "n-0123456789012345678901234567890123456789";
pub(super) const SUB: &str = "436402e3-ffa7-4ae3-8193-b35a1c43853e";
pub(super) const ACCESS_TOKEN: &str = "opaque-access-token";
pub(super) const NOW: u64 = 1_800_000_000;

pub(super) fn clock() -> Clock {
    Clock::manual(Timestamp::from_secs(NOW))
}

/// A key of each kind, made once: RSA keys take their time.
pub(super) fn rsa() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate(KeyType::Rsa2048).unwrap())
}

pub(super) fn ec() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate(KeyType::EcdsaP256).unwrap())
}

pub(super) fn client_secret_key() -> SigningKey {
    SigningKey::hmac_sha256("", CLIENT_SECRET.as_bytes())
}

pub(super) fn jwks(keys: &[&SigningKey]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.to_jwk().unwrap()).collect::<Vec<_>>() })
}

/// Settings of a client registered with this algorithm for both tokens; none: HS256 and plain JSON.
pub(super) fn settings(issuer: &str, algorithm: Option<SignatureAlgorithm>) -> Settings {
    Settings {
        name: super::DEFAULT.to_owned(),
        preset: Preset::AgentConnect,
        issuer: issuer.to_owned(),
        client_id: CLIENT_ID.into(),
        client_secret: Secret::from(CLIENT_SECRET),
        token_endpoint_auth_method: TokenEndpointAuthMethod::ClientSecretPost,
        id_token_signed_response_alg: algorithm.unwrap_or(SignatureAlgorithm::Hs256),
        userinfo_signed_response_alg: algorithm,
        scope: ["openid", "given_name", "usual_name", "email", "uid"].map(str::to_owned).into(),
        acr_values: Vec::new(),
        required: ["sub", "given_name", "usual_name", "email", "uid"].map(str::to_owned).into(),
        denied: Vec::new(),
        proxy: None,
        ca: Vec::new(),
    }
}

pub(super) fn metadata(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "end_session_endpoint": format!("{issuer}/session/end"),
        "revocation_endpoint": format!("{issuer}/token/revocation"),
        "introspection_endpoint": format!("{issuer}/token/introspection"),
        "acr_values_supported": ["eidas0", "eidas1-mfa", "https://proconnect.gouv.fr/assurance/certification-dirigeant"],
        "claim_types_supported": ["normal"],
        "claims_supported": ["amr", "sub", "chorusdt:matricule", "given_name", "siret", "roles", "acr", "sid", "iss"],
        "code_challenge_methods_supported": ["S256"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "request_parameter_supported": false,
        "request_uri_parameter_supported": true,
        "response_modes_supported": ["form_post", "fragment", "query"],
        "response_types_supported": ["code"],
        "scopes_supported": ["openid", "given_name", "custom"],
        "subject_types_supported": ["public"],
        "userinfo_encryption_alg_values_supported": ["ECDH-ES", "RSA-OAEP"],
        "id_token_signing_alg_values_supported": ["HS256", "ES256", "RS256", "ES256K"],
        "userinfo_signing_alg_values_supported": ["HS256", "ES256", "RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "authorization_response_iss_parameter_supported": true,
        "claims_parameter_supported": true,
    })
}

pub(super) fn id_token_claims(issuer: &str) -> Value {
    json!({
        "iss": issuer, "aud": CLIENT_ID, "sub": SUB, "nonce": NONCE,
        "iat": NOW, "exp": NOW + 3600, "auth_time": NOW, "acr": "eidas1", "amr": ["pwd"],
    })
}

pub(super) fn user_info_claims(issuer: &str) -> Value {
    json!({
        "iss": issuer, "aud": CLIENT_ID, "sub": SUB, "iat": NOW, "exp": NOW + 3600,
        "given_name": "Zoë Noël", "usual_name": "Éloïse", "email": "zoe@example.gouv.fr", "uid": "9681",
        "siret": "13002526500013", "roles": ["agent_public"],
    })
}

/// What a path answers.
pub(super) enum Reply {
    /// Headers, then bytes for ever.
    Endless,
    /// Nothing, for ever.
    Never,
    /// A whole answer.
    Whole(u16, Vec<(&'static str, String)>, String),
    /// Headers, then a byte every few milliseconds.
    Trickle,
}

impl Reply {
    pub(super) fn json(body: &Value) -> Self {
        Self::typed("application/json; charset=utf-8", &body.to_string())
    }

    pub(super) fn typed(media_type: &str, body: &str) -> Self {
        Self::Whole(200, vec![("content-type", media_type.to_owned())], body.to_owned())
    }

    pub(super) fn status(status: u16, body: &Value) -> Self {
        Self::Whole(status, vec![("content-type", "application/json".to_owned())], body.to_string())
    }
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path_and_query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn form(&self) -> BTreeMap<String, String> {
        url::form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }
}

#[derive(Default)]
struct Script {
    replies: BTreeMap<String, Arc<Reply>>,
    asked: Vec<Asked>,
}

/// The provider; its paths are below `/api/v2`.
pub(super) struct TestProvider {
    pub(super) issuer: String,
    pub(super) port: u16,
    script: Arc<Mutex<Script>>,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

impl TestProvider {
    /// An honest one, for its metadata and keys; tokens are for each test to give.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = Arc::new(Mutex::new(Script::default()));
        tokio::spawn(accept(listener, Arc::clone(&script)));
        let this = Self { issuer: format!("http://127.0.0.1:{port}/api/v2"), port, script };
        this.reply("/.well-known/openid-configuration", Reply::json(&metadata(&this.issuer)));
        this.reply("/jwks", Reply::typed("application/jwk-set+json", &jwks(&[rsa(), ec()]).to_string()));
        this
    }

    pub(super) fn reply(&self, path: &str, reply: Reply) {
        self.script.lock().unwrap().replies.insert(format!("/api/v2{path}"), Arc::new(reply));
    }

    /// Gives these tokens from now on, the ID token signed with `key`.
    pub(super) fn give_id_token(&self, key: &SigningKey, claims: &Value) {
        self.give_token(&jws::sign(key, "JWT", claims));
    }

    pub(super) fn give_token(&self, id_token: &str) {
        let body = json!({
            "access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 3600,
            "id_token": id_token, "refresh_token": "r", "scope": "openid",
        });
        self.reply("/token", Reply::json(&body));
    }

    pub(super) fn give_user_info(&self, key: &SigningKey, claims: &Value) {
        self.reply("/userinfo", Reply::typed("application/jwt; charset=utf-8", &jws::sign(key, "JWT", claims)));
    }

    /// The requests for a path below `/api/v2`.
    pub(super) fn asked(&self, path: &str) -> Vec<Asked> {
        let path = format!("/api/v2{path}");
        let script = self.script.lock().unwrap();
        script.asked.iter().filter(|asked| asked.path_and_query.split('?').next() == Some(&path)).cloned().collect()
    }

    /// How many requests came at all.
    pub(super) fn total(&self) -> usize {
        self.script.lock().unwrap().asked.len()
    }
}

async fn accept(listener: TcpListener, script: Arc<Mutex<Script>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let script = Arc::clone(&script);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&script)));
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client that goes away is no failure.
            connection.await.ok();
        });
    }
}

async fn answer(request: Request<Incoming>, script: Arc<Mutex<Script>>) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let reply = {
        let mut script = script.lock().unwrap();
        script.asked.push(Asked {
            method: head.method,
            path_and_query: head.uri.to_string(),
            headers: head.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        });
        script.replies.get(head.uri.path()).cloned()
    };
    let json = |body| Response::builder().header("content-type", "application/json").body(body).unwrap();
    Ok(match reply.as_deref() {
        None => Response::builder().status(404).body(whole("")).unwrap(),
        Some(Reply::Endless) => json(BodyExt::boxed_unsync(StreamBody::new(stream::repeat_with(|| {
            Ok(Frame::data(Bytes::from_static(&[b' '; 64 * 1024])))
        })))),
        Some(Reply::Never) => std::future::pending().await,
        Some(Reply::Trickle) => json(BodyExt::boxed_unsync(StreamBody::new(stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((Ok(Frame::data(Bytes::from_static(b" "))), ()))
        })))),
        Some(Reply::Whole(status, headers, body)) => {
            let mut response = Response::builder().status(*status);
            for (name, value) in headers {
                response = response.header(*name, value);
            }
            response.body(whole(body)).unwrap()
        }
    })
}

fn whole(body: &str) -> Body {
    Full::from(body.to_owned()).boxed_unsync()
}
