//! Folders and files of audit streams. Names below a region's folder are opened one by one and no link is followed, so whoever can write there
//! cannot make us write elsewhere. Folders are 0700 and files 0600.

use std::{
    fs::{DirBuilder, File},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::DirBuilderExt as _,
    },
    path::Path,
};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, fsync, mkdirat, openat, renameat, statat};

/// Whether a path leads to a folder that is open: it may have been moved or deleted under us.
pub(crate) fn leads_to(path: &Path, folder: Identity) -> bool {
    rustix::fs::stat(path).is_ok_and(|named| Identity::told(&named) == folder)
}

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Which file an open file or folder is, as long as it is open: its inode and device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity(u64, u64);

impl Identity {
    pub(crate) fn of(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::told(&fstat(file)?))
    }

    fn told(stat: &Stat) -> Self {
        Self(stat.st_ino, stat.st_dev)
    }
}

/// How a file or folder stands: which one it is, and how large it was and when, after anything was last done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stand {
    file: Identity,
    bytes: i64,
    changed: (i64, u64),
}

impl Stand {
    pub(crate) fn of(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::told(&fstat(file)?))
    }

    /// Whether it is so many bytes long.
    pub(crate) fn is_long(&self, bytes: u64) -> bool {
        u64::try_from(self.bytes).is_ok_and(|long| long == bytes)
    }

    fn told(stat: &Stat) -> Self {
        Self { file: Identity::told(stat), bytes: stat.st_size, changed: (stat.st_ctime, stat.st_ctime_nsec) }
    }
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// To read, if it is there.
    Read,
    /// To write at its end, and made if it is not there.
    Append,
    /// To write anywhere in it, and made if it is not there.
    Write,
    /// Made now: it must not be there.
    New,
}

impl Folder {
    /// A region's folder, made if it is not there. The operator named it: links on the way to it are followed.
    pub(crate) fn region(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// To read what is in a folder that may not be there.
    pub(crate) fn existing(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// A folder in this one, made if it is not there.
    pub(crate) fn below(&self, name: &str) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = || openat(&self.0, name, flags, Mode::empty());
        match opened() {
            Err(rustix::io::Errno::NOENT) => {}
            opened => return Ok(Self(opened?)),
        }
        match mkdirat(&self.0, name, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(Self(opened()?)),
            Err(error) => Err(error.into()),
        }
    }

    /// A regular file in this folder. `None`: it is not there, and was only to be read.
    pub(crate) fn file(&self, name: &str, how: How) -> io::Result<Option<File>> {
        Ok(self.opened(name, how)?.map(|(file, _)| file))
    }

    /// The same, and how it stands.
    pub(crate) fn stood(&self, name: &str, how: How) -> io::Result<Option<(File, Stand)>> {
        Ok(self.opened(name, how)?.map(|(file, stat)| (file, Stand::told(&stat))))
    }

    fn opened(&self, name: &str, how: How) -> io::Result<Option<(File, Stat)>> {
        // Not blocking: a pipe in our place must not hold the writer up.
        let common = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let flags = common
            | match how {
                How::Read => OFlags::RDONLY,
                How::Append => OFlags::RDWR | OFlags::APPEND | OFlags::CREATE,
                How::Write => OFlags::RDWR | OFlags::CREATE,
                How::New => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
            };
        let opened = match openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(opened) => opened,
            Err(rustix::io::Errno::NOENT) if how == How::Read => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let stat = fstat(&opened)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink > 1 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name} is no regular file with one name")));
        }
        Ok(Some((File::from(opened), stat)))
    }

    /// A regular file in this folder, which is there or is made.
    pub(crate) fn made(&self, name: &str, how: How) -> io::Result<File> {
        self.file(name, how)?.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{name} is not there")))
    }

    /// Whether a name in this folder still stands for a file or folder. Of a path (`<folder>/<file>`) only the last name must be no link: who asks has asked for
    /// the folder before.
    pub(crate) fn holds(&self, name: &str, file: Identity) -> bool {
        self.named(name).is_some_and(|named| Identity::told(&named) == file)
    }

    /// The same of a file, and whether it has so many bytes.
    pub(crate) fn holds_whole(&self, name: &str, file: Identity, bytes: u64) -> bool {
        self.named(name).is_some_and(|named| Identity::told(&named) == file && u64::try_from(named.st_size) == Ok(bytes))
    }

    fn named(&self, name: &str) -> Option<Stat> {
        statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).ok()
    }

    /// Gives a file another name, which must be free.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if statat(&self.0, to, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{to} is there already")));
        }
        Ok(renameat(&self.0, from, &self.0, to)?)
    }

    /// Names and sizes of the regular files in it.
    pub(crate) fn files(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let Ok(stat) = statat(&self.0, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                files.push((name, u64::try_from(stat.st_size).unwrap_or_default()));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Takes the right to write under a name, for as long as the file that is given is open. `None`: another process has it.
    pub(crate) fn lock(&self, name: &str) -> io::Result<Option<File>> {
        let file = self.made(name, How::Write)?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Bytes free to us on its disk, and bytes of the disk.
    pub(crate) fn free(&self) -> io::Result<(u64, u64)> {
        let stat = rustix::fs::fstatvfs(&self.0)?;
        Ok((stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize)))
    }

    /// Makes its names last.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(fsync(&self.0)?)
    }

    /// Makes everything on its disk last.
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return Ok(rustix::fs::syncfs(&self.0)?);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        {
            rustix::fs::sync();
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn s16_no_link_is_followed_and_nothing_else_than_a_file_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let region = Folder::region(&directory.path().join("eu")).unwrap();
        symlink(directory.path(), directory.path().join("eu/tenant-acme")).unwrap();
        assert!(region.below("tenant-acme").is_err());
        let namespace = region.below("tenant-globex").unwrap();
        let inside = directory.path().join("eu/tenant-globex");
        symlink("/dev/null", inside.join("link.jsonl")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, inside.join("pipe.jsonl"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        std::fs::write(inside.join("one.jsonl"), "").unwrap();
        std::fs::hard_link(inside.join("one.jsonl"), inside.join("two.jsonl")).unwrap();
        for name in ["link.jsonl", "pipe.jsonl", "two.jsonl"] {
            assert!(namespace.file(name, How::Append).is_err(), "{name}");
        }
        let file = namespace.made("own.jsonl", How::Append).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(inside.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(namespace.holds("own.jsonl", Identity::of(&file).unwrap()));
        namespace.rename("own.jsonl", "gone.jsonl").unwrap();
        assert!(!namespace.holds("own.jsonl", Identity::of(&file).unwrap()));
    }

    #[test]
    fn a_lock_is_one_holders() {
        let directory = tempfile::tempdir().unwrap();
        let region = Folder::region(directory.path()).unwrap();
        let held = region.lock(".a.lock").unwrap();
        assert!(held.is_some());
        assert!(region.lock(".a.lock").unwrap().is_none());
        drop(held);
        assert!(region.lock(".a.lock").unwrap().is_some());
    }
}
