//! An event stream (WHATWG HTML, section 9.2): lines end in CR, LF or both, an event in an empty line, and its `data` may stand in several
//! lines. It is written anew, so that only what was read goes on, and that is `data`: `id` and `retry` are for resuming, which is not
//! served, and a comment is for nobody.

use super::{Shown, Unlisted};

/// The stream with what may be seen of it. An event that was not ended is none, as it is to every reader.
pub(super) fn filter(shown: &Shown, body: &[u8]) -> Result<Vec<u8>, Unlisted> {
    let text = std::str::from_utf8(body).map_err(|_| Unlisted("an event stream that is not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut out, mut data) = (Vec::with_capacity(body.len()), Vec::new());
    for line in Lines(text) {
        if line.is_empty() {
            event(shown, &std::mem::take(&mut data).join("\n"), &mut out)?;
        } else if let Some(value) = line.strip_prefix("data:") {
            data.push(value.strip_prefix(' ').unwrap_or(value));
        }
    }
    Ok(out)
}

/// Writes one event. One without data has no message.
fn event(shown: &Shown, data: &str, out: &mut Vec<u8>) -> Result<(), Unlisted> {
    if !data.trim().is_empty() {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&super::text(shown, data.as_bytes())?);
        out.extend_from_slice(b"\n\n");
    }
    Ok(())
}

/// Lines that were ended.
struct Lines<'a>(&'a str);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let end = self.0.find(['\r', '\n'])?;
        let (line, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.strip_prefix("\r\n").or_else(|| rest.get(1..)).unwrap_or_default();
        Some(line)
    }
}
