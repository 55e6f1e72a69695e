//! How a claim's value is written into a header field (`[identity] encoding`).
//!
//! Whatever the encoding and the value, the result is one legal field value (RFC 9110 section 5.5) without control
//! characters. A list is its elements, each encoded, joined with `,`: a comma inside an element is never a bare one.

use std::fmt::Write as _;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderValue;

use super::ClaimValue;

/// The encoding of identity header values.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Encoding {
    /// base64url without padding of the UTF-8; a list is the base64url of each element.
    Base64Url,
    /// ISO-8859-1; a character outside it becomes `?`. Control characters, and commas inside an element of a list,
    /// become `%XX`; `%` itself does not.
    Latin1,
    /// Every byte of the UTF-8 outside `0x21`–`0x7E`, and `%`, becomes `%XX`; nothing else does, but commas inside an
    /// element of a list.
    #[default]
    Percent,
    /// RFC 2047 encoded-words (`=?UTF-8?B?…?=`) where the value is not plain ASCII, or is an element of a list and
    /// holds a comma.
    Rfc2047,
    /// The UTF-8 bytes as they are. Control characters, and commas inside an element of a list, become `%XX`; `%`
    /// itself does not.
    Utf8,
}

/// The name is not one of `percent`, `utf8`, `latin1`, `base64url` and `rfc2047`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an encoding is one of percent, utf8, latin1, base64url, rfc2047")]
pub struct UnknownEncoding;

/// Whether a comma would be read as the border of two elements.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    Alone,
    InList,
}

impl Encoding {
    /// The field value of a claim. An empty string and an empty list have an empty one.
    #[must_use]
    pub fn encode(self, value: &ClaimValue) -> HeaderValue {
        let mut bytes = Vec::new();
        match value {
            ClaimValue::Json(text) | ClaimValue::Text(text) => self.write(&mut bytes, text, Place::Alone),
            ClaimValue::List(elements) => {
                for (at, element) in elements.iter().enumerate() {
                    if at > 0 {
                        bytes.push(b',');
                    }
                    self.write(&mut bytes, element, Place::InList);
                }
            }
        }
        // An upstream would drop blanks at either end; dropping them here keeps what is signed what is received.
        HeaderValue::from_bytes(bytes.trim_ascii()).expect("no encoding leaves a control character")
    }

    fn write(self, bytes: &mut Vec<u8>, text: &str, place: Place) {
        match self {
            Self::Base64Url => bytes.extend(URL_SAFE_NO_PAD.encode(text).into_bytes()),
            Self::Latin1 => write_latin1(bytes, text, place),
            Self::Percent => write_percent(bytes, text, place),
            Self::Rfc2047 => write_rfc2047(bytes, text, place),
            Self::Utf8 => write_utf8(bytes, text, place),
        }
    }
}

impl FromStr for Encoding {
    type Err = UnknownEncoding;

    /// Reads the name that the configuration gives it.
    fn from_str(name: &str) -> Result<Self, UnknownEncoding> {
        match name {
            "base64url" => Ok(Self::Base64Url),
            "latin1" => Ok(Self::Latin1),
            "percent" => Ok(Self::Percent),
            "rfc2047" => Ok(Self::Rfc2047),
            "utf8" => Ok(Self::Utf8),
            _ => Err(UnknownEncoding),
        }
    }
}

fn write_percent(bytes: &mut Vec<u8>, text: &str, place: Place) {
    for byte in text.bytes() {
        match byte {
            b'%' => push_escaped(bytes, byte),
            b',' if place == Place::InList => push_escaped(bytes, byte),
            b'!'..=b'~' => bytes.push(byte),
            _ => push_escaped(bytes, byte),
        }
    }
}

fn write_utf8(bytes: &mut Vec<u8>, text: &str, place: Place) {
    for character in text.chars() {
        let mut buffer = [0; 4];
        let encoded = character.encode_utf8(&mut buffer).bytes();
        if must_escape(character, place) {
            encoded.for_each(|byte| push_escaped(bytes, byte));
        } else {
            bytes.extend(encoded);
        }
    }
}

