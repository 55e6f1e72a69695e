//! Verifies requests that a gateway signed (RFC 9421 section 3.2): for the demonstration's application and for tests.
//!
//! Stricter than the RFC asks. `Signature-Input` and `Signature` hold one member each, ours: a request that carries a
//! second signature, of whatever label, did not come straight from the gateway and is refused. A header under the
//! identity prefix that is not covered is refused too, whatever it is spelled like.

use std::time::Duration;

use super::Algorithm;
use super::base::{push_derived, push_field, push_params};
use super::component::{Component, Target};
use super::params::{self, SignatureInput};
use crate::clock::Timestamp;
pub use crate::crypto::key_set::VerifyingKeys;
use crate::http_ext::{folded_name, folds_to, folds_under};

/// How far the clocks of the gateway and of an application may differ.
const SKEW: Duration = Duration::from_secs(60);

/// A request as an application received it.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedRequest<'a> {
    /// From the request line and `Host`.
    pub target: Target<'a>,
    /// Every field line in order: name as received, and value.
    pub headers: &'a [(String, Vec<u8>)],
}

/// What a signature that holds says. An application must look at no identity but what is covered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified {
    /// The key that signed.
    pub keyid: String,
    /// Lower-case names of the covered fields.
    pub fields: Vec<String>,
    /// Unique to this request; an application that remembers it until `expires` stops replays altogether.
    pub nonce: String,
    /// When the signature ends.
    pub expires: Timestamp,
}

/// Why a request must not be believed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// The signature names another algorithm than its key's.
    #[error("the signature's algorithm is not its key's")]
    AlgorithmMismatch,
    /// A covered component is listed twice, or one of the four derived ones is missing.
    #[error("the signature does not cover method, authority, path and query, and everything once")]
    Coverage,
    /// A covered header came more than once.
    #[error("the header {0} came more than once")]
    Duplicate(String),
    /// Too old.
    #[error("the signature has expired")]
    Expired,
    /// `Signature-Input` or `Signature` is not what the gateway writes, or has a second member.
    #[error("the signature is not in the form that the gateway gives it")]
    Malformed,
    /// A covered header is not there.
    #[error("the header {0} is signed and missing")]
    MissingHeader(String),
    /// A covered header holds bytes that its signature could not cover.
    #[error("the header {0} holds bytes outside ASCII")]
    NotAscii(String),
    /// From the future.
    #[error("the signature was made in the future")]
    NotYetValid,
    /// Something was changed on its way, or another key signed.
    #[error("the signature does not hold")]
    Signature,
    /// For another application.
    #[error("the signature is for another application")]
    Tag,
    /// An identity header that the signature does not cover.
    #[error("the header {0} is not signed")]
    Uncovered(String),
    /// Signed under a key that is not at hand; the JWK Set may have a newer one.
    #[error("the signature is by an unknown key")]
    UnknownKey,
    /// The request carries no signature.
    #[error("the request is not signed")]
    Unsigned,
}

/// Verifies that a gateway which holds one of `keys` made `request` for the application `expected_tag`, within the
/// signature's time. `identity_prefix` (`X-Agent-`) tells which headers must be covered; the assertion among them
/// proves itself.
///
/// # Errors
///
/// [`VerifyError`] where the request must not be believed.
pub fn verify(
    request: &ReceivedRequest<'_>,
    keys: &VerifyingKeys,
    expected_tag: &str,
    identity_prefix: &str,
    now: Timestamp,
) -> Result<Verified, VerifyError> {
    let input = params::parse_input(single(request, "signature-input")?).map_err(|_| VerifyError::Malformed)?;
    let signature = params::parse_signature(single(request, "signature")?).map_err(|_| VerifyError::Malformed)?;
    let key = keys.find(input.params.keyid).ok_or(VerifyError::UnknownKey)?;
    if Algorithm::of(key.key_type()) != Some(input.params.alg) {
        return Err(VerifyError::AlgorithmMismatch);
    }
    let base = signature_base(request, &input)?;
    if !key.verify(base.as_bytes(), &signature) {
        return Err(VerifyError::Signature);
    }
    check_params(&input, expected_tag, now)?;
    let fields = covered_fields(&input)?;
    refuse_uncovered(request, &fields, identity_prefix)?;
    Ok(Verified {
        keyid: input.params.keyid.to_owned(),
        nonce: input.params.nonce.to_owned(),
        expires: input.params.expires,
        fields,
    })
}

