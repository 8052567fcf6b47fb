//! The audit streams of a process: where a record goes, and whether somebody waits for it.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use bulkhead_tenancy::{clock::Clock, name::Region, platform::Platform, tenant::Tenant};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    descriptors::Room,
    file::{Disk, RealDisk},
    merge::{Admitted, Merged, Merger},
    queue::{Item, StreamName},
    record::{Event, Record, Whose},
    refused::Refused,
    settings::Settings,
    writer::{Count, RegionWriter, Shared},
};

#[cfg(test)]
mod tests;

/// Denials of one stream that have records of their own, in each window of ten seconds.
const LINES: u32 = 500;
/// The folder of what has no tenant. Neither name can be a namespace's, which are RFC 1123 labels (S21).
const UNRESOLVED: &str = "_unresolved";
/// The folder of what operators did to the platform itself.
const PLATFORM: &str = "_platform";

/// Whose a record is.
#[derive(Debug, Clone, Copy)]
pub enum Whom<'t> {
    /// A proven tenant's: in its region.
    Tenant(&'t Arc<Tenant>),
    /// Nobody's, as far as is proven: in the region `default`.
    Unresolved,
    /// The platform's own: in the region `default`.
    Platform,
}

/// The audit streams of a process.
pub struct Audit {
    shared: Arc<Shared>,
    /// By region, with the folder that the Platform gave it then.
    regions: ArcSwap<HashMap<Region, Place>>,
    /// One writer a folder, whatever regions are in it.
    writers: Mutex<HashMap<PathBuf, Arc<RegionWriter>>>,
    merger: Merger<Merging>,
}

#[derive(Clone)]
struct Place {
    configured: Option<PathBuf>,
    writer: Arc<RegionWriter>,
}

/// What is needed to tell of merged denials.
struct Merging {
    stream: Stream,
    tenant: Option<Arc<Tenant>>,
}

/// One stream, to be written to.
#[derive(Clone)]
pub struct Stream {
    writer: Arc<RegionWriter>,
    name: StreamName,
}

/// A record that must be written before anything is answered.
#[derive(Debug)]
#[must_use = "nothing may be answered before it is there"]
pub struct Receipt(oneshot::Receiver<Result<(), Refused>>);

impl Receipt {
    /// Waits until the record is accepted, but not longer than until a moment. What is given up is not written any more, unless that had begun.
    ///
    /// # Errors
    /// It is not written, or nobody knows.
    pub async fn until(self, moment: Instant) -> Result<(), Refused> {
        match tokio::time::timeout_at(moment, self.0).await {
            Ok(Ok(accepted)) => accepted,
            Ok(Err(_)) => Err(Refused::Ended),
            Err(_) => Err(Refused::Late),
        }
    }
}

impl Audit {
    /// Streams that are written as `settings` say. Nothing is opened before there is something to write.
    #[must_use]
    pub fn new(settings: Settings, clock: Arc<dyn Clock>, count: Count) -> Self {
        Self::on(settings, clock, count, Arc::new(RealDisk))
    }

    /// As [`Audit::new`], on a disk that tests can break.
    #[must_use]
    pub fn on(settings: Settings, clock: Arc<dyn Clock>, count: Count, disk: Arc<dyn Disk>) -> Self {
        let merger = Merger::new(Arc::clone(&clock), LINES);
        let room = Room::of(settings.open_streams);
        let shared = Arc::new(Shared { settings, disk, clock, count, room });
        Self { shared, regions: ArcSwap::default(), writers: Mutex::default(), merger }
    }

    /// The stream of somebody, in the folder of their region; none where nothing says where that is.
    #[must_use]
    pub fn stream(&self, platform: &Platform, whom: Whom<'_>) -> Option<Stream> {
        let (region, name) = match whom {
            Whom::Tenant(tenant) => (tenant.region.clone(), tenant.namespace.as_str()),
            Whom::Unresolved => (Region::default(), UNRESOLVED),
            Whom::Platform => (Region::default(), PLATFORM),
        };
        Some(Stream { writer: self.writer(platform, &region)?, name: Arc::from(name) })
    }

