//! Values sealed into text, for a cookie or an address: postcard, sealed, in base64url.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::KeyRing;
use crate::clock::Timestamp;
use crate::crypto::aead::Purpose;
use crate::crypto::{base64url, from_base64url};

impl KeyRing {
    /// Seals `value`, which is plain data, for `purpose` in `context`: see [`KeyRing::seal`].
    #[must_use]
    pub fn seal_value(&self, purpose: Purpose, context: &str, value: &impl Serialize, now: Timestamp) -> String {
        let bytes = postcard::to_stdvec(value).expect("what is sealed is plain data");
        base64url(&self.seal(purpose, context, &bytes, now))
    }

    /// Opens what [`KeyRing::seal_value`] sealed; none where it did not.
    #[must_use]
    pub fn open_value<T: DeserializeOwned>(&self, purpose: Purpose, context: &str, text: &str) -> Option<T> {
        postcard::from_bytes(&self.open(purpose, context, &from_base64url(text)?).ok()?).ok()
    }
}
