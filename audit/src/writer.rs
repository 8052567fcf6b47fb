//! The writer of one region's folder: a thread of its own, so that a disk that is slow or full holds up nobody of another region.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use bulkhead_tenancy::{clock::Clock, tenant::Tenant};

use crate::{
    descriptors::Room,
    file::{Closed, Disk, Files, Left, Writing},
    home::Home,
    names::Names,
    queue::{Item, Queues, StreamName},
    refused::Refused,
    settings::{Settings, Sync},
};

/// What became of records, for counting: `written`, `merged`, `lost`, `refused`.
pub type Count = Arc<dyn Fn(Option<&Tenant>, &'static str, u64) + Send + std::marker::Sync>;

/// How often the disk is synced under [`Sync::Batch`], and a folder that failed is tried again.
const SECOND: Duration = Duration::from_secs(1);
/// How often a stream that fails says so, and one that is full looks whether files were taken away.
const OFTEN_US: u64 = 5_000_000;
/// The part of a stream's bytes that only records of `audit: full` may take: one in so many.
const STREAM_RESERVE: u64 = 16;

/// What the writers of a process have in common.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) count: Count,
    pub(crate) room: Room,
}

/// A running writer.
pub(crate) struct RegionWriter {
    pub(crate) queues: Arc<Queues>,
    shared: Arc<Shared>,
}

impl Drop for RegionWriter {
    fn drop(&mut self) {
        self.shared.room.leave();
        self.queues.end(Duration::ZERO);
    }
}

impl RegionWriter {
    /// Starts the writer of a folder. Nothing is opened before there is something to write.
    pub(crate) fn start(path: PathBuf, shared: Arc<Shared>) -> std::io::Result<Self> {
        let queues = Arc::new(Queues::new(shared.settings.queue));
        let home: SharedHome = Arc::default();
        let dirty = Arc::new(AtomicBool::new(false));
        if shared.settings.sync == Sync::Batch {
            let (home, dirty) = (Arc::clone(&home), Arc::downgrade(&dirty));
            // It ends with the writer, who holds the other end.
            thread::Builder::new().name("audit-sync".to_owned()).spawn(move || {
                while let Some(dirty) = dirty.upgrade() {
                    sync_if(&home, &dirty);
                    drop(dirty);
                    thread::sleep(SECOND);
                }
            })?;
        }
        let mut writer = Writer {
            path,
            writing: writing(&shared),
            shared: Arc::clone(&shared),
            home,
            dirty,
            tried_us: None,
            streams: HashMap::new(),
            open: 0,
            turn: 0,
        };
        let waiting = Arc::clone(&queues);
        thread::Builder::new().name("audit-writer".to_owned()).spawn(move || {
            while let Some(turns) = waiting.take() {
                writer.write(turns);
            }
            writer.finish();
        })?;
        shared.room.enter();
        Ok(Self { queues, shared })
    }
}

fn writing(shared: &Shared) -> Writing {
    let Settings { seal, rotation, service, .. } = &shared.settings;
    Writing { seal: seal.clone(), disk: Arc::clone(&shared.disk), rotation: *rotation, service: Arc::from(*service) }
}

type SharedHome = Arc<Mutex<Option<Arc<Home>>>>;

fn sync_if(home: &SharedHome, dirty: &AtomicBool) {
    let home = home.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(home) = home.filter(|_| dirty.swap(false, Ordering::AcqRel)) else { return };
    if let Err(error) = home.folder().sync_all() {
        dirty.store(true, Ordering::Release);
        tracing::error!(%error, "audit streams could not be synced to their disk");
    }
}

/// What the thread holds.
struct Writer {
    path: PathBuf,
    shared: Arc<Shared>,
    writing: Writing,
    home: SharedHome,
    dirty: Arc<AtomicBool>,
    /// When the folder was tried last and could not be opened, and why.
    tried_us: Option<(u64, Refused)>,
    streams: HashMap<StreamName, Stream>,
    /// Streams that are open, or were closed since they were counted.
    open: usize,
    turn: u64,
}

/// What the thread knows of one stream.
#[derive(Default)]
struct Stream {
    files: Option<Files>,
    /// Its files, where they were closed to make room for others'.
    closed: Option<Closed>,
    /// How it was left when it was written last.
    known: Option<Left>,
    /// The last turn that it had.
    turn: u64,
    complained_us: Option<u64>,
    counted_us: Option<u64>,
}

