//! `verify`: reads streams again, and names what in them is not as it was written.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    chain::{End, Hash, LONGEST_LINE, Link, Seal},
    folder::{Folder, How},
    head::{self, Head},
    names::Names,
    tail,
};

mod find;
#[cfg(test)]
mod tests;

use find::Found;

/// How often, and after how long, a line without an end is looked at again.
const LOOKS: u32 = 10;
const LOOK: Duration = Duration::from_millis(10);
/// Faults of one stream that are told; the rest is counted.
const TOLD: usize = 20;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Every stream, in the order of their names.
    pub streams: Vec<StreamReport>,
    /// Faults: `FILE:LINE: what`.
    pub faults: Vec<Fault>,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamReport {
    /// Its current file.
    pub file: PathBuf,
    /// Records that were read.
    pub records: u64,
    /// Where it ends: to be kept elsewhere.
    pub end: End,
    /// The first record that is there, if it is not 1.
    pub begins: Option<u64>,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// In which file.
    pub file: PathBuf,
    /// In which line of it; 0 for the file itself.
    pub line: u64,
    /// What it is.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.what)
    }
}

impl fmt::Display for StreamReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} records", self.file.display(), self.records)?;
        if let Some(begins) = self.begins {
            write!(f, ", from {begins}")?;
        }
        write!(f, ", end {}", Anchor(self.end))
    }
}

/// A record that is known from elsewhere: `SEQ:HASH`, as `verify` prints the end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor(pub End);

impl Anchor {
    /// Whether a record is the one right after it.
    fn precedes(&self, link: &Link) -> bool {
        self.0.hash == link.prev && self.0.seq.checked_add(1) == Some(link.end.seq)
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.seq, self.0.hash)
    }
}

impl std::str::FromStr for Anchor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(seq, hash)| Some((seq.parse().ok()?, hash.parse::<Hash>().ok()?)));
        parts.map(|(seq, hash)| Self(End { seq, hash })).ok_or_else(|| "must be a record's number, a colon and its hash".to_owned())
    }
}

/// Verifies every stream in or below the given folders, and the streams of the given files; their writers may be at work. What looks like a stream and cannot be read is a fault, and so
/// is a folder without any.
///
/// A stream must begin with its first record, or right after one of the `anchors`; and each anchor must be met by some stream.
///
/// # Errors
/// A path that cannot be read at all.
pub fn verify(paths: &[PathBuf], seal: &Seal, anchors: &[Anchor]) -> io::Result<Report> {
    let mut found = Found::default();
    for path in paths {
        found.look(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    }
    let Found { streams, faults } = found;
    let mut report = Report { faults, ..Report::default() };
    let mut unmet = anchors.to_vec();
    for (folder, writer) in &streams {
        Stream::new(folder, writer, seal, anchors).verify(&mut report, &mut unmet)?;
    }
    for anchor in unmet {
        let file = paths.first().cloned().unwrap_or_default();
        report.faults.push(Fault { file, line: 0, what: format!("no stream has the record {anchor}") });
    }
    Ok(report)
}

/// One stream while it is read.
struct Stream<'a> {
    folder: &'a Path,
    names: Names,
    seal: &'a Seal,
    anchors: &'a [Anchor],
    end: End,
    records: u64,
    /// Lines since the last record that are none.
    unread: u64,
    begins: Option<u64>,
    faults: Vec<Fault>,
    more: u64,
}

impl<'a> Stream<'a> {
    fn new(folder: &'a Path, writer: &str, seal: &'a Seal, anchors: &'a [Anchor]) -> Self {
        // A folder given as `.` has a name all the same.
        let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
        let namespace = whole.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let names = Names::new(namespace, writer);
        let end = seal.genesis(&names.stream);
        Self { folder, names, seal, anchors, end, records: 0, unread: 0, begins: None, faults: Vec::new(), more: 0 }
    }

