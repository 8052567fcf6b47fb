//! Counters for Prometheus, with a bounded number of series a tenant can cause.
//!
//! The label `tenant_id` comes from a [`Tenant`], which only a snapshot has: what a caller merely names can never make a series. The first
//! tenants seen get series of their own, all others share one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use bulkhead_tenancy::{name::TenantName, tenant::Tenant};
use metrics::{Counter, Key, KeyName, Label, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::fatal::Fatal;

/// The label of requests whose tenant is not proven.
pub const UNRESOLVED: &str = "__unresolved__";
/// The label that tenants past the bound share.
pub const OTHER: &str = "__other__";
/// How many tenants get series of their own, unless said otherwise.
pub const TENANT_SERIES: usize = 1_000;
/// Bounds of histograms, in seconds: decisions take from tens of microseconds to Envoy's time-out.
const BUCKETS: [f64; 14] = [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// Where series come from, as the recorder wants to know.
static METADATA: Metadata<'static> = Metadata::new(module_path!(), metrics::Level::INFO, None);

/// The process's metrics. A clone is a reference.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    tenants: Arc<TenantLabels>,
    readings: Arc<Mutex<Vec<Reading>>>,
}

/// A counter, and where its value is read.
type Reading = (Counter, Box<dyn Fn() -> u64 + Send + Sync>);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("tenants", &self.tenants).finish_non_exhaustive()
    }
}

impl Metrics {
    /// The metrics of this process, with series of their own for [`TENANT_SERIES`] tenants. The first call also makes them those of the
    /// `metrics` macros; later calls give the same.
    ///
    /// # Errors
    /// Something else has set up the `metrics` macros.
    pub fn install() -> Result<Self, Fatal> {
        static INSTALLED: OnceLock<Metrics> = OnceLock::new();
        static ONCE: Mutex<()> = Mutex::new(());
        let _once = ONCE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = INSTALLED.get() {
            return Ok(metrics.clone());
        }
        let metrics = Self::with_tenant_series(TENANT_SERIES)?;
        metrics::set_global_recorder(Arc::clone(&metrics.recorder)).map_err(|why| Fatal::failed(format!("cannot start metrics: {why}")))?;
        Ok(INSTALLED.get_or_init(|| metrics).clone())
    }

    /// Metrics of their own, which the `metrics` macros do not reach.
    ///
    /// # Errors
    /// Never, as its buckets are not empty.
    pub fn with_tenant_series(tenants: usize) -> Result<Self, Fatal> {
        let builder = PrometheusBuilder::new().set_buckets(&BUCKETS).map_err(|why| Fatal::failed(why.to_string()))?;
        let recorder = Arc::new(builder.build_recorder());
        Ok(Self { handle: recorder.handle(), recorder, tenants: Arc::new(TenantLabels::new(tenants)), readings: Arc::default() })
    }

    /// A counter without labels that somebody else counts: read whenever the text is asked for, and there from the start.
    pub fn read_counter(&self, name: &'static str, help: &'static str, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.recorder.describe_counter(KeyName::from(name), None, help.into());
        let counter = self.recorder.register_counter(&Key::from_static_name(name), &METADATA);
        self.readings.lock().unwrap_or_else(PoisonError::into_inner).push((counter, Box::new(read)));
    }

    /// A counter by tenant and one more label, whose values are names in the code (verdicts, reasons).
    #[must_use]
    pub fn tenant_counter(&self, name: &'static str, help: &'static str, label: &'static str) -> TenantCounter {
        self.recorder.describe_counter(KeyName::from(name), None, help.into());
        let series = (0..self.tenants.slots()).map(|_| OnceLock::new()).collect();
        TenantCounter { name, label, recorder: Arc::clone(&self.recorder), tenants: Arc::clone(&self.tenants), series }
    }

