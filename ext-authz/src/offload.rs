//! Work that takes processor time because of what a tenant wrote or sent (signatures, rules, scans of bodies, schemas): done off the I/O
//! threads, in a bounded number of places of which no tenant has more than its part, so that one tenant's slow rule costs another a wait of
//! one place's turn at the most (S5). Nothing stops work that has begun: each piece has a budget of its own that ends it. What it holds of
//! bodies is bounded in bytes, too.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
};

use bulkhead_content::Unscannable;
use bulkhead_tenancy::name::TenantUid;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{Instant, timeout_at},
};

use self::{held::Held, lane::Lane};
use crate::{
    purse::{self, Allowance, Purse},
    verdict::{Denial, Reason},
};

mod background;
mod held;
mod lane;
pub mod small;
#[cfg(test)]
mod tests;

pub use held::Hold;

/// The places of the process where the machine has fewer processors: four are the least of which a quarter is one.
const LEAST_PLACES: usize = 4;
/// How many pieces of a tenant's work wait or run at a time.
const WAITING: usize = 64;
/// How many pieces of bodies and events of a tenant wait until they are among those. What they hold is bounded in bytes with all else that it holds
/// ([`Hold`]).
const QUEUED: usize = 1024;

/// How much is done at a time.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Pieces of work that run at a time.
    pub places: usize,
    /// Of these, one tenant's.
    pub each: usize,
    /// Pieces of one tenant's work that wait or run, of each of both kinds ([`Crowd`]).
    pub waiting: usize,
    /// Pieces that wait until they are among those.
    pub queued: usize,
    /// How many pieces each of a tenant's places may find waiting before another is taken: of those that cost less than to wake a thread for them.
    pub ahead: usize,
    /// Time of the threads that others' calls wait for, for one tenant's small work.
    pub at_once: Allowance,
}

/// What becomes of work where as much of its tenant's is in progress as may be. The two kinds take nothing from each other but the time of the tenant's
/// places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowd {
    /// It is refused at once: whoever asked can ask again.
    Refused,
    /// It waits for its turn: it is a part of what is under way, which nobody can ask for again.
    Queued,
}

/// Whose work it is, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct Turn<'t> {
    /// The tenant's uid.
    pub tenant: &'t TenantUid,
    /// When nobody waits for it any more.
    pub until: Instant,
    /// In a crowd.
    pub crowd: Crowd,
}

/// The places, and who has them.
pub struct Offload {
    room: Room,
    places: Arc<Semaphore>,
    /// By uid. A lane lives as long as somebody is in it.
    lanes: Mutex<HashMap<TenantUid, Weak<Lane>>>,
    held: Held,
    /// The same time, for all tenants together.
    at_once: Arc<Purse>,
}

/// Why work was not done. Nothing may be concluded from work that was not done: whoever asked for it denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    /// Too much of the tenant's own work waits already.
    #[error("too much of the tenant's work is in progress")]
    Crowded,
    /// Its turn, or its end, did not come in time. Work that began goes on in its place until its own budget ends it.
    #[error("the work was not done in time")]
    Late,
    /// It panicked: a fault of ours.
    #[error("the work broke: this is a fault of ours")]
    Broke,
}

impl From<Undone> for Denial {
    fn from(undone: Undone) -> Self {
        Self { retry_after: Some(1), ..Self::new(Reason::Unavailable, undone.to_string()) }
    }
}

impl Default for Offload {
    /// A place for each processor.
    fn default() -> Self {
        Self::with_places(thread::available_parallelism().map_or(LEAST_PLACES, usize::from))
    }
}

impl Offload {
    /// That many places, at least four, and a quarter of them for each tenant.
    #[must_use]
    pub fn with_places(places: usize) -> Self {
        let places = places.max(LEAST_PLACES);
        Self::new(Room {
            places,
            each: places / LEAST_PLACES,
            waiting: WAITING,
            queued: QUEUED,
            ahead: 0,
            at_once: Allowance::of_small_work(),
        })
    }

    /// Places as they are given.
    #[must_use]
    pub fn new(room: Room) -> Self {
        let at_once = Arc::new(Purse::full(Allowance::of_all()));
        Self { room, places: Arc::new(Semaphore::new(room.places)), lanes: Mutex::default(), held: Held::new(room.at_once), at_once }
    }

    /// The same places, with a purse that all tenants spend from who do something at once, here or elsewhere.
    #[must_use]
    pub fn sharing(self, at_once: Arc<Purse>) -> Self {
        Self { at_once, ..self }
    }

