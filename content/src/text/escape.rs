//! Escapes in text, wherever it stands: backslashes as JavaScript, YAML, TOML, GraphQL and lenient parsers of JSON undo them, percent-encoding, and
//! character references. They are looked behind, never complained of: a backslash that none of them knows stands for what follows it.

use super::layer::{each_of, latin, pair, reference};

/// Whether there is something to undo.
pub(super) fn are_in(text: &str) -> bool {
    let at = |begin: char, is_one: &dyn Fn(usize) -> bool| text.match_indices(begin).any(|(at, _)| is_one(at));
    text.contains('\\')
        || at('%', &|at| pair(text.as_bytes(), at).is_some())
        || at('&', &|at| text.get(at + 1..).and_then(reference).is_some())
}

/// Gives each character with the place of its first byte.
pub(super) fn each(text: &str, give: &mut impl FnMut(char, usize)) {
    let mut at = 0;
    while let Some(seen) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let (meant, length) = match seen {
            '\\' => {
                let (meant, length) = escape(text.get(at + 1..).unwrap_or_default());
                (meant, 1 + length)
            }
            '&' => text.get(at + 1..).and_then(reference).map_or((Some('&'), 1), |(meant, length)| (Some(meant), 1 + length)),
            '%' => match encoded(text, at) {
                bytes if bytes.is_empty() => (Some('%'), 1),
                bytes => {
                    each_of(&bytes, Some(latin), &mut |meant, inside| give(meant, at + 3 * inside));
                    (None, 3 * bytes.len())
                }
            },
            _ => (Some(seen), seen.len_utf8()),
        };
        if let Some(meant) = meant {
            give(meant, at);
        }
        at += length;
    }
}

/// The bytes of percent-encoding that stand in a row.
fn encoded(text: &str, at: usize) -> Vec<u8> {
    (at..).step_by(3).map_while(|at| pair(text.as_bytes(), at).filter(|_| text.as_bytes().get(at) == Some(&b'%'))).collect()
}

/// What an escape stands for, and the bytes it takes after its backslash.
fn escape(rest: &str) -> (Option<char>, usize) {
    let Some(kind) = rest.chars().next() else { return (Some('\\'), 0) };
    let coded = match kind {
        'u' => bracketed(rest).or_else(|| surrogates(rest)).or_else(|| hex(rest, 1, 4)),
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
        // Controls, which nobody sees, and a line that goes on.
        'b' | 'f' | 'v' | '\n' | '\r' => None,
        other => Some(other),
    };
    (meant, kind.len_utf8())
}

fn code(rest: &str, from: usize, digits: usize) -> Option<u32> {
    u32::from_str_radix(rest.get(from..from + digits)?, 16).ok()
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

/// Two halves of a character (UTF-16).
fn surrogates(rest: &str) -> Option<(char, usize)> {
    let high = code(rest, 1, 4)?.checked_sub(0xd800).filter(|high| *high < 0x400)?;
    let low =
        rest.get(5..7).filter(|next| *next == "\\u").and_then(|_| code(rest, 7, 4))?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    Some((char::from_u32(0x10000 + (high << 10) + low)?, 11))
}
