//! Keys and other secrets: those with a shape of their own, private keys, and what a name like `password` is given.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::{Context, Places, byte};
use crate::{Unscannable, text::Marks};

mod assigned;
mod jwt;
mod shapes;

pub(super) fn find(context: &Context<'_>, found: &mut Places<'_>) -> Result<(), Unscannable> {
    context.budget.spend(context.text.len())?;
    shapes::find(context, found)?;
    jwt::find(context, found)?;
    private_keys(context, found)?;
    credentials(context, found)?;
    assigned::find(context, found)
}

/// What the beginning of a block, or of an authority, costs, in steps.
const COSTS: usize = 32;

/// PEM blocks of private keys (RFC 7468), to their end or to the end of the text.
fn private_keys(context: &Context<'_>, found: &mut Places<'_>) -> Result<(), Unscannable> {
    const BEGIN: &str = "-----BEGIN ";
    const END: &str = "-----END ";
    const KIND: &str = "PRIVATE KEY";
    static BEGINNING: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(BEGIN));
    let text = context.text;
    if text.len() < BEGIN.len() + KIND.len() || !context.marks.any(Marks::HYPHEN) {
        return Ok(());
    }
    let mut from = 0;
    while let Some(at) = text.as_bytes().get(from..).and_then(|rest| BEGINNING.find(rest)).map(|at| from + at) {
        context.budget.spend(COSTS)?;
        let label = text.get(at + BEGIN.len()..).unwrap_or_default();
        let label = label.split("-----").next().unwrap_or_default();
        if label.len() > 64 || !label.ends_with(KIND) {
            from = at + BEGIN.len();
            continue;
        }
        let end = text.get(at..).and_then(|rest| rest.find(END)).map_or(text.len(), |length| {
            let line = at + length + END.len();
            text.get(line..).and_then(|rest| rest.find("-----")).map_or(line, |length| line + length + 5)
        });
        found.push(at..end)?;
        from = end;
    }
    Ok(())
}

/// `scheme://user:password@host`: the password.
fn credentials(context: &Context<'_>, found: &mut Places<'_>) -> Result<(), Unscannable> {
    const LONGEST: usize = 256;
    static AUTHORITY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("://"));
    let text = context.text;
    if !context.marks.any(Marks::AT) || !context.marks.any(Marks::COLON) {
        return Ok(());
    }
    for at in AUTHORITY.find_iter(text.as_bytes()) {
        let rest = text.get(at + 3..).unwrap_or_default();
        let length = rest.bytes().take(LONGEST).take_while(|byte| byte.is_ascii_graphic() && !b"/?#\"'<>".contains(byte)).count();
        context.budget.spend(COSTS + 2 * length)?;
        let Some((user, _)) = rest.get(..length).and_then(|authority| authority.rsplit_once('@')) else { continue };
        let Some((name, password)) = user.split_once(':') else { continue };
        if !password.is_empty() && !password.starts_with("[redacted") && at > 0 && byte(text, at - 1).is_ascii_alphanumeric() {
            let start = at + 3 + name.len() + 1;
            found.push(start..start + password.len())?;
        }
    }
    Ok(())
}

/// The end of a run of characters that a token is made of, at most so many.
fn run(text: &str, start: usize, most: usize, is_of: impl Fn(u8) -> bool) -> usize {
    start + text.as_bytes().get(start..).unwrap_or_default().iter().take(most).take_while(|byte| is_of(**byte)).count()
}
