//! Binds the three doors, serves them, and closes them in order: not ready first, then no new calls, then the end.

use std::{future::Future, process::ExitCode, sync::Arc, time::Duration};

use axum::Router;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;

use crate::{
    address::Address,
    admin::{self, AdminRoutes, Guard, SnapshotReport},
    args::{DoorArgs, Service},
    fatal::{Fatal, exit},
    grpc::{self, Calls, Unary},
    health,
    http::{self, Guests},
    listener::{Listener, Protection},
    metrics::Metrics,
    shutdown::Shutdown,
    tls::DoorTls,
};

/// How long requests of the health and admin doors may take to end, once gRPC has drained.
const LAST_REQUESTS: Duration = Duration::from_secs(1);

/// What a service puts behind its doors.
pub struct Rooms {
    /// The gRPC methods that are called for every request.
    pub methods: Vec<Unary>,
    /// The other gRPC services. Each bounds its own messages (`max_decoding_message_size`).
    pub grpc: Routes,
    /// Public routes beside `/healthz`, `/readyz` and `/metrics`.
    pub health: Router,
    /// Routes behind the admin door's tokens, beside `/snapshot`.
    pub admin: AdminRoutes,
    /// What it waits for before requests should come here: a first snapshot. None: nothing.
    pub waits_for: Arc<dyn Fn() -> Option<&'static str> + Send + Sync>,
    /// What `/snapshot` shows.
    pub report: Arc<dyn Fn() -> SnapshotReport + Send + Sync>,
}

impl std::fmt::Debug for Rooms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rooms").finish_non_exhaustive()
    }
}

/// Whether requests should come here.
#[derive(Clone)]
pub(crate) struct Readiness {
    waits_for: Arc<dyn Fn() -> Option<&'static str> + Send + Sync>,
    shutdown: Shutdown,
}

impl Readiness {
    /// Why they should not, if so.
    pub(crate) fn why_not(&self) -> Option<String> {
        if self.shutdown.is_draining() {
            return Some("draining\n".to_owned());
        }
        (self.waits_for)().map(|what| format!("waiting for {what}\n"))
    }

    pub(crate) async fn draining(&self) {
        self.shutdown.draining().await;
    }
}

/// The three doors, bound and not yet served.
#[derive(Debug)]
pub struct Doors {
    service: &'static Service,
    grpc: Listener,
    health: Listener,
    admin: Listener,
    guard: Guard,
    addresses: Addresses,
    connection_age: Option<Duration>,
    drain_delay: Duration,
    drain: Duration,
}

/// Where the doors really listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// gRPC.
    pub grpc: Address,
    /// Health.
    pub health: Address,
    /// Admin.
    pub admin: Address,
}

impl Doors {
    /// Checks what the flags ask for, all of it, and then binds.
    ///
    /// # Errors
    /// Usage (status 2) for an address that others reach without TLS or `--allow-plaintext` (S2), for TLS flags or files that do not do, and
    /// for a token file that does not; a failure (status 1) where an address cannot be bound.
    pub async fn bind(service: &'static Service, args: &DoorArgs) -> Result<Self, Fatal> {
        let grpc_tls = DoorTls::new(&args.tls, b"h2")?;
        let protection = Protection { tls: grpc_tls.is_some(), allow_plaintext: args.allow_plaintext };
        if !args.grpc_door.open {
            protection.check("--grpc", &args.grpc)?;
        }
        protection.check("--admin", &args.admin)?;
        let guard = Guard::new(&args.admin, args.admin_token_file.as_deref(), args.admin_tenant_tokens.as_deref())?;
        // The admin door's bearer token is enough on this machine: TLS is for where the token would cross a network.
        let admin_tls = if args.admin.is_private() { None } else { DoorTls::new(&args.tls, b"http/1.1")? };
        let grpc = Listener::bind(&args.grpc, grpc_tls).await?;
        let health = Listener::bind(&args.health, None).await?;
        let admin = Listener::bind(&args.admin, admin_tls).await?;
        let addresses = Addresses { grpc: grpc.address()?, health: health.address()?, admin: admin.address()? };
        let connection_age = args.grpc_door.connection_age;
        Ok(Self { service, grpc, health, admin, guard, addresses, connection_age, drain_delay: args.drain_delay, drain: args.drain })
    }

    /// Where the doors really listen: port 0 has become a port.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Serves until `shutdown`, and then drains: readiness and gRPC health say no at once; after `--drain-delay` no new calls are accepted;
    /// calls in progress have `--drain` to end. Logs one line `listening` with the three addresses first.
    ///
    /// # Errors
    /// The gRPC door broke.
    pub async fn run(self, rooms: Rooms, metrics: Metrics, shutdown: Shutdown) -> Result<(), Fatal> {
        let Addresses { grpc, health, admin } = &self.addresses;
        tracing::info!(service = self.service.name, door.grpc = %grpc, door.health = %health, door.admin = %admin, "listening");

        let readiness = Readiness { waits_for: rooms.waits_for, shutdown: shutdown.clone() };
        let (reporter, health_service) = tonic_health::server::health_reporter();
        grpc::set_health(&reporter, self.service.grpc_services, false).await;
        let routes = rooms.grpc.add_service(health_service);

        // gRPC closes first; the other doors tell of it until the end.
        let (no_calls, end) = (CancellationToken::new(), CancellationToken::new());
        let http = TaskTracker::new();
        let public = health::router(readiness.clone(), metrics.clone()).merge(rooms.health);
        let guarded = admin::router(rooms.report, rooms.admin, self.guard);
        http.spawn(http::serve(self.health, public, Guests::FEW, end.clone().cancelled_owned()));
        http.spawn(http::serve(self.admin, guarded, Guests::FEW, end.clone().cancelled_owned()));
        http.close();
        let calls = Calls::new(rooms.methods, routes);
        let calls = grpc::serve(self.grpc, calls, self.connection_age, no_calls.clone().cancelled_owned());
        let background = async {
            tokio::join!(grpc::report_health(reporter, self.service.grpc_services, readiness), metrics.upkeep());
        };
        let in_order = async {
            shutdown.draining().await;
            tracing::info!("draining");
            tokio::time::sleep(self.drain_delay).await;
            no_calls.cancel();
            tokio::time::sleep(self.drain).await;
        };
        let ended = tokio::select! {
            ended = calls => ended,
            () = in_order => {
                tracing::warn!("calls were still in progress at the end of --drain");
                Ok(())
            }
            () = shutdown.at_once() => Ok(()),
            () = background => Ok(()),
        };
        end.cancel();
        let _ = tokio::time::timeout(LAST_REQUESTS, async {
            tokio::select! {
                () = http.wait() => {}
                () = shutdown.at_once() => {}
            }
        })
        .await;
        tracing::info!("ended");
        ended
    }
}

/// Runs a service's `main` to its end: prints why it ended, if not in order, and gives the exit status.
pub fn block_on(main: impl Future<Output = Result<(), Fatal>>) -> ExitCode {
    let ended =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|why| Fatal::failed(format!("cannot start: {why}")));
    let ended = ended.and_then(|runtime| {
        let ended = runtime.block_on(main);
        // Blocking work in progress does not hold the process up.
        runtime.shutdown_background();
        ended
    });
    exit(ended)
}
