//! XML and HTML: as text with its character references read, and once more without its tags, which people do not see.

use std::ops::Range;

use super::{Form, Piece, Reading};
use crate::{Unscannable, media::Kind, text::Layer};

/// Reads a document. One that defines entities is refused: they may stand for anything.
pub(super) fn read(reading: &mut Reading<'_>, body: &[u8], at: Range<usize>) -> Result<(), Unscannable> {
    let bytes = body.get(at.clone()).unwrap_or_default();
    reading.budget.spend(8 * bytes.len())?;
    if bytes.windows(8).any(|window| window.eq_ignore_ascii_case(b"<!ENTITY")) {
        return Err(Unscannable::Malformed);
    }
    declared(bytes)?;
    reading.look(body, &Piece { layer: Layer::Markup, at, key: "", form: Form::Text })?;
    // Between two tags nothing is taken out: that could take a tag with it.
    reading.glance(&Kind::Text(Layer::Markup), &without_tags(bytes))
}

/// An XML declaration may name another encoding than the headers.
fn declared(bytes: &[u8]) -> Result<(), Unscannable> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if !bytes.starts_with(b"<?xml") {
        return Ok(());
    }
    let end = bytes.iter().position(|byte| *byte == b'>').ok_or(Unscannable::Malformed)?;
    let declaration = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).to_ascii_lowercase();
    match declaration.split_once("encoding") {
        None => Ok(()),
        Some((_, given)) => {
            let quoted = given.trim_start().strip_prefix('=').unwrap_or_default().trim_start();
            let named = quoted.strip_prefix(['"', '\'']).and_then(|named| named.split(['"', '\'']).next()).unwrap_or_default();
            if ["utf-8", "us-ascii"].contains(&named) { Ok(()) } else { Err(Unscannable::Charset) }
        }
    }
}

/// The text between tags, comments left out, what is in CDATA sections kept.
fn without_tags(bytes: &[u8]) -> Vec<u8> {
    const CDATA: &[u8] = b"<![CDATA[";
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(begin) = rest.iter().position(|byte| *byte == b'<') {
        text.extend_from_slice(rest.get(..begin).unwrap_or_default());
        rest = rest.get(begin..).unwrap_or_default();
        let end: &[u8] = if rest.starts_with(CDATA) {
            b"]]>"
        } else if rest.starts_with(b"<!--") {
            b"-->"
        } else {
            b">"
        };
        let length = rest.windows(end.len()).position(|window| window == end);
        let content = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
        if let Some(literal) = content.strip_prefix(CDATA) {
            // What stands there is no markup: `&` is itself.
            literal.iter().for_each(|byte| if *byte == b'&' { text.extend_from_slice(b"&amp;") } else { text.push(*byte) });
        }
        rest = length.and_then(|length| rest.get(length + end.len()..)).unwrap_or_default();
    }
    text.extend_from_slice(rest);
    text
}
