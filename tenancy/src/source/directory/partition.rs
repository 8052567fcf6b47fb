//! Reading one partition: which files it has, what stands in them, and everything that is refused. A partition is hostile input (S16).

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::fs::{FileType, Stat};

use super::folder::{Folder, NOT_REGULAR, Refusal, identity};
use crate::{
    fault::{Fault, Severity},
    place::visible,
    source::{Content, SourceFile},
};

/// What a partition may hold at most (S16).
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Files.
    pub files: usize,
    /// Names of any kind that are looked at.
    pub names: usize,
    /// Folders inside folders.
    pub depth: usize,
    /// Folders in all, its own included. Each is watched, and the system has so many watches for all tenants together
    /// (fs.inotify.max_user_watches): whoever took them all would make us deaf to everybody else's changes.
    pub folders: usize,
}

/// How a partition lies on disk.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// What stands before its paths in faults: `namespaces/acme/`, or nothing.
    pub prefix: String,
    /// What it may hold.
    pub bounds: Bounds,
    /// The only folder that is entered; absent: every folder.
    pub only: Option<&'static str>,
}

impl Shape {
    /// The operator's: the files beside `namespaces`, and those in `tenants`.
    pub(super) fn operator() -> Self {
        let bounds = Bounds { file_bytes: 64 << 20, bytes: 256 << 20, files: 100_000, names: 200_000, depth: 1, folders: 2 };
        Self { prefix: String::new(), bounds, only: Some("tenants") }
    }

    /// A tenant's own: every file below its folder.
    pub(super) fn namespace(name: &str) -> Self {
        let bounds = Bounds { file_bytes: 1 << 20, bytes: 4 << 20, files: 1_000, names: 10_000, depth: 8, folders: 64 };
        Self { prefix: format!("namespaces/{name}/"), bounds, only: None }
    }

    fn fault(&self, path: &Path, message: impl Into<String>) -> Fault {
        fault(format!("{}{}", self.prefix, path.to_string_lossy()), message)
    }

    /// A fault of the partition itself.
    pub(super) fn whole(&self, message: impl Into<String>) -> Fault {
        self.fault(Path::new(""), message)
    }

    /// The fault of what could not be read: the system's words for it, which name no path.
    pub(super) fn refused(&self, path: &Path, refusal: Refusal) -> Fault {
        match refusal {
            Refusal::Missing => self.fault(path, "does not exist, or is a symbolic link that leads nowhere"),
            Refusal::Forbidden(why) => self.fault(path, why),
            Refusal::Failed(error) => self.fault(path, format!("cannot be read: {error}")),
        }
    }
}

/// A fault of a whole file or folder. Its name is its author's choice: what nobody would see, or could break a line, is escaped.
pub(super) fn fault(path: impl AsRef<str>, message: impl Into<String>) -> Fault {
    let path = path.as_ref().trim_end_matches('/');
    let path: String = if path.is_empty() { ".".into() } else { path.chars().flat_map(visible).collect() };
    Fault { file: Arc::from(path), line: 0, column: 0, field: String::new(), message: message.into(), severity: Severity::Error }
}

/// The files of a partition, not read yet.
#[derive(Debug)]
pub(super) struct Listing {
    files: Vec<(PathBuf, Option<Stat>)>,
    faults: Vec<Fault>,
    /// When it was listed, in nanoseconds since 1970.
    at: i64,
    /// Equal stamps: nothing was changed between two listings. None where something is so young that a later change might bear the same time.
    pub stamp: Option<u64>,
}

/// What is changed within this time of a listing, in nanoseconds, may bear the same time of change again: the file system's clock is coarse.
const COARSE: i64 = 50_000_000;

/// What differs once a file was changed: which it is, its kind and size, its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Times {
    file: (u64, u64),
    mode: u32,
    size: i64,
    modified: i64,
    changed: i64,
}

impl Times {
    /// None where the file is so young, at the moment of the listing, that a later change might not show.
    #[expect(clippy::useless_conversion, reason = "the width of these differs between systems")]
    fn settled(stat: &Stat, at: i64) -> Option<Self> {
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        let modified = nanoseconds(stat.st_mtime.into(), i64::try_from(stat.st_mtime_nsec).unwrap_or(0));
        let changed = nanoseconds(stat.st_ctime.into(), i64::try_from(stat.st_ctime_nsec).unwrap_or(0));
        let times = Self { file: identity(stat), mode: stat.st_mode.into(), size: stat.st_size.into(), modified, changed };
        (changed < at.saturating_sub(COARSE)).then_some(times)
    }
}

