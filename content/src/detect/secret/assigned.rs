//! What a name like `password` is given: `password=...`, `"api_key": "..."`, `Authorization: Bearer ...`.

use std::sync::LazyLock;

use memchr::{memchr2_iter, memmem::Finder};

use super::run;
use crate::{
    Unscannable,
    detect::{Context, Places, byte},
    text::Marks,
};

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

/// What an `=` or `:`, or a value, costs, in steps, besides what it costs by its length.
const COSTS: usize = 32;

pub(super) fn find(context: &Context<'_>, found: &mut Places<'_>) -> Result<(), Unscannable> {
    let text = context.text;
    // The whole text is what the name is given: a member of an object, a field of a form.
    if text.len() >= *LENGTHS.start() && is_name(context.key) {
        let value = text.trim();
        let start = text.len() - text.trim_start().len();
        let scheme = scheme(value);
        if is_secret(value.get(scheme..).unwrap_or_default()) {
            found.push(start + scheme..start + value.len())?;
            return Ok(());
        }
    }
    if context.marks.any(Marks::EQUALS.and(Marks::COLON)) {
        for at in memchr2_iter(b'=', b':', text.as_bytes()) {
            context.budget.spend(COSTS)?;
            if is_name(name_before(text, at)) {
                value(context, at + 1, found)?;
            }
        }
    }
    bearer(context, found)
}

/// The name that ends before a place, perhaps in quotes.
fn name_before(text: &str, at: usize) -> &str {
    let from = at.saturating_sub(LONGEST_NAME);
    let from = if text.is_char_boundary(from) {
        from
    } else {
        let before = text.get(..at).unwrap_or_default();
        before.char_indices().nth_back(LONGEST_NAME / 2 - 1).map_or(0, |(from, _)| from)
    };
    let before = text.get(from..at).unwrap_or_default().trim_end_matches([' ', '"', '\'']);
    let length = before.bytes().rev().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')).count();
    before.get(before.len() - length..).unwrap_or_default()
}

/// The value that is given here.
fn value(context: &Context<'_>, at: usize, found: &mut Places<'_>) -> Result<(), Unscannable> {
    let text = context.text;
    let start = run(text, at, MAX_QUOTES, |byte| matches!(byte, b' ' | b'"' | b'\'' | b'\t'));
    let start = start + scheme(text.get(start..).unwrap_or_default());
    let end = run(text, start, *LENGTHS.end() + 1, is_of_value);
    context.budget.spend(COSTS + 4 * (end - start))?;
    // A password may end a sentence, but what ends in `,` or `;` ends before it.
    let value = text.get(start..end).unwrap_or_default().trim_end_matches([',', ';', '.', ')']);
    if is_secret(value) {
        found.push(start..start + value.len())?;
    }
    Ok(())
}

/// `Bearer` and a token that is long enough to be none by chance (RFC 6750).
fn bearer(context: &Context<'_>, found: &mut Places<'_>) -> Result<(), Unscannable> {
    static WORD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("earer "));
    const SHORTEST: usize = 20;
    let text = context.text;
    if text.len() < "Bearer ".len() + SHORTEST {
        return Ok(());
    }
    for at in WORD.find_iter(text.as_bytes()) {
        if at == 0 || !matches!(byte(text, at - 1), b'B' | b'b') {
            continue;
        }
        let start = at + "earer ".len();
        let end = run(text, start, *LENGTHS.end() + 1, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
        });
        context.budget.spend(COSTS + 4 * (end - start))?;
        if end - start >= SHORTEST && is_secret(text.get(start..end).unwrap_or_default()) {
            found.push(start..end)?;
        }
    }
    Ok(())
}

/// The length of `Bearer ` or `Basic ` at the beginning.
fn scheme(value: &str) -> usize {
    ["bearer ", "basic ", "token "]
        .iter()
        .find(|scheme| value.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme)))
        .map_or(0, |scheme| scheme.len())
}

/// Whether a name ends as names of secrets do, whatever stands between its letters.
fn is_name(name: &str) -> bool {
    const LONGEST: usize = 15;
    if name.len() < 3 {
        return false;
    }
    // Letters from the end on; those beyond ASCII are none of any name.
    let (mut letters, mut count) = ([0; LONGEST], 0);
    let backwards = name.chars().rev().filter(|one| one.is_alphanumeric());
    for (place, one) in letters.iter_mut().zip(backwards) {
        *place = u8::try_from(one).map_or(0, |one| one.to_ascii_lowercase());
        count += 1;
        if count == 1 && !b"deatyn".contains(place) {
            return false;
        }
    }
    NAMES.iter().any(|known| known.len() <= count && known.bytes().rev().eq(letters.iter().take(known.len()).copied()))
}

fn is_of_value(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'&' | b'<' | b'>')
}

/// Whether a value is no placeholder and no word: a letter, something else besides, and enough different characters.
fn is_secret(value: &str) -> bool {
    if !LENGTHS.contains(&value.len()) || !value.is_ascii() || value.contains(' ') {
        return false;
    }
    let placeholder =
        value.starts_with(['$', '{', '<', '*', '[', '%']) || value.contains("${") || value.contains("***") || value.contains("://");
    let different = value.bytes().fold(0_u128, |seen, byte| seen | 1 << (byte & 0x7f)).count_ones();
    let letters = value.bytes().any(|byte| byte.is_ascii_alphabetic());
    let others =
        value.bytes().any(|byte| byte.is_ascii_digit() || (byte.is_ascii_punctuation() && !matches!(byte, b'.' | b'-' | b'_' | b'/')));
    !placeholder && letters && others && different >= 6
}
