//! One part for all tests that run at the same time: the first to want it starts it, and the last to let go of it stops it.
//!
//! ```no_run
//! # use bulkhead_tests::{shared::Shared, world::World};
//! static WORLD: Shared<World> = Shared::new();
//!
//! # async fn example() {
//! let world = WORLD.get(World::start).await;
//! # }
//! ```
//!
//! Only for tests that leave it as they found it. The doubles in it run on a runtime that outlives each single test.

use std::{
    future::Future,
    panic::resume_unwind,
    sync::{Arc, LazyLock, Weak},
};

use tokio::{runtime::Runtime, sync::Mutex, task::spawn_blocking};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// A part that tests share while they overlap; no process of it outlives them, as a plain `static` would let it.
pub struct Shared<T>(Mutex<Weak<T>>);

impl<T: Send + Sync + 'static> Shared<T> {
    /// Nothing yet: for a `static`.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::const_new(Weak::new()))
    }

    /// The part that is in use, else a new one.
    ///
    /// # Panics
    /// Where it does not start.
    pub async fn get<F: Future<Output = T>>(&self, start: impl FnOnce() -> F + Send + 'static) -> Arc<T> {
        let mut running = self.0.lock().await;
        if let Some(part) = running.upgrade() {
            return part;
        }
        let started = spawn_blocking(|| RUNTIME.block_on(start())).await;
        let part = Arc::new(started.unwrap_or_else(|failed| resume_unwind(failed.into_panic())));
        *running = Arc::downgrade(&part);
        part
    }
}

impl<T: Send + Sync + 'static> Default for Shared<T> {
    fn default() -> Self {
        Self::new()
    }
}
