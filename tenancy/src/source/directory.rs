//! The configuration folder as a source (standalone mode).
//!
//! ```text
//! config/*.yaml, config/tenants/*.yaml          the operator's partition
//! config/namespaces/<namespace>/**.yaml         the partition of that namespace
//! ```
//! Names with a leading dot are not read. An event leads to the partition that it touches, and only that one is read again; what is the same
//! as before is no change. From time to time everything is looked at (not read), so that nothing stays missed: network file systems send
//! no events. It follows writes, renames, deletions and Kubernetes' swap of `..data`, at the configuration folder, at a partition, and where
//! the configuration folder is itself a symbolic link.

mod digest;
mod folder;
#[cfg(target_os = "linux")]
mod inotify;
mod layout;
#[cfg(not(target_os = "linux"))]
mod no_inotify;
mod partition;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::RandomState,
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use self::{
    digest::{bytes, digest},
    folder::{Folder, Refusal},
    layout::Layout,
    partition::{Kept, Shape, list},
    watch::{Dirty, Heard, Place, Watch},
};
use super::{Change, Content, PartitionKey, Source, Waker};
use crate::{
    fault::{Fault, Severity},
    name::Namespace,
};

/// How often a partition, or the folder, is read again when it is swapped while it is read.
const ATTEMPTS: usize = 3;

/// A configuration folder.
#[derive(Debug)]
pub struct DirectorySource {
    path: PathBuf,
    watch: Watch,
    waker: Waker,
    stamps: RandomState,
    known: HashMap<PartitionKey, Known>,
    operator: Kept,
    dirty: Dirty,
    layout: Option<layout::Identity>,
    misplaced: Vec<Fault>,
    pace: Pace,
}

/// What is known of a partition, so that only changes are told.
#[derive(Debug)]
struct Known {
    stamp: Option<u64>,
    digest: [u8; 32],
    /// Until then it is not read again: one that is large and written all the time leaves time for the others (S16).
    rests_until: Instant,
}

/// When everything is looked at.
#[derive(Debug)]
struct Pace {
    /// Not before, even if events ask for it.
    earliest: Instant,
    /// At the latest, without any event.
    latest: Instant,
}

/// Whether what was read belongs together.
#[derive(Debug, PartialEq, Eq)]
enum Settled {
    Yes,
    /// A folder was swapped meanwhile.
    No,
}

/// What a look at a partition found.
#[derive(Debug)]
enum Look {
    /// Nothing was changed since the last one.
    Same,
    /// Its folder was swapped meanwhile.
    Swapped,
    /// This, with its stamp.
    Read(Option<u64>, Content),
}

impl DirectorySource {
    /// A source for this folder. Nothing is read yet; that it does not exist is told by [`Source::read`].
    ///
    /// # Errors
    /// The system has no file handles left.
    pub fn new(path: &Path) -> io::Result<Self> {
        Self::with(path, Watch::new()?)
    }

    /// A source that looks for changes instead of hearing of them: for file systems that send no events.
    ///
    /// # Errors
    /// The system has no file handles left.
    pub fn without_events(path: &Path) -> io::Result<Self> {
        Self::with(path, Watch::deafened()?)
    }

    /// Reads a folder once: its partitions, and what stands among them and can be none.
    ///
    /// # Errors
    /// The system has no file handles left.
    pub fn read_once(path: &Path) -> io::Result<(Vec<Change>, Vec<Fault>)> {
        let mut source = Self::with(path, Watch::deafened()?)?;
        Ok((source.read(), source.misplaced))
    }

    fn with(path: &Path, watch: Watch) -> io::Result<Self> {
        let waker = watch.waker()?;
        let now = Instant::now();
        Ok(Self {
            path: std::path::absolute(path)?,
            watch,
            waker,
            stamps: RandomState::new(),
            known: HashMap::new(),
            operator: Kept::default(),
            dirty: Dirty::default(),
            layout: None,
            misplaced: Vec::new(),
            pace: Pace { earliest: now, latest: now },
        })
    }

    /// Looks at what may have changed and is due.
    fn refresh(&mut self) -> Vec<Change> {
        let started = Instant::now();
        let mut dirty = self.take_due(started);
        let mut changes = BTreeMap::new();
        let mut settled = Settled::No;
        for _ in 0..ATTEMPTS {
            settled = self.pass(&mut dirty, &mut changes);
            if settled == Settled::Yes {
                break;
            }
            dirty.everything = true;
        }
        // It was swapped at every attempt: it is looked at again in the next round.
        self.dirty.everything |= settled == Settled::No;
        if dirty.everything {
            self.pace = Pace::after(started, self.watch.deaf().is_some());
        }
        changes.into_iter().map(|(partition, content)| Change { partition, content }).collect()
    }