fn write_latin1(bytes: &mut Vec<u8>, text: &str, place: Place) {
    for character in text.chars() {
        // Never a cast: it would make U+010A, `Ċ`, a line feed.
        match u8::try_from(character) {
            Ok(byte) if must_escape(character, place) => push_escaped(bytes, byte),
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.push(b'?'),
        }
    }
}

/// C0, DEL and C1 controls everywhere; a comma where it would end an element.
fn must_escape(character: char, place: Place) -> bool {
    character.is_control() || (character == ',' && place == Place::InList)
}

/// An encoded-word is at most 75 characters (RFC 2047 section 2) and never splits a character (section 5).
const ENCODED_WORD_BYTES: usize = 45;

fn write_rfc2047(bytes: &mut Vec<u8>, text: &str, place: Place) {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim() == text && !text.contains("=?");
    if plain && !(place == Place::InList && text.contains(',')) {
        bytes.extend(text.bytes());
        return;
    }
    let mut words = Vec::new();
    let mut word = String::new();
    for character in text.chars() {
        if word.len() + character.len_utf8() > ENCODED_WORD_BYTES {
            words.push(std::mem::take(&mut word));
        }
        word.push(character);
    }
    words.push(word);
    let encoded: Vec<_> = words.iter().map(|word| format!("=?UTF-8?B?{}?=", STANDARD.encode(word))).collect();
    // A decoder drops the space between two encoded-words (section 6.2).
    bytes.extend(encoded.join(" ").into_bytes());
}