impl Writer {
    fn write(&mut self, turns: Vec<(StreamName, Vec<Item>)>) {
        let now_us = self.shared.clock.now_us();
        let home = self.home(now_us);
        let best_effort = turns.iter().any(|(_, items)| items.iter().any(|item| item.waiting.is_none()));
        let room = best_effort && home.as_ref().is_ok_and(|home| home.has_room());
        let mut written = Vec::with_capacity(turns.len());
        for (name, mut items) in turns {
            items.retain(|item| !item.is_given_up());
            self.turn += 1;
            let home = match &home {
                Ok(home) => home,
                Err(refused) => {
                    self.refuse(items, refused);
                    continue;
                }
            };
            let outcome = self.write_stream(home, &name, items, room, now_us);
            written.push((home, name, outcome));
        }
        self.dirty.store(true, Ordering::Release);
        let mut accepted = Vec::new();
        for (home, name, items) in written {
            accepted.extend(self.synced(home, &name, items));
            if self.shared.settings.sync == Sync::Each {
                // Nobody waits for the sync of another's stream.
                self.accept(std::mem::take(&mut accepted));
            }
        }
        self.accept(accepted);
        self.close_idle();
    }

    /// Writes what it can of a stream's records, and gives those that are written.
    fn write_stream(&mut self, home: &Home, name: &StreamName, items: Vec<Item>, room: bool, now_us: u64) -> Vec<Item> {
        let turn = self.turn;
        let most = self.shared.settings.stream_bytes;
        let stream = self.streams.entry(Arc::clone(name)).or_default();
        stream.turn = turn;
        if stream.files.is_none() {
            self.open += 1;
        }
        if let Err(error) = stream.open(home, name, &self.writing, now_us) {
            let refused = Refused::from(error);
            stream.complain(name, &refused, now_us);
            self.refuse(items, &refused);
            return Vec::new();
        }
        let weight: u64 = items.iter().map(|item| item.fields.len() as u64 + 192).sum();
        stream.count_again_if_full(home, weight, most, now_us);
        let stored = stream.files.as_ref().map_or(0, Files::stored);
        let mut left = most.saturating_sub(stored);
        let reserve = most / STREAM_RESERVE;
        let (items, none): (Vec<Item>, Vec<Item>) = items.into_iter().partition(|item| {
            let weight = item.fields.len() as u64 + 192;
            let must = item.waiting.is_some();
            let fits = weight <= left && (must || (room && left - weight >= reserve));
            if fits {
                left -= weight;
            }
            fits
        });
        if !none.is_empty() {
            stream.complain(name, &Refused::StreamFull, now_us);
        }
        let appended = match &mut stream.files {
            _ if items.is_empty() => Ok(()),
            Some(files) => files.append(home.folder(), &self.writing, &items, now_us),
            None => Ok(()),
        };
        if let Some(files) = &stream.files {
            stream.known = Some(files.left());
        }
        let refused = appended.map_err(|error| {
            // Opened anew next time, so that whatever was left is looked at.
            stream.files = None;
            let uncut = stream.known.is_some_and(|left| left.refused_from.is_some());
            let refused = if uncut { Refused::Uncut(Arc::from(error.to_string())) } else { Refused::from(error) };
            stream.complain(name, &refused, now_us);
            refused
        });
        self.refuse(none, &Refused::StreamFull);
        match refused {
            Ok(()) => items,
            Err(refused) => {
                self.refuse(items, &refused);
                Vec::new()
            }
        }
    }

    /// Of what is written into a stream, what is accepted now.
    fn synced(&mut self, home: &Home, name: &StreamName, items: Vec<Item>) -> Vec<Item> {
        if self.shared.settings.sync == Sync::Each && !items.is_empty() {
            let synced = match self.streams.get_mut(name).and_then(|stream| stream.files.as_mut()) {
                Some(files) => files.sync(home.folder(), &self.writing),
                None => Ok(()),
            };
            if let Err(error) = synced {
                if let Some(stream) = self.streams.get_mut(name) {
                    stream.files = None;
                }
                self.refuse(items, &Refused::Unsynced(Arc::from(error.to_string())));
                return Vec::new();
            }
        }
        items
    }

