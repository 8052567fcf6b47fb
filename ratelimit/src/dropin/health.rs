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
use crate::{
    ask::Ask,
    bucket::{Bucket, Window},
    charge::{Charge, Scope},
    key::Keyspace,
    store::Store,
};

/// How often the store is asked whether it decides, and how long it may take.
const PERIOD: Duration = Duration::from_millis(500);

/// The drop-in's health. A clone is a reference.
#[derive(Clone)]
pub struct Health {
    live: Arc<Live>,
    needs_rules: bool,
    connected: Option<Arc<AtomicBool>>,
    shutdown: Shutdown,
}

impl Health {
    /// Healthy unless the process was asked to end; with HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED only with a domain to decide for, with
    /// REDIS_HEALTH_CHECK_ACTIVE_CONNECTION only while the store decides.
    #[must_use]
    pub fn new(live: Arc<Live>, settings: &Settings, store: &Arc<dyn Store>, shutdown: Shutdown) -> Self {
        let connected = settings.healthy_when_connected.then(|| {
            let connected = Arc::new(AtomicBool::new(false));
            tokio::spawn(watch(Arc::downgrade(&connected), Arc::clone(store)));
            connected
        });
        Self { live, needs_rules: settings.healthy_when_loaded, connected, shutdown }
    }

    /// Whether what the settings ask for is there.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let ruled = !self.needs_rules || self.live.load().is_some_and(|rules| !rules.is_empty());
        ruled && self.connected.as_ref().is_none_or(|connected| connected.load(Ordering::Relaxed))
    }

    pub(super) fn answer(&self) -> (StatusCode, &'static str) {
        if self.is_ready() && !self.shutdown.is_draining() { (StatusCode::OK, "OK") } else { (StatusCode::INTERNAL_SERVER_ERROR, "") }
    }
}

/// Asks the store about a bucket of nobody for as long as somebody wants to know.
async fn watch(connected: Weak<AtomicBool>, store: Arc<dyn Store>) {
    let look = [Ask::one(Charge::new().hold(Scope::Tenant, Keyspace::default().probe(), Bucket::Window(Window::new(1, 1_000_000)), 0))];
    loop {
        let decided = tokio::time::timeout(PERIOD, store.decide(None, &look)).await;
        let Some(connected) = connected.upgrade() else { return };
        connected.store(matches!(decided, Ok(Ok(_))), Ordering::Relaxed);
        drop(connected);
        tokio::time::sleep(PERIOD).await;
    }
}
