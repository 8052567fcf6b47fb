//! What a name like `password` is given: `password=...`, `"api_key": "..."`, `Authorization: Bearer ...`.

use std::ops::Range;

use super::run;
use crate::{Unscannable, detect::Context};

/// Names of secrets, in lower case without `_`, `-` and spaces: the end of the name is compared.
const NAMES: [&str; 20] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "secretkey",
    "clientsecret",
    "apikey",
    "accesskey",
    "secretaccesskey",
    "privatekey",
    "accesstoken",
    "authtoken",
    "refreshtoken",
    "bearertoken",
    "apitoken",
    "authorization",
    "passwort",
    "motdepasse",
    "contrasena",
];

/// The longest name, in bytes.
const LONGEST_NAME: usize = 40;
/// The most quotes and spaces between a name and what it is given.
const MAX_QUOTES: usize = 8;
/// The shortest and the longest secret, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 8..=512;

/// What an `=` or `:` costs, in steps.
const COSTS: usize = 128;
/// What it costs to look at a value.
const VALUE: usize = 4 * *LENGTHS.end();

pub(super) fn find(context: &Context<'_>, found: &mut Vec<Range<usize>>) -> Result<(), Unscannable> {
    let text = context.text;
    // The whole text is what the name is given: a member of an object, a field of a form.
    if is_name(context.key) {
        let value = text.trim();
        let start = text.len() - text.trim_start().len();
        let scheme = scheme(value);
        if is_secret(value.get(scheme..).unwrap_or_default()) {
            found.push(start + scheme..start + value.len());
            return Ok(());
        }
    }
    for (at, _) in text.match_indices(['=', ':']) {
        context.budget.spend(COSTS)?;
        let before = text.get(at.saturating_sub(LONGEST_NAME)..at).map_or_else(|| last_chars(text, at), str::to_owned);
        let name = before.trim_end_matches([' ', '"', '\'']);
        let length = name.bytes().rev().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')).count();
        if !is_name(&name.get(name.len() - length..).unwrap_or_default().to_ascii_lowercase()) {
            continue;
        }
        context.budget.spend(VALUE)?;
        let quote = |byte: u8| matches!(byte, b' ' | b'"' | b'\'' | b'\t');
        let start = run(text, at + 1, MAX_QUOTES, quote);
        let end = run(text, start, *LENGTHS.end() + 1, is_of_value);
        let scheme = scheme(text.get(start..).unwrap_or_default());
        let (start, end) =
            if scheme > 0 { (start + scheme, run(text, start + scheme, *LENGTHS.end() + 1, is_of_value)) } else { (start, end) };
        // A password may end a sentence, but what ends in `,` or `;` ends before it.
        let value = text.get(start..end).unwrap_or_default().trim_end_matches([',', ';', '.', ')']);
        if is_secret(value) {
            found.push(start..start + value.len());
        }
    }
    bearer(context, found)
}

/// `Bearer` and a token that is long enough to be none by chance (RFC 6750).
fn bearer(context: &Context<'_>, found: &mut Vec<Range<usize>>) -> Result<(), Unscannable> {
    let text = context.text;
    for word in ["Bearer ", "bearer "] {
        for (at, _) in text.match_indices(word) {
            context.budget.spend(VALUE)?;
            let start = at + word.len();
            let end = run(text, start, *LENGTHS.end() + 1, |byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
            });
            if end - start >= 20 && is_secret(text.get(start..end).unwrap_or_default()) {
                found.push(start..end);
            }
        }
    }
    Ok(())
}

fn last_chars(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or_default();
    let mut chars: Vec<char> = before.chars().rev().take(LONGEST_NAME / 2).collect();
    chars.reverse();
    chars.into_iter().collect()
}

/// The length of `Bearer ` or `Basic ` at the beginning.
fn scheme(value: &str) -> usize {
    ["bearer ", "basic ", "token "]
        .iter()
        .find(|scheme| value.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme)))
        .map_or(0, |scheme| scheme.len())
}

fn is_name(name: &str) -> bool {
    if name.len() < 3 {
        return false;
    }
    let plain: String = name.chars().filter(|one| one.is_alphanumeric()).collect();
    NAMES.iter().any(|known| plain.ends_with(known))
}

fn is_of_value(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'&' | b'<' | b'>')
}

/// Whether a value is no placeholder and no word: a letter, something else besides, and enough different characters.
fn is_secret(value: &str) -> bool {
    let placeholder =
        value.starts_with(['$', '{', '<', '*', '[', '%']) || value.contains("${") || value.contains("***") || value.contains("://");
    let mut seen = [false; 256];
    value.bytes().for_each(|byte| seen[usize::from(byte)] = true);
    let different = seen.iter().filter(|seen| **seen).count();
    let letters = value.bytes().any(|byte| byte.is_ascii_alphabetic());
    let others =
        value.bytes().any(|byte| byte.is_ascii_digit() || (byte.is_ascii_punctuation() && !matches!(byte, b'.' | b'-' | b'_' | b'/')));
    LENGTHS.contains(&value.len()) && !placeholder && value.is_ascii() && !value.contains(' ') && letters && others && different >= 6
}
