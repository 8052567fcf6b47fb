//! A folder that is held open. Whatever is opened through it lies inside it, wherever symbolic links point and whoever moves them (S16).

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStringExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Dir, Mode, OFlags, Stat, fstat, openat, readlinkat, statat},
    io::Errno,
};

/// Opens without waiting (a FIFO has no writer), without becoming a terminal's process, and not for children.
const SAFELY: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// A folder that is held open, and where it really is.
#[derive(Debug)]
pub(super) struct Folder {
    handle: OwnedFd,
    real: PathBuf,
}

/// Why something in a folder was not opened.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is not there (or a symbolic link leads nowhere).
    Missing,
    /// It is there, and is not what may be read. Says why, without saying what it leads to.
    Forbidden(&'static str),
    /// It could not be read.
    Failed(io::Error),
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT => Self::Missing,
            Errno::LOOP => Self::Forbidden("is a symbolic link that leads in a circle, or where none may stand"),
            Errno::NOTDIR => Self::Forbidden("is not a folder"),
            Errno::NXIO | Errno::NODEV => Self::Forbidden(NOT_REGULAR),
            other => Self::Failed(other.into()),
        }
    }
}

/// What is said of devices, FIFOs, sockets and folders that stand where a file is expected.
pub(super) const NOT_REGULAR: &str = "is not a regular file";
const OUTSIDE: &str = "leads outside of its partition";

impl Folder {
    /// Opens the folder at a path that the operator chose: symbolic links on the way are followed.
    pub(super) fn at(path: &Path) -> Result<Self, Refusal> {
        let handle = openat(CWD, path, SAFELY | OFlags::DIRECTORY, Mode::empty())?;
        let real = real_path(handle.as_fd())?;
        Ok(Self { handle, real })
    }

    /// Opens a folder that lies inside this one, through symbolic links too.
    pub(super) fn folder(&self, path: &Path) -> Result<Self, Refusal> {
        self.inner(path, OFlags::DIRECTORY)
    }

    /// Opens a folder directly inside this one that is no symbolic link.
    pub(super) fn own_folder(&self, name: &str) -> Result<Self, Refusal> {
        match self.inner(Path::new(name), OFlags::DIRECTORY | OFlags::NOFOLLOW) {
            Err(Refusal::Forbidden(_)) => Err(Refusal::Forbidden("is not a folder (a symbolic link to one is not followed here)")),
            other => other,
        }
    }

    fn inner(&self, path: &Path, flags: OFlags) -> Result<Self, Refusal> {
        let handle = openat(&self.handle, path, SAFELY | flags, Mode::empty())?;
        let real = real_path(handle.as_fd())?;
        if real.starts_with(&self.real) { Ok(Self { handle, real }) } else { Err(Refusal::Forbidden(OUTSIDE)) }
    }

    /// Opens a regular file that lies inside this folder, through symbolic links too. It is the opened handle that is judged, not the
    /// path: what a path leads to may change between two looks at it.
    pub(super) fn file(&self, path: &Path) -> Result<File, Refusal> {
        let handle = openat(&self.handle, path, SAFELY, Mode::empty())?;
        if !real_path(handle.as_fd())?.starts_with(&self.real) {
            return Err(Refusal::Forbidden(OUTSIDE));
        }
        let file = File::from(handle);
        let metadata = file.metadata().map_err(Refusal::Failed)?;
        if metadata.is_file() { Ok(file) } else { Err(Refusal::Forbidden(NOT_REGULAR)) }
    }

    /// The names in it in order, at most `most` of them, and whether there are more.
    pub(super) fn names(&self, most: usize) -> Result<(Vec<OsString>, bool), Refusal> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.handle)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() == most {
                return Ok((names, true));
            }
            names.push(OsString::from_vec(name));
        }
        names.sort();
        Ok((names, false))
    }

    /// What something in it is, behind symbolic links. Nothing is opened.
    pub(super) fn stat(&self, path: &Path) -> Result<Stat, Refusal> {
        Ok(statat(&self.handle, path, AtFlags::empty())?)
    }

    /// Where the symbolic link of that name points, if there is one.
    pub(super) fn link(&self, name: &str) -> Option<Vec<u8>> {
        readlinkat(&self.handle, name, Vec::new()).ok().map(|target| target.into_bytes())
    }

    /// Which folder it is: device and inode.
    pub(super) fn identity(&self) -> Result<(u64, u64), Refusal> {
        Ok(identity(&fstat(&self.handle)?))
    }

    /// Whether it is this folder that a path leads to now.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let Ok(identity) = self.identity() else { return false };
        std::fs::metadata(path).is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == identity)
    }

    /// The open handle, to watch.
    pub(super) fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// Device and inode: the same for two looks at the same thing.
#[expect(clippy::useless_conversion, reason = "the width of these differs between systems")]
pub(super) fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev.into(), stat.st_ino.into())
}

/// Where an open handle really is. The kernel says it of the handle, so no link that is swapped meanwhile can change the answer.
#[cfg(not(target_vendor = "apple"))]
fn real_path(handle: BorrowedFd<'_>) -> Result<PathBuf, Refusal> {
    use std::os::fd::AsRawFd;
    std::fs::read_link(format!("/proc/self/fd/{}", handle.as_raw_fd())).map_err(Refusal::Failed)
}

/// Where an open handle really is.
#[cfg(target_vendor = "apple")]
fn real_path(handle: BorrowedFd<'_>) -> Result<PathBuf, Refusal> {
    Ok(PathBuf::from(OsString::from_vec(rustix::fs::getpath(handle)?.into_bytes())))
}
