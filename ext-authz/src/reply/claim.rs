//! Claims as header values: visible ASCII of at most 256 bytes, whatever the identity provider put into them (S25).

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use sha2::{Digest, Sha256};

/// Everything but visible ASCII, and what the encoding itself needs: `%` begins an escape, `~` a digest.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'~');

/// The most that a header of ours holds.
const MAX_BYTES: usize = 256;

/// A claim, so encoded that different claims stay different: a longer one ends in `~` and its SHA-256. Nothing of an empty claim: the
/// header is removed.
pub(crate) fn visible(claim: &str) -> Option<Cow<'_, str>> {
    if claim.is_empty() {
        return None;
    }
    let encoded: Cow<'_, str> = utf8_percent_encode(claim, ENCODED).into();
    if encoded.len() <= MAX_BYTES {
        return Some(encoded);
    }
    let digest = hex::encode(Sha256::digest(claim));
    let room = MAX_BYTES - digest.len() - 1;
    Some(Cow::Owned(format!("{}~{digest}", whole_escapes(&encoded, room))))
}

/// The beginning of an encoded text, not longer than `room`, that ends in no half escape.
fn whole_escapes(encoded: &str, room: usize) -> &str {
    let head = encoded.get(..room).unwrap_or(encoded);
    match head.rfind('%') {
        Some(at) if at + 3 > head.len() => head.get(..at).unwrap_or_default(),
        _ => head,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::visible;

    #[test]
    fn s25_visible_claims_stay_as_they_are_and_others_are_escaped() {
        assert_eq!(visible("alice@acme.example").as_deref(), Some("alice@acme.example"));
        assert_eq!(visible("a b").as_deref(), Some("a%20b"));
        assert_eq!(visible("a\r\nx-bulkhead-tenant: globex").as_deref(), Some("a%0D%0Ax-bulkhead-tenant:%20globex"));
        assert_eq!(visible("zoë%7e~").as_deref(), Some("zo%C3%AB%257e%7E"));
        assert_eq!(visible(""), None);
    }

    #[test]
    fn s25_two_long_claims_with_one_beginning_stay_two() {
        let (one, two) = (format!("{}1", "x".repeat(300)), format!("{}2", "x".repeat(300)));
        assert_ne!(visible(&one), visible(&two));
        assert_eq!(visible(&one).unwrap().len(), 256);
    }

    proptest! {
        #[test]
        fn s25_any_claim_is_visible_ascii_of_at_most_256_bytes(claim in any::<String>()) {
            let visible = visible(&claim).unwrap_or_default();
            prop_assert!(visible.len() <= 256);
            prop_assert!(visible.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(visible.is_empty(), claim.is_empty());
        }

        #[test]
        fn s25_different_claims_stay_different(one in "\\PC{0,90}", two in "\\PC{0,90}") {
            prop_assert_eq!(one == two, visible(&one) == visible(&two));
        }
    }
}