    /// Tells those who wait that their records are accepted: all in one go, since a connection that wakes for one answer writes for one alone.
    fn accept(&self, mut items: Vec<Item>) {
        for item in &items {
            (self.shared.count)(item.tenant.as_deref(), "written", 1);
        }
        for waiting in items.iter_mut().filter_map(|item| item.waiting.take()) {
            let _ = waiting.send(Ok(()));
        }
    }

    fn refuse(&self, items: Vec<Item>, refused: &Refused) {
        for item in items {
            let what = if item.waiting.is_some() { "refused" } else { "lost" };
            (self.shared.count)(item.tenant.as_deref(), what, 1);
            if let Some(waiting) = item.waiting {
                let _ = waiting.send(Err(refused.clone()));
            }
        }
    }

    /// The folder, opened if it is not, and tried again once a second if it cannot be.
    fn home(&mut self, now_us: u64) -> Result<Arc<Home>, Refused> {
        let mut home = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = home.as_ref().filter(|open| open.in_place()) {
            return Ok(Arc::clone(open));
        }
        *home = None;
        for stream in self.streams.values_mut() {
            (stream.files, stream.closed) = (None, None);
        }
        let second = u64::try_from(SECOND.as_micros()).unwrap_or_default();
        if let Some((tried_us, refused)) = self.tried_us.as_ref().filter(|(tried_us, _)| now_us.wrapping_sub(*tried_us) < second) {
            let _ = tried_us;
            return Err(refused.clone());
        }
        match Home::open(&self.path, &self.shared.settings) {
            Ok(open) => {
                tracing::info!(folder = %self.path.display(), writer = open.writer(), "audit streams are written here");
                self.tried_us = None;
                Ok(Arc::clone(home.insert(Arc::new(open))))
            }
            Err(error) => {
                tracing::error!(folder = %self.path.display(), %error, "audit streams cannot be written: `audit: full` denies in this region");
                let refused = Refused::from(error);
                self.tried_us = Some((now_us, refused.clone()));
                Err(refused)
            }
        }
    }

    /// Closes the files that were not written for longest, so that tenants do not take more descriptors than there are: a quarter of them in one go, since who
    /// is open is counted for it.
    fn close_idle(&mut self) {
        let most = self.shared.room.of_each();
        if self.open <= most {
            return;
        }
        let mut open: Vec<(u64, &mut Stream)> =
            self.streams.values_mut().filter(|stream| stream.files.is_some()).map(|stream| (stream.turn, stream)).collect();
        self.open = open.len();
        if open.len() <= most {
            return;
        }
        open.sort_unstable_by_key(|(turn, _)| *turn);
        let over = open.len() - most + most / 4;
        self.open -= over;
        for (_, stream) in open.into_iter().take(over) {
            stream.closed = stream.files.take().and_then(Files::close);
        }
    }

    /// The last of it: the service ends.
    fn finish(&self) {
        if self.shared.settings.sync != Sync::Os {
            sync_if(&self.home, &self.dirty);
        }
    }
}

impl Stream {
    /// Opens its files, if they are not open and in their place.
    fn open(&mut self, home: &Home, name: &str, writing: &Writing, now_us: u64) -> std::io::Result<()> {
        if self.files.as_ref().is_some_and(|files| files.in_place(home.folder())) {
            return Ok(());
        }
        self.files = None;
        if let Some(closed) = self.closed.take() {
            self.files = closed.reopen(home.folder())?;
        }
        if self.files.is_none() {
            self.files = Some(Files::open(home.folder(), Names::new(name, home.writer()), writing, self.known, now_us)?);
        }
        Ok(())
    }

    fn count_again_if_full(&mut self, home: &Home, weight: u64, most: u64, now_us: u64) {
        let Some(files) = &mut self.files else { return };
        let nearly = files.stored() + weight > most - most / STREAM_RESERVE;
        if nearly && self.counted_us.is_none_or(|at| now_us.wrapping_sub(at) >= OFTEN_US) {
            self.counted_us = Some(now_us);
            let _ = files.count_again(home.folder());
        }
    }

    /// Says that it fails, but not at every record.
    fn complain(&mut self, name: &str, why: &Refused, now_us: u64) {
        if self.complained_us.is_none_or(|at| now_us.wrapping_sub(at) >= OFTEN_US) {
            self.complained_us = Some(now_us);
            tracing::error!(stream = name, error = %why, "records of an audit stream are not written");
        }
    }
}
