//! From userinfo and ID token to the identité pivot: every claim in its form, or absent.
//!
//! The forms are those that AgentConnect documents («données fournies»). A claim out of its form is as good as absent,
//! and logged by its name; where it is required the login is refused.

use serde_json::Value;

use super::error::{ClaimProblem, LoginError, UserInfoProblem};
use super::id_token::IdToken;
use super::json::Object;
use crate::identity::siret::{is_siren, is_siret, siren_of_siret};
use crate::identity::{ClaimValue, Claims};

/// The claims of the agent whom `id_token` and `user_info` are about, `required` ones among them.
pub(super) fn claims(
    id_token: &IdToken,
    user_info: &Object,
    (required, denied): (&[String], &[String]),
) -> Result<Claims, LoginError> {
    if user_info.len() > MAX_CLAIMS {
        return Err(LoginError::UserInfo(UserInfoProblem::TooManyClaims));
    }
    let about_login = AUTHENTICATION.iter().filter_map(|name| Some((*name, id_token.claims.get(*name)?)));
    let about_agent =
        user_info.iter().map(|(name, value)| (name.as_str(), value)).filter(|(name, _)| is_identity(name));
    let mut claims = Claims::new(id_token.sub.clone());
    for (name, value) in about_agent.chain(about_login).filter(|(_, value)| !value.is_null()) {
        let required = required.iter().any(|required| required == name);
        match read(name, value).filter(|value| !required || !is_empty_text(value)) {
            Some(value) => claims.insert(name, value),
            // A rule that would refuse the agent by this claim must not be disarmed by its form.
            None if required || denied.iter().any(|denied| denied == name) => {
                return Err(refused(name, ClaimProblem::Malformed));
            }
            None => {
                tracing::warn!(reason = "claim_malformed", claim = name, "a claim is malformed, and therefore absent");
            }
        }
    }
    derive_siren(&mut claims);
    let missing = required.iter().find(|name| *name != "sub" && claims.get(name).is_none());
    missing.map_or(Ok(claims), |name| Err(refused(name, ClaimProblem::Missing)))
}

/// What the ID token of a login said that ended in `claims`.
pub(super) fn login_of(claims: &Claims) -> IdToken {
    let said = |name: &&str| {
        Some(match claims.get(name)? {
            ClaimValue::List(elements) => Value::from(elements.clone()),
            ClaimValue::Text(text) | ClaimValue::Json(text) => Value::from(text.as_str()),
        })
    };
    let said = AUTHENTICATION.iter().filter_map(|name| Some(((*name).to_owned(), said(name)?)));
    IdToken { sub: claims.sub().to_owned(), claims: said.collect() }
}

/// The claims of an agent whom `described` describes the way userinfo and ID token do, and those that were dropped because
/// of their form: for those who ask what would become of somebody. Nothing is required of them.
///
/// # Errors
///
/// A claim whose malformation refuses every login, since a rule denies by it.
pub fn described(described: &Object, denied: &[String]) -> Result<(Claims, Vec<String>), LoginError> {
    let sub = described.get("sub").and_then(Value::as_str).unwrap_or("unnamed").to_owned();
    let (about_login, about_agent): (Object, Object) =
        described.clone().into_iter().partition(|(name, _)| AUTHENTICATION.contains(&name.as_str()));
    let claims = claims(&IdToken { sub, claims: about_login }, &about_agent, (&[], denied))?;
    let is_dropped = |(name, value): &(&String, &Value)| {
        let is_claim = AUTHENTICATION.contains(&name.as_str()) || is_identity(name);
        is_claim && !value.is_null() && claims.get(name).is_none()
    };
    let dropped = described.iter().filter(is_dropped).map(|(name, _)| name.clone()).collect();
    Ok((claims, dropped))
}

/// The SIREN is the start of the SIRET: whoever sends one has told the other, and rules may look at either.
fn derive_siren(claims: &mut Claims) {
    let derived = claims.text("siret").and_then(siren_of_siret).map(|siren| ClaimValue::Text(siren.to_owned()));
    if let Some(siren) = derived.filter(|_| claims.get("siren").is_none()) {
        claims.insert("siren", siren);
    }
}

fn refused(claim: &str, problem: ClaimProblem) -> LoginError {
    LoginError::RequiredClaim { claim: claim.to_owned(), problem }
}

fn is_empty_text(value: &ClaimValue) -> bool {
    value.as_text().is_some_and(|text| text.trim().is_empty())
}

/// Whether a member of userinfo is about the agent, rather than about the token or the login.
fn is_identity(name: &str) -> bool {
    // AgentConnect's `auth_time` is that of this interaction, even where a session was reused: it proves nothing.
    const ABOUT_THE_TOKEN: [&str; 11] =
        ["aud", "at_hash", "auth_time", "azp", "exp", "iat", "iss", "jti", "nbf", "nonce", "sub"];
    !ABOUT_THE_TOKEN.contains(&name) && !AUTHENTICATION.contains(&name)
}

