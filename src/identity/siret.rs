//! SIRET and SIREN, the numbers of establishments and of the organisations that they belong to (INSEE, répertoire
//! SIRENE; check digit of ISO/IEC 7812-1, known as Luhn).

/// La Poste ran out of numbers that pass Luhn: the digits of its SIRETs sum to a multiple of 5 instead.
const LA_POSTE: &str = "356000000";

/// Whether `text` is 14 digits that pass Luhn, or La Poste's own check.
#[must_use]
pub fn is_siret(text: &str) -> bool {
    is_digits(text, 14) && (luhn(text) || (text.starts_with(LA_POSTE) && digits(text).sum::<u32>().is_multiple_of(5)))
}

/// Whether `text` is 9 digits that pass Luhn.
#[must_use]
pub fn is_siren(text: &str) -> bool {
    is_digits(text, 9) && luhn(text)
}

/// The SIREN of the organisation that the establishment belongs to: the first 9 digits of a SIRET.
#[must_use]
pub fn siren_of_siret(siret: &str) -> Option<&str> {
    if is_siret(siret) { siret.get(..9) } else { None }
}

fn is_digits(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn digits(text: &str) -> impl DoubleEndedIterator<Item = u32> {
    text.bytes().map(|byte| u32::from(byte - b'0'))
}

fn luhn(text: &str) -> bool {
    let weighed = digits(text).rev().enumerate().map(|(at, digit)| match at % 2 {
        0 => digit,
        _ => digit * 2 / 10 + digit * 2 % 10,
    });
    weighed.sum::<u32>().is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_real_establishments_pass() {
        for siret in ["13002526500013", "11004601800013", "35600000000048", "35600000049837"] {
            assert!(is_siret(siret), "{siret}");
        }
        assert!(is_siren("130025265") && is_siren("356000000"));
    }

    #[test]
    fn a_wrong_digit_or_shape_does_not_pass() {
        for siret in [
            "13002526500014",
            "1300252650001",
            "130025265000130",
            "",
            "1300252650001a",
            "13002526 500013",
            "35600000049838",
            "١٣٠٠٢٥٢٦٥٠٠٠١٣",
        ] {
            assert!(!is_siret(siret), "{siret}");
        }
        assert!(!is_siren("130025266") && !is_siren("13002526500013"));
    }

    #[test]
    fn a_siren_is_taken_from_a_siret_that_passes_only() {
        assert_eq!(siren_of_siret("13002526500013"), Some("130025265"));
        assert_eq!(siren_of_siret("13002526500014"), None);
        assert_eq!(siren_of_siret("35600000049837"), Some("356000000"));
    }
}
