//! What waits for the disk of one region: a queue a stream, each with bounds and a reserve of its own (S11). Streams take turns.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bulkhead_tenancy::tenant::Tenant;
use tokio::sync::oneshot;

use crate::{refused::Refused, settings::Bounds};

/// The name of a stream's folder: a namespace, or one of those that are no namespace.
pub(crate) type StreamName = Arc<str>;

/// One record that waits.
pub(crate) struct Item {
    /// The inside of the JSON object.
    pub(crate) fields: Vec<u8>,
    /// Whose it is, for counting.
    pub(crate) tenant: Option<Arc<Tenant>>,
    /// Whoever waits for it to be accepted; none: best effort.
    pub(crate) waiting: Option<oneshot::Sender<Result<(), Refused>>>,
}

impl AsRef<[u8]> for Item {
    fn as_ref(&self) -> &[u8] {
        &self.fields
    }
}

impl Item {
    /// Whether whoever waited for it has given up: what it says is not so any more, and it must not be written.
    pub(crate) fn is_given_up(&self) -> bool {
        self.waiting.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    fn weight(&self) -> usize {
        // What it takes besides its bytes.
        self.fields.len() + 128
    }
}

/// The queues of one region.
pub(crate) struct Queues {
    bounds: Bounds,
    inner: Mutex<Inner>,
    filled: Condvar,
    idle: Condvar,
}

#[derive(Default)]
struct Inner {
    streams: HashMap<StreamName, Stream>,
    /// Streams that have something waiting, in the order of their turns.
    turns: VecDeque<StreamName>,
    bytes: usize,
    /// Whether the writer waits to be woken: to wake one who does not costs as much.
    asleep: bool,
    writing: bool,
    ended: bool,
}

#[derive(Default)]
struct Stream {
    items: VecDeque<Item>,
    bytes: usize,
}

/// What one stream may write in one turn, in bytes.
const TURN: usize = 256 << 10;
/// How many streams have their turn before those who wait are told.
pub(crate) const STREAMS: usize = 64;

impl Queues {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, inner: Mutex::default(), filled: Condvar::new(), idle: Condvar::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a record behind the others of its stream.
    ///
    /// # Errors
    /// There is no place for it. It is given back.
    pub(crate) fn push(&self, name: &StreamName, item: Item) -> Result<(), Item> {
        let weight = item.weight();
        let mut inner = self.inner();
        let Inner { streams, turns, bytes, ended, asleep, .. } = &mut *inner;
        let waiting = streams.get(name).map_or(0, |stream| stream.bytes);
        let own = if item.waiting.is_some() { self.bounds.stream } else { self.bounds.stream.saturating_sub(self.bounds.reserve) };
        let crowded = *bytes + weight > self.bounds.folder && waiting + weight > self.bounds.share;
        if *ended || waiting + weight > own || crowded {
            return Err(item);
        }
        let stream = streams.entry(Arc::clone(name)).or_default();
        if stream.items.is_empty() {
            turns.push_back(Arc::clone(name));
        }
        stream.items.push_back(item);
        stream.bytes += weight;
        *bytes += weight;
        let asleep = std::mem::take(asleep);
        drop(inner);
        if asleep {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// The next turns, once there are any; none when it is over and everything was taken.
    pub(crate) fn take(&self) -> Option<Vec<(StreamName, Vec<Item>)>> {
        let mut inner = self.inner();
        inner.writing = false;
        if inner.ended {
            self.idle.notify_all();
        }
        while inner.turns.is_empty() {
            if inner.ended {
                return None;
            }
            inner.asleep = true;
            inner = self.filled.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.writing = true;
        let mut taken = Vec::new();
        for _ in 0..inner.turns.len().min(STREAMS) {
            let Inner { streams, turns, bytes, .. } = &mut *inner;
            let Some(name) = turns.pop_front() else { break };
            let Some(stream) = streams.get_mut(&name) else { continue };
            let mut weight = 0;
            let mut items = Vec::new();
            while stream.items.front().is_some_and(|item| weight == 0 || weight + item.weight() <= TURN) {
                let Some(item) = stream.items.pop_front() else { break };
                weight += item.weight();
                items.push(item);
            }
            stream.bytes -= weight;
            *bytes -= weight;
            if stream.items.is_empty() {
                streams.remove(&name);
            } else {
                turns.push_back(Arc::clone(&name));
            }
            taken.push((name, items));
        }
        Some(taken)
    }

    /// Takes nothing more, and waits until everything that waits is written, but not for ever: a disk may hang.
    pub(crate) fn end(&self, patience: Duration) -> bool {
        let mut inner = self.inner();
        inner.ended = true;
        self.filled.notify_all();
        let waited = self.idle.wait_timeout_while(inner, patience, |inner| inner.writing || !inner.turns.is_empty());
        let (inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !inner.writing && inner.turns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(bytes: usize, must: bool) -> Item {
        Item { fields: vec![b'x'; bytes], tenant: None, waiting: must.then(|| oneshot::channel().0) }
    }

    #[test]
    fn s11_a_full_queue_is_its_own_streams_and_its_reserve_is_kept_for_what_must_be_written() {
        let queues = Queues::new(Bounds { stream: 4096, reserve: 1024, folder: 1 << 20, share: 512 });
        let (acme, globex): (StreamName, StreamName) = (Arc::from("tenant-acme"), Arc::from("tenant-globex"));
        while queues.push(&acme, item(100, false)).is_ok() {}
        assert!(queues.push(&acme, item(100, true)).is_ok(), "the reserve");
        while queues.push(&acme, item(100, true)).is_ok() {}
        assert!(queues.push(&globex, item(100, false)).is_ok());
    }

    #[test]
    fn s11_what_one_stream_waits_for_leaves_every_other_its_share() {
        let queues = Queues::new(Bounds { stream: 1 << 20, reserve: 0, folder: 8192, share: 1024 });
        let acme: StreamName = Arc::from("tenant-acme");
        while queues.push(&acme, item(1000, true)).is_ok() {}
        for other in 0..100 {
            assert!(queues.push(&Arc::from(format!("tenant-{other}")), item(500, true)).is_ok());
        }
    }

    #[test]
    fn streams_take_turns() {
        let queues = Queues::new(Bounds { stream: 8 << 20, ..Bounds::default() });
        let (acme, globex): (StreamName, StreamName) = (Arc::from("tenant-acme"), Arc::from("tenant-globex"));
        for _ in 0..40 {
            assert!(queues.push(&acme, item(30_000, true)).is_ok());
        }
        assert!(queues.push(&globex, item(100, true)).is_ok());
        let first = queues.take().unwrap();
        assert_eq!(first.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["tenant-acme", "tenant-globex"]);
        assert!(first[0].1.len() < 40);
        let mut taken = first[0].1.len();
        while taken < 40 {
            taken += queues.take().unwrap()[0].1.len();
        }
        assert!(!queues.end(Duration::ZERO), "what was taken last is still being written");
        assert!(queues.take().is_none() && queues.end(Duration::ZERO));
        assert!(queues.push(&acme, item(1, true)).is_err());
    }
}
