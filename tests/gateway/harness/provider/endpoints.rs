//! What an honest provider answers.

use portillon::clock::Timestamp;
use portillon::crypto::{base64url, random_token, sha256};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::script::{Edit, LogoutReturn};
use super::tokens::{Token, id_token_claims, members, user_info_claims};
use super::{Call, Endpoint, Grant, State, client_id};
use crate::harness::site::CLIENT_SECRET;
use crate::harness::wire::{Head, response};

/// The parameters that AgentConnect knows, or takes without a word (`max_age`); any other is its error Y000400.
const AUTHORIZATION_PARAMETERS: [&str; 15] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "acr_values",
    "claims",
    "prompt",
    "login_hint",
    "idp_hint",
    "siret_hint",
    "code_challenge",
    "code_challenge_method",
    "max_age",
];

/// Reads a request.
pub(super) fn read(head: Head, body: &[u8]) -> Call {
    let target = head.word(1);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let endpoint = match path {
        "/api/v2/.well-known/openid-configuration" => Endpoint::Discovery,
        "/api/v2/authorize" => Endpoint::Authorization,
        "/api/v2/jwks" => Endpoint::Jwks,
        "/api/v2/session/end" => Endpoint::EndSession,
        "/api/v2/token" => Endpoint::Token,
        "/api/v2/token/revocation" => Endpoint::Revocation,
        "/api/v2/userinfo" => Endpoint::UserInfo,
        _ => Endpoint::Other,
    };
    let form = if head.word(0) == "POST" { body } else { query.as_bytes() };
    let parameters = form_urlencoded::parse(form).into_owned().collect();
    Call { endpoint, head, parameters }
}

/// The provider while it answers one request.
pub(super) struct Honest<'a> {
    pub(super) state: &'a mut State,
    pub(super) issuer: String,
    pub(super) now: Timestamp,
}

