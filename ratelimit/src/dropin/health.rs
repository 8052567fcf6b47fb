//! Whether requests should come here, as the original's load balancers ask: `/healthcheck`, and gRPC health by the name `ratelimit`.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bulkhead_doors::shutdown::Shutdown;
use http::StatusCode;

use super::{live::Live, settings::Settings};
use crate::{key::Keyspace, look, store::Store};

/// How often the store is asked whether it decides, and how long it may take.
const PERIOD: Duration = Duration::from_millis(500);

/// The drop-in's health. A clone is a reference.
#[derive(Clone)]
pub struct Health {
    live: Arc<Live>,
    needs_rules: bool,
    connected: Arc<AtomicBool>,
    shutdown: Shutdown,
}

impl Health {
    /// Healthy from when all stores decided for the first time until the process is asked to end; with
    /// HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED only with a domain to decide for, with REDIS_HEALTH_CHECK_ACTIVE_CONNECTION only while the
    /// stores decide.
    ///
    /// The original ends at the start where a store is away; here no load balancer finds the process before it could count.
    pub async fn new(live: Arc<Live>, settings: &Settings, stores: Vec<Arc<dyn Store>>, shutdown: Shutdown) -> Self {
        let connected = Arc::new(AtomicBool::new(decide(&stores).await));
        tokio::spawn(watch(Arc::downgrade(&connected), stores, settings.healthy_when_connected));
        Self { live, needs_rules: settings.healthy_when_loaded, connected, shutdown }
    }

    /// What of that which the settings ask for is not there.
    #[must_use]
    pub fn waits_for(&self) -> Option<&'static str> {
        if self.needs_rules && self.live.load().is_none_or(|rules| rules.is_empty()) {
            return Some("a rate limit configuration with a domain");
        }
        (!self.connected.load(Ordering::Relaxed)).then_some("the store to decide")
    }

    pub(super) fn answer(&self) -> (StatusCode, &'static str) {
        if self.waits_for().is_none() && !self.shutdown.is_draining() {
            (StatusCode::OK, "OK")
        } else {
            (StatusCode::INTERNAL_SERVER_ERROR, "")
        }
    }
}

/// Looks until the stores decided once, or for as long as somebody wants to know.
async fn watch(connected: Weak<AtomicBool>, stores: Vec<Arc<dyn Store>>, for_ever: bool) {
    while connected.upgrade().is_some_and(|connected| for_ever || !connected.load(Ordering::Relaxed)) {
        tokio::time::sleep(PERIOD).await;
        let now = decide(&stores).await;
        if let Some(connected) = connected.upgrade() {
            connected.store(now, Ordering::Relaxed);
        }
    }
}

/// Asks each store about a bucket of nobody.
async fn decide(stores: &[Arc<dyn Store>]) -> bool {
    let keys = Keyspace::default();
    for store in stores {
        if !matches!(tokio::time::timeout(PERIOD, look::moment(store.as_ref(), &keys)).await, Ok(Ok(_))) {
            return false;
        }
    }
    true
}
