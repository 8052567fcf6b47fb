//! An event stream (`text/event-stream`) as it arrives: in pieces that are cut anywhere, and perhaps without an end. Whole events are read at once and
//! go on; what has begun waits for its end. So nothing that a reader looks for within an event is cut in two, and a stream of minutes is seen as it
//! comes.

use bulkhead_content::Filter;

use super::reader::Representation;
use crate::verdict::{Denial, Reason};

/// The stream so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// What its head said.
    pub representation: Representation,
    /// What has begun and not ended.
    begun: Vec<u8>,
    /// Whether anything was written anew.
    pub rewritten: bool,
}

impl Events {
    /// A stream of which nothing has come.
    #[must_use]
    pub const fn new(representation: Representation) -> Self {
        Self { representation, begun: Vec::new(), rewritten: false }
    }

    /// Takes a piece, and gives the events that are whole now; at the end of the stream everything.
    ///
    /// # Errors
    /// `too_large`: an event is larger than what is read.
    pub fn take(&mut self, piece: &[u8], ends: bool) -> Result<Vec<u8>, Denial> {
        // An end may lie in the last three bytes that were there, and in what follows them.
        let from = self.begun.len().saturating_sub(3);
        self.begun.extend_from_slice(piece);
        if self.begun.len() > Filter::MAX_BYTES {
            return Err(Denial::new(Reason::TooLarge, "an event of the answer is larger than what is read"));
        }
        let whole = if ends { self.begun.len() } else { self.begun.get(from..).and_then(last_end).map_or(0, |end| from + end) };
        let rest = self.begun.split_off(whole);
        Ok(std::mem::replace(&mut self.begun, rest))
    }

    /// Bytes that wait for their event's end.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.begun.len()
    }
}

/// Behind the last empty line. Lines end in CR, LF or both (WHATWG HTML, section 9.2.6). A CR that is the last byte may be half of an end; what follows
/// is then an empty line more, which says nothing.
fn last_end(bytes: &[u8]) -> Option<usize> {
    (1..=bytes.len()).rev().find(|end| {
        let before = bytes.get(..*end).unwrap_or_default();
        [&b"\n\n"[..], b"\r\r", b"\n\r", b"\n\r\n", b"\r\r\n"].iter().any(|empty| before.ends_with(empty))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut events = Events::new(Representation::default());
        let last = pieces.len() - 1;
        pieces.iter().enumerate().map(|(nth, piece)| events.take(piece, nth == last).unwrap()).collect()
    }

    #[test]
    fn an_event_goes_on_when_it_is_whole_and_no_sooner() {
        for end in ["\n\n", "\r\n\r\n", "\r\r", "\n\r\n"] {
            let (one, two) = (format!("data: 1{end}"), format!("data: 2{end}"));
            let cut = format!("{one}data");
            assert_eq!(taken(&[cut.as_bytes(), &two.as_bytes()[4..], b""]), [one.as_bytes(), two.as_bytes(), b""], "{end:?}");
        }
        assert_eq!(taken(&[b"data: 1\r\n", b"\r\ndata", b": 2"]), [&b""[..], b"data: 1\r\n\r\n", b"data: 2"]);
        assert_eq!(taken(&[b"data: 1\r\ndata: 2\r\n", b"x"])[0], b"", "one line's end is none of an event");
        let mut large = Events::new(Representation::default());
        assert_eq!(large.take(&vec![b'x'; Filter::MAX_BYTES + 1], false).unwrap_err().reason, Reason::TooLarge);
    }

    proptest! {
        /// However a stream is cut: what goes on is the stream, and each part that does ends where an event does.
        #[test]
        fn nothing_is_lost_or_cut(text in "[a\n\r]{0,24}", cuts in proptest::collection::vec(0_usize..6, 1..12)) {
            let (mut rest, mut pieces) = (text.as_bytes(), Vec::new());
            for cut in cuts {
                let (piece, more) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = more;
            }
            pieces.push(rest);
            let parts = taken(&pieces);
            prop_assert_eq!(parts.concat(), text.as_bytes());
            for part in &parts[..parts.len() - 1] {
                prop_assert!(part.is_empty() || last_end(part) == Some(part.len()) || part.iter().all(|byte| matches!(byte, b'\n' | b'\r')));
            }
        }
    }
}
