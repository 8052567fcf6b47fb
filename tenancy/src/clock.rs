//! The clock, as a parameter: whoever decides about time is handed one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// What time it is, in microseconds since 1970.
pub trait Clock: Send + Sync + 'static {
    /// The moment, in microseconds since 1970.
    fn now_us(&self) -> u64;

    /// The moment in whole seconds since 1970, as `exp` and `nbf` have it.
    fn now_s(&self) -> i64 {
        i64::try_from(self.now_us() / 1_000_000).unwrap_or(i64::MAX)
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_us(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

/// A clock that stands still until it is moved: simulations and tests.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that shows a moment, in microseconds since 1970.
    #[must_use]
    pub fn at_us(now: u64) -> Self {
        Self(Arc::new(AtomicU64::new(now)))
    }

    /// Moves it forward.
    pub fn advance_us(&self, by: u64) {
        self.0.fetch_add(by, Ordering::SeqCst);
    }

    /// Sets it, backwards too: clocks jump.
    pub fn set_us(&self, now: u64) {
        self.0.store(now, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
