//! How a claim's value is written into a header field (`[identity] encoding`).

/// The encoding of identity header values.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Encoding {
    /// base64url without padding of the UTF-8.
    Base64Url,
    /// ISO-8859-1; a character outside it becomes `?`.
    Latin1,
    /// Every byte of the UTF-8 outside `0x21`–`0x7E`, and `%`, becomes `%XX`; nothing else does.
    #[default]
    Percent,
    /// RFC 2047 encoded-words (`=?UTF-8?B?…?=`) where the value is not plain ASCII.
    Rfc2047,
    /// The UTF-8 bytes as they are.
    Utf8,
}
