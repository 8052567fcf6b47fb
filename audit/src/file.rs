//! The files of one stream as its writer holds them: opened and recovered, appended to, rotated.

use std::{fs::File, io, sync::Arc};

use serde::Serialize;

use crate::{
    chain::{End, Seal},
    folder::{Folder, How, Identity},
    head::{self, Head},
    names::Names,
    record::{fields, moment},
    settings::Rotation,
    tail,
};

pub(crate) use closed::Closed;

mod closed;
#[cfg(test)]
mod tests;

/// What a writer asks of the disk once a file is open: a parameter, so that tests can fill it up or make it hang.
pub trait Disk: Send + Sync + 'static {
    /// Writes at the end of a file.
    ///
    /// # Errors
    /// What the disk says. Some of the bytes may have been written.
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written last.
    ///
    /// # Errors
    /// What the disk says. It is not known then what lasts.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Cuts a file back to so many bytes.
    ///
    /// # Errors
    /// What the disk says. Nothing was cut then.
    fn cut(&self, file: &File, bytes: u64) -> io::Result<()> {
        file.set_len(bytes)
    }
}

/// The machine's disks.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn append(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(&mut file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

/// What all streams of a writer have in common.
#[derive(Clone)]
pub(crate) struct Writing {
    pub(crate) seal: Seal,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) rotation: Rotation,
    /// `ext-authz`, as records name it.
    pub(crate) service: Arc<str>,
}

/// The open files of one stream. Their folder is opened when it is needed: descriptors are few.
pub(crate) struct Files {
    data: File,
    head: File,
    state: State,
}

/// What is known of a stream, whether or not its files are open.
struct State {
    /// Which files they are: asked once, and compared at each write.
    open: Open,
    names: Names,
    end: End,
    /// The record that the current file begins with; none while it is empty.
    first: Option<u64>,
    since_us: u64,
    /// Bytes of the current file.
    bytes: u64,
    /// Bytes of all files of the stream.
    stored: u64,
    /// See [`Left`].
    refused_from: Option<u64>,
    /// Whether the names of its files were made to last, since they were opened.
    named: bool,
}

/// Which folder they are in, and which files are open.
struct Open {
    folder: Identity,
    data: Identity,
    head: Identity,
}

/// How this process left a stream when it wrote it last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    /// Where its chain ended.
    pub(crate) end: End,
    /// The byte from which the current file holds what was refused and could not be taken back: nothing may follow it.
    pub(crate) refused_from: Option<u64>,
}

/// What a writer found when it opened a stream that did not end as it should: the first record that it writes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Recovered {
    /// Bytes of a line that was never finished, now in a file of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    torn_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    torn_file: Option<String>,
    /// Records that were written and are not there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_from: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_to: Option<u64>,
    /// Records behind the end that the head tells of: nobody knows whether they were accepted, and what was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    unanswered_from: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unanswered_to: Option<u64>,
    /// What else was wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    wrong: Vec<&'static str>,
}

#[derive(Serialize)]
struct RecoveredRecord<'r> {
    time: String,
    service: &'r str,
    event: &'static str,
    recovered: &'r Recovered,
}

