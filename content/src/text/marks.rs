//! What kinds of bytes a text has at all: one quick pass over it tells what need not be looked for.

/// Some kinds of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks(u16);

impl Marks {
    pub(crate) const NONE: Self = Self(0);
    /// Of a character that is not ASCII.
    pub(crate) const BEYOND: Self = Self(1);
    /// ASCII's controls, but for the tab and the ends of lines.
    pub(crate) const CONTROL: Self = Self(1 << 1);
    pub(crate) const BACKSLASH: Self = Self(1 << 2);
    pub(crate) const PERCENT: Self = Self(1 << 3);
    pub(crate) const AMPERSAND: Self = Self(1 << 4);
    pub(crate) const PLUS: Self = Self(1 << 5);
    pub(crate) const DIGIT: Self = Self(1 << 6);
    pub(crate) const AT: Self = Self(1 << 7);
    pub(crate) const COLON: Self = Self(1 << 8);
    pub(crate) const EQUALS: Self = Self(1 << 9);
    pub(crate) const DOT: Self = Self(1 << 10);
    pub(crate) const HYPHEN: Self = Self(1 << 11);
    /// What no text in base64 holds, not even between its lines or around it.
    pub(crate) const NOT_BASE64: Self = Self(1 << 12);

    /// All kinds of bytes that there are.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(0, |marks, byte| marks | OF_BYTE[usize::from(*byte)]))
    }

    /// All of both.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is one of these.
    pub(crate) const fn any(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }
}

/// The kinds of each byte.
static OF_BYTE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = kinds(byte as u8).0;
        byte += 1;
    }
    table
};

const fn kinds(byte: u8) -> Marks {
    let kind = match byte {
        b'\\' => Marks::BACKSLASH,
        b'%' => Marks::PERCENT,
        b'&' => Marks::AMPERSAND,
        b'+' => Marks::PLUS,
        b'0'..=b'9' => Marks::DIGIT,
        b'@' => Marks::AT,
        b':' => Marks::COLON,
        b'=' => Marks::EQUALS,
        b'.' => Marks::DOT,
        b'-' => Marks::HYPHEN,
        b'\t' | b'\n' | b'\r' | b' '..=b'~' => Marks::NONE,
        0x80.. => Marks::BEYOND,
        _ => Marks::CONTROL,
    };
    let base64 = byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || matches!(byte, b'+' | b'-' | b'/' | b'_' | b'=');
    if base64 { kind } else { kind.and(Marks::NOT_BASE64) }
}
