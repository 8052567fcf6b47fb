//! How characters are written in a part of a body.

use std::str;

use memchr::{memchr, memchr_iter};

use super::{Eye, Marks, reference::reference};
use crate::Unscannable;

/// Who is given what a part of a body says.
pub(crate) trait Reader {
    /// Text that is written as it is, and where it begins.
    fn text(&mut self, text: &str, at: usize);
    /// A character that is written otherwise, and where that begins.
    fn one(&mut self, one: char, at: usize);
}

/// A reader that has an eye for what is read in two ways.
pub(super) trait Looker: Reader {
    /// Whose.
    fn eye(&self) -> Eye;
    /// The other would have read something else.
    fn differs(&mut self);
}

impl Reader for String {
    fn text(&mut self, text: &str, _: usize) {
        self.push_str(text);
    }

    fn one(&mut self, one: char, _: usize) {
        self.push(one);
    }
}

/// Only whether it can be read is asked.
impl Reader for () {
    fn text(&mut self, _: &str, _: usize) {}

    fn one(&mut self, _: char, _: usize) {}
}

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
    /// The kinds of bytes that are not read as they are written, or not kept.
    pub(super) const fn altered(self) -> Marks {
        let escapes = match self {
            Self::Plain | Self::Latin => Marks::NONE,
            Self::Json => Marks::BACKSLASH,
            Self::Form | Self::Sound { plus: true } => Marks::PERCENT.and(Marks::PLUS),
            Self::Percent | Self::Sound { plus: false } => Marks::PERCENT,
            Self::Markup => Marks::AMPERSAND,
        };
        escapes.and(Marks::BEYOND).and(Marks::CONTROL)
    }

    /// How it is read besides, where not all of it is UTF-8.
    pub(crate) const fn sound(self) -> Self {
        Self::Sound { plus: matches!(self, Self::Form) }
    }

    /// Gives what is written, and says whether all of it is UTF-8: in percent-encoding, what is not is read as windows-1252.
    ///
    /// # Errors
    /// `Malformed`: not UTF-8, or an escape of JSON that is none.
    pub(crate) fn each(self, bytes: &[u8], reader: &mut impl Reader) -> Result<bool, Unscannable> {
        match self {
            Self::Plain => reader.text(utf8(bytes)?, 0),
            Self::Latin => latin_1(bytes, reader),
            Self::Json => json(utf8(bytes)?, reader)?,
            Self::Form => return Ok(percent(bytes, true, Some(latin), reader)),
            Self::Percent => return Ok(percent(bytes, false, Some(latin), reader)),
            Self::Sound { plus } => return Ok(percent(bytes, plus, None, reader)),
            Self::Markup => markup(utf8(bytes)?, reader),
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

fn latin_1(bytes: &[u8], reader: &mut impl Reader) {
    let mut at = 0;
    for chunk in bytes.chunk_by(|one, next| one.is_ascii() && next.is_ascii()) {
        match (str::from_utf8(chunk), chunk) {
            (Ok(ascii), _) => reader.text(ascii, at),
            (_, beyond) => beyond.iter().for_each(|byte| reader.one(latin(*byte), at)),
        }
        at += chunk.len();
    }
}

/// The escapes of RFC 8259 section 7. Half a surrogate pair is refused: parsers differ in what they make of it.
fn json(text: &str, reader: &mut impl Reader) -> Result<(), Unscannable> {
    let mut at = 0;
    while let Some(plain) = next(text.as_bytes().get(at..).unwrap_or_default(), b'\\', |rest| memchr(b'\\', rest)) {
        if plain > 0 {
            reader.text(text.get(at..at + plain).unwrap_or_default(), at);
            at += plain;
        }
        let mut rest = text.get(at + 1..).unwrap_or_default().chars();
        let escape = rest.next().ok_or(Unscannable::Malformed)?;
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
        reader.one(meant, at);
        at = text.len() - rest.as_str().len();
    }
    reader.text(text.get(at..).unwrap_or_default(), at);
    Ok(())
}

/// Where the next escape begins. Where many follow each other, the search for one takes longer than the look at one byte.
pub(super) fn next(rest: &[u8], usual: u8, search: impl FnOnce(&[u8]) -> Option<usize>) -> Option<usize> {
    if rest.first() == Some(&usual) { Some(0) } else { search(rest) }
}

/// What follows `\u`.
fn escaped(rest: &mut str::Chars<'_>) -> Result<char, Unscannable> {
    let mut code = unit(rest)?;
    if (0xd800..0xdc00).contains(&code) {
        let pair = (rest.next(), rest.next());
        let low = if pair == (Some('\\'), Some('u')) { unit(rest)? } else { 0 };
        let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400).ok_or(Unscannable::Malformed)?;
        code = 0x10000 + ((code - 0xd800) << 10) + low;
    }
    char::from_u32(code).ok_or(Unscannable::Malformed)
}

fn unit(rest: &mut str::Chars<'_>) -> Result<u32, Unscannable> {
    let mut unit = 0;
    for _ in 0..4 {
        let digit = rest.next().and_then(|seen| seen.to_digit(16)).ok_or(Unscannable::Malformed)?;
        unit = unit << 4 | digit;
    }
    Ok(unit)
}

/// `%` without two digits stands for itself, as in every form parser (URL Standard, percent-decode). `broken` reads a byte that is no UTF-8; without
/// it such bytes are left out. Says whether there are none.
fn percent(bytes: &[u8], plus: bool, broken: Option<fn(u8) -> char>, reader: &mut impl Reader) -> bool {
    let byte = |at: usize| match bytes.get(at)? {
        b'%' => Some(pair(bytes, at).map_or((b'%', 1), |meant| (meant, 3))),
        b'+' if plus => Some((b' ', 1)),
        other => Some((*other, 1)),
    };
    let is_plain = |byte: &u8| byte.is_ascii() && *byte != b'%' && (*byte != b'+' || !plus);
    let (mut at, mut sound) = (0, true);
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let plain = rest.iter().take_while(|byte| is_plain(byte)).count();
        reader.text(rest.get(..plain).and_then(|plain| str::from_utf8(plain).ok()).unwrap_or_default(), at);
        at += plain;
        if let Some(Encoded { meant, length }) = Encoded::at(at, byte) {
            sound &= meant.is_ok();
            if let Some(one) = meant.ok().or_else(|| Some(broken?(meant.err()?))) {
                reader.one(one, at);
            }
            at += length;
        }
    }
    sound
}