/// Files that were read before, of a partition that is large by nature (the operator's): what was not changed is not read again.
pub(super) type Kept = HashMap<PathBuf, (Times, SourceFile)>;

/// Lists a partition. `entered` sees each folder before it is listed, to watch it.
pub(super) fn list(folder: &Folder, shape: &Shape, stamps: &RandomState, entered: &mut dyn FnMut(&Folder)) -> Result<Listing, Fault> {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = i64::try_from(at.as_nanos()).unwrap_or(i64::MAX);
    let mut listing = Listing { files: Vec::new(), faults: Vec::new(), at, stamp: None };
    let mut seen = HashSet::new();
    let mut left = shape.bounds.names;
    let mut folders = vec![(PathBuf::new(), 0)];
    while let Some((path, depth)) = folders.pop() {
        let inner;
        let here = if path.as_os_str().is_empty() {
            folder
        } else {
            inner = match folder.folder(&path) {
                Ok(inner) => inner,
                Err(Refusal::Failed(error)) => return Err(shape.refused(&path, Refusal::Failed(error))),
                // Deleted since its parent was listed.
                Err(Refusal::Missing) => continue,
                Err(refusal) => {
                    listing.faults.push(shape.refused(&path, refusal));
                    continue;
                }
            };
            &inner
        };
        let known = here.identity().map_err(|refusal| shape.refused(&path, refusal))?;
        if seen.contains(&known) {
            continue;
        }
        if seen.len() == shape.bounds.folders {
            listing.faults.push(shape.whole(format!("holds more than {} folders", shape.bounds.folders)));
            break;
        }
        seen.insert(known);
        entered(here);
        let (names, more) = here.names(left).map_err(|refusal| shape.refused(&path, refusal))?;
        left -= names.len();
        if more {
            listing.faults.push(shape.whole(format!("holds more than {} names", shape.bounds.names)));
        }
        for name in names {
            // Names with a leading dot are not resources: Kubernetes' `..data` and the folder it points to (read through the links beside
            // it, not twice), and what editors and version control keep.
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = path.join(&name);
            let stat = here.stat(Path::new(&name)).ok();
            let is_folder = stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir());
            // A tenant may keep OpenAPI documents beside its contracts; the operator has none.
            if is_yaml(&name) || (shape.only.is_none() && is_json(&name)) {
                listing.files.push((path, stat));
            } else if is_yaml_in_capitals(&name) {
                listing.faults.push(ignored(shape, &path, "is not read: its name must end in `.yaml` or `.yml`, in small letters"));
            } else if is_folder && shape.only.is_none_or(|only| depth == 0 && only == name) {
                if depth < shape.bounds.depth {
                    folders.push((path, depth + 1));
                } else {
                    listing.faults.push(shape.fault(&path, format!("is more than {} folders deep", shape.bounds.depth)));
                }
            } else if !is_folder && stat.is_some() && shape.only.is_some_and(|only| depth == 0 && only == name) {
                // Whoever put it there has not deleted what was in the folder: that is not known any more.
                listing.faults.push(shape.fault(&path, "is no folder: what was in it is not read"));
            } else if is_folder && !(depth == 0 && name == "namespaces") {
                let yaml = here.folder(Path::new(&name)).and_then(|unread| unread.names(LOOKED_AT));
                for name in yaml.iter().flat_map(|(names, _)| names).filter(|name| is_yaml(name)) {
                    listing.faults.push(ignored(shape, &path.join(name), UNREAD_FOLDER));
                }
            }
        }
    }
    listing.files.sort_by(|one, other| one.0.cmp(&other.0));
    listing.stamp = listing.compute_stamp(stamps);
    Ok(listing)
}

/// How many names of a folder that is not read are looked at for what may have been meant to be read.
const LOOKED_AT: usize = 100;
const UNREAD_FOLDER: &str =
    "is not read: the operator's files lie beside `namespaces` or directly in `tenants`, a tenant's own in `namespaces/<namespace>`";

/// A warning of a file that nobody reads, though its author may think so.
fn ignored(shape: &Shape, path: &Path, message: &str) -> Fault {
    Fault { severity: Severity::Warning, ..shape.fault(path, message) }
}

fn is_yaml_in_capitals(name: &OsStr) -> bool {
    is_yaml(OsStr::new(&name.to_ascii_lowercase())) && !is_yaml(name)
}

