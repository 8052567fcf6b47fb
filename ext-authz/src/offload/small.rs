//! Small bodies, small events and short paths are read where the request is: the way to another thread and back costs more than to read them, and takes a
//! place that a large one needs. What looks small may cost much, so the steps that may be taken so are few; and there may be very many of it, so each tenant has a purse
//! of time for it. What the steps or the purse do not suffice for is read from its start in one of the tenant's places (S5).

use bulkhead_content::{Budget, Filter};

use super::{Crowd, Hold, Offload, Turn, Undone};
use crate::purse::spend;

/// The most steps that are taken at once, on a thread that others' calls wait for: one to two tenths of a millisecond, and as many as 4 KiB of ordinary
/// content take.
pub const AT_ONCE: u64 = 100_000;
/// The most that is tried to be read so, in bytes.
const SMALL: usize = 4 << 10;
/// The same where there are patterns: a text can be written so that each byte of it takes a pattern hundreds of steps.
const SMALL_FOR_PATTERNS: usize = 256;

/// Whether a filter is tried at once on so many bytes; `coded`: they are to be undone first.
///
/// Patterns are not counted by what they take: large ones can make a small body cost as much as a large one, and would hold up every tenant's
/// calls (S5).
#[must_use]
pub fn is_small(filter: &Filter, coded: bool, bytes: usize) -> bool {
    let most = if filter.topics().have_patterns() { SMALL_FOR_PATTERNS } else { SMALL };
    !coded && bytes <= most && filter.topics().are_light()
}

impl Offload {
    /// Reads what a tenant sent, within what it holds: at once if it is small, takes no more than [`AT_ONCE`] and there is time left for it, else in one of the
    /// tenant's places and until its turn's end. `work` gives up what it did when its budget is spent, and is then begun anew.
    ///
    /// # Errors
    /// The tenant has too much in progress, or the work was not done in time.
    pub async fn read<T: Send + 'static>(
        &self,
        turn: Turn<'_>,
        small: bool,
        hold: Hold,
        work: impl Fn(&Budget<'_>) -> T + Send + 'static,
    ) -> Result<T, Undone> {
        if small && let Ok(Some(done)) = spend(hold.at_once(), self.shared(), || at_once(&work, &hold)) {
            return Ok(done);
        }
        let turn = turn.of_small_work(small);
        let until = turn.until.into_std();
        self.run_in(turn, move || work(&Budget::default().until(until).giving_way().within(&hold))).await
    }
}

impl Turn<'_> {
    /// The same turn. What is small needs a place only now and then, and waits for it: a moment before it would have been done.
    #[must_use]
    pub fn of_small_work(self, small: bool) -> Self {
        if small { Self { crowd: Crowd::Queued, ..self } } else { self }
    }
}

/// What came of it, if that took few steps.
fn at_once<T>(work: &impl Fn(&Budget<'_>) -> T, hold: &Hold) -> Option<T> {
    let budget = Budget::new(AT_ONCE).within(hold);
    let done = work(&budget);
    (budget.spent() < AT_ONCE).then_some(done)
}
