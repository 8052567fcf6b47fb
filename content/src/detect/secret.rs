//! Keys and other secrets: those with a shape of their own, private keys, and what a name like `password` is given.

use std::ops::Range;

use super::{Context, byte};
use crate::{Budget, Unscannable};

mod assigned;
mod jwt;
mod shapes;

pub(super) fn find(context: &Context<'_>, found: &mut Vec<Range<usize>>) -> Result<(), Unscannable> {
    // Four of them pass over the text at their own pace.
    context.budget.spend(4 * context.text.len())?;
    shapes::find(context, found)?;
    jwt::find(context.text, found);
    private_keys(context.text, found);
    credentials(context.text, context.budget, found)?;
    assigned::find(context, found)
}

/// PEM blocks of private keys (RFC 7468), to their end or to the end of the text.
fn private_keys(text: &str, found: &mut Vec<Range<usize>>) {
    const END: &str = "-----END ";
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find("-----BEGIN ")).map(|at| from + at) {
        let label = text.get(at + 11..).unwrap_or_default();
        let label = label.split("-----").next().unwrap_or_default();
        if label.len() > 64 || !label.ends_with("PRIVATE KEY") {
            from = at + 11;
            continue;
        }
        let end = text.get(at..).and_then(|rest| rest.find(END)).map_or(text.len(), |length| {
            let line = at + length + END.len();
            text.get(line..).and_then(|rest| rest.find("-----")).map_or(line, |length| line + length + 5)
        });
        found.push(at..end);
        from = end;
    }
}

/// `scheme://user:password@host`: the password.
fn credentials(text: &str, budget: &Budget<'_>, found: &mut Vec<Range<usize>>) -> Result<(), Unscannable> {
    const LONGEST: usize = 256;
    for (at, _) in text.match_indices("://") {
        budget.spend(LONGEST)?;
        let rest = text.get(at + 3..).unwrap_or_default();
        let length = rest.bytes().take(LONGEST).take_while(|byte| byte.is_ascii_graphic() && !b"/?#\"'<>".contains(byte)).count();
        let Some((user, _)) = rest.get(..length).and_then(|authority| authority.rsplit_once('@')) else { continue };
        let Some((name, password)) = user.split_once(':') else { continue };
        if !password.is_empty() && !password.starts_with("[redacted") && at > 0 && byte(text, at - 1).is_ascii_alphanumeric() {
            let start = at + 3 + name.len() + 1;
            found.push(start..start + password.len());
        }
    }
    Ok(())
}

/// The end of a run of characters that a token is made of, at most so many.
fn run(text: &str, start: usize, most: usize, is_of: impl Fn(u8) -> bool) -> usize {
    start + text.as_bytes().get(start..).unwrap_or_default().iter().take(most).take_while(|byte| is_of(**byte)).count()
}
