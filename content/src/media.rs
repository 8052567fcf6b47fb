//! What headers say of a body, and why one cannot be read.

/// What the headers say of a body. Every value of each header is kept: two types, or a type that cannot be read, are an answer of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Media<'a> {
    /// Every `Content-Type`.
    pub content_type: Vec<&'a [u8]>,
    /// Every `Content-Encoding`, in the order in which the codings were applied (RFC 9110 section 8.4).
    pub content_encoding: Vec<&'a [u8]>,
}

impl<'a> Media<'a> {
    /// Takes the values of the two headers.
    pub fn of(content_type: impl IntoIterator<Item = &'a [u8]>, content_encoding: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self { content_type: content_type.into_iter().collect(), content_encoding: content_encoding.into_iter().collect() }
    }
}

/// Why a body cannot be read. Nothing of the body stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unscannable {
    /// As it arrived or decoded, it is larger than [`crate::Filter::MAX_BYTES`]. 413.
    #[error("the body is larger than what is read")]
    TooLarge,
    /// A `Content-Encoding` that is not decoded, or too many of them. 415.
    #[error("the body has a content encoding that is not read")]
    Encoding,
    /// A `Content-Type` that is not read, or two of them. 415.
    #[error("the body has a content type that is not read")]
    Type,
    /// A charset that is not read. 415.
    #[error("the body has a charset that is not read")]
    Charset,
    /// It is not what its headers say it is: broken JSON, broken compression, bytes that are not UTF-8. 400.
    #[error("the body is not what its headers say it is")]
    Malformed,
    /// Personal data stands where it cannot be taken out without breaking the body. Of [`crate::Filter::redact`] alone; 400.
    #[error("the body holds what cannot be taken out of it")]
    Unrewritable,
}

impl Unscannable {
    /// The name in audit, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Encoding => "encoding",
            Self::Type => "type",
            Self::Charset => "charset",
            Self::Malformed => "malformed",
            Self::Unrewritable => "unrewritable",
        }
    }
}
