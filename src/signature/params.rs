//! Signature parameters (RFC 9421 section 2.3) and the fields that carry them (section 4), as structured fields
//! (RFC 8941).
//!
//! The parser accepts what the gateway writes and nothing else: one member, labelled `portillon`, each of our six
//! parameters once, in the one spelling of RFC 8941 section 4.1. There is no second way to say the same thing that
//! an attacker could use.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::component::Component;
use super::{Algorithm, LABEL};
use crate::clock::Timestamp;

/// What a `Signature-Input` field says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignatureInput<'a> {
    /// The member's value as it stands: the last line of the signature base.
    pub text: &'a str,
    /// The covered components in order.
    pub components: Vec<Component>,
    /// The parameters.
    pub params: Params<'a>,
}

/// The parameters of a signature, each of which we always send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Params<'a> {
    /// When it was made.
    pub created: Timestamp,
    /// When it must no longer be accepted.
    pub expires: Timestamp,
    /// The key's identifier.
    pub keyid: &'a str,
    /// The key's algorithm.
    pub alg: Algorithm,
    /// 16 random bytes in base64url.
    pub nonce: &'a str,
    /// The application that the request is for.
    pub tag: &'a str,
}

/// The field is not one that the gateway writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Malformed;

/// Writes the parameters behind a list of components.
pub fn push(text: &mut String, params: &Params<'_>) {
    // Writing into a string cannot fail.
    let _ = write!(text, ";created={};expires={};keyid=\"", params.created, params.expires);
    push_escaped(text, params.keyid);
    let _ = write!(text, "\";alg=\"{}\";nonce=\"", params.alg);
    push_escaped(text, params.nonce);
    text.push_str("\";tag=\"");
    push_escaped(text, params.tag);
    text.push('"');
}

/// The inside of a String (RFC 8941 section 3.3.3). What a String cannot hold becomes `?`; the configuration lets no
/// such audience through.
fn push_escaped(text: &mut String, value: &str) {
    // Every request comes by here: what needs no escape, which is all but an odd audience, goes in at once.
    if value.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
        text.push_str(value);
        return;
    }
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            ' '..='~' => text.push(character),
            _ => text.push('?'),
        }
    }
}

/// Reads a `Signature-Input` field value.
///
/// # Errors
///
/// [`Malformed`] where the gateway would not have written it so.
pub fn parse_input(value: &str) -> Result<SignatureInput<'_>, Malformed> {
    let text = member(value)?;
    let (list, rest) = text.strip_prefix('(').and_then(|inner| inner.split_once(')')).ok_or(Malformed)?;
    let components = list.split(' ').map(str::parse).collect::<Result<_, _>>().map_err(|_| Malformed)?;
    Ok(SignatureInput { text, components, params: parse_params(rest)? })
}

/// Reads a `Signature` field value.
///
/// # Errors
///
/// [`Malformed`] where it is not one byte sequence under our label.
pub fn parse_signature(value: &str) -> Result<Vec<u8>, Malformed> {
    let base64 = member(value)?.strip_prefix(':').and_then(|rest| rest.strip_suffix(':')).ok_or(Malformed)?;
    STANDARD.decode(base64).map_err(|_| Malformed)
}

fn member(value: &str) -> Result<&str, Malformed> {
    value.strip_prefix(LABEL).and_then(|rest| rest.strip_prefix('=')).ok_or(Malformed)
}

fn parse_params(text: &str) -> Result<Params<'_>, Malformed> {
    let (created, rest) = number(text, ";created=")?;
    let (expires, rest) = number(rest, ";expires=")?;
    let (keyid, rest) = string(rest, ";keyid=\"")?;
    let (alg, rest) = string(rest, ";alg=\"")?;
    let (nonce, rest) = string(rest, ";nonce=\"")?;
    let (tag, rest) = string(rest, ";tag=\"")?;
    let alg = alg.parse().map_err(|_| Malformed)?;
    if rest.is_empty() { Ok(Params { created, expires, keyid, alg, nonce, tag }) } else { Err(Malformed) }
}

