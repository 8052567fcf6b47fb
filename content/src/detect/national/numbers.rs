//! Schemes of digits alone.

use super::Sure;
use crate::detect::{
    Cue,
    digits::{Number, luhn},
};

type Scheme = fn(&Number<'_>) -> Option<Sure>;

/// The schemes of numbers of a length in digits. Each says nothing where the number is not its own.
pub(super) const fn schemes(length: usize) -> &'static [Scheme] {
    match length {
        9 => &[us, ca, nl, pt],
        10 => &[dk, se],
        11 => &[de, be, pl, no, br],
        12 => &[se, india, es_ss],
        13 => &[ch],
        15 => &[fr],
        _ => &[],
    }
}

/// United States: SSN (area, group and serial that are issued), ITIN where it is named.
fn us(number: &Number<'_>) -> Option<Sure> {
    let shape = number.shape();
    let (area, group, serial) = (number.value(0..3), number.value(3..5), number.value(5..9));
    let issued = number.digits().len() == 9 && area != 0 && area != 666 && group != 0 && serial != 0;
    match shape {
        [3, 2, 4] if issued && number.is_joined_by("-") && area < 900 => Some(Sure::Yes),
        [3, 2, 4] | [9] if issued => Some(Sure::Said(Cue::UnitedStates)),
        _ => None,
    }
}

/// Canada: SIN, Luhn.
fn ca(number: &Number<'_>) -> Option<Sure> {
    let good = number.digits().len() == 9 && matches!(number.shape(), [3, 3, 3] | [9]) && luhn(number.digits());
    (good && !matches!(number.digits().first(), Some(0 | 8))).then_some(Sure::Said(Cue::Canada))
}

/// Netherlands: BSN, the test of eleven.
fn nl(number: &Number<'_>) -> Option<Sure> {
    let weights = [9, 8, 7, 6, 5, 4, 3, 2, -1];
    let good = number.digits().len() == 9 && weighted(number.digits(), &weights).rem_euclid(11) == 0 && number.value(0..9) != 0;
    good.then_some(Sure::Said(Cue::Netherlands))
}

/// France: NIR with its key, 97 less the remainder.
fn fr(number: &Number<'_>) -> Option<Sure> {
    let month = number.value(3..5);
    let good = number.digits().len() == 15
        && matches!(number.digits().first(), Some(1..=4 | 7 | 8))
        && matches!(month, 1..=12 | 20..=42 | 50..=99)
        && number.value(5..7) != 0
        && 97 - number.value(0..13) % 97 == number.value(13..15);
    good.then_some(Sure::Yes)
}

/// Germany: Steuer-ID, ISO 7064 MOD 11,10, and one digit of the first ten that is there two or three times.
fn de(number: &Number<'_>) -> Option<Sure> {
    let digits = number.digits().get(..11).filter(|_| number.digits().len() == 11)?;
    let body = digits.get(..10)?;
    let mut counts = [0_usize; 10];
    for digit in body {
        counts.get_mut(usize::from(*digit)).map(|count| *count += 1)?;
    }
    let repeated = counts.iter().filter(|count| **count > 1).count();
    let good = digits.first() != Some(&0) && repeated == 1 && counts.iter().all(|count| *count <= 3) && mod_11_10(digits);
    let grouped = number.shape() == [2, 3, 3, 3] && number.is_joined_by(" ");
    good.then_some(if grouped { Sure::Yes } else { Sure::Said(Cue::Germany) })
}

/// Belgium: a date and mod 97, before and after 2000.
fn be(number: &Number<'_>) -> Option<Sure> {
    if number.digits().len() != 11 || !is_month(number.value(2..4) % 20) || number.value(4..6) > 31 {
        return None;
    }
    let (body, key) = (number.value(0..9), number.value(9..11));
    let good = key == 97 - body % 97 || key == 97 - (2_000_000_000 + body) % 97;
    let written = number.shape() == [2, 2, 2, 3, 2];
    good.then_some(if written { Sure::Yes } else { Sure::Said(Cue::Belgium) })
}

/// Poland: PESEL, a date and a weighted sum.
fn pl(number: &Number<'_>) -> Option<Sure> {
    let weights = [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1];
    let good = number.shape() == [11]
        && is_month(number.value(2..4) % 20)
        && (1..=31).contains(&number.value(4..6))
        && weighted(number.digits(), &weights) % 10 == 0;
    good.then_some(Sure::Said(Cue::Poland))
}

/// Norway: fødselsnummer, a date and two sums by eleven. Nothing else passes both by chance.
fn no(number: &Number<'_>) -> Option<Sure> {
    let good = matches!(number.shape(), [11] | [6, 5])
        && matches!(number.value(0..2), 1..=31 | 41..=71)
        && is_month(number.value(2..4) % 40)
        && weighted(number.digits(), &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]) % 11 == 0
        && weighted(number.digits(), &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]) % 11 == 0;
    good.then_some(Sure::Yes)
}

