//! The token request and its answer (RFC 6749 sections 4.1.3, 5.1, 5.2; RFC 7636 section 4.5), and the end of a refresh
//! token (RFC 7009 section 2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use serde_json::Value;
use url::form_urlencoded;

use super::back_channel::Answer;
use super::error::LoginError;
use super::json::{self, Object};
use super::metadata::Metadata;
use super::settings::{Settings, TokenEndpointAuthMethod};
use crate::secret::Secret;

/// What is redeemed: the code, and what proves that the login was ours.
pub(super) struct Grant<'a> {
    pub(super) code: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) code_verifier: &'a str,
}

/// What the token endpoint gave for a code. Lifetimes are left where they are: nothing here depends on them.
pub(super) struct Tokens {
    pub(super) access_token: Secret<String>,
    pub(super) id_token: Secret<String>,
    pub(super) refresh_token: Option<Secret<String>>,
}

/// What it gave for a refresh token (RFC 6749 section 6). An ID token among it is not looked at: userinfo says who it is.
pub struct RefreshedTokens {
    /// What opens userinfo.
    pub access_token: Secret<String>,
    /// What takes the place of the refresh token, where it changes.
    pub refresh_token: Option<Secret<String>>,
}

impl Grant<'_> {
    /// The request that redeems the code.
    pub(super) fn request(&self, metadata: &Metadata, settings: &Settings) -> Request<Full<Bytes>> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", self.code)
            .append_pair("redirect_uri", self.redirect_uri)
            .append_pair("code_verifier", self.code_verifier);
        authenticated(form, &metadata.token_endpoint, settings)
    }
}

/// The request that uses a refresh token (RFC 6749 section 6).
pub(super) fn refresh(token: &Secret<String>, metadata: &Metadata, settings: &Settings) -> Request<Full<Bytes>> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token.expose());
    authenticated(form, &metadata.token_endpoint, settings)
}

/// The request that ends a refresh token (RFC 7009 section 2.1).
pub(super) fn revocation(token: &Secret<String>, endpoint: &Uri, settings: &Settings) -> Request<Full<Bytes>> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("token", token.expose()).append_pair("token_type_hint", "refresh_token");
    authenticated(form, endpoint, settings)
}

/// A request by the client.
fn authenticated(
    mut form: form_urlencoded::Serializer<'_, String>,
    endpoint: &Uri,
    settings: &Settings,
) -> Request<Full<Bytes>> {
    let mut basic = None;
    match settings.token_endpoint_auth_method {
        TokenEndpointAuthMethod::ClientSecretBasic => basic = Some(basic_credentials(settings)),
        TokenEndpointAuthMethod::ClientSecretPost => {
            form.append_pair("client_id", &settings.client_id)
                .append_pair("client_secret", settings.client_secret.expose());
        }
    }
    let mut request = Request::new(Full::from(form.finish()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = endpoint.clone();
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    if let Some(credentials) = basic {
        request.headers_mut().insert(AUTHORIZATION, credentials);
    }
    request
}

/// RFC 6749 section 2.3.1: each half form-urlencoded before they are joined.
fn basic_credentials(settings: &Settings) -> HeaderValue {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(&settings.client_id), encoded(settings.client_secret.expose()));
    let mut value =
        HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).expect("base64 is made of visible ASCII");
    value.set_sensitive(true);
    value
}

impl Tokens {
    /// Reads the token endpoint's answer, which took the code with it either way.
    pub(super) fn read(answer: &Answer) -> Result<Self, LoginError> {
        let members = members(answer)?;
        let RefreshedTokens { access_token, refresh_token } = RefreshedTokens::of(&members)?;
        let id_token =
            member(&members, "id_token").map(Secret::from).ok_or(LoginError::TokenResponse("no id_token"))?;
        Ok(Self { access_token, id_token, refresh_token })
    }
}

impl RefreshedTokens {
    /// Reads the token endpoint's answer, which may have taken the refresh token with it.
    pub(super) fn read(answer: &Answer) -> Result<Self, LoginError> {
        Self::of(&members(answer)?)
    }

