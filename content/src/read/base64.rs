//! Text in base64 (RFC 4648 sections 4 and 5): a piece that is that from start to end.

/// The shortest that is read, in characters: what is shorter holds no word.
const SHORTEST: usize = 8;

/// The text that a piece holds in base64, if it does: UTF-8, without control characters. Padding may be missing, and lines broken.
pub(super) fn text(piece: &str) -> Option<String> {
    let piece = piece.trim_ascii();
    let written = piece.trim_end_matches('=');
    if piece.len() < SHORTEST || piece.len() - written.len() > 2 || !written.bytes().all(|byte| value(byte).is_some() || is_break(byte)) {
        return None;
    }
    let mut plain = Vec::with_capacity(written.len() / 4 * 3 + 3);
    let (mut bits, mut taken) = (0_u32, 0);
    for value in written.bytes().filter_map(value) {
        bits = bits << 6 | u32::from(value);
        taken += 6;
        if taken >= 8 {
            taken -= 8;
            plain.push((bits >> taken & 0xff) as u8);
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
