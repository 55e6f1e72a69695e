//! The registered claims of a JWT (RFC 7519 section 4.1) and how strictly each is taken.

use std::time::Duration;

use serde_json::Value;

use super::error::TokenProblem;
use super::json::Object;
use crate::clock::Timestamp;

/// How far the provider's clock and ours may be apart.
pub(super) const SKEW: Duration = Duration::from_secs(60);

/// `iss` is, byte for byte, the provider.
pub(super) fn check_issuer(claims: &Object, issuer: &str) -> Result<(), TokenProblem> {
    if claims.get("iss").and_then(Value::as_str) == Some(issuer) { Ok(()) } else { Err(TokenProblem::Issuer) }
}

/// `aud` is this client and nobody else, as a string or as an array of one. We trust no other audience (OpenID Connect
/// Core 1.0 section 3.1.3.7 rule 3).
pub(super) fn check_audience(claims: &Object, client_id: &str) -> Result<(), TokenProblem> {
    let audience = match claims.get("aud") {
        Some(Value::Array(several)) => match several.as_slice() {
            [only] => only.as_str(),
            _ => None,
        },
        Some(single) => single.as_str(),
        None => None,
    };
    if audience == Some(client_id) { Ok(()) } else { Err(TokenProblem::Audience) }
}

/// `exp`, where there is one, is not past by more than the skew. Whether there must be one is the caller's to say.
pub(super) fn check_expiry(claims: &Object, now: Timestamp) -> Result<(), TokenProblem> {
    match numeric_date(claims, "exp")? {
        Some(exp) if now > exp.plus(SKEW) => Err(TokenProblem::Expired),
        _ => Ok(()),
    }
}

/// `nbf`, where there is one, is not ahead by more than the skew.
pub(super) fn check_not_before(claims: &Object, now: Timestamp) -> Result<(), TokenProblem> {
    match numeric_date(claims, "nbf")? {
        Some(nbf) if nbf > now.plus(SKEW) => Err(TokenProblem::NotYetValid),
        _ => Ok(()),
    }
}

/// A `NumericDate`, fractions dropped; none where the claim is absent. What no clock shows is malformed: before 1970,
/// after the year 9999, or no number.
pub(super) fn numeric_date(claims: &Object, name: &str) -> Result<Option<Timestamp>, TokenProblem> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| (0.0..=LAST_SECOND).contains(seconds));
    // The range was checked: the conversion only drops the fraction.
    seconds.map(|seconds| Some(Timestamp::from_secs(seconds as u64))).ok_or(TokenProblem::Malformed)
}

/// `sub`: 1 to 255 bytes of visible ASCII.
pub(super) fn subject(claims: &Object) -> Result<&str, TokenProblem> {
    let sub = claims.get("sub").and_then(Value::as_str).ok_or(TokenProblem::Subject)?;
    let well_formed = (1..=255).contains(&sub.len()) && sub.bytes().all(|byte| byte.is_ascii_graphic());
    if well_formed { Ok(sub) } else { Err(TokenProblem::Subject) }
}

/// 9999-12-31T23:59:59Z.
const LAST_SECOND: f64 = 253_402_300_799.0;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn with(name: &str, value: Value) -> Object {
        [(name.to_owned(), value)].into_iter().collect()
    }

    #[test]
    fn an_expiry_is_past_only_beyond_the_skew() {
        for good in [json!(1_000_001), json!(999_940), json!(999_940.5), json!(1.5e9), json!(253_402_300_799_u64)] {
            assert_eq!(check_expiry(&with("exp", good.clone()), NOW), Ok(()), "{good}");
        }
        for past in [json!(999_939), json!(0)] {
            assert_eq!(check_expiry(&with("exp", past.clone()), NOW), Err(TokenProblem::Expired), "{past}");
        }
    }

    #[test]
    fn a_date_that_no_clock_shows_is_malformed() {
        let dates = [json!(1e300), json!(-1), json!(-0.5), json!("1000001"), json!(null), json!([1]), json!(u64::MAX)];
        for date in dates {
            assert_eq!(numeric_date(&with("exp", date.clone()), "exp"), Err(TokenProblem::Malformed), "{date}");
        }
    }

    #[test]
    fn the_audience_is_this_client_alone() {
        for good in [json!("us"), json!(["us"])] {
            assert_eq!(check_audience(&with("aud", good), "us"), Ok(()));
        }
        for bad in
            [json!("u"), json!("US"), json!([]), json!(["us", "other"]), json!(["us", "us"]), json!(1), json!([["us"]])]
        {
            assert_eq!(check_audience(&with("aud", bad.clone()), "us"), Err(TokenProblem::Audience), "{bad}");
        }
        assert_eq!(check_audience(&Object::new(), "us"), Err(TokenProblem::Audience));
    }

    #[test]
    fn a_subject_is_visible_ascii_of_at_most_255_bytes() {
        assert_eq!(subject(&with("sub", json!("a-1|e"))), Ok("a-1|e"));
        assert!(subject(&with("sub", json!("a".repeat(255)))).is_ok());
        for bad in [json!(""), json!("a".repeat(256)), json!("é"), json!("a b"), json!("a\n"), json!(1), json!(["a"])]
        {
            assert_eq!(subject(&with("sub", bad.clone())), Err(TokenProblem::Subject), "{bad}");
        }
    }

    #[test]
    fn a_token_of_the_future_waits() {
        assert_eq!(check_not_before(&with("nbf", json!(1_000_060)), NOW), Ok(()));
        assert_eq!(check_not_before(&with("nbf", json!(1_000_061)), NOW), Err(TokenProblem::NotYetValid));
    }
}