/// The one field line of that name, in whatever spelling.
fn single<'a>(request: &ReceivedRequest<'a>, name: &str) -> Result<&'a str, VerifyError> {
    let mut lines = request.headers.iter().filter(|(received, _)| folds_to(received, name));
    match (lines.next(), lines.next()) {
        (None, _) => Err(VerifyError::Unsigned),
        (Some((received, value)), None) if received.eq_ignore_ascii_case(name) => {
            std::str::from_utf8(value).map_err(|_| VerifyError::Malformed)
        }
        _ => Err(VerifyError::Malformed),
    }
}

fn signature_base(request: &ReceivedRequest<'_>, input: &SignatureInput<'_>) -> Result<String, VerifyError> {
    let mut base = String::new();
    for component in &input.components {
        match component {
            Component::Field { name, .. } => push_covered_field(&mut base, component, name, request)?,
            derived => push_derived(&mut base, derived, &request.target),
        }
    }
    push_params(&mut base, input.text);
    Ok(base)
}

fn push_covered_field(
    base: &mut String,
    component: &Component,
    name: &str,
    request: &ReceivedRequest<'_>,
) -> Result<(), VerifyError> {
    let lines = request.headers.iter().filter(|(received, _)| received.eq_ignore_ascii_case(name));
    let values: Vec<&[u8]> = lines.map(|(_, value)| value.as_slice()).collect();
    match values.len() {
        0 => Err(VerifyError::MissingHeader(name.to_owned())),
        1 => push_field(base, component, &values).map_err(|_| VerifyError::NotAscii(name.to_owned())),
        _ => Err(VerifyError::Duplicate(name.to_owned())),
    }
}

fn check_params(input: &SignatureInput<'_>, expected_tag: &str, now: Timestamp) -> Result<(), VerifyError> {
    if input.params.tag != params::escaped(expected_tag) {
        Err(VerifyError::Tag)
    } else if input.params.created > now.plus(SKEW) {
        Err(VerifyError::NotYetValid)
    } else if input.params.expires.plus(SKEW) <= now || input.params.expires < input.params.created {
        Err(VerifyError::Expired)
    } else {
        Ok(())
    }
}

/// The names of the covered fields, where the derived components are covered and nothing is covered twice.
fn covered_fields(input: &SignatureInput<'_>) -> Result<Vec<String>, VerifyError> {
    let mut names: Vec<&str> = input.components.iter().map(Component::name).collect();
    names.sort_unstable();
    let once = names.windows(2).all(|pair| pair[0] != pair[1]);
    if !once || !Component::DERIVED.iter().all(|derived| input.components.contains(derived)) {
        return Err(VerifyError::Coverage);
    }
    Ok(names.into_iter().filter(|name| !name.starts_with('@')).map(str::to_owned).collect())
}