impl Honest<'_> {
    pub(super) fn answer(mut self, call: &Call) -> Vec<u8> {
        match call.endpoint {
            Endpoint::Authorization => self.authorization(call),
            Endpoint::Discovery => json_answer("200 OK", &self.metadata()),
            Endpoint::EndSession => self.end_session(call),
            Endpoint::Jwks => json_answer("200 OK", &self.state.keys.jwks()),
            Endpoint::Other => response("404 Not Found", &[], ""),
            Endpoint::Revocation => self.revocation(call),
            Endpoint::Token => self.token(call),
            Endpoint::UserInfo => self.user_info(call),
        }
    }

    fn metadata(&self) -> Value {
        let issuer = &self.issuer;
        let mut metadata = members(json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "jwks_uri": format!("{issuer}/jwks"),
            "end_session_endpoint": format!("{issuer}/session/end"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["form_post", "fragment", "query"],
            "subject_types_supported": ["public"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "id_token_signing_alg_values_supported": ["HS256", "ES256", "RS256"],
            "userinfo_signing_alg_values_supported": ["HS256", "ES256", "RS256"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "claims_parameter_supported": true,
            "request_parameter_supported": false,
            "scopes_supported": ["openid", "given_name", "usual_name", "email", "uid", "siret", "idp_id", "phone"],
        }));
        Edit::apply(&self.state.script.metadata, &mut metadata);
        Value::Object(metadata)
    }

    fn authorization(&mut self, call: &Call) -> Vec<u8> {
        self.state.complaints.extend(complaints(call));
        let parameter = |name: &str| call.parameter(name).unwrap_or_default().to_owned();
        let redirect_uri = parameter("redirect_uri");
        if !self.state.client.redirect_uris.contains(&redirect_uri) {
            self.state.complaints.push(format!("redirect_uri {redirect_uri} is not registered"));
            return response("400 Bad Request", &[("Content-Type", "text/html")], "invalid_redirect_uri");
        }
        for secret in ["state", "nonce"] {
            self.state.remember(&parameter(secret));
        }
        let mut answer = match self.grant(call, &redirect_uri) {
            Ok(code) => vec![("code".to_owned(), code)],
            Err(description) => error_parameters("access_denied", description),
        };
        answer.push(("state".to_owned(), parameter("state")));
        answer.push(("iss".to_owned(), self.issuer.clone()));
        Edit::apply_to_parameters(&self.state.script.authorization_response, &mut answer);
        see_other(&redirect_uri, &answer)
    }

    fn grant(&mut self, call: &Call, redirect_uri: &str) -> Result<String, &'static str> {
        let parameter = |name: &str| call.parameter(name).unwrap_or_default().to_owned();
        let claims: Value = serde_json::from_str(&parameter("claims")).unwrap_or_default();
        let agent = self.state.agent.clone();
        if !holds_acr(agent.text("acr"), &claims) {
            return Err("requested ACRs could not be satisfied");
        }
        let grant = Grant {
            agent,
            nonce: parameter("nonce"),
            code_challenge: parameter("code_challenge"),
            redirect_uri: redirect_uri.to_owned(),
            scope: parameter("scope"),
            claims,
        };
        let code = self.state.remember(&random_token::<32>());
        self.state.grants.insert(code.clone(), grant);
        Ok(code)
    }

    fn token(&mut self, call: &Call) -> Vec<u8> {
        if !self.is_client(call) {
            self.state.complaints.push("a token request without the registered client authentication".to_owned());
            return error_answer("401 Unauthorized", "invalid_client", "client authentication failed");
        }
        if call.parameter("grant_type") == Some("refresh_token") {
            return self.refresh(call.parameter("refresh_token").unwrap_or_default());
        }
        let parameter = |name: &str| call.parameter(name).unwrap_or_default();
        let verifier = self.state.remember(parameter("code_verifier"));
        // A code is good for one request, whatever comes of it.
        let grant = self.state.grants.remove(parameter("code")).filter(|grant| {
            parameter("grant_type") == "authorization_code"
                && parameter("redirect_uri") == grant.redirect_uri
                && base64url(&sha256(verifier.as_bytes())) == grant.code_challenge
        });
        match grant {
            Some(grant) => self.tokens(grant),
            None => error_answer("400 Bad Request", "invalid_grant", "grant request is invalid"),
        }
    }

    /// RFC 7009.
    fn revocation(&mut self, call: &Call) -> Vec<u8> {
        if !self.is_client(call) {
            self.state.complaints.push("a revocation without the registered client authentication".to_owned());
            return error_answer("401 Unauthorized", "invalid_client", "client authentication failed");
        }
        self.state.refresh_tokens.remove(call.parameter("token").unwrap_or_default());
        response("200 OK", &[], "")
    }

    /// A refresh token is good once; a second use of it is a complaint, and the end of the grant.
    fn refresh(&mut self, token: &str) -> Vec<u8> {
        if self.state.spent.iter().any(|spent| spent == token) {
            self.state.complaints.push("a refresh token came twice".to_owned());
        }
        let Some(mut grant) = self.state.refresh_tokens.remove(token) else {
            return error_answer("400 Bad Request", "invalid_grant", "grant request is invalid");
        };
        self.state.spent.push(token.to_owned());
        if self.state.agent.sub() == grant.agent.sub() {
            grant.agent = self.state.agent.clone();
        }
        self.tokens(grant)
    }

    fn tokens(&mut self, grant: Grant) -> Vec<u8> {
        let access_token = self.state.remember(&random_token::<32>());
        let refresh_token = self.state.remember(&random_token::<32>());
        let claims = id_token_claims(&self.issuer, &grant, &access_token, self.now);
        let alg = self.state.client.id_token_signed_response_alg;
        let id_token = Token { state: self.state, alg, claims }.sign(&self.state.script.id_token);
        let id_token = self.state.remember(&id_token);
        self.state.last_id_token.clone_from(&id_token);
        let mut answer = members(json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 3600,
            "id_token": id_token,
            "refresh_token": refresh_token,
            "scope": grant.scope,
        }));
        Edit::apply(&self.state.script.token_response, &mut answer);
        self.state.refresh_tokens.insert(refresh_token, grant.clone());
        self.state.grants.insert(access_token, grant);
        json_answer("200 OK", &Value::Object(answer))
    }

    fn user_info(&self, call: &Call) -> Vec<u8> {
        let bearer = call.head.value("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let Some(grant) = bearer.and_then(|token| self.state.grants.get(token)) else {
            return error_answer("401 Unauthorized", "invalid_token", "invalid token provided");
        };
        let signed = self.state.client.userinfo_signed_response_alg;
        let mut claims = user_info_claims(&self.issuer, grant, signed.is_some(), self.now);
        let script = &self.state.script.user_info_claims;
        let Some(alg) = signed else {
            Edit::apply(&script.claims, &mut claims);
            return json_answer("200 OK", &Value::Object(claims));
        };
        let token = Token { state: self.state, alg, claims }.sign(script);
        response("200 OK", &[("Content-Type", "application/jwt; charset=utf-8")], token)
    }

    fn end_session(&mut self, call: &Call) -> Vec<u8> {
        let uri = call.parameter("post_logout_redirect_uri").unwrap_or_default();
        if call.head.word(0) != "GET" {
            self.state.complaints.push("the end_session_endpoint takes GET only".to_owned());
        }
        if !self.state.client.post_logout_redirect_uris.iter().any(|registered| registered == uri) {
            self.state.complaints.push(format!("post_logout_redirect_uri {uri} is not registered"));
            return response("400 Bad Request", &[("Content-Type", "text/html")], "not registered");
        }
        let state = match self.state.script.logout_return {
            LogoutReturn::Honest => call.parameter("state"),
            LogoutReturn::NoState => None,
            LogoutReturn::OtherState => Some("another-state-than-the-one-that-was-sent"),
        };
        let answer: Vec<_> = state.map(|state| ("state".to_owned(), state.to_owned())).into_iter().collect();
        see_other(uri, &answer)
    }

    fn is_client(&self, call: &Call) -> bool {
        let basic = call.head.value("authorization");
        match self.state.client.token_endpoint_auth_method {
            "client_secret_basic" => {
                let pair = format!("{}:{CLIENT_SECRET}", client_id());
                let expected = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair);
                basic.and_then(|value| value.strip_prefix("Basic ")) == Some(&expected)
                    && call.parameter("client_secret").is_none()
            }
            _ => {
                basic.is_none()
                    && call.parameter("client_id") == Some(client_id())
                    && call.parameter("client_secret") == Some(CLIENT_SECRET)
            }
        }
    }
}