    fn of(members: &Object) -> Result<Self, LoginError> {
        let bearer = member(members, "token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
        if !bearer {
            return Err(LoginError::TokenResponse("token_type is not Bearer"));
        }
        // RFC 6750 section 2.1: what a bearer token may be made of, and what a header may hold.
        let access_token = member(members, "access_token").filter(|token| token.bytes().all(|b| b.is_ascii_graphic()));
        Ok(Self {
            access_token: access_token.map(Secret::from).ok_or(LoginError::TokenResponse("no access_token"))?,
            refresh_token: member(members, "refresh_token").map(Secret::from),
        })
    }
}

/// Whether a refresh token has ended (RFC 7009 section 2.2): whatever a good answer says.
pub(super) fn is_revoked(answer: &Answer) -> Result<(), LoginError> {
    successful(answer).map(drop)
}

/// The members of a token response that is none of an error.
fn members(answer: &Answer) -> Result<Object, LoginError> {
    successful(answer)?.ok_or(LoginError::TokenResponse("not a JSON object with unique names"))
}

/// What an answer says, where it says something, that is none of an error.
fn successful(answer: &Answer) -> Result<Option<Object>, LoginError> {
    let members = json::object(&answer.body).filter(|_| answer.media_type == "application/json");
    match answer.status {
        StatusCode::OK => Ok(members),
        status => Err(LoginError::TokenEndpoint { error: error_code(status, members.as_ref()) }),
    }
}

/// A member that is a string and not empty.
fn member<'a>(members: &'a Object, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The error code, where the answer has one that is fit for a log line. A server that failed refuses nothing.
fn error_code(status: StatusCode, members: Option<&Object>) -> String {
    let code = members.filter(|_| status.is_client_error()).and_then(|members| member(members, "error"));
    let fit = |code: &&str| code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    code.filter(fit).map_or_else(|| format!("http_{}", status.as_u16()), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, media_type: &str, body: &str) -> Result<Tokens, LoginError> {
        let status = StatusCode::from_u16(status).unwrap();
        Tokens::read(&Answer { status, media_type: media_type.into(), date: None, body: body.to_owned().into() })
    }

    #[test]
    fn bearer_is_spelled_in_any_case() {
        for kind in ["Bearer", "bearer", "bEaReR"] {
            let body = format!(r#"{{"access_token":"a","id_token":"i","token_type":"{kind}","expires_in":null}}"#);
            let tokens = read(200, "application/json", &body).unwrap();
            assert_eq!((tokens.access_token.expose().as_str(), tokens.id_token.expose().as_str()), ("a", "i"));
        }
    }

    #[test]
    fn an_answer_that_is_no_token_response_is_refused() {
        let good = r#"{"access_token":"a","id_token":"i","token_type":"Bearer"}"#;
        for (media_type, body) in [
            ("text/html", good),
            ("", good),
            ("application/json", "[]"),
            ("application/json", "{"),
            ("application/json", ""),
            ("application/json", r#"{"access_token":"a","id_token":"i","id_token":"i","token_type":"Bearer"}"#),
            ("application/json", r#"{"access_token":"a","token_type":"Bearer"}"#),
            ("application/json", r#"{"access_token":"a","id_token":null,"token_type":"Bearer"}"#),
            ("application/json", r#"{"access_token":"a","id_token":7,"token_type":"Bearer"}"#),
            ("application/json", r#"{"access_token":"a","id_token":"","token_type":"Bearer"}"#),
            ("application/json", r#"{"access_token":"a","id_token":"i"}"#),
            ("application/json", r#"{"access_token":"a","id_token":"i","token_type":"mac"}"#),
            ("application/json", r#"{"access_token":"a\r\nb","id_token":"i","token_type":"Bearer"}"#),
            ("application/json", r#"{"id_token":"i","token_type":"Bearer"}"#),
        ] {
            assert!(matches!(read(200, media_type, body), Err(LoginError::TokenResponse(_))), "{media_type} {body}");
        }
    }

    #[test]
    fn an_error_is_named_by_its_code_or_its_status() {
        let error = |status, body: &str| match read(status, "application/json", body) {
            Err(LoginError::TokenEndpoint { error }) => error,
            _ => panic!("not refused"),
        };
        assert_eq!(error(400, r#"{"error":"invalid_grant","error_description":"secret"}"#), "invalid_grant");
        assert_eq!(error(401, r#"{"error":"a b\n"}"#), "http_401");
        assert_eq!(error(500, r#"{"error":"invalid_grant"}"#), "http_500");
        assert_eq!(error(204, ""), "http_204");
        assert_eq!(error(302, r#"{"access_token":"a","id_token":"i","token_type":"Bearer"}"#), "http_302");
    }
}