    /// The Prometheus text.
    #[must_use]
    pub fn render(&self) -> String {
        for (counter, read) in self.readings.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            counter.absolute(read());
        }
        self.handle.render()
    }

    /// Folds what histograms gathered into their buckets, for as long as it is polled: without it they would grow between two scrapes.
    pub(crate) async fn upkeep(&self) {
        let mut tick = tokio::time::interval(Duration::from_secs(5));
        loop {
            tick.tick().await;
            self.handle.run_upkeep();
        }
    }
}

/// Which tenants have series of their own: the first ones seen, up to a bound, for as long as the process lives.
#[derive(Debug)]
struct TenantLabels {
    own: ArcSwap<HashMap<TenantName, usize, foldhash::fast::RandomState>>,
    bound: usize,
    taking: Mutex<()>,
}

/// Slots before those of single tenants: the unproven, and those past the bound.
const SHARED: [&str; 2] = [UNRESOLVED, OTHER];

impl TenantLabels {
    fn new(bound: usize) -> Self {
        Self { own: ArcSwap::default(), bound, taking: Mutex::new(()) }
    }

    fn slots(&self) -> usize {
        SHARED.len() + self.bound
    }

    /// The slot of a tenant, and its label. Taking a slot copies the map, at most `bound` times in the life of the process; looking one up
    /// takes no lock.
    fn slot(&self, tenant: &TenantName) -> usize {
        let known = self.own.load();
        if let Some(slot) = known.get(tenant) {
            return *slot;
        }
        if known.len() >= self.bound {
            return 1;
        }
        let _taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.own.load();
        if let Some(slot) = known.get(tenant) {
            return *slot;
        }
        if known.len() >= self.bound {
            return 1;
        }
        let slot = SHARED.len() + known.len();
        let mut more = HashMap::clone(&known);
        more.insert(tenant.clone(), slot);
        self.own.store(Arc::new(more));
        slot
    }
}

/// A counter by tenant and one more label. Counting takes a hash look-up and an atomic addition.
pub struct TenantCounter {
    name: &'static str,
    label: &'static str,
    recorder: Arc<PrometheusRecorder>,
    tenants: Arc<TenantLabels>,
    series: Box<[OnceLock<Series>]>,
}

/// The series of one tenant: a few, so that looking through them is quicker than hashing.
type Series = ArcSwap<Vec<(&'static str, Counter)>>;

impl std::fmt::Debug for TenantCounter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TenantCounter").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TenantCounter {
    /// Counts one. `tenant` is the proven one, or none.
    pub fn count(&self, tenant: Option<&Tenant>, value: &'static str) {
        self.add(tenant, value, 1);
    }

    /// Counts several. `tenant` is the proven one, or none.
    pub fn add(&self, tenant: Option<&Tenant>, value: &'static str, by: u64) {
        self.add_to(tenant.map(|tenant| &tenant.name), value, by);
    }

    fn add_to(&self, tenant: Option<&TenantName>, value: &'static str, by: u64) {
        let slot = tenant.map_or(0, |tenant| self.tenants.slot(tenant));
        let Some(cell) = self.series.get(slot) else { return };
        let series = cell.get_or_init(ArcSwap::default);
        if let Some((_, counter)) = series.load().iter().find(|(known, _)| *known == value) {
            counter.increment(by);
            return;
        }
        let tenant = match (SHARED.get(slot), tenant) {
            (Some(shared), _) => (*shared).to_owned(),
            (None, Some(tenant)) => tenant.to_string(),
            (None, None) => return,
        };
        let labels = vec![Label::new("tenant_id", tenant), Label::new(self.label, value)];
        // Two threads may register the same series at once: the recorder gives both the same counter, so nothing is lost.
        let counter = self.recorder.register_counter(&Key::from_parts(self.name, labels), &METADATA);
        counter.increment(by);
        series.rcu(|known| {
            let mut more = Vec::clone(known);
            if more.iter().all(|(name, _)| *name != value) {
                more.push((value, counter.clone()));
            }
            more
        });
    }
}

#[cfg(test)]
mod tests;
