//! Why a message head is refused before pingora sees it (RFC 9112, mostly sections 2.2, 3, 5 and 6).

use http::StatusCode;

/// Why a message head is refused. Every one of them closes an HTTP/1.1 connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum BadHead {
    /// CR without LF: some read it as the end of a line (RFC 9112 section 2.2).
    #[error("a carriage return stands alone")]
    BareCarriageReturn,
    /// LF without CR: a request smuggler's line ending.
    #[error("a line feed stands alone")]
    BareLineFeed,
    /// `Connection` names a field that identifies the agent or frames the message (RFC 9110 section 7.6.1).
    #[error("Connection names an end-to-end field")]
    ConnectionNamesField,
    /// `Content-Length` is no number as one writes it: sign, leading zero, list, space, more than 18 digits.
    #[error("Content-Length is no plain number")]
    ContentLengthInvalid,
    /// More than one `Content-Length`, even where they agree.
    #[error("Content-Length is repeated")]
    ContentLengthRepeated,
    /// `Content-Length` beside `Transfer-Encoding` (RFC 9112 section 6.1).
    #[error("Content-Length stands beside Transfer-Encoding")]
    ContentLengthWithTransferEncoding,
    /// A control byte other than HTAB.
    #[error("a control byte stands in the head")]
    ControlByte,
    /// `Expect` asks for something else than `100-continue` (RFC 9110 section 10.1.1).
    #[error("Expect is not 100-continue")]
    ExpectationUnknown,
    /// A field line starts with a space: obs-fold, or a space before the first field (RFC 9112 sections 2.2, 5.2).
    #[error("a field line starts with white space")]
    FieldFolded,
    /// A field name that a CGI-like upstream reads as one that frames the message: `Transfer_Encoding`.
    #[error("a field name imitates one that frames the message")]
    FieldNameDisguised,
    /// A field name is empty or holds something else than token characters; a space before the colon is one.
    #[error("a field name is no token")]
    FieldNameInvalid,
    /// A field line has no colon.
    #[error("a field line has no colon")]
    FieldWithoutColon,
    /// The head was not complete when its time was over.
    #[error("the head took too long")]
    HeadTimeout,
    /// The whole head is longer than the limit.
    #[error("the head is too large")]
    HeadTooLarge,
    /// `Host` is empty, or holds userinfo or bytes that no host has.
    #[error("Host is no host")]
    HostInvalid,
    /// An absolute-form target names another authority than `Host`.
    #[error("the target's authority is not the one of Host")]
    HostMismatch,
    /// No `Host` (HTTP/1.0 is asked for it too: without it there is no site to serve).
    #[error("Host is missing")]
    HostMissing,
    /// More than one `Host` (RFC 9112 section 3.2).
    #[error("Host is repeated")]
    HostRepeated,
    /// An empty line before the request line.
    #[error("the head starts with an empty line")]
    LeadingEmptyLine,
    /// The method is no token.
    #[error("the method is no token")]
    MethodInvalid,
    /// `CONNECT` or `TRACE`: a gateway answers neither.
    #[error("the method is never allowed")]
    MethodNotAllowed,
    /// The first line is not `method SP target SP HTTP-version`.
    #[error("the request line is malformed")]
    RequestLineMalformed,
    /// The request line is longer than the limit.
    #[error("the request line is too long")]
    RequestLineTooLong,
    /// An HTTP/2 request that is malformed (RFC 9113 section 8.1.1): its framing, its target or its authority.
    #[error("the HTTP/2 request is malformed")]
    StreamMalformed,
    /// The target holds `#`: a fragment is never sent (RFC 9110 section 7.1).
    #[error("the target has a fragment")]
    TargetFragment,
    /// The target holds a byte that would have to be rewritten on its way: non-ASCII, `<`, `>`, and so on.
    #[error("the target holds an illegal byte")]
    TargetIllegalByte,
    /// The target is no path, no `http` or `https` URI, and no `*` of an `OPTIONS` (RFC 9112 section 3.2).
    #[error("the target has no known form")]
    TargetInvalid,
    /// More field lines than the limit.
    #[error("the head has too many fields")]
    TooManyFields,
    /// More requests at a time than there may be connections (HTTP/2): it may be sent again.
    #[error("too many requests are under way")]
    TooManyRequests,
    /// `Transfer-Encoding` in an HTTP/1.0 request (RFC 9112 section 6.1).
    #[error("Transfer-Encoding came with HTTP/1.0")]
    TransferEncodingInHttp10,
    /// `Transfer-Encoding` is not exactly `chunked`, once.
    #[error("Transfer-Encoding is not chunked")]
    TransferEncodingUnknown,
    /// `Upgrade` on a request with a body: where the tunnel starts is anybody's guess.
    #[error("Upgrade came with a body")]
    UpgradeWithBody,
    /// A version other than HTTP/1.0 and HTTP/1.1.
    #[error("the HTTP version is not supported")]
    VersionNotSupported,
}

impl BadHead {
    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::ExpectationUnknown => StatusCode::EXPECTATION_FAILED,
            Self::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::HeadTooLarge | Self::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestLineTooLong => StatusCode::URI_TOO_LONG,
            Self::TooManyRequests => StatusCode::SERVICE_UNAVAILABLE,
            Self::VersionNotSupported => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The stable name that logs and pages show.
    #[must_use]
    pub const fn reason_code(self) -> &'static str {
        match self {
            Self::BareCarriageReturn => "bare_carriage_return",
            Self::BareLineFeed => "bare_line_feed",
            Self::ConnectionNamesField => "connection_names_field",
            Self::ContentLengthInvalid => "content_length_invalid",
            Self::ContentLengthRepeated => "content_length_repeated",
            Self::ContentLengthWithTransferEncoding => "content_length_with_transfer_encoding",
            Self::ControlByte => "control_byte",
            Self::ExpectationUnknown => "expectation_unknown",
            Self::FieldFolded => "field_folded",
            Self::FieldNameDisguised => "field_name_disguised",
            Self::FieldNameInvalid => "field_name_invalid",
            Self::FieldWithoutColon => "field_without_colon",
            Self::HeadTimeout => "head_timeout",
            Self::HeadTooLarge => "head_too_large",
            Self::HostInvalid => "host_invalid",
            Self::HostMismatch => "host_mismatch",
            Self::HostMissing => "host_missing",
            Self::HostRepeated => "host_repeated",
            Self::LeadingEmptyLine => "leading_empty_line",
            Self::MethodInvalid => "method_invalid",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestLineMalformed => "request_line_malformed",
            Self::RequestLineTooLong => "request_line_too_long",
            Self::StreamMalformed => "stream_malformed",
            Self::TargetFragment => "target_fragment",
            Self::TargetIllegalByte => "target_illegal_byte",
            Self::TargetInvalid => "target_invalid",
            Self::TooManyFields => "too_many_fields",
            Self::TooManyRequests => "too_many_requests",
            Self::TransferEncodingInHttp10 => "transfer_encoding_in_http_10",
            Self::TransferEncodingUnknown => "transfer_encoding_unknown",
            Self::UpgradeWithBody => "upgrade_with_body",
            Self::VersionNotSupported => "version_not_supported",
        }
    }
}
