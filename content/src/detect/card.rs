//! Payment cards: Luhn's check, the ranges that are issued with their lengths, and groups as cards are written.

use super::{
    Context, Places,
    digits::{Groups, Number, luhn},
};
use crate::Unscannable;

/// The least and the most digits of a card.
pub(super) const DIGITS: (usize, usize) = (14, 19);
/// What a number costs, in steps.
const COSTS: usize = 64;

pub(super) fn find(context: &Context<'_>, groups: &Groups<'_>, found: &mut Places<'_>) -> Result<(), Unscannable> {
    groups.each(DIGITS, (context.budget, COSTS), |number| {
        let is_card = is_issued(number) && luhn(number.digits()) && is_written_so(number) && number.is_apart();
        if is_card {
            found.push(number.at())?;
        }
        Ok(is_card)
    })
}

/// The issuers' ranges with the lengths that they issue.
fn is_issued(number: &Number<'_>) -> bool {
    let length = number.digits().len();
    let (one, two, three, four) = (number.value(0..1), number.value(0..2), number.value(0..3), number.value(0..4));
    match length {
        // Diners Club.
        14 => matches!(three, 300..=305 | 309) || matches!(two, 36 | 38 | 39),
        // American Express.
        15 => matches!(two, 34 | 37),
        16 if one == 4 || matches!(two, 51..=55) || matches!(four, 2221..=2720) => true,
        // Mir, JCB, Discover, UnionPay, Diners, RuPay, Maestro.
        16..=19 => {
            (one == 4 && length != 17)
                || matches!(four, 2200..=2204 | 3528..=3589 | 6011)
                || matches!(three, 300..=305 | 508 | 644..=649)
                || matches!(two, 36 | 38 | 39 | 50 | 56..=58 | 60 | 62 | 63 | 65 | 67 | 81 | 82)
        }
        _ => false,
    }
}

/// One group; equal groups, the last one shorter or equal; or 4-6-5 and 4-6-4.
fn is_written_so(number: &Number<'_>) -> bool {
    let shape = number.shape();
    match shape {
        [_] | [4, 6, 5 | 4] => true,
        [first, middle @ .., last] => {
            let even = last <= first && middle.iter().all(|one| one == first);
            // Short groups make a card only where nothing else stands in the row.
            even && (*first >= 4 || number.is_whole())
        }
        [] => false,
    }
}
