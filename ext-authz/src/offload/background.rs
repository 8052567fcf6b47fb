//! Threads that work in places come after those that answer calls. The system gives whoever has a processor a few milliseconds of it before others have theirs, even where
//! those only want to answer one call and wait again: as many places that scan bodies as there are processors would make every tenant's calls wait that long (S5).

use std::{
    cell::Cell,
    thread,
    time::{Duration, Instant},
};

/// By how much: such a thread gets a third of what one that answers calls gets where both always want a processor, and all of it where nobody else does.
#[cfg(target_os = "linux")]
const STEPS: i32 = 5;

/// So long such a thread does small pieces of work before it rests.
const AT_A_TIME: Duration = Duration::from_micros(500);

/// How long it rests: to sleep at all is what counts. One that only yields is taken, by some systems, to have used all of its time.
const REST: Duration = Duration::from_micros(1);

/// What a rest may take longer, in nanoseconds; it is 50 us otherwise.
#[cfg(target_os = "linux")]
const SLACK: u64 = 1_000;

thread_local! {
    static STEPPED_BACK: Cell<bool> = const { Cell::new(false) };
}

/// Lets this thread come after others, from now on: there is no way back without privileges. A system that does not permit it goes on as it is, and so does one
/// whose priorities are the whole process's.
pub(super) fn step_back() {
    if !STEPPED_BACK.replace(true) {
        #[cfg(target_os = "linux")]
        lower();
    }
}

#[cfg(target_os = "linux")]
fn lower() {
    use rustix::process::{getpriority_process, setpriority_process};
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(SLACK));
    if let Ok(now) = getpriority_process(None) {
        let _ = setpriority_process(None, now.saturating_add(STEPS));
    }
}

/// Rests if this thread has worked for long enough since a moment: whoever was woken meanwhile to answer a call has the processor then, and not when the system takes it
/// away. Gives the moment since which it works.
pub(super) fn give_way(since: Instant) -> Instant {
    if since.elapsed() < AT_A_TIME {
        return since;
    }
    thread::sleep(REST);
    Instant::now()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::getpriority_process;

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
