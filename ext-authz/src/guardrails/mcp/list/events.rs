//! An event stream (WHATWG HTML, section 9.2): lines end in CR, LF or both, an event in an empty line, and its `data` may stand in several
//! lines. It is written anew, so that only what was read goes on: `data`, `id` and `retry`, by which a client resumes, and of a comment that there
//! was one, which keeps the connection open.

use super::{Shown, Unlisted};

/// Bytes of an id that goes on.
const MAX_ID_BYTES: usize = 1024;

/// The stream with what may be seen of it. An event that was not ended is none, as it is to every reader.
pub(super) fn filter(shown: &Shown, body: &[u8]) -> Result<Vec<u8>, Unlisted> {
    let text = std::str::from_utf8(body).map_err(|_| Unlisted("an event stream that is not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut out, mut event) = (Vec::with_capacity(body.len()), Event::default());
    for line in Lines(text) {
        if line.is_empty() {
            std::mem::take(&mut event).write(shown, &mut out)?;
        } else {
            event.line(line);
        }
    }
    Ok(out)
}

/// What an event has.
#[derive(Default)]
struct Event<'a> {
    id: Option<&'a str>,
    retry: Option<&'a str>,
    data: Vec<&'a str>,
    comment: bool,
}

impl<'a> Event<'a> {
    fn line(&mut self, line: &'a str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.comment = true,
            "data" => self.data.push(value),
            "id" => self.id = Some(value),
            "retry" => self.retry = Some(value),
            // Of another type than `message` a client would not take it for one; as one it is filtered.
            _ => {}
        }
    }

    fn write(self, shown: &Shown, out: &mut Vec<u8>) -> Result<(), Unlisted> {
        let before = out.len();
        if let Some(id) = self.id.filter(|id| is_id(id)) {
            out.extend_from_slice(format!("id: {id}\n").as_bytes());
        }
        if let Some(retry) = self.retry.filter(|retry| (1..=9).contains(&retry.len()) && retry.bytes().all(|byte| byte.is_ascii_digit())) {
            out.extend_from_slice(format!("retry: {retry}\n").as_bytes());
        }
        let data = self.data.join("\n");
        if !data.trim().is_empty() {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(&super::text(shown, data.as_bytes())?);
            out.push(b'\n');
        } else if !self.data.is_empty() {
            // A server tells so by what id its stream is resumed (MCP 2025-11-25).
            out.extend_from_slice(b"data:\n");
        } else if self.comment && out.len() == before {
            out.extend_from_slice(b":\n");
        }
        if out.len() > before {
            out.push(b'\n');
        }
        Ok(())
    }
}

/// An id that can say nothing else: no text of JSON.
fn is_id(id: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=~@#|!".contains(&byte);
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(fine)
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
