//! What reading one body may take. Patterns that a tenant wrote and a document that somebody sent must not keep a processor, or memory, longer
//! than that (S5): whoever reads counts as it goes, and stops where the count, the time or the room is over.

use std::{
    cell::Cell,
    thread,
    time::{Duration, Instant},
};

use crate::Unscannable;

mod list;

pub(crate) use list::List;

/// Who gives memory, in bytes. What was taken is given back by its owner, when the work is over.
pub trait Room {
    /// Takes so many bytes more; false: there are none.
    fn take(&self, bytes: usize) -> bool;
}

/// The steps, the time and the room of one piece of work. A step is a nanosecond or two.
pub struct Budget<'r> {
    steps: u64,
    left: Cell<u64>,
    until: Option<Instant>,
    /// Since when it has the processor, where others are to have it in between.
    works_since: Cell<Option<Instant>>,
    /// Steps since the clock was looked at.
    since: Cell<u64>,
    room: Option<&'r dyn Room>,
    /// The bytes that are held now.
    held: Cell<usize>,
    /// The most bytes at a time until now: so many were taken.
    peak: Cell<usize>,
}

/// Between two looks at the clock, in steps: less than a millisecond.
const INTERVAL: u64 = 1 << 18;

/// So long it works that gives way, before it rests.
const AT_A_TIME: Duration = Duration::from_micros(500);

/// So long it rests. To sleep at all is what counts: one that only yields is taken, by some systems, to have used all of its time.
const REST: Duration = Duration::from_micros(1);

impl<'r> Budget<'r> {
    /// The most steps of one body: more than ten times what the largest one of ordinary content takes, some seconds of a processor.
    pub const MAX_STEPS: u64 = 1 << 31;

    /// So many steps, with no end in time and all the room that there is.
    #[must_use]
    pub const fn new(steps: u64) -> Self {
        Self {
            steps,
            left: Cell::new(steps),
            until: None,
            works_since: Cell::new(None),
            since: Cell::new(0),
            room: None,
            held: Cell::new(0),
            peak: Cell::new(0),
        }
    }

    /// The same until a moment: nobody waits any more for what is found later.
    #[must_use]
    pub const fn until(self, moment: Instant) -> Self {
        Self { until: Some(moment), ..self }
    }

    /// The same, and other threads have the processor in between, if any wait for it: a system lets whoever works go on for milliseconds.
    #[must_use]
    pub fn giving_way(self) -> Self {
        Self { works_since: Cell::new(Some(Instant::now())), ..self }
    }

    /// The same within a room.
    #[must_use]
    pub fn within(self, room: &'r dyn Room) -> Self {
        Self { room: Some(room), ..self }
    }

    /// The steps that were taken.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.steps - self.left.get()
    }

    /// The most bytes that were held at a time.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.peak.get()
    }

    /// Takes steps, before they are done.
    pub(crate) fn spend(&self, steps: usize) -> Result<(), Unscannable> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        let left = self.left.get().checked_sub(steps);
        self.left.set(left.unwrap_or_default());
        if left.is_none() {
            return Err(Unscannable::Effort);
        }
        let since = self.since.get().saturating_add(steps);
        self.since.set(since);
        if since >= INTERVAL { self.look() } else { Ok(()) }
    }

    /// Looks at the clock.
    pub(crate) fn look(&self) -> Result<(), Unscannable> {
        self.since.set(0);
        if self.works_since.get().is_some_and(|since| since.elapsed() >= AT_A_TIME) {
            thread::sleep(REST);
            self.works_since.set(Some(Instant::now()));
        }
        let over = self.until.is_some_and(|until| Instant::now() >= until);
        if over { Err(Unscannable::Effort) } else { Ok(()) }
    }

    /// Takes room for bytes, until they are released or the work ends.
    ///
    /// # Errors
    /// `Crowded`: there is none.
    pub fn hold(&self, bytes: usize) -> Result<(), Unscannable> {
        let now = self.held.get().saturating_add(bytes);
        self.held.set(now);
        let more = now.saturating_sub(self.peak.get());
        if more > 0 && self.room.is_some_and(|room| !room.take(more)) {
            return Err(Unscannable::Crowded);
        }
        self.peak.set(self.peak.get() + more);
        Ok(())
    }

    /// Has no use for so many bytes any more. What was taken from the room stays for what comes next.
    pub(crate) fn release(&self, bytes: usize) {
        self.held.set(self.held.get().saturating_sub(bytes));
    }
}

impl Default for Budget<'_> {
    /// As many steps as any body may take.
    fn default() -> Self {
        Self::new(Self::MAX_STEPS)
    }
}