    /// Takes what is due from what may have changed, and leaves the rest.
    fn take_due(&mut self, now: Instant) -> Dirty {
        let mut due = std::mem::take(&mut self.dirty);
        if due.everything && self.pace.earliest > now {
            due.everything = false;
            self.dirty.everything = true;
        }
        let rests = |namespace: &Namespace| self.rests_until(namespace).is_some_and(|until| until > now);
        let resting: BTreeSet<_> = due.partitions.iter().filter(|namespace| rests(namespace)).cloned().collect();
        due.partitions.retain(|namespace| !resting.contains(namespace));
        self.dirty.partitions = resting;
        due
    }

    fn rests_until(&self, namespace: &Namespace) -> Option<Instant> {
        self.known.get(&PartitionKey::Namespace(namespace.clone())).map(|known| known.rests_until)
    }

    /// When the next thing is due without an event.
    fn next_due(&self) -> Instant {
        let everything = if self.dirty.everything { self.pace.earliest } else { self.pace.latest };
        let resting = self.dirty.partitions.iter().map(|namespace| self.rests_until(namespace).unwrap_or_else(Instant::now));
        resting.chain([everything]).min().unwrap_or(everything)
    }

    fn pass(&mut self, dirty: &mut Dirty, changes: &mut BTreeMap<PartitionKey, Content>) -> Settled {
        let layout = match Layout::open(&self.path) {
            Ok(layout) => layout,
            Err(refusal) => {
                let fault = Shape::operator().refused(Path::new(""), refusal);
                self.unreadable(&format!("the configuration folder {}", fault.message), changes);
                return Settled::Yes;
            }
        };
        layout.watch(&self.path, &mut self.watch);
        if self.layout.replace(layout.identity()) != Some(layout.identity()) {
            dirty.everything = true;
        }
        if dirty.everything || dirty.operator {
            match self.look(&PartitionKey::Operator, &layout.root, &self.path.clone(), &Shape::operator(), !dirty.operator) {
                Look::Same => {}
                Look::Swapped => return Settled::No,
                // An empty mount point has no files either: nothing is deleted because of it (S10).
                Look::Read(_, content) if content == Content::NOTHING => {
                    self.unreadable("the configuration folder holds no file of the operator: is it mounted?", changes);
                    return Settled::Yes;
                }
                Look::Read(stamp, content) => self.record(&PartitionKey::Operator, stamp, content, changes),
            }
        }
        let mut gone = BTreeSet::new();
        if dirty.everything || dirty.names {
            gone = self.list_partitions(&layout, dirty, changes);
        }
        let stamped = if dirty.everything { self.namespaces() } else { Vec::new() };
        let by_stamp = stamped.iter().filter(|name| !dirty.partitions.contains(*name)).map(|name| (name, true));
        for (namespace, by_stamp) in by_stamp.chain(dirty.partitions.iter().map(|name| (name, false))) {
            let key = PartitionKey::Namespace(namespace.clone());
            let shape = Shape::namespace(namespace.as_str());
            let path = self.path.join("namespaces").join(namespace.as_str());
            match layout.partition(namespace).map(|folder| self.look(&key, &folder, &path, &shape, by_stamp)) {
                Ok(Look::Same) => {}
                Ok(Look::Swapped) => return Settled::No,
                Ok(Look::Read(stamp, content)) => self.record(&key, stamp, content, changes),
                Err(Refusal::Missing) => _ = gone.insert(namespace.clone()),
                Err(refusal) => self.record(&key, None, Content::Unreadable(shape.refused(Path::new(""), refusal)), changes),
            }
        }
        // Kubernetes deletes the old folder after a swap. What is missing may be missing there only, and is no deletion (S10).
        if !layout.is_current(&self.path) {
            return Settled::No;
        }
        for key in gone.into_iter().map(PartitionKey::Namespace) {
            if self.known.remove(&key).is_some() {
                changes.insert(key, Content::Gone);
            }
        }
        Settled::Yes
    }

    fn namespaces(&self) -> Vec<Namespace> {
        let namespace = |key: &PartitionKey| match key {
            PartitionKey::Namespace(namespace) => Some(namespace.clone()),
            PartitionKey::Operator => None,
        };
        self.known.keys().filter_map(namespace).collect()
    }

