//! IBANs (ISO 13616): the country's length and structure, and mod 97.

use std::ops::Range;

use iban::Iban;

use super::{byte, ends, starts};

/// The shortest and the longest.
const LENGTHS: std::ops::RangeInclusive<usize> = 15..=34;

pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while at + 15 <= text.len() {
        let head = [byte(text, at), byte(text, at + 1)];
        let next = match head {
            [one, two] if one.is_ascii_alphabetic() && two.is_ascii_alphabetic() && starts(text, at) => iban(text, at),
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
}

/// The end of the IBAN that begins here.
fn iban(text: &str, start: usize) -> Option<usize> {
    let (mut written, mut here) = (String::with_capacity(*LENGTHS.end()), start);
    loop {
        let one = byte(text, here);
        if one.is_ascii_alphanumeric() && written.len() < *LENGTHS.end() {
            written.push(char::from(one.to_ascii_uppercase()));
            here += 1;
            if written.len() == 4 && !written.bytes().skip(2).all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            if LENGTHS.contains(&written.len()) && ends(text, here) && written.parse::<Iban>().is_ok() {
                return Some(here);
            }
        } else if matches!(one, b' ' | b'-' | b'.') && byte(text, here + 1).is_ascii_alphanumeric() {
            here += 1;
        } else {
            return None;
        }
    }
}
