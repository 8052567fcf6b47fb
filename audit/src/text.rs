//! Text that somebody else chose: bounded, and written in ASCII, so that no field can begin a line, steer a terminal or look like another.

use std::io;

use serde::Serialize;
use sha2::{Digest, Sha256};

/// A text of at most some bytes. A longer one is cut and ends in `~` and the beginning of its hash: two long texts never look alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// At most so many bytes of a text.
    #[must_use]
    pub fn bounded(text: &str, most: usize) -> Self {
        if text.len() <= most {
            return Self(text.to_owned());
        }
        let hash = hex::encode(Sha256::digest(text));
        let mark = hash.get(..16).unwrap_or_default();
        let mut end = most.saturating_sub(mark.len() + 1);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self(format!("{}~{mark}", text.get(..end).unwrap_or_default()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A value as JSON on one line, in ASCII.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    let mut line = Line(Vec::with_capacity(1024));
    // Writing to a Vec cannot fail, and what we write has no map whose keys are not strings.
    let _ = value.serialize(&mut serde_json::Serializer::with_formatter(&mut line, Ascii));
    line.0
}

/// Bytes that are written a few at a time: most of JSON's pieces are one quote, colon or comma.
struct Line(Vec<u8>);

impl io::Write for Line {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match bytes {
            [byte] => self.0.push(*byte),
            bytes => self.0.extend_from_slice(bytes),
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what is not visible ASCII as `\uXXXX`. Quotes, backslashes and C0 controls are escaped by serde_json itself.
struct Ascii;

impl serde_json::ser::Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut units = [0; 2];
        for c in fragment.chars() {
            if matches!(c, ' '..='~') {
                write!(writer, "{c}")?;
            } else {
                for unit in c.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_too_long_is_cut_and_still_tells_two_apart() {
        assert_eq!(Text::bounded("short", 5).as_str(), "short");
        let (one, other) = (Text::bounded(&format!("{}1", "é".repeat(100)), 64), Text::bounded(&format!("{}2", "é".repeat(100)), 64));
        assert_ne!(one, other);
        assert!(one.as_str().len() <= 64 && one.as_str().starts_with("ééé"), "{one:?}");
    }

    proptest! {
        #[test]
        fn every_text_is_one_ascii_line_and_reads_back(text in any::<String>()) {
            let bytes = json(&text);
            prop_assert!(bytes.iter().all(|byte| matches!(byte, b' '..=b'~')));
            prop_assert_eq!(serde_json::from_slice::<String>(&bytes).unwrap(), text);
        }

        #[test]
        fn a_bound_holds(text in any::<String>(), most in 17_usize..80) {
            prop_assert!(Text::bounded(&text, most).as_str().len() <= most);
        }
    }
}
