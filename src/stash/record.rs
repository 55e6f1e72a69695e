//! A kept form as the store has it: sealed by the store, and with whose it is.

use std::fmt;

use bytes::Bytes;
use http::HeaderValue;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Form, Owner};
use crate::clock::Timestamp;
use crate::crypto::equal;

/// A form, and whose it is.
#[derive(Deserialize, Serialize)]
pub(super) struct Record {
    host: String,
    sub: String,
    browser: [u8; 16],
    pub(super) at: Timestamp,
    pub(super) until: Timestamp,
    target: String,
    content_type: Option<Vec<u8>>,
    origin: Option<Vec<u8>>,
    referer: Option<Vec<u8>>,
    same_origin: bool,
    body: Body,
}

/// Bytes that are written as a whole, not one by one.
struct Body(Bytes);

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Body;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Body, E> {
                Ok(Body(Bytes::copy_from_slice(bytes)))
            }
        }
        deserializer.deserialize_bytes(Whole)
    }
}

impl Record {
    pub(super) fn new(form: Form, owner: Owner<'_>, at: Timestamp, until: Timestamp) -> Self {
        let field = |value: Option<HeaderValue>| value.map(|value| value.as_bytes().to_vec());
        Self {
            host: owner.host.to_owned(),
            sub: owner.agent.sub.to_owned(),
            browser: *owner.browser.secret(),
            at,
            until,
            target: form.target,
            content_type: field(form.content_type),
            origin: field(form.origin),
            referer: field(form.referer),
            same_origin: form.same_origin,
            body: Body(form.body),
        }
    }

    pub(super) fn is_of(&self, owner: Owner<'_>) -> bool {
        self.host == owner.host && self.sub == owner.agent.sub && equal(&self.browser, owner.browser.secret())
    }

    pub(super) fn into_form(self) -> Form {
        let field = |value: Option<Vec<u8>>| value.and_then(|value| HeaderValue::from_bytes(&value).ok());
        Form {
            target: self.target,
            content_type: field(self.content_type),
            origin: field(self.origin),
            referer: field(self.referer),
            same_origin: self.same_origin,
            body: self.body.0,
        }
    }
}