/// What AgentConnect would refuse in an authorization request.
fn complaints(call: &Call) -> Vec<String> {
    let parameter = |name: &str| call.parameter(name).unwrap_or_default();
    let unknown = call.parameters.iter().filter(|(name, _)| !AUTHORIZATION_PARAMETERS.contains(&name.as_str()));
    let mut complaints: Vec<String> = unknown.map(|(name, _)| format!("Y000400: unknown parameter {name}")).collect();
    let mut names: Vec<&str> = call.parameters.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    complaints.extend(names.windows(2).filter(|w| w[0] == w[1]).map(|w| format!("{} stands there twice", w[0])));
    let rules = [
        (parameter("response_type") == "code", "response_type is not code"),
        (parameter("client_id") == client_id(), "another client_id"),
        (parameter("state").len() >= 32, "state is shorter than 32"),
        (parameter("nonce").len() >= 32, "nonce is shorter than 32"),
        (parameter("code_challenge_method") == "S256", "code_challenge_method is not S256"),
        (parameter("code_challenge").len() == 43, "code_challenge is no SHA-256"),
        (parameter("scope").split(' ').any(|scope| scope == "openid"), "openid scope must be requested"),
    ];
    complaints.extend(rules.iter().filter(|(kept, _)| !kept).map(|(_, rule)| (*rule).to_owned()));
    complaints
}

/// AgentConnect compares by exact membership, and only what is essential.
fn holds_acr(acr: &str, claims: &Value) -> bool {
    let asked = &claims["id_token"]["acr"];
    let wanted = asked["values"].as_array().cloned().or_else(|| Some(vec![asked.get("value")?.clone()]));
    asked["essential"] != true || wanted.is_none_or(|wanted| wanted.iter().any(|value| value == acr))
}

fn error_parameters(error: &str, description: &str) -> Vec<(String, String)> {
    vec![("error".to_owned(), error.to_owned()), ("error_description".to_owned(), description.to_owned())]
}

fn see_other(uri: &str, parameters: &[(String, String)]) -> Vec<u8> {
    let query: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let location = if query.is_empty() { uri.to_owned() } else { format!("{uri}?{query}") };
    response("303 See Other", &[("Location", &location)], "")
}

fn json_answer(status: &str, body: &Value) -> Vec<u8> {
    response(status, &[("Content-Type", "application/json")], body.to_string())
}

fn error_answer(status: &str, error: &str, description: &str) -> Vec<u8> {
    json_answer(status, &json!({ "error": error, "error_description": description }))
}
