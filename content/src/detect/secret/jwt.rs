//! Signed and encrypted tokens (RFC 7519): base64url of an object that begins with `{"`, and at least two more parts.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::run;
use crate::{
    Unscannable,
    detect::{Context, Places, byte, starts},
    text::Marks,
};

/// What a beginning costs, in steps.
const COSTS: usize = 32;
/// The shortest parts, in bytes, with a dot before the second.
const HEADER: usize = 10;
const PAYLOAD: usize = 11;

pub(super) fn find(context: &Context<'_>, found: &mut Places<'_>) -> Result<(), Unscannable> {
    static BEGIN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("eyJ"));
    let text = context.text;
    if text.len() < HEADER + PAYLOAD || !context.marks.any(Marks::DOT) {
        return Ok(());
    }
    let mut from = 0;
    while let Some(at) = text.as_bytes().get(from..).and_then(|rest| BEGIN.find(rest)).map(|at| from + at) {
        context.budget.spend(COSTS)?;
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
        if byte(text, payload) == b'.' && header - at >= HEADER && payload - header >= PAYLOAD {
            from = run(text, payload, usize::MAX, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
            found.push(at..from)?;
        }
    }
    Ok(())
}
