//! The icons of applications: small images that the gateway serves itself, under names that say what is in them.
//!
//! What an image is, is told by its content (WHATWG MIME Sniffing, section 6.1), never by the name of its file: browsers
//! are told not to guess. An SVG is a document too, so whoever opens it alone gets one that may do nothing (CSP Level 3).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};

use super::Answer;
use crate::crypto::sha256;

/// An image that can stand beside the name of an application.
#[derive(Clone)]
pub struct Icon {
    kind: Kind,
    name: String,
    bytes: Bytes,
}

/// Why some bytes are no icon.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IconError {
    /// More than [`Icon::MOST`].
    #[error("an icon has at most {} KiB", Icon::MOST / 1024)]
    TooLarge,
    /// No image that every browser shows.
    #[error("an icon is an SVG, PNG, WebP, JPEG or GIF image, and this is none of them")]
    Unknown,
    /// An SVG without its namespace, which browsers do not show as an image.
    #[error("an SVG of its own says xmlns=\"http://www.w3.org/2000/svg\"")]
    Namespace,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Gif,
    Jpeg,
    Png,
    Svg,
    WebP,
}

impl Kind {
    const fn extension(self) -> &'static str {
        match self {
            Self::Gif => "gif",
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Svg => "svg",
            Self::WebP => "webp",
        }
    }

    const fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Gif => "image/gif",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Svg => "image/svg+xml",
            Self::WebP => "image/webp",
        })
    }

    fn of(bytes: &[u8]) -> Result<Self, IconError> {
        match bytes {
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Ok(Self::Gif),
            [0xFF, 0xD8, 0xFF, ..] => Ok(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Ok(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', b'V', b'P', ..] => Ok(Self::WebP),
            _ => svg(bytes),
        }
    }
}

fn svg(bytes: &[u8]) -> Result<Kind, IconError> {
    let text = std::str::from_utf8(bytes).map_err(|_| IconError::Unknown)?;
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let starts = ["<svg", "<?xml", "<!--", "<!DOCTYPE svg"].iter().any(|start| text.starts_with(start));
    let root = text.find("<svg").filter(|_| starts).ok_or(IconError::Unknown)?;
    if text[root..].contains("http://www.w3.org/2000/svg") { Ok(Kind::Svg) } else { Err(IconError::Namespace) }
}

impl Icon {
    /// The most bytes that an icon has.
    pub const MOST: usize = 256 * 1024;

    /// The icon that `bytes` are.
    ///
    /// # Errors
    ///
    /// [`IconError`] where they are none.
    pub fn new(bytes: Vec<u8>) -> Result<Self, IconError> {
        if bytes.len() > Self::MOST {
            return Err(IconError::TooLarge);
        }
        let kind = Kind::of(&bytes)?;
        let hash = URL_SAFE_NO_PAD.encode(&sha256(&bytes)[..15]);
        Ok(Self { kind, name: format!("{hash}.{}", kind.extension()), bytes: bytes.into() })
    }

    /// What it is called in URLs: other bytes have another name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The answer that is this image. Its name changes when it does, so browsers may keep it for good.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let headers = vec![
            (CONTENT_TYPE, self.kind.media_type()),
            (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
        ];
        Answer { status: StatusCode::OK, headers, body: self.bytes.clone() }
    }
}

/// Drawing programs write styles into their files; nothing else may happen in one.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'";

impl fmt::Debug for Icon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Icon").field("name", &self.name).field("length", &self.bytes.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SVG: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1 1\"/>";

    fn media_type(bytes: &[u8]) -> Result<String, IconError> {
        let answer = Icon::new(bytes.to_vec())?.answer();
        let (_, value) = answer.headers.iter().find(|(name, _)| *name == CONTENT_TYPE).expect("a media type");
        Ok(value.to_str().expect("visible ASCII").to_owned())
    }

    #[test]
    fn an_image_is_what_its_bytes_say() {
        for (bytes, expected) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], "image/png"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
            (b"GIF89a\x01\0\x01\0", "image/gif"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
            (SVG.as_bytes(), "image/svg+xml"),
            (format!("\u{feff}<?xml version=\"1.0\"?>\n<!-- drawn -->\n{SVG}\n").as_bytes(), "image/svg+xml"),
        ] {
            assert_eq!(media_type(bytes).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_is_no_image_is_refused() {
        for bytes in
            [&b""[..], b"<html><svg xmlns=\"http://www.w3.org/2000/svg\"/>", b"%PDF-1.7", b"\x1f\x8b\x08", b"\xff\xd8"]
        {
            assert_eq!(media_type(bytes), Err(IconError::Unknown), "{bytes:?}");
        }
        assert_eq!(media_type(b"<svg viewBox=\"0 0 1 1\"/>"), Err(IconError::Namespace));
        let mut large = SVG.as_bytes().to_vec();
        large.resize(Icon::MOST + 1, b' ');
        assert_eq!(media_type(&large), Err(IconError::TooLarge));
        large.truncate(Icon::MOST);
        assert!(media_type(&large).is_ok());
    }

    #[test]
    fn other_bytes_have_another_name() {
        let name = |text: &str| Icon::new(text.as_bytes().to_vec()).expect("an icon").name().to_owned();
        assert_eq!(name(SVG), name(SVG));
        assert_ne!(name(SVG), name(&format!("{SVG} ")));
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        assert!(name(SVG).bytes().all(safe) && name(SVG).ends_with(".svg"));
    }
}
