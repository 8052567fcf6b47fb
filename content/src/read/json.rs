//! JSON (RFC 8259), read strictly and without recursion: strings after unescaping, keys, and numbers as they are written.

use std::{ops::Range, str};

use super::{Form, Name, Piece, Reading, edit::Edit};
use crate::{Unscannable, text::Layer, topics::Absent};

/// The deepest nesting of arrays and objects.
const MAX_DEPTH: usize = 256;
/// A document so long, in bytes, is looked at as a whole first.
const LONG: usize = 128;
/// The byte order mark.
pub(super) const MARK: &[u8] = b"\xef\xbb\xbf";
/// The most digits of a number that is written out for its exponent.
const MAX_WRITTEN_OUT: usize = 40;

/// Something in a document that is looked into.
struct Token<'t> {
    what: What,
    /// The bytes, of strings without the quotes.
    at: Range<usize>,
    /// The key that it stands under, however deep in arrays.
    key: Option<&'t Range<usize>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Key,
    String,
    Number,
}

/// Whether this is a JSON object, array or string from start to end.
pub(super) fn looks_like(body: &[u8], at: &Range<usize>) -> bool {
    let bytes = body.get(at.clone()).unwrap_or_default();
    let bytes = bytes.strip_prefix(MARK).unwrap_or(bytes);
    let begins = matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'[' | b'"'));
    begins && walk(body, at.clone(), &mut |_| Ok(())).is_ok()
}

/// Reads one document.
pub(super) fn read(reading: &mut Reading<'_>, body: &[u8], at: Range<usize>) -> Result<(), Unscannable> {
    reading.budget.spend(at.len())?;
    // Quotes stand around its strings, so no word of one goes on in another.
    let absent = match body.get(at.clone()) {
        Some(document) if document.len() >= LONG => reading.filter.topics().absent(document, reading.budget)?,
        _ => Absent::default(),
    };
    let outside = std::mem::replace(&mut reading.absent, absent);
    let mut name = Name::default();
    let read = walk(body, at, &mut |token| {
        let key = token.key.map_or("", |at| name.read(Layer::Json, body, at));
        let piece = |form| Piece { layer: Layer::Json, at: token.at.clone(), key, form };
        match token.what {
            What::Key => {
                if reading.edits.is_some() {
                    reading.mark(Name::default().read(Layer::Json, body, &token.at));
                }
                reading.look(body, &piece(Form::Key)).map(|_| ())
            }
            What::String => reading.look_inside(body, &piece(Form::Text)),
            What::Number => {
                let seen = reading.look(body, &piece(Form::Number))?;
                match written_out(body.get(token.at.clone()).unwrap_or_default()) {
                    Some(digits) if seen.is_empty() => {
                        let mut inner = reading.inner();
                        let whole = Piece { layer: Layer::Plain, at: 0..digits.len(), key, form: Form::Text };
                        let kinds = inner.look(digits.as_bytes(), &whole)?;
                        reading.take(inner);
                        kinds.iter().try_for_each(|kind| reading.edit(token.at.clone(), kind, Form::Number))
                    }
                    _ => Ok(()),
                }
            }
        }
    });
    reading.absent = outside;
    read
}

/// Takes a number out whole where something in it is to be taken out, so that a string stands in its place and what is left is JSON: a word that
/// stands before it may say only in the whole text what it is.
pub(super) fn keep_numbers(body: &[u8], at: Range<usize>, edits: &mut [Edit]) -> Result<(), Unscannable> {
    if edits.is_empty() {
        return Ok(());
    }
    edits.sort_by_key(|edit| edit.at.start);
    walk(body, at, &mut |token| {
        let from = edits.partition_point(|edit| edit.at.start < token.at.start);
        let within = |edit: &&mut Edit| token.what == What::Number && edit.at.start < token.at.end;
        for edit in edits.iter_mut().skip(from).take_while(within).filter(|edit| edit.at.end <= token.at.end) {
            edit.at = token.at.clone();
            edit.form = Form::Number;
        }
        Ok(())
    })
}

/// The digits of a whole number that is written with a fraction or an exponent: 4.1e3 is 4100. Zeros at its ends say nothing, however many they are.
fn written_out(number: &[u8]) -> Option<String> {
    let number = str::from_utf8(number).ok()?.trim_start_matches('-');
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // What has a fraction that says something and no exponent is most of them.
    if whole.len() == number.len() || (mantissa.len() == number.len() && fraction.bytes().any(|digit| digit != b'0')) {
        return None;
    }
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let before = i64::try_from(whole.len()).ok()? - i64::try_from(all.len() - digits.len()).ok()?;
    let point = usize::try_from(before.checked_add(exponent.parse().ok()?)?).ok()?;
    let digits = digits.trim_end_matches('0');
    (digits.len() <= point && point <= MAX_WRITTEN_OUT).then(|| format!("{digits:0<point$}"))
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    CommaOrEnd,
}

