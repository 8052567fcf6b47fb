//! IBANs (ISO 13616): the country's length and structure, and mod 97.

use iban::Iban;

use super::{Context, Groups, Places, byte, ends, starts};
use crate::Unscannable;

/// The shortest and the longest.
const LENGTHS: std::ops::RangeInclusive<usize> = 15..=34;

/// What a length at which one may end costs, in steps.
const COSTS: usize = 160;

pub(super) fn find(context: &Context<'_>, groups: &Groups<'_>, found: &mut Places<'_>) -> Result<(), Unscannable> {
    let text = context.text;
    let mut from = 0;
    for group in groups.each_group() {
        // Two letters stand before the check digits, with a separator between or none.
        let separator = group.start.checked_sub(1).map_or(0, |at| byte(text, at));
        let gap = usize::from(matches!(separator, b' ' | b'-' | b'.'));
        let Some(start) = group.start.checked_sub(gap + 2) else { continue };
        let letters = byte(text, start).is_ascii_alphabetic() && byte(text, start + 1).is_ascii_alphabetic();
        if start < from || !letters || !starts(text, start) {
            continue;
        }
        if let Some(end) = iban(context, start)? {
            found.push(start..end)?;
            from = end;
        }
    }
    Ok(())
}

/// The end of the IBAN that begins here.
fn iban(context: &Context<'_>, start: usize) -> Result<Option<usize>, Unscannable> {
    let text = context.text;
    let (mut letters, mut count, mut here) = ([0; *LENGTHS.end()], 0, start);
    loop {
        let one = byte(text, here);
        if one.is_ascii_alphanumeric() && count < letters.len() {
            letters.iter_mut().skip(count).take(1).for_each(|place| *place = one.to_ascii_uppercase());
            count += 1;
            here += 1;
            if count == 4 && !letters.iter().skip(2).take(2).all(u8::is_ascii_digit) {
                return Ok(None);
            }
            if LENGTHS.contains(&count) && ends(text, here) {
                context.budget.spend(COSTS)?;
                let written = letters.get(..count).and_then(|letters| str::from_utf8(letters).ok()).unwrap_or_default();
                if written.parse::<Iban>().is_ok() {
                    return Ok(Some(here));
                }
            }
        } else if matches!(one, b' ' | b'-' | b'.') && byte(text, here + 1).is_ascii_alphanumeric() {
            here += 1;
        } else {
            return Ok(None);
        }
    }
}
