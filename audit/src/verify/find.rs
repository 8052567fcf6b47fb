//! Where streams are: in the folders that are given, and below them. Whatever looks like one and is not read is said: a stream that was put behind a
//! link would be passed over otherwise.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use super::Fault;
use crate::names::Names;

/// How deep below a given folder streams are looked for: regions, namespaces.
const DEPTH: usize = 3;

/// What was found: each stream's folder and writer, and what cannot be read.
#[derive(Default)]
pub(super) struct Found {
    pub(super) streams: BTreeSet<(PathBuf, String)>,
    pub(super) faults: Vec<Fault>,
}

impl Found {
    /// The streams in a folder and below it, or the stream of a file. None at all is a fault: a folder that is not the one that was meant is not whole.
    pub(super) fn look(&mut self, path: &Path) -> io::Result<()> {
        let before = (self.streams.len(), self.faults.len());
        if path.metadata()?.is_file() {
            let name = path.file_name().and_then(|name| name.to_str()).and_then(Names::writer_of);
            let writer = name.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "is no file of an audit stream"))?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            self.streams.insert((folder.to_path_buf(), writer.to_owned()));
            return Ok(());
        }
        self.below(path, DEPTH)?;
        if before == (self.streams.len(), self.faults.len()) {
            self.fault(path, "holds no audit stream");
        }
        Ok(())
    }

    fn below(&mut self, folder: &Path, depth: usize) -> io::Result<()> {
        for entry in folder.read_dir()? {
            let entry = entry?;
            let path = entry.path();
            let is_link = match entry.file_type() {
                Ok(kind) => kind.is_symlink(),
                // Files that are complete are merged and dropped while others look.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let name = entry.file_name();
            let writer = name.to_str().and_then(Names::writer_of);
            // A region's folder may be a link, and writers follow that one. What is behind any other link is read as well: its chain tells whose it is.
            match path.metadata() {
                Ok(kind) if kind.is_dir() && writer.is_none() && depth > 0 => self.below(&path, depth - 1)?,
                Ok(kind) if kind.is_dir() && writer.is_none() => self.fault(&path, "lies deeper than streams do: not read"),
                Ok(kind) => match writer {
                    Some(writer) if kind.is_file() && !is_link => {
                        self.streams.insert((folder.to_path_buf(), writer.to_owned()));
                    }
                    Some(_) => self.fault(&path, "has the name of a stream's file and is none: not read"),
                    None => {}
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound && !is_link => {}
                Err(error) => self.fault(&path, &error.to_string()),
            }
        }
        Ok(())
    }

    fn fault(&mut self, file: &Path, what: &str) {
        self.faults.push(Fault { file: file.to_path_buf(), line: 0, what: what.to_owned() });
    }
}
