//! A region's folder as one process holds it: open, and locked, so that no other process writes the same files.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use crate::{
    folder::{Folder, Identity, leads_to},
    settings::{Instance, Settings},
};

/// How many processes of one service a machine may run over one folder.
const PROCESSES: u32 = 64;
/// Best-effort records are not written on a disk with less free than this, or than a fiftieth of it: what is left is for those that must be.
const FLOOR: u64 = 64 << 20;

/// The folder, as long as it is this process's to write.
pub(crate) struct Home {
    path: PathBuf,
    folder: Folder,
    opened: Identity,
    _lock: File,
    locked: Identity,
    lock_name: String,
    writer: String,
}

impl Home {
    /// Opens the folder and takes a writer's name that no other process has.
    pub(crate) fn open(path: &Path, settings: &Settings) -> io::Result<Self> {
        let folder = Folder::region(path)?;
        let opened = Identity::of(&folder)?;
        let machine = Instance::of_machine();
        let (instance, most) = settings.instance.as_ref().map_or((&machine, PROCESSES), |given| (given, 1));
        for number in 1..=most {
            let writer = format!("{}-{}", settings.service, instance.numbered(number));
            let lock_name = format!(".{writer}.lock");
            if let Some(lock) = folder.lock(&lock_name)? {
                let locked = Identity::of(&lock)?;
                return Ok(Self { path: path.to_path_buf(), folder, opened, _lock: lock, locked, lock_name, writer });
            }
        }
        let who = format!("{}-{instance}", settings.service);
        Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("another process writes the streams of {who} in this folder")))
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// `<service>-<instance>`.
    pub(crate) fn writer(&self) -> &str {
        &self.writer
    }

    /// Whether the folder is still there, and the lock with it.
    pub(crate) fn in_place(&self) -> bool {
        leads_to(&self.path, self.opened) && self.folder.holds(&self.lock_name, self.locked)
    }

    /// Whether its disk has more left than the part that is kept for records that must be written.
    pub(crate) fn has_room(&self) -> bool {
        self.folder.free().is_ok_and(|(free, all)| free > FLOOR.min(all / 50))
    }
}
