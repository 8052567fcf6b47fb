//! IBANs (ISO 13616): the country's length and structure, and mod 97.

use std::ops::Range;

use iban::Iban;

use super::{Context, byte, ends, starts};
use crate::Unscannable;

/// The shortest and the longest.
const LENGTHS: std::ops::RangeInclusive<usize> = 15..=34;

/// What a length at which one may end costs, in steps.
const COSTS: usize = 64;

pub(super) fn find(context: &Context<'_>, found: &mut Vec<Range<usize>>) -> Result<(), Unscannable> {
    let text = context.text;
    let mut at = 0;
    while at + 15 <= text.len() {
        let head = [byte(text, at), byte(text, at + 1)];
        let next = match head {
            [one, two] if one.is_ascii_alphabetic() && two.is_ascii_alphabetic() && starts(text, at) => iban(context, at)?,
            _ => None,
        };
        match next {
            Some(end) => {
                found.push(at..end);
                at = end;
            }
            None => at += 1,
        }
    }
    Ok(())
}

/// The end of the IBAN that begins here.
fn iban(context: &Context<'_>, start: usize) -> Result<Option<usize>, Unscannable> {
    let text = context.text;
    let (mut written, mut here) = (String::with_capacity(*LENGTHS.end()), start);
    loop {
        let one = byte(text, here);
        if one.is_ascii_alphanumeric() && written.len() < *LENGTHS.end() {
            written.push(char::from(one.to_ascii_uppercase()));
            here += 1;
            if written.len() == 4 && !written.bytes().skip(2).all(|byte| byte.is_ascii_digit()) {
                return Ok(None);
            }
            if LENGTHS.contains(&written.len()) && ends(text, here) {
                context.budget.spend(COSTS)?;
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
