//! A look at the runtime folder: its files, and whatever would differ if one of them were another.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::dropin::settings::Runtime;

/// The most files.
const MAX_FILES: usize = 1_000;
/// The most bytes of all files together.
const MAX_BYTES: u64 = 64 << 20;
/// The most names of any kind that are looked at.
const MAX_NAMES: usize = 100_000;
/// Folders inside folders.
const MAX_DEPTH: usize = 16;

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    /// The files that hold rules, in the order of their keys; or why the folder cannot be read.
    pub(super) files: Result<Vec<Found>, String>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// What it is called: its path from the folder, with dots for slashes (`config.basic.yaml`).
    pub(super) key: String,
    pub(super) path: PathBuf,
    /// Device, inode, size, and the nanoseconds of its last changes.
    stamp: [i128; 5],
}

/// Looks. Names that begin with two dots are Kubernetes' own (`..data` and what it leads to): their files are seen through the links
/// beside them.
pub(super) fn look(runtime: &Runtime) -> Look {
    let (root, prefix) = if runtime.watch_root {
        (runtime.root.join(&runtime.subdirectory), format!("{}.", runtime.app_directory))
    } else {
        (runtime.root.join(&runtime.subdirectory).join(&runtime.app_directory), String::new())
    };
    let mut walk = Walk { runtime, prefix, is_named: !runtime.watch_root, names: 0, bytes: 0, files: Vec::new() };
    let files = walk.folder(&root, "", 0).and_then(|()| {
        if !walk.is_named {
            // Somebody took it away, or misspelt it: that is no configuration without a rule (S10).
            return Err(format!("{}: there is no `{}`", root.display(), runtime.app_directory));
        }
        walk.files.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(walk.files)
    });
    Look { files }
}

struct Walk<'a> {
    runtime: &'a Runtime,
    prefix: String,
    /// Whether the folder of the configurations, or a file that stands for one in it, is there.
    is_named: bool,
    names: usize,
    bytes: u64,
    files: Vec<Found>,
}

impl Walk<'_> {
    fn folder(&mut self, path: &Path, key: &str, depth: usize) -> Result<(), String> {
        let failed = |error: io::Error| format!("{}: cannot be read: {error}", path.display());
        if depth > MAX_DEPTH {
            return Err(format!("{}: folders are nested deeper than {MAX_DEPTH}", path.display()));
        }
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            self.names += 1;
            if self.names > MAX_NAMES {
                return Err(format!("{}: there are more than {MAX_NAMES} names", path.display()));
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("..") || (self.runtime.ignore_dot_files && name.starts_with('.')) {
                continue;
            }
            let key = if key.is_empty() { name } else { format!("{key}.{name}") };
            self.is_named |= key == self.runtime.app_directory || key.starts_with(&self.prefix);
            match fs::metadata(entry.path()) {
                // A folder whose files could not be meant is not entered. A link to a folder is followed where Kubernetes makes one (an
                // item `config/basic.yaml` of a ConfigMap is `config -> ..data/config`), and, as in the original, nowhere below.
                Ok(found) if found.is_dir() => {
                    let linked = entry.file_type().map_err(failed)?.is_symlink();
                    if (!linked || depth == 0) && self.may_hold(&key) {
                        self.folder(&entry.path(), &key, depth + 1)?;
                    }
                }
                Ok(found) if found.is_file() && key.starts_with(&self.prefix) => self.file(key, entry.path(), &found)?,
                Ok(_) => (),
                // It went between two looks; or is a link that leads nowhere, and what it stood for was not deleted by anybody (S10).
                Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_lost(&entry.path(), &key) => (),
                Err(error) => return Err(format!("{}: cannot be read: {error}", entry.path().display())),
            }
        }
        Ok(())
    }

    /// Whether something of ours is still named, and not to be found: looked at once more, because links may have been swapped under the first look.
    fn is_lost(&self, path: &Path, key: &str) -> bool {
        let is_ours = key.starts_with(&self.prefix) || self.may_hold(key);
        is_ours && fs::symlink_metadata(path).is_ok() && fs::metadata(path).is_err()
    }

    fn may_hold(&self, key: &str) -> bool {
        let folder = format!("{key}.");
        folder.starts_with(&self.prefix) || self.prefix.starts_with(&folder)
    }

    fn file(&mut self, key: String, path: PathBuf, found: &fs::Metadata) -> Result<(), String> {
        if self.files.len() == MAX_FILES {
            return Err(format!("{}: there are more than {MAX_FILES} files", path.display()));
        }
        self.bytes = self.bytes.saturating_add(found.len());
        if self.bytes > MAX_BYTES {
            return Err(format!("{}: the files have more than {MAX_BYTES} bytes together", path.display()));
        }
        let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let stamp = [
            found.dev().into(),
            found.ino().into(),
            found.len().into(),
            nanos(found.mtime(), found.mtime_nsec()),
            nanos(found.ctime(), found.ctime_nsec()),
        ];
        self.files.push(Found { key, path, stamp });
        Ok(())
    }
}
