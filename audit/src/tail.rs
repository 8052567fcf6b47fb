//! How a file of a stream ends, read at a restart: by its last whole line, and by what stands after it.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use crate::chain::{Broken, LONGEST_LINE, Link, Seal};

/// How a file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Bytes up to the end of its last whole line.
    pub(crate) whole: u64,
    /// Bytes of a line that was never finished.
    pub(crate) torn: u64,
    /// What the last whole line says; none where there is no line.
    pub(crate) last: Option<Result<Link, Broken>>,
}

/// Reads how a file ends.
pub(crate) fn read(file: &File, seal: &Seal) -> io::Result<Tail> {
    let length = file.metadata()?.len();
    // Two of the longest lines, so that a whole one is in it whatever was torn.
    let window = length.min(2 * (LONGEST_LINE as u64 + 1));
    let begin = length - window;
    let mut bytes = vec![0; usize::try_from(window).unwrap_or_default()];
    file.read_exact_at(&mut bytes, begin)?;
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
        // Longer than any line of ours, or the file's only line.
        let last = (begin > 0).then_some(Err(Broken::NoRecord));
        return Ok(Tail { whole: if begin > 0 { length } else { 0 }, torn: if begin > 0 { 0 } else { length }, last });
    };
    let lines = bytes.get(..end).unwrap_or_default();
    let from = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |before| before + 1);
    let whole = begin + end as u64 + 1;
    Ok(Tail { whole, torn: length - whole, last: Some(Link::read(seal, lines.get(from..).unwrap_or_default())) })
}

/// How a file begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Began {
    /// Its first record.
    pub(crate) seq: u64,
    /// When that was written, in microseconds since 1970.
    pub(crate) at_us: Option<u64>,
}

/// What the first line of a file says; none where there is no whole line or it is broken.
pub(crate) fn first(file: &File, seal: &Seal) -> io::Result<Option<Began>> {
    #[derive(serde::Deserialize)]
    struct Dated {
        time: String,
    }

    let length = file.metadata()?.len().min(LONGEST_LINE as u64 + 1);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read_exact_at(&mut bytes, 0)?;
    let line = bytes.iter().position(|byte| *byte == b'\n').and_then(|end| bytes.get(..end)).unwrap_or_default();
    let Ok(link) = Link::read(seal, line) else { return Ok(None) };
    let time = serde_json::from_slice(line).ok().and_then(|Dated { time }| time.parse::<jiff::Timestamp>().ok());
    let at_us = time.and_then(|time| u64::try_from(time.as_microsecond()).ok());
    Ok(Some(Began { seq: link.end.seq, at_us }))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_tail_is_told_from_what_is_torn() {
        let mut file = tempfile::tempfile().unwrap();
        assert_eq!(read(&file, &Seal::Plain).unwrap(), Tail { whole: 0, torn: 0, last: None });
        file.write_all(b"{\"seq\":1,").unwrap();
        assert_eq!(read(&file, &Seal::Plain).unwrap(), Tail { whole: 0, torn: 9, last: None });
        file.set_len(0).unwrap();
        let mut lines = Vec::new();
        let end = Seal::Plain.genesis("s").append(&Seal::Plain, b"\"a\":1", &mut lines).append(&Seal::Plain, b"\"a\":2", &mut lines);
        file.write_all_at(&lines, 0).unwrap();
        file.write_all_at(b"{\"s", lines.len() as u64).unwrap();
        let tail = read(&file, &Seal::Plain).unwrap();
        assert_eq!((tail.whole, tail.torn), (lines.len() as u64, 3));
        assert_eq!(tail.last.unwrap().unwrap().end, end);
        assert_eq!(first(&file, &Seal::Plain).unwrap(), Some(Began { seq: 1, at_us: None }));
        file.write_all_at(b"garbage\n", lines.len() as u64).unwrap();
        assert_eq!(read(&file, &Seal::Plain).unwrap().last, Some(Err(Broken::NoRecord)));
    }
}