    fn verify(mut self, report: &mut Report, unmet: &mut Vec<Anchor>) -> io::Result<()> {
        let folder = Folder::existing(self.folder)?;
        // The writer may be at work: a head is written after what it tells of, so it is read before it; and the file that is written is opened before those that
        // are complete are listed. It may be one of them by then, and what comes after it is newer than what is looked at.
        let head_name = self.names.head();
        let mut head = Ok(Head::Broken);
        // Its writer may be half-way through it.
        for _ in 0..LOOKS {
            head = folder.file(&head_name, How::Read).and_then(|file| head::read(file.as_ref(), self.seal, &self.names.stream));
            if !matches!(head, Ok(Head::Broken)) {
                break;
            }
            std::thread::sleep(LOOK);
        }
        let current_name = self.names.current();
        let (mut current, mut first) = (Ok(None), None);
        // Between two files there is none, or an empty one.
        for _ in 0..LOOKS {
            current = folder.file(&current_name, How::Read);
            let Ok(file) = &current else { break };
            first = file.as_ref().map(|file| tail::first(file, self.seal)).transpose()?.flatten();
            if first.is_some() {
                break;
            }
            std::thread::sleep(LOOK);
        }
        let mut complete: Vec<(u64, String)> =
            folder.files()?.into_iter().filter_map(|(name, _)| Some((self.names.first_of(&name)?, name))).collect();
        // What is renamed while a folder is listed may be in the list or not.
        complete.retain(|(number, _)| first.as_ref().is_none_or(|first| *number < first.seq));
        complete.sort();
        for (_, name) in complete {
            match folder.file(&name, How::Read) {
                Ok(Some(file)) => self.read(&name, &mut BufReader::new(file), unmet)?,
                Ok(None) => {}
                Err(error) => self.fault(&name, 0, error.to_string()),
            }
        }
        match current {
            Ok(Some(file)) => self.read(&current_name, &mut BufReader::new(file), unmet)?,
            Ok(None) => {}
            Err(error) => self.fault(&current_name, 0, error.to_string()),
        }
        match head {
            Ok(Head::At(told)) if told.seq > self.end.seq.saturating_add(self.unread) => {
                let (from, to) = (self.end.seq.saturating_add(1), told.seq);
                self.fault(&head_name, 1, format!("records {from} to {to} are missing at the end"));
            }
            Ok(Head::At(told)) if self.unread == 0 && told.seq == self.end.seq && told.hash != self.end.hash => {
                self.fault(&head_name, 1, "the last record is not the one that was written".to_owned());
            }
            Ok(Head::At(_)) => {}
            Ok(Head::Missing) => self.fault(&head_name, 0, "is missing: records cut off at the end cannot be told".to_owned()),
            Ok(Head::Broken) => self.fault(&head_name, 1, "was changed".to_owned()),
            Err(error) => self.fault(&head_name, 0, error.to_string()),
        }
        if self.more > 0 {
            let (name, more) = (self.names.current(), self.more);
            self.faults.push(Fault { file: self.folder.join(name), line: 0, what: format!("and {more} more faults in this stream") });
        }
        let Self { folder, names, end, records, begins, faults, .. } = self;
        report.streams.push(StreamReport { file: folder.join(names.current()), records, end, begins });
        report.faults.extend(faults);
        Ok(())
    }

    fn read(&mut self, name: &str, file: &mut impl BufRead, unmet: &mut Vec<Anchor>) -> io::Result<()> {
        for number in 1.. {
            let mut line = Vec::new();
            // One byte more than the longest line and its newline: then it is too long.
            let mut read = file.by_ref().take(LONGEST_LINE as u64 + 2).read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            // The rest may be on its way.
            for _ in 0..LOOKS {
                if read > LONGEST_LINE || line.ends_with(b"\n") {
                    break;
                }
                std::thread::sleep(LOOK);
                read += file.by_ref().take((LONGEST_LINE + 2 - read) as u64).read_until(b'\n', &mut line)?;
            }
            if line.pop_if(|last| *last == b'\n').is_none() {
                self.fault(name, number, "is not a whole line".to_owned());
                if read <= LONGEST_LINE {
                    break;
                }
                file.skip_until(b'\n')?;
                continue;
            }
            match Link::read(self.seal, &line) {
                Ok(link) => {
                    self.link(name, number, link);
                    for wrong in found_wrong(&line) {
                        self.fault(
                            name,
                            number,
                            format!("{wrong}, found when the stream was opened here: what stood before it may be missing"),
                        );
                    }
                    unmet.retain(|anchor| anchor.0 != link.end && !anchor.precedes(&link));
                }
                Err(broken) => {
                    self.fault(name, number, broken.to_string());
                    self.unread += 1;
                }
            }
        }
        Ok(())
    }

    fn link(&mut self, name: &str, number: u64, link: Link) {
        let (was, is) = (self.end, link.end.seq);
        if self.records == 0 && is > 1 {
            self.begins = Some(is);
        }
        // The numbers are whatever somebody wrote there.
        let next = was.seq.saturating_add(1);
        let follows = link.prev == was.hash && is == next && is > was.seq;
        // Each line that could not be read, and was told of, stood for one record.
        let after_unread = self.unread > 0 && is == next.saturating_add(self.unread);
        let first = self.records == 0 && self.anchors.iter().any(|anchor| anchor.precedes(&link));
        if !follows && !after_unread && !first {
            let what = if is > next {
                format!("records {next} to {} are missing before it", is - 1)
            } else if is <= was.seq {
                format!("record {is} stands after record {}", was.seq)
            } else {
                "does not follow the record before it".to_owned()
            };
            self.fault(name, number, what);
        }
        self.records += 1;
        self.unread = 0;
        self.end = link.end;
    }

    fn fault(&mut self, name: &str, line: u64, what: String) {
        if self.faults.len() < TOLD {
            self.faults.push(Fault { file: self.folder.join(name), line, what });
        } else {
            self.more += 1;
        }
    }
}

/// What a writer found wrong when it opened the stream, and went on after: the chain holds from there, and what it found would be forgotten.
fn found_wrong(line: &[u8]) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Record {
        event: String,
        recovered: Recovered,
    }
    #[derive(serde::Deserialize)]
    struct Recovered {
        #[serde(default)]
        wrong: Vec<String>,
    }
    // Nearly no line is one; inside a text the quotes would be escaped.
    const EVENT: &[u8] = b"\"event\":\"recovered\"";
    if !line.windows(EVENT.len()).any(|part| part == EVENT) {
        return Vec::new();
    }
    serde_json::from_slice::<Record>(line)
        .map(|record| if record.event == "recovered" { record.recovered.wrong } else { Vec::new() })
        .unwrap_or_default()
}