/// What is read at a place where bytes are written in a way of their own.
pub(super) struct Encoded {
    /// A character; or a byte that is of none.
    pub(super) meant: Result<char, u8>,
    /// How much of the text it takes.
    pub(super) length: usize,
}

impl Encoded {
    /// `byte` tells the byte that is written at a place, and how long that is.
    pub(super) fn at(at: usize, byte: impl Fn(usize) -> Option<(u8, usize)>) -> Option<Self> {
        let (first, mut length) = byte(at)?;
        let count = match first {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        let mut read = [first, 0, 0, 0];
        let read = read.get_mut(..count)?;
        let alone = Self { meant: Err(first), length };
        for place in read.iter_mut().skip(1) {
            let Some((next, more)) = byte(at + length) else { return Some(alone) };
            *place = next;
            length += more;
        }
        let meant = str::from_utf8(read).ok().and_then(|read| read.chars().next());
        Some(meant.map_or(alone, |meant| Self { meant: Ok(meant), length }))
    }
}

/// The byte that `%` and two digits stand for.
pub(super) fn pair(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    u8::try_from(digit(at + 1)? << 4 | digit(at + 2)?).ok()
}

fn markup(text: &str, reader: &mut impl Reader) {
    let mut at = 0;
    for begin in memchr_iter(b'&', text.as_bytes()) {
        if let Some((meant, length)) = text.get(begin + 1..).and_then(reference).filter(|_| begin >= at) {
            reader.text(text.get(at..begin).unwrap_or_default(), at);
            reader.one(meant, begin);
            at = begin + 1 + length;
        }
    }
    reader.text(text.get(at..).unwrap_or_default(), at);
}
