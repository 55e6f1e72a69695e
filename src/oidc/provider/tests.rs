//! Logins over real sockets, at an honest provider and at providers that misbehave in one way each.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::crypto::signing::{KeyType, SigningKey};
use crate::identity::ClaimValue;
use crate::oidc::Wishes;
use crate::oidc::algorithm::SignatureAlgorithm;
use crate::oidc::back_channel::CallError;
use crate::oidc::error::ClaimProblem;
use crate::oidc::metadata::MetadataError;
use crate::oidc::settings::TokenEndpointAuthMethod;
use crate::oidc::test_provider::{
    ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, NONCE, NOW, Reply, SUB, TestProvider, client_secret_key, clock, ec,
    id_token_claims, jwks, metadata, rsa, settings, user_info_claims,
};

const REDIRECT_URI: &str = "https://paie.example/.portillon/callback";
const VERIFIER: &str = "v-0123456789012345678901234567890123456789";
const CONFIGURATION: &str = "/.well-known/openid-configuration";

/// A provider that gives good tokens, and our client there.
struct Scene {
    op: TestProvider,
    provider: Provider,
    clock: Clock,
}

impl Scene {
    /// With a client of AgentConnect's usual registration, RS256 twice.
    async fn new() -> Self {
        Self::registered(Some(SignatureAlgorithm::Rs256)).await
    }

    async fn registered(algorithm: Option<SignatureAlgorithm>) -> Self {
        let op = TestProvider::start().await;
        let settings = settings(&op.issuer, algorithm);
        Self::with(op, settings)
    }

    fn with(op: TestProvider, settings: Settings) -> Self {
        let clock = clock();
        let secret = client_secret_key();
        let key = match settings.id_token_signed_response_alg {
            SignatureAlgorithm::Rs256 => rsa(),
            SignatureAlgorithm::Es256 => ec(),
            _ => &secret,
        };
        op.give_id_token(key, &id_token_claims(&op.issuer));
        match settings.userinfo_signed_response_alg {
            Some(_) => op.give_user_info(key, &user_info_claims(&op.issuer)),
            None => op.reply("/userinfo", Reply::json(&user_info_claims(&op.issuer))),
        }
        let provider = Provider::with_limits(settings, None, clock.clone(), quick()).unwrap();
        Self { op, provider, clock }
    }

    async fn login(&self) -> Result<Authenticated, LoginError> {
        self.login_with_iss(Some(&self.op.issuer)).await
    }

    async fn login_with_iss(&self, iss: Option<&str>) -> Result<Authenticated, LoginError> {
        self.provider.redeem(&AuthorizationAnswer { code: "c0de", iss }, REDIRECT_URI, NONCE, VERIFIER, None).await
    }

    async fn authorization_url(&self) -> Result<String, LoginError> {
        let wishes = Wishes::default();
        let params = AuthorizationParams {
            redirect_uri: REDIRECT_URI,
            state: "st",
            nonce: NONCE,
            code_verifier: VERIFIER,
            wishes: &wishes,
        };
        self.provider.authorization_request(&params).await
    }

    fn change_id_token(&self, change: impl FnOnce(&mut Value)) {
        let mut claims = id_token_claims(&self.op.issuer);
        change(&mut claims);
        self.op.give_id_token(rsa(), &claims);
    }

    fn change_user_info(&self, change: impl FnOnce(&mut Value)) {
        let mut claims = user_info_claims(&self.op.issuer);
        change(&mut claims);
        self.op.give_user_info(rsa(), &claims);
    }
}

/// Limits that a test can wait for.
fn quick() -> CallLimits {
    CallLimits { total: Duration::from_secs(2), ..CallLimits::default() }
}

fn assert_send<T: Send>(value: T) -> T {
    value
}

