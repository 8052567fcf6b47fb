//! One tenant's way to the places. Whoever has a place does one piece of the tenant's work after another in it: to hand each over to a thread of its own, woken for it, costs as much as to
//! verify a signature, and it is the threads that answer calls that do the handing over.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Room, background};

/// A tenant's lane.
pub(super) struct Lane {
    pub(super) waiting: Arc<Semaphore>,
    /// Those that wait or run after they were queued.
    pub(super) turns: Arc<Semaphore>,
    pub(super) queue: Arc<Semaphore>,
    running: Arc<Semaphore>,
    /// How many of the tenant's places there are.
    each: usize,
    /// How many pieces each that works may find waiting before another begins.
    ahead: usize,
    line: Mutex<VecDeque<Arc<Place>>>,
}

type Piece = Box<dyn FnOnce() + Send>;

/// A place in the line, empty once its piece was taken.
struct Place(Mutex<Option<Piece>>);

/// A piece of work that waits. Nobody does it once this is dropped.
pub(super) struct Waiting(Arc<Place>);

impl Lane {
    pub(super) fn new(room: Room) -> Self {
        let Room { each, waiting, queued, ahead, .. } = room;
        let [waiting, turns, queue, running] = [waiting, waiting, queued, each].map(|room| Arc::new(Semaphore::new(room)));
        Self { waiting, turns, queue, running, each, ahead, line: Mutex::default() }
    }

    /// Has a piece of work done, after those that came before.
    pub(super) fn join(self: &Arc<Self>, places: &Arc<Semaphore>, piece: impl FnOnce() + Send + 'static) -> Waiting {
        let place = Arc::new(Place(Mutex::new(Some(Box::new(piece)))));
        let waiting = {
            let mut line = self.line();
            if line.len() == line.capacity() {
                line.retain(|place| !place.is_empty());
            }
            line.push_back(Arc::clone(&place));
            line.len()
        };
        let working = self.each - self.running.available_permits().min(self.each);
        if waiting > working * self.ahead {
            self.work(places);
        }
        Waiting(place)
    }

    /// Works, if the tenant has a place left; a place of all is waited for.
    fn work(self: &Arc<Self>, places: &Arc<Semaphore>) {
        if let Ok(one) = Arc::clone(&self.running).try_acquire_owned() {
            self.work_in(one, places);
        }
    }

    fn work_in(self: &Arc<Self>, own: OwnedSemaphorePermit, places: &Arc<Semaphore>) {
        let (lane, places) = (Arc::clone(self), Arc::clone(places));
        match Arc::clone(&places).try_acquire_owned() {
            Ok(any) => drop(tokio::task::spawn_blocking(move || lane.work_off(own, any, &places))),
            Err(_) => drop(tokio::spawn(async move {
                // Nobody closes it.
                if let Ok(any) = Arc::clone(&places).acquire_owned().await {
                    tokio::task::spawn_blocking(move || lane.work_off(own, any, &places));
                }
            })),
        }
    }

    /// Does what waits, piece by piece. Where others wait for a place of all, this one is theirs after each piece.
    fn work_off(self: Arc<Self>, mut own: OwnedSemaphorePermit, mut any: OwnedSemaphorePermit, places: &Arc<Semaphore>) {
        background::step_back();
        let mut since = Instant::now();
        loop {
            while let Some(piece) = self.next() {
                // It ends without an answer: whoever waits for one knows.
                let _ = catch_unwind(AssertUnwindSafe(piece));
                since = background::give_way(since);
                if places.available_permits() == 0 && !self.line().is_empty() {
                    drop(any);
                    match Arc::clone(places).try_acquire_owned() {
                        Ok(again) => any = again,
                        Err(_) => return self.work_in(own, places),
                    }
                }
            }
            drop(own);
            // Whoever came after the last look found no place.
            if self.line().is_empty() {
                return;
            }
            let Ok(one) = Arc::clone(&self.running).try_acquire_owned() else { return };
            own = one;
        }
    }

    /// The next piece that somebody waits for.
    fn next(&self) -> Option<Piece> {
        loop {
            let place = self.line().pop_front()?;
            if let Some(piece) = place.take() {
                return Some(piece);
            }
        }
    }

    fn line(&self) -> MutexGuard<'_, VecDeque<Arc<Place>>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn take(&self) -> Option<Piece> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}