/// Refuses every header that an application may take for an identity and that is not covered: whatever folds under the
/// prefix, and every other spelling of a covered name.
fn refuse_uncovered(request: &ReceivedRequest<'_>, fields: &[String], prefix: &str) -> Result<(), VerifyError> {
    let prefix = folded_name(prefix);
    let assertion = format!("{prefix}assertion");
    let mut assertions = 0;
    for (name, _) in request.headers {
        let covered = fields.iter().any(|field| name.eq_ignore_ascii_case(field));
        let reserved = folds_under(name, &prefix) || fields.iter().any(|field| folds_to(name, &folded_name(field)));
        if name.eq_ignore_ascii_case(&assertion) && assertions == 0 {
            assertions += 1;
        } else if reserved && !covered {
            return Err(VerifyError::Uncovered(name.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::crypto::key_ring::KeyRing;
    use crate::crypto::signing::{KeyType, SigningKey, VerifyingKey};
    use crate::signature::{CoveredFields, Signer};

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const TARGET: Target<'static> =
        Target { method: "GET", authority: "paie.example", path: "/a/b", query: Some("x=1&y=%20") };

    /// A signed request, to be tampered with.
    struct Sent {
        target: Target<'static>,
        headers: Vec<(String, Vec<u8>)>,
        keys: VerifyingKeys,
    }

    impl Sent {
        fn new(key_type: KeyType, identity: &[(&str, &[u8])]) -> Self {
            let ring = KeyRing::ephemeral(NOW);
            let shared = SigningKey::hmac_sha256("paie", b"secret");
            let keys = VerifyingKeys::from_jwks(ring.jwks()).unwrap();
            let keys = keys.with("paie", VerifyingKey::hmac_sha256(b"secret"));
            let key = ring.request_key(key_type, NOW).map_or(&shared, |key| key);
            let mut sent = Self { target: TARGET, headers: Vec::new(), keys };
            sent.add("Host", b"paie.example");
            identity.iter().for_each(|(name, value)| sent.add(name, value));
            sent.sign(key, identity);
            sent
        }

        fn sign(&mut self, key: &SigningKey, identity: &[(&str, &[u8])]) {
            let values: Vec<_> =
                identity.iter().map(|(name, value)| (*name, HeaderValue::from_bytes(value).unwrap())).collect();
            let covered = CoveredFields::new(values.iter().map(|(name, value)| (*name, value)));
            let signer = Signer::new("paie".into(), Duration::from_secs(60));
            let fields = signer.sign(key, &self.target, &covered, NOW, "nonce");
            self.add("Signature-Input", fields.signature_input.as_bytes());
            self.add("Signature", fields.signature.as_bytes());
            self.add("X-Agent-Assertion", b"a.b.c");
        }

        fn add(&mut self, name: &str, value: &[u8]) {
            self.headers.push((name.to_owned(), value.to_vec()));
        }

        fn value_mut(&mut self, name: &str) -> &mut Vec<u8> {
            &mut self.headers.iter_mut().find(|(known, _)| known == name).unwrap().1
        }

        fn replace(&mut self, name: &str, from: &str, to: &str) {
            let value = self.value_mut(name);
            let text = String::from_utf8(value.clone()).unwrap();
            assert!(text.contains(from), "{text}");
            *value = text.replace(from, to).into_bytes();
        }

        fn outcome_at(&self, now: Timestamp) -> Result<Verified, VerifyError> {
            let request = ReceivedRequest { target: self.target, headers: &self.headers };
            verify(&request, &self.keys, "paie", "X-Agent-", now)
        }

        fn outcome(&self) -> Result<Verified, VerifyError> {
            self.outcome_at(NOW)
        }
    }

    const IDENTITY: [(&str, &[u8]); 2] = [("X-Agent-Sub", b"s-1"), ("Remote-User", b"zo%C3%AB")];

    fn sent() -> Sent {
        Sent::new(KeyType::Ed25519, &IDENTITY)
    }

    fn tampered(tamper: impl Fn(&mut Sent)) -> Option<VerifyError> {
        let mut sent = sent();
        tamper(&mut sent);
        sent.outcome().err()
    }

    #[test]
    fn a_request_verifies_under_each_algorithm() {
        for key_type in [KeyType::Ed25519, KeyType::EcdsaP256, KeyType::HmacSha256] {
            let verified = Sent::new(key_type, &IDENTITY).outcome().unwrap();
            assert_eq!(verified.fields, ["remote-user", "x-agent-sub"]);
            assert_eq!((verified.nonce.as_str(), verified.expires.as_secs()), ("nonce", NOW.as_secs() + 60));
        }
        assert_eq!(Sent::new(KeyType::Ed25519, &[]).outcome().unwrap().fields, [""; 0]);
    }

    #[test]
    fn bytes_outside_ascii_are_covered_as_byte_sequences() {
        let identity: [(&str, &[u8]); 2] = [("X-Agent-Usual-Name", "Ñandú".as_bytes()), ("X-Agent-Uid", b"Zo\xEB")];
        let mut sent = Sent::new(KeyType::Ed25519, &identity);
        assert!(sent.outcome().is_ok());
        assert!(String::from_utf8(sent.value_mut("Signature-Input").clone()).unwrap().contains("\"x-agent-uid\";bs"));
        *sent.value_mut("X-Agent-Uid") = b"Zo\xEA".to_vec();
        assert_eq!(sent.outcome(), Err(VerifyError::Signature));
    }

    #[test]
    fn every_change_of_the_target_breaks_it() {
        let changed = [
            Target { method: "POST", ..TARGET },
            Target { authority: "conges.example", ..TARGET },
            Target { path: "/a/B", ..TARGET },
            Target { query: Some("x=1&y=+"), ..TARGET },
            Target { query: None, ..TARGET },
        ];
        for target in changed {
            assert_eq!(tampered(|sent| sent.target = target), Some(VerifyError::Signature), "{target:?}");
        }
        assert_eq!(tampered(|sent| sent.target.authority = "Paie.Example"), None);
    }

    #[test]
    fn no_query_and_no_path_have_their_own_spelling() {
        let mut bare = sent();
        let key = SigningKey::hmac_sha256("paie", b"secret");
        bare.target = Target { path: "", query: None, ..TARGET };
        bare.headers.retain(|(name, _)| !name.starts_with("Sig") && name != "X-Agent-Assertion");
        bare.sign(&key, &IDENTITY);
        for target in [Target { path: "/", ..bare.target }, Target { query: Some(""), ..bare.target }] {
            bare.target = target;
            assert!(bare.outcome().is_ok());
        }
    }

    #[test]
    fn every_change_of_a_covered_header_is_noticed() {
        let name = |name: &str| name.to_owned();
        let dropped = tampered(|sent| sent.headers.retain(|(name, _)| name != "X-Agent-Sub"));
        assert_eq!(dropped, Some(VerifyError::MissingHeader(name("x-agent-sub"))));
        assert_eq!(tampered(|sent| *sent.value_mut("X-Agent-Sub") = b"s-2".to_vec()), Some(VerifyError::Signature));
        assert_eq!(tampered(|sent| *sent.value_mut("Remote-User") = b"root".to_vec()), Some(VerifyError::Signature));
        assert_eq!(
            tampered(|sent| *sent.value_mut("X-Agent-Sub") = b"\xE9".to_vec()),
            Some(VerifyError::NotAscii(name("x-agent-sub")))
        );
        for copy in ["X-Agent-Sub", "x-agent-sub", "REMOTE-USER"] {
            let outcome = tampered(|sent| sent.add(copy, b"s-1"));
            assert_eq!(outcome, Some(VerifyError::Duplicate(copy.to_ascii_lowercase())));
        }
    }

    #[test]
    fn nothing_unsigned_passes_for_an_identity() {
        for added in
            ["X-Agent-Roles", "X_Agent_Sub", "x.agent.email", "Remote_User", "X-Agent-Assertion", "X_Agent_Assertion"]
        {
            let outcome = tampered(|sent| sent.add(added, b"admin"));
            assert_eq!(outcome, Some(VerifyError::Uncovered(added.to_owned())));
        }
        assert_eq!(tampered(|sent| sent.add("X-Other", b"")), None);
    }

    #[test]
    fn a_signature_counts_in_its_time_and_for_its_application_only() {
        let at = |seconds: u64| sent().outcome_at(Timestamp::from_secs(seconds)).err();
        let now = NOW.as_secs();
        assert_eq!([at(now - 60), at(now + 119)], [None, None]);
        assert_eq!(at(now - 61), Some(VerifyError::NotYetValid));
        assert_eq!(at(now + 120), Some(VerifyError::Expired));
        let sent = sent();
        let request = ReceivedRequest { target: sent.target, headers: &sent.headers };
        assert_eq!(verify(&request, &sent.keys, "conges", "X-Agent-", NOW), Err(VerifyError::Tag));
    }

    #[test]
    fn parameters_are_signed_too() {
        for (from, to, outcome) in [
            ("created=1800000000", "created=1800000001", VerifyError::Signature),
            ("expires=1800000060", "expires=1900000060", VerifyError::Signature),
            ("tag=\"paie\"", "tag=\"conges\"", VerifyError::Signature),
            ("nonce=\"nonce\"", "nonce=\"again\"", VerifyError::Signature),
            ("alg=\"ed25519\"", "alg=\"hmac-sha256\"", VerifyError::AlgorithmMismatch),
            ("keyid=\"", "keyid=\"x", VerifyError::UnknownKey),
            (" \"x-agent-sub\"", "", VerifyError::Signature),
            ("\"@method\" ", "", VerifyError::Signature),
        ] {
            assert_eq!(tampered(|sent| sent.replace("Signature-Input", from, to)), Some(outcome), "{from} -> {to}");
        }
    }

    #[test]
    fn coverage_is_checked_even_under_a_signature_that_holds() {
        let key = SigningKey::hmac_sha256("paie", b"secret");
        for components in
            ["\"@method\" \"@authority\" \"@path\"", "\"@method\" \"@authority\" \"@path\" \"@query\" \"@method\""]
        {
            let params =
                ";created=1800000000;expires=1800000060;keyid=\"paie\";alg=\"hmac-sha256\";nonce=\"n\";tag=\"paie\"";
            let text = format!("portillon=({components}){params}");
            let input = params::parse_input(&text).unwrap();
            let mut sent = Sent::new(KeyType::HmacSha256, &[]);
            let request = ReceivedRequest { target: sent.target, headers: &[] };
            let signed = key.sign(signature_base(&request, &input).unwrap().as_bytes());
            *sent.value_mut("Signature-Input") = text.clone().into_bytes();
            *sent.value_mut("Signature") = super::super::sign::tests::byte_sequence(&signed);
            assert_eq!(sent.outcome(), Err(VerifyError::Coverage));
        }
    }

    #[test]
    fn a_second_signature_is_one_too_many() {
        assert_eq!(tampered(|sent| sent.add("Signature-Input", b"evil=();created=1")), Some(VerifyError::Malformed));
        assert_eq!(tampered(|sent| sent.add("Signature", b"evil=:AA==:")), Some(VerifyError::Malformed));
        assert_eq!(tampered(|sent| sent.add("Signature_Input", b"x")), Some(VerifyError::Malformed));
        assert_eq!(tampered(|sent| sent.replace("Signature", ":", "::")), Some(VerifyError::Malformed));
        let appended = tampered(|sent| sent.value_mut("Signature-Input").extend(b", evil=()"));
        assert_eq!(appended, Some(VerifyError::Malformed));
        let relabelled = tampered(|sent| sent.replace("Signature-Input", "portillon=", "evil="));
        assert_eq!(relabelled, Some(VerifyError::Malformed));
        let unsigned = tampered(|sent| sent.headers.retain(|(name, _)| !name.starts_with("Sig")));
        assert_eq!(unsigned, Some(VerifyError::Unsigned));
    }

    #[test]
    fn another_gateway_s_key_does_not_verify() {
        let mut sent = sent();
        sent.keys = VerifyingKeys::from_jwks(KeyRing::ephemeral(NOW).jwks()).unwrap();
        assert_eq!(sent.outcome(), Err(VerifyError::UnknownKey));
    }
}
