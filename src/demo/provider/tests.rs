//! The provider over real sockets: the happy path of each registration that AgentConnect knows, and every error.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::Url;

use super::keys::{at_hash, unverified_claims};
use super::*;
use crate::clock::Timestamp;
use crate::crypto::signing::VerifyingKey;
use crate::crypto::{base64url, from_base64url, sha256};
use crate::demo::browser::{Browser, Page};
use crate::secret::Secret;

const CALLBACK: &str = "http://localhost:8080/.portillon/callback";
const SIGNED_OUT: &str = "http://localhost:8080/.portillon/signed-out";
const SECRET: &str = "a secret of at least thirty-two characters";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const SCOPE: &str = "openid given_name usual_name email uid siret idp_id roles belonging_population phone chorusdt";

fn registration(client_id: &str, id_token: SignedResponseAlg, user_info: Option<SignedResponseAlg>) -> Registration {
    Registration {
        client_id: client_id.to_owned(),
        client_secret: Secret::from(SECRET),
        redirect_uris: vec![CALLBACK.to_owned()],
        post_logout_redirect_uris: vec![SIGNED_OUT.to_owned()],
        scope: SCOPE.split(' ').map(str::to_owned).collect(),
        id_token_signed_response_alg: id_token,
        userinfo_signed_response_alg: user_info,
    }
}

/// A provider with AgentConnect's three usual registrations, and a browser in front of it.
struct Scene {
    provider: Provider,
    browser: Browser,
    clock: Clock,
}

