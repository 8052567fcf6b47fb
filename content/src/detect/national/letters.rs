//! Schemes with letters in them.

use crate::{
    Unscannable,
    detect::{Context, Cue, Groups, Places, byte, ends, starts},
};

/// A scheme: how many letters and digits it takes, and what makes them its own (in upper case).
type Scheme = (usize, fn(&[u8]) -> bool);

/// United Kingdom, Spain (DNI and NIE), Finland (without its sign), Italy, France (Corsica).
const SCHEMES: [Scheme; 5] = [(9, nino), (9, spain), (11, finland), (16, italy), (15, corsica)];

/// What a place where a number may begin costs, in steps.
const COSTS: usize = 64;
/// The longest scheme.
const LONGEST: usize = 16;

pub(super) fn find(context: &Context<'_>, groups: &Groups<'_>, found: &mut Places<'_>) -> Result<(), Unscannable> {
    let text = context.text;
    let mut from = 0;
    for group in groups.each_group() {
        for (start, digit) in begins(text, group.start).into_iter().flatten() {
            if start < from || !starts(text, start) {
                continue;
            }
            context.budget.spend(COSTS)?;
            if let Some(end) = one(text, start, digit).filter(|_| !context.says(start, Cue::Other)) {
                found.push(start..end)?;
                from = end;
            }
        }
    }
    Ok(())
}

/// Where a number may begin whose first digit stands here, in order, and how many letters come before that digit: in all schemes it is the first, second,
/// third or seventh of what counts.
fn begins(text: &str, digit: usize) -> [Option<(usize, usize)>; 4] {
    let mut begins = [None, None, None, Some((digit, 0))];
    let mut here = digit;
    for letters in 1..=6 {
        let before = |back: usize| here.checked_sub(back).map_or(0, |at| byte(text, at));
        here = match (before(2), before(1)) {
            (_, one) if one.is_ascii_alphabetic() => here - 1,
            (one, b' ' | b'-' | b'.') if one.is_ascii_alphabetic() => here - 2,
            _ => break,
        };
        match letters {
            1 => begins[2] = Some((here, letters)),
            2 => begins[1] = Some((here, letters)),
            6 => begins[0] = Some((here, letters)),
            _ => {}
        }
    }
    begins
}

/// The end of the number that begins here, whose first digit comes after so many letters.
fn one(text: &str, start: usize, digit: usize) -> Option<usize> {
    let (mut letters, mut count, mut here) = ([0; LONGEST], 0, start);
    while count < LONGEST {
        let one = byte(text, here);
        // From the first digit to the sixth place all schemes have digits, and then perhaps a sign.
        if count >= digit && count < 6 && one.is_ascii_alphabetic() {
            return None;
        }
        if one.is_ascii_alphanumeric() || (count == 6 && (one == b'+' || (one == b'-' && digit == 0))) {
            *letters.get_mut(count)? = one.to_ascii_uppercase();
            count += 1;
            here += 1;
            let taken = letters.get(..count)?;
            let is_one = SCHEMES.iter().any(|(length, is_one)| count == *length && is_one(taken));
            if is_one && ends(text, here) {
                return Some(here);
            }
        } else if matches!(one, b' ' | b'-' | b'.') && here > start && byte(text, here + 1).is_ascii_alphanumeric() {
            here += 1;
        } else {
            return None;
        }
    }
    None
}

fn all_digits(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_digit)
}

fn number(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// United Kingdom: two letters that are issued, six digits, A to D.
fn nino(taken: &[u8]) -> bool {
    let [one, two, digits @ .., last] = taken else { return false };
    let letters = one.is_ascii_alphabetic() && two.is_ascii_alphabetic() && !b"DFIQUV".contains(one) && !b"DFIOQUV".contains(two);
    let issued = ![b"BG", b"GB", b"NK", b"KN", b"TN", b"NT", b"ZZ"].contains(&&[*one, *two]);
    letters && issued && all_digits(digits) && matches!(last, b'A'..=b'D')
}

/// Spain: eight digits, or X, Y or Z and seven, and the letter of the remainder by 23.
fn spain(taken: &[u8]) -> bool {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let Some((letter, body)) = taken.split_last() else { return false };
    let mut digits = body.to_vec();
    if let Some(first) = digits.first_mut()
        && let Some(prefix) = b"XYZ".iter().position(|prefix| prefix == first)
    {
        *first = b"012".get(prefix).copied().unwrap_or(b'0');
    }
    if !all_digits(&digits) {
        return false;
    }
    number(&digits).and_then(|value| LETTERS.get(usize::try_from(value % 23).ok()?)) == Some(letter)
}

/// Finland: henkilötunnus, a date, a sign of the century, and the character of the remainder by 31.
fn finland(taken: &[u8]) -> bool {
    const CHECK: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let (Some(date), Some(sign), Some(serial), Some(check)) = (taken.get(..6), taken.get(6), taken.get(7..10), taken.get(10)) else {
        return false;
    };
    if !all_digits(date) || !all_digits(serial) || !matches!(sign, b'-' | b'+' | b'A'..=b'F' | b'U'..=b'Y') {
        return false;
    }
    let (Some(day), Some(month)) = (date.get(..2).and_then(number), date.get(2..4).and_then(number)) else { return false };
    let value = number(&[date, serial].concat());
    let expected = value.and_then(|value| CHECK.get(usize::try_from(value % 31).ok()?));
    (1..=31).contains(&day) && (1..=12).contains(&month) && expected == Some(check)
}

/// Italy: codice fiscale. Digits may be letters where two people would have the same one (omocodia).
fn italy(taken: &[u8]) -> bool {
    const ODD: [u32; 26] = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let shaped = taken.iter().enumerate().all(|(at, one)| match at {
        0..=5 | 11 | 15 => one.is_ascii_alphabetic(),
        8 => b"ABCDEHLMPRST".contains(one),
        _ => one.is_ascii_digit() || b"LMNPQRSTUV".contains(one),
    });
    let Some((check, body)) = taken.split_last().filter(|_| shaped) else { return false };
    let value = |one: u8| u32::from(if one.is_ascii_digit() { one - b'0' } else { one - b'A' });
    let sum: u32 = body
        .iter()
        .enumerate()
        .map(|(at, one)| if at % 2 == 1 { value(*one) } else { ODD.get(value(*one) as usize).copied().unwrap_or(0) })
        .sum();
    sum % 26 == value(*check)
}

/// France: the NIR of somebody born on Corsica, where the department is 2A or 2B.
fn corsica(taken: &[u8]) -> bool {
    let mut digits = taken.to_vec();
    let (Some(b'2'), Some(letter @ (b'A' | b'B'))) = (taken.get(5), taken.get(6)) else { return false };
    if let Some(place) = digits.get_mut(5..7) {
        place.copy_from_slice(if *letter == b'A' { b"19" } else { b"18" });
    }
    let (Some(body), Some(key)) = (digits.get(..13), digits.get(13..15)) else { return false };
    all_digits(&digits) && matches!(digits.first(), Some(b'1' | b'2')) && number(body).map(|body| 97 - body % 97) == number(key)
}
