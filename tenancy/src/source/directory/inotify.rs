//! Linux's events of folders.

use std::{
    collections::HashMap,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch},
    io::Errno,
};

use super::watch::{Dirty, Place};

/// Changes of names, and files that were closed after writing. Not each write: what a file says before it is closed is not meant yet. Not
/// opening: reading would be heard.
const CHANGES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// The kernel's queue of events, and which folder each watch is.
#[derive(Debug)]
pub(super) struct Inotify {
    queue: OwnedFd,
    places: HashMap<i32, Vec<Place>>,
}

/// Why a folder is not watched.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchError {
    /// The system's own bound.
    #[error("the system's limit of watches is reached (fs.inotify.max_user_watches, max_user_instances)")]
    Limit,
    /// Anything else.
    #[error("folders cannot be watched: {0}")]
    System(#[from] std::io::Error),
}

impl From<Errno> for WatchError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOSPC | Errno::MFILE | Errno::NOMEM => Self::Limit,
            other => Self::System(other.into()),
        }
    }
}

impl Inotify {
    pub(super) fn new() -> Result<Self, WatchError> {
        Ok(Self { queue: init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?, places: HashMap::new() })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }

    /// Watches an open folder. Again is the same watch: the kernel knows folders by inode.
    pub(super) fn add(&mut self, folder: BorrowedFd<'_>, place: Place) -> Result<(), WatchError> {
        let watch = match add_watch(&self.queue, format!("/proc/self/fd/{}", folder.as_raw_fd()), CHANGES) {
            // Deleted meanwhile: its parent's event tells.
            Err(Errno::NOENT) => return Ok(()),
            other => other?,
        };
        let places = self.places.entry(watch).or_default();
        // A partition that was renamed is another partition now.
        places.retain(|known| !matches!((known, &place), (Place::Partition(_), Place::Partition(_))));
        if !places.contains(&place) {
            places.push(place);
        }
        Ok(())
    }

    /// Takes all events there are.
    pub(super) fn drain(&mut self, dirty: &mut Dirty) {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut reader = Reader::new(&self.queue, &mut buffer);
        // The queue is empty (AGAIN) or interrupted: what is left is heard at the next wait.
        while let Ok(event) = reader.next() {
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                tracing::warn!("events of the configuration folder were lost; all of it is looked at");
                dirty.everything = true;
                continue;
            }
            let name = event.file_name().map(|name| name.to_bytes()).unwrap_or_default();
            for place in self.places.get(&event.wd()).into_iter().flatten() {
                dirty.note(place, name);
            }
            if event.events().contains(ReadFlags::IGNORED) {
                self.places.remove(&event.wd());
            } else if event.events().contains(ReadFlags::MOVE_SELF) {
                // It may be anybody's folder now. Where it is still ours, reading it watches it again.
                self.places.remove(&event.wd());
                let _ = remove_watch(&self.queue, event.wd());
            }
        }
    }
}
