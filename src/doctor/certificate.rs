//! What a certificate says (RFC 5280): until when, and who signed it.

use std::time::Duration;

use x509_parser::parse_x509_certificate;

use super::Finding;
use crate::clock::Timestamp;

const DAY: u64 = 24 * 3600;
/// Before a certificate ends there should be time to get another one.
const SOON: Duration = Duration::from_secs(21 * DAY);

/// The part of a certificate that findings are about.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Facts {
    /// Seconds since 1970.
    not_before: i64,
    not_after: i64,
    issuer: Vec<u8>,
    subject: Vec<u8>,
}

/// Codes of the findings about the end of a certificate.
pub(super) struct Codes {
    pub(super) expired: &'static str,
    pub(super) expires: &'static str,
    pub(super) fine: &'static str,
}

impl Facts {
    /// What `der` says; none where it is no certificate.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(der).ok()?;
        Some(Self {
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            issuer: certificate.issuer().as_raw().to_vec(),
            subject: certificate.subject().as_raw().to_vec(),
        })
    }

    /// Whether `other` may have signed it.
    pub(super) fn is_signed_by(&self, other: &Self) -> bool {
        self.issuer == other.subject
    }

    pub(super) fn is_self_signed(&self) -> bool {
        self.is_signed_by(self)
    }

    /// Whether it is good now, and for how long.
    pub(super) fn lifetime(&self, about: &str, now: Timestamp, codes: &Codes) -> Finding {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let left = u64::try_from(self.not_after.saturating_sub(now)).unwrap_or(0);
        let days = left / DAY;
        if now < self.not_before {
            let message = "the certificate is not valid yet";
            return Finding::fault(
                codes.expired,
                about,
                message,
                "check the clock of this machine, and the certificate",
            );
        }
        match left {
            0 => Finding::fault(codes.expired, about, "the certificate has ended", "install a new one"),
            left if left < SOON.as_secs() => {
                let message = format!("the certificate ends in {days} days");
                Finding::advice(codes.expires, about, message, "have it renewed, and see why nothing did so by itself")
            }
            _ => Finding::fine(codes.fine, about, format!("the certificate is good for {days} days")),
        }
    }
}