    fn writer(&self, platform: &Platform, region: &Region) -> Option<Arc<RegionWriter>> {
        let configured = platform.regions.get(region);
        if let Some(place) = self.regions.load().get(region).filter(|place| place.configured.as_ref() == configured) {
            return Some(Arc::clone(&place.writer));
        }
        let path = match (configured, &self.shared.settings.directory) {
            (Some(path), _) => path.clone(),
            (None, Some(directory)) => directory.join(region.as_str()),
            (None, None) => return None,
        };
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = match writers.get(&path) {
            Some(writer) => Arc::clone(writer),
            None => match RegionWriter::start(path.clone(), Arc::clone(&self.shared)) {
                Ok(writer) => Arc::clone(writers.entry(path).or_insert(Arc::new(writer))),
                Err(error) => {
                    tracing::error!(%error, "no thread can be started for audit streams");
                    return None;
                }
            },
        };
        let place = Place { configured: configured.cloned(), writer: Arc::clone(&writer) };
        self.regions.rcu(|known| {
            let mut more = HashMap::clone(known);
            more.insert(region.clone(), place.clone());
            more
        });
        Some(writer)
    }

    /// Puts a record into a stream that must have it before anything is answered (`audit: full`).
    ///
    /// # Errors
    /// There is no place for it: it is not written.
    pub fn must(&self, stream: &Stream, tenant: Option<&Arc<Tenant>>, record: Record) -> Result<Receipt, Refused> {
        let (sender, receiver) = oneshot::channel();
        let pushed = stream.writer.queues.push(&stream.name, self.item(record, tenant, Some(sender)));
        match pushed {
            Ok(()) => Ok(Receipt(receiver)),
            Err(_) => {
                self.count(tenant, "refused", 1);
                Err(Refused::QueueFull)
            }
        }
    }

    /// Puts a record into a stream, if there is place for it. What is lost is counted.
    pub fn offer(&self, stream: &Stream, tenant: Option<&Arc<Tenant>>, record: Record) {
        if stream.writer.queues.push(&stream.name, self.item(record, tenant, None)).is_err() {
            self.count(tenant, "lost", 1);
        }
    }

    /// Puts a denial into a stream, if there is place for it; beyond a rate it is merged with others.
    pub fn denied(&self, stream: &Stream, tenant: Option<&Arc<Tenant>>, id: &str, verdict: &'static str, record: impl FnOnce() -> Record) {
        let about = || Merging { stream: stream.clone(), tenant: tenant.cloned() };
        let Admitted { over, line } = self.merger.admit(tenant.map(|tenant| &tenant.uid), id, verdict, about);
        if let Some((merging, merged)) = over {
            self.tell(&merging, merged);
        }
        if line {
            self.offer(stream, tenant, record());
        } else {
            self.count(tenant, "merged", 1);
        }
    }

    /// Counts a record that had to be written and was not, as far as whoever waited for it knows.
    pub fn count_late(&self, tenant: Option<&Tenant>) {
        (self.shared.count)(tenant, "refused", 1);
    }

    /// Records merged denials whose window is over. Called from time to time, so that the last ones of a flood are recorded, too.
    pub fn sweep(&self) {
        for (merging, merged) in self.merger.sweep() {
            self.tell(&merging, merged);
        }
    }

    /// Records what was merged, and waits until all that waits is written, but no longer than `patience`: a disk may hang.
    pub fn close(&self, patience: Duration) {
        for (merging, merged) in self.merger.flush() {
            self.tell(&merging, merged);
        }
        let until = std::time::Instant::now() + patience;
        let writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        for (folder, writer) in writers.iter() {
            if !writer.queues.end(until.saturating_duration_since(std::time::Instant::now())) {
                tracing::error!(folder = %folder.display(), "audit records were not written before the end");
            }
        }
    }

    fn tell(&self, Merging { stream, tenant }: &Merging, merged: Merged) {
        let whose = tenant.as_ref().map(Whose::from);
        self.offer(stream, tenant.as_ref(), Record { event: Event::Merged, whose, merged: Some(merged), ..Record::default() });
    }

    fn item(&self, record: Record, tenant: Option<&Arc<Tenant>>, waiting: Option<oneshot::Sender<Result<(), Refused>>>) -> Item {
        let fields = record.bounded().fields(self.shared.settings.service, self.shared.clock.now_us());
        Item { fields, tenant: tenant.cloned(), waiting }
    }

    fn count(&self, tenant: Option<&Arc<Tenant>>, what: &'static str, by: u64) {
        (self.shared.count)(tenant.map(Arc::as_ref), what, by);
    }
}
