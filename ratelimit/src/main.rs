//! `bulkhead-ratelimit`: flags, configuration, store, doors; then the library serves.

use std::{process::ExitCode, sync::Arc};

use bulkhead_doors::{
    args::{self, AuditArgs, ConfigArgs, DoorArgs, Service},
    configuration,
    fatal::{Fatal, exit},
    logs,
    metrics::Metrics,
    probe::{ProbeArgs, probe},
    run::{Doors, Rooms, block_on},
    shutdown::Shutdown,
};
use bulkhead_proto::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitServiceServer;
use bulkhead_ratelimit::{
    args::StoreArgs,
    levels::Levels,
    limiter::Limiter,
    rls::{MAX_REQUEST_BYTES, Rls},
};
use bulkhead_tenancy::clock::SystemClock;

static SERVICE: Service = Service {
    name: "bulkhead-ratelimit",
    variables: "BULKHEAD_RATELIMIT",
    grpc_services: &["envoy.service.ratelimit.v3.RateLimitService"],
    grpc: "127.0.0.1:8081",
    health: "0.0.0.0:9082",
    admin: "127.0.0.1:9083",
};

/// The limiter of Bulkhead: how much of the shared capacity a request may use.
#[derive(clap::Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Serve Envoy's rate limit service
    Serve(Box<Serve>),
    /// Check the configuration folder: one line an error, exit status 2 if there is one
    Validate(ConfigArgs),
    /// Exit 0 if the service that runs here is ready: a container's health check
    Probe(ProbeArgs),
}

#[derive(clap::Args)]
struct Serve {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    doors: DoorArgs,
    /// Taken so that both services start with the same flags; the limiter writes no audit stream of its own yet
    #[command(flatten)]
    _audit: AuditArgs,
}

fn main() -> ExitCode {
    match args::parse::<Cli>(&SERVICE).command {
        Command::Serve(serve) => block_on(run(*serve)),
        Command::Validate(validate) => configuration::validate(&validate.config),
        Command::Probe(args) => exit(probe(&args)),
    }
}

async fn run(serve: Serve) -> Result<(), Fatal> {
    logs::install(&serve.doors.logs)?;
    let metrics = Metrics::install()?;
    let shutdown = Shutdown::on_signals()?;
    let loader = Arc::new(configuration::follow(&serve.config.config)?);
    let doors = Doors::bind(&SERVICE, &serve.doors).await?;

    let clock = Arc::new(SystemClock);
    let store = serve.store.open(clock.clone()).await?;
    let limiter = Arc::new(Limiter::new(store, clock, serve.store.store_deadline));
    let rls = Rls::new(loader.live(), Levels::default(), limiter, &metrics);
    let rls = RateLimitServiceServer::new(rls).max_decoding_message_size(MAX_REQUEST_BYTES);

    let (ready, report) = (Arc::clone(&loader), loader);
    let rooms = Rooms {
        grpc: tonic::service::Routes::new(rls),
        health: axum::Router::new(),
        admin: axum::Router::new(),
        // A store that is away does not make us unready: failure modes answer, and another replica has no better store.
        ready: Arc::new(move || ready.is_following() && ready.live().load().is_some()),
        report: Arc::new(move || report.report().into()),
    };
    doors.run(rooms, metrics, shutdown).await
}