/// An array or object that is open.
struct Open {
    object: bool,
    key: Option<Range<usize>>,
}

/// Visits every key, string and number of one document. Every occurrence is visited: of a key that is there twice, both values.
fn walk(body: &[u8], at: Range<usize>, visit: &mut impl FnMut(&Token<'_>) -> Result<(), Unscannable>) -> Result<(), Unscannable> {
    let text = body.get(..at.end).ok_or(Unscannable::Malformed)?;
    str::from_utf8(text.get(at.start..).unwrap_or_default()).map_err(|_| Unscannable::Malformed)?;
    let mut here = at.start;
    // RFC 8259 section 8.1: a byte order mark may be ignored.
    if text.get(here..).is_some_and(|rest| rest.starts_with(MARK)) {
        here += 3;
    }
    let mut open: Vec<Open> = Vec::new();
    let mut next = Next::Value;
    loop {
        while matches!(text.get(here), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            here += 1;
        }
        let Some(byte) = text.get(here).copied() else {
            return if open.is_empty() && next == Next::CommaOrEnd { Ok(()) } else { Err(Unscannable::Malformed) };
        };
        let begin = here;
        here += 1;
        match (next, byte) {
            (Next::CommaOrEnd, b',') => next = if open.last().ok_or(Unscannable::Malformed)?.object { Next::Key } else { Next::Value },
            (Next::CommaOrEnd | Next::KeyOrEnd, b'}') => {
                open.pop().filter(|open| open.object).ok_or(Unscannable::Malformed)?;
                next = Next::CommaOrEnd;
            }
            (Next::CommaOrEnd | Next::ValueOrEnd, b']') => {
                open.pop().filter(|open| !open.object).ok_or(Unscannable::Malformed)?;
                next = Next::CommaOrEnd;
            }
            (Next::Key | Next::KeyOrEnd, b'"') => {
                let key = here..string(text, here)?;
                here = key.end + 1;
                visit(&Token { what: What::Key, at: key.clone(), key: None })?;
                open.last_mut().ok_or(Unscannable::Malformed)?.key = Some(key);
                while matches!(text.get(here), Some(b' ' | b'\t' | b'\n' | b'\r')) {
                    here += 1;
                }
                if text.get(here) != Some(&b':') {
                    return Err(Unscannable::Malformed);
                }
                here += 1;
                next = Next::Value;
            }
            (Next::Value | Next::ValueOrEnd, _) => {
                let key = open.last().and_then(|open| open.key.as_ref());
                next = Next::CommaOrEnd;
                match byte {
                    b'{' | b'[' => {
                        if open.len() == MAX_DEPTH {
                            return Err(Unscannable::Malformed);
                        }
                        let key = key.cloned();
                        open.push(Open { object: byte == b'{', key });
                        next = if byte == b'{' { Next::KeyOrEnd } else { Next::ValueOrEnd };
                    }
                    b'"' => {
                        let at = here..string(text, here)?;
                        here = at.end + 1;
                        visit(&Token { what: What::String, at, key })?;
                    }
                    b'-' | b'0'..=b'9' => {
                        here = number(text, begin)?;
                        visit(&Token { what: What::Number, at: begin..here, key })?;
                    }
                    _ => {
                        let rest = text.get(begin..).unwrap_or_default();
                        let word = [b"true".as_slice(), b"false", b"null"].into_iter().find(|word| rest.starts_with(word));
                        here = begin + word.ok_or(Unscannable::Malformed)?.len();
                    }
                }
            }
            _ => return Err(Unscannable::Malformed),
        }
    }
}

/// The end of a string's content. Its escapes are those of RFC 8259, with whole surrogate pairs.
fn string(text: &[u8], start: usize) -> Result<usize, Unscannable> {
    let (mut at, mut escaped) = (start, false);
    loop {
        match text.get(at) {
            Some(b'"') => break,
            Some(b'\\') => {
                escaped = true;
                at += 2;
            }
            Some(0x20..) => at += 1,
            _ => return Err(Unscannable::Malformed),
        }
    }
    if escaped {
        Layer::Json.each(text.get(start..at).ok_or(Unscannable::Malformed)?, &mut ())?;
    }
    Ok(at)
}

/// The end of a number.
fn number(text: &[u8], start: usize) -> Result<usize, Unscannable> {
    let digits = |from: usize| from + text.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = start + usize::from(text.get(start) == Some(&b'-'));
    let whole = digits(at);
    if whole == at || (text.get(at) == Some(&b'0') && whole > at + 1) {
        return Err(Unscannable::Malformed);
    }
    at = whole;
    if text.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == at + 1 {
            return Err(Unscannable::Malformed);
        }
        at = fraction;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let from = at + 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(from);
        if exponent == from {
            return Err(Unscannable::Malformed);
        }
        at = exponent;
    }
    Ok(at)
}
