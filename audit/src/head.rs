//! The head of a stream: a small file beside it that says where its chain ends, so that records cut off at the end are missed. It is written in
//! place after each write of the stream, in one piece smaller than a sector.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use crate::chain::{End, Hash, Seal, decimal};

/// Its length in bytes, always the same.
pub(crate) const LENGTH: usize = 192;

/// A head, as it stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// There is none.
    Missing,
    /// There is one that does not read, or was changed.
    Broken,
    /// Where the chain ends.
    At(End),
}

/// The text of a head.
fn text(seal: &Seal, stream: &str, end: End) -> Vec<u8> {
    let hash = end.hash.digits();
    let mut text = Vec::with_capacity(stream.len() + LENGTH);
    for part in [b"bulkhead audit head 1\n".as_slice(), stream.as_bytes(), b"\n"] {
        text.extend_from_slice(part);
    }
    decimal(end.seq, &mut text);
    text.push(b'\n');
    text.extend_from_slice(&hash);
    let proof = seal.hash(&text).digits();
    text.clear();
    text.extend_from_slice(b"{\"seq\":");
    decimal(end.seq, &mut text);
    for part in [b",\"hash\":\"".as_slice(), &hash, b"\",\"proof\":\"", &proof, b"\"}"] {
        text.extend_from_slice(part);
    }
    text.resize(LENGTH - 1, b' ');
    text.push(b'\n');
    text
}

/// Writes where the chain ends.
pub(crate) fn write(file: &File, seal: &Seal, stream: &str, end: End) -> io::Result<()> {
    file.write_all_at(&text(seal, stream, end), 0)
}

/// Reads a head.
pub(crate) fn read(file: Option<&File>, seal: &Seal, stream: &str) -> io::Result<Head> {
    let Some(file) = file else { return Ok(Head::Missing) };
    let mut bytes = [0; LENGTH];
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(Head::Missing);
    }
    if length != LENGTH as u64 || file.read_exact_at(&mut bytes, 0).is_err() {
        return Ok(Head::Broken);
    }
    Ok(parse(&bytes).filter(|end| text(seal, stream, *end) == bytes).map_or(Head::Broken, Head::At))
}

fn parse(bytes: &[u8]) -> Option<End> {
    #[derive(serde::Deserialize)]
    struct Text {
        seq: u64,
        hash: String,
    }
    let Text { seq, hash } = serde_json::from_slice(bytes).ok()?;
    Some(End { seq, hash: hash.parse::<Hash>().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_stays_what_it_was_byte_for_byte() {
        let end = Seal::Plain.genesis("s");
        let hash = end.hash;
        let proof = Seal::Plain.hash(format!("bulkhead audit head 1\ns\n0\n{hash}").as_bytes());
        let head = format!("{{\"seq\":0,\"hash\":\"{hash}\",\"proof\":\"{proof}\"}}");
        assert_eq!(String::from_utf8(text(&Seal::Plain, "s", end)).unwrap(), format!("{head:191}\n"));
    }

    #[test]
    fn a_head_reads_back_and_no_other_does() {
        let file = tempfile::tempfile().unwrap();
        let seal = Seal::keyed(b"key");
        assert_eq!(read(Some(&file), &seal, "s").unwrap(), Head::Missing);
        for seq in [1, u64::MAX] {
            let end = End { seq, ..seal.genesis("s") };
            write(&file, &seal, "s", end).unwrap();
            assert_eq!(read(Some(&file), &seal, "s").unwrap(), Head::At(end));
        }
        assert_eq!(read(Some(&file), &seal, "t").unwrap(), Head::Broken, "another stream's");
        assert_eq!(read(Some(&file), &Seal::Plain, "s").unwrap(), Head::Broken, "without the key");
        file.write_all_at(b"{\"seq\":2,", 0).unwrap();
        assert_eq!(read(Some(&file), &seal, "s").unwrap(), Head::Broken);
    }
}