fn is_json(name: &OsStr) -> bool {
    name.as_encoded_bytes().ends_with(b".json")
}

fn is_yaml(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.ends_with(b".yaml") || name.ends_with(b".yml")
}

impl Listing {
    fn compute_stamp(&self, stamps: &RandomState) -> Option<u64> {
        let mut hasher = stamps.build_hasher();
        for (path, stat) in &self.files {
            path.hash(&mut hasher);
            let Some(stat) = stat else { continue };
            Times::settled(stat, self.at)?.hash(&mut hasher);
        }
        for fault in &self.faults {
            (&fault.file, &fault.message).hash(&mut hasher);
        }
        Some(hasher.finish())
    }

    /// Reads what was listed. A file that cannot be read makes the whole partition unreadable (what it would have said is unknown); one
    /// that may not be read is refused alone.
    pub(super) fn read(self, folder: &Folder, shape: &Shape, mut kept: Option<&mut Kept>) -> Content {
        let Self { files: listed, mut faults, at, .. } = self;
        let mut before = kept.as_deref_mut().map(std::mem::take).unwrap_or_default();
        let mut files = Vec::with_capacity(listed.len().min(shape.bounds.files));
        let mut left = shape.bounds.bytes;
        for (index, (path, stat)) in listed.iter().enumerate() {
            if index == shape.bounds.files {
                faults.push(shape.whole(format!("holds {} files, and may hold {}", listed.len(), shape.bounds.files)));
                break;
            }
            let times = stat.as_ref().and_then(|stat| Times::settled(stat, at));
            let same = before.remove(path).filter(|(then, file)| times == Some(*then) && file.text.len() as u64 <= left);
            match same.map_or_else(|| read_file(folder, path, stat.as_ref(), shape, left), |(_, file)| Ok(file)) {
                Ok(file) => {
                    left -= file.text.len() as u64;
                    if let (Some(kept), Some(times)) = (kept.as_deref_mut(), times) {
                        kept.insert(path.clone(), (times, file.clone()));
                    }
                    files.push(file);
                }
                // Deleted since it was listed: an event tells, and it is read again.
                Err(Unread::Deleted) => {}
                Err(Unread::Refused(fault)) => faults.push(fault),
                Err(Unread::Failed(fault)) => return Content::Unreadable(fault),
                Err(Unread::Full) => {
                    faults.push(shape.whole(format!("holds more than {} bytes", shape.bounds.bytes)));
                    break;
                }
            }
        }
        Content::Files { files, faults }
    }
}

/// Why a file has no text.
enum Unread {
    /// It was there, and is not any more.
    Deleted,
    /// It may not be read, or is no text.
    Refused(Fault),
    /// Reading failed.
    Failed(Fault),
    /// The partition has no bytes left.
    Full,
}

fn read_file(folder: &Folder, path: &Path, stat: Option<&Stat>, shape: &Shape, left: u64) -> Result<SourceFile, Unread> {
    // Looked at before it is opened: to open a device may already do something.
    if stat.is_some_and(|stat| !FileType::from_raw_mode(stat.st_mode).is_file()) {
        return Err(Unread::Refused(shape.fault(path, NOT_REGULAR)));
    }
    let file = folder.file(path).map_err(|refusal| match refusal {
        Refusal::Missing if stat.is_some() => Unread::Deleted,
        Refusal::Failed(_) => Unread::Failed(shape.refused(path, refusal)),
        _ => Unread::Refused(shape.refused(path, refusal)),
    })?;
    let most = shape.bounds.file_bytes;
    let mut bytes = Vec::new();
    file.take(most.min(left) + 1).read_to_end(&mut bytes).map_err(|error| match error.kind() {
        // Only what is no regular file would block.
        ErrorKind::WouldBlock => Unread::Refused(shape.fault(path, NOT_REGULAR)),
        _ => Unread::Failed(shape.refused(path, Refusal::Failed(error))),
    })?;
    let read = bytes.len() as u64;
    if read > most {
        return Err(Unread::Refused(shape.fault(path, format!("has more than {most} bytes"))));
    }
    if read > left {
        return Err(Unread::Full);
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        Unread::Refused(Fault { line: u32::try_from(line).unwrap_or(u32::MAX), column: 1, ..shape.fault(path, "is not UTF-8") })
    })?;
    Ok(SourceFile { path: shape.fault(path, "").file, text })
}
