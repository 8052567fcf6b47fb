//! How many streams may be open at a time: each takes two descriptors, and to close one and open it anew for its next record costs more than to write
//! that record.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::queue::STREAMS;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The descriptors of one open stream: its current file and its head.
const OF_A_STREAM: u64 = 2;
/// The most descriptors that are left for all else: more than a service's doors let in at a time (`bulkhead_doors::http::Guests`).
const ELSE: u64 = 6 * 1024;
/// The most that is of use: the streams of ten thousand tenants.
const MOST: u64 = 16 * 1024;

/// Raises the process's soft limit to its hard one, and gives how many streams may be open then: half of the descriptors are for all else,
/// but no more than are of use there. The soft limit stands at 1024 for the sake of `select`, which nothing here calls.
#[must_use]
pub fn streams() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    within(if raised.is_ok() { maximum } else { current }.unwrap_or(u64::MAX))
}

/// The streams that may be open in this process, shared by its writers.
#[derive(Debug)]
pub(crate) struct Room {
    streams: usize,
    writers: AtomicUsize,
}

impl Room {
    pub(crate) fn of(streams: usize) -> Self {
        Self { streams, writers: AtomicUsize::new(0) }
    }

    /// One more writer.
    pub(crate) fn enter(&self) {
        self.writers.fetch_add(1, Ordering::Relaxed);
    }

    /// One writer less.
    pub(crate) fn leave(&self) {
        self.writers.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many streams each writer keeps open when it has written: so many less than its part as it may open before it looks again.
    pub(crate) fn of_each(&self) -> usize {
        (self.streams / self.writers.load(Ordering::Relaxed).max(1)).saturating_sub(STREAMS).max(1)
    }
}

fn within(descriptors: u64) -> usize {
    let ours = descriptors - (descriptors / 2).min(ELSE);
    usize::try_from((ours / OF_A_STREAM).clamp(1, MOST)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_descriptors_are_for_all_else_as_far_as_that_is_of_use() {
        assert_eq!(within(1024), 256);
        assert_eq!(within(20_000), 6928);
        assert_eq!(within(0), 1, "a stream is written all the same");
        assert_eq!(within(u64::MAX), 16 * 1024);
    }

    #[test]
    fn writers_share_them() {
        let room = Room::of(300);
        assert_eq!(room.of_each(), 300 - STREAMS);
        (0..3).for_each(|_| room.enter());
        assert_eq!(room.of_each(), 100 - STREAMS);
        room.leave();
        assert_eq!(room.of_each(), 150 - STREAMS);
        (0..9).for_each(|_| room.enter());
        assert_eq!(room.of_each(), 1, "a stream is written all the same");
    }
}
