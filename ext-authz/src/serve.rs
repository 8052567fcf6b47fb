//! Puts the service together: configuration, identity, judge, ledger, doors.

use std::{sync::Arc, time::Duration};

use bulkhead_doors::{
    admin::AdminRoutes,
    configuration,
    fatal::Fatal,
    logs,
    metrics::Metrics,
    run::{Doors, Rooms},
    shutdown::Shutdown,
};
use bulkhead_proto::pb::envoy::service::auth::v3::authorization_server::AuthorizationServer;
use bulkhead_tenancy::clock::{Clock, SystemClock};
use tonic::service::Routes;

use crate::{
    args::{SERVICE, ServeArgs},
    decide::Judge,
    record::{Ledger, Record, log::DenialLog},
    service::{CheckService, MAX_MESSAGE_BYTES},
    tenant::{HttpBounds, HttpKeys, Identity, Settings},
};

/// How often merged denials are looked after.
const SWEEP: Duration = Duration::from_secs(5);

/// Serves until it is asked to end.
///
/// # Errors
/// The flags, the Platform or the doors do not do; nothing was bound then but by the last.
pub async fn serve(args: ServeArgs) -> Result<(), Fatal> {
    logs::install(&args.doors.logs)?;
    let metrics = Metrics::install()?;
    let shutdown = Shutdown::on_signals()?;
    if args.audit.audit_dir.is_some() {
        tracing::warn!("--audit-dir: this release writes no audit streams; denials go to the log, and `audit: full` denies");
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let identity = identity(&clock)?;
    let loader = Arc::new(configuration::follow(&args.config.config)?);
    let doors = Doors::bind(&SERVICE, &args.doors).await?;

    let ledger = Arc::new(Ledger::new(&metrics, DenialLog::new(Arc::clone(&clock))));
    let sweeping = tokio::spawn(sweep(Arc::clone(&ledger)));
    let judge = Judge::new(identity, clock, args.declared.into());
    let records: Arc<dyn Record> = Arc::<Ledger>::clone(&ledger);
    let service = AuthorizationServer::new(CheckService::new(loader.live(), judge, records)).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let (following, reporting) = (Arc::clone(&loader), loader);
    let rooms = Rooms {
        grpc: Routes::default().add_service(service),
        health: axum::Router::new(),
        admin: AdminRoutes::default(),
        ready: Arc::new(move || following.is_following() && following.live().load().is_some()),
        report: Arc::new(move || reporting.report().into()),
    };
    let ended = doors.run(rooms, metrics, shutdown).await;
    sweeping.abort();
    ledger.flush();
    ended
}

/// The identity step as it is in production: keys over HTTP, within its bounds.
pub(crate) fn identity(clock: &Arc<dyn Clock>) -> Result<Identity, Fatal> {
    let keys = HttpKeys::new(HttpBounds::default()).map_err(|error| Fatal::failed(format!("cannot fetch keys: {error}")))?;
    Ok(Identity::new(Settings::default(), Arc::clone(clock), Arc::new(keys)))
}

async fn sweep(ledger: Arc<Ledger>) {
    let mut tick = tokio::time::interval(SWEEP);
    loop {
        tick.tick().await;
        ledger.sweep();
    }
}
