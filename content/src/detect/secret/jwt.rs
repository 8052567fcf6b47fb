//! Signed and encrypted tokens (RFC 7519): base64url of an object that begins with `{"`, and at least two more parts.

use std::ops::Range;

use super::run;
use crate::detect::{byte, starts};

pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find("eyJ")).map(|at| from + at) {
        if !starts(text, at) {
            from = at + 3;
            continue;
        }
        let part = |start: usize| run(text, start, usize::MAX, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        let header = part(at);
        // Whatever begins inside of this run ends where it ends: a place is looked at twice at the most.
        from = header;
        if byte(text, header) != b'.' {
            continue;
        }
        let payload = part(header + 1);
        if byte(text, payload) == b'.' && header - at >= 10 && payload - header > 10 {
            from = run(text, payload, usize::MAX, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
            found.push(at..from);
        }
    }
}