/// An Integer without sign has at most 15 digits (RFC 8941 section 3.3.1); ours have no leading zero.
fn number<'a>(text: &'a str, name: &str) -> Result<(Timestamp, &'a str), Malformed> {
    let text = text.strip_prefix(name).ok_or(Malformed)?;
    let (digits, rest) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let canonical = (1..=15).contains(&digits.len()) && (digits == "0" || !digits.starts_with('0'));
    let seconds = digits.parse().ok().filter(|_| canonical).ok_or(Malformed)?;
    Ok((Timestamp::from_secs(seconds), rest))
}

/// A String up to its closing quote. None of ours holds a quote or a backslash but perhaps a tag, which is compared as
/// it is written.
fn string<'a>(text: &'a str, name: &str) -> Result<(&'a str, &'a str), Malformed> {
    let text = text.strip_prefix(name).ok_or(Malformed)?;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped && !matches!(byte, b'"' | b'\\') => return Err(Malformed),
            _ if escaped => escaped = false,
            b'"' => return Ok((&text[..at], &text[at + 1..])),
            b'\\' => escaped = true,
            b' '..=b'~' => {}
            _ => return Err(Malformed),
        }
    }
    Err(Malformed)
}

/// `value` as [`Params`] holds it when read: the inside of a String.
#[must_use]
pub fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    push_escaped(&mut text, value);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: &str = "portillon=(\"@method\" \"x-agent-sub\");created=1;expires=61;keyid=\"k\";alg=\"ed25519\";nonce=\"n\";tag=\"paie\"";

    #[test]
    fn what_is_written_reads_back() {
        let params = Params {
            created: Timestamp::from_secs(1),
            expires: Timestamp::from_secs(61),
            keyid: "k",
            alg: Algorithm::Ed25519,
            nonce: "n",
            tag: "paie",
        };
        let mut text = "portillon=(\"@method\" \"x-agent-sub\")".to_owned();
        push(&mut text, &params);
        assert_eq!(text, INPUT);
        let input = parse_input(&text).unwrap();
        assert_eq!((input.params, input.components.len()), (params, 2));
        assert_eq!(input.text, &INPUT["portillon=".len()..]);
    }

    #[test]
    fn a_tag_may_hold_a_quote() {
        let text = INPUT.replace("paie", "a\\\"b\\\\;c");
        let input = parse_input(&text).unwrap();
        assert_eq!(input.params.tag, escaped("a\"b\\;c"));
    }

    #[test]
    fn every_other_spelling_is_refused() {
        let cases = [
            ("portillon=", "sig1="),
            ("portillon=", " portillon="),
            ("portillon=", "a=1, portillon="),
            ("tag=\"paie\"", "tag=\"paie\", evil=()"),
            (";tag=\"paie\"", ""),
            (";tag=\"paie\"", ";tag=\"paie\";tag=\"autre\""),
            (";tag=\"paie\"", ";tag=\"paie\";x"),
            (";tag=\"paie\"", ";tag=paie"),
            (";tag=\"paie\"", ";tag=\"pa\\ie\""),
            (";tag=\"paie\"", ";tag=\"paié\""),
            ("created=1;", "created=01;"),
            ("created=1;", "created=-1;"),
            ("created=1;", "created=1.0;"),
            ("created=1;", "created=1000000000000000;"),
            ("created=1;expires=61", "expires=61;created=1"),
            ("ed25519", "rsa-pss-sha512"),
            ("\"@method\" ", "\"@method\"  "),
            ("\"@method\" ", "( "),
            ("(\"@method\" \"x-agent-sub\")", "()"),
            ("(\"@method\" \"x-agent-sub\")", "\"@method\""),
        ];
        for (from, to) in cases {
            assert_eq!(parse_input(&INPUT.replace(from, to)), Err(Malformed), "{from} -> {to}");
        }
    }

    #[test]
    fn a_signature_is_one_byte_sequence() {
        assert_eq!(parse_signature("portillon=:AAE=:"), Ok(vec![0, 1]));
        for text in
            ["portillon=:AAE:", "portillon=AAE=", "sig=:AAE=:", "portillon=:AAE=:, a=:AAE=:", "portillon=:AAF=:", ""]
        {
            assert_eq!(parse_signature(text), Err(Malformed), "{text}");
        }
    }
}
