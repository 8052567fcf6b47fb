//! What Envoy shows of a body.

use prost::bytes::Bytes;

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

/// The message that a request was shown in, where it came as one that can be kept: a large body need not be copied to be read elsewhere.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Origin<'b>(Option<&'b Bytes>);

impl<'b> Origin<'b> {
    pub(super) fn of(message: &'b Bytes) -> Self {
        Self(Some(message))
    }

    /// A part of it, to be kept. It keeps no more than twice itself: what is the lesser part of its message is copied.
    #[must_use]
    pub fn keep(self, part: &[u8]) -> Bytes {
        let holds = |whole: &Bytes| {
            let (whole, part) = (whole.as_ptr_range(), part.as_ptr_range());
            whole.start <= part.start && part.end <= whole.end
        };
        match self.0 {
            Some(whole) if part.len() >= whole.len() / 2 && holds(whole) => whole.slice_ref(part),
            _ => Bytes::copy_from_slice(part),
        }
    }
}

impl std::fmt::Debug for Origin<'_> {
    /// Bodies never appear in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Origin").field(&self.0.map(Bytes::len)).finish()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_body_is_kept_without_a_copy_and_a_small_part_keeps_nothing_else() {
        let whole = Bytes::from(vec![b'x'; 1000]);
        let origin = Origin::of(&whole);
        let keeps = |part: &[u8]| {
            let kept = origin.keep(part);
            assert_eq!(kept, part);
            kept.as_ptr() == part.as_ptr()
        };
        assert!(keeps(&whole[100..]) && keeps(&whole) && keeps(&whole[500..]));
        assert!(!keeps(&whole[501..]) && !keeps(b"of something else"));
        assert!(!keeps(&[b'y'; 1000]), "what lies elsewhere is no part of it");
        assert_eq!(Origin::default().keep(&whole), whole);
        assert_eq!(format!("{origin:?}"), "Origin(Some(1000))");
    }
}
