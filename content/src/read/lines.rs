//! JSON lines: a document a line. A record separator before it (RFC 7464) is passed over.

use std::ops::Range;

use super::{Reading, json};
use crate::Unscannable;

/// Reads every line that holds something.
pub(super) fn read(reading: &mut Reading<'_>, body: &[u8], at: Range<usize>) -> Result<(), Unscannable> {
    for mut line in split(body, at) {
        if body.get(line.start) == Some(&0x1e) {
            line.start += 1;
        }
        if !body.get(line.clone()).unwrap_or_default().trim_ascii().is_empty() {
            json::read(reading, body, line)?;
        }
    }
    Ok(())
}

/// The lines of a part, without their ends (LF, CR LF or CR).
pub(super) fn split(body: &[u8], at: Range<usize>) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut here = at.start;
    std::iter::from_fn(move || {
        let rest = body.get(here..at.end).filter(|rest| !rest.is_empty())?;
        let length = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
        let line = here..here + length;
        let end = if rest.get(length..).is_some_and(|end| end.starts_with(b"\r\n")) { 2 } else { 1 };
        here = line.end + end;
        Some(line)
    })
}
