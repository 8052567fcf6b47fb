//! Telephone numbers: international ones by country code and length (ITU-T E.164), national ones by how they are written, bare ones only
//! where a word says what they are. A rule of our own: a library of numbering plans takes tens of microseconds for each candidate, and a
//! body may hold a million.

use std::ops::Range;

use super::{Context, Cue, Groups, Places, byte, digits::Number};
use crate::Unscannable;

/// The least and the most digits of a number.
pub(super) const DIGITS: (usize, usize) = (7, 15);
/// What a number costs, in steps.
const COSTS: usize = 128;

pub(super) fn find(context: &Context<'_>, groups: &Groups<'_>, found: &mut Places<'_>) -> Result<(), Unscannable> {
    groups.each(DIGITS, (context.budget, COSTS), |number| {
        let at = number.at();
        let plus = at.start > 0 && byte(context.text, at.start - 1) == b'+' || plus_and_bracket(context.text, at.start);
        let longer = number.cut[1] && can_grow(number);
        let is_phone = if plus {
            !number.cut[0] && is_international(number.digits()) && !longer
        } else if number.digits().starts_with(&[0, 0]) {
            let written = number.shape().len() > 1 || context.says(at.start, Cue::Phone);
            number.is_apart() && is_international(number.digits().get(2..).unwrap_or_default()) && written && !longer
        } else {
            number.is_apart() && !longer && !is_date(number) && !is_time(context.text, &at) && is_national(context, number)
        };
        if is_phone {
            let start = if plus { context.text.get(..at.start).and_then(|before| before.rfind('+')).unwrap_or(at.start) } else { at.start };
            let bracket = at.start > 0 && byte(context.text, at.start - 1) == b'(';
            found.push(if bracket && !plus { at.start - 1..at.end } else { start..at.end })?;
        }
        Ok(is_phone)
    })
}

/// `+(49) 30 ...`
fn plus_and_bracket(text: &str, start: usize) -> bool {
    text.get(..start).is_some_and(|before| before.ends_with("+(") || before.ends_with("+ "))
}

/// Whether the number goes on in a way that makes a longer telephone number of it: another group of two to four digits.
fn can_grow(number: &Number<'_>) -> bool {
    let after = number.text.get(number.at().end..).unwrap_or_default();
    let gap = after.bytes().take_while(|byte| !byte.is_ascii_digit()).count();
    let digits = after.bytes().skip(gap).take_while(u8::is_ascii_digit).count();
    gap <= 1 && (2..=4).contains(&digits) && number.digits().len() + digits <= 15
}

/// A country code that is given, and the length of all: 1 and 7 have numbers of one length, the others of nine to fifteen digits.
fn is_international(digits: &[u8]) -> bool {
    let [one, two, ..] = digits else { return false };
    let rest = digits.len();
    match one * 10 + two {
        _ if *one == 0 => false,
        // NANP: an area and an exchange begin with 2 to 9.
        10..=19 => rest == 11 && (2..=9).contains(two) && *one == 1 && digits.get(4).is_some_and(|digit| *digit >= 2),
        70..=79 => rest == 11 && matches!(two, 3..=9 | 0),
        // Not given to anybody.
        28 | 83 | 89 => false,
        _ => (9..=15).contains(&rest),
    }
}

fn is_national(context: &Context<'_>, number: &Number<'_>) -> bool {
    let at = number.at();
    let shape = number.shape();
    if context.says(at.start, Cue::Phone) && !number.digits().iter().all(|digit| Some(digit) == number.digits().first()) {
        return true;
    }
    if shape.len() == 1 || context.says(at.start, Cue::Other) {
        return false;
    }
    is_north_american(number, shape) || has_trunk(number, shape)
}

/// (NXX) NXX-XXXX, with or without 1 before it.
fn is_north_american(number: &Number<'_>, shape: &[usize]) -> bool {
    let digits = match (shape, number.digits()) {
        ([3, 3, 4], digits) => digits,
        ([1, 3, 3, 4], [1, digits @ ..]) => digits,
        _ => return false,
    };
    let good = |at: usize| matches!(digits.get(at..at + 3), Some([2..=9, second, third]) if !(*second == 1 && *third == 1));
    good(0) && good(3) && digits.get(1) != Some(&9)
}

/// 0 before an area: `030 901820`, `06 12 34 56 78`, `020 7946 0958`, `07700 900123`.
fn has_trunk(number: &Number<'_>, shape: &[usize]) -> bool {
    let first = shape.first().copied().unwrap_or_default();
    let even = number.gaps().all(|gap| matches!(gap, " " | "-" | "." | "/" | ")" | ") "));
    let dotted = number.gaps().any(|gap| gap == ".");
    let pairs = shape.len() == 5 && shape.iter().all(|length| *length == 2);
    let areas = (2..=5).contains(&first) && shape.iter().skip(1).all(|length| (2..=8).contains(length)) && shape.len() <= 5;
    !number.cut[0]
        && matches!(number.digits(), [0, 1..=9, ..])
        && (9..=12).contains(&number.digits().len())
        && even
        && (pairs || (areas && !dotted && first >= 3 || first == 2 && shape.len() <= 3 && !dotted))
}

/// `01-02-2024 ...`, `2024-01-02 ...`: dates, whatever follows them.
fn is_date(number: &Number<'_>) -> bool {
    let shape = number.shape();
    let year = |at: usize| (1900..=2100).contains(&number.value(at..at + 4));
    matches!(shape, [4, 2, 2, ..] if year(0)) || matches!(shape, [2, 2, 4, ..] if year(4))
}

/// What stands before or after a colon is a time or an address.
fn is_time(text: &str, at: &Range<usize>) -> bool {
    let before = at.start >= 2 && byte(text, at.start - 1) == b':' && byte(text, at.start - 2).is_ascii_digit();
    before || (byte(text, at.end) == b':' && byte(text, at.end + 1).is_ascii_digit())
}
