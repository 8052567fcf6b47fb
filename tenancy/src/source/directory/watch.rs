//! Hearing of changes: which folders are watched, what an event in one of them touches, and when it is time to look.
//!
//! Watches are added by open handle, so what is watched is what was judged to lie inside (S16), and they ask for changes alone: a watcher
//! that also hears of opened files would be told of everything that reading 10,000 partitions does.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io::{Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

#[cfg(target_os = "linux")]
use super::inotify::Inotify;
#[cfg(not(target_os = "linux"))]
use super::no_inotify::Inotify;
use crate::{name::Namespace, source::Waker};

/// Once something was heard, what follows within this time is part of it (an editor writes several times).
const QUIET: Duration = Duration::from_millis(30);
/// But nobody who goes on writing keeps the others waiting for longer than this.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a watched folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A folder on the way to the configuration folder, and the name in it that the way takes (the last one, or a symbolic link).
    Way(OsString),
    /// The configuration folder.
    Root,
    /// `tenants`.
    Tenants,
    /// `namespaces`.
    Namespaces,
    /// A folder of a tenant's partition.
    Partition(Namespace),
}

/// What may have changed.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    /// Anything: where the folders are, which there are, what is in them.
    pub everything: bool,
    /// The operator's files.
    pub operator: bool,
    /// Which partitions there are.
    pub names: bool,
    /// What is in these.
    pub partitions: BTreeSet<Namespace>,
}

impl Dirty {
    /// Whether nothing may have changed.
    pub(super) fn is_empty(&self) -> bool {
        !self.everything && !self.operator && !self.names && self.partitions.is_empty()
    }

    /// Notes an event: in which folder, and the name of what it happened to (empty: the folder itself).
    pub(super) fn note(&mut self, place: &Place, name: &[u8]) {
        match place {
            Place::Partition(namespace) => {
                // The folder itself went or moved: whether the partition still exists is seen where it is listed.
                self.names |= name.is_empty();
                self.partitions.insert(namespace.clone());
            }
            Place::Namespaces => match std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()) {
                Some(namespace) => {
                    self.names = true;
                    self.partitions.insert(namespace);
                }
                None if name.starts_with(b"..") || name.is_empty() => self.everything = true,
                None => self.names = true,
            },
            Place::Tenants if !name.is_empty() => self.operator = true,
            Place::Root if !name.is_empty() && !name.starts_with(b"..") && name != b"namespaces" => self.operator = true,
            Place::Way(link) => self.everything |= name.is_empty() || link.as_encoded_bytes() == name,
            Place::Tenants | Place::Root => self.everything = true,
        }
    }
}

/// Why waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Something may have changed.
    Change,
    /// The time is over.
    Nothing,
    /// The waker was used.
    Waker,
}

/// Ears: the system's events, and the waker.
#[derive(Debug)]
pub(super) struct Watch {
    inotify: Option<Inotify>,
    woken: UnixStream,
    wake: UnixStream,
    /// Why there are no events (any more): then only looking helps.
    deaf: Option<String>,
}

impl Watch {
    pub(super) fn new() -> std::io::Result<Self> {
        let (inotify, deaf) = match Inotify::new() {
            Ok(inotify) => (Some(inotify), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self::with(inotify, deaf)
    }

    /// Ears that hear the waker alone.
    pub(super) fn deafened() -> std::io::Result<Self> {
        Self::with(None, Some("events are switched off".to_owned()))
    }

    fn with(inotify: Option<Inotify>, deaf: Option<String>) -> std::io::Result<Self> {
        let (woken, wake) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        wake.set_nonblocking(true)?;
        Ok(Self { inotify, woken, wake, deaf })
    }

    /// Why changes are not heard of everywhere.
    pub(super) fn deaf(&self) -> Option<&str> {
        self.deaf.as_deref()
    }

    /// Hears of changes in an open folder from now on.
    pub(super) fn add(&mut self, folder: BorrowedFd<'_>, place: Place) {
        let Some(inotify) = &mut self.inotify else { return };
        if let Err(error) = inotify.add(folder, place)
            && self.deaf.is_none()
        {
            self.deaf = Some(error.to_string());
        }
    }

    pub(super) fn waker(&self) -> std::io::Result<Waker> {
        let wake = self.wake.try_clone()?;
        // A full socket means that it is woken already.
        Ok(Waker::new(move || drop((&wake).write(&[1]))))
    }

    /// Waits until something changed and it is quiet again, or until a moment.
    pub(super) fn wait(&mut self, until: Instant, dirty: &mut Dirty) -> Heard {
        let mut first = None;
        loop {
            let now = Instant::now();
            let end = first.map_or(until, |first: Instant| (now + QUIET).min(first + PATIENCE));
            match self.hear(end.saturating_duration_since(now), dirty) {
                Heard::Change => first = first.or(Some(Instant::now())),
                Heard::Nothing if first.is_some() => return Heard::Change,
                other => return other,
            }
            if first.is_some_and(|first| first.elapsed() >= PATIENCE) {
                return Heard::Change;
            }
        }
    }

    fn hear(&mut self, patience: Duration, dirty: &mut Dirty) -> Heard {
        let timeout = Timespec::try_from(patience).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut fds = vec![PollFd::from_borrowed_fd(self.woken.as_fd(), PollFlags::IN)];
        fds.extend(self.inotify.as_ref().map(|inotify| PollFd::from_borrowed_fd(inotify.fd(), PollFlags::IN)));
        // An interrupted wait is a short one: the caller looks at the time again.
        let ready = poll(&mut fds, Some(&timeout)).unwrap_or(0);
        let woken = !fds.first().is_none_or(|fd| fd.revents().is_empty());
        drop(fds);
        if woken {
            let mut buffer = [0; 64];
            while self.woken.read(&mut buffer).is_ok_and(|read| read > 0) {}
            return Heard::Waker;
        }
        if ready == 0 {
            return Heard::Nothing;
        }
        if let Some(inotify) = &mut self.inotify {
            inotify.drain(dirty);
        }
        if dirty.is_empty() { Heard::Nothing } else { Heard::Change }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