/// Denmark: CPR, a date; its check has not been kept since 2007.
fn dk(number: &Number<'_>) -> Option<Sure> {
    let shaped = matches!(number.shape(), [6, 4] | [10]);
    let good = shaped && (1..=31).contains(&number.value(0..2)) && is_month(number.value(2..4));
    good.then_some(Sure::Said(Cue::Denmark))
}

/// Sweden: personnummer, a date and Luhn over the last ten digits.
fn se(number: &Number<'_>) -> Option<Sure> {
    let shape = number.shape();
    let century = match shape {
        [6, 4] | [10] => 0,
        [8, 4] | [12] if matches!(number.value(0..2), 18..=20) => 2,
        _ => return None,
    };
    let day = number.value(century + 4..century + 6);
    let good = is_month(number.value(century + 2..century + 4))
        && (matches!(day, 1..=31) || matches!(day, 61..=91))
        && luhn(number.digits().get(century..)?);
    let dashed = shape.len() == 2 && number.is_joined_by("-");
    good.then_some(if dashed { Sure::Yes } else { Sure::Said(Cue::Sweden) })
}

/// Brazil: CPF, two sums by eleven.
fn br(number: &Number<'_>) -> Option<Sure> {
    let digits = number.digits().get(..11).filter(|_| number.digits().len() == 11)?;
    let same = digits.iter().all(|digit| Some(digit) == digits.first());
    let check = |length: usize| -> Option<bool> {
        let sum: u32 =
            digits.get(..length)?.iter().zip((2..=length + 1).rev()).map(|(digit, weight)| u32::from(*digit) * weight as u32).sum();
        Some(u32::from(*digits.get(length)?) == sum * 10 % 11 % 10)
    };
    let good = !same && check(9)? && check(10)?;
    let written = number.shape() == [3, 3, 3, 2] && number.gaps().last() == Some("-");
    good.then_some(if written { Sure::Yes } else { Sure::Said(Cue::Brazil) })
}

/// India: Aadhaar, Verhoeff.
fn india(number: &Number<'_>) -> Option<Sure> {
    let good = number.digits().len() == 12 && number.digits().first().is_some_and(|digit| *digit >= 2) && verhoeff(number.digits());
    let grouped = number.shape() == [4, 4, 4] && number.is_joined_by(" ") && number.is_whole();
    good.then_some(if grouped { Sure::Yes } else { Sure::Said(Cue::India) })
}

/// Switzerland: AHV, which begins with 756 and has the check of EAN-13.
fn ch(number: &Number<'_>) -> Option<Sure> {
    let weights = [1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1];
    let good = number.digits().len() == 13 && number.value(0..3) == 756 && weighted(number.digits(), &weights) % 10 == 0;
    good.then_some(Sure::Yes)
}

/// Spain: the number of social security, mod 97.
fn es_ss(number: &Number<'_>) -> Option<Sure> {
    let (province, serial, key) = (number.value(0..2), number.value(2..10), number.value(10..12));
    let body = if serial < 10_000_000 { province * 10_000_000 + serial } else { province * 100_000_000 + serial };
    (number.digits().len() == 12 && matches!(province, 1..=53 | 66) && body % 97 == key).then_some(Sure::Said(Cue::Spain))
}

/// Portugal: NIF, a weighted sum by eleven.
fn pt(number: &Number<'_>) -> Option<Sure> {
    let digits = number.digits().get(..9).filter(|_| number.digits().len() == 9)?;
    let rest = weighted(digits.get(..8)?, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    let check = if rest < 2 { 0 } else { 11 - rest };
    (matches!(digits.first(), Some(1..=3 | 5..=9)) && i64::from(*digits.get(8)?) == check).then_some(Sure::Said(Cue::Portugal))
}

fn is_month(month: u64) -> bool {
    (1..=12).contains(&month)
}

fn weighted(digits: &[u8], weights: &[i64]) -> i64 {
    digits.iter().zip(weights).map(|(digit, weight)| i64::from(*digit) * weight).sum()
}

/// ISO 7064 MOD 11,10.
fn mod_11_10(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let product = body.iter().fold(10_u32, |product, digit| {
        let sum = (u32::from(*digit) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    u32::from(*check) == (11 - product) % 10
}

/// Verhoeff's check over the dihedral group of order ten.
fn verhoeff(digits: &[u8]) -> bool {
    const PERMUTE: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let product = |one: u8, two: u8| match (one < 5, two < 5) {
        (true, true) => (one + two) % 5,
        (true, false) => (one + two - 5) % 5 + 5,
        (false, true) => (one - 5 + 5 - two) % 5 + 5,
        (false, false) => (one + 5 - two) % 5,
    };
    let permuted = |digit: u8, times: usize| (0..times).fold(digit, |digit, _| PERMUTE.get(usize::from(digit)).copied().unwrap_or(0));
    digits.iter().rev().enumerate().fold(0, |check, (at, digit)| product(check, permuted(*digit, at % 8))) == 0
}