/// The value of a claim in its form; none where it has another, or its name is not fit to be one.
fn read(name: &str, value: &Value) -> Option<ClaimValue> {
    if name.is_empty() || name.len() > 128 || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let text = |is_well_formed: fn(&str) -> bool| {
        value
            .as_str()
            .filter(|text| is_text(text) && is_well_formed(text))
            .map(|text| ClaimValue::Text(text.to_owned()))
    };
    match name {
        "email" => text(is_email),
        "phone_number" => text(is_phone_number),
        "siren" => text(is_siren),
        "siret" => text(is_siret),
        "uid" => text(is_printable_ascii),
        "acr"
        | "belonging_population"
        | "chorusdt:matricule"
        | "chorusdt:societe"
        | "given_name"
        | "idp_acr"
        | "idp_id"
        | "organization_label"
        | "organizational_unit"
        | "usual_name" => text(|_| true),
        "amr" | "roles" => list(value),
        "custom" => value.is_object().then(|| json(value)).flatten(),
        _ => any(value),
    }
}

/// Any claim that has no form of its own.
fn any(value: &Value) -> Option<ClaimValue> {
    match value {
        Value::String(text) => {
            let fits = text.len() <= MAX_VALUE && !text.contains(char::is_control);
            fits.then(|| ClaimValue::Text(text.clone()))
        }
        Value::Array(elements) if elements.iter().all(Value::is_string) => list(value),
        _ => json(value),
    }
}

fn list(value: &Value) -> Option<ClaimValue> {
    let elements = value.as_array()?.iter().map(|element| element.as_str().filter(|text| is_text(text)));
    let elements: Vec<String> = elements.map(|element| element.map(str::to_owned)).collect::<Option<_>>()?;
    let bytes: usize = elements.iter().map(|element| element.len() + 1).sum();
    (bytes <= MAX_VALUE).then_some(ClaimValue::List(elements))
}

fn json(value: &Value) -> Option<ClaimValue> {
    let text = value.to_string();
    (text.len() <= MAX_VALUE).then_some(ClaimValue::Json(text))
}

/// One to 256 characters, not all of them spaces, none of them a control character.
fn is_text(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().take(257).count() <= 256 && !text.contains(char::is_control)
}

fn is_printable_ascii(text: &str) -> bool {
    text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// A shape, not RFC 5322: one `@` with something on either side, visible ASCII throughout. Rules compare these bytes, so
/// that look-alike letters of other scripts must not come in.
fn is_email(text: &str) -> bool {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    let parts = text
        .split_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    visible && parts
}

/// Digits and what people write between them.
fn is_phone_number(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    (2..=20).contains(&digits)
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_digit() || b" +-./()".contains(&b))
}

