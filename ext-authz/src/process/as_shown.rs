//! An MCP message that Check judged as text, which Envoy writes a `!` into for each byte that is no UTF-8. Where there is no such byte, the text is
//! what was sent; else nobody knows what was judged (S14).

use bulkhead_content::Budget;

use super::{
    Side,
    reader::{Reader, Reading, Refusal, Representation},
};
use crate::{
    guardrails::mcp::READ_AT_ONCE,
    verdict::{Denial, Reason},
};

/// Lets a body pass that Envoy cannot have shown as another.
pub struct AsShown;

impl Reader for AsShown {
    /// To look takes as long as the message is: a long one is looked at elsewhere.
    fn is_light(&self, _: &Representation, bytes: usize) -> bool {
        bytes <= READ_AT_ONCE
    }

    fn read(&self, representation: &Representation, body: &[u8], _: &Budget<'_>) -> Result<Reading, Refusal> {
        // What is coded was judged as it is, or refused: Check judges none as text.
        if representation.is_coded() {
            return Ok(Reading::default());
        }
        match std::str::from_utf8(body) {
            Ok(_) => Ok(Reading::default()),
            Err(_) => {
                let detail = "the message was judged as text (pack_as_bytes: false), and holds bytes that are no UTF-8";
                Err(Refusal::new(Side::Request, Denial::new(Reason::Unreadable, detail)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(coding: Option<&[u8]>, body: &[u8]) -> bool {
        let content_encoding = coding.into_iter().map(<[u8]>::to_vec).collect();
        let representation = Representation { content_type: vec![b"application/json".to_vec()], content_encoding, of_error: false };
        AsShown.read(&representation, body, &Budget::default()).is_ok()
    }

    #[test]
    fn s14_only_what_envoy_can_have_shown_as_another_text_is_refused() {
        assert!(passes(None, "{\"a\":\"ü!\"}".as_bytes()) && !passes(None, b"{\"a\":\"\xff\"}"));
        assert!(!passes(Some(b"identity"), b"\xff"), "no coding at all");
        assert!(passes(Some(b"gzip"), b"\x1f\x8b\x08\xff"), "judged as bytes, or refused by Check");
    }

    #[test]
    fn s5_what_is_long_is_looked_at_off_the_io_threads() {
        let representation = Representation { content_type: Vec::new(), content_encoding: Vec::new(), of_error: false };
        assert!(AsShown.is_light(&representation, READ_AT_ONCE) && !AsShown.is_light(&representation, READ_AT_ONCE + 1));
    }
}
