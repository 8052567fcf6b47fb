//! Text in base64 (RFC 4648 sections 4 and 5): a piece that is that from start to end.

use crate::{
    Budget, Unscannable,
    text::{Marks, View},
};

/// The shortest that is read, in characters: what is shorter holds no word.
const SHORTEST: usize = 8;

/// What a byte costs where it is undone, in steps.
const COSTS: usize = 4;
/// After so many bytes it is looked whether they are text, before the others are read.
const CHECKED: usize = 12;

/// The text that a piece holds in base64, if it does: UTF-8, without control characters. Padding may be missing, and lines broken. It is held until whoever
/// asked releases it.
///
/// # Errors
/// `Crowded`: there is no room for it. Or it takes more than the budget.
pub(super) fn text(view: &View<'_>, budget: &Budget<'_>) -> Result<Option<String>, Unscannable> {
    if view.text.len() < SHORTEST || view.marks.any(Marks::NOT_BASE64) {
        return Ok(None);
    }
    let piece = view.text.trim_ascii();
    let written = piece.trim_end_matches('=');
    if piece.len() < SHORTEST || piece.len() - written.len() > 2 || !written.bytes().all(|byte| value(byte).is_some() || is_break(byte)) {
        return Ok(None);
    }
    budget.spend(COSTS * written.len())?;
    let room = written.len() / 4 * 3 + 3;
    budget.hold(room)?;
    let text = decoded(written, room);
    if text.is_none() {
        budget.release(room);
    }
    Ok(text)
}

fn decoded(written: &str, room: usize) -> Option<String> {
    let mut plain = Vec::with_capacity(room);
    let (mut bits, mut taken) = (0_u32, 0);
    for value in written.bytes().filter_map(value) {
        bits = bits << 6 | u32::from(value);
        taken += 6;
        if taken >= 8 {
            taken -= 8;
            plain.push((bits >> taken & 0xff) as u8);
            // What is no text mostly shows it soon.
            if plain.len() == CHECKED && str::from_utf8(&plain).is_err_and(|why| why.error_len().is_some()) {
                return None;
            }
        }
    }
    // One character over is no base64.
    let text = String::from_utf8(plain).ok().filter(|_| taken < 6)?;
    text.chars().all(|one| !one.is_control() || matches!(one, '\t' | '\n' | '\r')).then_some(text)
}

const fn is_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

const fn value(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}