impl Files {
    /// Opens a stream, and mends what a writer that was killed left. `known` is how this process left it.
    pub(crate) fn open(region: &Folder, names: Names, writing: &Writing, known: Option<Left>, now_us: u64) -> io::Result<Self> {
        let mut found = Recovered::default();
        let folder = region.below(&names.namespace)?;
        let mut data = folder.made(&names.current(), How::Append)?;
        if let Some(from) = known.and_then(|left| left.refused_from) {
            take_back(writing, &data, from)?;
        }
        let mut tail = tail::read(&data, &writing.seal)?;
        let head_file = folder.made(&names.head(), How::Write)?;
        let head = head::read(Some(&head_file), &writing.seal, &names.stream)?;
        if head == Head::Broken {
            // It is written in place: what is longer than a head would never be one again.
            head_file.set_len(head::LENGTH as u64)?;
        }

        if tail.torn > 0 {
            let after = tail.last.and_then(Result::ok).map_or(0, |link| link.end.seq);
            found.torn_file = Some(keep_torn(&folder, &names, &data, tail.whole, after)?);
            found.torn_bytes = Some(tail.torn);
            data.set_len(tail.whole)?;
        }
        let began = if tail.whole > 0 { tail::first(&data, &writing.seal)? } else { None };
        let since_us = began.as_ref().and_then(|began| began.at_us).unwrap_or(now_us);
        let mut first = began.map(|began| began.seq);
        let listed = folder.files()?;
        let complete = listed.iter().filter_map(|(name, _)| names.first_of(name)).max();
        let genesis = writing.seal.genesis(&names.stream);
        let on_disk = match tail.last {
            Some(Ok(link)) => Some(link.end),
            Some(Err(_)) => {
                // What cannot be continued is kept as it is, and the chain goes on in a new file.
                found.wrong.push("the last record was changed");
                let number = first.unwrap_or_else(|| complete.map_or(0, |last| last.saturating_add(1)));
                folder.rename(&names.current(), &names.complete(number))?;
                data = folder.made(&names.current(), How::New)?;
                tail = tail::read(&data, &writing.seal)?;
                first = None;
                None
            }
            None => match complete {
                Some(last) => match folder.file(&names.complete(last), How::Read)? {
                    Some(file) => tail::read(&file, &writing.seal)?.last.and_then(Result::ok).map(|link| link.end),
                    None => None,
                },
                None => Some(genesis),
            },
        };
        let end = found.end(on_disk, head, known.map(|left| left.end), genesis);
        let stored = names.bytes(&if found == Recovered::default() { listed } else { folder.files()? });
        let open = Open { folder: Identity::of(&folder)?, data: Identity::of(&data)?, head: Identity::of(&head_file)? };
        let state = State { open, names, end, first, since_us, bytes: tail.whole, stored, refused_from: None, named: false };
        let mut files = Self { data, head: head_file, state };
        if found != Recovered::default() {
            tracing::error!(stream = files.state.names.stream, found = ?found, "an audit stream did not end as it was left");
            let record = RecoveredRecord { time: moment(now_us), service: &writing.service, event: "recovered", recovered: &found };
            files.append(region, writing, &[fields(&record)], now_us)?;
        } else {
            head::write(&files.head, &writing.seal, &files.state.names.stream, files.state.end)?;
        }
        Ok(files)
    }

    /// Writes records, all of them or none.
    pub(crate) fn append(&mut self, region: &Folder, writing: &Writing, records: &[impl AsRef<[u8]>], now_us: u64) -> io::Result<()> {
        if let Some(from) = self.state.refused_from {
            take_back(writing, &self.data, from)?;
            self.state.refused_from = None;
        }
        self.rotate_if_due(region, writing, now_us)?;
        let mut lines = Vec::with_capacity(records.iter().map(|record| record.as_ref().len() + 192).sum());
        let mut end = self.state.end;
        for record in records {
            end = end.append(&writing.seal, record.as_ref(), &mut lines);
        }
        let written =
            writing.disk.append(&self.data, &lines).and_then(|()| head::write(&self.head, &writing.seal, &self.state.names.stream, end));
        if let Err(error) = written {
            // Half a line, or lines that nobody was told are there, are taken back. Until that has succeeded, nothing follows them.
            self.state.refused_from = take_back(writing, &self.data, self.state.bytes).is_err().then_some(self.state.bytes);
            let _ = head::write(&self.head, &writing.seal, &self.state.names.stream, self.state.end);
            return Err(error);
        }
        if self.state.first.is_none() {
            self.state.first = Some(self.state.end.seq.saturating_add(1));
            self.state.since_us = now_us;
        }
        self.state.bytes += lines.len() as u64;
        self.state.stored += lines.len() as u64;
        self.state.end = end;
        Ok(())
    }

    /// Makes what was written last, whatever happens to the machine.
    pub(crate) fn sync(&mut self, region: &Folder, writing: &Writing) -> io::Result<()> {
        writing.disk.sync(&self.data)?;
        writing.disk.sync(&self.head)?;
        if !self.state.named {
            // A file that was synced, and whose name was not, is not found again.
            self.folder(region)?.sync()?;
            region.sync()?;
            self.state.named = true;
        }
        Ok(())
    }

