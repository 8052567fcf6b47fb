//! From a configuration folder to the snapshot that decides: reads everything, publishes the first snapshot, then follows changes on a thread
//! of its own. Both services start with it.

mod journal;
mod validate;

use std::{
    fmt, io,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use self::journal::Journal;
pub use self::validate::{Validation, validate};
use crate::{
    catalog::{Catalog, CatalogError, TenantReport},
    clock::Clock,
    fault::{Fault, Severity},
    snapshot::{Live, Snapshot},
    source::{Change, Source, Waker, directory::DirectorySource},
};

/// How often the catalog looks at the clock when nothing changes: a last good policy becomes too old without any change (S10).
const TICK: Duration = Duration::from_secs(1);

/// How many faults the text of a [`StartError`] shows.
const SHOWN: usize = 20;

/// Why a service cannot start: exit status 2, before anything is bound.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system gave no handles or no thread.
    #[error("the configuration cannot be followed: {0}")]
    System(#[from] io::Error),
    /// The Platform is missing, cannot be read or is invalid; nothing can be decided without it. All faults that were found.
    #[error("no valid Platform{}", lines(.0))]
    Platform(Vec<Fault>),
}

fn lines(faults: &[Fault]) -> String {
    let errors = faults.iter().filter(|fault| fault.severity == Severity::Error);
    errors.take(SHOWN).map(|fault| format!("\n{fault}")).collect()
}

/// Follows a source. When it is dropped, its thread ends; the last snapshot stays in place.
#[derive(Debug)]
pub struct Loader {
    shared: Arc<Shared>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

/// What an operator sees of the configuration.
#[derive(Debug, Clone)]
pub struct Report {
    /// The generation of the snapshot that decides.
    pub generation: u64,
    /// Every tenant, by name.
    pub tenants: Vec<TenantReport>,
    /// All that is wrong, errors and warnings.
    pub faults: Vec<Fault>,
}

type Hook = Box<dyn Fn(&Arc<Snapshot>) + Send + Sync>;

/// What the thread and its owner share.
struct Shared {
    live: Live,
    clock: Arc<dyn Clock>,
    stop: AtomicBool,
    /// The report, and when it was made, in microseconds since 1970.
    report: Mutex<(Report, u64)>,
    hooks: Mutex<Vec<Hook>>,
    generation: Mutex<u64>,
    published: Condvar,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("generation", &*lock(&self.generation)).finish_non_exhaustive()
    }
}

/// What is behind these locks is replaced whole: it stays usable after a panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts with a configuration folder.
///
/// # Errors
/// The Platform is missing, unreadable or invalid, or the system gives no handles.
pub fn start(config: &Path, clock: Arc<dyn Clock>) -> Result<Loader, StartError> {
    follow(Box::new(DirectorySource::new(config)?), clock)
}

/// Starts with any source.
///
/// # Errors
/// The Platform is missing, unreadable or invalid, or the system gives no thread.
pub fn follow(source: Box<dyn Source>, clock: Arc<dyn Clock>) -> Result<Loader, StartError> {
    let shared = Arc::new(Shared {
        live: Live::default(),
        clock: Arc::clone(&clock),
        stop: AtomicBool::new(false),
        report: Mutex::new((Report { generation: 0, tenants: Vec::new(), faults: Vec::new() }, 0)),
        hooks: Mutex::new(Vec::new()),
        generation: Mutex::new(0),
        published: Condvar::new(),
    });
    let waker = source.waker();
    let mut follower = Follower { source, catalog: Catalog::new(clock), journal: Journal::default(), shared: Arc::clone(&shared) };
    let first = follower.source.read();
    follower.take(first).map_err(|error| match error {
        CatalogError::NoPlatform(faults) => StartError::Platform(faults),
    })?;
    let thread = std::thread::Builder::new().name("configuration".to_owned()).spawn(move || follower.run())?;
    Ok(Loader { shared, waker, thread: Some(thread) })
}

/// Reads a configuration folder once, without following it.
///
/// # Errors
/// The Platform is missing, unreadable or invalid, or the system gives no handles.
pub fn read(config: &Path, clock: Arc<dyn Clock>) -> Result<Arc<Snapshot>, StartError> {
    let (changes, _) = DirectorySource::read_once(config)?;
    Catalog::new(clock).apply(changes).map_err(|error| match error {
        CatalogError::NoPlatform(faults) => StartError::Platform(faults),
    })
}

impl Loader {
    /// Where the snapshot of the moment is found. There is one from the start.
    #[must_use]
    pub fn live(&self) -> Live {
        self.shared.live.clone()
    }

    /// What is known of the configuration now.
    #[must_use]
    pub fn report(&self) -> Report {
        let (mut report, made) = lock(&self.shared.report).clone();
        let since = self.shared.clock.now_us().saturating_sub(made) / 1_000_000;
        for tenant in &mut report.tenants {
            tenant.age_seconds = tenant.age_seconds.saturating_add(since);
        }
        report
    }

    /// Has this called with each snapshot from now on, right after it was published, on the loader's thread: it must be quick.
    pub fn on_publish(&self, hook: impl Fn(&Arc<Snapshot>) + Send + Sync + 'static) {
        lock(&self.shared.hooks).push(Box::new(hook));
    }

    /// Waits until a snapshot later than this generation is published, or until `patience` is over. Answers the generation of the moment.
    #[must_use]
    pub fn wait_beyond(&self, generation: u64, patience: Duration) -> u64 {
        let end = Instant::now() + patience;
        let mut now = lock(&self.shared.generation);
        while *now <= generation {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            now = self.shared.published.wait_timeout(now, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *now
    }

    /// Whether changes are still followed. False only after a fault of our own: then the configuration stands still, and who asks should
    /// not call itself ready.
    #[must_use]
    pub fn is_following(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// What there is to wait for before requests should come.
    #[must_use]
    pub fn waits_for(&self) -> Option<&'static str> {
        if !self.is_following() {
            return Some("a restart: the configuration is no longer followed");
        }
        self.live().load().is_none().then_some("a first snapshot")
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.waker.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the configuration's thread had ended by itself");
        }
    }
}

/// What lives on the thread.
struct Follower {
    source: Box<dyn Source>,
    catalog: Catalog,
    journal: Journal,
    shared: Arc<Shared>,
}

impl Follower {
    fn run(mut self) {
        let end = EndIsLoud(Arc::clone(&self.shared));
        while !self.shared.stop.load(Ordering::SeqCst) {
            let changes = self.source.wait(TICK);
            if let Err(error) = self.take(changes) {
                // A Platform that was good stays good: this would be a fault of ours.
                tracing::error!(%error, "the configuration was not applied");
            }
        }
        drop(end);
    }

    /// Takes changes in, publishes what follows from them, and says what is wrong with them.
    fn take(&mut self, changes: Vec<Change>) -> Result<(), CatalogError> {
        let started = Instant::now();
        let partitions = changes.len();
        let snapshot = self.catalog.apply(changes)?;
        let new = self.shared.live.load().is_none_or(|before| !Arc::ptr_eq(&before, &snapshot));
        if new {
            self.publish(&snapshot);
            let took = started.elapsed();
            tracing::info!(generation = snapshot.generation(), partitions, ?took, "the configuration was published");
        }
        if new || partitions > 0 {
            let mut faults = self.catalog.faults();
            faults.extend(self.source.faults());
            self.journal.note(&faults, &snapshot);
            let report = Report { generation: snapshot.generation(), tenants: self.catalog.report(), faults };
            *lock(&self.shared.report) = (report, self.shared.clock.now_us());
        }
        Ok(())
    }

    fn publish(&self, snapshot: &Arc<Snapshot>) {
        self.shared.live.publish(Arc::clone(snapshot));
        *lock(&self.shared.generation) = snapshot.generation();
        self.shared.published.notify_all();
        for hook in lock(&self.shared.hooks).iter() {
            hook(snapshot);
        }
    }
}

/// Says so when the thread ends without being asked to.
struct EndIsLoud(Arc<Shared>);

impl Drop for EndIsLoud {
    fn drop(&mut self) {
        if std::thread::panicking() || !self.0.stop.load(Ordering::SeqCst) {
            tracing::error!("the configuration is not followed any more: what is published stays, and this process should be restarted");
        }
    }
}
