//! The signature base (RFC 9421 section 2.5): one line per covered component, then the signature parameters.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::component::{Component, Target};

/// A covered field that cannot be written into a signature base.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotAscii;

/// Adds the line of a derived component (section 2.2).
pub fn push_derived(base: &mut String, component: &Component, target: &Target<'_>) {
    push_name(base, component);
    match component {
        // Compared without regard to case, so signed in lower case (section 2.2.3).
        Component::Authority => {
            let at = base.len();
            base.push_str(target.authority);
            base[at..].make_ascii_lowercase();
        }
        Component::Field { .. } => {}
        Component::Method => base.push_str(target.method),
        Component::Path => base.push_str(if target.path.is_empty() { "/" } else { target.path }),
        Component::Query => {
            base.push('?');
            base.push_str(target.query.unwrap_or_default());
        }
    }
    base.push('\n');
}

/// Adds the line of a field whose field lines have these values, in the order of the message (section 2.1).
///
/// # Errors
///
/// [`NotAscii`] where a value that is not wrapped as a byte sequence is not ASCII.
pub fn push_field(base: &mut String, component: &Component, values: &[&[u8]]) -> Result<(), NotAscii> {
    push_name(base, component);
    let wrapped = matches!(component, Component::Field { bs: true, .. });
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            base.push_str(", ");
        }
        let value = trim_blanks(value);
        if wrapped {
            base.push(':');
            STANDARD.encode_string(value, base);
            base.push(':');
        } else {
            base.push_str(std::str::from_utf8(value).ok().filter(|text| text.is_ascii()).ok_or(NotAscii)?);
        }
    }
    base.push('\n');
    Ok(())
}

/// Adds the last line, which has no line feed (section 2.3).
pub fn push_params(base: &mut String, params: &str) {
    base.push_str("\"@signature-params\": ");
    base.push_str(params);
}

fn push_name(base: &mut String, component: &Component) {
    base.push('"');
    base.push_str(component.name());
    base.push_str(if matches!(component, Component::Field { bs: true, .. }) { "\";bs: " } else { "\": " });
}

