//! Escapes in text, wherever it stands: backslashes as JavaScript, YAML, TOML, GraphQL and lenient parsers of JSON undo them, percent-encoding, and
//! character references. `%u0041` is among them: ASP.NET and JavaScript's `unescape` undo it. They are looked behind, never complained of: a backslash that none of them
//! knows stands for what follows it. Where two of them differ, one is read as people would, and the other as [`Eye::Machine`].

use memchr::{memchr_iter, memchr3};

use super::{
    Eye, Marks,
    layer::{Encoded, Looker, latin, next, pair},
    reference::reference,
};

/// Whether a text with these kinds of bytes may hold names and values as forms have them, in which `+` is a space to whoever takes it for a form, or an address for one with a
/// query.
pub(super) const fn are_form(marks: Marks) -> bool {
    marks.any(Marks::PLUS) && marks.any(Marks::EQUALS)
}

/// Whether there is something to undo in a text with these kinds of bytes.
pub(super) fn are_in(text: &str, marks: Marks, eye: Eye) -> bool {
    let bytes = text.as_bytes();
    marks.any(Marks::BACKSLASH)
        || (eye == Eye::Machine && are_form(marks))
        || (marks.any(Marks::PERCENT) && memchr_iter(b'%', bytes).any(|at| pair(bytes, at).is_some() || wide(text, at).is_some()))
        || (marks.any(Marks::AMPERSAND) && memchr_iter(b'&', bytes).any(|at| text.get(at + 1..).and_then(reference).is_some()))
}

/// Gives what is written.
pub(super) fn each(text: &str, marks: Marks, reader: &mut impl Looker) {
    let bytes = text.as_bytes();
    let is_form = reader.eye() == Eye::Machine && are_form(marks);
    let as_it_is = |reader: &mut dyn Looker, text: &str, at: usize| {
        let mut from = 0;
        for plus in memchr_iter(b'+', text.as_bytes()).filter(|_| is_form) {
            reader.text(text.get(from..plus).unwrap_or_default(), at + from);
            reader.one(' ', at + plus);
            from = plus + 1;
        }
        reader.text(text.get(from..).unwrap_or_default(), at + from);
    };
    // Bytes of percent-encoding in a row are read together.
    let encoded = |at: usize| pair(bytes, at).filter(|_| bytes.get(at) == Some(&b'%')).map(|byte| (byte, 3));
    let mut at = 0;
    while let Some(plain) = next(bytes.get(at..).unwrap_or_default(), b'\\', |rest| memchr3(b'\\', b'%', b'&', rest)) {
        if plain > 0 {
            as_it_is(reader, text.get(at..at + plain).unwrap_or_default(), at);
            at += plain;
        }
        let rest = text.get(at + 1..).unwrap_or_default();
        let (meant, length) = match bytes.get(at) {
            Some(b'\\') => {
                let other = differing(rest);
                if other.is_some() {
                    reader.differs();
                }
                let (meant, length) = other.filter(|_| reader.eye() == Eye::Machine).unwrap_or_else(|| escape(rest));
                (meant, 1 + length)
            }
            Some(b'&') => reference(rest).map_or((Some('&'), 1), |(meant, length)| (Some(meant), 1 + length)),
            _ => match (Encoded::at(at, encoded), wide(text, at)) {
                (Some(Encoded { meant, length }), _) => (Some(meant.unwrap_or_else(latin)), length),
                (None, Some((meant, length))) => (Some(meant), length),
                (None, None) => (Some('%'), 1),
            },
        };
        if let Some(meant) = meant {
            reader.one(meant, at);
        }
        at += length;
    }
    as_it_is(reader, text.get(at..).unwrap_or_default(), at);
}

/// What an escape stands for, and the bytes it takes after its backslash.
fn escape(rest: &str) -> (Option<char>, usize) {
    let Some(kind) = rest.chars().next() else { return (Some('\\'), 0) };
    let coded = match kind {
        'u' => bracketed(rest).or_else(|| surrogates(rest, "\\u")).or_else(|| hex(rest, 1, 4)),
        'U' => hex(rest, 1, 8),
        'x' => hex(rest, 1, 2),
        _ => None,
    };
    if let Some((meant, length)) = coded {
        return (Some(meant), length);
    }
    let meant = match kind {
        'n' | 'r' => Some('\n'),
        't' => Some('\t'),
        'f' => Some('\u{c}'),
        'v' => Some('\u{b}'),
        '\r' if rest.starts_with("\r\n") => return (None, 2),
        // A control, which nobody sees, and a line that goes on.
        'b' | '\n' | '\r' => None,
        other => Some(other),
    };
    (meant, kind.len_utf8())
}

/// What an escape stands for to some of those who undo them alone: to YAML the white space at the beginning of a line that goes on is none of it, and to JavaScript
/// and C digits are a character's number.
fn differing(rest: &str) -> Option<(Option<char>, usize)> {
    if let Some(line) = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix(['\n', '\r'])) {
        let text = line.trim_start_matches([' ', '\t']);
        return (text.len() < line.len()).then_some((None, rest.len() - text.len()));
    }
    let digits = rest.bytes().take(3).take_while(|digit| matches!(digit, b'0'..=b'7')).count();
    let digits = if rest.as_bytes().first() > Some(&b'3') { digits.min(2) } else { digits };
    let code = u32::from_str_radix(rest.get(..digits)?, 8).ok()?;
    Some((char::from_u32(code), digits))
}

/// `%u0041`, from its `%`; half a character alone stands for none.
fn wide(text: &str, at: usize) -> Option<(char, usize)> {
    let rest = text.get(at + 1..)?;
    let (meant, length) = rest.strip_prefix('u').and_then(|_| surrogates(rest, "%u").or_else(|| hex(rest, 1, 4)))?;
    Some((meant, 1 + length))
}

fn code(rest: &str, from: usize, digits: usize) -> Option<u32> {
    // A sign is none, though numbers may begin with one.
    let digits = rest.get(from..from + digits).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}

fn hex(rest: &str, from: usize, digits: usize) -> Option<(char, usize)> {
    Some((char::from_u32(code(rest, from, digits)?)?, from + digits))
}

/// `u{1f600}`.
fn bracketed(rest: &str) -> Option<(char, usize)> {
    const LONGEST: usize = 8;
    let digits = rest.strip_prefix("u{")?.bytes().take(LONGEST).take_while(u8::is_ascii_hexdigit).count();
    let (meant, end) = hex(rest, 2, digits)?;
    (rest.as_bytes().get(end) == Some(&b'}')).then_some((meant, end + 1))
}

/// Two halves of a character (UTF-16), of which the second begins with `escape`.
fn surrogates(rest: &str, escape: &str) -> Option<(char, usize)> {
    let high = code(rest, 1, 4)?.checked_sub(0xd800).filter(|high| *high < 0x400)?;
    let low = rest.get(5..7).filter(|next| *next == escape).and_then(|_| code(rest, 7, 4))?;
    let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    Some((char::from_u32(0x10000 + (high << 10) + low)?, 11))
}