#[tokio::test]
async fn the_three_registrations_of_agentconnect_log_in() {
    for algorithm in [Some(SignatureAlgorithm::Rs256), Some(SignatureAlgorithm::Es256), None] {
        let scene = Scene::registered(algorithm).await;
        let agent = assert_send(scene.login()).await.unwrap();
        assert_eq!(agent.claims.sub(), SUB);
        assert_eq!(agent.claims.text("given_name"), Some("Zoë Noël"));
        assert_eq!(agent.claims.text("acr"), Some("eidas1"));
        assert_eq!(agent.claims.get("amr"), Some(&ClaimValue::List(vec!["pwd".into()])));
        assert_eq!(agent.claims.get("iss"), None);
        assert_eq!(agent.id_token.expose().split('.').count(), 3);
        assert!(scene.provider.status().available);
    }
}

#[tokio::test]
async fn an_hs256_userinfo_is_verified_with_the_client_secret() {
    let scene = Scene::registered(Some(SignatureAlgorithm::Hs256)).await;
    scene.login().await.unwrap();
    assert!(scene.op.asked("/jwks").is_empty());
    scene.op.give_user_info(&SigningKey::hmac_sha256("", b"another secret"), &user_info_claims(&scene.op.issuer));
    let refused = scene.login().await.unwrap_err();
    assert_eq!(refused, LoginError::UserInfo(UserInfoProblem::Token(TokenProblem::Signature)));
}

