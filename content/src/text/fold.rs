//! One character, folded.

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// Who reads: what nobody sees parts words for some machines, and says words to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eye {
    /// What has no width says nothing.
    Person,
    /// A form feed is a space (Unicode: White_Space), and a tag character is the ASCII that it stands for, as language models read it.
    Machine,
}

/// Gives what a character folds to: nothing, itself, or several. Says whether it is something else to the other eye.
pub(super) fn each(seen: char, eye: Eye, give: &mut impl FnMut(char)) -> bool {
    if let Some(other) = to_machines(seen) {
        if eye == Eye::Machine {
            give(other);
        }
        return true;
    }
    if seen.is_ascii() {
        if !seen.is_ascii_control() || matches!(seen, '\t' | '\n' | '\r') {
            give(seen);
        }
    } else if !is_unseen(seen) {
        decompose_compatible(seen, |one| {
            if !is_combining_mark(one) && !is_unseen(one) {
                give(plainer(one));
            }
        });
    }
    false
}

/// What is nothing to people and something to machines.
fn to_machines(seen: char) -> Option<char> {
    match seen {
        '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1f}' => Some(' '),
        '\u{e0020}'..='\u{e007e}' => char::from_u32(u32::from(seen) - 0xe0000),
        _ => None,
    }
}

/// How much of the beginning of a text folds to itself, as far as that is seen quickly.
pub(super) fn stays(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += bytes.get(at..).unwrap_or_default().iter().take_while(|byte| matches!(**byte, b' '..=b'~' | b'\t' | b'\n' | b'\r')).count();
        match text.get(at..).and_then(|rest| rest.chars().next()) {
            Some(beyond) if is_plain_beyond(beyond) => at += beyond.len_utf8(),
            _ => return at,
        }
    }
}

/// Letters beyond ASCII that fold to themselves, of scripts that much is written in. There are more.
const fn is_plain_beyond(one: char) -> bool {
    matches!(one,
        // Greek, Cyrillic, Hebrew, Arabic, Thai.
        'Α'..='Ρ' | 'Σ'..='Ω' | 'α'..='ω' | 'А'..='И' | 'К'..='и' | 'к'..='я' | 'א'..='ת' | '\u{627}'..='\u{64a}' | 'ก'..='ะ'
        // Kana without marks of voicing, and Han.
        | 'ぁ'..='か' | 'な'..='の' | 'ま'..='ん' | 'ァ'..='カ' | 'ナ'..='ノ' | 'マ'..='ン' | '一'..='\u{9fff}')
}

/// Digits, dashes, dots, quotes and spaces that NFKD leaves as they are, as ASCII.
fn plainer(one: char) -> char {
    match one {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{2043}' | '\u{fe58}' | '\u{ff0d}' => '-',
        '\u{3002}' | '\u{ff61}' | '\u{2024}' | '\u{00b7}' | '\u{2022}' => '.',
        '\u{2044}' | '\u{2215}' => '/',
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2bc}' | '\u{2032}' => '\'',
        '\u{201c}' | '\u{201d}' | '\u{201f}' => '"',
        '\u{85}' | '\u{2028}' | '\u{2029}' => '\n',
        _ if one.is_whitespace() => ' ',
        _ => digit(one).unwrap_or(one),
    }
}

/// The zeros of Unicode's decimal digits (general category Nd, Unicode 16), each followed by its nine others. NFKD has turned full-width and
/// mathematical digits into ASCII already.
const ZEROS: [u32; 62] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0,
    0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0,
    0x104a0, 0x10d30, 0x10d40, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x116d0, 0x116da, 0x11730,
    0x118e0, 0x11950, 0x11bf0, 0x11c50, 0x11d50, 0x11da0, 0x11f50, 0x16130, 0x16a60, 0x16ac0, 0x16b50, 0x16d70,
];

fn digit(one: char) -> Option<char> {
    let code = u32::from(one);
    let zero = ZEROS.get(ZEROS.partition_point(|zero| *zero <= code).checked_sub(1)?)?;
    char::from_digit(code - zero, 10)
}

/// Characters without width: Unicode's Default_Ignorable_Code_Point, interlinear annotation, and the controls of C1.
fn is_unseen(one: char) -> bool {
    matches!(one,
        '\u{80}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_to_fold_to_itself_does() {
        let mut plain = 0;
        for one in '\0'..=char::MAX {
            let text = one.to_string();
            if stays(&text) > 0 {
                let mut folded = String::new();
                each(one, Eye::Person, &mut |one| folded.push(one));
                assert_eq!(folded, text);
                plain += 1;
            }
        }
        assert!(plain > 21_000);
    }
}
