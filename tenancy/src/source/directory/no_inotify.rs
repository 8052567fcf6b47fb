//! Where the system has no inotify, nothing is heard, and the folder is looked at often instead.

use std::{io, os::fd::BorrowedFd};

use super::watch::{Dirty, Place};

/// No events.
#[derive(Debug)]
pub(super) struct Inotify(std::convert::Infallible);

impl Inotify {
    pub(super) fn new() -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no inotify"))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }

    pub(super) fn add(&mut self, _: BorrowedFd<'_>, _: Place) -> io::Result<()> {
        match self.0 {}
    }

    pub(super) fn drain(&mut self, _: &mut Dirty) {
        match self.0 {}
    }
}
