//! One piece of work for everybody who needs its outcome now: of a hundred requests with one new token, one verifies it.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OnceCell;

/// Work on its way, by what it is about.
pub(super) struct Flights<K, V>(Mutex<HashMap<K, Arc<OnceCell<V>>>>);

impl<K: Copy + Eq + Hash, V: Clone> Flights<K, V> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// The outcome of `work`, which is done once for all who ask meanwhile. Who does it may stop waiting: the next one begins anew. An error
    /// is of whoever met it; the next one tries for itself.
    pub(super) async fn join<E>(&self, about: K, work: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        let seat = self.seat(about);
        seat.cell.get_or_try_init(|| work).await.cloned()
    }

    fn seat(&self, about: K) -> Seat<'_, K, V> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = Arc::clone(flights.entry(about).or_default());
        Seat { flights: self, about, cell }
    }

    /// How much work is on its way.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// A share in one piece of work. The last one to leave, however it leaves, clears it away: an outcome is for those who were there, and what
/// lasts is kept elsewhere.
struct Seat<'a, K: Eq + Hash, V> {
    flights: &'a Flights<K, V>,
    about: K,
    cell: Arc<OnceCell<V>>,
}

impl<K: Eq + Hash, V> Drop for Seat<'_, K, V> {
    fn drop(&mut self) {
        let mut flights = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Two: the map's and this one. More can only come under the lock.
        if Arc::strong_count(&self.cell) == 2 {
            flights.remove(&self.about);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn work_is_done_once_for_all_who_wait_and_nothing_is_left_of_it() {
        let (flights, done, gate) = (Flights::<u8, usize>::new(), AtomicUsize::new(0), Semaphore::new(0));
        let work = || async {
            gate.acquire().await.unwrap().forget();
            Ok::<_, ()>(done.fetch_add(1, Ordering::SeqCst))
        };
        let asked = futures::future::join_all((0..100).map(|_| flights.join(1, work())));
        let (outcomes, ()) = tokio::join!(asked, async { gate.add_permits(1) });
        assert!(outcomes.iter().all(|outcome| *outcome == Ok(0)));
        assert_eq!(flights.len(), 0);
        gate.add_permits(1);
        assert_eq!(flights.join(1, work()).await, Ok(1), "an outcome is not kept");
    }

    #[tokio::test]
    async fn who_stops_waiting_stops_nobody_else() {
        let (flights, gate) = (Flights::<u8, u8>::new(), Semaphore::new(0));
        let mut first = Box::pin(flights.join(1, std::future::pending::<Result<u8, ()>>()));
        assert!(futures::poll!(&mut first).is_pending());
        let second = flights.join(1, async {
            gate.acquire().await.unwrap().forget();
            Ok::<_, ()>(7)
        });
        let mut second = Box::pin(second);
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        gate.add_permits(1);
        assert_eq!(second.await, Ok(7));
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn an_error_is_nobody_elses() {
        let flights = Flights::<u8, u8>::new();
        let (one, two) = tokio::join!(flights.join(1, async { Err("late") }), flights.join(1, async { Ok::<_, &str>(2) }));
        assert_eq!((one, two), (Err("late"), Ok(2)));
        assert_eq!(flights.len(), 0);
    }
}
