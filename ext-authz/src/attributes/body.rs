//! What Envoy shows of a body.

use super::Headers;

/// The state of a request's body. A policy that reads bodies may pass `Absent` and `Whole` only, and `Doubtful` where ext_proc reads it again (S14).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Body<'b> {
    /// The request has none.
    Absent,
    /// All of it.
    Whole(&'b [u8]),
    /// All of it, as text with a `!` in it: without `pack_as_bytes` Envoy writes one in the place of each byte that is no UTF-8, so nobody knows
    /// what was sent.
    Doubtful(&'b [u8]),
    /// Envoy buffered as much as it may and stopped there.
    Truncated,
    /// The request signals one, and Envoy does not show it: buffering is off for this route.
    Unseen,
}

/// Envoy sets this on every buffered body: `true` if it was cut, else `false`.
pub(super) const PARTIAL: &str = "x-envoy-auth-partial-body";

impl<'b> Body<'b> {
    /// `raw_body` (with `pack_as_bytes`), else `body`; the headers say what is not there.
    pub(super) fn of(raw: &'b [u8], text: &'b str, headers: &Headers<'_>) -> Self {
        if headers.all(PARTIAL).any(|value| value.eq_ignore_ascii_case(b"true")) {
            return Self::Truncated;
        }
        match (raw.is_empty(), text.is_empty()) {
            (false, _) => Self::Whole(raw),
            (true, false) if text.contains('!') => Self::Doubtful(text.as_bytes()),
            (true, false) => Self::Whole(text.as_bytes()),
            (true, true) if signalled(headers) => Self::Unseen,
            (true, true) => Self::Absent,
        }
    }

    /// What is shown of it.
    #[must_use]
    pub fn bytes(&self) -> Option<&'b [u8]> {
        match self {
            Self::Whole(bytes) | Self::Doubtful(bytes) => Some(bytes),
            Self::Absent | Self::Truncated | Self::Unseen => None,
        }
    }
}

/// Whether the headers announce a body (RFC 9112 section 6.3). A length that cannot be read announces one.
fn signalled(headers: &Headers<'_>) -> bool {
    let none = |value: &[u8]| !value.is_empty() && value.iter().all(|byte| *byte == b'0');
    headers.all("content-length").any(|value| !none(value)) || headers.all("transfer-encoding").next().is_some()
}

impl std::fmt::Debug for Body<'_> {
    /// Bodies never appear in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Doubtful(bytes) => write!(f, "Doubtful({} bytes)", bytes.len()),
            Self::Truncated => f.write_str("Truncated"),
            Self::Unseen => f.write_str("Unseen"),
        }
    }
}