/// What the ID token alone may tell: rules about levels must not depend on what userinfo repeats.
const AUTHENTICATION: [&str; 2] = ["acr", "amr"];
const MAX_CLAIMS: usize = 100;
/// Bytes of one claim.
const MAX_VALUE: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        match value {
            Value::Object(members) => members,
            _ => panic!("not an object"),
        }
    }

    fn token(claims: Value) -> IdToken {
        IdToken { sub: "s".into(), claims: object(claims) }
    }

    fn read_one(name: &str, value: Value) -> Option<ClaimValue> {
        let user_info = [(name.to_owned(), value)].into_iter().collect();
        claims(&token(json!({})), &user_info, (&[], &[])).unwrap().get(name).cloned()
    }

    #[test]
    fn every_shape_that_agentconnect_sends_comes_through() {
        let user_info = object(json!({
            "sub": "s", "iss": "i", "aud": "a", "exp": 1, "iat": 1, "nbf": 1, "jti": "j", "azp": "a",
            "given_name": "Zoë 東京", "usual_name": "d'Éloïse", "email": "a@b", "uid": "96 81",
            "roles": [], "custom": { "b": true }, "chorusdt:matricule": "m", "email_verified": true, "level": 3,
        }));
        let claims =
            claims(&token(json!({ "acr": "eidas1", "amr": ["pwd"], "auth_time": 12 })), &user_info, (&[], &[]))
                .unwrap();
        let all: Vec<_> = claims.others().collect();
        let (text, of_json) = (|t: &str| ClaimValue::Text(t.into()), |t: &str| ClaimValue::Json(t.into()));
        assert_eq!(claims.sub(), "s");
        assert_eq!(
            all,
            [
                ("acr", &text("eidas1")),
                ("amr", &ClaimValue::List(vec!["pwd".into()])),
                ("chorusdt:matricule", &text("m")),
                ("custom", &of_json("{\"b\":true}")),
                ("email", &text("a@b")),
                ("email_verified", &of_json("true")),
                ("given_name", &text("Zoë 東京")),
                ("level", &of_json("3")),
                ("roles", &ClaimValue::List(vec![])),
                ("uid", &text("96 81")),
                ("usual_name", &text("d'Éloïse")),
            ]
        );
    }

    #[test]
    fn the_level_comes_from_the_id_token_alone() {
        let user_info = object(json!({ "acr": "eidas3", "amr": ["hwk"] }));
        let claims = claims(&token(json!({ "acr": "eidas1" })), &user_info, (&[], &[])).unwrap();
        assert_eq!(claims.text("acr"), Some("eidas1"));
        assert_eq!(claims.get("amr"), None);
    }

    #[test]
    fn a_malformed_claim_is_absent() {
        let long = "a".repeat(257);
        for (name, value) in [
            ("email", json!(["a@b"])),
            ("email", json!({ "a": "a@b" })),
            ("email", json!(true)),
            ("email", json!(null)),
            ("email", json!(7)),
            ("email", json!("ab")),
            ("email", json!("a@b@c")),
            ("email", json!("@b")),
            ("email", json!("a@")),
            ("email", json!("a b@c")),
            ("email", json!("a@b\u{441}")),
            ("email", json!("a@b\r\nX-Agent-Roles: admin")),
            ("given_name", json!("")),
            ("given_name", json!(" ")),
            ("given_name", json!("a\u{0}b")),
            ("given_name", json!("a\u{85}b")),
            ("usual_name", json!(long)),
            ("uid", json!("é")),
            ("siret", json!("13002526500014")),
            ("siret", json!(13_002_526_500_013_u64)),
            ("siren", json!("130025266")),
            ("phone_number", json!("call me")),
            ("roles", json!("agent_public")),
            ("roles", json!(["a", 1])),
            ("roles", json!(["a\n"])),
            ("custom", json!([])),
            ("unheard_of", json!("a\nb")),
            ("unheard_of", json!("a".repeat(8193))),
            ("unheard_of", json!({ "a": "a".repeat(8193) })),
            ("a b", json!("a")),
            ("", json!("a")),
        ] {
            assert_eq!(read_one(name, value.clone()), None, "{name} {value}");
        }
    }

    #[test]
    fn well_formed_claims_of_every_kind() {
        for (name, value) in [
            ("siret", "13002526500013"),
            ("siren", "130025265"),
            ("phone_number", "+33 (0)1-23.45/67 89"),
            ("usual_name", &"é".repeat(256)),
            ("given_name", "\u{202e}Zoë\u{200d}"),
        ] {
            assert_eq!(read_one(name, json!(value)), Some(ClaimValue::Text(value.into())), "{name}");
        }
    }

    #[test]
    fn a_required_claim_is_refused_missing_or_malformed() {
        let required = ["sub".to_owned(), "email".into(), "note".into()];
        let problem = |user_info: Value| claims(&token(json!({})), &object(user_info), (&required, &[])).unwrap_err();
        let expect = |claim: &str, problem| LoginError::RequiredClaim { claim: claim.into(), problem };
        assert_eq!(problem(json!({ "note": "n" })), expect("email", ClaimProblem::Missing));
        assert_eq!(problem(json!({ "note": "n", "email": null })), expect("email", ClaimProblem::Missing));
        assert_eq!(problem(json!({ "note": "n", "email": "x" })), expect("email", ClaimProblem::Malformed));
        assert_eq!(problem(json!({ "note": "", "email": "a@b" })), expect("note", ClaimProblem::Malformed));
        assert!(claims(&token(json!({})), &object(json!({ "note": "n", "email": "a@b" })), (&required, &[])).is_ok());
    }

    #[test]
    fn the_siren_is_derived_where_the_provider_sent_none() {
        let siren = |user_info: Value| {
            claims(&token(json!({})), &object(user_info), (&[], &[])).unwrap().text("siren").map(str::to_owned)
        };
        assert_eq!(siren(json!({ "siret": "13002526500013" })).as_deref(), Some("130025265"));
        assert_eq!(siren(json!({ "siret": "13002526500013", "siren": "552032534" })).as_deref(), Some("552032534"));
        assert_eq!(siren(json!({ "siret": "13002526500014" })), None);
    }

    #[test]
    fn a_malformed_claim_does_not_disarm_a_rule_that_denies_by_it() {
        let denied = ["roles".to_owned()];
        let login = |roles: Value| claims(&token(json!({})), &object(json!({ "roles": roles })), (&[], &denied));
        for roles in [json!("stagiaire"), json!(["stagiaire", 5]), json!({ "a": "stagiaire" }), json!(["a\u{0}"])] {
            let refused = LoginError::RequiredClaim { claim: "roles".into(), problem: ClaimProblem::Malformed };
            assert_eq!(login(roles.clone()).unwrap_err(), refused, "{roles}");
        }
        assert!(login(json!([])).is_ok() && login(json!(null)).is_ok());
    }

    #[test]
    fn ten_thousand_claims_are_no_agent() {
        let user_info = (0..10_000).map(|n| (n.to_string(), json!(n))).collect();
        let refused = claims(&token(json!({})), &user_info, (&[], &[])).unwrap_err();
        assert_eq!(refused, LoginError::UserInfo(UserInfoProblem::TooManyClaims));
    }
}
