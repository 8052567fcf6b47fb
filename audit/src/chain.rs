//! The chain: a record is one line, and carries its number, the hash of the line before it and its own. The hash is over the bytes of the line
//! as they stand in the file, so nothing has to be written again to check it.
//!
//! ```text
//! {"seq":7,"time":"...", ... ,"prev":"<hash of 6>","hash":"<hash of all that stands before this field>"}
//! ```

use std::{fmt, str};

use aws_lc_rs::{digest, hmac};

/// The longest line that a writer makes, and that a reader takes for one, in bytes.
pub const LONGEST_LINE: usize = 64 * 1024;

/// What a line begins with.
const SEQ: &[u8] = b"{\"seq\":";
/// What stands around the two hashes. The hash of a line is over all of it up to the quote that ends `prev`.
const PREV: &[u8] = b",\"prev\":\"";
const HASH: &[u8] = b"\",\"hash\":\"";
const END: &[u8] = b"\"}";
/// Hexadecimal digits of a hash.
const DIGITS: usize = 64;

/// A hash of 256 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    fn of_hex(digits: &[u8]) -> Option<Self> {
        let mut hash = [0; 32];
        let lower = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        (lower && hex::decode_to_slice(digits, &mut hash).is_ok()).then_some(Self(hash))
    }

    /// Its hexadecimal digits.
    pub(crate) fn digits(self) -> [u8; DIGITS] {
        let mut digits = [0; DIGITS];
        // It fails where the lengths do not fit, and they do.
        let _ = hex::encode_to_slice(self.0, &mut digits);
        digits
    }
}

impl str::FromStr for Hash {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::of_hex(text.as_bytes()).ok_or(())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.digits()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What hashes are made with. Without a key whoever can write the files can also make a whole new chain; with one, nobody who lacks it can.
#[derive(Clone)]
pub enum Seal {
    /// SHA-256.
    Plain,
    /// HMAC-SHA-256 (RFC 2104) with the operator's key.
    Keyed(Box<hmac::Key>),
}

impl Seal {
    /// A seal with a key.
    #[must_use]
    pub fn keyed(key: &[u8]) -> Self {
        Self::Keyed(Box::new(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    /// The hash of some bytes.
    #[must_use]
    pub fn hash(&self, bytes: &[u8]) -> Hash {
        let mut hash = [0; 32];
        match self {
            Self::Plain => hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref()),
            Self::Keyed(key) => hash.copy_from_slice(hmac::sign(key, bytes).as_ref()),
        }
        Hash(hash)
    }

    /// What a stream's first record has before it. It names the stream, so that one stream's file cannot stand in for another's.
    #[must_use]
    pub fn genesis(&self, stream: &str) -> End {
        End { seq: 0, hash: self.hash(format!("bulkhead audit 1\n{stream}").as_bytes()) }
    }
}

impl fmt::Debug for Seal {
    /// The key is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Keyed(_) => "Keyed",
        })
    }
}

/// Where a chain ends: the number and the hash of its last record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Its number; the first record has 1.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
}

impl End {
    /// Writes the next record of the chain as one line. `fields` is the inside of a JSON object, without its braces and not empty.
    #[must_use]
    pub fn append(self, seal: &Seal, fields: &[u8], lines: &mut Vec<u8>) -> Self {
        let begin = lines.len();
        let seq = self.seq.saturating_add(1);
        lines.extend_from_slice(SEQ);
        decimal(seq, lines);
        lines.push(b',');
        lines.extend_from_slice(fields);
        lines.extend_from_slice(PREV);
        lines.extend_from_slice(&self.hash.digits());
        lines.push(b'"');
        let hash = seal.hash(lines.get(begin..).unwrap_or_default());
        lines.extend_from_slice(HASH.get(1..).unwrap_or_default());
        lines.extend_from_slice(&hash.digits());
        lines.extend_from_slice(END);
        lines.push(b'\n');
        Self { seq, hash }
    }
}

