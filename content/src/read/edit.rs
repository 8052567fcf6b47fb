//! Taking out what was found, with every other byte as it was.

use std::{collections::BTreeSet, ops::Range};

use crate::{Detector, text::Layer};

/// A place whose content is taken out.
pub(crate) struct Edit {
    pub(super) at: Range<usize>,
    pub(super) kind: Detector,
    pub(super) form: Form,
}

/// What stands in the place of what was taken out, so that the body stays what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// `[redacted:card]`: no byte of it needs an escape in JSON or XML.
    Text,
    /// `[redacted:card]`, from the second on `[redacted:card#2]`: the keys of an object must differ, and none may be one that the body has already.
    Key,
    /// `"[redacted:card]"`: a number becomes a string.
    Number,
    /// `%5Bredacted%3Acard%5D`.
    Percent,
    /// What the piece held, rewritten.
    Rewritten(String),
}

/// How each mark begins that stands where something was taken out.
pub const REDACTED: &str = "[redacted:";

/// The body after the edits. `taken`: keys that begin as marks do and stand in it already.
pub(crate) fn rewritten(body: &[u8], mut edits: Vec<Edit>, taken: &BTreeSet<String>) -> Vec<u8> {
    edits.sort_by_key(|edit| (edit.at.start, std::cmp::Reverse(edit.at.end)));
    let mut out = Vec::with_capacity(body.len());
    let (mut done, mut keys) = (0, 0);
    let mut edits = edits.into_iter().peekable();
    while let Some(Edit { mut at, kind, form }) = edits.next() {
        // What overlaps is taken out as one.
        while let Some(next) = edits.next_if(|next| next.at.start < at.end) {
            at.end = at.end.max(next.at.end);
        }
        out.extend_from_slice(body.get(done..at.start).unwrap_or_default());
        let mark = match form {
            Form::Text => format!("{REDACTED}{kind}]"),
            Form::Key => loop {
                keys += 1;
                let mark = if keys == 1 { format!("{REDACTED}{kind}]") } else { format!("{REDACTED}{kind}#{keys}]") };
                if !taken.contains(&mark) {
                    break mark;
                }
            },
            Form::Number => format!("\"{REDACTED}{kind}]\""),
            Form::Percent => format!("%5Bredacted%3A{kind}%5D"),
            Form::Rewritten(text) => text,
        };
        out.extend_from_slice(mark.as_bytes());
        done = at.end;
    }
    out.extend_from_slice(body.get(done..).unwrap_or_default());
    out
}

/// Bytes that are UTF-8, as they are written in a layer.
pub(super) fn written(layer: Layer, plain: &[u8]) -> String {
    let plain = String::from_utf8_lossy(plain);
    let mut written = String::with_capacity(plain.len() + plain.len() / 8);
    for one in plain.chars() {
        match (layer, one) {
            (Layer::Form | Layer::Percent, 'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '_' | '~') => written.push(one),
            (Layer::Form | Layer::Percent, _) => {
                one.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| written.push_str(&format!("%{byte:02X}")));
            }
            (Layer::Json, '"' | '\\') => written.extend(['\\', one]),
            (Layer::Json, '\0'..='\u{1f}') => written.push_str(&format!("\\u{:04x}", u32::from(one))),
            _ => written.push(one),
        }
    }
    written
}
