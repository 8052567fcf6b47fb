//! Values for the script, in MessagePack: the store's Lua reads it in one step, without a description of what comes.

/// Values of one list.
#[derive(Debug)]
pub(super) struct Values(Vec<u8>);

/// Up to here a double holds every integer.
const EXACT: u64 = crate::bucket::EXACT.unsigned_abs();

/// So many values are one array: Lua's stack takes fewer than 8,000 at a time, and an array costs the store more.
const MANY: usize = 7_000;

impl Values {
    /// No values yet, of so many.
    pub(super) fn with_capacity(values: usize) -> Self {
        let mut bytes = Vec::with_capacity(64 + values * 4);
        if values > MANY {
            bytes.push(0xdd);
            bytes.extend_from_slice(&u32::try_from(values).unwrap_or(u32::MAX).to_be_bytes());
        }
        Self(bytes)
    }

    /// Adds a number. Lua's are doubles: a cost above 2^53 may be rounded; it is beyond every capacity before and after. As an integer the store would
    /// take one above 2^63 for a negative one.
    #[expect(clippy::cast_precision_loss, reason = "see above")]
    pub(super) fn number(&mut self, number: u64) {
        let bytes = number.to_be_bytes();
        match number {
            0..0x80 => self.tagged(&[], bytes.get(7..)),
            0x80..0x100 => self.tagged(&[0xcc], bytes.get(7..)),
            0x100..0x1_0000 => self.tagged(&[0xcd], bytes.get(6..)),
            0x1_0000..0x1_0000_0000 => self.tagged(&[0xce], bytes.get(4..)),
            0x1_0000_0000..=EXACT => self.tagged(&[0xcf], Some(&bytes)),
            _ => self.tagged(&[0xcb], Some(&(number as f64).to_be_bytes())),
        }
    }

    /// Adds a number of things, or the number of one.
    pub(super) fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    /// Adds a text.
    pub(super) fn text(&mut self, text: &str) {
        match text.len() {
            short @ 0..32 => self.tagged(&[0xa0 | short as u8], Some(text.as_bytes())),
            long => {
                let length = u32::try_from(long).unwrap_or(u32::MAX).to_be_bytes();
                self.tagged(&[0xdb], Some(&length));
                self.tagged(&[], Some(text.as_bytes()));
            }
        }
    }

    fn tagged(&mut self, tag: &[u8], bytes: Option<&[u8]>) {
        self.0.extend_from_slice(tag);
        self.0.extend_from_slice(bytes.unwrap_or_default());
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: u64) -> Vec<u8> {
        let mut values = Values::with_capacity(1);
        values.number(number);
        values.into_bytes()
    }

    #[test]
    fn numbers_take_as_few_bytes_as_hold_them() {
        let lengths = [0, 127, 128, 255, 256, 65_535, 65_536, (1 << 32) - 1, 1 << 32, 1 << 53].map(|number| of(number).len());
        assert_eq!(lengths, [1, 1, 2, 2, 3, 3, 5, 5, 9, 9]);
        assert_eq!(of(0x1234), [0xcd, 0x12, 0x34]);
        assert_eq!(of(u64::MAX), [0xcb, 0x43, 0xf0, 0, 0, 0, 0, 0, 0], "2^64, as a double");
    }

    #[test]
    fn texts_have_their_length_before_them() {
        let mut values = Values::with_capacity(MANY + 1);
        values.text("tenant");
        values.text(&"x".repeat(32));
        let bytes = values.into_bytes();
        assert_eq!(bytes.get(..8), Some(&b"\xdd\0\0\x1b\x59\xa6te"[..]), "one array");
        assert_eq!(bytes.get(12..18), Some(&b"\xdb\0\0\0\x20x"[..]));
    }
}