/// Appends a number in decimal digits.
pub(crate) fn decimal(number: u64, to: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = serde_json::to_writer(to, &number);
}

/// What one line says of its place in the chain. Its own hash is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The record before it.
    pub prev: Hash,
    /// Itself.
    pub end: End,
}

/// Why a line is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It does not read as a record.
    #[error("is no record of a chain")]
    NoRecord,
    /// It was changed, or was sealed with another key.
    #[error("was changed: its hash is not that of its content")]
    Changed,
}

impl Link {
    /// Reads a line, without its newline, and checks its hash.
    ///
    /// # Errors
    /// It is no record, or it was changed.
    pub fn read(seal: &Seal, line: &[u8]) -> Result<Self, Broken> {
        Self::parse(line)
            .filter(|_| line.len() <= LONGEST_LINE)
            .ok_or(Broken::NoRecord)
            .and_then(|(link, sealed)| if seal.hash(sealed) == link.end.hash { Ok(link) } else { Err(Broken::Changed) })
    }

    /// The link, and the bytes that its hash is over.
    fn parse(line: &[u8]) -> Option<(Self, &[u8])> {
        let rest = line.strip_suffix(END)?;
        let (rest, hash) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
        let rest = rest.strip_suffix(HASH)?;
        let sealed = line.get(..=rest.len())?;
        let (rest, prev) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
        let fields = rest.strip_suffix(PREV)?.strip_prefix(SEQ)?;
        let digits = fields.split(|byte| *byte == b',').next()?;
        let canonical = digits.iter().all(u8::is_ascii_digit) && digits.first().is_some_and(|digit| *digit != b'0');
        let seq = str::from_utf8(digits).ok()?.parse().ok().filter(|_| canonical)?;
        Some((Self { prev: Hash::of_hex(prev)?, end: End { seq, hash: Hash::of_hex(hash)? } }, sealed))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_reads_back_and_names_the_one_before_it() {
        let seal = Seal::keyed(b"key");
        let genesis = seal.genesis("tenant-acme/ext-authz-a");
        let mut lines = Vec::new();
        let first = genesis.append(&seal, b"\"a\":1", &mut lines);
        let second = first.append(&seal, b"\"a\":2", &mut lines);
        let links: Vec<_> =
            lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| Link::read(&seal, line).unwrap()).collect();
        assert_eq!(links, [Link { prev: genesis.hash, end: first }, Link { prev: first.hash, end: second }]);
        let line = lines.split(|byte| *byte == b'\n').next().unwrap();
        let value: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert_eq!(
            (value["seq"].as_u64(), value["a"].as_u64(), value["prev"].as_str()),
            (Some(1), Some(1), Some(genesis.hash.to_string().as_str()))
        );
        assert_eq!(Link::read(&Seal::Plain, line), Err(Broken::Changed), "another key");
    }

    #[test]
    fn a_stream_has_a_beginning_of_its_own() {
        assert_ne!(Seal::Plain.genesis("tenant-acme/a"), Seal::Plain.genesis("tenant-globex/a"));
        assert_ne!(Seal::Plain.genesis("tenant-acme/a"), Seal::keyed(b"k").genesis("tenant-acme/a"));
    }

    proptest! {
        #[test]
        fn any_changed_byte_breaks_a_line(fields in "\"[a-z\\\\\"]{0,20}\":\"[ -~]{0,60}\"", at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let mut line = Vec::new();
            let _ = Seal::Plain.genesis("s").append(&Seal::Plain, fields.as_bytes(), &mut line);
            line.pop();
            prop_assert!(Link::read(&Seal::Plain, &line).is_ok());
            let at = at.index(line.len());
            prop_assume!(line[at] != to);
            line[at] = to;
            prop_assert!(Link::read(&Seal::Plain, &line).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(line in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Link::read(&Seal::Plain, &line);
        }
    }
}