fn push_escaped(bytes: &mut Vec<u8>, byte: u8) {
    let mut escaped = String::with_capacity(3);
    // Writing into a string cannot fail.
    let _ = write!(escaped, "%{byte:02X}");
    bytes.extend(escaped.into_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Encoding; 5] =
        [Encoding::Base64Url, Encoding::Latin1, Encoding::Percent, Encoding::Rfc2047, Encoding::Utf8];

    fn text(encoding: Encoding, value: &str) -> Vec<u8> {
        encoding.encode(&ClaimValue::Text(value.to_owned())).as_bytes().to_vec()
    }

    fn list(encoding: Encoding, elements: &[&str]) -> String {
        let elements = elements.iter().map(ToString::to_string).collect();
        String::from_utf8(encoding.encode(&ClaimValue::List(elements)).as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn percent_escapes_what_is_not_visible_ascii_and_the_percent_sign() {
        assert_eq!(text(Encoding::Percent, "Éloïse Ñandú"), b"%C3%89lo%C3%AFse%20%C3%91and%C3%BA");
        assert_eq!(text(Encoding::Percent, "100 % d'accord, \"oui\""), b"100%20%25%20d'accord,%20\"oui\"");
        assert_eq!(text(Encoding::Percent, "a\r\nX-Agent-Roles: admin"), b"a%0D%0AX-Agent-Roles:%20admin");
        assert_eq!(text(Encoding::Percent, ""), b"");
    }

    #[test]
    fn the_other_encodings_write_accents_their_own_way() {
        assert_eq!(text(Encoding::Utf8, "Zoë 東"), "Zoë 東".as_bytes());
        assert_eq!(text(Encoding::Latin1, "Zoë 東"), b"Zo\xEB ?");
        assert_eq!(text(Encoding::Base64Url, "Zoë"), b"Wm_Dqw");
        assert_eq!(text(Encoding::Rfc2047, "Zoë"), b"=?UTF-8?B?Wm/Dqw==?=");
        assert_eq!(text(Encoding::Rfc2047, "Jean Valjean"), b"Jean Valjean");
        assert_eq!(text(Encoding::Rfc2047, "=?UTF-8?B?Wm8=?="), b"=?UTF-8?B?PT9VVEYtOD9CP1dtOD0/PQ==?=");
    }

    #[test]
    fn a_long_value_is_several_encoded_words_of_whole_characters() {
        let words = String::from_utf8(text(Encoding::Rfc2047, &"é東👩".repeat(20))).unwrap();
        let decode = |word: &str| {
            let base64 = word.strip_prefix("=?UTF-8?B?").unwrap().strip_suffix("?=").unwrap();
            String::from_utf8(STANDARD.decode(base64).unwrap()).unwrap()
        };
        assert!(words.split(' ').all(|word| word.len() <= 75));
        assert_eq!(words.split(' ').map(decode).collect::<String>(), "é東👩".repeat(20));
    }

    #[test]
    fn a_comma_inside_an_element_is_no_border_of_elements() {
        for encoding in ALL {
            let written = list(encoding, &["a,b", "c"]);
            assert_eq!(written.matches(',').count(), 1, "{encoding:?}: {written}");
        }
        assert_eq!(list(Encoding::Percent, &["a,b", "c"]), "a%2Cb,c");
        assert_eq!(list(Encoding::Utf8, &["a,b", "c"]), "a%2Cb,c");
        assert_eq!(list(Encoding::Percent, &[]), "");
        assert_eq!(text(Encoding::Percent, "Dupont, Jean"), b"Dupont,%20Jean");
    }

    #[test]
    fn objects_are_compact_json_then_encoded() {
        let custom = ClaimValue::Json(r#"{"service":"Été"}"#.to_owned());
        assert_eq!(Encoding::Percent.encode(&custom), r#"{"service":"%C3%89t%C3%A9"}"#);
    }

    #[test]
    fn no_hostile_value_gets_a_control_character_out() {
        let hostile = [
            "a\r\nX-Agent-Roles: admin",
            "a\nb",
            "a\rb",
            "a\0b",
            "\u{7f}",
            "\u{85}",
            "\u{2028}",
            "\u{10a}",
            "\u{560a}",
            "\t a \t",
        ];
        for encoding in ALL {
            for value in hostile {
                let written = text(encoding, value);
                assert!(!written.iter().any(|byte| byte.is_ascii_control()), "{encoding:?} {value:?}");
                assert_eq!(list(Encoding::Percent, &[value, value]).matches(',').count(), 1);
            }
        }
        assert_eq!(text(Encoding::Latin1, "\u{10a}\u{85}"), b"?%85");
    }

    #[test]
    fn every_name_of_the_configuration_is_known() {
        for (name, encoding) in ["base64url", "latin1", "percent", "rfc2047", "utf8"].into_iter().zip(ALL) {
            assert_eq!(name.parse(), Ok(encoding));
        }
        assert_eq!("Percent".parse::<Encoding>(), Err(UnknownEncoding));
    }

    proptest! {
        #[test]
        fn percent_is_visible_ascii_and_decodes_to_what_it_was(value in any::<String>()) {
            let written = text(Encoding::Percent, &value);
            prop_assert!(written.iter().all(u8::is_ascii_graphic));
            let decoded: Vec<u8> = percent_encoding::percent_decode(&written).collect();
            prop_assert_eq!(decoded, value.as_bytes());
        }

        #[test]
        fn a_list_decodes_to_its_elements(elements in proptest::collection::vec(any::<String>(), 1..5)) {
            let written = Encoding::Percent.encode(&ClaimValue::List(elements.clone()));
            let decoded: Vec<String> = written.to_str().unwrap().split(',')
                .map(|element| percent_encoding::percent_decode_str(element).decode_utf8().unwrap().into_owned())
                .collect();
            prop_assert_eq!(decoded, elements);
        }

        #[test]
        fn nothing_is_ever_refused(value in any::<String>()) {
            for encoding in ALL {
                let written = text(encoding, &value);
                prop_assert!(!written.iter().any(u8::is_ascii_control));
            }
        }
    }
}
