//! Threads that work in places come after those that answer calls. The system gives whoever has a processor a few milliseconds of it before others have theirs, even where
//! those only want to answer one call and wait again: as many places that scan bodies as there are processors would make every tenant's calls wait that long (S5).

use std::cell::Cell;

use rustix::process::{getpriority_process, setpriority_process};

/// By how much: such a thread gets a third of what one that answers calls gets where both always want a processor, and all of it where nobody else does.
const STEPS: i32 = 5;

thread_local! {
    static STEPPED_BACK: Cell<bool> = const { Cell::new(false) };
}

/// Lets this thread come after others, from now on: there is no way back without privileges. A system that does not permit it goes on as it is.
pub(super) fn step_back() {
    // Elsewhere priorities are the whole process's.
    if cfg!(target_os = "linux")
        && !STEPPED_BACK.replace(true)
        && let Ok(now) = getpriority_process(None)
    {
        let _ = setpriority_process(None, now.saturating_add(STEPS));
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn s5_a_thread_steps_back_once_and_alone() {
        let before = getpriority_process(None).unwrap();
        let there = thread::spawn(|| {
            step_back();
            step_back();
            getpriority_process(None).unwrap()
        });
        assert_eq!(there.join().unwrap(), (before + STEPS).min(19));
        assert_eq!(getpriority_process(None).unwrap(), before, "those that answer calls are where they were");
    }
}
