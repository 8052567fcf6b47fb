//! Whether a path means the same to everybody who will read it (S6).
//!
//! Servers behind us decode, fold and strip: `/v1/..;/admin` is `/admin` to one, `/v1/%252e%252e/admin` to another that decodes twice. What
//! could be read as another path at any depth of decoding is refused; what passes is forwarded byte by byte as it arrived.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

use crate::verdict::{Denial, Reason};

#[cfg(test)]
mod tests;

/// More is no path that anybody means; Envoy's bound on all headers together is 60 KiB.
const MAX_BYTES: usize = 16 * 1024;

/// How often a segment may change under decoding. Nobody encodes five times but to hide something.
const MAX_DEPTH: usize = 4;

/// A path that was judged (or what is left of one behind its first segments): every one of its segments means itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SafePath<'a>(&'a str);

impl<'a> SafePath<'a> {
    /// Judges a path as it arrived, without its query.
    ///
    /// # Errors
    /// `bad_path` (400), with what was found for the operator.
    pub fn judge(path: &'a str) -> Result<Self, Denial> {
        match fault_of(path) {
            Some(fault) => Err(Denial::new(Reason::BadPath, fault)),
            None => Ok(Self(path)),
        }
    }

    /// The path.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The first segment and what follows it: `/a/b/c` is `a` and `/b/c`; `/a` is `a` and nothing; `/` has none.
    #[must_use]
    pub fn split_first(self) -> Option<(&'a str, Self)> {
        let (segment, rest) = split(self.0)?;
        Some((segment, Self(rest)))
    }
}

/// A judged path, or a part of one, as servers read it: with its escapes undone, as often as they are there. To be asked about, never to be sent.
pub fn read(path: &str) -> Cow<'_, str> {
    let mut read = Cow::Borrowed(path);
    for _ in 0..MAX_DEPTH {
        // Every layer of what was judged is UTF-8.
        match decode(read.as_bytes()).and_then(|decoded| String::from_utf8(decoded).ok()) {
            Some(decoded) => read = Cow::Owned(decoded),
            None => break,
        }
    }
    read
}

fn split(path: &str) -> Option<(&str, &str)> {
    let inner = path.strip_prefix('/')?;
    let end = inner.find('/').unwrap_or(inner.len());
    let (segment, rest) = inner.split_at(end);
    (!segment.is_empty()).then_some((segment, rest))
}

fn fault_of(path: &str) -> Option<&'static str> {
    if path.len() > MAX_BYTES {
        return Some("the path is longer than 16 KiB");
    }
    let Some(inner) = path.strip_prefix('/') else {
        return Some("the path does not start with a slash");
    };
    if let Some(fault) = path.bytes().find_map(raw_fault) {
        return Some(fault);
    }
    let mut segments = inner.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        if let Some(fault) = segment_fault(segment, last) {
            return Some(fault);
        }
    }
    None
}

/// Bytes that have no place in a path as it arrives (RFC 3986 section 3.3).
const fn raw_fault(byte: u8) -> Option<&'static str> {
    match byte {
        b'\\' => Some("the path holds a backslash"),
        b'#' => Some("the path holds a fragment"),
        b' ' | 0..=0x1f | 0x7f => Some("the path holds a control character or a space"),
        0x80.. => Some("the path holds a byte outside ASCII"),
        _ => None,
    }
}

fn segment_fault(segment: &str, last: bool) -> Option<&'static str> {
    if !well_encoded(segment.as_bytes()) {
        return Some("a `%` in the path is not followed by two hexadecimal digits");
    }
    decoded_fault(Cow::Borrowed(segment.as_bytes()), last, true)
}

/// What is wrong with a segment at any depth of decoding; `folds`: also where somebody folds what comes out at one of them.
fn decoded_fault(mut seen: Cow<'_, [u8]>, last: bool, folds: bool) -> Option<&'static str> {
    for _ in 0..=MAX_DEPTH {
        if let Some(fault) = reading_fault(&seen, last) {
            return Some(fault);
        }
        if let Some(fault) = folded(&seen).filter(|_| folds).and_then(|folded| decoded_fault(Cow::Owned(folded), last, false)) {
            return Some(fault);
        }
        match decode(&seen) {
            Some(decoded) => seen = Cow::Owned(decoded),
            None => return None,
        }
    }
    Some("a segment of the path is encoded more than four times")
}

/// What is wrong with a segment as somebody behind us may read it.
fn reading_fault(segment: &[u8], last: bool) -> Option<&'static str> {
    // Parameters after `;` are dropped by some servers before dots are folded.
    let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
    // Others trim spaces and what nobody sees.
    let shown = seen(name);
    if matches!(shown, b"." | b"..") {
        return Some("the path holds a dot segment");
    }
    if shown.is_empty() && !(last && segment.is_empty()) {
        return Some("the path holds an empty segment");
    }
    if segment.iter().any(|byte| matches!(byte, b'/' | b'\\')) {
        return Some("the path holds an encoded slash or backslash");
    }
    if segment.iter().any(u8::is_ascii_control) {
        return Some("the path holds an encoded control character");
    }
    // An overlong form of a dot or slash (`%c0%ae`) is not UTF-8, and is one to a careless decoder.
    if std::str::from_utf8(segment).is_err() {
        return Some("the path holds encoded bytes that are not UTF-8");
    }
    None
}

/// A segment without the spaces and the invisible characters (soft hyphen, zero width, byte order mark) at its ends.
fn seen(segment: &[u8]) -> &[u8] {
    let unseen =
        |c: char| c.is_whitespace() || matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    std::str::from_utf8(segment).map_or(segment, |text| text.trim_matches(unseen).as_bytes())
}

/// What compatibility folding (NFKC) makes of a segment, as some servers do before they look for files: full-width dots and slashes become plain ones. Nothing
/// if that changes nothing.
fn folded(segment: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(segment).ok().filter(|text| !text.is_ascii())?;
    let folded: String = text.nfkc().collect();
    (folded != text).then(|| folded.into_bytes())
}

fn well_encoded(segment: &[u8]) -> bool {
    let escapes = segment.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    escapes.into_iter().all(|(at, _)| octet(segment.get(at + 1..at + 3)).is_some())
}

fn octet(digits: Option<&[u8]>) -> Option<u8> {
    let &[high, low] = digits? else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// Decodes once; nothing if that changes nothing.
fn decode(segment: &[u8]) -> Option<Vec<u8>> {
    if !segment.contains(&b'%') {
        return None;
    }
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment;
    while let Some((&first, after)) = rest.split_first() {
        match (first == b'%').then(|| octet(after.get(..2))).flatten() {
            Some(byte) => {
                decoded.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                decoded.push(first);
                rest = after;
            }
        }
    }
    (decoded.len() < segment.len()).then_some(decoded)
}
