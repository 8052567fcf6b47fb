//! A service with nothing in it, behind the production doors.

use std::{
    ffi::OsString,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Extension, Json, Router, routing::get};
use bulkhead_doors::{
    admin::{AdminRoutes, Caller, SnapshotReport, TenantReport},
    args::{self, DoorArgs, Service},
    fatal::Fatal,
    grpc::Unary,
    metrics::Metrics,
    run::{Addresses, Doors, Rooms},
    shutdown::Shutdown,
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::{service::Routes, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_client::HealthClient};

pub(crate) static SERVICE: Service = Service {
    name: "bulkhead-house",
    variables: "BULKHEAD_HOUSE",
    grpc_services: &["house.v1.House"],
    grpc: "127.0.0.1:0",
    health: "127.0.0.1:0",
    admin: "127.0.0.1:0",
};

#[derive(clap::Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Serve(Box<DoorArgs>),
}

/// More than the sockets' buffers hold.
static LARGE: &[u8] = &[b'x'; 32 << 20];

/// The method that is not routed.
pub(crate) const LOOK: &str = "/house.v1.House/Look";

/// It says that all is well, or does what it is asked for.
async fn look(request: tonic::Request<HealthCheckRequest>) -> Result<tonic::Response<HealthCheckResponse>, tonic::Status> {
    let service = request.into_inner().service;
    if service.starts_with("wait") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    match service.as_str() {
        "refuse" => Err(tonic::Status::permission_denied("no")),
        what if what.ends_with("panic") => std::panic::resume_unwind(Box::new("as it was asked to")),
        _ => Ok(tonic::Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() })),
    }
}

/// Door flags, as a command line gives them.
pub(crate) fn flags(flags: &[&str]) -> DoorArgs {
    let args = ["x"].iter().chain(flags).map(OsString::from);
    let Command::Serve(args) = args::parse_from::<Cli>(&SERVICE, args).unwrap().command;
    *args
}

/// What binding with these flags fails with.
pub(crate) async fn refused(args: &[&str]) -> Fatal {
    Doors::bind(&SERVICE, &flags(args)).await.unwrap_err()
}

/// A running service.
pub(crate) struct House {
    pub(crate) at: Addresses,
    pub(crate) ready: Arc<AtomicBool>,
    /// What `/held` of the admin door waits for: a permit a request.
    pub(crate) gate: Arc<Semaphore>,
    /// How many requests have come to it.
    pub(crate) held: Arc<AtomicUsize>,
    pub(crate) shutdown: Shutdown,
    pub(crate) ended: tokio::task::JoinHandle<Result<(), Fatal>>,
}

impl House {
    /// One that is ready.
    pub(crate) async fn open(args: &[&str]) -> Self {
        Self::with_calls(args, Router::new()).await
    }

    /// One whose gRPC door serves these routes too.
    pub(crate) async fn with_calls(args: &[&str], calls: Router) -> Self {
        let doors = Doors::bind(&SERVICE, &flags(args)).await.unwrap();
        let (ready, shutdown) = (Arc::new(AtomicBool::new(true)), Shutdown::default());
        let at = doors.addresses().clone();
        let is_ready = Arc::clone(&ready);
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::new(AtomicUsize::new(0));
        let (passing, came) = (Arc::clone(&gate), Arc::clone(&held));
        let holding = move || async move {
            came.fetch_add(1, Ordering::SeqCst);
            drop(passing.acquire().await.map(SemaphorePermit::forget));
        };
        let rooms = Rooms {
            methods: vec![Unary::new(LOOK, 4_096, look)],
            grpc: Routes::from(calls),
            health: Router::new().route("/jwks", get(|| async { "public" })).route("/large", get(|| async { LARGE })),
            admin: AdminRoutes {
                operator: Router::new().route("/explain", get(|| async { Json("explained") })),
                tenants: Router::new()
                    .route("/whoami", get(|Extension(caller): Extension<Caller>| async move { caller.to_string() }))
                    .route("/held", get(holding)),
            },
            waits_for: Arc::new(move || (!is_ready.load(Ordering::SeqCst)).then_some("a first snapshot")),
            report: Arc::new(report),
        };
        let metrics = Metrics::with_tenant_series(2).unwrap();
        metrics.tenant_counter("house_total", "Guests.", "verdict").count(None, "allow");
        let ended = tokio::spawn(doors.run(rooms, metrics, shutdown.clone()));
        Self { at, ready, gate, held, shutdown, ended }
    }

    /// A GET on the health door: status and body.
    pub(crate) async fn health(&self, path: &str) -> (u16, String) {
        fetch(reqwest::Client::new().get(format!("http://{}{path}", self.at.health))).await.unwrap()
    }

    /// A GET on the admin door.
    pub(crate) fn admin(&self, path: &str) -> reqwest::RequestBuilder {
        reqwest::Client::new().get(format!("http://{}{path}", self.at.admin))
    }

    /// A client of the gRPC door in plaintext.
    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.at.grpc)).unwrap().connect().await.unwrap()
    }
}

fn report() -> SnapshotReport {
    let acme = TenantReport { tenant: "acme".into(), state: "ready".into(), last_error: None, age_seconds: 3 };
    SnapshotReport { generation: Some(7), tenants: vec![acme] }
}

/// Status and body.
pub(crate) async fn fetch(request: reqwest::RequestBuilder) -> Result<(u16, String), reqwest::Error> {
    let answer = request.send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

/// What gRPC health says of a service.
pub(crate) async fn serving(channel: Channel, service: &str) -> Result<bool, tonic::Status> {
    let answer = HealthClient::new(channel).check(HealthCheckRequest { service: service.to_owned() }).await?;
    Ok(answer.into_inner().status() == ServingStatus::Serving)
}

/// Waits until a condition holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
