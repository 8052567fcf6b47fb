//! Multipart bodies (RFC 2046, RFC 7578), read strictly: where two parsers could see other parts, the body is refused.

use std::ops::Range;

use memchr::memmem;

use super::{Form, MAX_NESTING, Piece, Reading};
use crate::{
    Unscannable,
    media::{CHARSET_FIELD, Kind, form_charset},
    text::{Layer, folded},
};

/// The most parts.
const MAX_PARTS: usize = 1000;

/// Reads every part: its headers (the names of fields and files stand there), and its content as its own type says.
pub(super) fn read(reading: &mut Reading<'_>, boundary: &[u8], body: &[u8], at: Range<usize>) -> Result<(), Unscannable> {
    if reading.nesting >= MAX_NESTING {
        return Err(Unscannable::Malformed);
    }
    reading.nesting += 1;
    reading.budget.spend(at.len())?;
    let parts = parts(boundary, body, at)?;
    for part in parts {
        let content = body.get(part.clone()).unwrap_or_default();
        let end = if content.starts_with(b"\r\n") { Some(0) } else { memmem::find(content, b"\r\n\r\n") };
        let end = end.ok_or(Unscannable::Malformed)?;
        let headers = part.start..part.start + end;
        let start = if end == 0 { part.start + 2 } else { headers.end + 4 };
        reading.look(body, &Piece { layer: Layer::Percent, at: headers.clone(), key: "", form: Form::Text })?;
        let headers = body.get(headers).unwrap_or_default();
        let field = field(headers);
        if field == CHARSET_FIELD {
            form_charset(&String::from_utf8_lossy(body.get(start..part.end).unwrap_or_default()))?;
        }
        match part_kind(headers)? {
            Kind::Text(layer) => reading.text(layer, body, start..part.end, &field)?,
            kind => reading.read(&kind, body, start..part.end)?,
        }
    }
    reading.nesting -= 1;
    Ok(())
}

/// The parts between the delimiters, which stand alone in their lines. Nothing but empty lines stands before the first or after the last.
fn parts(boundary: &[u8], body: &[u8], at: Range<usize>) -> Result<Vec<Range<usize>>, Unscannable> {
    let delimiter = [b"--".as_slice(), boundary].concat();
    let bytes = body.get(at.clone()).unwrap_or_default();
    let (mut parts, mut open, mut here) = (Vec::new(), None, 0);
    let mut closed = false;
    // Every place where a lenient parser could see a delimiter must be a good one.
    while let Some(found) = memmem::find(bytes.get(here..).unwrap_or_default(), &delimiter) {
        let begin = here + found;
        let before = bytes.get(..begin).unwrap_or_default();
        if closed || !(before.is_empty() || before.ends_with(b"\r\n")) {
            return Err(Unscannable::Malformed);
        }
        match open {
            // Between two delimiters stands at least the end of a line, which is the second's.
            Some(start) if start + 2 <= begin => parts.push(at.start + start..at.start + begin - 2),
            None if before.trim_ascii().is_empty() => {}
            _ => return Err(Unscannable::Malformed),
        }
        if parts.len() > MAX_PARTS {
            return Err(Unscannable::Malformed);
        }
        let rest = bytes.get(begin + delimiter.len()..).unwrap_or_default();
        closed = rest.starts_with(b"--");
        let line = rest.get(if closed { 2 } else { 0 }..).unwrap_or_default();
        let padding = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let line = line.get(padding..).unwrap_or_default();
        here = bytes.len() - line.len();
        if closed {
            if !line.trim_ascii().is_empty() {
                return Err(Unscannable::Malformed);
            }
        } else if line.starts_with(b"\r\n") {
            here += 2;
        } else {
            return Err(Unscannable::Malformed);
        }
        open = Some(here);
        // The CR LF of a delimiter may be the one that the next stands behind: an empty part without a header, which nobody sends.
        if here > bytes.len() {
            return Err(Unscannable::Malformed);
        }
    }
    if closed { Ok(parts) } else { Err(Unscannable::Malformed) }
}

/// What a part is, by its own headers; without a type it is text.
fn part_kind(headers: &[u8]) -> Result<Kind, Unscannable> {
    let mut types = Vec::new();
    for line in headers.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // A folded line could hide a type from whoever does not unfold it.
        if line.first().is_some_and(u8::is_ascii_whitespace) {
            return Err(Unscannable::Malformed);
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default().trim_ascii());
        match name.trim_ascii().to_ascii_lowercase().as_slice() {
            b"content-type" => types.push(value),
            b"content-transfer-encoding" if !is_literal(value) => return Err(Unscannable::Encoding),
            b"content-encoding" => return Err(Unscannable::Encoding),
            _ => {}
        }
    }
    Kind::of(&types)
}

/// The name of the field, as context: what `password` is given is a secret here too. Names that matter are short and plain.
fn field(headers: &[u8]) -> String {
    const LONGEST: usize = 128;
    let mut parameters = headers.split(|byte| matches!(byte, b';' | b'\n')).map(<[u8]>::trim_ascii);
    let named =
        parameters.find_map(|one| one.split_at_checked(5).filter(|(name, _)| name.eq_ignore_ascii_case(b"name=")).map(|(_, value)| value));
    let named = named.filter(|named| named.len() <= LONGEST).unwrap_or_default();
    folded(String::from_utf8_lossy(named).trim_matches('"')).to_ascii_lowercase()
}

fn is_literal(encoding: &[u8]) -> bool {
    [b"7bit".as_slice(), b"8bit", b"binary"].iter().any(|known| encoding.eq_ignore_ascii_case(known))
}