#[tokio::test]
async fn the_token_request_authenticates_in_the_body_or_by_basic() {
    let scene = Scene::new().await;
    scene.login().await.unwrap();
    let asked = scene.op.asked("/token").remove(0);
    let expected = [
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
        ("code", "c0de"),
        ("code_verifier", VERIFIER),
        ("grant_type", "authorization_code"),
        ("redirect_uri", REDIRECT_URI),
    ];
    assert_eq!(asked.method, Method::POST);
    assert_eq!(asked.form(), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert!(!asked.headers.contains_key("authorization"));

    let op = TestProvider::start().await;
    let basic = Settings {
        token_endpoint_auth_method: TokenEndpointAuthMethod::ClientSecretBasic,
        client_secret: "s: é%".into(),
        ..settings(&op.issuer, Some(SignatureAlgorithm::Rs256))
    };
    let scene = Scene::with(op, basic);
    scene.login().await.unwrap();
    let asked = scene.op.asked("/token").remove(0);
    // RFC 6749 section 2.3.1: `s: é%` form-urlencoded is `s%3A+%C3%A9%25`.
    assert_eq!(asked.headers["authorization"], "Basic YTNjMWQyZTQtY2xpZW50OnMlM0ErJUMzJUE5JTI1");
    assert!(!asked.form().contains_key("client_secret") && !asked.form().contains_key("client_id"));
}

#[tokio::test]
async fn the_access_token_goes_in_the_header_alone() {
    let scene = Scene::new().await;
    scene.login().await.unwrap();
    let asked = scene.op.asked("/userinfo").remove(0);
    assert_eq!((asked.method, asked.path_and_query.as_str()), (Method::GET, "/api/v2/userinfo"));
    assert_eq!(asked.headers["authorization"], format!("Bearer {ACCESS_TOKEN}"));
    assert!(asked.headers["accept"].to_str().unwrap().contains("application/json"));
}

#[tokio::test]
async fn iss_is_checked_before_any_token_call() {
    let scene = Scene::new().await;
    let issuer = scene.op.issuer.clone();
    assert_eq!(scene.login_with_iss(None).await.unwrap_err(), LoginError::IssMissing);
    let wrong = ["https://evil.example", &format!("{issuer}/"), &issuer.to_uppercase(), "", "http%3A%2F%2F"];
    for iss in wrong {
        assert_eq!(scene.login_with_iss(Some(iss)).await.unwrap_err(), LoginError::IssMismatch, "{iss}");
        assert_eq!(scene.provider.check_error_iss(Some(iss)), Err(LoginError::IssMismatch));
    }
    assert!(scene.op.asked("/token").is_empty());
    assert_eq!(scene.provider.check_error_iss(None), Err(LoginError::IssMissing));
    assert_eq!(scene.provider.check_error_iss(Some(&issuer)), Ok(()));
}

#[tokio::test]
async fn iss_may_be_absent_where_the_metadata_do_not_promise_it() {
    let scene = Scene::new().await;
    let mut without = metadata(&scene.op.issuer);
    without.as_object_mut().unwrap().remove("authorization_response_iss_parameter_supported");
    scene.op.reply(CONFIGURATION, Reply::json(&without));
    scene.login_with_iss(None).await.unwrap();
    let evil = scene.login_with_iss(Some("https://evil.example")).await.unwrap_err();
    assert_eq!(evil, LoginError::IssMismatch);
}

#[tokio::test]
async fn a_token_endpoint_in_trouble_is_asked_once() {
    for status in [429, 500, 503] {
        let scene = Scene::new().await;
        scene.op.reply("/token", Reply::status(status, &json!({ "error": "server_error" })));
        let failed = ProviderError::Call { endpoint: "token_endpoint", error: CallError::Status(status) };
        assert_eq!(scene.login().await.unwrap_err(), LoginError::Unavailable(failed));
        assert_eq!(scene.op.asked("/token").len(), 1);
    }
    let scene = Scene::new().await;
    scene.op.reply("/userinfo", Reply::status(503, &json!({})));
    assert_eq!(scene.login().await.unwrap_err().reason_code(), "provider_unavailable");
    let scene = Scene::new().await;
    scene.op.reply("/token", Reply::status(401, &json!({ "error": "invalid_client" })));
    assert_eq!(scene.login().await.unwrap_err(), LoginError::TokenEndpoint { error: "invalid_client".into() });
    assert_eq!(scene.op.asked("/token").len(), 1);
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let scene = Scene::new().await;
    let elsewhere = TestProvider::start().await;
    let target = format!("{}/token", elsewhere.issuer);
    for status in [301, 302, 303, 307, 308] {
        let redirect = || Reply::Whole(status, vec![("location", target.clone())], String::new());
        scene.op.reply("/token", redirect());
        let error = format!("http_{status}");
        assert_eq!(scene.login().await.unwrap_err(), LoginError::TokenEndpoint { error });
    }
    let redirect = || Reply::Whole(302, vec![("location", target.clone())], String::new());
    scene.op.give_id_token(rsa(), &id_token_claims(&scene.op.issuer));
    scene.op.reply("/userinfo", redirect());
    assert_eq!(scene.login().await.unwrap_err(), LoginError::UserInfo(UserInfoProblem::Status(302)));
    for path in [CONFIGURATION, "/jwks"] {
        scene.op.reply(path, redirect());
        assert!(matches!(
            scene.provider.refresh().await,
            Err(ProviderError::Call { error: CallError::Status(302), .. })
        ));
    }
    assert_eq!(elsewhere.total(), 0);
}

#[tokio::test]
async fn answers_are_bounded_in_size_and_time() {
    let op = TestProvider::start().await;
    let settings = settings(&op.issuer, Some(SignatureAlgorithm::Rs256));
    let limits = CallLimits { total: Duration::from_millis(300), ..quick() };
    let provider = Provider::with_limits(settings, None, clock(), limits).unwrap();
    provider.refresh().await.unwrap();
    let answer = AuthorizationAnswer { code: "c", iss: Some(&op.issuer) };
    for (reply, expected) in [
        (Reply::Endless, CallError::TooLarge),
        (Reply::Never, CallError::Timeout),
        (Reply::Trickle, CallError::Timeout),
    ] {
        op.reply("/token", reply);
        let refused = provider.redeem(&answer, REDIRECT_URI, NONCE, VERIFIER, None).await.unwrap_err();
        let failed = ProviderError::Call { endpoint: "token_endpoint", error: expected };
        assert_eq!(refused, LoginError::Unavailable(failed));
    }
}

#[tokio::test]
async fn a_compressed_answer_was_not_asked_for() {
    let scene = Scene::new().await;
    let gzip = vec![("content-type", "application/json".to_owned()), ("content-encoding", "gzip".to_owned())];
    scene.op.reply("/token", Reply::Whole(200, gzip, "{}".into()));
    assert!(matches!(scene.login().await, Err(LoginError::TokenResponse(_))));
}

#[tokio::test]
async fn an_id_token_of_another_login_is_refused() {
    let scene = Scene::new().await;
    scene.change_id_token(|claims| claims["nonce"] = json!("another"));
    assert_eq!(scene.login().await.unwrap_err(), LoginError::IdToken(TokenProblem::Nonce));
    assert!(scene.op.asked("/userinfo").is_empty());
}

#[tokio::test]
async fn acr_is_held_by_exact_membership() {
    let op = TestProvider::start().await;
    let acr_values = vec!["eidas1-mfa".to_owned(), "eidas2".into()];
    let settings = Settings { acr_values, ..settings(&op.issuer, Some(SignatureAlgorithm::Rs256)) };
    let scene = Scene::with(op, settings);
    for acr in [json!("eidas1"), json!("eidas3"), json!("eidas"), json!(null), json!(["eidas2"]), json!(2)] {
        scene.change_id_token(|claims| claims["acr"] = acr.clone());
        assert_eq!(scene.login().await.unwrap_err(), LoginError::AcrNotHeld, "{acr}");
    }
    scene.change_id_token(|claims| claims["acr"] = json!("eidas2"));
    scene.login().await.unwrap();
}

#[tokio::test]
async fn userinfo_about_somebody_else_is_refused() {
    let scene = Scene::new().await;
    for sub in [json!("somebody-else"), json!(null), json!(""), json!([SUB]), json!(SUB.to_uppercase())] {
        scene.change_user_info(|claims| claims["sub"] = sub.clone());
        assert_eq!(scene.login().await.unwrap_err(), LoginError::SubMismatch, "{sub}");
    }
}

#[tokio::test]
async fn an_id_token_replayed_as_userinfo_is_refused() {
    let scene = Scene::new().await;
    let mut claims = user_info_claims(&scene.op.issuer);
    claims["nonce"] = json!(NONCE);
    scene.op.give_user_info(rsa(), &claims);
    assert_eq!(scene.login().await.unwrap_err(), LoginError::UserInfo(UserInfoProblem::IdTokenReplayed));
}

#[tokio::test]
async fn userinfo_in_another_form_than_registered_is_refused() {
    let refused = |scene: Scene, reply: Reply| async move {
        scene.op.reply("/userinfo", reply);
        scene.login().await.unwrap_err()
    };
    let plain = |scene: &Scene| user_info_claims(&scene.op.issuer);
    let content_type = LoginError::UserInfo(UserInfoProblem::ContentType);
    let scene = Scene::new().await;
    let reply = Reply::json(&plain(&scene));
    assert_eq!(refused(scene, reply).await, content_type);
    let scene = Scene::registered(None).await;
    let token = crate::crypto::jws::sign(rsa(), "JWT", &plain(&scene));
    assert_eq!(refused(scene, Reply::typed("application/jwt", &token)).await, content_type);
    let scene = Scene::registered(None).await;
    let twice = plain(&scene).to_string().replacen('{', "{\"sub\":\"x\",", 1);
    let malformed = LoginError::UserInfo(UserInfoProblem::Malformed);
    assert_eq!(refused(scene, Reply::typed("application/json", &twice)).await, malformed);
    for status in [401, 403] {
        let status_error = LoginError::UserInfo(UserInfoProblem::Status(status));
        assert_eq!(refused(Scene::new().await, Reply::status(status, &json!({}))).await, status_error);
    }
}

#[tokio::test]
async fn a_required_claim_that_is_not_there_refuses_the_login() {
    let scene = Scene::new().await;
    scene.change_user_info(|claims| drop(claims.as_object_mut().unwrap().remove("uid")));
    let missing = LoginError::RequiredClaim { claim: "uid".into(), problem: ClaimProblem::Missing };
    assert_eq!(scene.login().await.unwrap_err(), missing);
    scene.change_user_info(|claims| claims["email"] = json!("no address"));
    let malformed = LoginError::RequiredClaim { claim: "email".into(), problem: ClaimProblem::Malformed };
    assert_eq!(scene.login().await.unwrap_err(), malformed);
}

#[tokio::test]
async fn rotated_keys_are_fetched_once() {
    let scene = Scene::new().await;
    scene.login().await.unwrap();
    let new = SigningKey::generate(KeyType::Rsa2048).unwrap();
    scene.op.reply("/jwks", Reply::json(&jwks(&[&new])));
    scene.op.give_id_token(&new, &id_token_claims(&scene.op.issuer));
    scene.op.give_user_info(&new, &user_info_claims(&scene.op.issuer));
    scene.login().await.unwrap();
    assert_eq!(scene.op.asked("/jwks").len(), 2);
    // The key that went away is no longer believed.
    scene.op.give_id_token(rsa(), &id_token_claims(&scene.op.issuer));
    assert_eq!(scene.login().await.unwrap_err(), LoginError::IdToken(TokenProblem::UnknownKey));
}

#[tokio::test]
async fn tokens_of_unknown_keys_cost_one_fetch_a_cool_down() {
    let scene = Scene::new().await;
    let unknown = SigningKey::generate(KeyType::EcdsaP256).unwrap();
    scene.op.give_id_token(rsa(), &id_token_claims(&scene.op.issuer));
    scene.login().await.unwrap();
    for _ in 0..20 {
        let header = json!({ "alg": "RS256", "kid": crate::crypto::random_token::<8>() });
        let token = crate::crypto::jws::sign_with_header(&unknown, &header, &id_token_claims(&scene.op.issuer));
        scene.op.give_token(&token);
        assert_eq!(scene.login().await.unwrap_err(), LoginError::IdToken(TokenProblem::UnknownKey));
    }
    assert_eq!(scene.op.asked("/jwks").len(), 2);
    scene.clock.advance(Duration::from_secs(30));
    scene.login().await.unwrap_err();
    assert_eq!(scene.op.asked("/jwks").len(), 3);
}

#[tokio::test]
async fn keys_are_not_wiped_by_a_bad_answer() {
    let scene = Scene::new().await;
    scene.login().await.unwrap();
    let html = Reply::typed("text/html", &jwks(&[rsa()]).to_string());
    let bad = [
        Reply::json(&json!({ "keys": [] })),
        Reply::json(&json!({ "keys": [{ "kty": "RSA" }] })),
        Reply::json(&jwks(&[ec()])),
        Reply::json(&json!([])),
        Reply::status(500, &json!({})),
        html,
        Reply::typed("application/json", ""),
    ];
    for reply in bad {
        scene.op.reply("/jwks", reply);
        scene.provider.refresh().await.unwrap_err();
        assert!(!scene.provider.status().available);
        scene.login().await.unwrap();
    }
}

#[tokio::test]
async fn metadata_that_leave_the_issuer_are_refused_and_the_old_ones_kept() {
    let scene = Scene::new().await;
    scene.provider.refresh().await.unwrap();
    let evil = TestProvider::start().await;
    let mut hostile = metadata(&scene.op.issuer);
    hostile["token_endpoint"] = json!(format!("{}/token", evil.issuer));
    scene.op.reply(CONFIGURATION, Reply::json(&hostile));
    let refused = ProviderError::Metadata(MetadataError::Endpoint("token_endpoint"));
    assert_eq!(scene.provider.refresh().await, Err(refused));
    scene.login().await.unwrap();
    assert_eq!(evil.total(), 0);
    let status = scene.provider.status();
    assert!(!status.available && status.last_error.unwrap().contains("token_endpoint"));
    // Trouble that is over is forgotten.
    scene.op.reply(CONFIGURATION, Reply::json(&metadata(&scene.op.issuer)));
    scene.provider.refresh().await.unwrap();
    assert_eq!(scene.provider.status().last_error, None);
}

#[tokio::test]
async fn a_login_waits_for_the_first_discovery_and_a_dead_provider_is_not_asked_by_each() {
    let scene = Scene::new().await;
    scene.op.reply(CONFIGURATION, Reply::status(404, &json!({})));
    assert!(matches!(scene.authorization_url().await, Err(LoginError::Unavailable(ProviderError::Call { .. }))));
    for _ in 0..10 {
        let refused = scene.authorization_url().await;
        assert!(matches!(refused, Err(LoginError::Unavailable(ProviderError::CoolingDown(_)))));
    }
    assert_eq!(scene.op.asked(CONFIGURATION).len(), 1);
    scene.op.reply(CONFIGURATION, Reply::json(&metadata(&scene.op.issuer)));
    scene.clock.advance(Duration::from_secs(5));
    scene.authorization_url().await.unwrap();
    scene.authorization_url().await.unwrap();
    assert_eq!(scene.op.asked(CONFIGURATION).len(), 2);
}

#[test]
fn a_provider_is_made_without_a_runtime_and_knows_nothing() {
    let provider = Provider::new(settings("http://127.0.0.1:1/api/v2", None), None, clock()).unwrap();
    let nothing = Status { available: false, metadata_age: None, last_error: None, clock_offset: None };
    assert_eq!(provider.status(), nothing);
    assert_eq!(provider.end_session_request(None, "https://paie.example/", "st"), None);
    assert!(!format!("{provider:?}").contains(CLIENT_SECRET));
}

#[tokio::test]
async fn logins_that_wait_for_the_first_discovery_share_it() {
    let scene = Scene::new().await;
    let urls = futures_util::future::join_all((0..50).map(|_| scene.authorization_url())).await;
    assert!(urls.iter().all(Result::is_ok));
    assert_eq!(scene.op.asked(CONFIGURATION).len(), 1);
}

#[tokio::test]
async fn logins_that_meet_rotated_keys_share_the_fetch() {
    let scene = Scene::new().await;
    scene.provider.refresh().await.unwrap();
    let new = SigningKey::generate(KeyType::Rsa2048).unwrap();
    scene.op.reply("/jwks", Reply::json(&jwks(&[rsa(), &new])));
    scene.op.give_id_token(&new, &id_token_claims(&scene.op.issuer));
    let agents = futures_util::future::join_all((0..20).map(|_| scene.login())).await;
    assert!(agents.iter().all(Result::is_ok));
    assert_eq!(scene.op.asked("/jwks").len(), 2);
}

#[tokio::test]
async fn logout_goes_to_the_end_session_endpoint() {
    let scene = Scene::new().await;
    scene.provider.refresh().await.unwrap();
    let url = scene.provider.end_session_request(Some("a.b.c"), "https://paie.example/", "st").unwrap();
    assert!(url.starts_with(&format!("{}/session/end?id_token_hint=a.b.c&client_id={CLIENT_ID}&", scene.op.issuer)));
}

#[tokio::test]
async fn what_is_a_day_old_is_renewed_before_it_is_relied_on() {
    let scene = Scene::new().await;
    scene.login().await.unwrap();
    scene.clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(scene.provider.status().metadata_age, Some(Duration::from_secs(24 * 3600)));
    scene.authorization_url().await.unwrap();
    assert_eq!(scene.op.asked(CONFIGURATION).len(), 2);
}

#[tokio::test]
async fn a_gateway_starts_from_disk_while_the_provider_is_away() {
    let state = tempfile::tempdir().unwrap();
    let op = TestProvider::start().await;
    let settings = settings(&op.issuer, Some(SignatureAlgorithm::Rs256));
    let before = Provider::new(settings.clone(), Some(state.path()), clock()).unwrap();
    before.refresh().await.unwrap();
    op.reply(CONFIGURATION, Reply::Never);
    op.reply("/jwks", Reply::Never);
    let asked = op.total();

    let provider = Provider::with_limits(settings.clone(), Some(state.path()), clock(), quick()).unwrap();
    let after = Scene { op, provider, clock: clock() };
    assert!(after.authorization_url().await.unwrap().contains("/authorize?"));
    assert_eq!(after.op.total(), asked);
    after.op.give_id_token(rsa(), &id_token_claims(&after.op.issuer));
    after.op.give_user_info(rsa(), &user_info_claims(&after.op.issuer));
    after.login().await.unwrap();
}

#[tokio::test]
async fn what_the_disk_holds_is_checked_like_any_answer() {
    let state = tempfile::tempdir().unwrap();
    let op = TestProvider::start().await;
    let settings = settings(&op.issuer, Some(SignatureAlgorithm::Rs256));
    let knows_nothing = || {
        let provider = Provider::new(settings.clone(), Some(state.path()), clock()).unwrap();
        provider.status().metadata_age.is_none()
    };
    Provider::new(settings.clone(), Some(state.path()), clock()).unwrap().refresh().await.unwrap();
    let file = std::fs::read_dir(state.path()).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read_to_string(&file).unwrap();
    assert!(!knows_nothing());
    let elsewhere = good.replace(&format!(":{}/api/v2/token", op.port), ":1/token");
    for damaged in
        [elsewhere, good.replace("\\\"kty\\\"", "\\\"kt\\\""), good[..good.len() / 2].to_owned(), "{}".into()]
    {
        assert_ne!(damaged, good);
        std::fs::write(&file, damaged).unwrap();
        assert!(knows_nothing());
    }
}

#[tokio::test]
async fn the_clock_offset_is_the_providers_date_against_ours() {
    let scene = Scene::new().await;
    assert_eq!(scene.provider.status().clock_offset, None);
    let date = std::time::UNIX_EPOCH + Duration::from_secs(NOW - 300);
    let headers = vec![("content-type", "application/json".to_owned()), ("date", httpdate::fmt_http_date(date))];
    let body = jwks(&[rsa()]).to_string();
    scene.op.reply("/jwks", Reply::Whole(200, headers, body));
    scene.provider.refresh().await.unwrap();
    assert_eq!(scene.provider.status().clock_offset, Some(-300));
}

#[tokio::test]
async fn following_renews_at_once() {
    let scene = Scene::new().await;
    let followed = tokio::time::timeout(Duration::from_secs(5), async {
        tokio::select! {
            () = scene.provider.follow() => {}
            () = async { while !scene.provider.status().available { tokio::task::yield_now().await; } } => {}
        }
    });
    followed.await.unwrap();
}

/// Where a test's log lines go.
#[derive(Clone, Default)]
struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_names_what_is_wrong_and_holds_no_secret_and_no_value() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let scene = Scene::new().await;
    scene.change_user_info(|claims| claims["phone_number"] = json!("my secret number"));
    scene.login().await.unwrap();
    scene.op.reply("/jwks", Reply::status(500, &json!({})));
    scene.provider.refresh().await.unwrap_err();
    scene.provider.refresh().await.unwrap_err();

    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("phone_number") && log.contains("jwks_uri: status 500"), "{log}");
    assert_eq!(log.matches("cannot be renewed").count(), 1, "{log}");
    for secret in ["my secret number", CLIENT_SECRET, ACCESS_TOKEN, "c0de", VERIFIER, NONCE, SUB, "zoe@", "eyJ"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