    /// That purse.
    #[must_use]
    pub fn shared(&self) -> &Arc<Purse> {
        &self.at_once
    }

    /// Does a tenant's small work at once, on a thread that others' calls wait for, while it and all together have time left for that; else gives it
    /// back, to be done in a place.
    ///
    /// # Errors
    /// The work, undone.
    pub fn at_once<T, W: FnOnce() -> T>(&self, tenant: &TenantUid, work: W) -> Result<T, W> {
        purse::spend(&self.held.of(tenant).at_once, &self.at_once, work)
    }

    /// Does a tenant's work in one of its places, and gives what came of it. In a crowd it is refused.
    ///
    /// # Errors
    /// The tenant has too much in progress, or the work was not done until `until`.
    pub async fn run<T: Send + 'static>(
        &self,
        tenant: &TenantUid,
        until: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Undone> {
        self.run_in(Turn { tenant, until, crowd: Crowd::Refused }, work).await
    }

    /// The same in a turn.
    ///
    /// # Errors
    /// The same.
    pub async fn run_in<T: Send + 'static>(
        &self,
        Turn { tenant, until, crowd }: Turn<'_>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Undone> {
        let lane = self.lane(tenant);
        let waiting = match crowd {
            Crowd::Refused => free(&lane.waiting)?,
            Crowd::Queued => {
                let _queued = free(&lane.queue)?;
                place(&lane.turns, until).await?
            }
        };
        let (answer, answered) = oneshot::channel();
        // Its room goes with the work, not with the request that waits for it.
        let work = move || {
            let done = work();
            drop(waiting);
            // Perhaps nobody waits any more.
            let _ = answer.send(done);
        };
        let _waiting = lane.join(&self.places, work);
        timeout_at(until, answered).await.map_err(|_| Undone::Late)?.map_err(|_| Undone::Broke)
    }

    /// Takes room for a tenant's body. It is to go with the work that reads it.
    ///
    /// # Errors
    /// The tenant, or all together, hold too many bytes.
    pub fn hold(&self, tenant: &TenantUid, bytes: usize) -> Result<Hold, Unscannable> {
        self.held.take(tenant, bytes)
    }

    fn lane(&self, tenant: &TenantUid) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(tenant).and_then(Weak::upgrade) {
            return lane;
        }
        make_room(&mut lanes, |lane| lane.strong_count() > 0);
        let lane = Arc::new(Lane::new(self.room));
        lanes.insert(tenant.clone(), Arc::downgrade(&lane));
        lane
    }
}

/// Drops what nobody needs any more before the map would grow for a new one. It has room for as many again then: so whoever adds hardly ever looks at all.
fn make_room<T>(map: &mut HashMap<TenantUid, T>, needed: impl Fn(&T) -> bool) {
    if map.len() == map.capacity() {
        map.retain(|_, one| needed(one));
        map.reserve(map.len().max(1));
    }
}

#[cfg(test)]
impl Offload {
    /// A tenant that has spent its time of the threads that others' calls wait for.
    pub(crate) fn exhaust(&self, tenant: &TenantUid) {
        self.held.of(tenant).at_once.pay(std::time::Duration::from_secs(3600), std::time::Instant::now());
    }

    /// One of a tenant's pieces of work, that does nothing until it is dropped.
    pub(crate) fn idle(&self, tenant: &TenantUid) -> impl Sized + use<> {
        let lane = self.lane(tenant);
        let waiting = Arc::clone(&lane.waiting).try_acquire_owned().unwrap();
        (lane, waiting)
    }

    /// How many pieces of a tenant's work wait until they may be among those that wait or run.
    pub(crate) fn queued(&self, tenant: &TenantUid) -> usize {
        self.room.queued - self.lane(tenant).queue.available_permits()
    }

    /// How many more pieces of a tenant's work may wait or run.
    pub(crate) fn room_of(&self, tenant: &TenantUid) -> usize {
        self.lane(tenant).waiting.available_permits()
    }
}

fn free(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Undone> {
    Arc::clone(places).try_acquire_owned().map_err(|_| Undone::Crowded)
}

async fn place(places: &Arc<Semaphore>, until: Instant) -> Result<OwnedSemaphorePermit, Undone> {
    let taken = timeout_at(until, Arc::clone(places).acquire_owned()).await.map_err(|_| Undone::Late)?;
    // Nobody closes it.
    taken.map_err(|_| Undone::Broke)
}
