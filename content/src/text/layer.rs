//! How characters are written in a part of a body.

use std::str;

use crate::Unscannable;

/// How characters are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// UTF-8.
    Plain,
    /// ISO 8859-1, read as browsers read it: windows-1252.
    Latin,
    /// The inside of a JSON string.
    Json,
    /// UTF-8 in percent-encoding, `+` for a space: a form.
    Form,
    /// UTF-8 in percent-encoding: a path, the headers of a part.
    Percent,
    /// Percent-encoding again, `+` for a space or not, without the bytes that are no UTF-8: some readers drop them.
    Sound {
        /// Whether `+` is a space.
        plus: bool,
    },
    /// XML and HTML, with character references.
    Markup,
}

impl Layer {
    /// The text itself, where no byte of it needs folding or unescaping.
    pub(super) fn plain(self, bytes: &[u8]) -> Option<&str> {
        let escape = |byte: u8| match self {
            Self::Plain | Self::Latin => false,
            Self::Json => byte == b'\\',
            Self::Form | Self::Sound { plus: true } => byte == b'%' || byte == b'+',
            Self::Percent | Self::Sound { plus: false } => byte == b'%',
            Self::Markup => byte == b'&',
        };
        let is_plain = |byte: &u8| matches!(*byte, b' '..=b'~' | b'\t' | b'\n' | b'\r') && !escape(*byte);
        if bytes.iter().all(is_plain) { str::from_utf8(bytes).ok() } else { None }
    }

    /// How it is read besides, where not all of it is UTF-8.
    pub(crate) const fn sound(self) -> Self {
        Self::Sound { plus: matches!(self, Self::Form) }
    }

    /// Gives each character with the place of its first byte, and says whether all of it is UTF-8: in percent-encoding, what is not is read as
    /// windows-1252.
    ///
    /// # Errors
    /// `Malformed`: not UTF-8, or an escape of JSON that is none.
    pub(crate) fn each(self, bytes: &[u8], give: &mut impl FnMut(char, usize)) -> Result<bool, Unscannable> {
        match self {
            Self::Plain => utf8(bytes)?.char_indices().for_each(|(at, seen)| give(seen, at)),
            Self::Latin => bytes.iter().enumerate().for_each(|(at, byte)| give(latin(*byte), at)),
            Self::Json => json(utf8(bytes)?, give)?,
            Self::Form => return Ok(percent(bytes, true, Some(latin), give)),
            Self::Percent => return Ok(percent(bytes, false, Some(latin), give)),
            Self::Sound { plus } => return Ok(percent(bytes, plus, None, give)),
            Self::Markup => markup(utf8(bytes)?, give),
        }
        Ok(true)
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Unscannable> {
    str::from_utf8(bytes).map_err(|_| Unscannable::Malformed)
}

/// Dashes are what matters of windows-1252's own characters.
pub(super) fn latin(byte: u8) -> char {
    match byte {
        0x96 | 0x97 => '-',
        0x80..=0x9f => char::REPLACEMENT_CHARACTER,
        _ => char::from(byte),
    }
}

/// The escapes of RFC 8259 section 7. Half a surrogate pair is refused: parsers differ in what they make of it.
fn json(text: &str, give: &mut impl FnMut(char, usize)) -> Result<(), Unscannable> {
    let mut rest = text.char_indices();
    while let Some((at, seen)) = rest.next() {
        if seen != '\\' {
            give(seen, at);
            continue;
        }
        let escape = rest.next().ok_or(Unscannable::Malformed)?.1;
        let meant = match escape {
            '"' | '\\' | '/' => escape,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => escaped(&mut rest)?,
            _ => return Err(Unscannable::Malformed),
        };
        give(meant, at);
    }
    Ok(())
}

/// What follows `\u`.
fn escaped(rest: &mut str::CharIndices<'_>) -> Result<char, Unscannable> {
    let mut code = unit(rest)?;
    if (0xd800..0xdc00).contains(&code) {
        let pair = (rest.next().map(|next| next.1), rest.next().map(|next| next.1));
        let low = if pair == (Some('\\'), Some('u')) { unit(rest)? } else { 0 };
        let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400).ok_or(Unscannable::Malformed)?;
        code = 0x10000 + ((code - 0xd800) << 10) + low;
    }
    char::from_u32(code).ok_or(Unscannable::Malformed)
}

fn unit(rest: &mut str::CharIndices<'_>) -> Result<u32, Unscannable> {
    let mut unit = 0;
    for _ in 0..4 {
        let digit = rest.next().and_then(|(_, seen)| seen.to_digit(16)).ok_or(Unscannable::Malformed)?;
        unit = unit << 4 | digit;
    }
    Ok(unit)
}

/// `%` without two digits stands for itself, as in every form parser (URL Standard, percent-decode). `broken` reads a byte that is no UTF-8; without
/// it such bytes are left out. Says whether there are none.
fn percent(bytes: &[u8], plus: bool, broken: Option<fn(u8) -> char>, give: &mut impl FnMut(char, usize)) -> bool {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut starts = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        starts.push(at);
        let (meant, length) = match byte {
            b'%' => pair(bytes, at).map_or((b'%', 1), |meant| (meant, 3)),
            b'+' if plus => (b' ', 1),
            _ => (*byte, 1),
        };
        decoded.push(meant);
        at += length;
    }
    each_of(&decoded, broken, &mut |seen, at| give(seen, starts.get(at).copied().unwrap_or_default()))
}

