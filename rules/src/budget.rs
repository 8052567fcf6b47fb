//! What one evaluation may spend: steps, so that a rule's answer does not depend on what else the machine does, and processor time, for
//! steps that take long. Both are this thread's own: another tenant's load is not billed to this rule.

use std::{cell::Cell, num::NonZeroU32, sync::Once, time::Duration};

use regorus::utils::limits::{ExecutionTimerConfig, TimeSource, set_fallback_execution_timer_config, set_time_source};
use rustix::time::{ClockId, clock_gettime};

/// The steps of one evaluation. A rule that looks at a few roles takes some dozens; a statement or a value is a few.
pub(crate) const STEPS: u32 = 100_000;
/// The processor time of one evaluation: a step that makes a large value takes longer than others.
const TIME: Duration = Duration::from_millis(50);
/// How many steps lie between two looks at what was spent: a look costs as much as some steps.
const INTERVAL: u32 = 50;

thread_local! {
    static LOOKS: Cell<u32> = const { Cell::new(0) };
}

/// What regorus takes for a clock. It looks once when an evaluation begins, then after each [`INTERVAL`].
struct Spent;

impl TimeSource for Spent {
    fn now(&self) -> Option<Duration> {
        let looks = LOOKS.get().saturating_add(1);
        LOOKS.set(looks);
        if looks > STEPS / INTERVAL {
            return Some(Duration::MAX);
        }
        Some(processor_time())
    }
}

/// How long this thread has had a processor: that it had none is others' load, and on nobody's bill.
#[must_use]
pub fn processor_time() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(spent.tv_sec).unwrap_or(u64::MAX), u32::try_from(spent.tv_nsec).unwrap_or(0))
}

/// Sets the limits of every evaluation of this process, once. Without this regorus would have no clock, and no limit.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // It fails only where somebody has set another; a test holds that ours is the one that counts.
        let _ = set_time_source(&Spent);
        let check_interval = NonZeroU32::new(INTERVAL).unwrap_or(NonZeroU32::MIN);
        set_fallback_execution_timer_config(Some(ExecutionTimerConfig { limit: TIME, check_interval }));
    });
}

/// Begins anew on this thread.
pub(crate) fn begin() {
    LOOKS.set(0);
}

/// Whether the evaluation that ended on this thread spent all its steps.
pub(crate) fn is_spent() -> bool {
    LOOKS.get() > STEPS / INTERVAL
}
