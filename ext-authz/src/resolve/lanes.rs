//! Who may look a name up now. A lookup occupies a thread of the system's until it ends, which a name whose servers hang puts off: such names go by a lane of
//! their own, so that they hold up their own tenant's and not everybody's (S4, S5).

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lookups of one tenant at a time; of one whose last took long, one alone.
pub(super) const OF_TENANT: u32 = 2;
/// Names of one tenant that wait for their lookup: as many as it may have, and those that its contract had before.
const WAITING: usize = 128;
/// Lookups that take long, of all tenants together, and those of which that is not known. With those of keys (128) they are fewer than tokio has threads for.
const SLOW: usize = 192;
const QUICK: usize = 64;
/// What takes longer takes long.
const LONG: Duration = Duration::from_secs(1);

/// The places of all.
pub(super) struct Lanes {
    quick: Semaphore,
    slow: Semaphore,
}

/// One tenant's.
pub(super) struct Share {
    own: Semaphore,
    waiting: Arc<Semaphore>,
    is_slow: AtomicBool,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { quick: Semaphore::new(QUICK), slow: Semaphore::new(SLOW) }
    }
}

impl Default for Share {
    fn default() -> Self {
        Self { own: Semaphore::new(OF_TENANT as usize), waiting: Arc::new(Semaphore::new(WAITING)), is_slow: AtomicBool::new(false) }
    }
}

impl Share {
    /// A place among those of the tenant that wait. None: too many do.
    pub(super) fn wait(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.waiting).try_acquire_owned().ok()
    }
}

impl Lanes {
    /// Looks up when it is the tenant's turn; none only if nobody looks up any more.
    pub(super) async fn look<T>(&self, share: &Share, lookup: impl Future<Output = T>) -> Option<T> {
        let slow = share.is_slow.load(Ordering::Relaxed);
        let _own = share.own.acquire_many(if slow { OF_TENANT } else { 1 }).await.ok()?;
        let mut lookup = pin!(lookup);
        // The tenant may have been found to be slow while this one waited.
        let slow = share.is_slow.load(Ordering::Relaxed);
        let place = if slow { &self.slow } else { &self.quick }.acquire().await.ok()?;
        if let Ok(found) = tokio::time::timeout(LONG, &mut lookup).await {
            share.is_slow.store(false, Ordering::Relaxed);
            return Some(found);
        }
        share.is_slow.store(true, Ordering::Relaxed);
        // Where the slow lane has no room either, it stays in this one.
        let _place = match self.slow.try_acquire() {
            Ok(slower) if !slow => {
                drop(place);
                slower
            }
            _ => place,
        };
        Some(lookup.await)
    }
}
