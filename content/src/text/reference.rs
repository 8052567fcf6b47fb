//! Character references of XML and HTML, as browsers read them: all names of the HTML Standard, those that it knows without `;` too, and numbers.

use std::sync::LazyLock;

use super::layer::latin;

/// The standard's names (13.5), sorted, each with its first character; those with `!` are read without `;`, too.
static NAMES: LazyLock<Vec<(&str, bool, char)>> = LazyLock::new(|| {
    let line = |line: &'static str| {
        let (name, code) = line.split_once(' ')?;
        let meant = char::from_u32(u32::from_str_radix(code, 16).ok()?)?;
        Some(name.strip_suffix('!').map_or((name, false, meant), |name| (name, true, meant)))
    };
    let mut names: Vec<_> = include_str!("references.txt").lines().filter_map(line).collect();
    names.sort_unstable_by_key(|(name, ..)| *name);
    names
});

/// The longest name, in bytes.
const LONGEST: usize = 31;

/// The longest name that is read without `;`, in bytes.
const LONGEST_OPEN: usize = 6;

/// The character that a reference stands for, and the bytes it takes after its `&`. HTML forgives a missing `;` after numbers, and after old names.
pub(super) fn reference(rest: &str) -> Option<(char, usize)> {
    if let Some(number) = rest.strip_prefix('#') {
        let (radix, prefix) = if number.starts_with(['x', 'X']) { (16, 2) } else { (10, 1) };
        // Zeros before a number say nothing, however many they are.
        let digits = rest.bytes().skip(prefix).take_while(|byte| char::from(*byte).is_digit(radix)).count();
        let value = u32::from_str_radix(rest.get(prefix..prefix + digits)?.trim_start_matches('0'), radix).ok()?;
        let end = prefix + digits + usize::from(rest.as_bytes().get(prefix + digits) == Some(&b';'));
        // Browsers read these as windows-1252 (HTML Standard, 13.2.5.80).
        let meant = if let 0x80..=0x9f = value { latin(u8::try_from(value).ok()?) } else { char::from_u32(value)? };
        return Some((meant, end));
    }
    let length = rest.bytes().take(LONGEST + 1).take_while(u8::is_ascii_alphanumeric).count();
    if rest.as_bytes().get(length) == Some(&b';')
        && let Some((_, meant)) = named(rest.get(..length)?)
    {
        return Some((meant, length + 1));
    }
    let open = (2..=length.min(LONGEST_OPEN)).rev().find_map(|length| Some((named(rest.get(..length)?)?, length)));
    open.and_then(|((open, meant), length)| open.then_some((meant, length)))
}

fn named(name: &str) -> Option<(bool, char)> {
    let at = NAMES.binary_search_by_key(&name, |(name, ..)| name).ok()?;
    NAMES.get(at).map(|(_, open, meant)| (*open, *meant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_browsers_read_them() {
        assert_eq!(NAMES.len(), 2125);
        assert!(NAMES.is_sorted_by(|(one, ..), (other, ..)| one < other) && NAMES.iter().all(|(name, ..)| name.len() <= LONGEST));
        assert_eq!(NAMES.iter().filter(|(name, open, _)| *open && name.len() <= LONGEST_OPEN).count(), 106);
        for (text, meant) in [
            ("uuml;ller", Some(('ü', 5))),
            ("uumlller", Some(('ü', 4))),
            ("nbspHeron", Some(('\u{a0}', 4))),
            ("NoBreak;", Some(('\u{2060}', 8))),
            ("CounterClockwiseContourIntegral;", Some(('\u{2233}', 32))),
            ("notit;", Some(('¬', 3))),
            ("notin;", Some(('∉', 6))),
            ("commat", None),
            ("#150;", Some(('-', 5))),
            ("#x49nitech", Some(('I', 4))),
            ("#0000064;", Some(('@', 9))),
            ("#xd800;", None),
            ("#;", None),
            ("", None),
            ("é;", None),
        ] {
            assert_eq!(reference(text), meant, "{text}");
        }
    }
}