    /// Which partitions there are: notes those that are new, answers which are not there any more.
    fn list_partitions(
        &mut self,
        layout: &Layout,
        dirty: &mut Dirty,
        changes: &mut BTreeMap<PartitionKey, Content>,
    ) -> BTreeSet<Namespace> {
        match layout.partitions() {
            Ok((names, misplaced)) => {
                self.misplaced = misplaced;
                let known = self.namespaces();
                let new = |name: &Namespace| !self.known.contains_key(&PartitionKey::Namespace(name.clone()));
                dirty.partitions.extend(names.iter().filter(|name| new(name)).cloned());
                known.into_iter().filter(|name| !names.contains(name)).collect()
            }
            Err(fault) => {
                for namespace in self.namespaces() {
                    let fault = Shape::namespace(namespace.as_str()).whole(&fault.message);
                    self.record(&PartitionKey::Namespace(namespace), None, Content::Unreadable(fault), changes);
                }
                self.misplaced = vec![fault];
                BTreeSet::new()
            }
        }
    }

    /// Reads a partition if it differs: always, or only if its files' times do.
    fn look(&mut self, key: &PartitionKey, folder: &Folder, path: &Path, shape: &Shape, by_stamp: bool) -> Look {
        let place = |inner: &Folder| match key {
            PartitionKey::Namespace(namespace) => Place::Partition(namespace.clone()),
            PartitionKey::Operator if std::ptr::eq(inner, folder) => Place::Root,
            PartitionKey::Operator => Place::Tenants,
        };
        for _ in 0..ATTEMPTS {
            let target = folder.link("..data");
            let watch = &mut self.watch;
            let (stamp, content) = match list(folder, shape, &self.stamps, &mut |inner| watch.add(inner.handle(), place(inner))) {
                Ok(listing) => {
                    let stamp = listing.stamp;
                    if by_stamp && stamp.is_some() && self.known.get(key).and_then(|known| known.stamp) == stamp {
                        return Look::Same;
                    }
                    let kept = (*key == PartitionKey::Operator).then_some(&mut self.operator);
                    (stamp, listing.read(folder, shape, kept))
                }
                Err(fault) => (None, Content::Unreadable(fault)),
            };
            if !folder.is_at(path) {
                return Look::Swapped;
            }
            // What was read across a swap is of two versions.
            if folder.link("..data") == target {
                return Look::Read(stamp, content);
            }
        }
        Look::Read(None, Content::Unreadable(shape.whole("is being replaced all the time")))
    }

    fn record(&mut self, key: &PartitionKey, stamp: Option<u64>, content: Content, changes: &mut BTreeMap<PartitionKey, Content>) {
        let digest = digest(&content);
        // A megabyte a second.
        let rests_until = Instant::now() + Duration::from_micros(bytes(&content));
        let known = self.known.insert(key.clone(), Known { stamp, digest, rests_until });
        if known.is_none_or(|known| known.digest != digest) {
            changes.insert(key.clone(), content);
        }
    }

    /// Nothing can be read: everything that is known stays, and is said to be unreadable.
    fn unreadable(&mut self, message: &str, changes: &mut BTreeMap<PartitionKey, Content>) {
        let keys: Vec<_> = self.known.keys().cloned().chain([PartitionKey::Operator]).collect();
        for key in keys {
            let shape = match &key {
                PartitionKey::Operator => Shape::operator(),
                PartitionKey::Namespace(namespace) => Shape::namespace(namespace.as_str()),
            };
            self.record(&key, None, Content::Unreadable(shape.whole(message)), changes);
        }
    }
}

impl Pace {
    /// Looking at everything takes at most a hundredth of the time (a twentieth where nothing is heard), a tenth when events ask for it.
    fn after(started: Instant, deaf: bool) -> Self {
        let now = Instant::now();
        let cost = now.duration_since(started);
        let rest = if deaf {
            (cost * 20).clamp(Duration::from_millis(200), Duration::from_secs(10))
        } else {
            (cost * 100).clamp(Duration::from_secs(1), Duration::from_secs(30))
        };
        Self { earliest: now + (cost * 10).min(Duration::from_secs(10)), latest: now + rest }
    }
}

impl Source for DirectorySource {
    fn read(&mut self) -> Vec<Change> {
        self.dirty.everything = true;
        self.pace.earliest = Instant::now();
        self.refresh()
    }

    fn wait(&mut self, patience: Duration) -> Vec<Change> {
        let end = Instant::now() + patience;
        loop {
            let heard = self.watch.wait(self.next_due().min(end), &mut self.dirty);
            if heard == Heard::Waker {
                return Vec::new();
            }
            if Instant::now() >= self.pace.latest {
                self.dirty.everything = true;
            }
            let changes = if self.dirty.is_empty() { Vec::new() } else { self.refresh() };
            if !changes.is_empty() || Instant::now() >= end {
                return changes;
            }
        }
    }

    fn faults(&self) -> Vec<Fault> {
        let deaf = self.watch.deaf().map(|why| {
            let message = format!("{why}: changes are looked for instead, and seen later");
            Fault { severity: Severity::Warning, ..partition::fault("", message) }
        });
        self.misplaced.iter().cloned().chain(deaf).collect()
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }
}
