//! An MCP message that Check judged as text, which Envoy writes a `!` into for each byte that is no UTF-8. Where there is no such byte, the text is
//! what was sent; else nobody knows what was judged (S14).

use bulkhead_content::Budget;

use super::{
    Side,
    reader::{Reader, Reading, Refusal, Representation},
};
use crate::verdict::{Denial, Reason};

/// Lets a body pass that Envoy cannot have shown as another.
pub struct AsShown;

impl Reader for AsShown {
    /// To look is less than a microsecond for each 10 KiB.
    fn is_light(&self, _: &Representation, _bytes: usize) -> bool {
        true
    }

    fn read(&self, _: &Representation, body: &[u8], _: &Budget<'_>) -> Result<Reading, Refusal> {
        match std::str::from_utf8(body) {
            Ok(_) => Ok(Reading::default()),
            Err(_) => {
                let detail = "the message was judged as text (pack_as_bytes: false), and holds bytes that are no UTF-8";
                Err(Refusal::new(Side::Request, Denial::new(Reason::Unreadable, detail)))
            }
        }
    }
}