/// The byte that `%` and two digits stand for.
pub(super) fn pair(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    u8::try_from(digit(at + 1)? << 4 | digit(at + 2)?).ok()
}

/// Gives the characters of bytes, and says whether all of them are UTF-8.
pub(super) fn each_of(bytes: &[u8], broken: Option<fn(u8) -> char>, give: &mut impl FnMut(char, usize)) -> bool {
    let (mut at, mut sound) = (0, true);
    for chunk in bytes.utf8_chunks() {
        chunk.valid().char_indices().for_each(|(inside, seen)| give(seen, at + inside));
        at += chunk.valid().len();
        for byte in chunk.invalid() {
            sound = false;
            if let Some(read) = broken {
                give(read(*byte), at);
            }
            at += 1;
        }
    }
    sound
}

/// The longest character reference by name that is read, without its `&`.
const LONGEST_REFERENCE: usize = 16;

fn markup(text: &str, give: &mut impl FnMut(char, usize)) {
    let mut at = 0;
    while let Some(seen) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let reference = if seen == '&' { text.get(at + 1..).and_then(reference) } else { None };
        let (meant, length) = reference.map_or((seen, seen.len_utf8()), |(meant, length)| (meant, 1 + length));
        give(meant, at);
        at += length;
    }
}

/// The character that a reference stands for, and the bytes it takes after its `&`. HTML forgives a missing `;` after numbers.
pub(super) fn reference(rest: &str) -> Option<(char, usize)> {
    let window = rest.as_bytes().get(..rest.len().min(LONGEST_REFERENCE))?;
    if window.starts_with(b"#") {
        let (radix, prefix) = if matches!(window.get(1), Some(b'x' | b'X')) { (16, 2) } else { (10, 1) };
        // Zeros before a number say nothing, however many they are.
        let digits = rest.bytes().skip(prefix).take_while(|byte| char::from(*byte).is_digit(radix)).count();
        let value = u32::from_str_radix(rest.get(prefix..prefix + digits)?.trim_start_matches('0'), radix).ok()?;
        let end = prefix + digits + usize::from(rest.as_bytes().get(prefix + digits) == Some(&b';'));
        return Some((char::from_u32(value)?, end));
    }
    let length = window.iter().position(|byte| *byte == b';')?;
    let meant = NAMED.iter().find(|(name, _)| name.as_bytes() == window.get(..length).unwrap_or_default())?.1;
    Some((meant, length + 1))
}

/// XML's five, and those of HTML's that hide a separator or nothing at all.
const NAMED: [(&str, char); 25] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("ensp", ' '),
    ("emsp", ' '),
    ("thinsp", ' '),
    ("shy", '\u{ad}'),
    ("zwj", '\u{200d}'),
    ("zwnj", '\u{200c}'),
    ("ZeroWidthSpace", '\u{200b}'),
    ("commat", '@'),
    ("period", '.'),
    ("hyphen", '-'),
    ("dash", '-'),
    ("ndash", '-'),
    ("mdash", '-'),
    ("colon", ':'),
    ("plus", '+'),
    ("sol", '/'),
    ("lowbar", '_'),
    ("equals", '='),
    ("Tab", '\t'),
];
