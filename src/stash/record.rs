//! A kept form as bytes, before they are sealed: a version, the length of its head, the head in postcard, the body.

use bytes::Bytes;
use http::HeaderValue;
use serde::{Deserialize, Serialize};

use super::{Form, Kept};
use crate::clock::Timestamp;

const VERSION: u8 = 1;

/// A form and whose it is.
pub(super) struct Record {
    pub(super) sub: String,
    pub(super) browser: [u8; 16],
    pub(super) kept: Kept,
}

#[derive(Deserialize, Serialize)]
struct Head {
    sub: String,
    browser: [u8; 16],
    at: Timestamp,
    until: Timestamp,
    sent_at: Option<Timestamp>,
    target: String,
    content_type: Option<Vec<u8>>,
    origin: Option<Vec<u8>>,
    referer: Option<Vec<u8>>,
    same_origin: bool,
}

/// The bytes of a form of `sub`'s, sent from `browser`.
pub(super) fn encode(kept: &Kept, sub: &str, browser: &[u8; 16]) -> Vec<u8> {
    let field = |value: &Option<HeaderValue>| value.as_ref().map(|value| value.as_bytes().to_vec());
    let head = Head {
        sub: sub.to_owned(),
        browser: *browser,
        at: kept.at,
        until: kept.until,
        sent_at: kept.sent_at,
        target: kept.form.target.clone(),
        content_type: field(&kept.form.content_type),
        origin: field(&kept.form.origin),
        referer: field(&kept.form.referer),
        same_origin: kept.form.same_origin,
    };
    let head = postcard::to_stdvec(&head).expect("a form is plain data");
    let length = u32::try_from(head.len()).expect("a head is short").to_be_bytes();
    [&[VERSION][..], &length, &head, &kept.form.body].concat()
}

impl Record {
    /// Reads what [`encode`] wrote; another version is no form.
    pub(super) fn decode(bytes: Vec<u8>) -> Option<Self> {
        let mut body = Bytes::from(bytes);
        let start = body.split_to_checked(5)?;
        let length = u32::from_be_bytes(start[1..].try_into().ok()?);
        let head = body.split_to_checked(usize::try_from(length).ok()?)?;
        let head: Head = (start[0] == VERSION).then(|| postcard::from_bytes(&head).ok())??;
        let field = |value: Option<Vec<u8>>| value.and_then(|value| HeaderValue::from_bytes(&value).ok());
        let form = Form {
            target: head.target,
            content_type: field(head.content_type),
            origin: field(head.origin),
            referer: field(head.referer),
            same_origin: head.same_origin,
            body,
        };
        let kept = Kept { form, at: head.at, until: head.until, sent_at: head.sent_at };
        Some(Self { sub: head.sub, browser: head.browser, kept })
    }
}

trait SplitToChecked: Sized {
    fn split_to_checked(&mut self, length: usize) -> Option<Self>;
}

impl SplitToChecked for Bytes {
    fn split_to_checked(&mut self, length: usize) -> Option<Self> {
        (length <= self.len()).then(|| self.split_to(length))
    }
}
