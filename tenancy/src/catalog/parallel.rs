//! The same work on many things, on every core.

use std::{num::NonZero, thread};

/// Fewer things than this are not worth a thread.
const WORTH_A_THREAD: usize = 64;

/// Does the work on each thing and returns what came of it, in the same order.
pub(crate) fn map<T: Send, U: Send>(things: Vec<T>, work: impl Fn(T) -> U + Sync) -> Vec<U> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    if things.len() < WORTH_A_THREAD || threads == 1 {
        return things.into_iter().map(work).collect();
    }
    let share = things.len().div_ceil(threads);
    let mut slots: Vec<(Option<T>, Option<U>)> = things.into_iter().map(|thing| (Some(thing), None)).collect();
    thread::scope(|scope| {
        for part in slots.chunks_mut(share) {
            let work = &work;
            scope.spawn(move || {
                for (thing, done) in part {
                    *done = thing.take().map(work);
                }
            });
        }
    });
    slots.into_iter().filter_map(|(_, done)| done).collect()
}
