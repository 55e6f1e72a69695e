//! The two requests that the agent's browser carries: the authorization request (OpenID Connect Core 1.0 section
//! 3.1.2.1, RFC 7636 section 4.3) and the logout request (OpenID Connect RP-Initiated Logout 1.0 section 2).

use serde_json::{Map, Value, json};

use super::metadata::Metadata;
use super::preset::Preset;
use super::settings::Settings;
use super::wishes::{Levels, Wishes};
use crate::crypto::{base64url, sha256};

/// What one login adds to the authorization request.
#[derive(Clone, Copy)]
pub struct AuthorizationParams<'a> {
    /// Where the provider sends the agent back to, exactly as registered.
    pub redirect_uri: &'a str,
    /// Binds the answer to the browser that asked: 32 random bytes in base64url.
    pub state: &'a str,
    /// Binds the ID token to this login: 32 random bytes in base64url.
    pub nonce: &'a str,
    /// Binds the code to this login: 32 random bytes in base64url. Only its hash is sent.
    pub code_verifier: &'a str,
    /// What this login asks for.
    pub wishes: &'a Wishes,
}

/// The URL that starts a login. Nothing is in it but what AgentConnect documents, or what the configuration asks for: it has
/// refused other parameters.
pub(super) fn authorization_url(metadata: &Metadata, settings: &Settings, params: &AuthorizationParams<'_>) -> String {
    let mut url = metadata.authorization_endpoint.clone();
    let mut query = url.query_pairs_mut();
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", &settings.client_id)
        .append_pair("redirect_uri", params.redirect_uri)
        .append_pair("scope", &settings.scope.join(" "))
        .append_pair("state", params.state)
        .append_pair("nonce", params.nonce)
        .append_pair("code_challenge", &base64url(&sha256(params.code_verifier.as_bytes())))
        .append_pair("code_challenge_method", "S256");
    for (hint, value) in params.wishes.hints.iter() {
        query.append_pair(hint.as_str(), value);
    }
    if let Some(max_age) = params.wishes.max_age {
        query.append_pair("max_age", &max_age.as_secs().to_string());
    }
    match level(metadata, settings, &params.wishes.levels) {
        Level::Claims(claims) => drop(query.append_pair("claims", &claims)),
        Level::Nothing => {}
        Level::Values(values) => drop(query.append_pair("acr_values", &values)),
    }
    drop(query);
    url.into()
}

/// How the level of authentication is asked for.
enum Level {
    /// The `claims` parameter, section 5.5.
    Claims(String),
    Nothing,
    /// The `acr_values` parameter, which a provider may fall short of; the ID token is checked in any case.
    Values(String),
}

fn level(metadata: &Metadata, settings: &Settings, wanted: &Levels) -> Level {
    let acr: Vec<&String> =
        if wanted.acr.is_empty() { settings.acr_values.iter().collect() } else { wanted.acr.iter().collect() };
    let amr: Vec<&String> = wanted.amr.iter().collect();
    // AgentConnect puts `acr` and `amr` into the ID token only when they are asked for.
    let always = settings.preset == Preset::AgentConnect;
    if always || metadata.claims_parameter_supported {
        let asked = [("acr", essential(&acr)), ("amr", essential(&amr))];
        let asked = asked.into_iter().filter(|(_, values)| always || !values.is_null());
        let asked: Map<String, Value> = asked.map(|(name, values)| (name.to_owned(), values)).collect();
        return if asked.is_empty() { Level::Nothing } else { Level::Claims(json!({ "id_token": asked }).to_string()) };
    }
    // Between spaces: a value with one of its own would be two others.
    let plain: Vec<&str> = acr.iter().map(|acr| acr.as_str()).filter(|acr| !acr.contains(' ')).collect();
    if plain.is_empty() { Level::Nothing } else { Level::Values(plain.join(" ")) }
}

/// One of these values, or no login (section 5.5.1); null, the claim as it comes, where any will do.
fn essential(values: &[&String]) -> Value {
    if values.is_empty() { Value::Null } else { json!({ "essential": true, "values": values }) }
}