/// Optional whitespace is no part of a field value (RFC 9110 section 5.5).
fn trim_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    //! RFC 9421 appendix B. Its keys and its requests, in full: B.2.2 covers `@query-param` and B.3 a client's
    //! certificate, which no signature of ours does.

    use super::*;
    use crate::crypto::signing::{KeyType, SigningKey, VerifyingKey};

    const ED25519: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n\
        -----END PRIVATE KEY-----";
    const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n\
        -----END PUBLIC KEY-----";
    const P256_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf\n\
        w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==\n\
        -----END PUBLIC KEY-----";
    const SHARED: &str = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";

    const TARGET: Target<'static> =
        Target { method: "POST", authority: "example.com", path: "/foo", query: Some("param=Value&Pet=dog") };
    const DIGEST: &str =
        "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
    const FIELDS: [(&str, &str); 4] = [
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("content-type", "application/json"),
        ("content-digest", DIGEST),
        ("content-length", "18"),
    ];

    /// The base of a message for covered components and parameters as `Signature-Input` spells them.
    fn base(target: &Target<'_>, fields: &[(&str, &str)], components: &str, params: &str) -> String {
        let mut base = String::new();
        for identifier in components.split_ascii_whitespace() {
            let component: Component = identifier.parse().unwrap();
            if component.name().starts_with('@') {
                push_derived(&mut base, &component, target);
            } else {
                let lines = fields.iter().filter(|(name, _)| *name == component.name());
                let values: Vec<_> = lines.map(|(_, value)| value.as_bytes()).collect();
                push_field(&mut base, &component, &values).unwrap();
            }
        }
        push_params(&mut base, &format!("({components}){params}"));
        base
    }

    fn bytes(base64: &str) -> Vec<u8> {
        STANDARD.decode(base64).unwrap()
    }

    #[test]
    fn b_2_1_covers_nothing() {
        let params = ";created=1618884473;keyid=\"test-key-rsa-pss\";nonce=\"b3k2pp5k7z-50gnwp.yemd\"";
        let expected = "\"@signature-params\": ();created=1618884473;keyid=\"test-key-rsa-pss\"\
            ;nonce=\"b3k2pp5k7z-50gnwp.yemd\"";
        assert_eq!(base(&TARGET, &FIELDS, "", params), expected);
    }

    #[test]
    fn b_2_3_covers_the_whole_request() {
        let components = "\"date\" \"@method\" \"@path\" \"@query\" \"@authority\" \"content-type\" \
            \"content-digest\" \"content-length\"";
        let params = ";created=1618884473;keyid=\"test-key-rsa-pss\"";
        let expected = format!(
            "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\
             \"@method\": POST\n\
             \"@path\": /foo\n\
             \"@query\": ?param=Value&Pet=dog\n\
             \"@authority\": example.com\n\
             \"content-type\": application/json\n\
             \"content-digest\": {DIGEST}\n\
             \"content-length\": 18\n\
             \"@signature-params\": ({components}){params}"
        );
        assert_eq!(base(&TARGET, &FIELDS, components, params), expected);
    }

    #[test]
    fn b_2_4_verifies_a_response_by_ecdsa() {
        // `@status` is a component of responses only: its line is written out.
        let digest =
            "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:";
        let fields = [("content-type", "application/json"), ("content-digest", digest), ("content-length", "23")];
        let covered = base(&TARGET, &fields, "\"content-type\" \"content-digest\" \"content-length\"", "");
        let (lines, _) = covered.split_once("\"@signature-params\"").unwrap();
        let signed = format!(
            "\"@status\": 200\n{lines}\"@signature-params\": (\"@status\" \"content-type\" \"content-digest\" \
             \"content-length\");created=1618884473;keyid=\"test-key-ecc-p256\""
        );
        let key = VerifyingKey::from_pem(KeyType::EcdsaP256, P256_PUBLIC).unwrap();
        let signature = "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==";
        assert!(key.verify(signed.as_bytes(), &bytes(signature)));
    }

    #[test]
    fn b_2_5_signs_by_hmac() {
        let params = ";created=1618884473;keyid=\"test-shared-secret\"";
        let base = base(&TARGET, &FIELDS, "\"date\" \"@authority\" \"content-type\"", params);
        let key = SigningKey::hmac_sha256("test-shared-secret", &bytes(SHARED));
        assert_eq!(STANDARD.encode(key.sign(base.as_bytes())), "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
    }

    #[test]
    fn b_2_6_signs_by_ed25519() {
        let params = ";created=1618884473;keyid=\"test-key-ed25519\"";
        let components = "\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\"";
        let base = base(&TARGET, &FIELDS, components, params);
        let signature = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==";
        let key = SigningKey::from_pem(KeyType::Ed25519, ED25519).unwrap();
        assert_eq!(STANDARD.encode(key.sign(base.as_bytes())), signature);
        let public = VerifyingKey::from_pem(KeyType::Ed25519, ED25519_PUBLIC).unwrap();
        assert!(public.verify(base.as_bytes(), &bytes(signature)));
    }

    #[test]
    fn b_4_survives_what_intermediaries_may_do() {
        let params = ";created=1618884473;keyid=\"test-key-ed25519\"";
        let target = Target { method: "GET", authority: "example.org", path: "/demo", query: Some("name1=Value1") };
        let signature = "ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA==";
        let key = SigningKey::from_pem(KeyType::Ed25519, ED25519).unwrap();
        let signed = |fields: &[(&str, &str)]| {
            let components = "\"@method\" \"@path\" \"@authority\" \"accept\"";
            STANDARD.encode(key.sign(base(&target, fields, components, params).as_bytes()))
        };
        assert_eq!(signed(&[("accept", "application/json"), ("accept", "*/*")]), signature);
        assert_eq!(signed(&[("date", "x"), ("accept", " application/json, */*\t")]), signature);
        assert_ne!(signed(&[("accept", "*/*"), ("accept", "application/json")]), signature);
    }

    #[test]
    fn a_byte_sequence_wraps_each_line_as_in_section_2_1_3() {
        let mut text = String::new();
        let component: Component = "\"example-header\";bs".parse().unwrap();
        push_field(&mut text, &component, &[b"value, with, lots", b"of, commas"]).unwrap();
        assert_eq!(text, "\"example-header\";bs: :dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:\n");
        let plain: Component = "\"example-header\"".parse().unwrap();
        assert_eq!(push_field(&mut text, &plain, &["é".as_bytes()]), Err(NotAscii));
    }
}