impl Scene {
    async fn new() -> Self {
        use SignedResponseAlg::{Es256, Hs256, Rs256};
        let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
        let registrations = vec![
            registration("rs256", Rs256, Some(Rs256)),
            registration("es256", Es256, Some(Es256)),
            registration("hs256", Hs256, None),
        ];
        let provider = Provider::start(registrations, clock.clone()).await.unwrap();
        Self { provider, browser: Browser::default(), clock }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.provider.issuer())
    }

    /// Sends an authorization request that differs from a good one in `changes`; an empty value leaves one out.
    async fn authorize(&mut self, changes: &[(&str, &str)]) -> Page {
        let challenge = base64url(&sha256(VERIFIER.as_bytes()));
        let mut url = Url::parse(&self.url("/authorize")).unwrap();
        let usual = [
            ("client_id", "rs256"),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", SCOPE),
            ("state", "the-state"),
            ("nonce", "the-nonce"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("claims", r#"{"id_token":{"acr":null,"amr":null}}"#),
        ];
        let changed = |name: &str| changes.iter().any(|(other, _)| *other == name);
        let kept = usual.into_iter().filter(|(name, _)| !changed(name));
        let all = kept.chain(changes.iter().copied()).filter(|(_, value)| !value.is_empty());
        url.query_pairs_mut().extend_pairs(all);
        self.browser.get(url.as_str()).await.unwrap()
    }

    /// Chooses an agent on the login page that `page` redirects to.
    async fn choose(&mut self, page: &Page, form: &[(&str, &str)]) -> Page {
        self.browser.post(page.location().unwrap().as_str(), form).await.unwrap()
    }

    /// Logs `agent` in and returns the code.
    async fn code(&mut self, agent: &str, changes: &[(&str, &str)]) -> String {
        let page = self.authorize(changes).await;
        let back = self.choose(&page, &[("agent", agent)]).await;
        answer(&back, "code").unwrap()
    }

    /// Posts a token request that differs from a good one in `changes`.
    async fn token(&mut self, code: &str, changes: &[(&str, &str)]) -> Page {
        let usual = [
            ("grant_type", "authorization_code"),
            ("client_id", "rs256"),
            ("client_secret", SECRET),
            ("redirect_uri", CALLBACK),
            ("code", code),
            ("code_verifier", VERIFIER),
        ];
        let changed = |name: &str| changes.iter().any(|(other, _)| *other == name);
        let kept = usual.into_iter().filter(|(name, _)| !changed(name));
        let form: Vec<_> = kept.chain(changes.iter().copied()).filter(|(_, value)| !value.is_empty()).collect();
        self.browser.post(&self.url("/token"), &form).await.unwrap()
    }

    async fn user_info(&mut self, authorization: &str) -> Page {
        let url = self.url("/userinfo");
        let request = Request::get(&url).header("Authorization", authorization).body(String::new());
        self.browser.send(request, &url).await.unwrap()
    }

    async fn end_session(&mut self, params: &[(&str, &str)]) -> Page {
        let url = Url::parse_with_params(&self.url("/session/end"), params).unwrap();
        self.browser.get(url.as_str()).await.unwrap()
    }

    async fn confirm(&mut self, page: &Page) -> Page {
        let text = page.text();
        let id = text.split_once("name=\"id\" value=\"").unwrap().1.split_once('"').unwrap().0;
        self.browser.post(&self.url("/session/end/confirm"), &[("id", id)]).await.unwrap()
    }
}

/// A parameter of the authorization response, whose common ones are checked on the way.
fn answer(page: &Page, name: &str) -> Option<String> {
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let location = page.location().unwrap();
    assert!(location.as_str().starts_with(CALLBACK));
    let find =
        |name: &str| location.query_pairs().find(|(other, _)| other == name).map(|(_, value)| value.into_owned());
    assert_eq!(find("state").as_deref(), Some("the-state"));
    assert_eq!(find("iss").unwrap(), page.url.as_str().split_once("/api/v2").unwrap().0.to_owned() + "/api/v2");
    find(name)
}

fn error_of(page: &Page) -> (u16, String) {
    let body: Value = serde_json::from_slice(&page.body).unwrap();
    (page.status.as_u16(), body["error"].as_str().unwrap().to_owned())
}

fn json_of(page: &Page) -> Value {
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    serde_json::from_slice(&page.body).unwrap()
}

fn header_of(token: &str) -> Value {
    serde_json::from_slice(&from_base64url(token.split('.').next().unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn metadata_and_keys_are_those_of_agentconnect() {
    let mut scene = Scene::new().await;
    let issuer = scene.provider.issuer().to_owned();
    let page = scene.browser.get(&scene.url("/.well-known/openid-configuration")).await.unwrap();
    assert_eq!(page.headers["cache-control"], "public, max-age=600");
    let metadata = json_of(&page);
    assert_eq!(metadata["issuer"], issuer);
    assert_eq!(metadata["end_session_endpoint"], format!("{issuer}/session/end"));
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    let keys = json_of(&scene.browser.get(metadata["jwks_uri"].as_str().unwrap()).await.unwrap());
    let types: Vec<_> = keys["keys"].as_array().unwrap().iter().map(|key| key["kty"].as_str().unwrap()).collect();
    assert_eq!(types, ["EC", "RSA"]);
    assert!(!keys.to_string().contains("\"d\""), "no private member");
}

#[tokio::test]
async fn an_agent_logs_in_at_each_registration() {
    let mut scene = Scene::new().await;
    for (client_id, alg) in [("rs256", "RS256"), ("es256", "ES256"), ("hs256", "HS256")] {
        scene.browser = Browser::default();
        let code = scene.code("zoe", &[("client_id", client_id)]).await;
        let tokens = json_of(&scene.token(&code, &[("client_id", client_id)]).await);
        assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(3600)));
        assert_eq!(tokens["scope"], SCOPE);
        assert!(tokens["refresh_token"].is_string());
        let id_token = tokens["id_token"].as_str().unwrap();
        assert_eq!(header_of(id_token)["alg"], alg);
        let claims = unverified_claims(id_token).unwrap();
        let access_token = tokens["access_token"].as_str().unwrap();
        let now = 1_800_000_000_u64;
        assert_eq!(
            claims,
            json!({
                "iss": scene.provider.issuer(), "aud": client_id, "sub": "dbb5f534-87d0-4ee1-80b0-0c532a1e0722",
                "iat": now, "exp": now + 3600, "auth_time": now, "nonce": "the-nonce",
                "at_hash": at_hash(access_token), "acr": "eidas1", "amr": ["pwd"],
            })
        );
        let page = scene.user_info(&format!("Bearer {access_token}")).await;
        let claims = match alg {
            "HS256" => json_of(&page),
            _ => {
                assert_eq!(page.headers["content-type"], "application/jwt; charset=utf-8");
                assert_eq!(header_of(&page.text())["alg"], alg);
                let claims = unverified_claims(&page.text()).unwrap();
                assert_eq!((&claims["aud"], &claims["exp"]), (&json!(client_id), &json!(now + 3600)));
                claims
            }
        };
        assert_eq!(claims["usual_name"], "L'Hôpital-Ñandú");
        assert_eq!(claims["roles"], json!(["agent_public", "agent_public_etat"]));
        assert_eq!(claims.get("siren"), None, "not asked for");
        assert_eq!(claims.get("chorusdt:matricule"), None, "absent, never null");
    }
}

#[tokio::test]
async fn an_es256_token_verifies_with_the_published_key() {
    let mut scene = Scene::new().await;
    let code = scene.code("moussa", &[("client_id", "es256")]).await;
    let tokens = json_of(&scene.token(&code, &[("client_id", "es256")]).await);
    let id_token = tokens["id_token"].as_str().unwrap();
    assert_eq!(unverified_claims(id_token).unwrap().get("amr"), None, "this identity provider gave none");
    let keys = json_of(&scene.browser.get(&scene.url("/jwks")).await.unwrap());
    let kid = &header_of(id_token)["kid"];
    let jwk = keys["keys"].as_array().unwrap().iter().find(|key| &key["kid"] == kid).unwrap();
    let (signing_input, signature) = id_token.rsplit_once('.').unwrap();
    assert!(VerifyingKey::from_jwk(jwk).unwrap().verify(signing_input.as_bytes(), &from_base64url(signature).unwrap()));
}

#[tokio::test]
async fn acr_and_amr_are_given_only_when_asked_for() {
    let mut scene = Scene::new().await;
    let code = scene.code("anais", &[("claims", "")]).await;
    let claims = unverified_claims(json_of(&scene.token(&code, &[]).await)["id_token"].as_str().unwrap()).unwrap();
    assert_eq!((claims.get("acr"), claims.get("amr")), (None, None));
    scene.browser = Browser::default();
    let named = r#"{"id_token":{"amr":{"essential":true},"email":null,"siren":null}}"#;
    let code = scene.code("anais", &[("claims", named), ("acr_values", "eidas1")]).await;
    let claims = unverified_claims(json_of(&scene.token(&code, &[]).await)["id_token"].as_str().unwrap()).unwrap();
    assert_eq!((&claims["acr"], &claims["amr"]), (&json!("eidas1-mfa"), &json!(["pwd", "otp", "mfa"])));
    assert_eq!((claims["email"].as_str(), claims.get("siren")), (Some("anais.oeuvrard@example.gouv.fr"), None));
}

#[tokio::test]
async fn the_login_page_is_safe_to_show() {
    let mut scene = Scene::new().await;
    let redirect = scene.authorize(&[("login_hint", "Moussa.Ba@example.gouv.fr")]).await;
    assert_eq!(redirect.status, StatusCode::SEE_OTHER);
    let page = scene.browser.get(redirect.location().unwrap().as_str()).await.unwrap();
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("form-action 'self' http://localhost:8080;") && policy.contains("default-src 'none'"));
    let text = page.text();
    assert!(text.contains("<html lang=\"fr\">") && text.contains("L&#x27;Hôpital-Ñandú"), "{text}");
    assert_eq!(text.matches("Suggéré").count(), 1);
}

#[tokio::test]
async fn errors_that_the_client_is_told() {
    let mut scene = Scene::new().await;
    let too_high = r#"{"id_token":{"acr":{"essential":true,"values":["eidas9"]}}}"#;
    for (change, error, description) in [
        (("response_type", "token"), "unsupported_response_type", "unsupported response_type requested"),
        (("scope", "openid siren"), "invalid_scope", "requested scope is not allowed"),
        (("scope", "email"), "invalid_request", "openid scope must be requested"),
        (("prompt", "none"), "login_required", "End-User authentication is required"),
        (("prompt", "none login"), "invalid_request", "prompt none allows no other value"),
        (("prompt", "select_account"), "invalid_request", "unsupported prompt value requested"),
        (("code_challenge_method", "plain"), "invalid_request", "code_challenge must be of method S256"),
        (("code_challenge", ""), "invalid_request", "code_challenge must be of method S256"),
        (("claims", "{"), "invalid_request", "claims parameter is malformed"),
        (("idp_hint", "nobody"), "idp_hint_not_found", "provided idp_hint could not be found"),
        (("response_mode", "form_post"), "unsupported_response_mode", "unsupported response_mode requested"),
    ] {
        let page = scene.authorize(&[change]).await;
        assert_eq!(answer(&page, "error").as_deref(), Some(error), "{change:?}");
        assert_eq!(answer(&page, "error_description").as_deref(), Some(description));
        assert_eq!(answer(&page, "code"), None);
    }
    let page = scene.authorize(&[]).await;
    let back = scene.choose(&page, &[("cancel", "1")]).await;
    assert_eq!(answer(&back, "error").as_deref(), Some("access_denied"));
    let page = scene.authorize(&[("claims", too_high)]).await;
    let back = scene.choose(&page, &[("agent", "lea")]).await;
    assert_eq!(answer(&back, "error_description").as_deref(), Some("requested ACRs could not be satisfied"));
}

#[tokio::test]
async fn errors_that_only_the_agent_is_told() {
    let mut scene = Scene::new().await;
    let long = "n".repeat(513);
    for (change, code) in [
        (("client_id", "unknown"), "oidc-provider-rendered-error:invalid_client"),
        (("redirect_uri", "http://localhost:8080/.portillon/callback/"), "rendered-error:invalid_redirect_uri"),
        (("redirect_uri", "javascript:alert(1)"), "Y000400"),
        (("state", ""), "Y000400"),
        (("scope", ""), "Y000400"),
        (("response_type", ""), "Y000400"),
        (("nonce", long.as_str()), "Y000400"),
        (("nonce", "é"), "Y000400"),
        (("login_hint", "not an e-mail"), "Y000400"),
        (("siret_hint", "123"), "Y000400"),
    ] {
        let page = scene.authorize(&[change]).await;
        assert_eq!((page.status, page.location()), (StatusCode::BAD_REQUEST, None), "{change:?}");
        assert!(page.text().contains(code), "{change:?}: {}", page.text());
    }
    let twice = scene.url("/authorize?client_id=rs256&client_id=rs256");
    assert_eq!(scene.browser.get(&twice).await.unwrap().status, StatusCode::BAD_REQUEST);
    let lost = scene.browser.get(&scene.url("/interaction/lost")).await.unwrap();
    assert!(lost.text().contains("oidc-provider-error:session-not-found"));
}

#[tokio::test]
async fn an_unknown_scope_is_passed_over_and_pkce_is_optional() {
    let mut scene = Scene::new().await;
    let changes = [("scope", "openid uid fax"), ("code_challenge", ""), ("code_challenge_method", ""), ("nonce", "")];
    let code = scene.code("zoe", &changes).await;
    let tokens = json_of(&scene.token(&code, &[("code_verifier", "")]).await);
    assert_eq!(tokens["scope"], "openid uid");
    assert_eq!(unverified_claims(tokens["id_token"].as_str().unwrap()).unwrap().get("nonce"), None);
}

#[tokio::test]
async fn a_session_is_reused_until_something_speaks_against_it() {
    let mut scene = Scene::new().await;
    scene.code("anais", &[]).await;
    for reused in [("prompt", "none"), ("prompt", "login"), ("max_age", "0"), ("client_id", "es256")] {
        assert!(answer(&scene.authorize(&[reused]).await, "code").is_some(), "{reused:?}");
    }
    let essential = r#"{"id_token":{"acr":{"essential":true,"values":["eidas2"]}}}"#;
    for asked_anew in [
        ("login_hint", "moussa.ba@example.gouv.fr"),
        ("idp_hint", "71144ab3-ee1a-4401-b7b3-79b44f7daeeb"),
        ("claims", essential),
    ] {
        let page = scene.authorize(&[asked_anew]).await;
        assert!(page.location().unwrap().path().contains("/interaction/"), "{asked_anew:?}");
    }
    scene.clock.advance(Duration::from_secs(12 * 3600));
    assert_eq!(answer(&scene.authorize(&[("prompt", "none")]).await, "error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn the_highest_levels_are_never_reused_where_they_are_essential() {
    let mut scene = Scene::new().await;
    scene.code("lea", &[]).await;
    assert!(answer(&scene.authorize(&[]).await, "code").is_some());
    let essential = r#"{"id_token":{"acr":{"essential":true,"value":"eidas2"}}}"#;
    let page = scene.authorize(&[("claims", essential)]).await;
    assert!(page.location().unwrap().path().contains("/interaction/"));
}

#[tokio::test]
async fn a_code_is_redeemed_once_in_time_and_by_its_own_client_only() {
    let mut scene = Scene::new().await;
    let grant = |page: &Page| error_of(page);
    let invalid_grant = (400, "invalid_grant".to_owned());
    for change in [
        ("code_verifier", "another-verifier-another-verifier-another-verifier"),
        ("code_verifier", ""),
        ("redirect_uri", SIGNED_OUT),
        ("redirect_uri", ""),
        ("client_id", "es256"),
        ("code", "unknown"),
    ] {
        let code = scene.code("zoe", &[("login_hint", "nobody@example.gouv.fr")]).await;
        assert_eq!(grant(&scene.token(&code, &[change]).await), invalid_grant, "{change:?}");
        if change.0 != "code" {
            assert_eq!(grant(&scene.token(&code, &[]).await), invalid_grant, "spent by the attempt");
        }
    }
    let code = scene.code("zoe", &[("login_hint", "nobody@example.gouv.fr")]).await;
    scene.clock.advance(Duration::from_secs(60));
    assert_eq!(grant(&scene.token(&code, &[]).await), invalid_grant);
}

#[tokio::test]
async fn a_client_proves_itself_by_post_or_by_basic() {
    let mut scene = Scene::new().await;
    for (changes, expected) in [
        (vec![("client_secret", "wrong")], (401, "invalid_client")),
        (vec![("client_secret", "")], (401, "invalid_client")),
        (vec![("client_id", "unknown")], (401, "invalid_client")),
        (vec![("client_secret", ""), ("client_id", "")], (400, "invalid_request")),
        (vec![("grant_type", "password")], (400, "unsupported_grant_type")),
        (vec![("grant_type", "")], (400, "invalid_request")),
        (vec![("code", "")], (400, "invalid_request")),
    ] {
        let page = scene.token("code", &changes).await;
        assert_eq!(error_of(&page), (expected.0, expected.1.to_owned()), "{changes:?}");
    }
    let code = scene.code("zoe", &[]).await;
    let url = scene.url("/token");
    let basic = format!("Basic {}", STANDARD.encode(format!("rs256:{}", SECRET.replace(' ', "+"))));
    let body = format!("grant_type=authorization_code&code={code}&redirect_uri={CALLBACK}&code_verifier={VERIFIER}");
    let both = format!("{body}&client_secret=x");
    for (body, expected) in [(both, StatusCode::BAD_REQUEST), (body, StatusCode::OK)] {
        let request = Request::post(&url).header("Authorization", &basic).body(body);
        assert_eq!(scene.browser.send(request, &url).await.unwrap().status, expected);
    }
}

#[tokio::test]
async fn tokens_are_refreshed_revoked_and_end_with_the_session() {
    let mut scene = Scene::new().await;
    let code = scene.code("zoe", &[]).await;
    let tokens = json_of(&scene.token(&code, &[]).await);
    let refresh_token = tokens["refresh_token"].as_str().unwrap().to_owned();
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.as_str()), ("code", "")];
    let again = json_of(&scene.token("", &refresh).await);
    assert_ne!(again["access_token"], tokens["access_token"]);
    let bearer = format!("Bearer {}", again["access_token"].as_str().unwrap());
    assert_eq!(scene.user_info(&bearer).await.status, StatusCode::OK);

    let form = [("client_id", "rs256"), ("client_secret", SECRET), ("token", again["access_token"].as_str().unwrap())];
    assert_eq!(scene.browser.post(&scene.url("/token/revocation"), &form).await.unwrap().status, StatusCode::OK);
    let refused = scene.user_info(&bearer).await;
    assert_eq!(error_of(&refused), (401, "invalid_token".to_owned()));
    assert!(refused.headers["www-authenticate"].to_str().unwrap().contains("error=\"invalid_token\""));

    let first = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    assert_eq!(scene.user_info(&first).await.status, StatusCode::OK);
    let page = scene.end_session(&[("client_id", "rs256")]).await;
    scene.confirm(&page).await;
    assert_eq!(scene.user_info(&first).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(error_of(&scene.token("", &refresh).await), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn user_info_wants_a_bearer_token_that_lasts() {
    let mut scene = Scene::new().await;
    assert_eq!(error_of(&scene.user_info("Basic eDp5").await), (400, "invalid_request".to_owned()));
    assert_eq!(error_of(&scene.user_info("Bearer unknown").await), (401, "invalid_token".to_owned()));
    let code = scene.code("zoe", &[]).await;
    let tokens = json_of(&scene.token(&code, &[]).await);
    scene.clock.advance(Duration::from_secs(3600));
    let late = scene.user_info(&format!("Bearer {}", tokens["access_token"].as_str().unwrap())).await;
    assert_eq!(late.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_logout_ends_the_session_and_comes_back_with_its_state() {
    let mut scene = Scene::new().await;
    for client_id in ["rs256", "es256", "hs256"] {
        let code = scene.code("zoe", &[("client_id", client_id)]).await;
        let tokens = json_of(&scene.token(&code, &[("client_id", client_id)]).await);
        // Long after the ID token expired: its expiry does not matter here.
        scene.clock.advance(Duration::from_secs(5 * 3600));
        let hint = tokens["id_token"].as_str().unwrap();
        let asked = [("id_token_hint", hint), ("post_logout_redirect_uri", SIGNED_OUT), ("state", "s/1")];
        let page = scene.end_session(&asked).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text());
        let back = scene.confirm(&page).await;
        assert_eq!(back.location().unwrap().as_str(), format!("{SIGNED_OUT}?state=s%2F1"));
        assert_eq!(answer(&scene.authorize(&[("prompt", "none")]).await, "error").as_deref(), Some("login_required"));
    }
}

#[tokio::test]
async fn a_logout_that_is_not_the_clients_own_is_refused() {
    let mut scene = Scene::new().await;
    let code = scene.code("zoe", &[]).await;
    let tokens = json_of(&scene.token(&code, &[]).await);
    let hint = tokens["id_token"].as_str().unwrap();
    let (unsigned, _) = hint.rsplit_once('.').unwrap();
    let forged = format!("{unsigned}.{}", base64url(&[0; 256]));
    for refused in [
        vec![("client_id", "rs256"), ("post_logout_redirect_uri", "http://localhost:8080/")],
        vec![("client_id", "es256"), ("id_token_hint", hint)],
        vec![("id_token_hint", &forged)],
        vec![("id_token_hint", "nothing")],
        vec![("client_id", "unknown")],
    ] {
        let page = scene.end_session(&refused).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert!(page.text().contains("oidc-provider-rendered-error:invalid_"));
    }
    let anonymous = scene.end_session(&[("post_logout_redirect_uri", "http://elsewhere.example/")]).await;
    let stayed = scene.confirm(&anonymous).await;
    assert_eq!((stayed.status, stayed.location()), (StatusCode::OK, None));
    assert!(stayed.text().contains("Vous êtes bien déconnecté"));
}

#[tokio::test]
async fn only_the_methods_of_agentconnect_are_routed() {
    let mut scene = Scene::new().await;
    let page = scene.browser.post(&scene.url("/session/end"), &[]).await.unwrap();
    assert_eq!((page.status, &page.headers["allow"]), (StatusCode::METHOD_NOT_ALLOWED, &"GET".parse().unwrap()));
    assert_eq!(scene.browser.get(&scene.url("/token")).await.unwrap().status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(scene.browser.get(&scene.url("/nothing")).await.unwrap().status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_stopped_provider_answers_nobody() {
    let scene = Scene::new().await;
    let (url, mut browser) = (scene.url("/jwks"), Browser::default());
    assert!(browser.get(&url).await.is_ok());
    scene.provider.shutdown();
    // The listener closes when its task is dropped, which the runtime does on its own time.
    while browser.get(&url).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