    fn rotate_if_due(&mut self, region: &Folder, writing: &Writing, now_us: u64) -> io::Result<()> {
        let Some(first) = self.state.first else { return Ok(()) };
        let old = now_us.saturating_sub(self.state.since_us) >= u64::try_from(writing.rotation.age.as_micros()).unwrap_or(u64::MAX);
        if self.state.bytes < writing.rotation.bytes && !old {
            return Ok(());
        }
        let folder = self.folder(region)?;
        writing.disk.sync(&self.data)?;
        folder.rename(&self.state.names.current(), &self.state.names.complete(first))?;
        self.data = folder.made(&self.state.names.current(), How::Append)?;
        self.state.open.data = Identity::of(&self.data)?;
        self.state.first = None;
        self.state.bytes = 0;
        folder.sync()
    }

    /// The folder that the files are in.
    fn folder(&self, region: &Folder) -> io::Result<Folder> {
        let folder = region.below(&self.state.names.namespace)?;
        if Identity::of(&folder)? == self.state.open.folder {
            return Ok(folder);
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "its folder is another one"))
    }

    /// How the stream stands now.
    pub(crate) fn left(&self) -> Left {
        Left { end: self.state.end, refused_from: self.state.refused_from }
    }

    /// Bytes of all files of the stream, as far as is known.
    pub(crate) fn stored(&self) -> u64 {
        self.state.stored
    }

    /// Counts the bytes again: somebody may have taken complete files away.
    pub(crate) fn count_again(&mut self, region: &Folder) -> io::Result<()> {
        self.state.stored = self.state.names.bytes(&self.folder(region)?.files()?);
        Ok(())
    }

    /// Whether the files are still where they were, and as long: what is written to a file that was moved away or deleted is nowhere, and what stands behind a
    /// cut is no chain.
    pub(crate) fn in_place(&self, region: &Folder) -> bool {
        let State { open, names, bytes, .. } = &self.state;
        region.holds(&names.namespace, open.folder)
            && region.holds_whole(&names.paths.current, open.data, *bytes)
            && region.holds_whole(&names.paths.head, open.head, head::LENGTH as u64)
    }
}

impl Recovered {
    /// Where the chain goes on, of what the files, the head beside them and our memory say. The latest of them: what is missing then shows as
    /// a gap for ever.
    fn end(&mut self, on_disk: Option<End>, head: Head, known: Option<End>, genesis: End) -> End {
        let mut end = on_disk.unwrap_or(genesis);
        let told = match head {
            Head::At(told) => Some(told),
            Head::Missing => {
                if end.seq > 0 {
                    self.wrong.push("the head is missing");
                }
                None
            }
            Head::Broken => {
                self.wrong.push("the head was changed");
                None
            }
        };
        // What we wrote last we know best: what stands behind it is nobody's answer.
        if let Some(last) = known.or(told)
            && last.seq < end.seq
        {
            self.unanswered_from = Some(last.seq.saturating_add(1));
            self.unanswered_to = Some(end.seq);
        }
        for later in [told, known].into_iter().flatten() {
            if later.seq > end.seq {
                self.lost_from = Some(self.lost_from.unwrap_or(end.seq.saturating_add(1)));
                self.lost_to = Some(later.seq);
                end = later;
            } else if later.seq == end.seq && later.hash != end.hash {
                self.wrong.push("the last record is not the one that was written");
                end = later;
            }
        }
        end
    }
}

/// Takes what was refused out of a file again.
fn take_back(writing: &Writing, data: &File, from: u64) -> io::Result<()> {
    if data.metadata()?.len() > from { writing.disk.cut(data, from) } else { Ok(()) }
}

/// Copies what was torn into a file of its own, and gives its name.
fn keep_torn(folder: &Folder, names: &Names, data: &File, from: u64, after: u64) -> io::Result<String> {
    use std::os::unix::fs::FileExt as _;

    let length = data.metadata()?.len().saturating_sub(from);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    data.read_exact_at(&mut bytes, from)?;
    for nth in 0..1000 {
        let name = names.torn(after, nth);
        match folder.made(&name, How::New) {
            Ok(mut file) => {
                io::Write::write_all(&mut file, &bytes)?;
                return Ok(name);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "there are too many torn files"))
}