/// What one logout adds to the logout request.
pub(super) struct LogoutParams<'a> {
    pub(super) id_token_hint: Option<&'a str>,
    pub(super) post_logout_redirect_uri: &'a str,
    pub(super) state: &'a str,
}

/// The URL that ends the agent's session at the provider; none where the provider has no such endpoint.
pub(super) fn end_session_url(metadata: &Metadata, client_id: &str, params: &LogoutParams<'_>) -> Option<String> {
    let mut url = metadata.end_session_endpoint.clone()?;
    let mut query = url.query_pairs_mut();
    if let Some(hint) = params.id_token_hint {
        query.append_pair("id_token_hint", hint);
    }
    query
        .append_pair("client_id", client_id)
        .append_pair("post_logout_redirect_uri", params.post_logout_redirect_uri)
        .append_pair("state", params.state);
    drop(query);
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use url::Url;

    use super::*;
    use crate::oidc::Hint;
    use crate::oidc::test_provider::{CLIENT_ID, metadata, settings};

    const ISSUER: &str = "https://op.example/api/v2";
    // RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn parsed(document: &Value) -> Metadata {
        let issuer = settings(ISSUER, None).checked_issuer().unwrap();
        Metadata::parse(document.to_string().as_bytes(), &issuer).unwrap()
    }

    fn url(document: &Value, settings: &Settings) -> Url {
        url_with(document, settings, &Wishes::default())
    }

    fn url_with(document: &Value, settings: &Settings, wishes: &Wishes) -> Url {
        let params = AuthorizationParams {
            redirect_uri: "https://paie.example/.portillon/callback",
            state: "st",
            nonce: "no",
            code_verifier: VERIFIER,
            wishes,
        };
        authorization_url(&parsed(document), settings, &params).parse().unwrap()
    }

    fn query(url: &Url) -> BTreeMap<String, String> {
        url.query_pairs().into_owned().collect()
    }

    fn with_levels(preset: Preset) -> Settings {
        let acr_values = vec!["eidas2".to_owned(), "eidas3".into()];
        Settings { preset, acr_values, ..settings(ISSUER, None) }
    }

    #[test]
    fn agentconnect_is_asked_for_nothing_but_what_it_documents() {
        let url = url(&metadata(ISSUER), &settings(ISSUER, None));
        let expected = [
            ("claims", r#"{"id_token":{"acr":null,"amr":null}}"#),
            ("client_id", CLIENT_ID),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("nonce", "no"),
            ("redirect_uri", "https://paie.example/.portillon/callback"),
            ("response_type", "code"),
            ("scope", "openid given_name usual_name email uid"),
            ("state", "st"),
        ];
        assert_eq!(query(&url), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        assert_eq!(url.query_pairs().count(), expected.len());
        assert!(!url.as_str().contains(VERIFIER));
    }

    #[test]
    fn levels_are_asked_for_as_essential() {
        let essential = r#"{"id_token":{"acr":{"essential":true,"values":["eidas2","eidas3"]},"amr":null}}"#;
        let agent_connect = query(&url(&metadata(ISSUER), &with_levels(Preset::AgentConnect)));
        assert_eq!(agent_connect["claims"], essential);
        let open_id = query(&url(&metadata(ISSUER), &with_levels(Preset::OpenId)));
        assert_eq!(open_id["claims"], essential.replace(",\"amr\":null", ""));
        assert!(!open_id.contains_key("acr_values"));
    }

    #[test]
    fn a_provider_without_the_claims_parameter_gets_acr_values() {
        let mut document = metadata(ISSUER);
        document["claims_parameter_supported"] = json!(false);
        let levels = query(&url(&document, &with_levels(Preset::OpenId)));
        assert_eq!(levels["acr_values"], "eidas2 eidas3");
        assert!(!levels.contains_key("claims"));
        let any = query(&url(&document, &Settings { preset: Preset::OpenId, ..settings(ISSUER, None) }));
        assert!(!any.contains_key("claims") && !any.contains_key("acr_values"));
    }

    #[test]
    fn a_login_that_wants_more_asks_for_that() {
        let levels = |acr: &[&str], amr: &[&str]| {
            let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            Wishes { levels: Levels { acr: set(acr), amr: set(amr) }, ..Wishes::default() }
        };
        let claims = |preset, wishes: &Wishes| {
            let settings = with_levels(preset);
            query(&url_with(&metadata(ISSUER), &settings, wishes)).remove("claims").unwrap()
        };
        // In the place of what every login asks for, of which it is a part.
        let wishes = levels(&["eidas3"], &[]);
        let only_acr = r#"{"id_token":{"acr":{"essential":true,"values":["eidas3"]},"amr":null}}"#;
        assert_eq!(claims(Preset::AgentConnect, &wishes), only_acr);
        let odd = levels(&["https://a.test/é \"x\"&claims=y"], &["hwk", "swk"]);
        let both = r#"{"id_token":{"acr":{"essential":true,"values":["https://a.test/é \"x\"&claims=y"]},"amr":{"essential":true,"values":["hwk","swk"]}}}"#;
        assert_eq!((claims(Preset::AgentConnect, &odd), claims(Preset::OpenId, &odd)), (both.into(), both.into()));
        let mut document = metadata(ISSUER);
        document["claims_parameter_supported"] = json!(false);
        let settings = Settings { preset: Preset::OpenId, ..settings(ISSUER, None) };
        let values = |wishes: &Wishes| query(&url_with(&document, &settings, wishes)).remove("acr_values");
        assert_eq!(values(&levels(&["a", "b c", "d"], &["hwk"])).as_deref(), Some("a d"));
        assert_eq!(values(&levels(&["b c"], &[])), None);
    }

    #[test]
    fn hints_and_age_are_parameters_of_their_own() {
        let mut wishes = Wishes { max_age: Some(std::time::Duration::from_secs(900)), ..Wishes::default() };
        for (hint, value) in [(Hint::Idp, "fia1v2"), (Hint::Login, "zoé+x&prompt=none@a.fr"), (Hint::Prompt, "login")]
        {
            wishes.hints.give(hint, value);
        }
        let url = url_with(&metadata(ISSUER), &settings(ISSUER, None), &wishes);
        let query = query(&url);
        for (name, value) in
            [("idp_hint", "fia1v2"), ("login_hint", "zoé+x&prompt=none@a.fr"), ("prompt", "login"), ("max_age", "900")]
        {
            assert_eq!(query[name], value);
        }
        assert!(!query.contains_key("siret_hint") && url.query_pairs().count() == query.len());
    }

    #[test]
    fn the_endpoints_own_query_stays() {
        let mut document = metadata(ISSUER);
        document["authorization_endpoint"] = json!(format!("{ISSUER}/authorize?tenant=a%20b"));
        let url = url(&document, &settings(ISSUER, None));
        assert!(url.as_str().starts_with(&format!("{ISSUER}/authorize?tenant=a%20b&response_type=code&")));
    }

    #[test]
    fn logout_names_the_client_and_what_is_known_of_the_session() {
        let params = LogoutParams {
            id_token_hint: Some("a.b.c"),
            post_logout_redirect_uri: "https://paie.example/.portillon/signed-out",
            state: "st",
        };
        let mut document = metadata(ISSUER);
        let url = end_session_url(&parsed(&document), CLIENT_ID, &params).unwrap();
        assert_eq!(
            url,
            "https://op.example/api/v2/session/end?id_token_hint=a.b.c&client_id=a3c1d2e4-client\
             &post_logout_redirect_uri=https%3A%2F%2Fpaie.example%2F.portillon%2Fsigned-out&state=st"
        );
        let without_hint = LogoutParams { id_token_hint: None, ..params };
        assert!(!end_session_url(&parsed(&document), CLIENT_ID, &without_hint).unwrap().contains("id_token_hint"));
        document.as_object_mut().unwrap().remove("end_session_endpoint");
        assert_eq!(end_session_url(&parsed(&document), CLIENT_ID, &params), None);
    }
}
